//! The table sets over documents of every kind: what is in conflict, what was erased, and what
//! things are called.

use cunlian_crdt::document::{DocumentView, Erasure, FieldView};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use rusqlite::types::Value;

use cunlian_protocol::category::Category;

use super::row::{ConflictOption, conflicted, json, row, text};
use crate::capability::{Capability, owner};
use crate::spelling::spell;

/// The sets over documents of every kind.
pub(crate) fn sets(titles: &Titles) -> [&dyn TableSet; 3] {
    [&Conflicts, &Erasures, titles]
}

/// Fields with concurrent values, of documents of every kind.
#[derive(Debug)]
pub(crate) struct Conflicts;

/// Documents of every kind that were erased.
#[derive(Debug)]
pub(crate) struct Erasures;

/// Titles of documents that are found by them, of the kinds of these capabilities.
#[derive(Clone)]
pub(crate) struct Titles(pub(crate) Vec<&'static dyn Capability>);

impl TableSet for Conflicts {
    fn name(&self) -> &'static str {
        "conflict"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS conflict (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    field TEXT NOT NULL, options TEXT NOT NULL,
    PRIMARY KEY (category, address, document, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conflict_region ON conflict (address);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["conflict"]
    }

    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        if view.erased.is_some() { Vec::new() } else { conflict_rows(view, authority) }
    }
}

impl TableSet for Erasures {
    fn name(&self) -> &'static str {
        "erasure"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS erasure (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    reason TEXT NOT NULL, author BLOB NOT NULL, name TEXT NOT NULL, at_ms INTEGER NOT NULL,
    change BLOB NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS erasure_region ON erasure (address);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["erasure"]
    }

    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        let erased = view.erased.as_ref();
        erased.map(|erasure| erasure_row(view, erasure, authority)).into_iter().collect()
    }
}

impl TableSet for Titles {
    fn name(&self) -> &'static str {
        "title"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS title (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    title TEXT NOT NULL, pinyin TEXT NOT NULL, initials TEXT NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS title_region ON title (address);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["title"]
    }

    fn takes(&self, category: Category) -> bool {
        owner(&self.0, category).is_some_and(|owner| owner.titled().contains(category))
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        let owner = owner(&self.0, view.home.category).filter(|_| view.erased.is_none());
        let title = owner.and_then(|owner| owner.title(view)).filter(|title| !title.is_empty());
        let Some(title) = title else { return Vec::new() };
        let (pinyin, initials) = spell(&title);
        vec![row("title", &view.home, [text(title), text(pinyin), text(initials)])]
    }
}

/// What is left of an erased document: that it was, by whom and why.
fn erasure_row(view: &DocumentView, erasure: &Erasure, authority: &Authority) -> Row {
    let columns = [
        text(&erasure.reason),
        Value::Blob(erasure.by.as_bytes().to_vec()),
        text(authority.name(&erasure.by)),
        Value::Integer(erasure.at_ms),
        Value::Blob(erasure.change.as_bytes().to_vec()),
    ];
    row("erasure", &view.home, columns)
}

fn conflict_rows(view: &DocumentView, authority: &Authority) -> Vec<Row> {
    conflicted(view)
        .map(|(name, field)| {
            let options = options(field, authority);
            row("conflict", &view.home, [text(name), json(&options)])
        })
        .collect()
}

/// The concurrent values of a field, the one shown first.
fn options(field: &FieldView, authority: &Authority) -> Vec<ConflictOption> {
    std::iter::once(&field.current)
        .chain(&field.others)
        .map(|value| ConflictOption {
            text: value.text.clone(),
            author: authority.name(&value.writer.author),
            at_ms: value.writer.recorded_at_ms,
            source: value.writer.source.clone(),
            change: value.writer.change,
        })
        .collect()
}

//! The table set of the library: one row for each document, base or part.

use std::collections::BTreeMap;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use crate::library::catalogue::Part;
use crate::library::relocation;
use crate::projection::row::{self as rows, conflicted, json, latest, text};
use crate::spelling::spell;

/// Records of the library.
#[derive(Debug)]
pub(crate) struct Library;

impl TableSet for Library {
    fn name(&self) -> &'static str {
        "library"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS record (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    class INTEGER NOT NULL, part INTEGER NOT NULL,
    name TEXT NOT NULL, pinyin TEXT NOT NULL, initials TEXT NOT NULL,
    fields TEXT NOT NULL, search TEXT NOT NULL,
    updated_ms INTEGER NOT NULL, author BLOB NOT NULL, conflicted INTEGER NOT NULL,
    moved_to TEXT NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_name ON record (name) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_pinyin ON record (pinyin) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_initials ON record (initials) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_children ON record (address) WHERE part = 5;
CREATE INDEX IF NOT EXISTS record_region ON record (address, class, part, moved_to, updated_ms);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["record"]
    }

    fn takes(&self, category: Category) -> bool {
        category.class_and_part().is_some()
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        match view.home.category.class_and_part() {
            Some((class, part)) if view.erased.is_none() => vec![row(view, class, part)],
            Some(_) | None => Vec::new(),
        }
    }
}

/// The row of the document `view` of `part` of `class`.
fn row(view: &DocumentView, class: u8, part: u8) -> Row {
    let fields: BTreeMap<&str, &str> = view
        .fields
        .iter()
        .filter(|(name, _)| !relocation::is_link(name))
        .map(|(name, field)| (name.as_str(), field.current.text.as_str()))
        .collect();
    let is_base = part == Part::Base.number();
    let name = if is_base { fields.get("name").copied().unwrap_or_default() } else { "" };
    let (pinyin, initials) = spell(name);
    let writer = latest(view);
    let is_conflicted = conflicted(view).next().is_some();
    let moved = view.fields.get(relocation::MOVED_TO);
    rows::row(
        "record",
        &view.home,
        [
            Value::Integer(i64::from(class)),
            Value::Integer(i64::from(part)),
            text(name),
            text(pinyin),
            text(initials),
            json(&fields),
            text(search_text(&fields)),
            Value::Integer(writer.map_or(0, |writer| writer.recorded_at_ms)),
            Value::Blob(writer.map(|w| w.author.as_bytes().to_vec()).unwrap_or_default()),
            Value::Integer(i64::from(is_conflicted)),
            text(moved.map(|field| field.current.text.as_str()).unwrap_or_default()),
        ],
    )
}

/// All texts of the document, one per line, in lower case, for search by a part of any field.
fn search_text(fields: &BTreeMap<&str, &str>) -> String {
    let lower: Vec<String> = fields.values().map(|text| text.to_lowercase()).collect();
    lower.join("\n")
}

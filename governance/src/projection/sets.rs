//! The table sets of the domain: which tables, of which documents, and their version.
//!
//! A version rises with every change of the tables of its set, of what their rows mean, or of what
//! documents it takes. Those of 0.1.0 had one version for all, the fourth; so they begin with 5.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;

use super::{catalogue_rows, conflict_rows, directory_row, erasure_row, library, tickets};

/// Records of the library.
#[derive(Debug)]
pub(crate) struct Library;

/// Tickets, their steps and their contacts.
#[derive(Debug)]
pub(crate) struct Tickets;

/// Fields with concurrent values, of documents of every kind.
#[derive(Debug)]
pub(crate) struct Conflicts;

/// Documents of every kind that were erased.
#[derive(Debug)]
pub(crate) struct Erasures;

/// Classes that counties have added to the catalogue.
#[derive(Debug)]
pub(crate) struct Catalogues;

/// Whom villagers can call.
#[derive(Debug)]
pub(crate) struct Directory;

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
            Some((class, part)) if view.erased.is_none() => vec![library::row(view, class, part)],
            Some(_) | None => Vec::new(),
        }
    }
}

impl TableSet for Tickets {
    fn name(&self) -> &'static str {
        "ticket"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS ticket (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    receipt TEXT, state TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    channel TEXT, kind TEXT, assignee TEXT, assignee_address TEXT,
    reported_ms INTEGER, accepted_ms INTEGER, replied_ms INTEGER, completed_ms INTEGER,
    closed_ms INTEGER, yellow_ms INTEGER, due_ms INTEGER, stopped_ms INTEGER,
    stars INTEGER, returns INTEGER NOT NULL, words TEXT NOT NULL, updated_ms INTEGER NOT NULL,
    signed TEXT NOT NULL, erased TEXT,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ticket_receipt ON ticket (receipt);
CREATE INDEX IF NOT EXISTS ticket_document ON ticket (document);
CREATE INDEX IF NOT EXISTS ticket_state ON ticket (state, due_ms);

CREATE TABLE IF NOT EXISTS ticket_step (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    step INTEGER NOT NULL, at_ms INTEGER NOT NULL, author BLOB NOT NULL, handler TEXT NOT NULL,
    change BLOB NOT NULL, op TEXT NOT NULL, body TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL, tainted INTEGER NOT NULL,
    PRIMARY KEY (category, address, document, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS ticket_contact (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    name TEXT NOT NULL, phone TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["ticket", "ticket_step", "ticket_contact"]
    }

    fn takes(&self, category: Category) -> bool {
        matches!(category, Category::TICKET | Category::TICKET_CONTACT)
    }

    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        match view.home.category {
            // An erased ticket keeps its place in the queue, without content.
            Category::TICKET => tickets::rows(view, authority),
            _ if view.erased.is_some() => Vec::new(),
            _ => vec![tickets::contact_row(view)],
        }
    }
}

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

impl TableSet for Catalogues {
    fn name(&self) -> &'static str {
        "catalogue"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS catalogue (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    entry TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (category, address, document, entry)
) STRICT, WITHOUT ROWID;
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["catalogue"]
    }

    fn takes(&self, category: Category) -> bool {
        category == Category::CATALOGUE
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        if view.erased.is_some() { Vec::new() } else { catalogue_rows(view) }
    }
}

impl TableSet for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS directory (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    role TEXT NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL, duty TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["directory"]
    }

    fn takes(&self, category: Category) -> bool {
        category == Category::DIRECTORY
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        if view.erased.is_some() { Vec::new() } else { directory_row(view).into_iter().collect() }
    }
}

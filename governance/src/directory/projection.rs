//! The table set of the directory: one row for each contact.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use crate::directory;
use crate::projection::row::{row, text};

/// Whom villagers can call.
#[derive(Debug)]
pub(crate) struct Directory;

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

fn directory_row(view: &DocumentView) -> Option<Row> {
    let fields =
        view.fields.iter().map(|(name, field)| (name.as_str(), field.current.text.as_str()));
    let contact = directory::read(&fields.collect())?;
    let columns = [
        text(contact.role),
        text(contact.name),
        text(contact.phone),
        text(contact.duty),
        Value::Integer(i64::from(contact.position)),
    ];
    Some(row("directory", &view.home, columns))
}

//! The table set of the register: one row for each entry that somebody has published.
//!
//! | column     | type    | meaning                                                              |
//! |------------|---------|----------------------------------------------------------------------|
//! | code       | TEXT    | digits of the address code                                           |
//! | level      | INTEGER | digits of the code, 2 to 26                                          |
//! | name       | TEXT    | as published                                                         |
//! | parent     | TEXT    | code of an ancestor as published, empty at the top of a list         |
//! | status     | TEXT    | `active`, `merged`, `split` or `revoked`                             |
//! | successors | TEXT    | codes separated by one blank, empty for active codes                 |
//!
//! Questions ask the view `division_register`. Of several entries of one code it has the one that
//! was published highest up. Where nobody has published a code it has what this machine was told by
//! itself ([`super::own`]), in the table `division` of the same columns: the names of the node's own
//! certificates, and lists that were imported here by a program before the register was published.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use super::entry;
use crate::projection::row::{row, text};

/// The published register.
#[derive(Debug)]
pub(crate) struct Divisions;

impl TableSet for Divisions {
    fn name(&self) -> &'static str {
        "division"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS division_published (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    code TEXT NOT NULL, level INTEGER NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL,
    status TEXT NOT NULL, successors TEXT NOT NULL,
    PRIMARY KEY (category, address, document, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS division_published_by_code ON division_published (code);
CREATE INDEX IF NOT EXISTS division_published_by_parent ON division_published (parent);
CREATE INDEX IF NOT EXISTS division_published_ended
    ON division_published (status) WHERE status <> 'active';
CREATE TABLE IF NOT EXISTS division (
    code TEXT PRIMARY KEY NOT NULL, level INTEGER NOT NULL, name TEXT NOT NULL,
    parent TEXT NOT NULL, status TEXT NOT NULL, successors TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS division_by_parent ON division (parent);
CREATE INDEX IF NOT EXISTS division_ended ON division (status) WHERE status <> 'active';
DROP VIEW IF EXISTS division_register;
CREATE VIEW division_register AS
    SELECT code, level, name, parent, status, successors FROM division_published AS entry
    WHERE NOT EXISTS (
        SELECT 1 FROM division_published AS higher WHERE higher.code = entry.code
        AND (length(higher.address), higher.address, higher.document)
            < (length(entry.address), entry.address, entry.document))
    UNION ALL
    SELECT code, level, name, parent, status, successors FROM division AS told
    WHERE NOT EXISTS (SELECT 1 FROM division_published WHERE code = told.code);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["division_published"]
    }

    fn takes(&self, category: Category) -> bool {
        category == Category::DIVISION
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        if view.erased.is_some() {
            return Vec::new();
        }
        let fields = view.fields.iter().map(|(name, field)| (name, &field.current.text));
        let read = fields.filter_map(|(name, text)| entry::read(view.home.address, name, text));
        read.map(|division| {
            let codes: Vec<_> = division.successors.iter().map(AddressCode::as_str).collect();
            let level = i64::try_from(division.code.level().digits()).unwrap_or(i64::MAX);
            let columns = [
                text(division.code.as_str()),
                Value::Integer(level),
                text(division.name),
                text(division.parent.as_ref().map_or("", AddressCode::as_str)),
                text(division.status.as_str()),
                text(codes.join(" ")),
            ];
            row("division_published", &view.home, columns)
        })
        .collect()
    }
}

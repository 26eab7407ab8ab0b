//! The table set of the catalogue: one row for each entry of a class.

use cunlian_crdt::document::{DocumentView, FieldView};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;

use crate::projection::row::{row, text};

/// Classes that counties have added to the catalogue.
#[derive(Debug)]
pub(crate) struct Catalogues;

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

fn catalogue_rows(view: &DocumentView) -> Vec<Row> {
    let entry = |(name, field): (&String, &FieldView)| {
        row("catalogue", &view.home, [text(name), text(&field.current.text)])
    };
    view.fields.iter().map(entry).collect()
}

//! The port through which a domain turns documents into table rows.
//!
//! Tables come in sets, each with a version of its own: where one version rises, the store makes
//! that set anew and leaves the others as they are, and a changed document touches the sets that
//! take its category alone. So what a domain adds to one capability costs the others nothing.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use crate::document::DocumentView;

mod rollup;

pub use rollup::{KeyPart, Rollup, Share, recount};

/// One row of a projection table, values in column order, the first three being the home of the
/// document: category INTEGER, address TEXT, document BLOB.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Table name, one of [`TableSet::tables`].
    pub table: &'static str,
    /// Values of all columns.
    pub values: Vec<Value>,
}

/// Tables that are made together. Pure: the same view and authority give the same rows at every
/// node, so they can be made anew from the log byte for byte.
pub trait TableSet: Send + Sync {
    /// Its name, which stays.
    fn name(&self) -> &'static str;

    /// Rises with every change of schema or meaning, and of what it takes; the store then makes
    /// the set anew.
    fn version(&self) -> u32;

    /// `CREATE TABLE IF NOT EXISTS …` and indexes of all its tables.
    fn schema(&self) -> &'static str;

    /// Names of its tables, none of which another set has.
    fn tables(&self) -> &'static [&'static str];

    /// Whether documents of a category have rows in it.
    fn takes(&self, _: Category) -> bool {
        true
    }

    /// All rows of one document that it takes.
    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row>;
}

/// All tables of a domain.
pub trait Projector: Send + Sync + 'static {
    /// The sets, in an order that stays.
    fn sets(&self) -> Vec<&dyn TableSet>;

    /// The rollups over tables of the sets, in an order that stays.
    fn rollups(&self) -> Vec<&dyn Rollup> {
        Vec::new()
    }

    /// The schema of all sets and rollups.
    fn schema(&self) -> String {
        let sets = self.sets().into_iter().map(TableSet::schema);
        sets.chain(self.rollups().into_iter().map(Rollup::schema)).collect()
    }

    /// The tables of all sets.
    fn tables(&self) -> Vec<&'static str> {
        self.sets().into_iter().flat_map(|set| set.tables().iter().copied()).collect()
    }

    /// All rows of one document.
    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        rows_of(&self.sets(), view, authority)
    }
}

/// The rows of one document in those of `sets` that take it.
pub(crate) fn rows_of(
    sets: &[&dyn TableSet],
    view: &DocumentView,
    authority: &Authority,
) -> Vec<Row> {
    let taking = sets.iter().filter(|set| set.takes(view.home.category));
    taking.flat_map(|set| set.rows(view, authority)).collect()
}

/// A domain with one set.
impl<T: TableSet + 'static> Projector for T {
    fn sets(&self) -> Vec<&dyn TableSet> {
        vec![self]
    }
}

//! The port through which a domain turns documents into table rows.

use cunlian_protocol::authority::Authority;
use rusqlite::types::Value;

use crate::document::DocumentView;

/// One row of a projection table, values in column order, the first three being the home of the
/// document: category INTEGER, address TEXT, document BLOB.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Table name, one of [`Projector::tables`].
    pub table: &'static str,
    /// Values of all columns.
    pub values: Vec<Value>,
}

/// Turns a document into the rows it contributes. Pure: the same view and authority give the
/// same rows at every node, so projections can be rebuilt from the log byte for byte.
pub trait Projector: Send + Sync + 'static {
    /// Rises with every change of schema or meaning; the store then rebuilds all projections.
    fn version(&self) -> u32;

    /// `CREATE TABLE IF NOT EXISTS …` and indexes of all projection tables.
    fn schema(&self) -> &'static str;

    /// Names of the projection tables.
    fn tables(&self) -> &'static [&'static str];

    /// All rows of one document.
    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row>;
}

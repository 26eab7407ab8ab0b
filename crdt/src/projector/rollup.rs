//! Sums over the rows of a projection table, kept in the transaction that changes these.
//!
//! A rollup is folded from rows, not from documents: what each row adds is a pure function of it
//! ([`Rollup::share`]). When a document changes, the store takes back what its former rows had added
//! and adds what the new ones do, so that the sums are at every commit those of a recount.

use rusqlite::Connection;
use rusqlite::types::Value;

/// One value of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// What one row adds: to which key, and how much to each sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The values of [`Rollup::keys`].
    pub key: Vec<KeyPart>,
    /// What is added to each of [`Rollup::sums`].
    pub sums: Vec<i64>,
}

/// A table of sums over the rows of another one.
pub trait Rollup: Send + Sync {
    /// Name of its table, which stays.
    fn table(&self) -> &'static str;

    /// Rises with every change of schema or meaning; the store then folds it anew. It is folded
    /// anew as well when the set is made anew that its rows are of.
    fn version(&self) -> u32;

    /// `CREATE TABLE IF NOT EXISTS …`, the columns being those of [`keys`](Self::keys), which are
    /// the primary key, and of [`sums`](Self::sums), all INTEGER, in this order.
    fn schema(&self) -> &'static str;

    /// The columns of the key.
    fn keys(&self) -> &'static [&'static str];

    /// The columns of sums. A key whose sums are all 0 has no row.
    fn sums(&self) -> &'static [&'static str];

    /// The table that it is folded from.
    fn source(&self) -> &'static str;

    /// What a row of that table adds, if anything. Pure.
    fn share(&self, row: &[Value]) -> Option<Share>;
}

/// Folds rollups anew from the rows that are there, whatever their tables held.
pub fn recount(connection: &Connection, rollups: &[&dyn Rollup]) -> rusqlite::Result<()> {
    crate::store::rollup::recount(connection, rollups)
}

impl From<KeyPart> for Value {
    fn from(part: KeyPart) -> Self {
        match part {
            KeyPart::Integer(number) => Self::Integer(number),
            KeyPart::Text(text) => Self::Text(text),
        }
    }
}

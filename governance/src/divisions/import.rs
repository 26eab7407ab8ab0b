//! Writing a division list into the register.
//!
//! The list is streamed: memory does not grow with it. Batches are written in transactions of
//! their own, so a process killed on the way leaves a register that is complete up to some row,
//! and importing the same list again finishes the work. Importing it once more changes nothing.
//! A code that stands twice in one list keeps its last row.
//!
//! A list without a `status` column says nothing about statuses: those known from another list
//! stay. Likewise an empty parent does not erase a known one.

use std::io::Read;

use cunlian_protocol::address::AddressCode;
use rusqlite::Connection;

use super::list::{Batch, DivisionList, ImportReport, ListError, Progress, Written};
use super::row::Row;
use super::{Status, schema};

const INSERT: &str = "INSERT INTO division (code, level, name, parent, status, successors)
     VALUES (?1, length(?1), ?2, ?3, ?4, ?5) ON CONFLICT (code) DO NOTHING";

const UPDATE: &str = "UPDATE division SET
         name = ?2,
         parent = iif(?3 = '', parent, ?3),
         status = iif(?6, ?4, status),
         successors = iif(?6, ?5, successors)
     WHERE code = ?1 AND (name <> ?2 OR (?3 <> '' AND parent <> ?3)
         OR (?6 AND (status <> ?4 OR successors <> ?5)))";

/// Why a list could not be imported at all, or not to its end. Batches before are kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The register cannot be written.
    #[error("the register of divisions cannot be written: {0}")]
    Register(#[from] rusqlite::Error),
}

/// Imports a list, creating the register if there is none.
///
/// Writes in transactions of its own unless the connection is already inside one. `progress` is
/// called after each batch.
pub fn import(
    connection: &Connection,
    list: impl Read,
    mut progress: impl FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let mut list = DivisionList::open(list)?;
    schema(connection)?;
    while let Some(batch) = list.next_batch()? {
        let own = connection.is_autocommit();
        let transaction = own.then(|| connection.unchecked_transaction()).transpose()?;
        list.tally(batch.write(connection)?);
        if let Some(transaction) = transaction {
            transaction.commit()?;
        }
        progress(list.progress());
    }
    Ok(list.report(missing_parents(connection)?))
}

/// Entries of the register whose parent is not in it.
pub fn missing_parents(connection: &Connection) -> rusqlite::Result<u64> {
    let query = "SELECT count(*) FROM division AS child WHERE child.parent <> ''
         AND NOT EXISTS (SELECT 1 FROM division AS parent WHERE parent.code = child.parent)";
    connection.query_row(query, [], |row| row.get(0)).map(i64::unsigned_abs)
}

impl Batch {
    /// Writes the rows. The table must exist; the transaction is the caller's.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<Written> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut update = connection.prepare_cached(UPDATE)?;
        let mut written = Written::default();
        for row in &self.rows {
            let (status, successors) = row.stored_fate();
            let parent = row.parent.as_ref().map_or("", AddressCode::as_str);
            let entry = (row.code.as_str(), row.name.as_str(), parent, status, successors.as_str());
            if insert.execute(entry)? == 1 {
                written.inserted += 1;
                continue;
            }
            let (code, name, parent, status, successors) = entry;
            let known = row.fate.is_some();
            if update.execute((code, name, parent, status, successors, known))? == 1 {
                written.updated += 1;
            } else {
                written.unchanged += 1;
            }
        }
        Ok(written)
    }
}

impl Row {
    /// Status and successors as they are stored.
    fn stored_fate(&self) -> (&'static str, String) {
        match &self.fate {
            Some((status, successors)) => {
                let codes: Vec<_> = successors.iter().map(AddressCode::as_str).collect();
                (status.as_str(), codes.join(" "))
            }
            None => (Status::Active.as_str(), String::new()),
        }
    }
}

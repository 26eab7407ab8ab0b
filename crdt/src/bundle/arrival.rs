//! When changes came: the greatest row of the log, noted about once an hour.
//!
//! Rows have no time of their own. A note says that all rows up to its own were there at its time,
//! so what a bundle leaves out by the notes came before the time asked for, however seldom notes
//! are made; what it takes in may have come somewhat earlier.

use rusqlite::OptionalExtension as _;

use crate::store::{Fault, Store};

/// Time between two notes.
const EVERY_MS: i64 = 3_600_000;

/// Notes how far the log has come, unless that was done within the hour, or the clock was set
/// back since.
pub fn note_arrivals(store: &Store, now_ms: i64) -> Result<(), Fault> {
    let last = store.read(|connection| {
        let sql = "SELECT at_ms, row FROM arrival ORDER BY at_ms DESC LIMIT 1";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    })?;
    let last: Option<(i64, i64)> = last;
    if last.is_some_and(|(at_ms, _)| now_ms < at_ms.saturating_add(EVERY_MS)) {
        return Ok(());
    }
    store.write_reference(move |connection| {
        let sql = "SELECT coalesce(max(row), 0) FROM change";
        let row: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if last.is_none_or(|(_, known)| row > known) {
            connection.execute("INSERT OR REPLACE INTO arrival VALUES (?1, ?2)", (now_ms, row))?;
        }
        Ok(())
    })
}

/// A row up to which everything came before `since_ms`; 0 when that is not known of any.
pub(super) fn row_before(store: &Store, since_ms: i64) -> Result<i64, Fault> {
    let row = store.read(|connection| {
        let sql = "SELECT row FROM arrival WHERE at_ms <= ?1 ORDER BY at_ms DESC LIMIT 1";
        connection.query_row(sql, [since_ms], |row| row.get(0)).optional()
    })?;
    Ok(row.unwrap_or(0))
}

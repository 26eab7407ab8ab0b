//! What an administrator should know of: changes that were refused, and numbers given twice.

use cunlian_protocol::id::{ChangeId, Serial};
use rusqlite::Connection;

use super::rows::key_of;

/// How much there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    /// Refused changes that are kept for an administrator.
    pub quarantined: u64,
    /// Numbers of authors that two changes have.
    pub equivocations: u64,
}

/// Two changes of one author with one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// Certificate of the author.
    pub author: Serial,
    /// The number.
    pub seq: u64,
    /// One change.
    pub first: ChangeId,
    /// The other.
    pub second: ChangeId,
}

pub(super) fn count(connection: &Connection) -> rusqlite::Result<Alarms> {
    let count = |table: &str| {
        let mut select = connection.prepare_cached(&format!("SELECT count(*) FROM {table}"))?;
        select.query_row([], |row| row.get(0))
    };
    Ok(Alarms { quarantined: count("quarantine")?, equivocations: count("equivocation")? })
}

pub(super) fn equivocations(connection: &Connection) -> rusqlite::Result<Vec<Equivocation>> {
    let mut select = connection.prepare_cached(
        "SELECT author.serial, seq, first, second FROM equivocation \
         JOIN author ON author.id = equivocation.author",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(1)?;
        found.push(Equivocation {
            author: Serial(row.get(0)?),
            seq: seq.unsigned_abs(),
            first: key_of(row.get_ref(2)?.as_blob()?)?.change,
            second: key_of(row.get_ref(3)?.as_blob()?)?.change,
        });
    }
    Ok(found)
}

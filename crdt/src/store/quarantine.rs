//! Changes that were refused, kept for a person to look at: the latest, up to a bound.

use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::sync::Carried;
use rusqlite::Connection;

/// Most changes kept.
const KEPT: i64 = 1_000;
/// Bytes kept of one change; what is larger than a change may be is cut.
const KEPT_BYTES: usize = cunlian_protocol::limits::CHANGE_BYTES;

/// One refused change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Number of the entry, ascending in time.
    pub row: i64,
    /// Id of the bytes as they came.
    pub id: ChangeId,
    /// The peer that sent it.
    pub from: Serial,
    /// Why it was refused.
    pub reason: String,
    /// The bytes, cut to the largest size of a change.
    pub bytes: Vec<u8>,
}

/// Keeps what was refused of a batch.
pub(super) fn keep(
    connection: &Connection,
    from: &Serial,
    refused: &[(usize, String)],
    batch: &[Carried],
) -> rusqlite::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO quarantine (id, origin, reason, bytes) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (place, reason) in refused {
        let Some(Carried { bytes, .. }) = batch.get(*place) else { continue };
        let id = ChangeId::of(bytes);
        tracing::warn!(%from, change = %id, reason, "a change was refused");
        let kept = bytes.get(..KEPT_BYTES).unwrap_or(bytes);
        insert.execute((id.0, from.0, reason, kept))?;
    }
    let oldest = connection.last_insert_rowid() - KEPT;
    connection.prepare_cached("DELETE FROM quarantine WHERE row <= ?1")?.execute([oldest])?;
    Ok(())
}

/// The latest refused changes, newest first.
pub(super) fn latest(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Refused>> {
    let mut select = connection.prepare_cached(
        "SELECT row, id, origin, reason, bytes FROM quarantine ORDER BY row DESC LIMIT ?1",
    )?;
    let rows = select.query_map([limit], |row| {
        Ok(Refused {
            row: row.get(0)?,
            id: ChangeId(row.get(1)?),
            from: Serial(row.get(2)?),
            reason: row.get(3)?,
            bytes: row.get(4)?,
        })
    })?;
    rows.collect()
}

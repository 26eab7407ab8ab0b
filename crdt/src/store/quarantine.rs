//! Changes that did not come in, with the reason.
//!
//! - *Refused*: something is wrong with it. Kept for a person to look at: the latest, up to a
//!   number.
//! - *Withheld*: its signature holds and its author had the right, but it does not stand, or it
//!   is a stub of a document that is not erased ([`super::validity`]). What comes later may bring
//!   it in, so it is looked at again whenever its document changes. The latest are kept, up to a
//!   number for one document and a sum of bytes; what is pushed out comes again from peers that
//!   hold it.

use cunlian_protocol::change::{Home, SignedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::sync::Carried;
use rusqlite::Connection;

use super::rows::damaged;

/// Most changes kept that were refused.
const REFUSED_KEPT: i64 = 1_000;
/// Most changes kept that are withheld.
const WITHHELD_KEPT: u64 = 100_000;
/// Most bytes of changes kept that are withheld.
const WITHHELD_BYTES: u64 = 128 << 20;
/// Most changes kept that are withheld of one document, all of which are looked at whenever it
/// changes.
const WITHHELD_OF_ONE: u32 = 512;
/// Bytes kept of one change; what is larger than a change may be is cut.
const KEPT_BYTES: usize = cunlian_protocol::limits::CHANGE_BYTES;

/// One change in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Number of the entry, ascending in time.
    pub row: i64,
    /// Id of the change; of bytes that are no change their BLAKE3.
    pub id: ChangeId,
    /// The peer that sent it.
    pub from: Serial,
    /// Why it was refused.
    pub reason: String,
    /// The bytes, cut to the largest size of a change.
    pub bytes: Vec<u8>,
}

/// Keeps what was refused of a batch for good; `ids` are those of the batch.
pub(super) fn keep(
    connection: &Connection,
    from: &Serial,
    refused: &[(usize, String)],
    batch: &[Carried],
    ids: &[ChangeId],
) -> rusqlite::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO quarantine (id, origin, reason, bytes, document) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO NOTHING",
    )?;
    for (place, reason) in refused {
        let (Some(Carried { bytes, .. }), Some(id)) = (batch.get(*place), ids.get(*place)) else {
            continue;
        };
        tracing::debug!(%from, change = %id, reason, "a change was refused");
        let kept = bytes.get(..KEPT_BYTES).unwrap_or(bytes);
        let home = SignedChange::decode(kept.to_vec()).ok().map(|change| change.header().home);
        let document = home.map(|home| KeyPrefix::document(&home).as_bytes().to_vec());
        insert.execute((id.0, from.0, reason, kept, document))?;
    }
    connection
        .prepare_cached(
            "DELETE FROM quarantine WHERE withheld = 0 AND row <= (SELECT row FROM quarantine \
             WHERE withheld = 0 ORDER BY row DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([REFUSED_KEPT])?;
    Ok(())
}

/// Keeps a change that may come in later.
pub(super) fn withhold(
    connection: &Connection,
    from: &Serial,
    id: &ChangeId,
    home: &Home,
    reason: &str,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let document = KeyPrefix::document(home);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO quarantine (id, origin, reason, bytes, document, withheld) \
             VALUES (?1, ?2, ?3, ?4, ?5, 1)",
        )?
        .execute((id.0, from.0, reason, bytes, document.as_bytes()))?;
    connection
        .prepare_cached(
            "DELETE FROM quarantine WHERE document = ?1 AND withheld > 0 AND row <= (SELECT row \
             FROM quarantine INDEXED BY quarantine_by_document WHERE document = ?1 \
             AND withheld > 0 ORDER BY row DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((document.as_bytes(), WITHHELD_OF_ONE))?;
    Ok(())
}

/// Lets go of the oldest that are withheld when there are too many.
pub(super) fn bound(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM quarantine WHERE withheld > 0";
    let (mut count, mut bytes): (u64, u64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if count <= WITHHELD_KEPT && bytes <= WITHHELD_BYTES {
        return Ok(());
    }
    let sql = "SELECT row, length(bytes) FROM quarantine WHERE withheld > 0 ORDER BY row";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut last: i64 = 0;
    while count > WITHHELD_KEPT || bytes > WITHHELD_BYTES {
        let Some(row) = rows.next()? else { break };
        last = row.get(0)?;
        count -= 1;
        bytes -= row.get::<_, u64>(1)?;
    }
    let sql = "DELETE FROM quarantine WHERE withheld > 0 AND row <= ?1";
    connection.prepare_cached(sql)?.execute([last])?;
    Ok(())
}

/// Whether anything is withheld.
pub(super) fn is_anything_withheld(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM quarantine INDEXED BY quarantine_by_document WHERE withheld > 0";
    connection.prepare_cached(sql)?.exists([])
}

/// Whether something of a document is withheld.
pub(super) fn is_any_withheld(connection: &Connection, home: &Home) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM quarantine INDEXED BY quarantine_by_document \
               WHERE document = ?1 AND withheld > 0";
    connection.prepare_cached(sql)?.exists([KeyPrefix::document(home).as_bytes()])
}

/// The rows and bytes of what is withheld of a document.
pub(super) fn withheld(
    connection: &Connection,
    home: &Home,
) -> rusqlite::Result<Vec<(i64, SignedChange)>> {
    let sql = "SELECT row, bytes FROM quarantine INDEXED BY quarantine_by_document \
               WHERE document = ?1 AND withheld > 0 ORDER BY row";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([KeyPrefix::document(home).as_bytes()])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let change = SignedChange::decode(row.get(1)?);
        changes.push((row.get(0)?, change.map_err(|error| damaged(Box::new(error)))?));
    }
    Ok(changes)
}

/// Takes out a change that has come in.
pub(super) fn release(connection: &Connection, id: &ChangeId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}

/// Takes the payload out of a change that stays withheld.
pub(super) fn overwrite(connection: &Connection, row: i64, bytes: &[u8]) -> rusqlite::Result<()> {
    let sql = "UPDATE quarantine SET bytes = ?2 WHERE row = ?1";
    connection.prepare_cached(sql)?.execute((row, bytes))?;
    Ok(())
}

/// Takes out what was refused of a document that is erased, and what cannot be read: nobody can
/// tell whose it is.
pub(super) fn forget_refused(connection: &Connection, home: &Home) -> rusqlite::Result<()> {
    let sql = "DELETE FROM quarantine WHERE withheld = 0 AND (document = ?1 OR document IS NULL)";
    connection.prepare_cached(sql)?.execute([KeyPrefix::document(home).as_bytes()])?;
    Ok(())
}

/// The latest changes in quarantine, newest first.
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

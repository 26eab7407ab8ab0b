//! Documents that hold more than may count of them: found in stores that were filled before there
//! were bounds on what a change unfolds to, and listed for people.
//!
//! Such changes stay in the log, so that sets go on agreeing; they are not read. What does not count
//! of a document is a function of its changes ([`crate::history`]), so every node shows the same.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, SignedChange};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use rusqlite::{Connection, OptionalExtension as _};

use super::blob;
use super::facts::{meta, set_meta};
use super::materialize::{insert_rows, project};
use super::outbox::Ancestors;
use super::replay::{history, read};
use super::rows::{changes_of, damaged, delete_rows, home_of, key_of};
use crate::history::payload::Payload;
use crate::projector::Projector;

/// The fact that says by which bounds the documents of this store were read.
const BOUNDS: &str = "bounds";
/// Number of the bounds; a program with others gives them another.
const CURRENT: &[u8] = b"1";

/// Reads those documents anew that other bounds let through.
pub(super) fn adapt(
    connection: &Connection,
    projector: &dyn Projector,
    authority: &Authority,
    ancestors: &Ancestors,
) -> rusqlite::Result<()> {
    if meta(connection, BOUNDS)?.is_some_and(|kept| kept == CURRENT) {
        return Ok(());
    }
    for home in doubtful(connection)? {
        let changes = changes_of(connection, &home)?;
        let history = history(authority, home, read(&changes));
        drop(changes);
        let outcome = match project(projector, authority, &history) {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, ?home, "a document stays as it was read before");
                continue;
            }
        };
        if outcome.beyond > 0 {
            tracing::warn!(?home, changes = outcome.beyond, "a document holds more than may count");
        }
        let document = KeyPrefix::document(&home);
        connection
            .prepare_cached(
                "UPDATE document SET waiting = ?2, conflicted = ?3, beyond = ?4 WHERE prefix = ?1",
            )?
            .execute((document.as_bytes(), outcome.waiting, outcome.conflicted, outcome.beyond))?;
        delete_rows(connection, projector, &home)?;
        insert_rows(connection, outcome.rows)?;
        blob::refer(connection, ancestors, authority, &document, &outcome.blobs)?;
    }
    set_meta(connection, BOUNDS, CURRENT)
}

/// Documents that hold so much that a bound may matter, found without unfolding anything.
fn doubtful(connection: &Connection) -> rusqlite::Result<Vec<Home>> {
    let mut select = connection.prepare("SELECT key, bytes FROM change ORDER BY key")?;
    let mut rows = select.query([])?;
    let mut found: Vec<Home> = Vec::new();
    let mut current: Option<(Home, u64)> = None;
    while let Some(row) = rows.next()? {
        let home = key_of(row.get_ref(0)?.as_blob()?)?.home;
        let change = SignedChange::from_log(row.get(1)?);
        let change = change.map_err(|error| damaged(Box::new(error)))?;
        let before = current.filter(|(of, _)| *of == home).map_or(0, |(_, weight)| weight);
        let weight = before.saturating_add(Payload::weight_of(&change));
        current = Some((home, weight));
        let is_known = found.last() == Some(&home);
        if !is_known
            && (Payload::unfolds_too_far(&change) || is_doubtful(connection, &home, weight)?)
        {
            found.push(home);
        }
    }
    Ok(found)
}

fn is_doubtful(connection: &Connection, home: &Home, weight: u64) -> rusqlite::Result<bool> {
    if weight > limits::DOCUMENT_OPERATIONS as u64 {
        return Ok(true);
    }
    if weight <= limits::FIELD_VALUES as u64 {
        return Ok(false);
    }
    let sql = "SELECT conflicted > 0 FROM document WHERE prefix = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let conflicted = select.query_row([KeyPrefix::document(home).as_bytes()], |row| row.get(0));
    Ok(conflicted.optional()?.unwrap_or(false))
}

/// Documents of which some changes do not count, with how many, for people.
pub(super) fn listed(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT prefix, beyond FROM document INDEXED BY document_beyond WHERE beyond > 0 \
               ORDER BY prefix";
    let mut select = connection.prepare(sql)?;
    let lines = select.query_map([], |row| {
        let home = home_of(row.get_ref(0)?.as_blob()?)?;
        let beyond: u32 = row.get(1)?;
        Ok(format!("{home:?}: {beyond} changes hold more operations than count"))
    })?;
    lines.collect()
}

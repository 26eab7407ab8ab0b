//! Carrying out [`Selection`]s: which changes, in which order, as many as fit a batch.

use std::collections::BTreeSet;

use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sketch::ShortKey;
use cunlian_protocol::sync::{Carried, Selection, Stored};
use rusqlite::{Connection, Row};

use super::outbox::Ancestors;
use super::reading::{Range, key_of};
use super::summary::each_key;
use super::writer::known_author;

/// Rows looked at for one [`Selection::Rows`], so that a narrow scope does not hold a reader long.
const ROWS_LOOKED_AT: usize = 20_000;

/// Changes gathered up to the limits of a batch.
#[derive(Debug, Default)]
struct Gathered {
    changes: Vec<Stored>,
    bytes: usize,
}

impl Gathered {
    /// Takes the change in if the batch has room; a first change always fits.
    fn offer(&mut self, row: &Row<'_>, ancestors: &Ancestors) -> rusqlite::Result<bool> {
        let bytes = row.get_ref(3)?.as_blob()?;
        let full = self.changes.len() >= limits::BATCH_CHANGES
            || self.bytes + bytes.len() > limits::BATCH_BYTES;
        if full && !self.changes.is_empty() {
            return Ok(false);
        }
        self.bytes += bytes.len();
        let key_bytes = row.get_ref(1)?.as_blob()?;
        let awaited: u8 = row.get(4)?;
        self.changes.push(Stored {
            row: row.get(0)?,
            key: key_of(key_bytes)?,
            author: row.get(2).map(Serial)?,
            carried: Carried {
                bytes: bytes.to_vec(),
                reached: ancestors.covering(key_bytes) & !awaited,
            },
        });
        Ok(true)
    }
}

const COLUMNS: &str = "SELECT change.row, change.key, author.serial, change.bytes, \
    coalesce(outbox.awaited, 0), change.origin FROM change \
    CROSS JOIN author ON author.id = change.author \
    LEFT JOIN outbox ON outbox.row = change.row";

/// What a selection gives, where to go on, and for rows how far they were looked at.
pub(super) type Selected = (Vec<Stored>, Option<Selection>, i64);

/// Reads as much of a selection as fits a batch.
pub(super) fn select(
    connection: &Connection,
    selection: Selection,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    match selection {
        Selection::Prefix { prefix, after } => under(connection, &prefix, &after, ancestors),
        Selection::Ids { prefix, ids } => with_ids(connection, &prefix, ids, ancestors),
        Selection::Shorts { prefix, key, shorts } => {
            let all = each_short(connection, &prefix, &key)?;
            let ids = all.into_iter().filter(|(short, _)| shorts.binary_search(short).is_ok());
            with_ids(connection, &prefix, ids.map(|(_, id)| id).collect(), ancestors)
        }
        Selection::Rows { after, scope, except } => {
            after_row(connection, after, scope, except, ancestors)
        }
    }
}

fn under(
    connection: &Connection,
    prefix: &KeyPrefix,
    after: &[u8],
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let Range { start, end } = Range::of(prefix);
    // Keys have different lengths only if their addresses differ, so none continues another:
    // what comes after a key comes after its bytes with a zero.
    let from = if after.is_empty() { start } else { start.max([after, &[0]].concat()) };
    let sql = format!("{COLUMNS} WHERE change.key >= ?1 AND change.key < ?2 ORDER BY change.key");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query((from, end))?;
    let mut gathered = Gathered::default();
    while let Some(row) = rows.next()? {
        if !gathered.offer(row, ancestors)? {
            let after = gathered.changes.last().map(|stored| stored.key.to_bytes());
            let rest =
                Selection::Prefix { prefix: prefix.clone(), after: after.unwrap_or_default() };
            return Ok((gathered.changes, Some(rest), 0));
        }
    }
    Ok((gathered.changes, None, 0))
}

fn with_ids(
    connection: &Connection,
    prefix: &KeyPrefix,
    ids: Vec<ChangeId>,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let mut wanted: BTreeSet<ChangeId> = ids.into_iter().collect();
    let mut keys = Vec::with_capacity(wanted.len());
    each_key(connection, prefix, |bytes| {
        if wanted.remove(&key_of(bytes)?.change) {
            keys.push(bytes.to_vec());
        }
        Ok(())
    })?;
    let sql = format!("{COLUMNS} WHERE change.key = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut gathered = Gathered::default();
    let mut keys = keys.into_iter();
    for bytes in keys.by_ref() {
        let mut rows = select.query([&bytes])?;
        let Some(row) = rows.next()? else { continue };
        if !gathered.offer(row, ancestors)? {
            let left = std::iter::once(bytes).chain(keys);
            let mut ids = left
                .map(|bytes| key_of(&bytes).map(|key| key.change))
                .collect::<Result<Vec<_>, _>>()?;
            ids.sort_unstable();
            let rest = Selection::Ids { prefix: prefix.clone(), ids };
            return Ok((gathered.changes, Some(rest), 0));
        }
    }
    Ok((gathered.changes, None, 0))
}

/// Short ids under a prefix, at most one more than can be sketched.
pub(super) fn each_short(
    connection: &Connection,
    prefix: &KeyPrefix,
    key: &ShortKey,
) -> rusqlite::Result<Vec<(u64, ChangeId)>> {
    let mut shorts = Vec::new();
    each_key(connection, prefix, |bytes| {
        if shorts.len() <= limits::SKETCH_ITEMS {
            let id = key_of(bytes)?.change;
            shorts.push((key.short(&id), id));
        }
        Ok(())
    })?;
    Ok(shorts)
}

fn after_row(
    connection: &Connection,
    after: i64,
    scope: Scope,
    except: Serial,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let peer = known_author(connection, &except)?.unwrap_or(-1);
    let sql = format!("{COLUMNS} WHERE change.row > ?1 ORDER BY change.row LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query((after, ROWS_LOOKED_AT))?;
    let mut gathered = Gathered::default();
    let mut through_row = after;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let origin: i64 = row.get(5)?;
        let visible = origin != peer && scope.allows(row.get_ref(1)?.as_blob()?);
        if visible && !gathered.offer(row, ancestors)? {
            looked_at = ROWS_LOOKED_AT;
            break;
        }
        through_row = row.get(0)?;
        looked_at += 1;
    }
    let more = looked_at == ROWS_LOOKED_AT;
    let rest = more.then_some(Selection::Rows { after: through_row, scope, except });
    Ok((gathered.changes, rest, through_row))
}

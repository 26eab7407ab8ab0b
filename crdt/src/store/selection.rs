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
use super::rows::{Range, key_of};
use super::summary::{each_key_while, id_of};
use super::writer::known_author;

mod push;

/// Rows looked at for one [`Selection::Rows`], so that a narrow scope does not hold a reader long.
const ROWS_LOOKED_AT: usize = 20_000;
/// Keys looked at for one [`Selection::Shorts`]: more than were sketched, for some may have come
/// since. What is missed by then differs in the next comparison.
const SHORTS_LOOKED_AT: usize = 2 * limits::SKETCH_ITEMS;

/// Changes gathered up to the limits of a batch.
#[derive(Debug)]
struct Gathered {
    changes: Vec<Stored>,
    bytes: usize,
    most_bytes: usize,
}

impl Gathered {
    fn new(most_bytes: usize) -> Self {
        Self { changes: Vec::new(), bytes: 0, most_bytes: most_bytes.min(limits::BATCH_BYTES) }
    }

    /// Takes the change in if the batch has room; a first change always fits.
    fn offer(&mut self, row: &Row<'_>, ancestors: &Ancestors) -> rusqlite::Result<bool> {
        let bytes = row.get_ref(3)?.as_blob()?;
        let full = self.changes.len() >= limits::BATCH_CHANGES
            || self.bytes + bytes.len() > self.most_bytes;
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

/// Whom pushed changes are for.
struct Receiver {
    scope: Scope,
    except: Serial,
}

const COLUMNS: &str = "SELECT change.row, change.key, author.serial, change.bytes, \
    coalesce(outbox.awaited, 0), change.origin FROM change \
    CROSS JOIN author ON author.id = change.author \
    LEFT JOIN outbox ON outbox.row = change.row";

/// What a selection gives, where to go on, and for rows how far they were looked at.
pub(super) type Selected = (Vec<Stored>, Option<Selection>, i64);

/// Reads as much of a selection as fits a batch of so many bytes.
pub(super) fn select(
    connection: &Connection,
    selection: Selection,
    bytes: usize,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let gathered = Gathered::new(bytes);
    match selection {
        Selection::Prefix { prefix, after } => {
            under(connection, gathered, &prefix, &after, ancestors)
        }
        Selection::Ids { prefix, ids } => with_ids(connection, gathered, prefix, ids, ancestors),
        Selection::Shorts { prefix, key, shorts } => {
            with_shorts(connection, gathered, (prefix, key), &shorts, ancestors)
        }
        Selection::Rows { after, scope, except } => {
            after_row(connection, gathered, after, scope, except, ancestors)
        }
        Selection::Push { after, classes, scope, except } => {
            let receiver = Receiver { scope, except };
            push::select(connection, gathered, after, classes, receiver, ancestors)
        }
    }
}

fn under(
    connection: &Connection,
    mut gathered: Gathered,
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
    gathered: Gathered,
    prefix: KeyPrefix,
    ids: Vec<ChangeId>,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let mut wanted: BTreeSet<ChangeId> = ids.into_iter().collect();
    let mut keys = Vec::with_capacity(wanted.len());
    each_key_while(connection, prefix.as_bytes(), |bytes| {
        if wanted.remove(&id_of(bytes)?) {
            keys.push(bytes.to_vec());
        }
        Ok(!wanted.is_empty())
    })?;
    let (changes, left) = with_keys(connection, gathered, keys, ancestors)?;
    let ids = left.iter().map(|key| id_of(key));
    let mut ids = ids.collect::<rusqlite::Result<Vec<_>>>()?;
    ids.sort_unstable();
    let rest = (!ids.is_empty()).then_some(Selection::Ids { prefix, ids });
    Ok((changes, rest, 0))
}

fn with_shorts(
    connection: &Connection,
    gathered: Gathered,
    (prefix, key): (KeyPrefix, ShortKey),
    shorts: &[u64],
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let mut keys = Vec::with_capacity(shorts.len());
    let mut looked_at = 0;
    each_key_while(connection, prefix.as_bytes(), |bytes| {
        if shorts.binary_search(&key.short(&id_of(bytes)?)).is_ok() {
            keys.push(bytes.to_vec());
        }
        looked_at += 1;
        Ok(looked_at < SHORTS_LOOKED_AT)
    })?;
    let (changes, left) = with_keys(connection, gathered, keys, ancestors)?;
    let shorts = left.iter().map(|bytes| Ok(key.short(&id_of(bytes)?)));
    let mut shorts = shorts.collect::<rusqlite::Result<Vec<_>>>()?;
    shorts.sort_unstable();
    let rest = (!shorts.is_empty()).then_some(Selection::Shorts { prefix, key, shorts });
    Ok((changes, rest, 0))
}

/// Reads changes up to the limits of a batch; gives the keys of those left.
fn with_keys(
    connection: &Connection,
    mut gathered: Gathered,
    keys: Vec<Vec<u8>>,
    ancestors: &Ancestors,
) -> rusqlite::Result<(Vec<Stored>, Vec<Vec<u8>>)> {
    let sql = format!("{COLUMNS} WHERE change.key = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut keys = keys.into_iter();
    while let Some(bytes) = keys.next() {
        let mut rows = select.query([&bytes])?;
        let Some(row) = rows.next()? else { continue };
        if !gathered.offer(row, ancestors)? {
            return Ok((gathered.changes, std::iter::once(bytes).chain(keys).collect()));
        }
    }
    Ok((gathered.changes, Vec::new()))
}

fn after_row(
    connection: &Connection,
    mut gathered: Gathered,
    after: i64,
    scope: Scope,
    except: Serial,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let peer = known_author(connection, &except)?.unwrap_or(-1);
    let sql = format!("{COLUMNS} WHERE change.row > ?1 ORDER BY change.row LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query((after, ROWS_LOOKED_AT))?;
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

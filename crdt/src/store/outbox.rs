//! Which tiers above hold what: the honest status of every change.
//!
//! A change that is durable here and that an ancestor of this node may read, but is not known to
//! hold, has a row in `outbox` with the bits of those tiers. A receipt takes bits away; without
//! bits the row goes. So "at the town" is shown only on the word of the town.

use std::collections::BTreeMap;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::{Home, SignedChange};
use cunlian_protocol::id::Serial;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::tiers;
use rusqlite::{Connection, OptionalExtension as _};

use super::rows::{Range, damaged, key_of, row_of};
use super::writer::Batch;
use super::{deferral, pending_counts};

/// Name in `meta` of the note that what waits has been counted.
const COUNTED: &str = "awaiting counted";

/// Receipts kept; each covers a whole batch.
const RECEIPTS: i64 = 1_000;

/// The nodes above this one: tier bit and what each may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ancestors(Vec<(u8, Scope)>);

impl Ancestors {
    /// The certificates above `own` in its chain.
    pub(super) fn of(authority: &Authority, own: Option<Serial>) -> Self {
        let chain = own.map(|own| authority.chain(&own)).unwrap_or_default();
        let above = chain.split_last().map(|(_, above)| above).unwrap_or_default();
        let ancestor = |serial: Serial, tier: Tier| (tier.bit(), authority.read_scope(&serial));
        Self(above.iter().map(|c| ancestor(c.serial(), c.body().tier)).collect())
    }

    /// Bits of those that may read what lies under this key or document prefix.
    pub(super) fn covering(&self, prefix: &[u8]) -> u8 {
        let allowed = self.0.iter().filter(|(_, scope)| scope.allows(prefix));
        allowed.fold(0, |bits, (bit, _)| bits | bit)
    }

    /// Bits of those that may read parts of what lies under this prefix, and not all of it.
    pub(super) fn inside(&self, prefix: &KeyPrefix) -> u8 {
        let in_parts = self.0.iter().filter(|(_, scope)| {
            let tops = scope.tops([prefix.of_category()]);
            tops.iter().any(|top| top != prefix && prefix.contains(top.as_bytes()))
        });
        in_parts.fold(0, |bits, (bit, _)| bits | bit) & !self.covering(prefix.as_bytes())
    }

    fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.0).expect("bits and scopes are encodable")
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self(postcard::from_bytes(bytes).unwrap_or_default())
    }
}

/// How far a document has got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reached {
    /// Tiers above (bits) that are not known to hold all of it.
    pub awaited: u8,
    /// Tiers above (bits) that may read it and hold all of it.
    pub reached: u8,
    /// Why a peer refused part of it, if one did.
    pub refused: Option<String>,
    /// Why a tier above that it waits for takes it later, whether it was sent yet or not.
    pub postponed: Option<String>,
}

/// What waits to be held by one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Changes.
    pub changes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When that was recorded which has waited here longest, milliseconds since 1970-01-01 UTC.
    pub oldest_recorded_at_ms: Option<i64>,
}

/// What is noted of a new change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// Tiers (bits) it waits for.
    pub(super) awaited: u8,
    /// When it was recorded.
    pub(super) recorded_at_ms: i64,
    /// Its size.
    pub(super) bytes: usize,
}

/// Notes that the new change in `row` waits.
pub(super) fn enter(
    batch: &mut Batch<'_>,
    row: i64,
    key: &SetKey,
    waits: Waits,
) -> rusqlite::Result<()> {
    let Waits { awaited, recorded_at_ms, bytes } = waits;
    if awaited == 0 {
        return Ok(());
    }
    let mut insert = batch.connection.prepare_cached(
        "INSERT INTO outbox (row, awaited, recorded_at, bytes) VALUES (?1, ?2, ?3, ?4)",
    )?;
    insert.execute((row, awaited, recorded_at_ms, bytes))?;
    batch.pending_counts.note(&key.to_bytes(), awaited, 1, length(bytes));
    Ok(())
}

/// A row of the outbox.
struct Entry {
    key: Vec<u8>,
    awaited: u8,
    bytes: i64,
}

fn entry(connection: &Connection, row: i64) -> rusqlite::Result<Option<Entry>> {
    let mut select = connection.prepare_cached(
        "SELECT key, awaited, outbox.bytes FROM outbox CROSS JOIN change USING (row) \
         WHERE outbox.row = ?1",
    )?;
    let entry = select.query_row([row], |row| {
        Ok(Entry { key: row.get(0)?, awaited: row.get(1)?, bytes: row.get(2)? })
    });
    entry.optional()
}

/// Takes the bits of tiers that hold a change; gives those that were not known before.
pub(super) fn mark_reached(batch: &mut Batch<'_>, row: i64, bits: u8) -> rusqlite::Result<u8> {
    let Some(Entry { key, awaited, bytes }) = entry(batch.connection, row)? else { return Ok(0) };
    let news = awaited & bits;
    if news == 0 {
        return Ok(0);
    }
    let left = awaited & !news;
    batch.pending_counts.note(&key, awaited, -1, -bytes);
    if left == 0 {
        batch.connection.prepare_cached("DELETE FROM outbox WHERE row = ?1")?.execute([row])?;
    } else {
        batch.pending_counts.note(&key, left, 1, bytes);
        batch
            .connection
            .prepare_cached(
                // Whoever refused it may be who has it now.
                "UPDATE outbox SET awaited = ?2, refusal = NULL, refused_by = NULL WHERE row = ?1",
            )?
            .execute((row, left))?;
    }
    Ok(news)
}

/// A tier that was known to hold a change does not: it waits for it again.
pub(super) fn lose(batch: &mut Batch<'_>, key: &SetKey, tier: u8) -> rusqlite::Result<()> {
    let bytes = key.to_bytes();
    let tier = tier & batch.shared.ancestors.covering(&bytes);
    let Some(row) = row_of(batch.connection, key)?.filter(|_| tier != 0) else { return Ok(()) };
    if let Some(Entry { awaited, bytes: size, .. }) = entry(batch.connection, row)? {
        batch.pending_counts.note(&bytes, awaited, -1, -size);
        batch.pending_counts.note(&bytes, awaited | tier, 1, size);
        batch
            .connection
            .prepare_cached("UPDATE outbox SET awaited = ?2 WHERE row = ?1")?
            .execute((row, awaited | tier))?;
        return Ok(());
    }
    let mut select = batch.connection.prepare_cached("SELECT bytes FROM change WHERE row = ?1")?;
    let change = SignedChange::from_log(select.query_row([row], |row| row.get(0))?);
    let change = change.map_err(|error| damaged(Box::new(error)))?;
    let recorded_at_ms = change.header().recorded_at_ms;
    let waits = Waits { awaited: tier, recorded_at_ms, bytes: change.bytes().len() };
    enter(batch, row, key, waits)
}

/// A change is about to leave the log: nothing of it waits any more.
pub(super) fn leave(batch: &mut Batch<'_>, row: i64) -> rusqlite::Result<()> {
    let Some(Entry { key, awaited, bytes }) = entry(batch.connection, row)? else { return Ok(()) };
    batch.pending_counts.note(&key, awaited, -1, -bytes);
    batch.connection.prepare_cached("DELETE FROM outbox WHERE row = ?1")?.execute([row])?;
    Ok(())
}

/// A change has another size than before.
pub(super) fn resize(batch: &mut Batch<'_>, row: i64, new: usize) -> rusqlite::Result<()> {
    let Some(Entry { key, awaited, bytes }) = entry(batch.connection, row)? else { return Ok(()) };
    batch.pending_counts.note(&key, awaited, 0, length(new) - bytes);
    batch
        .connection
        .prepare_cached("UPDATE outbox SET bytes = ?2 WHERE row = ?1")?
        .execute((row, new))?;
    Ok(())
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn awaited(connection: &Connection, row: i64) -> rusqlite::Result<u8> {
    let mut select = connection.prepare_cached("SELECT awaited FROM outbox WHERE row = ?1")?;
    Ok(select.query_row([row], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Marks what a receipt names; gives the news, and keeps the receipt when there was any.
pub(super) fn mark_all_reached(
    batch: &mut Batch<'_>,
    reached: &[(SetKey, u8)],
    receipt: Option<&[u8]>,
) -> rusqlite::Result<Vec<(SetKey, u8)>> {
    let mut all_news = Vec::new();
    for (key, bits) in reached {
        let Some(row) = row_of(batch.connection, key)? else { continue };
        let news = mark_reached(batch, row, *bits)?;
        if news != 0 {
            all_news.push((key.clone(), news));
        }
    }
    if let Some(receipt) = receipt.filter(|_| !all_news.is_empty()) {
        keep_receipt(batch.connection, receipt)?;
    }
    Ok(all_news)
}

/// Keeps the signed word of a tier above, the latest ones.
pub(super) fn keep_receipt(connection: &Connection, receipt: &[u8]) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO receipt (bytes) VALUES (?1)")?.execute([receipt])?;
    connection
        .prepare_cached("DELETE FROM receipt WHERE row <= ?1")?
        .execute([connection.last_insert_rowid() - RECEIPTS])?;
    Ok(())
}

/// Notes the reason a peer gave for not taking changes.
pub(super) fn mark_refused(
    connection: &Connection,
    by: &Serial,
    refused: &[(SetKey, String)],
) -> rusqlite::Result<()> {
    let mut update = connection
        .prepare_cached("UPDATE outbox SET refusal = ?2, refused_by = ?3 WHERE row = ?1")?;
    for (key, reason) in refused {
        if let Some(row) = row_of(connection, key)? {
            update.execute((row, reason, by.0))?;
        }
    }
    Ok(())
}

/// Keys and awaited tiers, and the row to go on after.
pub(super) type WaitingPage = (Vec<(SetKey, u8)>, Option<i64>);

/// A page of what waits, oldest first, after a row.
pub(super) fn waiting(connection: &Connection, after: i64) -> rusqlite::Result<WaitingPage> {
    let limit = limits::LIST_IDS / 4;
    let mut select = connection.prepare_cached(
        "SELECT outbox.row, key, awaited FROM outbox CROSS JOIN change USING (row) \
         WHERE outbox.row > ?1 ORDER BY outbox.row LIMIT ?2",
    )?;
    let mut rows = select.query((after, limit))?;
    let mut waiting = Vec::new();
    let mut last = after;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        waiting.push((key_of(row.get_ref(1)?.as_blob()?)?, row.get(2)?));
    }
    let rest = (waiting.len() == limit).then_some(last);
    Ok((waiting, rest))
}

/// How far one document has got.
pub(super) fn reached(
    connection: &Connection,
    ancestors: &Ancestors,
    home: &Home,
) -> rusqlite::Result<Reached> {
    let prefix = KeyPrefix::document(home);
    let Range { start, end } = Range::of(&prefix);
    let mut select = connection.prepare_cached(
        "SELECT awaited, refusal FROM change CROSS JOIN outbox USING (row) \
         WHERE key >= ?1 AND key < ?2",
    )?;
    let mut rows = select.query((start, end))?;
    let mut status = Reached::default();
    while let Some(row) = rows.next()? {
        status.awaited |= row.get::<_, u8>(0)?;
        status.refused = row.get::<_, Option<String>>(1)?.or(status.refused);
    }
    status.reached = ancestors.covering(prefix.as_bytes()) & !status.awaited;
    if status.awaited != 0 {
        let class = home.category.urgency();
        status.postponed = deferral::reason(connection, status.awaited, class)?;
    }
    Ok(status)
}

/// What waits, by tier; tiers for which nothing waits are left out.
pub(super) fn totals(connection: &Connection) -> rusqlite::Result<BTreeMap<Tier, Backlog>> {
    let mut totals: BTreeMap<Tier, Backlog> = BTreeMap::new();
    for (awaited, (changes, bytes)) in pending_counts::totals(connection)? {
        let oldest = pending_counts::longest_recorded_at_ms(connection, awaited)?;
        for tier in tiers(awaited) {
            let backlog = totals.entry(tier).or_default();
            backlog.changes += changes.unsigned_abs();
            backlog.bytes += bytes.unsigned_abs();
            let earliest = backlog.oldest_recorded_at_ms.into_iter().chain(oldest).min();
            backlog.oldest_recorded_at_ms = earliest;
        }
    }
    Ok(totals)
}

/// Fits the outbox to the ancestors of this run of the node: what a new ancestor may read waits
/// for it, and nothing waits for one that is gone. Tells whether they are others than before.
pub(super) fn adapt(connection: &Connection, ancestors: &Ancestors) -> rusqlite::Result<bool> {
    let known = super::facts::meta(connection, "ancestors")?;
    let known = known.as_deref().map(Ancestors::from_bytes).unwrap_or_default();
    let counted = super::facts::meta(connection, COUNTED)?.is_some();
    if known == *ancestors && counted {
        return Ok(false);
    }
    let others = known != *ancestors;
    if others {
        adapt_rows(connection, &known, ancestors)?;
    }
    pending_counts::rebuild(connection)?;
    super::facts::set_meta(connection, COUNTED, &[])?;
    super::facts::set_meta(connection, "ancestors", &ancestors.to_bytes())?;
    Ok(others)
}

fn adapt_rows(
    connection: &Connection,
    known: &Ancestors,
    ancestors: &Ancestors,
) -> rusqlite::Result<()> {
    let mut enter = connection.prepare(
        "INSERT INTO outbox (row, awaited, recorded_at, bytes) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (row) DO UPDATE SET awaited = awaited | excluded.awaited",
    )?;
    let all_bits = ancestors.0.iter().fold(0, |bits, (bit, _)| bits | bit);
    connection.execute("DELETE FROM outbox WHERE awaited & ?1 = 0", [all_bits])?;
    connection.execute("UPDATE outbox SET awaited = awaited & ?1", [all_bits])?;
    let mut select = connection.prepare("SELECT row, key, bytes FROM change ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(1)?.as_blob()?;
        let new = ancestors.covering(key) & !known.covering(key);
        if new != 0 {
            let change = SignedChange::from_log(row.get(2)?);
            let change = change.map_err(|error| damaged(Box::new(error)))?;
            let recorded_at_ms = change.header().recorded_at_ms;
            let id: i64 = row.get(0)?;
            enter.execute((id, new, recorded_at_ms, change.bytes().len()))?;
        }
    }
    Ok(())
}

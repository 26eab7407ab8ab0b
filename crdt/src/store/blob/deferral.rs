//! What the tiers above do not ask for at present, as they said last, and how much waits for each.
//!
//! A tier says a size: of the blobs that wait for it, those of more bytes are *postponed*, unless it
//! has asked for some of them before. What a tier said stands until it says something else, so that
//! a person is told although the line is down.

use std::collections::BTreeMap;

use cunlian_protocol::blob::{BlobName, Postponed};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::PublicKey;
use rusqlite::{Connection, OptionalExtension as _};

use super::{BlobBacklog, BlobTotals, NotTaken};
use crate::store::{Fault, Health, Inner};

/// Notes what a tier above does not ask for.
pub(super) fn mark(
    inner: &Inner,
    tier: u8,
    postponed: Option<Postponed>,
    begun: Vec<BlobName>,
) -> Result<(), Fault> {
    let known = inner.readers.with(|connection| Ok(of_tier(connection, tier)?))?;
    // Every session says it once: most of the time that is no news.
    if known == postponed && begun.is_empty() {
        return Ok(());
    }
    inner.writer.submit(move |batch| {
        let connection = batch.connection;
        let Some(Postponed { over_bytes, begun: also_begun, why }) = postponed else {
            connection
                .prepare_cached("DELETE FROM blob_postponed WHERE tier = ?1")?
                .execute([tier])?;
            connection
                .prepare_cached("UPDATE blob SET begun = begun & ?1 WHERE begun & ?2 != 0")?
                .execute((!tier, tier))?;
            return Ok::<_, Fault>(());
        };
        connection
            .prepare_cached("INSERT OR REPLACE INTO blob_postponed VALUES (?1, ?2, ?3, ?4)")?
            .execute((tier, over_bytes, also_begun, why))?;
        for name in begun {
            connection
                .prepare_cached("UPDATE blob SET begun = begun | ?3 WHERE id = ?1 AND bytes = ?2")?
                .execute((name.id.0, name.bytes, tier))?;
        }
        Ok(())
    })
}

fn of_tier(connection: &Connection, tier: u8) -> rusqlite::Result<Option<Postponed>> {
    let mut select = connection
        .prepare_cached("SELECT over_bytes, begun, why FROM blob_postponed WHERE tier = ?1")?;
    let postponed = select.query_row([tier], |row| {
        Ok(Postponed { over_bytes: row.get(0)?, begun: row.get(1)?, why: row.get(2)? })
    });
    postponed.optional()
}

/// What each tier above (bit) does not ask for.
fn of_tiers(connection: &Connection) -> rusqlite::Result<BTreeMap<u8, Postponed>> {
    let mut select =
        connection.prepare_cached("SELECT tier, over_bytes, begun, why FROM blob_postponed")?;
    let tiers = select.query_map([], |row| {
        let (over_bytes, begun, why) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, Postponed { over_bytes, begun, why }))
    })?;
    tiers.collect()
}

/// A blob, as far as it matters for whether a tier asks for it.
struct Size {
    bytes: u32,
    /// Tiers (bits) that have asked for some of it.
    begun: u8,
}

impl Size {
    fn is_postponed(&self, tier: u8, postponed: &Postponed) -> bool {
        let begun = self.begun & tier != 0;
        if begun { postponed.begun } else { self.bytes > postponed.over_bytes }
    }
}

/// Why a whole blob is not asked for by one of the tiers (bits) that it waits for, if that is so.
pub(super) fn why_above(
    connection: &Connection,
    number: i64,
    awaited: u8,
) -> rusqlite::Result<Option<String>> {
    let mut tiers = of_tiers(connection)?;
    tiers.retain(|tier, _| awaited & tier != 0);
    if tiers.is_empty() {
        return Ok(None);
    }
    let mut select =
        connection.prepare_cached("SELECT bytes, begun FROM blob WHERE number = ?1")?;
    let size =
        select.query_row([number], |row| Ok(Size { bytes: row.get(0)?, begun: row.get(1)? }))?;
    let mut postponed = tiers.into_iter().filter(|(tier, said)| size.is_postponed(*tier, said));
    Ok(postponed.next().map(|(_, said)| said.why))
}

/// Why a blob that is not whole here is not asked for, if that is so.
pub(super) fn why_here(inner: &Inner, number: i64) -> Option<String> {
    why_none(inner).map(str::to_owned).or_else(|| inner.blobs.why(number))
}

/// What is not whole here and what is not known to be above, in sum and for each peer.
pub(super) fn totals(inner: &Inner, connection: &Connection) -> rusqlite::Result<BlobTotals> {
    let (missing, not_taken) = missing_here(inner, connection)?;
    let mut totals =
        BlobTotals { missing, not_taken, why_none: why_none(inner), ..BlobTotals::default() };
    let tiers = of_tiers(connection)?;
    let mut select = connection.prepare_cached(
        "SELECT number, blob.bytes, begun, recorded_at, awaited \
         FROM blob_reference INDEXED BY blob_awaited JOIN blob ON number = blob \
         WHERE awaited > 0",
    )?;
    let mut rows = select.query([])?;
    let mut waiting: BTreeMap<i64, (Size, i64, u8)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let size = Size { bytes: row.get(1)?, begun: row.get(2)? };
        let (recorded_at_ms, awaited): (i64, u8) = (row.get(3)?, row.get(4)?);
        let entry = waiting.entry(row.get(0)?).or_insert((size, recorded_at_ms, 0));
        entry.2 |= awaited;
    }
    for (size, recorded_at_ms, awaited) in waiting.into_values() {
        totals.awaited.add(size.bytes.into(), recorded_at_ms);
        for tier in Tier::ALL.into_iter().filter(|tier| awaited & tier.bit() != 0) {
            let (backlog, postponed) = totals.above.entry(tier).or_default();
            backlog.add(size.bytes.into(), recorded_at_ms);
            let said = tiers.get(&tier.bit());
            if let Some(said) = said.filter(|said| size.is_postponed(tier.bit(), said)) {
                postponed.add(size.bytes.into(), &said.why);
            }
        }
    }
    Ok(totals)
}

/// What is not whole here; and what of it is not asked of which peer.
fn missing_here(
    inner: &Inner,
    connection: &Connection,
) -> rusqlite::Result<(BlobBacklog, BTreeMap<PublicKey, NotTaken>)> {
    let passed_over = inner.blobs.passed_over();
    let mut missing = BlobBacklog::default();
    let mut not_taken: BTreeMap<PublicKey, NotTaken> = BTreeMap::new();
    let mut select = connection.prepare_cached(
        "SELECT number, bytes, recorded_at FROM blob WHERE number IN \
         (SELECT blob FROM blob_reference WHERE lacking > 0)",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: u64 = row.get(1)?;
        missing.add(bytes, row.get(2)?);
        if let Some((from, why)) = passed_over.get(&row.get(0)?) {
            not_taken.entry(*from).or_default().add(bytes, why);
        }
    }
    Ok((missing, not_taken))
}

/// Why no blobs are asked for at all, if that is so: photos must not take the room that changes
/// need.
pub(super) fn why_none(inner: &Inner) -> Option<&'static str> {
    match inner.shared.condition.health(&inner.dir, inner.options.low_space_bytes) {
        Health::Ok => None,
        Health::LowSpace { .. } | Health::DiskFull => Some(
            "little space is left on the disk here; photos and files are taken when there is more",
        ),
        Health::ReadOnly | Health::Corrupt { .. } | Health::Failing { .. } => {
            Some("the store here takes nothing at present; its administrator knows why")
        }
    }
}

//! How much waits, by place and by the tiers it waits for.
//!
//! Table `awaiting` counts the rows of the outbox under each category, under each category with
//! 2, 4, 6, 9 and 12 digits of address, and under the empty prefix: how many wait for exactly
//! these tiers, and their bytes. It is updated once per transaction, so that what people and other
//! nodes ask all the time (how much waits, does anything here wait for the county) is answered
//! without looking at the outbox, which may have millions of rows.
//!
//! Nothing else depends on it: [`rebuild`] makes it anew, and `cunlian verify` compares.

use std::collections::BTreeMap;

use cunlian_protocol::key::KeyPrefix;
use rusqlite::{Connection, OptionalExtension as _};

use super::rows::Range;

const CATEGORY_BYTES: usize = 2;
/// Digits of the prefixes that are counted, deepest first.
const COUNTED_DIGITS: [usize; 6] = [12, 9, 6, 4, 2, 0];

/// Changes, and their bytes.
pub(super) type Amount = (i64, i64);

/// What a transaction adds to the counts: by deepest counted prefix and tiers.
#[derive(Debug, Default)]
pub(super) struct PendingCounts(BTreeMap<(Vec<u8>, u8), Amount>);

impl PendingCounts {
    /// Notes that so much more, or less, under a key waits for exactly these tiers.
    pub(super) fn note(&mut self, key: &[u8], awaited: u8, changes: i64, bytes: i64) {
        let amount = self.0.entry((deepest(key).to_vec(), awaited)).or_default();
        amount.0 += changes;
        amount.1 += bytes;
    }

    /// Takes over what another job of the same transaction noted.
    pub(super) fn merge(&mut self, other: Self) {
        for (place, (changes, bytes)) in other.0 {
            let amount = self.0.entry(place).or_default();
            amount.0 += changes;
            amount.1 += bytes;
        }
    }

    pub(super) fn save(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO awaiting VALUES (?1, ?2, ?3, ?4) ON CONFLICT (prefix, awaited) DO UPDATE \
             SET changes = changes + excluded.changes, bytes = bytes + excluded.bytes",
        )?;
        let mut delete = connection.prepare_cached(
            "DELETE FROM awaiting WHERE prefix = ?1 AND awaited = ?2 AND changes = 0",
        )?;
        for ((prefix, awaited), (changes, bytes)) in self.into_rows() {
            upsert.execute((&prefix, awaited, changes, bytes))?;
            if changes < 0 {
                delete.execute((prefix, awaited))?;
            }
        }
        Ok(())
    }

    /// Every counted prefix with its tiers and amount: what the table holds if all was noted here.
    fn into_rows(self) -> BTreeMap<(Vec<u8>, u8), Amount> {
        let mut rows: BTreeMap<(Vec<u8>, u8), Amount> = BTreeMap::new();
        for ((deepest, awaited), (changes, bytes)) in self.0 {
            let digits = deepest.len() - CATEGORY_BYTES;
            let lengths = COUNTED_DIGITS.into_iter().filter(|length| *length <= digits);
            let places = lengths.map(|length| deepest.get(..CATEGORY_BYTES + length));
            for prefix in places.chain([deepest.get(..0)]).flatten() {
                let amount = rows.entry((prefix.to_vec(), awaited)).or_default();
                amount.0 += changes;
                amount.1 += bytes;
            }
        }
        rows.retain(|_, amount| *amount != (0, 0));
        rows
    }
}

/// The deepest counted prefix of a key or prefix of a key.
fn deepest(key: &[u8]) -> &[u8] {
    let digits = key.iter().skip(CATEGORY_BYTES).take_while(|byte| **byte != 0).count();
    let length = COUNTED_DIGITS.into_iter().find(|length| *length <= digits).unwrap_or(0);
    key.get(..CATEGORY_BYTES + length).unwrap_or_default()
}

/// What waits in the whole store, by the tiers it waits for.
pub(super) fn totals(connection: &Connection) -> rusqlite::Result<BTreeMap<u8, Amount>> {
    let mut select = connection
        .prepare_cached("SELECT awaited, changes, bytes FROM awaiting WHERE prefix = x''")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// How many changes wait for any of these tiers in the whole store.
pub(super) fn waiting(connection: &Connection, tiers: u8) -> rusqlite::Result<u64> {
    counted(connection, &[], tiers)
}

/// How many changes under a prefix wait for any of these tiers.
pub(super) fn waiting_under(
    connection: &Connection,
    prefix: &KeyPrefix,
    tiers: u8,
) -> rusqlite::Result<u64> {
    let deepest = deepest(prefix.as_bytes());
    let around = counted(connection, deepest, tiers)?;
    if around == 0 || deepest == prefix.as_bytes() {
        return Ok(around);
    }
    let Range { start, end } = Range::of(prefix);
    let mut select = connection.prepare_cached(
        "SELECT count(*) FROM change CROSS JOIN outbox USING (row) \
         WHERE key >= ?1 AND key < ?2 AND awaited & ?3",
    )?;
    select.query_row((start, end, tiers), |row| row.get(0))
}

fn counted(connection: &Connection, prefix: &[u8], tiers: u8) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached(
        "SELECT coalesce(sum(changes), 0) FROM awaiting WHERE prefix = ?1 AND awaited & ?2",
    )?;
    select.query_row((prefix, tiers), |row| row.get(0))
}

/// When the change was recorded that has been in the outbox longest for exactly these tiers.
pub(super) fn longest_recorded_at_ms(
    connection: &Connection,
    awaited: u8,
) -> rusqlite::Result<Option<i64>> {
    let mut select = connection
        .prepare_cached("SELECT recorded_at FROM outbox WHERE awaited = ?1 ORDER BY row LIMIT 1")?;
    select.query_row([awaited], |row| row.get(0)).optional()
}

/// Makes the table anew from the outbox.
pub(super) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM awaiting", [])?;
    recount(connection)?.save(connection)
}

fn recount(connection: &Connection) -> rusqlite::Result<PendingCounts> {
    let mut pending_counts = PendingCounts::default();
    let mut select = connection.prepare(
        "SELECT key, awaited, outbox.bytes FROM outbox CROSS JOIN change USING (row) \
         ORDER BY outbox.row",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        pending_counts.note(row.get_ref(0)?.as_blob()?, row.get(1)?, 1, row.get(2)?);
    }
    Ok(pending_counts)
}

/// Places of which the table says something else than the outbox, for `cunlian verify`.
pub(super) fn wrong(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut expected = recount(connection)?.into_rows();
    let mut wrong = Vec::new();
    let mut select = connection.prepare("SELECT prefix, awaited, changes, bytes FROM awaiting")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let place: (Vec<u8>, u8) = (row.get(0)?, row.get(1)?);
        let amount: Amount = (row.get(2)?, row.get(3)?);
        if expected.remove(&place) != Some(amount) {
            wrong.push(place);
        }
    }
    wrong.extend(expected.into_keys());
    Ok(wrong.iter().map(|(prefix, awaited)| describe(prefix, *awaited)).collect())
}

fn describe(prefix: &[u8], awaited: u8) -> String {
    let place = KeyPrefix::from_bytes(prefix).map(|prefix| format!("{prefix:?}"));
    format!("{}, tiers {awaited:#b}", place.unwrap_or_else(|_| "everything".to_owned()))
}

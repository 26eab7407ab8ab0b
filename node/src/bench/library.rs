//! The records of a benchmark, the edits on both sides, and whether two stores are equal.

use std::path::Path;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_governance::generator::Generator;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::{node_author, open_store};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest, Stored};

use crate::failure::Failure;

/// Writes given to a store at a time: large enough to share a transaction, small in memory.
const WRITES_AT_ONCE: usize = 1_000;
/// Records signed a month ago.
const MONTH_MS: i64 = 30 * 86_400_000;

/// Which documents of a library are edited while the two sides are apart, by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edits {
    /// Documents of the library.
    pub(super) records: usize,
    /// Edited on each side.
    pub(super) each: usize,
    /// Of these edited on both sides, in the same field.
    pub(super) concurrent: usize,
}

/// The two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Edits {
    /// Edits of one hundredth of the library on each side, up to `concurrent` of them on both.
    pub(super) fn of(records: usize, concurrent: usize) -> Self {
        let each = records / 100;
        Self { records, each, concurrent: concurrent.min(each) }
    }

    /// Documents that are edited anywhere.
    fn documents(&self) -> usize {
        2 * self.each - self.concurrent
    }

    /// Which sides edit document `number`; edited documents are spread evenly over the library,
    /// and those edited on both sides evenly over them.
    fn sides(&self, number: usize) -> &'static [Side] {
        let edited = self.documents();
        let Some(at) = rises(number, edited, self.records) else { return &[] };
        if rises(at, self.concurrent, edited).is_some() {
            return &[Side::Source, Side::Destination];
        }
        // Counting those on one side only, they alternate.
        let both = at * self.concurrent / edited.max(1);
        if (at - both).is_multiple_of(2) { &[Side::Source] } else { &[Side::Destination] }
    }
}

/// Of `total` numbers, `chosen` are picked evenly: how many were picked before `number`, if it is
/// one of them.
fn rises(number: usize, chosen: usize, total: usize) -> Option<usize> {
    let before = number * chosen / total.max(1);
    (before < (number + 1) * chosen / total.max(1)).then_some(before)
}

/// Fills the store of the source and marks all of it as held by the county, as a library is that
/// was there before the terminal came. `progress` gets the documents written so far.
pub(super) fn load(
    dir: &Path,
    village: AddressCode,
    records: usize,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let (store, identity) = open_store(dir)?;
    let author = node_author(&identity);
    let at_ms = now_ms() - MONTH_MS;
    let mut batch: Vec<Write> = Vec::with_capacity(WRITES_AT_ONCE);
    let mut written = 0;
    for group in Generator::new(seed).records(village, records) {
        batch.extend(group);
        if batch.len() >= WRITES_AT_ONCE {
            written += batch.len() as u64;
            store.write(&author, std::mem::take(&mut batch), at_ms)?;
            progress(written);
        }
    }
    written += batch.len() as u64;
    store.write(&author, batch, at_ms)?;
    progress(written);
    each_batch(&store, |stored| {
        let county = Tier::County.bit();
        let reached = stored.into_iter().map(|stored| (stored.key, county)).collect();
        store.serve(StoreRequest::MarkReached { reached, receipt: None })?;
        Ok(())
    })
}

/// Marks everything that waits in a store as held by all tiers above, so that the next meeting
/// costs what a meeting costs when nothing is left over from before.
pub(super) fn settle(dir: &Path) -> Result<(), Failure> {
    let (store, _) = open_store(dir)?;
    let mut next = Some(0);
    while let Some(after) = next {
        let StoreReply::Waiting { waiting, rest } = store.serve(StoreRequest::Waiting { after })?
        else {
            return Err(Failure::new("the store answered a question about what waits otherwise"));
        };
        store.serve(StoreRequest::MarkReached { reached: waiting, receipt: None })?;
        next = rest;
    }
    Ok(())
}

/// Edits one side's share of the library in its store; gives how many changes were made.
pub(super) fn edit(
    dir: &Path,
    village: AddressCode,
    seed: u64,
    edits: &Edits,
    side: Side,
) -> Result<u64, Failure> {
    let (store, identity) = open_store(dir)?;
    let text = match side {
        Side::Source => "更正（镇）",
        Side::Destination => "更正（村）",
    };
    let records = Generator::new(seed).records(village, edits.records).flatten();
    let writes = records.enumerate().filter(|(number, _)| edits.sides(*number).contains(&side));
    let writes: Vec<Write> = writes.filter_map(|(_, write)| correction(write, text)).collect();
    let count = writes.len() as u64;
    store.write(&node_author(&identity), writes, now_ms())?;
    Ok(count)
}

/// A write that corrects the first field of what `write` made.
pub(super) fn correction(write: Write, text: &str) -> Option<Write> {
    let field = write.edits.into_iter().find_map(|edit| match edit {
        Edit::Put { field, .. } => Some(field),
        Edit::Delete { .. } | Edit::Append { .. } | Edit::Review { .. } => None,
    })?;
    let edits = vec![Edit::Put { field, text: text.to_owned() }];
    Some(Write { home: write.home, edits, source: "form".to_owned(), task: String::new() })
}

/// Gives all changes of a store in the order they became durable, in batches as they travel.
pub(super) fn each_batch(
    store: &Store,
    mut take: impl FnMut(Vec<Stored>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (scope, except) = (Scope::everything(), Serial([0; 16]));
    let mut next = Some(Selection::Rows { after: 0, scope, except });
    while let Some(selection) = next {
        let StoreReply::Read { changes, rest, .. } =
            store.serve(StoreRequest::Read { selection, bytes: limits::BATCH_BYTES })?
        else {
            return Err(Failure::new("the store answered a read with something else"));
        };
        take(changes)?;
        next = rest;
    }
    Ok(())
}

/// What a store holds within a scope, and a digest of the keys in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) changes: u64,
    pub(super) documents: u64,
    pub(super) conflicted: u64,
    digest: [u8; 32],
}

/// Reads the keys of a store that lie in `scope`, from the log itself.
pub(super) fn contents(store: &Store, scope: &Scope) -> Result<Contents, Failure> {
    let mut hasher = blake3::Hasher::new();
    let mut changes = 0;
    for key in store.keys()? {
        let key = key.to_bytes();
        if scope.allows(&key) {
            changes += 1;
            hasher.update(&(key.len() as u64).to_be_bytes());
            hasher.update(&key);
        }
    }
    let digest = *hasher.finalize().as_bytes();
    let total = store.counts()?.total;
    Ok(Contents { changes, documents: total.documents, conflicted: total.conflicted, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that each side edits as many documents as it should, and both together the right
    /// number of them, for libraries that divide evenly and those that do not.
    #[test]
    fn edits_are_counted_out() {
        for (records, concurrent) in [(20_000, 50), (106_000, 50), (1_234, 50), (777, 3), (50, 50)]
        {
            let edits = Edits::of(records, concurrent);
            let mut counted = [0; 3];
            for number in 0..records {
                match edits.sides(number) {
                    [] => {}
                    [Side::Source] => counted[0] += 1,
                    [Side::Destination] => counted[1] += 1,
                    _ => counted[2] += 1,
                }
            }
            let alone = 2 * (edits.each - edits.concurrent);
            assert_eq!(counted[2], edits.concurrent, "{edits:?}");
            assert_eq!(counted[0] + counted[1], alone, "{edits:?}");
            assert!(counted[0].abs_diff(counted[1]) <= 1, "{edits:?} {counted:?}");
        }
    }
}

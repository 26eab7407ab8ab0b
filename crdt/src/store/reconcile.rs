//! The store's side of reconciliation: frontiers of the trie, the own side of a peer's, and short
//! ids.
//!
//! A frontier is a set of disjoint prefixes that together cover everything under some others. It
//! is made by splitting the prefix with the most changes again and again, over the summaries that
//! are kept, so that it costs some seeks and no reading of changes.

use std::collections::BinaryHeap;

use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::sketch::ShortKey;
use cunlian_protocol::summary::Summary;
use rusqlite::Connection;

use super::summary::{
    SPLIT, child_of, children, each_key, each_key_while, id_of, named, of_prefix, sum_of,
};

/// Prefixes with their summaries, ascending.
pub(super) type Summaries = Vec<(KeyPrefix, Summary)>;

/// Disjoint non-empty prefixes that cover everything under these, the largest split first until
/// there are `nodes`, or the next split would make a quarter too many. As long as there is only one,
/// and that is too large for a sketch, it is split into however many children it has: whoever asks
/// has to get further.
pub(super) fn frontier(
    connection: &Connection,
    prefixes: Vec<KeyPrefix>,
    nodes: usize,
) -> rusqlite::Result<Summaries> {
    let mut whole: Summaries = Vec::new();
    let mut splittable = BinaryHeap::new();
    for prefix in prefixes {
        sort_in(prefix.clone(), of_prefix(connection, &prefix)?, &mut whole, &mut splittable);
    }
    while whole.len() + splittable.len() < nodes
        && let Some((count, prefix, sum)) = splittable.pop()
    {
        let summary = Summary { count, sum };
        let children = children(connection, &prefix, &summary)?;
        let too_many = whole.len() + splittable.len() + children.len() > nodes + nodes / 4;
        let only_one = whole.is_empty() && splittable.is_empty();
        if too_many && !(only_one && count > limits::SKETCH_ITEMS as u64) {
            whole.push((prefix, summary));
            continue;
        }
        for (child, summary) in children {
            sort_in(child, summary, &mut whole, &mut splittable);
        }
    }
    let left = splittable.into_iter();
    whole.extend(left.map(|(count, prefix, sum)| (prefix, Summary { count, sum })));
    whole.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(whole)
}

/// Splittable prefixes, the one with the most changes on top.
type Heap = BinaryHeap<(u64, KeyPrefix, [u64; 4])>;

fn sort_in(prefix: KeyPrefix, summary: Summary, whole: &mut Summaries, splittable: &mut Heap) {
    if summary.count > SPLIT {
        splittable.push((summary.count, prefix, summary.sum));
    } else if summary.count > 0 {
        whole.push((prefix, summary));
    }
}

/// What is here under each of a peer's prefixes, and what of all that is here `within` some
/// prefixes none of the peer's covers.
pub(super) fn against(
    connection: &Connection,
    within: &[KeyPrefix],
    theirs: &[KeyPrefix],
) -> rusqlite::Result<(Vec<Summary>, Summaries)> {
    let mine: rusqlite::Result<Vec<Summary>> =
        theirs.iter().map(|prefix| of_prefix(connection, prefix)).collect();
    let mut sorted: Vec<&KeyPrefix> = theirs.iter().collect();
    sorted.sort_unstable();
    let mut uncovered = Uncovered { connection, theirs: sorted, alone: Vec::new() };
    for prefix in within {
        let summary = of_prefix(connection, prefix)?;
        uncovered.look(prefix, &summary)?;
    }
    Ok((mine?, uncovered.alone))
}

/// How a prefix lies to those of the peer.
enum Position {
    Covered,
    /// Some of theirs are below.
    Around,
    Beside,
}

struct Uncovered<'a> {
    connection: &'a Connection,
    /// Ascending.
    theirs: Vec<&'a KeyPrefix>,
    alone: Summaries,
}

impl Uncovered<'_> {
    fn position(&self, prefix: &[u8]) -> Position {
        let after = self.theirs.partition_point(|other| other.as_bytes() < prefix);
        if self.theirs.get(after).is_some_and(|other| other.as_bytes() == prefix) {
            return Position::Covered;
        }
        // Of disjoint prefixes the one that covers another is the last before it.
        let before = after.checked_sub(1).and_then(|before| self.theirs.get(before));
        if before.is_some_and(|other| other.contains(prefix)) {
            return Position::Covered;
        }
        let below = self.theirs.get(after);
        if below.is_some_and(|other| other.as_bytes().starts_with(prefix)) {
            return Position::Around;
        }
        Position::Beside
    }

    fn look(&mut self, prefix: &KeyPrefix, summary: &Summary) -> rusqlite::Result<()> {
        if summary.count == 0 {
            return Ok(());
        }
        match self.position(prefix.as_bytes()) {
            Position::Covered => Ok(()),
            Position::Beside => {
                self.alone.push((prefix.clone(), *summary));
                Ok(())
            }
            Position::Around if summary.count > SPLIT => {
                for (child, summary) in children(self.connection, prefix, summary)? {
                    self.look(&child, &summary)?;
                }
                Ok(())
            }
            Position::Around => self.look_at_keys(prefix),
        }
    }

    /// The same for a prefix with few changes, by its keys, so that they are read once however
    /// deep the peer's prefixes are.
    fn look_at_keys(&mut self, prefix: &KeyPrefix) -> rusqlite::Result<()> {
        let mut keys = Vec::new();
        each_key(self.connection, prefix, |key| {
            keys.push(key.to_vec());
            Ok(())
        })?;
        let mut left = keys.as_slice();
        while let Some(key) = left.first() {
            let widest = self.widest_beside(prefix, key)?;
            let same = |other: &Vec<u8>| match &widest {
                Some(widest) => widest.contains(other),
                None => other == key,
            };
            let (here, rest) = left.split_at(left.partition_point(same));
            left = rest;
            if let Some(widest) = widest {
                self.alone.push((widest, sum_of(here)?));
            }
        }
        Ok(())
    }

    /// The widest prefix of a key, below one, that has nothing in common with the peer's; `None`
    /// when one of the peer's covers the key.
    fn widest_beside(&self, prefix: &KeyPrefix, key: &[u8]) -> rusqlite::Result<Option<KeyPrefix>> {
        let mut length = prefix.as_bytes().len();
        loop {
            let Some(child) = child_of(key, length) else { return Ok(None) };
            match self.position(child) {
                Position::Covered => return Ok(None),
                Position::Beside => return named(child).map(Some),
                Position::Around => length = child.len(),
            }
        }
    }
}

/// Short ids under a prefix with the ids, in key order; of too many to sketch one more than those.
pub(super) fn shorts(
    connection: &Connection,
    prefix: &KeyPrefix,
    key: &ShortKey,
) -> rusqlite::Result<Vec<(u64, ChangeId)>> {
    let mut shorts = Vec::new();
    each_key_while(connection, prefix.as_bytes(), |bytes| {
        let id = id_of(bytes)?;
        shorts.push((key.short(&id), id));
        Ok(shorts.len() <= limits::SKETCH_ITEMS)
    })?;
    Ok(shorts)
}

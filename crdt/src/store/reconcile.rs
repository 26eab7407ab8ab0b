//! The store's side of reconciliation: frontiers of the trie, and the own side of a peer's.

use std::collections::BinaryHeap;

use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::summary::Summary;
use rusqlite::Connection;

use super::summary::{children, of_prefix};

/// Prefixes with their summaries, ascending.
pub(super) type Summaries = Vec<(KeyPrefix, Summary)>;

/// Prefixes with fewer changes are not split.
const SPLIT: u64 = 256;

/// Disjoint prefixes that cover everything under these, about `nodes` of them.
pub(super) fn frontier(
    connection: &Connection,
    prefixes: Vec<KeyPrefix>,
    nodes: usize,
) -> rusqlite::Result<Summaries> {
    let mut heap = BinaryHeap::new();
    for prefix in prefixes {
        let summary = of_prefix(connection, &prefix)?;
        if summary.count > 0 {
            heap.push((summary.count, prefix, summary.sum));
        }
    }
    let mut done = Vec::new();
    while heap.len() + done.len() < nodes
        && let Some((count, prefix, sum)) = heap.pop()
    {
        if count <= SPLIT {
            done.push((prefix, Summary { count, sum }));
            continue;
        }
        for (child, summary) in children(connection, &prefix)? {
            heap.push((summary.count, child, summary.sum));
        }
    }
    done.extend(heap.into_iter().map(|(count, prefix, sum)| (prefix, Summary { count, sum })));
    done.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(done)
}

/// What is here under each of a peer's prefixes, and what none of them covers.
pub(super) fn against(
    connection: &Connection,
    within: &[KeyPrefix],
    theirs: &[KeyPrefix],
) -> rusqlite::Result<(Vec<Summary>, Summaries)> {
    let mine: rusqlite::Result<Vec<Summary>> =
        theirs.iter().map(|prefix| of_prefix(connection, prefix)).collect();
    let mut alone = Vec::new();
    for prefix in within {
        uncovered(connection, prefix, theirs, &mut alone)?;
    }
    Ok((mine?, alone))
}

fn uncovered(
    connection: &Connection,
    prefix: &KeyPrefix,
    theirs: &[KeyPrefix],
    alone: &mut Summaries,
) -> rusqlite::Result<()> {
    if theirs.iter().any(|other| other.contains(prefix.as_bytes())) {
        return Ok(());
    }
    if theirs.iter().any(|other| prefix.contains(other.as_bytes())) {
        for (child, _) in children(connection, prefix)? {
            uncovered(connection, &child, theirs, alone)?;
        }
        return Ok(());
    }
    let summary = of_prefix(connection, prefix)?;
    if summary.count > 0 {
        alone.push((prefix.clone(), summary));
    }
    Ok(())
}

//! The adaptive trie: which prefixes have a row in table `summary`, and how rows follow the set.
//!
//! | node | kept |
//! |---|---|
//! | a category | while it has changes |
//! | any other prefix | while it has changes, its parent is kept and has more than [`SPLIT`] |
//!
//! So the rows are a function of the set alone, whatever order changes came in. A prefix with more
//! than [`SPLIT`] changes is always kept and its children too, because those above it have at
//! least as many; a prefix that is not kept has at most [`SPLIT`] changes, which are soon added up.
//!
//! | column | content |
//! |---|---|
//! | `prefix` | bytes of a [`cunlian_protocol::key::KeyPrefix`] |
//! | `value` | 40 bytes of a [`Summary`] |

use cunlian_protocol::address::Level;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::summary::Summary;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::{CATEGORY_BYTES, each_key_while, summary_of};
use crate::store::rows::damaged;

/// Children are kept of a prefix with more changes than this.
pub(in crate::store) const SPLIT: u64 = 256;

/// A change that enters or leaves the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Delta {
    key: Vec<u8>,
    leaves: bool,
}

impl Delta {
    pub(super) fn enters(key: &SetKey) -> Self {
        Self { key: key.to_bytes(), leaves: false }
    }

    pub(super) fn leaves(key: &SetKey) -> Self {
        Self { key: key.to_bytes(), leaves: true }
    }

    fn apply(&self, summary: &mut Summary) -> rusqlite::Result<()> {
        let id = id_of(&self.key)?;
        if self.leaves {
            summary.remove(&id);
        } else {
            summary.add(&id);
        }
        Ok(())
    }

    fn is_below(&self, prefix: &[u8]) -> bool {
        self.key.starts_with(prefix)
    }
}

/// The change id at the end of the bytes of a key.
pub(in crate::store) fn id_of(key: &[u8]) -> rusqlite::Result<ChangeId> {
    let id = key.last_chunk().map(|id| ChangeId(*id));
    id.ok_or_else(|| damaged("a key is too short for an id".into()))
}

/// The child, of the node that the first `length` bytes of a key are, in which the key is found;
/// `None` if these are the whole key.
pub(in crate::store) fn child_of(key: &[u8], length: usize) -> Option<&[u8]> {
    let address = key.get(CATEGORY_BYTES..)?;
    let digits = address.iter().position(|byte| *byte == 0)?;
    let child = if length >= CATEGORY_BYTES + digits {
        length + 1
    } else {
        let deeper = |next: &usize| CATEGORY_BYTES + next > length;
        CATEGORY_BYTES + Level::ALL.into_iter().map(Level::digits).find(deeper)?
    };
    key.get(..child)
}

/// A child with the summary of what is below it.
pub(super) type Child = (Vec<u8>, Summary);

/// The children of a node, added up from the keys.
pub(super) fn counted_children(
    connection: &Connection,
    node: &[u8],
) -> rusqlite::Result<Vec<Child>> {
    let mut children: Vec<Child> = Vec::new();
    each_key_while(connection, node, |key| {
        let id = id_of(key)?;
        match children.last_mut() {
            Some((child, summary)) if key.starts_with(child) => summary.add(&id),
            _ => {
                // A whole key has no child; it is its own only entry.
                let child = child_of(key, node.len()).unwrap_or(key);
                let mut summary = Summary::default();
                summary.add(&id);
                children.push((child.to_vec(), summary));
            }
        }
        Ok(true)
    })?;
    Ok(children)
}

/// Calls `each` for every node that must be kept, worked out from the keys alone, each before
/// those below it. Reads the keys once for each level with more than [`SPLIT`] below.
pub(in crate::store) fn each_due(
    connection: &Connection,
    mut each: impl FnMut(&[u8], &Summary) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut next = connection.prepare("SELECT key FROM change WHERE key >= ?1 LIMIT 1")?;
    let mut from = Some(0_u16);
    while let Some(first) = from {
        let found = next.query_row([first.to_be_bytes()], |row| {
            Ok(row.get_ref(0)?.as_blob()?.first_chunk().copied())
        });
        let Some(category) = found.optional()?.flatten() else { break };
        let mut summary = Summary::default();
        each_key_while(connection, &category, |key| {
            summary.add(&id_of(key)?);
            Ok(true)
        })?;
        each(&category, &summary)?;
        if summary.count > SPLIT {
            each_below(connection, &category, &mut each)?;
        }
        from = u16::from_be_bytes(category).checked_add(1);
    }
    Ok(())
}

/// As [`each_due`], for what is below a node that has more than [`SPLIT`].
fn each_below(
    connection: &Connection,
    node: &[u8],
    each: &mut impl FnMut(&[u8], &Summary) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for (child, summary) in counted_children(connection, node)? {
        each(&child, &summary)?;
        if summary.count > SPLIT && child.len() > node.len() {
            each_below(connection, &child, each)?;
        }
    }
    Ok(())
}

/// Makes the table anew from the keys.
pub(in crate::store) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM summary", [])?;
    let mut insert = connection.prepare("INSERT INTO summary VALUES (?1, ?2)")?;
    each_due(connection, |node, summary| {
        insert.execute((node, summary.to_bytes()))?;
        Ok(())
    })
}

/// The statements of one update.
pub(super) struct Table<'c> {
    connection: &'c Connection,
    select: CachedStatement<'c>,
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    delete: CachedStatement<'c>,
}

impl<'c> Table<'c> {
    pub(super) fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            select: connection.prepare_cached("SELECT value FROM summary WHERE prefix = ?1")?,
            insert: connection.prepare_cached("INSERT INTO summary VALUES (?1, ?2)")?,
            update: connection.prepare_cached("UPDATE summary SET value = ?2 WHERE prefix = ?1")?,
            delete: connection.prepare_cached("DELETE FROM summary WHERE prefix = ?1")?,
        })
    }

    /// Brings the table from the set before to the set now, which is in the log already. The
    /// deltas are ascending by key.
    pub(super) fn follow(&mut self, deltas: &[Delta]) -> rusqlite::Result<()> {
        self.follow_below(0, deltas)
    }

    /// The same for the children of a node, the first `length` bytes of each key.
    fn follow_below(&mut self, length: usize, deltas: &[Delta]) -> rusqlite::Result<()> {
        let child = |delta: &Delta| match length {
            0 => delta.key.get(..CATEGORY_BYTES).map(<[u8]>::to_vec),
            _ => child_of(&delta.key, length).map(<[u8]>::to_vec),
        };
        let mut left = deltas;
        while let Some(node) = left.first().and_then(child) {
            let here = left.partition_point(|delta| delta.is_below(&node));
            let (below, rest) = left.split_at(here);
            left = rest;
            self.follow_node(&node, below)?;
        }
        Ok(())
    }

    /// A node that is to be kept, and what lies below it.
    fn follow_node(&mut self, node: &[u8], deltas: &[Delta]) -> rusqlite::Result<()> {
        let kept = self.select.query_row([node], |row| summary_of(row, 0)).optional()?;
        let before = kept.unwrap_or_default();
        let mut after = before;
        for delta in deltas {
            delta.apply(&mut after)?;
        }
        if after == Summary::default() {
            self.delete.execute([node])?;
        } else if kept.is_some() {
            self.update.execute((node, after.to_bytes()))?;
        } else {
            self.insert.execute((node, after.to_bytes()))?;
        }
        match (before.count > SPLIT, after.count > SPLIT) {
            (true, true) => self.follow_below(node.len(), deltas),
            (false, true) => {
                let Self { connection, insert, .. } = self;
                each_below(connection, node, &mut |child, summary| {
                    insert.execute((child, summary.to_bytes()))?;
                    Ok(())
                })
            }
            (true, false) => self.forget_below(node),
            (false, false) => Ok(()),
        }
    }

    fn forget_below(&self, node: &[u8]) -> rusqlite::Result<()> {
        let sql = "DELETE FROM summary WHERE prefix > ?1 AND prefix < ?2";
        let mut delete = self.connection.prepare_cached(sql)?;
        delete.execute((node, super::end_of(node)))?;
        Ok(())
    }
}

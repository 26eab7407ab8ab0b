//! Summaries of the set by key prefix.
//!
//! Kept in table `summary` are those of an adaptive trie ([`trie`]): deep where there are many
//! changes, shallow where there are few. They are updated once per transaction from the changes it
//! adds and removes. What is not kept is added up from the keys when it is asked for, which are
//! then few.
//!
//! A prefix sorts before everything below it. So the first kept prefix at or after a position is
//! the next child, and listing children takes one seek for each of them.
//!
//! Table `tally` has the number of documents of each category, which no summary tells.

use std::collections::BTreeMap;

use cunlian_protocol::category::Category;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use rusqlite::{Connection, OptionalExtension as _};
use trie::{Delta, Table, counted_children};

use super::rows::{Range, damaged};

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests;
pub(super) mod trie;

pub(super) use trie::{SPLIT, child_of, id_of};

const CATEGORY_BYTES: usize = 2;

/// What one transaction adds and takes away.
#[derive(Debug, Default)]
pub(super) struct Additions {
    deltas: Vec<Delta>,
    documents: BTreeMap<Category, i64>,
}

impl Additions {
    /// A change enters the log.
    pub(super) fn add(&mut self, key: &SetKey) {
        self.deltas.push(Delta::enters(key));
    }

    /// A change leaves the log.
    pub(super) fn remove(&mut self, key: &SetKey) {
        self.deltas.push(Delta::leaves(key));
    }

    /// Documents appear, or go when less than none.
    pub(super) fn documents(&mut self, category: Category, more: i64) {
        *self.documents.entry(category).or_default() += more;
    }

    /// Takes over what another job of the same transaction added.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.deltas.append(&mut other.deltas);
        for (category, more) in other.documents {
            self.documents(category, more);
        }
    }

    /// Brings the tables to the set as it is in the log now.
    pub(super) fn save(mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.deltas.sort_unstable();
        Table::of(connection)?.follow(&self.deltas)?;
        let mut tally = connection.prepare_cached(
            "INSERT INTO tally VALUES (?1, ?2) \
             ON CONFLICT (category) DO UPDATE SET documents = documents + excluded.documents",
        )?;
        for (category, more) in self.documents {
            if more != 0 {
                tally.execute((category.0, more))?;
            }
        }
        Ok(())
    }
}

fn kept(connection: &Connection, prefix: &[u8]) -> rusqlite::Result<Option<Summary>> {
    let mut select = connection.prepare_cached("SELECT value FROM summary WHERE prefix = ?1")?;
    select.query_row([prefix], |row| summary_of(row, 0)).optional()
}

fn summary_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Summary> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let invalid = || {
        rusqlite::Error::InvalidColumnType(
            column,
            "summary of other than 40 bytes".to_owned(),
            rusqlite::types::Type::Blob,
        )
    };
    Summary::from_bytes(bytes).ok_or_else(invalid)
}

/// The summary of one prefix.
pub(super) fn of_prefix(connection: &Connection, prefix: &KeyPrefix) -> rusqlite::Result<Summary> {
    if let Some(summary) = kept(connection, prefix.as_bytes())? {
        return Ok(summary);
    }
    let mut summary = Summary::default();
    each_key(connection, prefix, |key| {
        summary.add(&id_of(key)?);
        Ok(())
    })?;
    Ok(summary)
}

/// The categories that have changes, ascending.
pub(super) fn categories(connection: &Connection) -> rusqlite::Result<Vec<Category>> {
    let mut categories = Vec::new();
    let mut from = Some(0_u16);
    let mut next =
        connection.prepare_cached("SELECT prefix FROM summary WHERE prefix >= ?1 LIMIT 1")?;
    while let Some(first) = from {
        let found = next.query_row([first.to_be_bytes()], |row| {
            Ok(row.get_ref(0)?.as_blob()?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)))
        });
        let Some(category) = found.optional()?.flatten() else { break };
        categories.push(Category(category));
        from = category.checked_add(1);
    }
    Ok(categories)
}

/// The widest non-empty prefixes of a scope with their summaries, ascending.
pub(super) fn overview(
    connection: &Connection,
    scope: &Scope,
) -> rusqlite::Result<Vec<(KeyPrefix, Summary)>> {
    let mut tops = Vec::new();
    for prefix in scope.tops(categories(connection)?) {
        let summary = of_prefix(connection, &prefix)?;
        if summary.count > 0 {
            tops.push((prefix, summary));
        }
    }
    Ok(tops)
}

/// The non-empty children of a prefix that is kept with this summary, or not kept, with their
/// summaries, ascending.
pub(super) fn children(
    connection: &Connection,
    prefix: &KeyPrefix,
    summary: &Summary,
) -> rusqlite::Result<Vec<(KeyPrefix, Summary)>> {
    let children = if summary.count > SPLIT {
        kept_children(connection, prefix.as_bytes())?
    } else {
        counted_children(connection, prefix.as_bytes())?
    };
    children.into_iter().map(|(child, summary)| Ok((named(&child)?, summary))).collect()
}

fn kept_children(
    connection: &Connection,
    node: &[u8],
) -> rusqlite::Result<Vec<(Vec<u8>, Summary)>> {
    let end = end_of(node);
    let mut from = [node, &[0]].concat();
    let mut children: Vec<(Vec<u8>, Summary)> = Vec::new();
    let mut next = connection.prepare_cached(
        "SELECT prefix, value FROM summary WHERE prefix >= ?1 AND prefix < ?2 LIMIT 1",
    )?;
    loop {
        let found = next
            .query_row((&from, &end), |row| Ok((row.get::<_, Vec<u8>>(0)?, summary_of(row, 1)?)));
        let Some((child, summary)) = found.optional()? else { return Ok(children) };
        from = end_of(&child);
        children.push((child, summary));
    }
}

/// First bytes after every key below a prefix.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    Range::all().end
}

/// Calls `each` with the bytes of every key under a prefix, ascending.
pub(super) fn each_key(
    connection: &Connection,
    prefix: &KeyPrefix,
    mut each: impl FnMut(&[u8]) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    each_key_while(connection, prefix.as_bytes(), |key| each(key).map(|()| true))
}

/// The same, as long as `each` says so.
pub(super) fn each_key_while(
    connection: &Connection,
    prefix: &[u8],
    mut each: impl FnMut(&[u8]) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut select = connection
        .prepare_cached("SELECT key FROM change WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = select.query((prefix, end_of(prefix)))?;
    while let Some(row) = rows.next()? {
        if !each(row.get_ref(0)?.as_blob()?)? {
            break;
        }
    }
    Ok(())
}

/// The summary of some keys.
pub(super) fn sum_of<K: AsRef<[u8]>>(keys: &[K]) -> rusqlite::Result<Summary> {
    let mut summary = Summary::default();
    for key in keys {
        summary.add(&id_of(key.as_ref())?);
    }
    Ok(summary)
}

/// The prefix that these bytes are, which come from a key or the table.
pub(super) fn named(bytes: &[u8]) -> rusqlite::Result<KeyPrefix> {
    KeyPrefix::from_bytes(bytes).map_err(|error| damaged(Box::new(error)))
}

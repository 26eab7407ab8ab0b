//! Summaries of the set by key prefix.
//!
//! Kept in table `summary` are those of the prefixes that a session asks for first: the category,
//! the category with 2, 4, 6, 9, 12 and 15 digits, and an exact address (digits and `0x00`) of up
//! to 15 digits. They are updated once per transaction, by one addition per prefix. What lies
//! deeper is added up from the keys when it is asked for; below a grid that is little.
//!
//! A prefix sorts before everything below it. So the first kept prefix at or after a position is
//! the next child, and listing children takes one seek for each of them.

use std::collections::BTreeMap;

use cunlian_protocol::category::Category;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::region::Depth;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use rusqlite::{Connection, OptionalExtension as _};

use super::reading::{Range, key_of};

/// Most digits of a kept prefix.
const KEPT_DIGITS: usize = 15;
const KEPT_LENGTHS: [usize; 7] = [0, 2, 4, 6, 9, 12, 15];
const CATEGORY_BYTES: usize = 2;

/// Additions to the summaries that one transaction makes.
#[derive(Debug, Default)]
pub(super) struct Additions(BTreeMap<Vec<u8>, Summary>);

impl Additions {
    pub(super) fn add(&mut self, key: &SetKey) {
        self.at_each(key, |summary| summary.add(&key.change));
    }

    /// Takes a change away. A summary is a sum that wraps around, so that what is taken away here
    /// is taken away from what is kept when the additions are saved.
    pub(super) fn remove(&mut self, key: &SetKey) {
        self.at_each(key, |summary| summary.remove(&key.change));
    }

    fn at_each(&mut self, key: &SetKey, mut change: impl FnMut(&mut Summary)) {
        let bytes = key.to_bytes();
        let digits = key.home.address.as_str().len();
        let lengths = KEPT_LENGTHS.into_iter().filter(|length| *length <= digits);
        let exact = (digits <= KEPT_DIGITS).then_some(digits + 1);
        for length in lengths.chain(exact) {
            let Some(prefix) = bytes.get(..CATEGORY_BYTES + length) else { continue };
            if let Some(summary) = self.0.get_mut(prefix) {
                change(summary);
            } else {
                change(self.0.entry(prefix.to_vec()).or_default());
            }
        }
    }

    /// Takes over what another job of the same transaction added.
    pub(super) fn merge(&mut self, other: Self) {
        for (prefix, summary) in other.0 {
            self.0.entry(prefix).or_default().merge(&summary);
        }
    }

    pub(super) fn save(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO summary VALUES (?1, ?2)")?;
        let mut delete = connection.prepare_cached("DELETE FROM summary WHERE prefix = ?1")?;
        for (prefix, mut summary) in self.0 {
            if let Some(kept) = kept(connection, &prefix)? {
                summary.merge(&kept);
            }
            if summary == Summary::default() {
                delete.execute([prefix])?;
            } else {
                insert.execute((prefix, summary.to_bytes()))?;
            }
        }
        Ok(())
    }

    /// Prefixes and sums, ascending: what table `summary` must hold if all was added here.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Vec<u8>, Summary)> {
        self.0.into_iter()
    }
}

/// Whether summaries of this prefix are kept.
fn is_kept(prefix: &KeyPrefix) -> bool {
    let (address, depth) = prefix.address();
    let digits = address.as_str().len();
    let cut_after_address = match depth {
        Depth::Subtree => CATEGORY_BYTES + digits,
        Depth::Exact => CATEGORY_BYTES + digits + 1,
    };
    digits <= KEPT_DIGITS && prefix.as_bytes().len() == cut_after_address
}

/// Whether summaries of the children of this prefix are kept.
fn children_are_kept(prefix: &KeyPrefix) -> bool {
    let (address, depth) = prefix.address();
    depth == Depth::Subtree && address.as_str().len() < KEPT_DIGITS
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
    if is_kept(prefix) {
        return Ok(kept(connection, prefix.as_bytes())?.unwrap_or_default());
    }
    let mut summary = Summary::default();
    each_key(connection, prefix, |key| {
        summary.add(&key_of(key)?.change);
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

/// The non-empty children of a prefix with their summaries, ascending.
pub(super) fn children(
    connection: &Connection,
    prefix: &KeyPrefix,
) -> rusqlite::Result<Vec<(KeyPrefix, Summary)>> {
    if children_are_kept(prefix) {
        return kept_children(connection, prefix);
    }
    let mut children: Vec<(KeyPrefix, Summary)> = Vec::new();
    each_key(connection, prefix, |bytes| {
        let key = key_of(bytes)?;
        match children.last_mut() {
            Some((child, summary)) if child.contains(bytes) => summary.add(&key.change),
            _ => {
                // A whole key has no child; it is its own only entry.
                let child = prefix.child_of(bytes).unwrap_or_else(|| prefix.clone());
                let mut summary = Summary::default();
                summary.add(&key.change);
                children.push((child, summary));
            }
        }
        Ok(())
    })?;
    Ok(children)
}

fn kept_children(
    connection: &Connection,
    prefix: &KeyPrefix,
) -> rusqlite::Result<Vec<(KeyPrefix, Summary)>> {
    let Range { end, .. } = Range::of(prefix);
    let mut from = [prefix.as_bytes(), &[0]].concat();
    let mut children = Vec::new();
    let mut next = connection.prepare_cached(
        "SELECT prefix, value FROM summary WHERE prefix >= ?1 AND prefix < ?2 LIMIT 1",
    )?;
    loop {
        let found = next
            .query_row((&from, &end), |row| Ok((row.get::<_, Vec<u8>>(0)?, summary_of(row, 1)?)));
        let Some((bytes, summary)) = found.optional()? else { return Ok(children) };
        let Ok(child) = KeyPrefix::from_bytes(&bytes) else { return Ok(children) };
        from = Range::of(&child).end;
        children.push((child, summary));
    }
}

/// Calls `each` with the bytes of every key under a prefix, ascending.
pub(super) fn each_key(
    connection: &Connection,
    prefix: &KeyPrefix,
    mut each: impl FnMut(&[u8]) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let Range { start, end } = Range::of(prefix);
    let mut select = connection
        .prepare_cached("SELECT key FROM change WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = select.query((start, end))?;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_blob()?)?;
    }
    Ok(())
}

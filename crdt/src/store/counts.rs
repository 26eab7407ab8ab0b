//! How much a store holds.

use std::collections::BTreeMap;

use cunlian_protocol::category::Category;
use cunlian_protocol::key::KeyPrefix;
use rusqlite::Connection;

use super::reading::Range;
use super::summary;

/// Documents and changes of one category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CategoryCounts {
    /// Documents.
    pub documents: u64,
    /// Changes.
    pub changes: u64,
    /// Documents with a field in conflict.
    pub conflicted: u64,
    /// Documents with changes whose dependencies have not arrived.
    pub waiting: u64,
}

/// How much a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// All categories together.
    pub total: CategoryCounts,
    /// Each category that has changes.
    pub by_category: BTreeMap<Category, CategoryCounts>,
    /// Changes in quarantine.
    pub quarantined: u64,
    /// Numbers that an author gave twice.
    pub equivocations: u64,
}

pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    let mut select = connection.prepare_cached(
        "SELECT count(*), count(nullif(conflicted, 0)), count(nullif(waiting, 0)) \
         FROM document WHERE prefix >= ?1 AND prefix < ?2",
    )?;
    for category in summary::categories(connection)? {
        let prefix = KeyPrefix::category(category);
        let Range { start, end } = Range::of(&prefix);
        let mut of_category = select.query_row((start, end), |row| {
            let (documents, conflicted, waiting) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(CategoryCounts { documents, changes: 0, conflicted, waiting })
        })?;
        of_category.changes = summary::of_prefix(connection, &prefix)?.count;
        counts.total.documents += of_category.documents;
        counts.total.changes += of_category.changes;
        counts.total.conflicted += of_category.conflicted;
        counts.total.waiting += of_category.waiting;
        counts.by_category.insert(category, of_category);
    }
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    counts.quarantined = count("quarantine")?;
    counts.equivocations = count("equivocation")?;
    Ok(counts)
}

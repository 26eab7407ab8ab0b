//! How much a store holds.

use std::collections::BTreeMap;

use cunlian_protocol::category::Category;
use cunlian_protocol::id::Serial;
use cunlian_protocol::key::KeyPrefix;
use rusqlite::{Connection, OptionalExtension as _};

use super::rows::Range;
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
    /// Documents of which some changes do not count, because they hold too much.
    pub beyond: u64,
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

/// Reads kept numbers, and counts only what is rare: conflicts and changes that wait.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for category in summary::categories(connection)? {
        let prefix = KeyPrefix::category(category);
        let of_category = CategoryCounts {
            documents: documents_kept(connection, category)?,
            changes: summary::of_prefix(connection, &prefix)?.count,
            conflicted: documents_with(connection, "conflicted", &prefix)?,
            waiting: documents_with(connection, "waiting", &prefix)?,
            beyond: documents_with(connection, "beyond", &prefix)?,
        };
        counts.total.documents += of_category.documents;
        counts.total.changes += of_category.changes;
        counts.total.conflicted += of_category.conflicted;
        counts.total.waiting += of_category.waiting;
        counts.total.beyond += of_category.beyond;
        counts.by_category.insert(category, of_category);
    }
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    counts.quarantined = count("quarantine")?;
    counts.equivocations = count("equivocation")?;
    Ok(counts)
}

/// Documents of a category, as table `tally` has it.
pub(super) fn documents_kept(connection: &Connection, category: Category) -> rusqlite::Result<u64> {
    let mut select =
        connection.prepare_cached("SELECT documents FROM tally WHERE category = ?1")?;
    Ok(select.query_row([category.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Documents of a category, counted.
pub(super) fn documents_counted(
    connection: &Connection,
    category: Category,
) -> rusqlite::Result<u64> {
    let Range { start, end } = Range::of(&KeyPrefix::category(category));
    let sql = "SELECT count(*) FROM document WHERE prefix >= ?1 AND prefix < ?2";
    connection.prepare_cached(sql)?.query_row((start, end), |row| row.get(0))
}

/// Documents in which a column is not 0, of which there is an index.
fn documents_with(
    connection: &Connection,
    column: &str,
    prefix: &KeyPrefix,
) -> rusqlite::Result<u64> {
    let Range { start, end } = Range::of(prefix);
    let sql = format!(
        "SELECT count(*) FROM document WHERE {column} > 0 AND prefix >= ?1 AND prefix < ?2"
    );
    connection.prepare_cached(&sql)?.query_row((start, end), |row| row.get(0))
}

/// Makes table `tally` anew.
pub(super) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM tally", [])?;
    for category in summary::categories(connection)? {
        let documents = documents_counted(connection, category)?;
        connection.execute("INSERT INTO tally VALUES (?1, ?2)", (category.0, documents))?;
    }
    Ok(())
}

/// Changes by their author, answered from the index over authors alone.
pub(super) fn by_author(connection: &Connection) -> rusqlite::Result<BTreeMap<Serial, u64>> {
    let mut select = connection.prepare_cached(
        "SELECT author.serial, counted.changes FROM author JOIN
             (SELECT author, count(*) AS changes FROM change GROUP BY author) AS counted
         ON counted.author = author.id",
    )?;
    let rows = select.query_map([], |row| Ok((Serial(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

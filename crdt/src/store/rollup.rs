//! Keeping rollups: what the rows of changed documents add, and the folding anew of a whole table.
//!
//! What a job changes is summed up in memory and written when it ends or pauses, so that a batch of
//! a thousand tickets touches each key once. It is written by the job, not with the transaction: a
//! job that folds anew reads rows of which nothing is left to be added.
//!
//! | name in `meta` | value |
//! |---|---|
//! | `rollup.TABLE` | version of the rollup that was folded (4 bytes, big-endian) |

use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use rusqlite::Connection;
use rusqlite::types::Value;

use self::deltas::add;
use super::facts::{meta, set_meta};
use super::rows::delete_rows;
use super::writer::Batch;
use crate::projector::{Projector, Rollup, Row, TableSet};

pub(super) use self::deltas::Deltas;

pub(super) mod deltas;

/// What the names of the facts about rollups begin with.
const FACT: &str = "rollup.";

/// The values of a row, all of them.
fn values(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Vec<Value>> {
    (0..columns).map(|column| row.get(column)).collect()
}

/// Folds rollups anew from the rows that are there.
pub(crate) fn recount(connection: &Connection, rollups: &[&dyn Rollup]) -> rusqlite::Result<()> {
    for rollup in rollups {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", rollup.table()))?;
        connection.execute_batch(rollup.schema())?;
        let mut deltas = Deltas::default();
        let mut select = connection.prepare(&format!("SELECT * FROM {}", rollup.source()))?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            deltas.note(*rollup, &values(row, columns)?, 1);
        }
        for ((_, key), sums) in deltas.0 {
            if sums.iter().any(|sum| *sum != 0) {
                add(connection, *rollup, key, &sums)?;
            }
        }
    }
    Ok(())
}

/// Folds those anew that another version folded, and those of tables that were just made anew.
/// Rollups that are no more go.
pub(super) fn adapt(
    connection: &Connection,
    projector: &dyn Projector,
    made_anew: &[&dyn TableSet],
) -> rusqlite::Result<()> {
    let rollups = projector.rollups();
    let mut select =
        connection.prepare("SELECT name FROM meta WHERE name >= 'rollup.' AND name < 'rollup/'")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
        let table = name.trim_start_matches(FACT);
        if !rollups.iter().any(|rollup| rollup.table() == table) {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
            connection.execute("DELETE FROM meta WHERE name = ?1", [name])?;
        }
    }
    for rollup in rollups {
        let (fact, version) = (format!("{FACT}{}", rollup.table()), rollup.version().to_be_bytes());
        let is_remade = made_anew.iter().any(|set| set.tables().contains(&rollup.source()));
        if is_remade || meta(connection, &fact)?.is_none_or(|kept| kept != version) {
            recount(connection, &[rollup])?;
            set_meta(connection, &fact, &version)?;
        }
    }
    Ok(())
}

/// The rollups that a document of a category may add to.
fn taking(projector: &dyn Projector, category: Category) -> Vec<&dyn Rollup> {
    let mut rollups = projector.rollups();
    if !rollups.is_empty() {
        let sets = projector.sets();
        let takes = |rollup: &&dyn Rollup| {
            let source = |set: &&dyn TableSet| set.tables().contains(&rollup.source());
            sets.iter().any(|set| source(set) && set.takes(category))
        };
        rollups.retain(takes);
    }
    rollups
}

impl Batch<'_> {
    /// Takes away the rows of one document, and what they added.
    pub(super) fn withdraw_rows(&mut self, home: &Home) -> rusqlite::Result<()> {
        let projector = &*self.shared.projector;
        for rollup in taking(projector, home.category) {
            let mut select = self.connection.prepare_cached(&format!(
                "SELECT * FROM {} WHERE category = ?1 AND address = ?2 AND document = ?3",
                rollup.source()
            ))?;
            let columns = select.column_count();
            let of_home = (home.category.0, home.address.as_str(), home.document.0);
            let mut rows = select.query(of_home)?;
            while let Some(row) = rows.next()? {
                self.deltas.note(rollup, &values(row, columns)?, -1);
            }
        }
        delete_rows(self.connection, projector, home)
    }

    /// Notes what rows add that come.
    pub(super) fn roll_up(&mut self, rows: &[Row]) {
        for rollup in self.shared.projector.rollups() {
            for row in rows.iter().filter(|row| row.table == rollup.source()) {
                self.deltas.note(rollup, &row.values, 1);
            }
        }
    }
}

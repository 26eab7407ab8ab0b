//! What is to be added to rollups.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::projector::{KeyPart, Projector, Rollup, Share};

/// What is to be added to rollups, by table and key.
#[derive(Debug, Default)]
pub(in crate::store) struct Deltas(pub(super) BTreeMap<(&'static str, Vec<KeyPart>), Vec<i64>>);

impl Deltas {
    pub(super) fn note(&mut self, rollup: &dyn Rollup, row: &[Value], sign: i64) {
        let Some(Share { key, sums }) = rollup.share(row) else { return };
        debug_assert_eq!((key.len(), sums.len()), (rollup.keys().len(), rollup.sums().len()));
        let delta = self.0.entry((rollup.table(), key)).or_default();
        delta.resize(sums.len(), 0);
        for (total, sum) in delta.iter_mut().zip(sums) {
            *total += sign * sum;
        }
    }

    /// Writes what was noted; nothing is left afterwards.
    pub(in crate::store) fn save(
        &mut self,
        connection: &Connection,
        projector: &dyn Projector,
    ) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let rollups = projector.rollups();
        for ((table, key), sums) in std::mem::take(&mut self.0) {
            let rollup = rollups.iter().find(|rollup| rollup.table() == table);
            if let Some(rollup) = rollup.filter(|_| sums.iter().any(|sum| *sum != 0)) {
                add(connection, *rollup, key, &sums)?;
            }
        }
        Ok(())
    }
}

/// Adds to one key.
pub(super) fn add(
    connection: &Connection,
    rollup: &dyn Rollup,
    key: Vec<KeyPart>,
    sums: &[i64],
) -> rusqlite::Result<()> {
    let (table, keys) = (rollup.table(), rollup.keys());
    let places = vec!["?"; keys.len() + sums.len()].join(", ");
    let added = rollup.sums().iter().map(|sum| format!("{sum} = {sum} + excluded.{sum}"));
    let sql = format!(
        "INSERT INTO {table} VALUES ({places}) ON CONFLICT ({}) DO UPDATE SET {}",
        keys.join(", "),
        added.collect::<Vec<_>>().join(", ")
    );
    let key: Vec<Value> = key.into_iter().map(Value::from).collect();
    let values = key.iter().cloned().chain(sums.iter().map(|sum| Value::Integer(*sum)));
    connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    if sums.iter().all(|sum| *sum >= 0) {
        return Ok(());
    }
    let same = keys.iter().map(|key| format!("{key} = ?"));
    let empty = rollup.sums().iter().map(|sum| format!("{sum} = 0"));
    let sql = format!(
        "DELETE FROM {table} WHERE {}",
        same.chain(empty).collect::<Vec<_>>().join(" AND ")
    );
    connection.prepare_cached(&sql)?.execute(params_from_iter(key))?;
    Ok(())
}

//! Rows of the store: what stands in them, and which there are.

use cunlian_protocol::change::{Home, SignedChange, VerifiedChange};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use rusqlite::{Connection, OptionalExtension as _};

use crate::projector::Projector;

/// Keys from `start` up to, not including, `end`.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

impl Range {
    pub(super) fn of(prefix: &KeyPrefix) -> Self {
        let end = prefix.end().unwrap_or_else(|| Self::all().end);
        Self { start: prefix.as_bytes().to_vec(), end }
    }

    pub(super) fn all() -> Self {
        // Longer than any key, so that it ends the last category too.
        Self { start: Vec::new(), end: vec![u8::MAX; 128] }
    }
}

/// The key in a row of the log, which holds only whole keys.
pub(super) fn key_of(bytes: &[u8]) -> rusqlite::Result<SetKey> {
    SetKey::from_bytes(bytes).map_err(|error| damaged(Box::new(error)))
}

pub(super) fn damaged(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error)
}

/// All changes of one document, in key order.
pub(super) fn changes_of(
    connection: &Connection,
    home: &Home,
) -> rusqlite::Result<Vec<VerifiedChange>> {
    let Range { start, end } = Range::of(&KeyPrefix::document(home));
    let mut select = connection
        .prepare_cached("SELECT bytes FROM change WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = select.query((start, end))?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let change = SignedChange::from_log(row.get(0)?);
        changes.push(change.map_err(|error| damaged(Box::new(error)))?);
    }
    Ok(changes)
}

/// The row of a change; `None` when it is not here.
pub(super) fn row_of(connection: &Connection, key: &SetKey) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT row FROM change WHERE key = ?1")?;
    select.query_row([key.to_bytes()], |row| row.get(0)).optional()
}

/// The greatest row there ever was, removed ones included; 0 in an empty store. No row is given
/// twice, because sessions and followers go on after a row.
pub(super) fn last_row(connection: &Connection) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached(
        "SELECT max(coalesce((SELECT max(row) FROM change), 0), coalesce((SELECT max(row) FROM \
         touched), 0), coalesce((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = \
         'last row'), 0))",
    )?;
    select.query_row([], |row| row.get(0))
}

/// Notes the greatest row before rows are removed.
pub(super) fn remember_last_row(connection: &Connection) -> rusqlite::Result<()> {
    let last_row = last_row(connection)?.to_string();
    super::facts::set_meta(connection, "last row", last_row.as_bytes())
}

/// The home in the bytes of [`KeyPrefix::document`].
pub(super) fn home_of(prefix: &[u8]) -> rusqlite::Result<Home> {
    let key = [prefix, [0; 32].as_slice()].concat();
    SetKey::from_bytes(&key).map(|key| key.home).map_err(|error| damaged(Box::new(error)))
}

/// The statement that inserts a row of `columns` values.
pub(super) fn insert_sql(table: &str, columns: usize) -> String {
    let places = vec!["?"; columns].join(", ");
    format!("INSERT INTO {table} VALUES ({places})")
}

/// Takes away the rows of one document.
pub(super) fn delete_rows(
    connection: &Connection,
    projector: &dyn Projector,
    home: &Home,
) -> rusqlite::Result<()> {
    let taking = projector.sets().into_iter().filter(|set| set.takes(home.category));
    for table in taking.flat_map(|set| set.tables().iter()) {
        let sql =
            format!("DELETE FROM {table} WHERE category = ?1 AND address = ?2 AND document = ?3");
        connection.prepare_cached(&sql)?.execute((
            home.category.0,
            home.address.as_str(),
            home.document.0,
        ))?;
    }
    Ok(())
}

/// The keys of all changes, ascending.
pub(super) fn keys(connection: &Connection) -> rusqlite::Result<Vec<SetKey>> {
    let mut select = connection.prepare_cached("SELECT key FROM change ORDER BY key")?;
    let keys = select.query_map([], |row| key_of(row.get_ref(0)?.as_blob()?))?;
    keys.collect()
}

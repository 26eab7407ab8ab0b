//! Facts about a store, by name (table `meta`).

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};

/// A fact about this store.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    select.query_row([name], |row| row.get(0)).optional()
}

/// Sets a fact about this store.
pub(super) fn set_meta(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    insert.execute((name, Value::Blob(value.to_vec())))?;
    Ok(())
}

/// Writes so many bytes and takes them away again.
pub(super) fn try_room(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let write = "INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', zeroblob(?1))";
    connection.execute(write, [bytes])?;
    connection.execute("DELETE FROM meta WHERE name = 'probe'", [])?;
    Ok(())
}

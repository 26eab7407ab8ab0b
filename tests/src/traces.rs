//! Looking for what must or must not be found: in bytes, files, tables, processes.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use cunlian_crdt::store::Store;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use crate::program::files;

/// Whether some bytes are within others.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The files below a directory that hold a text: stores with their logs and indexes, configuration,
/// written logs, whatever is there.
pub fn files_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let holds =
        |(path, bytes): (PathBuf, Vec<u8>)| contains(&bytes, text.as_bytes()).then_some(path);
    files(dir).into_iter().filter_map(holds).collect()
}

/// The tables of a store that hold a text anywhere.
pub fn tables_with(store: &Store, text: &str) -> Vec<String> {
    let tables: Vec<String> = store
        .read(|connection| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .unwrap();
    let holds = |table: &String| {
        let found = store.read(|connection| {
            let mut select = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let columns = select.column_count();
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    let holds = match row.get(column)? {
                        Value::Text(value) => value.contains(text),
                        Value::Blob(value) => contains(&value, text.as_bytes()),
                        Value::Null | Value::Integer(_) | Value::Real(_) => false,
                    };
                    if holds {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        });
        found.unwrap()
    };
    tables.into_iter().filter(holds).collect()
}

/// Reads the store of a running node, as a second reader of its file.
pub fn query<T>(
    dir: &Path,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let path = dir.join("store.sqlite");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select = connection.prepare(sql).unwrap();
    select.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Most memory a process has had so far.
pub fn peak_kib(pid: u32) -> u64 {
    status_kib(&pid.to_string(), "VmHWM:")
}

/// Memory that this process has now.
pub fn resident_kib() -> u64 {
    status_kib("self", "VmRSS:")
}

/// From now on the peak of this process is counted anew.
pub fn forget_peak() {
    forget_peak_of("self");
}

/// From now on the peak of a process, by its number, is counted anew.
pub fn forget_peak_of(process: impl std::fmt::Display) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

fn status_kib(process: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

//! A consistent copy of an open store in one file.
//!
//! The copy is written anew from the rows of one snapshot (`VACUUM INTO`), so it holds what the
//! store holds and no page that something was deleted from. Writers go on meanwhile.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::{Fault, Store, counts, follow, purge};

/// What a copy of a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCopy {
    /// Version of its layout.
    pub version: u32,
    /// Changes in it.
    pub changes: u64,
    /// Documents in it.
    pub documents: u64,
    /// Rises with every removal (purge or erasure): a copy with a smaller number may hold what
    /// has been removed since.
    pub removals: u64,
}

impl Store {
    /// Writes a copy of the store to `path`, which must not exist; durable when it returns.
    pub fn copy_to(&self, path: &Path) -> Result<StoreCopy, Fault> {
        // A connection of its own: a lent one would be missed for as long as this takes.
        let source = read_only(&self.inner.dir.join("store.sqlite"))?;
        let target = path.to_str().ok_or_else(|| Fault::Failing {
            detail: format!("{} is not a path in UTF-8", path.display()),
        })?;
        source.execute("VACUUM INTO ?1", [target])?;
        // Who is told of changes did things since that the copy does not know of.
        follow::mark_copy(&Connection::open(path)?)?;
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| Fault::Failing { detail: error.to_string() })?;
        describe(path)
    }
}

/// Reads a copy through; gives what is wrong with it.
pub fn check_copy(path: &Path) -> Result<(StoreCopy, Vec<String>), Fault> {
    let connection = read_only(path)?;
    let mut check = connection.prepare("PRAGMA integrity_check")?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let wrong = lines.into_iter().filter(|line| line != "ok").collect();
    Ok((describe(path)?, wrong))
}

fn describe(path: &Path) -> Result<StoreCopy, Fault> {
    let connection = read_only(path)?;
    let counts = counts::counts(&connection)?;
    Ok(StoreCopy {
        version: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        changes: counts.total.changes,
        documents: counts.total.documents,
        removals: purge::removals(&connection)?,
    })
}

fn read_only(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

//! Reading the log: connections, key ranges, changes of a document.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::health::Fault;
use super::{Shared, StoreOptions};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;

/// Read-only connections, opened as they are needed, up to a number. Whoever has less of a hurry
/// leaves some of them to others, so that no page waits for the batches of peers.
pub(super) struct Readers {
    path: PathBuf,
    cache_kib: u32,
    shared: Arc<Shared>,
    most: usize,
    state: Mutex<(Vec<Connection>, usize)>,
    returned: Condvar,
}

/// On whose behalf something is read, and how many connections are left to those with more hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person.
    Local = 0,
    /// A peer.
    Peer = 1,
    /// A batch of a peer that is checked, which takes long.
    Batch = 2,
}

impl Readers {
    pub(super) fn new(path: &Path, options: &StoreOptions, shared: Arc<Shared>) -> Self {
        let most = options.readers.max(1);
        let state = Mutex::new((Vec::new(), most));
        let cache_kib = options.reader_cache_kib;
        Self { path: path.to_owned(), cache_kib, shared, most, state, returned: Condvar::new() }
    }

    /// Runs `work` in one read transaction, so that all it sees is one state of the store.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.with_for(Reader::Local, work)
    }

    /// The same for somebody else.
    pub(super) fn with_for<T>(
        &self,
        reader: Reader,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let result = self.on_snapshot(reader, work);
        if let Err(fault) = &result {
            self.shared.condition.note_damage(fault);
        }
        result
    }

    fn on_snapshot<T>(
        &self,
        reader: Reader,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let lease = self.lease(reader)?;
        let Some(connection) = &lease.connection else { return Err(not_open().into()) };
        let transaction = connection.unchecked_transaction()?;
        let result = work(&transaction);
        transaction.rollback()?;
        result
    }

    fn lease(&self, reader: Reader) -> rusqlite::Result<Lease<'_>> {
        let left_to_others = (reader as usize).min(self.most - 1);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0.len() + state.1 <= left_to_others {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut lease = Lease { readers: self, connection: state.0.pop() };
        if lease.connection.is_none() {
            state.1 -= 1;
            drop(state);
            lease.connection = Some(self.open()?);
        }
        Ok(lease)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "cache_size", -i64::from(self.cache_kib))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    }
}

/// A connection on loan; it goes back even if the work panics.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.connection.take() {
            Some(connection) => state.0.push(connection),
            None => state.1 += 1,
        }
        // Not each of those who wait may have it.
        self.readers.returned.notify_all();
    }
}

fn not_open() -> rusqlite::Error {
    rusqlite::Error::InvalidPath(PathBuf::new())
}

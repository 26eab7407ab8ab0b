//! When the write-ahead log is folded into the database file.
//!
//! SQLite would do it within the commit that makes the log too long, whose callers would wait for
//! two more syncs. The writer does it between transactions, after these have been told, and puts
//! it off while somebody at this node waits. How long the log is, it guesses.

use rusqlite::Connection;

/// Pages of the log after which it is folded in. Fewer at a time cost more in all, and each time
/// less.
const PAGES: u64 = 4_000;
/// The same while people write.
const SHORT_PAGES: u64 = 500;
/// Pages after which it is folded in even if somebody at this node waits.
const OVERDUE_PAGES: u64 = 8_000;
/// Pages after which the commit does it, should the guess be quite wrong.
const PAGES_AT_MOST: u32 = 16_000;
/// Pages that a change, and any transaction, adds to the log, about.
const PAGES_OF_CHANGE: u64 = 2;
const PAGES_OF_TRANSACTION: u64 = 8;

pub(super) struct Folding<'a> {
    connection: &'a Connection,
    /// What the log has grown by since it was folded in, about.
    pages: u64,
}

impl<'a> Folding<'a> {
    /// Takes it over from SQLite.
    pub(super) fn new(connection: &'a Connection) -> Self {
        if let Err(error) = connection.pragma_update(None, "wal_autocheckpoint", PAGES_AT_MOST) {
            tracing::warn!(%error, "the size of the write-ahead log could not be set");
        }
        Self { connection, pages: 0 }
    }

    /// A transaction with so many changes has been committed.
    pub(super) fn grew(&mut self, changes: u64) {
        self.pages += PAGES_OF_TRANSACTION + PAGES_OF_CHANGE * changes;
    }

    /// Folds the log in if it is time.
    pub(super) fn fold(&mut self, people_write: bool, somebody_waits: bool) {
        let enough = if people_write { SHORT_PAGES } else { PAGES };
        if self.pages < if somebody_waits { OVERDUE_PAGES } else { enough } {
            return;
        }
        self.pages = 0;
        // It is done as far as readers let it be, and the rest the next time.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::warn!(%error, "the write-ahead log could not be folded in");
        }
    }
}

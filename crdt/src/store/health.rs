//! What is wrong with the disk, in terms of what a person can do about it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::ErrorCode;

/// State of the store, for screens and status commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Writing works.
    Ok,
    /// Writing works, but the disk is nearly full.
    LowSpace {
        /// Bytes left.
        free: u64,
    },
    /// The last write found no space. Nothing acknowledged is lost; writing goes on by itself
    /// when there is space again.
    DiskFull,
    /// The last write found the disk or file read-only.
    ReadOnly,
    /// A page of the file is damaged.
    Corrupt {
        /// What SQLite says.
        detail: String,
    },
    /// The last write failed in another way.
    Failing {
        /// What SQLite says.
        detail: String,
    },
}

/// Why the store could not read or write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No space on the disk, or the size limit of the store is reached.
    #[error("the disk is full; nothing was changed")]
    DiskFull,
    /// The disk or file cannot be written.
    #[error("the data directory cannot be written; nothing was changed")]
    ReadOnly,
    /// The file is damaged.
    #[error("the store is damaged: {detail}")]
    Corrupt {
        /// What SQLite says.
        detail: String,
    },
    /// Anything else that SQLite reports.
    #[error("the store failed: {detail}")]
    Failing {
        /// What SQLite says.
        detail: String,
    },
    /// The store has been closed, or the work on it panicked.
    #[error("the store is closed or gave up the work")]
    Stopped,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        let Some(code) = error.sqlite_error() else { return Self::Failing { detail } };
        // What SQLite says when there is no space to enlarge the index of the write-ahead log.
        if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE {
            return Self::DiskFull;
        }
        let is = |codes: &[ErrorCode]| codes.contains(&code.code);
        if is(&[ErrorCode::DiskFull]) {
            Self::DiskFull
        } else if is(&[ErrorCode::ReadOnly, ErrorCode::CannotOpen, ErrorCode::PermissionDenied]) {
            Self::ReadOnly
        } else if is(&[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase]) {
            Self::Corrupt { detail }
        } else {
            Self::Failing { detail }
        }
    }
}

/// What the store last met with.
#[derive(Debug, Default)]
pub(super) struct Condition(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the last transaction.
    fault: Option<Fault>,
    /// The first damage met with, by reader or writer; later success elsewhere does not heal it.
    damage: Option<String>,
}

impl Condition {
    /// Notes how the last transaction ended.
    pub(super) fn set(&self, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::error!(%fault, "writing to the store failed");
            self.note_damage(fault);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault = fault;
    }

    /// Keeps a fault in mind if it is damage.
    pub(super) fn note_damage(&self, fault: &Fault) {
        if let Fault::Corrupt { detail } = fault {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.damage.is_none() {
                tracing::error!(detail, "the store is damaged");
                state.damage = Some(detail.clone());
            }
        }
    }

    pub(super) fn health(&self, dir: &Path, low_space_bytes: u64) -> Health {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(detail) = state.damage.clone() {
            return Health::Corrupt { detail };
        }
        match state.fault.clone() {
            Some(Fault::DiskFull) => Health::DiskFull,
            Some(Fault::ReadOnly) => Health::ReadOnly,
            Some(Fault::Corrupt { detail }) => Health::Corrupt { detail },
            Some(Fault::Failing { detail }) => Health::Failing { detail },
            None | Some(Fault::Stopped) => match free_bytes(dir) {
                Some(free) if free < low_space_bytes => Health::LowSpace { free },
                _ => Health::Ok,
            },
        }
    }
}

fn free_bytes(dir: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(dir).ok()?;
    space.f_bavail.checked_mul(space.f_frsize)
}

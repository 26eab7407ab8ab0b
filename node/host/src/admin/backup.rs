//! Backups: making them, checking them, and making a data directory from one.
//!
//! A backup is a directory. It is written under another name, synced, and renamed when it is
//! whole, so one that has its name is whole; a run that was killed leaves a `.partial-` that the
//! next one takes away.
//!
//! | name | content |
//! |---|---|
//! | `TO/cunlian-NODE-TIME/` | one backup; NODE is the start of the node's key, TIME is UTC |
//! | `manifest.json` | [`Manifest`]: which node, what is in it, every file with its BLAKE3 hash |
//! | `manifest.blake3` | hash of the manifest, as `b3sum` writes it |
//! | `data/` | the data directory: store (one moment of it), keys, people, configuration |
//!
//! Everything in the data directory is taken but what belongs to the running process or to the
//! place ([`LEFT_OUT`]) and, unless asked for, the root key. The hashes find damage, not malice;
//! changes and certificates in a backup are signed and checked like all others.
//!
//! What was purged or erased is not in the copy of the store, and backups of the same node in the
//! same directory from before it are taken away once the new one is whole.

use std::path::{Path, PathBuf};

use cunlian_crdt::store::{StoreCopy, Suspension};
use cunlian_protocol::id::{PublicKey, Serial};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AdminError, Administration};
use crate::keystore::ROOT_KEY;
use crate::suspension;

mod digest;
mod making;
mod reading;
mod restoring;

pub use making::copy_under_way;
pub use reading::{Checked, check};
pub use restoring::{Restored, restore};

/// What a backup is called inside.
pub const FORMAT: &str = "cunlian backup 1";
/// The list of what is in a backup.
pub const MANIFEST: &str = "manifest.json";
const MANIFEST_HASH: &str = "manifest.blake3";
const DATA: &str = "data";
/// The store's file in a data directory.
const STORE: &str = "store.sqlite";
/// What a name begins with while the directory is not whole.
const PARTIAL: &str = ".partial-";

/// Files of a data directory that are not copied.
pub const LEFT_OUT: [&str; 8] = [
    STORE,
    "store.sqlite-wal",
    "store.sqlite-shm",
    "store.sqlite-compact",
    "store.lock",
    "control.sock",
    suspension::PLACE,
    suspension::SUSPENDED,
];

/// What a person asks for about backups and their aftermath.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupAction {
    /// Make a backup in a directory of backups.
    Make {
        /// The directory, absolute.
        to: PathBuf,
        /// How many of this node to leave there; all, when not said.
        keep: Option<usize>,
        /// Whether the root key goes in.
        with_root_key: bool,
    },
    /// Let the node author again.
    Resume {
        /// A person answers for it, because there is no parent to do so.
        no_parent: bool,
    },
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Path below `data/`.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Mode in the data directory.
    pub mode: u32,
    /// BLAKE3 of the content.
    pub blake3: String,
}

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Rises with every backup of a node in one directory; the order of backups, whatever the
    /// clock said.
    pub number: u64,
    /// Key of the node.
    pub node: PublicKey,
    /// Its name.
    pub name: String,
    /// Its certificate.
    pub certificate: Serial,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub made_at_ms: i64,
    /// Program and version that made it.
    pub software: String,
    /// Whether the root key of the federation is in it.
    pub root_key: bool,
    /// The store.
    pub store: StoreCopy,
    /// All files but the manifest.
    pub files: Vec<BackupFile>,
}

impl Administration {
    /// Does what is asked about backups.
    pub fn backup(&self, action: &BackupAction) -> Result<Value, AdminError> {
        match action {
            BackupAction::Make { to, keep, with_root_key } => {
                let made = making::make(self, to, *keep, *with_root_key)?;
                Ok(serde_json::to_value(made).expect("a report has only JSON types"))
            }
            BackupAction::Resume { no_parent } => self.resume(*no_parent),
        }
    }

    /// Lets a suspended node author again on the word of a person, where no parent can give it.
    fn resume(&self, no_parent: bool) -> Result<Value, AdminError> {
        let Some(suspended) = suspension::read(&self.data_dir).map_err(AdminError::new)? else {
            return Ok(json!({ "resumed": false, "reason": null }));
        };
        let has_parent = self.identity.certificate.body().issuer.is_some();
        if has_parent {
            let message = format!("{}; only its parent can release it", suspended.reason);
            return Err(AdminError::new(message).hint(match suspended.reason {
                Suspension::Restored | Suspension::Copied => {
                    "start it and connect it to the parent, which then confirms it by itself"
                }
                Suspension::Forked => {
                    "stop one of the two machines and enrol it anew: cunlian join"
                }
            }));
        }
        if !no_parent {
            return Err(AdminError::new(suspended.reason).hint(
                "make sure that no other copy of this node runs or will ever run again, then: \
                 cunlian resume --confirm-no-parent",
            ));
        }
        self.release()?;
        Ok(json!({ "resumed": true, "reason": suspended.reason.name() }))
    }

    /// Lets the node author again: its parent has confirmed it, or a person has.
    pub fn release(&self) -> Result<(), AdminError> {
        suspension::clear(&self.data_dir).map_err(AdminError::new)?;
        self.store.resume();
        Ok(())
    }
}

/// Whether a file of the data directory, by its path in it, goes into a backup.
fn is_taken(path: &Path, with_root_key: bool) -> bool {
    let name = path.to_str().unwrap_or_default();
    let draft = path.extension().is_some_and(|extension| extension == "draft");
    !draft
        && !LEFT_OUT.contains(&name)
        && name != making::LOCK
        && (with_root_key || name != ROOT_KEY)
}

fn io_error(path: &Path, error: impl std::fmt::Display) -> AdminError {
    AdminError::new(format!("{}: {error}", path.display()))
}

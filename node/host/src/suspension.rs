//! Whether this node may author, and whether its data directory is where it was.
//!
//! What it is: two small files beside the store. A node that was restored from a backup, or whose
//! directory was copied, may be the second with its keys: it would number its changes like the
//! first. So it only takes in from its parent until that has confirmed it, or, where there is
//! none, until a person has.
//!
//! What it is not: proof against who alters the files; that the identity is used twice is also
//! seen by the parent.
//!
//! | file | content |
//! |---|---|
//! | `suspended` | JSON: `reason` (`restored`, `copied`, `forked`), `at` (ms since 1970-01-01 UTC) |
//! | `place.json` | JSON: `version` 1, `machine`, `device`, `inode`, `born_ms`, see [`Place`] |
//!
//! Both are written beside, synced and renamed, mode 0600.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use cunlian_crdt::store::Suspension;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// File that says that the node must not author.
pub const SUSPENDED: &str = "suspended";
/// File that says where the data directory was.
pub const PLACE: &str = "place.json";
/// Where systems keep a number of their own, made at installation.
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuspensionError {
    /// The file is not what it should be. A node does not author on a guess.
    #[error("{} is not one of this program's files: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// The node must not author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// Why.
    pub reason: Suspension,
    /// Since when, milliseconds since 1970-01-01 UTC.
    pub at: i64,
}

/// Where a data directory is, so that a copy of it can be told from the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    version: u32,
    /// Hash of the machine's number; `None` where it has none, as in containers.
    machine: Option<String>,
    /// Number of the file system: for people only, because it may change when a machine starts.
    device: u64,
    /// Number of the directory in its file system.
    inode: u64,
    /// When the directory was made, where the file system knows.
    born_ms: Option<i64>,
}

impl Place {
    /// Where `data_dir` is now.
    pub fn of(data_dir: &Path) -> Result<Self, SuspensionError> {
        let metadata = fs::metadata(data_dir).map_err(|source| io_error(data_dir, source))?;
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            version: 1,
            machine: machine(),
            device: metadata.dev(),
            inode: metadata.ino(),
            born_ms: born.and_then(|since| i64::try_from(since.as_millis()).ok()),
        })
    }

    /// Writes it into a data directory.
    pub fn write(&self, data_dir: &Path) -> Result<(), SuspensionError> {
        write(&data_dir.join(PLACE), self)
    }

    /// Whether both are one directory. A directory that was moved within its file system is.
    fn is(&self, other: &Self) -> bool {
        let differ = |one: bool, other: bool, equal: bool| one && other && !equal;
        let machine =
            differ(self.machine.is_some(), other.machine.is_some(), self.machine == other.machine);
        let born =
            differ(self.born_ms.is_some(), other.born_ms.is_some(), self.born_ms == other.born_ms);
        !machine && !born && self.inode == other.inode
    }
}

/// Looks at a data directory whose store is open: whether it is where it was, and whether the
/// node may author. A directory without a mark gets one.
pub fn check_in(data_dir: &Path, now_ms: i64) -> Result<Option<Suspended>, SuspensionError> {
    let here = Place::of(data_dir)?;
    let suspended = read(data_dir)?;
    match read_file::<Place>(&data_dir.join(PLACE))? {
        Some(before) if before.is(&here) => return Ok(suspended),
        Some(before) => {
            tracing::warn!(?before, ?here, "the data directory is not where it was");
            // The reason comes first: without it a crash in between would hide the copy.
            if suspended.is_none() {
                suspend(data_dir, Suspension::Copied, now_ms)?;
            }
        }
        None => {}
    }
    here.write(data_dir)?;
    read(data_dir)
}

/// Why the node of a data directory must not author; `None` when it may.
pub fn read(data_dir: &Path) -> Result<Option<Suspended>, SuspensionError> {
    read_file(&data_dir.join(SUSPENDED))
}

/// Notes that the node must not author; the store must be told as well.
pub fn suspend(data_dir: &Path, reason: Suspension, at: i64) -> Result<(), SuspensionError> {
    write(&data_dir.join(SUSPENDED), &Suspended { reason, at })
}

/// Notes that the node may author again; the store must be told as well.
pub fn clear(data_dir: &Path) -> Result<(), SuspensionError> {
    let path = data_dir.join(SUSPENDED);
    let removed = match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(data_dir).and_then(|directory| directory.sync_all()),
    };
    removed.map_err(|source| io_error(&path, source))
}

/// The machine's number, hashed as its documentation asks, so that it is not given away.
fn machine() -> Option<String> {
    let id = MACHINE_ID_FILES.iter().find_map(|path| fs::read_to_string(path).ok())?;
    let id = id.trim();
    (!id.is_empty()).then(|| {
        let hash = blake3::derive_key("cunlian place of a data directory 1", id.as_bytes());
        crate::keystore::hex(hash.first_chunk::<16>().map_or(&hash, |half| half.as_slice()))
    })
}

fn read_file<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SuspensionError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            SuspensionError::Malformed { path: path.to_owned(), reason: error.to_string() }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, source)),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), SuspensionError> {
    let bytes = serde_json::to_vec_pretty(value).expect("the files have only JSON types");
    let draft = path.with_extension("draft");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        });
    written.map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> SuspensionError {
    SuspensionError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that a directory stays known when it is opened again and when it is renamed, and
    /// that a copy of its files elsewhere is noticed once and stays suspended until released.
    #[test]
    fn a_copy_is_noticed_and_a_renamed_directory_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        fs::create_dir(&original).unwrap();
        assert_eq!(check_in(&original, 1).unwrap(), None);
        assert_eq!(check_in(&original, 2).unwrap(), None);
        let renamed = dir.path().join("renamed");
        fs::rename(&original, &renamed).unwrap();
        assert_eq!(check_in(&renamed, 3).unwrap(), None);

        let copy = dir.path().join("copy");
        fs::create_dir(&copy).unwrap();
        fs::copy(renamed.join(PLACE), copy.join(PLACE)).unwrap();
        let noticed = Some(Suspended { reason: Suspension::Copied, at: 4 });
        assert_eq!(check_in(&copy, 4).unwrap(), noticed);
        assert_eq!(check_in(&copy, 5).unwrap(), noticed);
        clear(&copy).unwrap();
        assert_eq!(check_in(&copy, 6).unwrap(), None);
        assert_eq!(check_in(&renamed, 7).unwrap(), None);
    }

    /// Shows that a reason that cannot be read does not count as none.
    #[test]
    fn an_unreadable_reason_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SUSPENDED), b"{\"reason\":").unwrap();
        let error = check_in(dir.path(), 1).unwrap_err();
        assert!(matches!(error, SuspensionError::Malformed { .. }), "{error}");
    }

    /// Shows that another machine is another place, and that a machine without a number does not
    /// count as another.
    #[test]
    fn another_machine_is_another_place() {
        let here = Place {
            version: 1,
            machine: Some("a".to_owned()),
            device: 1,
            inode: 2,
            born_ms: Some(3),
        };
        let with_machine = |machine: Option<&str>| Place {
            machine: machine.map(str::to_owned),
            device: 9,
            ..here.clone()
        };
        assert!(here.is(&with_machine(Some("a"))));
        assert!(here.is(&with_machine(None)));
        assert!(!here.is(&with_machine(Some("b"))));
        assert!(!here.is(&Place { born_ms: Some(4), ..here.clone() }));
        assert!(!here.is(&Place { inode: 3, ..here.clone() }));
    }
}

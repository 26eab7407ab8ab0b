//! Making a data directory from a backup. The node in it does not author until its parent has
//! confirmed it: it may have authored since the backup was made, and somewhere another one with
//! its keys may run.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cunlian_crdt::store::{Suspension, VERSION, check_copy};
use cunlian_protocol::session::Identity;
use serde::Serialize;

use super::digest::hash_file;
use super::making::{make_directory, set_mode, sync};
use super::reading::read_manifest;
use super::{AdminError, BackupFile, DATA, Manifest, PARTIAL, STORE, io_error};
use crate::keystore::Keystore;
use crate::suspension::{self, Place};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The new data directory.
    pub data_dir: PathBuf,
    /// What the backup says about itself.
    pub manifest: Manifest,
    /// Whether a parent can confirm the node.
    pub has_parent: bool,
}

/// Makes the data directory `to`, which must not exist or be empty. It appears as a whole: a run
/// that was killed leaves only a `.partial-` beside it, which the next one takes away.
pub fn restore(
    backup: &Path,
    to: &Path,
    now_ms: i64,
    mut progress: impl FnMut(u64, u64),
) -> Result<Restored, AdminError> {
    let manifest = read_manifest(backup)?;
    if manifest.store.version > VERSION {
        let version = manifest.store.version;
        return Err(AdminError::new(format!(
            "the store in the backup has version {version}, this program knows versions up to \
             {VERSION}"
        ))
        .hint("use the version of cunlian that made it, or a later one"));
    }
    let (parent, partial) = places(to)?;
    let identity = fill(backup, &manifest, &partial, now_ms, &mut progress).inspect_err(|_| {
        // It holds keys and people's data; if this fails too, the next run takes it away.
        let _ = fs::remove_dir_all(&partial);
    })?;
    fs::rename(&partial, to).map_err(|error| io_error(to, error))?;
    sync(&parent)?;
    let has_parent = identity.certificate.body().issuer.is_some();
    Ok(Restored { data_dir: to.to_owned(), manifest, has_parent })
}

/// Writes everything that belongs into the data directory; gives who the node is.
fn fill(
    backup: &Path,
    manifest: &Manifest,
    partial: &Path,
    now_ms: i64,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Identity, AdminError> {
    make_directory(partial)?;
    let all: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for file in &manifest.files {
        copy(&backup.join(DATA), partial, file, |bytes| {
            done += bytes;
            progress(done, all);
        })?;
    }
    let (copy, wrong) = check_copy(&partial.join(STORE))?;
    if copy != manifest.store || !wrong.is_empty() {
        return Err(AdminError::new(format!("the store is not sound: {}", wrong.join("; ")))
            .hint("use another backup"));
    }
    let identity = Keystore::new(partial).identity().map_err(AdminError::new)?;
    suspension::suspend(partial, Suspension::Restored, now_ms).map_err(AdminError::new)?;
    let place = Place::of(partial).map_err(AdminError::new)?;
    place.write(partial).map_err(AdminError::new)?;
    Ok(identity)
}

/// The directory that gets the new data directory, and the name it has until it is whole.
fn places(to: &Path) -> Result<(PathBuf, PathBuf), AdminError> {
    let occupied = fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || to.is_file() {
        return Err(AdminError::new(format!("{} is not empty", to.display()))
            .hint("name a new directory; nothing is ever written over an old one"));
    }
    let Some(name) = to.file_name() else {
        return Err(io_error(to, "not a name for a directory"));
    };
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&parent);
    made.map_err(|error| io_error(&parent, error))?;
    let partial = parent.join(format!("{PARTIAL}{}", name.to_string_lossy()));
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error(&partial, error))
        }
        _ => Ok((parent, partial)),
    }
}

fn copy(
    data: &Path,
    to: &Path,
    file: &BackupFile,
    mut progress: impl FnMut(u64),
) -> Result<(), AdminError> {
    let target = to.join(&file.path);
    let directory = target.parent().unwrap_or(to);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| io_error(directory, error))?;
    let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target);
    let mut new: File = new.map_err(|error| io_error(&target, error))?;
    let source = data.join(&file.path);
    let copied = hash_file(&source, |piece| {
        progress(piece.len() as u64);
        new.write_all(piece)
    });
    let (bytes, blake3) = copied.map_err(|error| io_error(&source, error))?;
    if (bytes, &blake3) != (file.bytes, &file.blake3) {
        return Err(io_error(&source, "not what was backed up")
            .hint("the backup is damaged: cunlian backup verify says all; use another one"));
    }
    new.sync_all().map_err(|error| io_error(&target, error))?;
    set_mode(&target, file.mode & 0o777)?;
    sync(directory)
}

//! Making a backup, and taking away older ones.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::digest::hash_file;
use super::reading::read_manifest;
use super::{
    AdminError, BackupFile, DATA, FORMAT, MANIFEST, MANIFEST_HASH, Manifest, PARTIAL, STORE,
    io_error, is_taken,
};
use crate::admin::Administration;
use crate::keystore::ROOT_KEY;

/// Held by the backup under way.
pub(super) const LOCK: &str = "backup.lock";
/// Hexadecimal digits of the node's key in the name of a backup.
const KEY_DIGITS: usize = 16;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Made {
    backup: PathBuf,
    number: u64,
    files: usize,
    bytes: u64,
    changes: u64,
    documents: u64,
    root_key: bool,
    /// Older backups taken away.
    removed: Vec<PathBuf>,
}

pub(super) fn make(
    admin: &Administration,
    to: &Path,
    keep: Option<usize>,
    with_root_key: bool,
) -> Result<Made, AdminError> {
    let _lock = lock(&admin.data_dir)?;
    let to = directory(to, &admin.data_dir)?;
    let node = admin.identity.certificate.body().subject.to_string();
    let short = node.get(..KEY_DIGITS).unwrap_or(&node).to_owned();
    clear_partial(&to, &short)?;
    let older = older(&to, admin)?;
    let number = older.iter().map(|(_, manifest)| manifest.number).max().unwrap_or(0) + 1;
    let now_ms = (admin.now_ms)();
    let name = name(&to, &short, now_ms);
    let partial = to.join(format!("{PARTIAL}{name}"));
    let manifest = write(admin, &partial, number, now_ms, with_root_key).inspect_err(|_| {
        // It holds keys and people's data; if this fails too, the next run takes it away.
        let _ = fs::remove_dir_all(&partial);
    })?;
    let backup = to.join(&name);
    fs::rename(&partial, &backup).map_err(|error| io_error(&backup, error))?;
    sync(&to)?;
    let removed = prune(&to, older, &manifest, keep)?;
    Ok(Made {
        backup,
        number,
        files: manifest.files.len(),
        bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        changes: manifest.store.changes,
        documents: manifest.store.documents,
        root_key: manifest.root_key,
        removed,
    })
}

/// The copy of a store that is being written below a directory of backups.
pub fn copy_under_way(to: &Path) -> Option<PathBuf> {
    let mut partial = entries(to).ok()?.into_iter().filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PARTIAL))
    });
    partial.next().map(|path| path.join(DATA).join(STORE))
}

fn lock(data_dir: &Path) -> Result<File, AdminError> {
    let path = data_dir.join(LOCK);
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| io_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(AdminError::new("another backup of this node is being made")
                .hint("wait until it has ended"))
        }
        Err(TryLockError::Error(error)) => Err(io_error(&path, error)),
    }
}

/// The directory of backups, made for this user alone if it is not there.
fn directory(to: &Path, data_dir: &Path) -> Result<PathBuf, AdminError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
    let to = made.and_then(|()| to.canonicalize()).map_err(|error| io_error(to, error))?;
    let data = data_dir.canonicalize().map_err(|error| io_error(data_dir, error))?;
    if to.starts_with(&data) {
        return Err(AdminError::new("the backup would lie in the data directory itself")
            .hint("choose a directory elsewhere, best on another disk"));
    }
    Ok(to)
}

/// Takes away what killed runs of this node left.
fn clear_partial(to: &Path, short: &str) -> Result<(), AdminError> {
    let beginning = format!("{PARTIAL}cunlian-{short}-");
    for path in entries(to)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(&beginning) {
            fs::remove_dir_all(&path).map_err(|error| io_error(&path, error))?;
        }
    }
    Ok(())
}

/// Whole backups of this node.
fn older(to: &Path, admin: &Administration) -> Result<Vec<(PathBuf, Manifest)>, AdminError> {
    let node = admin.identity.certificate.body().subject;
    let found = entries(to)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        if !name.starts_with("cunlian-") {
            return None;
        }
        let manifest = read_manifest(&path).ok()?;
        (manifest.node == node).then_some((path, manifest))
    });
    Ok(found.collect())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, AdminError> {
    let read = |error| io_error(directory, error);
    let paths = fs::read_dir(directory).map_err(read)?.map(|entry| entry.map(|e| e.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(read)?;
    paths.sort();
    Ok(paths)
}

fn name(to: &Path, short: &str, now_ms: i64) -> String {
    let at = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let first = format!("cunlian-{short}-{}", at.strftime("%Y%m%dT%H%M%SZ"));
    let later = (2..).map(|n: u32| format!("{first}-{n}"));
    std::iter::once(first.clone())
        .chain(later)
        .find(|name| !to.join(name).exists())
        .unwrap_or(first)
}

fn write(
    admin: &Administration,
    partial: &Path,
    number: u64,
    made_at_ms: i64,
    with_root_key: bool,
) -> Result<Manifest, AdminError> {
    let data = partial.join(DATA);
    make_directory(partial)?;
    make_directory(&data)?;
    let mut files = Vec::new();
    copy_files(&admin.data_dir, Path::new(""), &data, with_root_key, &mut files)?;
    let store_path = data.join(STORE);
    let store = admin.store.copy_to(&store_path)?;
    set_mode(&store_path, 0o600)?;
    files.push(describe(&store_path, STORE, 0o600)?);
    let body = admin.identity.certificate.body();
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        number,
        node: body.subject,
        name: body.name.clone(),
        certificate: admin.identity.certificate.serial(),
        made_at_ms,
        software: admin.identity.software.clone(),
        root_key: files.iter().any(|file| file.path == ROOT_KEY),
        store,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest has only JSON types");
    let hash = format!("{}  {MANIFEST}\n", blake3::hash(&text).to_hex());
    write_file(&partial.join(MANIFEST), &text)?;
    write_file(&partial.join(MANIFEST_HASH), hash.as_bytes())?;
    sync(&data)?;
    sync(partial)?;
    Ok(manifest)
}

/// Copies what belongs to a backup of the directory `from`/`below`.
fn copy_files(
    from: &Path,
    below: &Path,
    to: &Path,
    with_root_key: bool,
    files: &mut Vec<BackupFile>,
) -> Result<(), AdminError> {
    for path in entries(&from.join(below))? {
        let Some(name) = path.file_name() else { continue };
        let relative = below.join(name);
        let target = to.join(&relative);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // A file of a moment, such as a draft that has been renamed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io_error(&path, error)),
        };
        if metadata.is_dir() {
            make_directory(&target)?;
            copy_files(from, &relative, to, with_root_key, files)?;
            sync(&target)?;
        } else if metadata.is_file() && is_taken(&relative, with_root_key) {
            let mode = metadata.permissions().mode() & 0o777;
            let Some(name) = relative.to_str() else {
                return Err(io_error(&path, "the name is not in UTF-8"));
            };
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|error| io_error(&path, error))?,
            };
            write_file(&target, &bytes)?;
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            let bytes = bytes.len() as u64;
            files.push(BackupFile { path: name.to_owned(), bytes, mode, blake3 });
        }
    }
    Ok(())
}

fn describe(path: &Path, name: &str, mode: u32) -> Result<BackupFile, AdminError> {
    let (bytes, blake3) = hash_file(path, |_| Ok(())).map_err(|error| io_error(path, error))?;
    Ok(BackupFile { path: name.to_owned(), bytes, mode, blake3 })
}

/// Takes away older backups: those beyond the number to keep, and those from before something
/// was purged or erased.
fn prune(
    to: &Path,
    mut older: Vec<(PathBuf, Manifest)>,
    made: &Manifest,
    keep: Option<usize>,
) -> Result<Vec<PathBuf>, AdminError> {
    older.sort_by_key(|(_, manifest)| std::cmp::Reverse(manifest.number));
    let beside_this = keep.map_or(usize::MAX, |keep| keep.saturating_sub(1));
    let mut left = 0;
    let mut removed = Vec::new();
    for (path, manifest) in older {
        if manifest.store.removals == made.store.removals && left < beside_this {
            left += 1;
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Killed halfway, it is no backup any more, and the next run goes on.
        let doomed = to.join(format!("{PARTIAL}{name}"));
        let gone = fs::rename(&path, &doomed)
            .and_then(|()| File::open(to)?.sync_all())
            .and_then(|()| fs::remove_dir_all(&doomed));
        gone.map_err(|error| io_error(&path, error))?;
        removed.push(path);
    }
    Ok(removed)
}

pub(super) fn make_directory(path: &Path) -> Result<(), AdminError> {
    DirBuilder::new().mode(0o700).create(path).map_err(|error| io_error(path, error))
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), AdminError> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).map_err(|error| io_error(path, error))
}

/// A new file for this user alone, durable.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), AdminError> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    })
    .map_err(|error| io_error(path, error))
}

pub(super) fn sync(directory: &Path) -> Result<(), AdminError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| io_error(directory, error))
}

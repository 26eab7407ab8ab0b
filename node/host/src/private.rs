//! What is in a data directory is for its owner alone.
//!
//! Files are made so ([`keep_private`] for the whole process); what another program or an earlier
//! version left open to others is closed when the directory is opened ([`tighten`]). What cannot be
//! closed, because it belongs to somebody else, is named and stops nothing.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Rights of group and others.
const OTHERS: u32 = 0o077;
/// Directories inside of each other: operators, backups, and what is in one.
const DEPTH: usize = 4;

/// From here on, files and directories that this process makes are for its user alone.
pub fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(OTHERS));
}

/// Takes the rights of others away from a data directory and everything in it.
pub fn tighten(data_dir: &Path) {
    if let Ok(metadata) = fs::symlink_metadata(data_dir) {
        close(data_dir, &metadata);
    }
    tighten_inside(data_dir, DEPTH);
}

fn tighten_inside(directory: &Path, depth: usize) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let path = directory.display();
            return tracing::warn!(%path, %error, "a directory of this node cannot be read");
        }
    };
    for entry in entries.flatten() {
        // What a link leads to is somebody else's.
        let Ok(metadata) = entry.metadata() else { continue };
        let kind = metadata.file_type();
        if kind.is_file() || kind.is_dir() {
            close(&entry.path(), &metadata);
        }
        if kind.is_dir() && depth > 1 {
            tighten_inside(&entry.path(), depth - 1);
        }
    }
}

fn close(path: &Path, metadata: &Metadata) {
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    let closed = fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS & 0o7777));
    let path = path.display();
    match closed {
        Ok(()) => tracing::warn!(%path, "was open to others, and is not any more"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(%path, "is open to others and belongs to another user; see to it");
        }
        Err(error) => tracing::warn!(%path, %error, "is open to others"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that nothing in a directory stays open to others, however deep it is, and that a link
    /// leads to nothing that is closed.
    #[test]
    fn what_was_open_is_closed() {
        let outside = tempfile::tempdir().unwrap();
        let elsewhere = outside.path().join("elsewhere");
        fs::write(&elsewhere, "x").unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("operators/old");
        fs::create_dir_all(&inner).unwrap();
        let store = dir.path().join("store.sqlite");
        for file in [&store, &inner.join("wang.json")] {
            fs::write(file, "x").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("link")).unwrap();
        tighten(dir.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dir.path()), mode(&inner)), (0o700, 0o700));
        assert_eq!((mode(&store), mode(&inner.join("wang.json"))), (0o600, 0o600));
        assert_eq!(mode(&elsewhere), 0o644);
    }
}

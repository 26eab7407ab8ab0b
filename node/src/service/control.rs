//! The control socket: `control.sock` in the data directory, for commands on the same machine.
//!
//! Whoever connects is sent the node's status as one JSON object, and the connection is closed.
//! The socket is for the owner of the data directory only (mode 0600).

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::status::NodeStatus;

const PATIENCE: Duration = Duration::from_secs(5);

/// Why a running node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No node runs on this data directory.
    #[error("no node runs on {path}")]
    NotRunning {
        /// The data directory.
        path: PathBuf,
    },
    /// The node did not answer.
    #[error("the node on {path} did not answer: {source}")]
    Io {
        /// The data directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Path of the socket.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Serves the status. The store's lock is held, so an old socket is nobody's.
pub(super) fn start(
    data_dir: &Path,
    status: watch::Receiver<NodeStatus>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = serde_json::to_vec(&*status.borrow()).expect("a status has only JSON types");
            tokio::spawn(async move {
                // Who asks and does not listen is not waited for.
                let _ = tokio::time::timeout(PATIENCE, stream.write_all(&text)).await;
            });
        }
    }))
}

/// The status of the node that runs on a data directory, as JSON text.
pub fn ask_status(data_dir: &Path) -> Result<String, ControlError> {
    let not_running = || ControlError::NotRunning { path: data_dir.to_owned() };
    let failed = |source| ControlError::Io { path: data_dir.to_owned(), source };
    let mut stream = UnixStream::connect(path(data_dir)).map_err(|_| not_running())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

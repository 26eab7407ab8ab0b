//! The control socket: `control.sock` in the data directory, for commands on the same machine.
//!
//! Whoever connects sends one line of JSON, `"status"` or `{"request": …}` with a
//! [`crate::admin::Request`], and is sent one JSON object, `{"done": …}` or `{"failed":
//! {"message", "hint"}}`; then the connection is closed. After `{"bundle": …}` with a
//! [`crate::admin::bundle::Wish`] records pass instead ([`crate::admin::bundle::line`]). The socket is for the owner of the data
//! directory only (mode 0600), who may do everything the node may.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

use super::watching::Watch;
use crate::admin::bundle::Wish;
use crate::admin::{AdminError, Administration, Request};

const PATIENCE: Duration = Duration::from_secs(5);
/// Recomputing after a revocation, or an erasure, may take a while.
const LONG_PATIENCE: Duration = Duration::from_mins(10);
/// Longest request.
const LINE_BYTES: u64 = 1 << 20;

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

/// Serves requests. The store's lock is held, so an old socket is nobody's.
pub(super) fn start(
    data_dir: &Path,
    status: Watch,
    administration: Administration,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let stopping = Stopping::default();
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let status = status.clone();
            let administration = administration.clone();
            let stop = Arc::clone(&stopping.0);
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &status, administration, stop).await {
                    tracing::debug!(%error, "a command went away");
                }
            });
        }
    }))
}

/// Tells threads of a generation that it is over: set when the task that owns it is dropped.
#[derive(Default)]
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn answer(
    stream: tokio::net::UnixStream,
    status: &Watch,
    administration: Administration,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LINE_BYTES));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let reply = match serde_json::from_str::<Asked>(&line) {
        Ok(Asked::Status) => Reply::Done(
            serde_json::to_value(status.now().await).expect("a status has only JSON types"),
        ),
        Ok(Asked::Request(request)) => {
            let done = tokio::task::spawn_blocking(move || administration.perform(&request));
            match done.await {
                Ok(Ok(value)) => Reply::Done(value),
                Ok(Err(AdminError { message, hint })) => Reply::Failed { message, hint },
                Err(error) => Reply::Failed { message: error.to_string(), hint: None },
            }
        }
        Ok(Asked::Bundle(wish)) => {
            let read = read.into_inner().into_inner();
            let stream = read.reunite(write).map_err(io::Error::other)?.into_std()?;
            stream.set_nonblocking(false)?;
            // A thread of its own: it may go on for long, and ends by itself when the node stops.
            std::thread::spawn(move || administration.bundle(&wish, stream, stop));
            return Ok(());
        }
        Err(error) => Reply::Failed {
            message: format!("this node does not know the request: {error}"),
            hint: Some("use the command of the version that runs".to_owned()),
        },
    };
    let text = serde_json::to_vec(&reply).expect("a reply has only JSON types");
    // Who asks and does not listen is not waited for.
    tokio::time::timeout(PATIENCE, write.write_all(&text)).await?
}

/// What a command asks of a running node, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Status,
    Request(Request),
    Bundle(Wish),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Value),
    Failed { message: String, hint: Option<String> },
}

/// The status of the node that runs on a data directory, as JSON text.
pub fn ask_status(data_dir: &Path) -> Result<String, ControlError> {
    match exchange(data_dir, &Asked::Status, PATIENCE)? {
        Reply::Done(status) => Ok(status.to_string()),
        Reply::Failed { message, .. } => {
            let source = io::Error::other(message);
            Err(ControlError::Io { path: data_dir.to_owned(), source })
        }
    }
}

/// Has a running node do something for its administrator.
pub fn send_request(
    data_dir: &Path,
    request: &Request,
) -> Result<Result<Value, AdminError>, ControlError> {
    Ok(match exchange(data_dir, &Asked::Request(request.clone()), LONG_PATIENCE)? {
        Reply::Done(value) => Ok(value),
        Reply::Failed { message, hint } => Err(AdminError { message, hint }),
    })
}

/// Begins to pass a bundle; records follow on the socket.
pub fn begin_bundle(data_dir: &Path, wish: &Wish) -> Result<UnixStream, ControlError> {
    ask(data_dir, &Asked::Bundle(wish.clone()))
}

fn ask(data_dir: &Path, asked: &Asked) -> Result<UnixStream, ControlError> {
    let not_running = || ControlError::NotRunning { path: data_dir.to_owned() };
    let failed = |source| ControlError::Io { path: data_dir.to_owned(), source };
    let mut stream = UnixStream::connect(path(data_dir)).map_err(|_| not_running())?;
    let mut line = serde_json::to_vec(asked).expect("a request has only JSON types");
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    Ok(stream)
}

fn exchange(data_dir: &Path, asked: &Asked, patience: Duration) -> Result<Reply, ControlError> {
    let failed = |source| ControlError::Io { path: data_dir.to_owned(), source };
    let mut stream = ask(data_dir, asked)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(io::Error::other(error)))
}

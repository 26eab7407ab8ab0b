//! The control socket: `control.sock` in the data directory, for commands on the same machine.
//!
//! Whoever connects sends one line of JSON, `"status"` or `{"request": …}` with a
//! [`crate::admin::Request`], and is sent one JSON object, `{"done": …}` or `{"failed":
//! {"message", "hint"}}`; then the connection is closed. After `{"bundle": …}` with a
//! [`crate::admin::bundle::BundleRequest`] records pass instead ([`crate::admin::bundle::line`]). The socket is for the owner of the data
//! directory only (mode 0600), who may do everything the node may.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::bundle::BundleRequest;
use crate::admin::bundle::line::Line;
use crate::admin::{AdminError, Administration, Request};

/// How long a node may take to answer what it knows.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Longest path of a socket.
const SOCKET_PATH_BYTES: usize = 100;
/// Recomputing after a revocation, or an erasure, may take a while.
const LONG_PATIENCE: Duration = Duration::from_mins(10);

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
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// A way to the socket that is short enough for its address (`sun_path`, 108 bytes), through the
/// open directory where its own path is not. It holds as long as the directory is kept open.
pub fn short_path(data_dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = path(data_dir);
    if path.as_os_str().len() < SOCKET_PATH_BYTES {
        return Ok((path, None));
    }
    let directory = File::open(data_dir)?;
    let short = format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd());
    Ok((short.into(), Some(directory)))
}

/// What a command asks of a running node, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequest {
    /// How it is.
    Status,
    /// An act of an administrator.
    Request(Request),
    /// To pass a bundle; records follow on the socket.
    Bundle(BundleRequest),
}

/// What it answers, as one JSON object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What was asked for.
    Done(Value),
    /// It was not done.
    Failed {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// The status of the node that runs on a data directory, as JSON text.
pub fn ask_status(data_dir: &Path) -> Result<String, ControlError> {
    match exchange(data_dir, &ControlRequest::Status, PATIENCE)? {
        Reply::Done(status) => Ok(status.to_string()),
        Reply::Failed { message, .. } => {
            let source = io::Error::other(message);
            Err(ControlError::Io { path: data_dir.to_owned(), source })
        }
    }
}

/// Has `request` done for the node of a data directory, by the node itself if it runs.
pub fn ask(data_dir: &Path, request: &Request) -> Result<Value, AdminError> {
    match send_request(data_dir, request) {
        Err(ControlError::NotRunning { .. }) => Administration::open(data_dir)?.perform(request),
        Err(error) => Err(AdminError::new(error)),
        Ok(outcome) => outcome,
    }
}

/// Begins what is wished with a bundle at the node of a data directory, by the node itself if it
/// runs.
pub fn begin_bundle(data_dir: &Path, wish: &BundleRequest) -> Result<Line, AdminError> {
    let stream = match connect(data_dir, &ControlRequest::Bundle(wish.clone())) {
        Err(ControlError::NotRunning { .. }) => {
            let administration = Administration::open(data_dir)?;
            let (here, there) = UnixStream::pair().map_err(AdminError::new)?;
            let wish = wish.clone();
            std::thread::spawn(move || administration.bundle(&wish, there, Arc::default()));
            here
        }
        outcome => outcome.map_err(AdminError::new)?,
    };
    Line::new(stream, Arc::default()).map_err(AdminError::new)
}

/// Has a running node do something for its administrator.
pub fn send_request(
    data_dir: &Path,
    request: &Request,
) -> Result<Result<Value, AdminError>, ControlError> {
    Ok(match exchange(data_dir, &ControlRequest::Request(request.clone()), LONG_PATIENCE)? {
        Reply::Done(value) => Ok(value),
        Reply::Failed { message, hint } => Err(AdminError { message, hint }),
    })
}

fn connect(data_dir: &Path, asked: &ControlRequest) -> Result<UnixStream, ControlError> {
    let not_running = || ControlError::NotRunning { path: data_dir.to_owned() };
    let failed = |source| ControlError::Io { path: data_dir.to_owned(), source };
    let (path, _directory) = short_path(data_dir).map_err(|_| not_running())?;
    let mut stream = UnixStream::connect(path).map_err(|_| not_running())?;
    let mut line = serde_json::to_vec(asked).expect("a request has only JSON types");
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    Ok(stream)
}

fn exchange(
    data_dir: &Path,
    asked: &ControlRequest,
    patience: Duration,
) -> Result<Reply, ControlError> {
    let failed = |source| ControlError::Io { path: data_dir.to_owned(), source };
    let mut stream = connect(data_dir, asked)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(io::Error::other(error)))
}

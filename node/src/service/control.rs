//! The node's side of the control socket; see [`cunlian_host::control`] for what passes over it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cunlian_host::admin::{AdminError, Administration};
use cunlian_host::control::{ControlRequest, PATIENCE, Reply, short_path};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

use super::status_publisher::StatusPublisher;

/// Longest request.
const LINE_BYTES: u64 = 1 << 20;

/// Serves requests. The store's lock is held, so an old socket is nobody's.
pub(super) fn start(
    data_dir: &Path,
    status: StatusPublisher,
    administration: Administration,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let (path, _directory) = short_path(data_dir)?;
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
    status: &StatusPublisher,
    administration: Administration,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LINE_BYTES));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let reply = match serde_json::from_str::<ControlRequest>(&line) {
        Ok(ControlRequest::Status) => Reply::Done(
            serde_json::to_value(status.now().await).expect("a status has only JSON types"),
        ),
        Ok(ControlRequest::Request(request)) => {
            let done = tokio::task::spawn_blocking(move || administration.perform(&request));
            match done.await {
                Ok(Ok(value)) => Reply::Done(value),
                Ok(Err(AdminError { message, hint })) => Reply::Failed { message, hint },
                Err(error) => Reply::Failed { message: error.to_string(), hint: None },
            }
        }
        Ok(ControlRequest::Bundle(wish)) => {
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

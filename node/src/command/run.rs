//! `cunlian run`: the node itself.

use std::io::Write as _;

use clap::Args;
use cunlian_host::keystore::KeystoreError;
use cunlian_host::opening::OpeningError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{DataDir, runtime};
use crate::failure::{Failure, Outcome};
use crate::service::{Places, StartError, live};

/// Open files of a node: connections of browsers several times over.
const OPEN_FILES: u64 = 16_384;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    data: DataDir,
    /// Stop when standard input ends, so that the node does not outlive who started it
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Run {
    pub(super) fn run(self) -> Outcome {
        // Apart from those of the node, which end when it starts again.
        let signals = runtime()?;
        let (ended, end) = watch::channel(false);
        let mut terminate = signals.block_on(async { signal(SignalKind::terminate()) })?;
        let mut interrupt = signals.block_on(async { signal(SignalKind::interrupt()) })?;
        signals.spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = end_of_stdin(), if self.stop_with_stdin => {}
            }
            let _ = ended.send(true);
        });
        raise_open_files();
        let ready = |places: Places| {
            // A node whose output nobody reads any more goes on.
            let mut out = std::io::stdout();
            let _ = writeln!(out, "pages: http://{}", places.http);
            let _ = writeln!(out, "nodes: {} (UDP)", places.listen);
        };
        live(&self.data.data_dir, end, ready).map_err(start_failure)
    }
}

/// Allows as many open files as the system lets this user have: shells give 1,024, which browsers
/// alone may take, and then the store could not open its own.
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if let Err(error) = raised {
            tracing::warn!(%error, "this process may open few files");
        }
    }
}

/// Waits on a thread of its own, which the end of the process ends.
async fn end_of_stdin() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nothing is expected on it; an error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// An error of starting, with what to do about it.
pub(super) fn start_failure(error: StartError) -> Failure {
    let hint = match &error {
        StartError::Port { address, .. } => Some(format!(
            "another program, perhaps another node, uses port {}; stop it, or set another in cunlian.toml",
            address.port()
        )),
        StartError::Opening(error) => hint(error),
        StartError::Tls(_) | StartError::Runtime { .. } | StartError::Control { .. } => None,
    };
    match hint {
        Some(hint) => Failure::from(error).hint(hint),
        None => error.into(),
    }
}

/// An error of opening the store, with what to do about it.
pub(super) fn opening_failure(error: OpeningError) -> Failure {
    start_failure(StartError::Opening(error))
}

fn hint(error: &OpeningError) -> Option<String> {
    match error {
        OpeningError::Keystore(KeystoreError::Missing { .. }) => {
            Some("a node needs a key and a certificate first: cunlian init".to_owned())
        }
        OpeningError::Keystore(KeystoreError::Mode { path, .. }) => {
            Some(format!("chmod 600 {}", path.display()))
        }
        OpeningError::Store(error) => store_hint(error),
        OpeningError::Standing(_)
        | OpeningError::Keystore(_)
        | OpeningError::Config(_)
        | OpeningError::Fault(_)
        | OpeningError::Operator(_) => None,
    }
}

fn store_hint(error: &cunlian_crdt::store::OpenError) -> Option<String> {
    use cunlian_crdt::store::OpenError;
    match error {
        OpenError::NewerVersion { .. } => {
            Some("the data was written by a newer cunlian; install that version".to_owned())
        }
        OpenError::InUse { .. } => {
            Some("a node runs on this data directory already: cunlian status".to_owned())
        }
        OpenError::Io { .. } | OpenError::Chain(_) | OpenError::Storage(_) => None,
    }
}

//! The life of a node in its process: it starts again, inside it, when what it is has changed.
//!
//! A new certificate or key reaches everything that a node holds: the store, the hub, the pages,
//! the people's certificates. So nothing of it is exchanged while it runs; the node stops in order
//! and starts again on the same ports, within a second or two. Each such *generation* has a
//! runtime of its own, which ends all of its tasks with it: no connection of a browser keeps the
//! store of the generation before. Clock and figures go on through all of them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use cunlian_crdt::store::OpenError;
use cunlian_host::clock::Clock;
use cunlian_host::metrics::Metrics;
use cunlian_host::opening::OpeningError;
use tokio::sync::watch;

use super::{Service, StartError};

/// How long threads of a generation may take to end.
const LAST_WORK: Duration = Duration::from_secs(5);
/// Who asked for what led to the new start should still be answered.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// How long ports and store of the generation before may still be taken, by a command perhaps that
/// found no node running.
const PATIENCE: Duration = Duration::from_secs(20);
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Where a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// UDP address for other nodes.
    pub listen: SocketAddr,
    /// TCP address of the pages.
    pub http: SocketAddr,
}

/// What outlives a generation.
#[derive(Clone)]
pub(super) struct AcrossRestarts {
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// Where the generation before was; those of the configuration when there was none.
    pub(super) places: Option<Places>,
}

impl AcrossRestarts {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { clock: Clock::open(data_dir), metrics: Metrics::new(data_dir), places: None }
    }
}

/// Runs the node of a data directory until `stop` becomes true. `ready` is called once, when it
/// can be reached. Must not be called from a runtime.
pub fn live(
    data_dir: &Path,
    mut stop: watch::Receiver<bool>,
    ready: impl FnOnce(Places),
) -> Result<(), StartError> {
    let mut kept = AcrossRestarts::new(data_dir);
    let mut ready = Some(ready);
    loop {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|source| StartError::Runtime { source })?;
        let outcome = runtime.block_on(async {
            let service = start(data_dir, &kept).await?;
            kept.places = Some(service.places());
            if let Some(ready) = ready.take() {
                ready(service.places());
            }
            let restart = service.restart().clone();
            let again = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => false,
                () = restart.asked() => true,
            };
            if again {
                tracing::warn!("the node starts again: its certificate or its standing changed");
                tokio::time::sleep(LAST_ANSWERS).await;
            }
            service.stop().await;
            Ok::<bool, StartError>(again)
        });
        runtime.shutdown_timeout(LAST_WORK);
        if !outcome? {
            return Ok(());
        }
    }
}

async fn start(data_dir: &Path, kept: &AcrossRestarts) -> Result<Service, StartError> {
    let began = Instant::now();
    loop {
        let outcome = Service::start_with(data_dir, kept).await;
        let taken = matches!(
            &outcome,
            Err(StartError::Port { .. }
                | StartError::Opening(OpeningError::Store(OpenError::InUse { .. })))
        );
        if !taken || kept.places.is_none() || began.elapsed() >= PATIENCE {
            return outcome;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

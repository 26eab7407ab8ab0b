//! A running node: store, network, pages and status, put together.
//!
//! ```text
//!  keystore ─▶ identity ─▶ store ◀──── pages (HTTP)
//!  config ───────────────▶ network ──▶ reports ─▶ status ─▶ pages, control socket
//! ```

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::store::Store;
use cunlian_protocol::hub::Hub;
use cunlian_protocol::session::Identity;
use quinn::{AsyncUdpSocket, Endpoint, Runtime as _, TokioRuntime};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use cunlian_host::admin::{Administration, bundle};
use cunlian_host::clock::Clock;
use cunlian_host::config::Config;
use cunlian_host::control::path as control_path;
use cunlian_host::journal;
use cunlian_host::metrics::Metrics;
use cunlian_host::network::dialling::Endpoints;
use cunlian_host::network::enrol::Enrolment;
use cunlian_host::network::gate::Gate;
use cunlian_host::network::reset;
use cunlian_host::network::runtime::{Dependencies, Network};
use cunlian_host::network::tls::{self, TlsError};
use cunlian_host::opening::{OpeningError, node_author, open_store_at};
use cunlian_host::operator::Operators;
use cunlian_host::restart::Restart;
use cunlian_host::status::NodeStatus;
use cunlian_web::{WebConfig, WebState, serve};

mod control;
mod lineage_tokens;
mod maintenance;
mod restart;
mod status_publisher;

pub use restart::{Places, live};

use lineage_tokens::LineageTokens;
use maintenance::Maintenance;
use restart::AcrossRestarts;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of the data directory.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A port is taken.
    #[error("{what} {address} cannot be opened: {source}")]
    Port {
        /// What it is for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The error.
        source: io::Error,
    },
    /// The system gives no threads.
    #[error("the node could not start its threads: {source}")]
    Runtime {
        /// The error.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("{path}: {source}")]
    Control {
        /// Path of the socket.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// A node that runs until it is stopped.
pub struct Service {
    network: Network,
    store: Store,
    status: watch::Receiver<NodeStatus>,
    places: Places,
    restart: Restart,
    tasks: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts the node of a data directory. Whoever holds it heeds [`Service::restart`]; see
    /// [`live`].
    pub async fn start(data_dir: &Path) -> Result<Self, StartError> {
        Self::start_with(data_dir, &AcrossRestarts::new(data_dir)).await
    }

    async fn start_with(data_dir: &Path, kept: &AcrossRestarts) -> Result<Self, StartError> {
        let AcrossRestarts { clock, metrics, places } = kept.clone();
        let mut config = Config::load(data_dir).map_err(OpeningError::from)?;
        if let Some(places) = places {
            config.listen = places.listen;
            config.http = places.http;
        }
        let (store, identity) = open_store_at(data_dir, &clock)?;
        let gate = Gate::open(data_dir);
        let endpoints = endpoints(&config, &identity, &gate)?;
        let listen = endpoints.own.local_addr().unwrap_or(config.listen);
        let listener = TcpListener::bind(config.http)
            .await
            .map_err(|source| port_error("the HTTP port", config.http, source))?;
        let http = listener.local_addr().unwrap_or(config.http);
        let restart = Restart::new();
        let administration = administration(data_dir, &store, &identity, &clock, &restart);
        let (network, mut tasks) = connect(endpoints, &config, &administration, &metrics);
        let (watch, publishing) = status_publisher::start(
            store.clone(),
            &identity,
            &config,
            gate.clone(),
            network.reports(),
            clock.clone(),
        );
        let status = watch.latest();
        let control = control::start(data_dir, watch, administration.clone())
            .map_err(|source| StartError::Control { path: control_path(data_dir), source })?;
        let web = WebState::new(WebConfig {
            store: store.clone(),
            node: node_author(&identity),
            status: status.clone(),
            operators: Operators::new(data_dir),
            administration,
            metrics,
            now_ms: telling(&clock),
            public_url: config.public_url(),
            proxies: config.trusted_proxies.clone(),
            style_page: cfg!(debug_assertions) || config.style_page,
        });
        let pages = tokio::spawn(async move {
            if let Err(error) = serve(listener, web).await {
                tracing::error!(%error, "the pages stopped");
            }
        });
        tasks.extend([pages, publishing, control, tokio::spawn(gate.follow())]);
        Ok(Self { network, store, status, places: Places { listen, http }, restart, tasks })
    }

    /// Where it is reached.
    pub fn places(&self) -> Places {
        self.places
    }

    /// Its wish to be started again.
    pub fn restart(&self) -> &Restart {
        &self.restart
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Snapshots of the state.
    pub fn status(&self) -> watch::Receiver<NodeStatus> {
        self.status.clone()
    }

    /// Stops: pages first, then the connections, telling the peers.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.network.stop().await;
    }
}

/// Starts the network, with the tasks that do what it and the store leave to the node.
fn connect(
    endpoints: Endpoints,
    config: &Config,
    administration: &Administration,
    metrics: &Metrics,
) -> (Network, Vec<JoinHandle<()>>) {
    let Administration { store, identity, clock, data_dir, .. } = administration;
    let lines = LineageTokens::load(data_dir);
    let (tasks, left) = mpsc::unbounded_channel();
    let keys = config.peers.iter().map(|peer| peer.key).collect();
    let hub = Hub::new(Identity::clone(identity), store.authority(), keys)
        .with_lineage_tokens(lines.tokens().clone(), store.suspension().is_some());
    let targets = config.peers.clone();
    let dependencies = Dependencies {
        clock: clock.clone(),
        tasks,
        metrics: metrics.clone(),
        enrolment: Enrolment::new(administration.clone()),
    };
    let network = Network::start(endpoints, hub, targets, store, dependencies);
    let maintenance =
        Maintenance { administration: administration.clone(), clock: clock.clone(), lines };
    let maintenance = tokio::spawn(maintenance.run(left, network.events()));
    let (committed, learned) = (network.committed(), network.learned());
    let noted = Arc::new(Notify::new());
    let note = Arc::clone(&noted);
    store.on_commit(move |notice| {
        if notice.learned {
            learned();
        }
        committed();
        note.notify_one();
    });
    let keeper = journal::JournalWriter::new(store.clone(), Arc::clone(identity), clock.clone());
    let arrivals = tokio::spawn(bundle::keep_arrivals(administration.clone()));
    (network, vec![maintenance, tokio::spawn(keeper.run(noted)), arrivals])
}

fn telling(clock: &Clock) -> Arc<dyn Fn() -> i64 + Send + Sync> {
    let clock = clock.clone();
    Arc::new(move || clock.now_ms())
}

fn administration(
    data_dir: &Path,
    store: &Store,
    identity: &Identity,
    clock: &Clock,
    restart: &Restart,
) -> Administration {
    Administration {
        store: store.clone(),
        identity: Arc::new(identity.clone()),
        operators: Operators::new(data_dir),
        data_dir: data_dir.to_owned(),
        now_ms: telling(clock),
        clock: clock.clone(),
        restart: restart.clone(),
    }
}

fn endpoints(config: &Config, identity: &Identity, gate: &Gate) -> Result<Endpoints, StartError> {
    let (client, server) = tls::configure(&identity.key)?;
    let error = |source| port_error("the node port (UDP)", config.listen, source);
    let open = |address: SocketAddr, server| {
        let runtime = Arc::new(TokioRuntime);
        let socket = UdpSocket::bind(address)?;
        let socket: Arc<dyn AsyncUdpSocket> = runtime.wrap_udp_socket(socket)?;
        let reset = reset::configure(&identity.key);
        let mut endpoint =
            Endpoint::new_with_abstract_socket(reset, server, gate.guard(socket), runtime)?;
        endpoint.set_default_client_config(client.clone());
        Ok(endpoint)
    };
    let own = open(config.listen, Some(server)).map_err(error)?;
    // A machine without the other family does without.
    let other = Endpoints::other_family(config.listen).and_then(|any| open(any, None).ok());
    Ok(Endpoints { own, other })
}

fn port_error(what: &'static str, address: SocketAddr, source: io::Error) -> StartError {
    StartError::Port { what, address, source }
}

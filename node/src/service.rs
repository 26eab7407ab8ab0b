//! A running node: store, network, pages and status, put together.
//!
//! ```text
//!  keystore ─▶ identity ─▶ store ◀──── pages (HTTP)
//!  config ───────────────▶ network ──▶ reports ─▶ status ─▶ pages, control socket
//! ```

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{Fault, OpenError, Store, StoreIdentity, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::hub::Hub;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::region::Depth;
use cunlian_protocol::session::Identity;
use quinn::{AsyncUdpSocket, Endpoint, Runtime as _, TokioRuntime};
use rand::Rng as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin::Administration;
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::keystore::{Keystore, KeystoreError};
use crate::metrics::Metrics;
use crate::network::enrol::Enrolment;
use crate::network::gate::Gate;
use crate::network::reset;
use crate::network::runtime::{HubClock, Network};
use crate::network::tls::{self, TlsError};
use crate::operator::{OperatorError, Operators};
use crate::status::NodeStatus;
use crate::web::{WebConfig, WebState, serve};

mod control;
mod watching;

pub use control::{ControlError, ask_status, send_request};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Keys or certificates.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store could not take the node's own certificates.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Operators.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Whether the node may author cannot be told.
    #[error(transparent)]
    Standing(#[from] crate::standing::StandingError),
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
    http: SocketAddr,
    listen: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The address a node stands for: of its grants, the first one that reaches below its address.
pub fn own_region(certificate: &Certificate) -> AddressCode {
    let own = certificate.body().grants.iter().find(|g| g.region.depth == Depth::Subtree);
    own.map_or(AddressCode::COUNTRY, |grant| grant.region.prefix)
}

/// Every region a node holds with all that is below it, the one it stands for first: after villages
/// were joined, the old one and the new one. None of them is inside another.
pub fn own_regions(certificate: &Certificate) -> Vec<AddressCode> {
    let mut regions = vec![own_region(certificate)];
    let grants = certificate.body().grants.iter();
    for grant in grants.filter(|g| g.region.depth == Depth::Subtree && g.document.is_none()) {
        let prefix = grant.region.prefix;
        if !regions.iter().any(|region| region.contains(&prefix)) {
            regions.retain(|region| !prefix.contains(region));
            regions.push(prefix);
        }
    }
    regions
}

/// Opens the store of a data directory for the node that lives there.
pub fn open_store(data_dir: &Path) -> Result<(Store, Identity), StartError> {
    let keystore = Keystore::new(data_dir);
    let identity = keystore.identity()?;
    let store_identity = StoreIdentity {
        root: keystore.root()?,
        own: Some(identity.certificate.serial()),
        chain: identity.chain.clone(),
    };
    let projector = Arc::new(GovernanceProjector);
    let store = Store::open(data_dir, projector, store_identity, StoreOptions::default())?;
    store.add_certificates(&Operators::new(data_dir).certificates()?)?;
    if let Some(suspended) = crate::standing::check_in(data_dir, now_ms())? {
        store.suspend(suspended.reason);
    }
    Ok((store, identity))
}

/// Opens the store of a data directory whose node may not have joined yet, for reference data: a
/// terminal can be given its register before it has a certificate.
pub fn open_store_for_reference(data_dir: &Path) -> Result<Store, StartError> {
    if Keystore::new(data_dir).has_chain() {
        return open_store(data_dir).map(|(store, _)| store);
    }
    let identity =
        StoreIdentity { root: PublicKey([0; PublicKey::LENGTH]), own: None, chain: Vec::new() };
    let options = StoreOptions::default();
    Ok(Store::open(data_dir, Arc::new(GovernanceProjector), identity, options)?)
}

/// The node itself as an author, with a session of its own.
pub fn node_author(identity: &Identity) -> Author {
    Author {
        serial: identity.certificate.serial(),
        key: identity.key.clone(),
        session: rand::rng().next_u64(),
    }
}

impl Service {
    /// Starts the node of a data directory.
    pub async fn start(data_dir: &Path) -> Result<Self, StartError> {
        let config = Config::load(data_dir)?;
        let (store, identity) = open_store(data_dir)?;
        let gate = Gate::open(data_dir);
        let endpoint = endpoint(&config, &identity, &gate)?;
        let listen = endpoint.local_addr().unwrap_or(config.listen);
        let http = TcpListener::bind(config.http)
            .await
            .map_err(|source| port_error("the HTTP port", config.http, source))?;
        let http_address = http.local_addr().unwrap_or(config.http);
        let keys = config.peers.iter().map(|peer| peer.key).collect();
        let hub = Hub::new(identity.clone(), store.authority(), keys);
        let targets = config.peers.iter().map(|peer| peer.address).collect();
        let metrics = Metrics::new(data_dir);
        let clock = HubClock::start(now_ms());
        let administration = Administration {
            store: store.clone(),
            identity: Arc::new(identity.clone()),
            operators: Operators::new(data_dir),
            data_dir: data_dir.to_owned(),
            now_ms: Arc::new(now_ms),
        };
        let enrolment = Enrolment::new(administration.clone(), metrics.clone());
        let network =
            Network::start(endpoint, hub, targets, &store, clock, metrics.clone(), enrolment);
        let committed = network.committed();
        store.on_commit(move |_| committed());
        let (status, watching) =
            watching::start(store.clone(), &identity, &config, gate.clone(), network.reports());
        let control = control::start(data_dir, status.clone(), administration.clone())
            .map_err(|source| StartError::Control { path: control::path(data_dir), source })?;
        let web = WebState::new(WebConfig {
            store: store.clone(),
            node: node_author(&identity),
            status: status.clone(),
            operators: Operators::new(data_dir),
            administration,
            metrics,
            now_ms: Arc::new(now_ms),
            public_url: config.public_url(),
        });
        let pages = tokio::spawn(async move {
            if let Err(error) = serve(http, web).await {
                tracing::error!(%error, "the pages stopped");
            }
        });
        let tasks = vec![pages, watching, control, tokio::spawn(gate.follow())];
        Ok(Self { network, store, status, http: http_address, listen, tasks })
    }

    /// Where the pages are.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where other nodes reach this one.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Snapshots of the state.
    pub fn status(&self) -> watch::Receiver<NodeStatus> {
        self.status.clone()
    }

    /// Runs until `end`, then stops in order.
    pub async fn run_until(self, end: impl Future<Output = ()>) {
        end.await;
        self.stop().await;
    }

    /// Stops: pages first, then the connections, telling the peers.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.network.stop().await;
    }
}

fn endpoint(config: &Config, identity: &Identity, gate: &Gate) -> Result<Endpoint, StartError> {
    let (client, server) = tls::configure(&identity.key)?;
    let error = |source| port_error("the node port (UDP)", config.listen, source);
    let runtime = Arc::new(TokioRuntime);
    let socket = UdpSocket::bind(config.listen).map_err(error)?;
    let socket: Arc<dyn AsyncUdpSocket> = runtime.wrap_udp_socket(socket).map_err(error)?;
    let mut endpoint = Endpoint::new_with_abstract_socket(
        reset::configure(&identity.key),
        Some(server),
        gate.guard(socket),
        runtime,
    )
    .map_err(error)?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

fn port_error(what: &'static str, address: SocketAddr, source: io::Error) -> StartError {
    StartError::Port { what, address, source }
}

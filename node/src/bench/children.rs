//! Many terminals in one process: what a node is to its parent, without pages and upkeep.
//!
//! Each has a key and a certificate, a store on disk, a hub and a UDP socket at an address of its
//! own of the loopback, because a node counts newcomers by address.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::generator::Generator;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::admin::Administration;
use cunlian_host::clock::{Clock, now_ms};
use cunlian_host::config::Peer;
use cunlian_host::keystore::Keystore;
use cunlian_host::metrics::Metrics;
use cunlian_host::network::dialling::Endpoints;
use cunlian_host::network::enrol::Enrolment;
use cunlian_host::network::runtime::{Dependencies, Network, NodeTask};
use cunlian_host::network::tls;
use cunlian_host::operator::Operators;
use cunlian_host::preset;
use cunlian_host::restart::Restart;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::hub::{Hub, PeerReport};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use tokio::sync::{mpsc, watch};

use crate::demo::layout::Node;
use crate::failure::Failure;

/// First village code below the town, as digits.
const FIRST_VILLAGE: usize = 201;
/// Most children of a town by its codes.
pub(super) const MOST: usize = 799;
const YEAR_MS: i64 = 365 * 86_400_000;

/// A terminal that does not run yet.
pub(super) struct Child {
    dir: PathBuf,
    identity: Identity,
    store: Store,
    socket: UdpSocket,
}

/// A terminal that runs.
pub(super) struct Running {
    network: Network,
    // What is left to a node that has no upkeep piles up here.
    _left: mpsc::UnboundedReceiver<NodeTask>,
}

/// The parent as its children see it.
pub(super) struct Parent {
    identity: Identity,
    root: PublicKey,
    at: SocketAddr,
    region: AddressCode,
}

impl Parent {
    /// The node of a layout, provisioned.
    pub(super) fn of(node: &Node) -> Result<Self, Failure> {
        let keystore = Keystore::new(&node.dir);
        let (identity, root) = (keystore.identity()?, keystore.root()?);
        Ok(Self { identity, root, at: node.listen, region: node.region })
    }

    /// Makes the `number`-th terminal below this node, with an empty store.
    pub(super) fn child(&self, scratch: &Path, number: usize) -> Result<Child, Failure> {
        let region = format!("{}{}", self.region, FIRST_VILLAGE + number);
        let identity = self.certify(&region)?;
        let dir = scratch.join(&region);
        let of = StoreIdentity {
            root: self.root,
            own: Some(identity.certificate.serial()),
            chain: identity.chain.clone(),
        };
        let options = StoreOptions {
            readers: 1,
            writer_cache_kib: 256,
            reader_cache_kib: 128,
            ..StoreOptions::default()
        };
        let store = Store::open(&dir, Arc::new(GovernanceProjector), of, options)?;
        let [host, network] = u16::try_from(number)?.to_le_bytes();
        let address = Ipv4Addr::new(127, 1, network, host.max(1));
        let socket = UdpSocket::bind((address, 0))?;
        Ok(Child { dir, identity, store, socket })
    }

    fn certify(&self, region: &str) -> Result<Identity, Failure> {
        let key = SigningKey::from_bytes(&rand::random());
        let now = now_ms();
        let body = CertificateBody {
            subject: public_key(&key),
            name: region.to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Village,
            grants: preset::grants(Tier::Village, AddressCode::parse(region)?),
            issued_at_ms: now - YEAR_MS,
            not_after_ms: now + YEAR_MS,
            issuer: Some(self.identity.certificate.serial()),
        };
        let mut chain = self.identity.chain.clone();
        chain.push(Certificate::issue(&body, &self.identity.key));
        let authority = cunlian_protocol::authority::Authority::new(self.root);
        let certificate = authority.verify_chain(&chain)?;
        let software = concat!("cunlian ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Identity { certificate, chain, key, next_key: None, software, successions: Vec::new() })
    }
}

impl Child {
    /// Writes so many records of its village into its store.
    pub(super) fn write(&self, records: usize, seed: u64) -> Result<(), Failure> {
        let serial = self.identity.certificate.serial();
        let author = Author { serial, key: self.identity.key.clone(), session: seed };
        let village = AddressCode::parse(&self.identity.certificate.body().name)?;
        let writes: Vec<Write> = Generator::new(seed).records(village, records).flatten().collect();
        self.store.write(&author, writes, now_ms())?;
        Ok(())
    }

    /// Dials the parent at once.
    pub(super) fn start(self, parent: &Parent) -> Result<Running, Failure> {
        let Self { dir, identity, store, socket } = self;
        let (client, _) = tls::configure(&identity.key)?;
        let mut endpoint =
            Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
        endpoint.set_default_client_config(client);
        let parent_key = parent.identity.certificate.body().subject;
        let hub = Hub::new(identity.clone(), store.authority(), vec![parent_key]);
        let (clock, operators) = (Clock::open(&dir), Operators::new(&dir));
        let telling = clock.clone();
        let administration = Administration {
            store: store.clone(),
            identity: Arc::new(identity),
            operators,
            data_dir: dir.clone(),
            now_ms: Arc::new(move || telling.now_ms()),
            clock: clock.clone(),
            restart: Restart::default(),
        };
        let (tasks, left) = mpsc::unbounded_channel();
        let enrolment = Enrolment::new(administration);
        let dependencies = Dependencies { clock, tasks, metrics: Metrics::new(&dir), enrolment };
        let endpoints = Endpoints { own: endpoint, other: None };
        let parent = Peer { address: parent.at.into(), key: parent_key };
        let network = Network::start(endpoints, hub, vec![parent], &store, dependencies);
        store.on_commit({
            let committed = network.committed();
            move |_| committed()
        });
        Ok(Running { network, _left: left })
    }
}

impl Running {
    /// What it says about its parent.
    pub(super) fn reports(&self) -> watch::Receiver<Vec<PeerReport>> {
        self.network.reports()
    }

    /// Closes the connection.
    pub(super) async fn stop(self) {
        self.network.stop().await;
    }
}

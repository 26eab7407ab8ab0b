//! Moves bytes for the hub and carries out its effects.
//!
//! ```text
//!  quinn connection ─ reader ─▶ frames ─┐                    ┌─▶ writer ─ quinn connection
//!  endpoint ─ accept, dial ───▶ events ─┼─▶ one task: Hub ───┼─▶ dial
//!  store queues ───────────────▶ replies ┘                    └─▶ store queues (blocking threads)
//! ```
//!
//! The hub's task never waits: what it hands out is bounded by the limits of the sessions. A reader
//! waits while its session, or the node as a whole, has enough to do, so a peer that sends faster
//! than the disk can write is slowed down by QUIC flow control; a few readers at a time, in the order
//! they came, hand the hub a frame (`reader.rs`). Each connection has two queues to the store, each in
//! order: what changes the store in one, so that certificates precede the changes they cover, and what
//! only reads it in the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cunlian_crdt::store::Store;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::durability;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub, PeerReport};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::sync::StoreRequest;
use cunlian_protocol::wire::{FaultCode, LineageToken};
use quinn::VarInt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{FAREWELL, Link, Outgoing, Shared, close_late, dial};
use super::dialling::Endpoints;
use super::door;
use super::enrol::Enrolment;
use super::hub_clock::HubClock;
use super::reader::Allowance;
use super::refusals::Refusals;
use crate::clock::Clock;
use crate::config::Peer;
use crate::metrics::Metrics;

/// Events waiting for the hub; more make the readers wait.
const EVENTS: usize = 256;
/// Reports are published at most this often: while there is work, and at rest. With hundreds of
/// children each takes a while to put together.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
const PUBLISH_EVERY_AT_REST: Duration = Duration::from_millis(10);

/// A smaller difference is the rounding of two clocks.
const CLOCK_STEP_MS: u64 = 50;

/// What the hub leaves to the node, in order; see the effects of the same names.
#[derive(Debug)]
pub enum NodeTask {
    /// A node above says what time it is.
    Beacon(i64),
    /// Keep a lineage token durably.
    Line {
        /// Key of the peer.
        peer: PublicKey,
        /// The token.
        token: LineageToken,
    },
    /// Keep the new key of a peer.
    Succeeded {
        /// The key it was known by.
        old: PublicKey,
        /// Its key now.
        new: PublicKey,
    },
    /// Decide on a renewal, and answer with [`Event::Issued`].
    Renew {
        /// On which connection.
        connection: ConnectionId,
        /// Certificate of the child.
        child: Serial,
        /// What it asks for.
        renewal: Renewal,
        /// Whether it came for this alone.
        restricted: bool,
    },
    /// Take over a new chain.
    Issued(Vec<Vec<u8>>),
    /// Author nothing more.
    Suspend {
        /// For people.
        reason: String,
    },
}

/// What the network needs of the rest of the node.
pub struct Dependencies {
    /// Trusted time.
    pub clock: Clock,
    /// Takes the tasks.
    pub tasks: mpsc::UnboundedSender<NodeTask>,
    /// Counts what is refused.
    pub metrics: Metrics,
    /// Serves those who want to join.
    pub enrolment: Arc<Enrolment>,
}

/// The running network side of a node; dropping it stops nothing, see [`Network::stop`].
pub struct Network {
    committed: Arc<Notify>,
    learned: Arc<Notify>,
    reports: watch::Receiver<Vec<PeerReport>>,
    events: mpsc::Sender<Event>,
    task: tokio::task::JoinHandle<()>,
    endpoints: Endpoints,
}

struct Driver {
    hub: Hub,
    clock: HubClock,
    trusted: Clock,
    /// Trusted time less the time of the hub, as the hub knows it.
    offset_ms: i64,
    tasks: mpsc::UnboundedSender<NodeTask>,
    shared: Shared,
    targets: Vec<Peer>,
    links: BTreeMap<ConnectionId, Link>,
    authority: Arc<Authority>,
    crowded: watch::Sender<bool>,
    reports: watch::Sender<Vec<PeerReport>>,
    published: Instant,
    /// Whether something happened since.
    stale: bool,
}

impl Network {
    /// Starts listening on its own endpoint and dialling `targets`, which the hub knows by position.
    pub fn start(
        endpoints: Endpoints,
        hub: Hub,
        targets: Vec<Peer>,
        store: &Store,
        dependencies: Dependencies,
    ) -> Self {
        let clock = HubClock::start(dependencies.clock.now_ms());
        let (events, inbox) = mpsc::channel(EVENTS);
        let (links, new_links) = mpsc::unbounded_channel();
        let (publish, reports) = watch::channel(Vec::new());
        let (crowded, allowance) = Allowance::new();
        let shared = Shared {
            endpoints: endpoints.clone(),
            refusals: Refusals::new(dependencies.metrics, clock),
            enrolment: dependencies.enrolment,
            store: store.clone(),
            events: events.clone(),
            next_connection: Arc::new(AtomicU64::new(1)),
            allowance,
            links,
        };
        tokio::spawn(door::accept(shared.clone()));
        let authority = store.authority();
        let driver = Driver {
            hub,
            clock,
            offset_ms: 0,
            trusted: dependencies.clock,
            tasks: dependencies.tasks,
            shared,
            targets,
            links: BTreeMap::new(),
            authority,
            crowded,
            reports: publish,
            published: Instant::now(),
            stale: false,
        };
        let (committed, learned) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = (Arc::clone(&committed), Arc::clone(&learned));
        let task = tokio::spawn(driver.run(inbox, new_links, told));
        Self { committed, learned, reports, events, task, endpoints }
    }

    /// Where to say that the store has new changes; cheap, and never waits.
    pub fn committed(&self) -> impl Fn() + Send + Sync + 'static + use<> {
        let committed = Arc::clone(&self.committed);
        // Many commits may become one event: the hub then looks at all that is new.
        move || committed.notify_one()
    }

    /// Where to say that it was learned, otherwise than in a session, what tiers above hold.
    pub fn learned(&self) -> impl Fn() + Send + Sync + 'static + use<> {
        let learned = Arc::clone(&self.learned);
        move || learned.notify_one()
    }

    /// The latest reports about peers.
    pub fn reports(&self) -> watch::Receiver<Vec<PeerReport>> {
        self.reports.clone()
    }

    /// Where to tell the hub what became of its tasks.
    pub fn events(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }

    /// Closes all connections, telling the peers.
    pub async fn stop(self) {
        self.task.abort();
        let code = VarInt::from_u32(FaultCode::Stopping as u32);
        // What remains unsaid after a second is left to the peers' idle timers.
        let _ = timeout(FAREWELL, self.endpoints.close(code, b"stopping")).await;
    }
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Event>,
        mut new_links: mpsc::UnboundedReceiver<(ConnectionId, Link)>,
        (committed, learned): (Arc<Notify>, Arc<Notify>),
    ) {
        self.handle(Event::Tick);
        loop {
            let deadline = self.hub.next_deadline_ms().map(|at| self.clock.instant(at));
            let deadline = deadline.unwrap_or_else(|| Instant::now() + FAREWELL);
            let deadline =
                if self.stale { deadline.min(self.published + PUBLISH_EVERY) } else { deadline };
            tokio::select! {
                biased;
                Some((connection, link)) = new_links.recv() => {
                    self.links.insert(connection, link);
                }
                () = committed.notified() => self.handle(Event::Committed),
                () = learned.notified() => self.handle(Event::Learned),
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = sleep_until(deadline) => self.handle(Event::Tick),
            }
            self.follow_clock();
            self.shared.refusals.say_again();
            self.publish(inbox.is_empty());
        }
    }

    fn handle(&mut self, event: Event) {
        let (concerned, is_frame) = concerned(&event);
        let gone = match &event {
            Event::Gone { connection, .. } => Some(*connection),
            Event::Committed => {
                self.refresh_authority();
                None
            }
            Event::Stored { connection, reply: Ok(reply), .. } => {
                let peer = self.links.get(connection).and_then(|link| link.sends_as);
                let peer = peer.map(|peer| self.authority.name(&peer)).unwrap_or_default();
                self.shared.refusals.stored(&peer, reply);
                None
            }
            Event::Stored { .. }
            | Event::Dialled { .. }
            | Event::DialFailed { .. }
            | Event::Accepted { .. }
            | Event::Frame { .. }
            | Event::Unframed { .. }
            | Event::Sent { .. }
            | Event::Authority(_)
            | Event::Clock { .. }
            | Event::Issued { .. }
            | Event::Learned
            | Event::Tick => None,
        };
        self.feed(event);
        if let Some(connection) = gone {
            self.links.remove(&connection);
        }
        // Room is made by what concerns the connection itself.
        if let Some((connection, link)) =
            concerned.and_then(|connection| Some((connection, self.links.get(&connection)?)))
        {
            let room = self.hub.has_room(connection);
            link.flow.send_if_modified(|flow| flow.note(room, is_frame));
        }
        let crowded = self.hub.is_crowded();
        self.crowded.send_if_modified(|known| std::mem::replace(known, crowded) != crowded);
    }

    /// Trusted time moves against the steady time of the hub when a node above has said the time,
    /// and when the machine has slept.
    fn follow_clock(&mut self) {
        let offset_ms = self.trusted.now_ms().saturating_sub(self.clock.now_ms());
        if offset_ms.abs_diff(self.offset_ms) > CLOCK_STEP_MS {
            self.offset_ms = offset_ms;
            self.feed(Event::Clock { offset_ms });
        }
    }

    /// New certificates reach the hub before the changes they cover are pushed.
    fn refresh_authority(&mut self) {
        let latest = self.shared.store.authority();
        if !Arc::ptr_eq(&latest, &self.authority) {
            self.authority = Arc::clone(&latest);
            self.feed(Event::Authority(latest));
        }
    }

    fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.hub.handle(self.clock.now_ms(), &mut rand::rng(), event, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial(target) => {
                if let Some(peer) = self.targets.get(target.0) {
                    tokio::spawn(dial(self.shared.clone(), target, peer.clone()));
                }
            }
            Effect::Send { connection, frame } => {
                if let Some(link) = self.links.get(&connection) {
                    let _ = link.outgoing.send(Outgoing::Frame(frame));
                }
            }
            Effect::Store { connection, number, request } => {
                if let Some(link) = self.links.get_mut(&connection) {
                    if let StoreRequest::Ingest { from, .. } = &request {
                        link.sends_as = Some(*from);
                    }
                    let queue =
                        if changes_store(&request) { &link.changing } else { &link.reading };
                    let _ = queue.send((number, request));
                }
            }
            Effect::Close { connection, code, reason } => {
                let link = self.links.get(&connection);
                let from = link.map(|link| link.connection.remote_address().ip());
                self.shared.refusals.closed(connection.0, from, code, &reason);
                if let Some(link) = link {
                    tokio::spawn(close_late(link.connection.clone(), code));
                    let _ = link.outgoing.send(Outgoing::Close(code, reason));
                }
            }
            Effect::Beacon(at_ms) => self.leave(NodeTask::Beacon(at_ms)),
            Effect::Line { peer, token } => self.leave(NodeTask::Line { peer, token }),
            Effect::Succeeded { old, new } => self.leave(NodeTask::Succeeded { old, new }),
            Effect::Renew { connection, child, renewal, restricted } => {
                self.leave(NodeTask::Renew { connection, child, renewal, restricted });
            }
            Effect::Issued(chain) => self.leave(NodeTask::Issued(chain)),
            Effect::Suspend { reason } => self.leave(NodeTask::Suspend { reason }),
            Effect::Notice { peer, text } => self.shared.refusals.notice(&peer, &text),
        }
    }

    fn leave(&self, task: NodeTask) {
        // Nobody takes it when the node is about to stop.
        let _ = self.tasks.send(task);
    }

    fn publish(&mut self, idle: bool) {
        let pause = if idle { PUBLISH_EVERY_AT_REST } else { PUBLISH_EVERY };
        self.stale = self.published.elapsed() < pause;
        if !self.stale {
            self.published = Instant::now();
            let reports = self.hub.reports();
            self.reports.send_if_modified(|known| {
                let news = *known != reports;
                *known = reports;
                news
            });
        }
    }
}

/// The connection that an event is about, and whether it is a frame.
fn concerned(event: &Event) -> (Option<ConnectionId>, bool) {
    match event {
        Event::Frame { connection, .. } => (Some(*connection), true),
        Event::Stored { connection, .. }
        | Event::Sent { connection, .. }
        | Event::Unframed { connection, .. }
        | Event::Issued { connection, .. }
        | Event::Accepted { connection, .. }
        | Event::Dialled { connection, .. } => (Some(*connection), false),
        Event::Gone { .. }
        | Event::DialFailed { .. }
        | Event::Authority(_)
        | Event::Clock { .. }
        | Event::Committed
        | Event::Learned
        | Event::Tick => (None, false),
    }
}

/// Whether a request is for the queue of those that change the store.
pub fn changes_store(request: &StoreRequest) -> bool {
    match request {
        StoreRequest::Ingest { .. }
        | StoreRequest::Certificates { .. }
        | StoreRequest::Revocations { .. }
        | StoreRequest::Successions { .. }
        | StoreRequest::Admit { .. }
        | StoreRequest::AdmitBelow { .. }
        | StoreRequest::MarkReached { .. }
        | StoreRequest::Durability(
            durability::Request::Mark(_) | durability::Request::Lost { .. },
        )
        | StoreRequest::MarkRefused { .. }
        | StoreRequest::MarkPostponed { .. } => true,
        StoreRequest::Blob(request) => request.is_write(),
        StoreRequest::Overview { .. }
        | StoreRequest::Frontier { .. }
        | StoreRequest::Against { .. }
        | StoreRequest::Shorts { .. }
        | StoreRequest::Read { .. }
        | StoreRequest::Waiting { .. }
        | StoreRequest::Durability(
            durability::Request::Unsettled { .. } | durability::Request::Answer { .. },
        ) => false,
    }
}

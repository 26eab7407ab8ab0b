//! Nodes with real stores and hubs, joined by wires in memory, in virtual time.
//!
//! One queue holds everything on its way: frames, answers of stores, ends of connections. It is
//! worked off in order; when it is empty, time jumps to the next deadline of a hub.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use cunlian_crdt::bundle::{Output, Owner, Plan, export, import};
use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions, Suspension};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::admin::renewal::renew;
use cunlian_host::clock::{Clock, Judgement, Source};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub, PeerReport, TargetId};
use cunlian_protocol::id::{ChangeId, PublicKey};
use cunlian_protocol::scope::Scope;
use cunlian_protocol::session::{Channel, Identity, Report};
use cunlian_protocol::wire::{self, FaultCode, Frame, LineageToken, Message};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

pub use super::home;
use crate::member::Member;

mod machines;

/// When every story begins, milliseconds since 1970.
pub const START_MS: i64 = 1_795_000_000_000;
/// More events than any story here needs: a story that does not come to rest fails.
const MOST_EVENTS: u64 = 400_000;

/// A node of the story.
pub struct Node {
    /// Who it is.
    pub member: Member,
    /// What it holds.
    pub store: Store,
    /// Its side of all sessions.
    pub hub: Hub,
    /// What it has said to people.
    pub notices: Vec<String>,
    /// The sessions that it has ended, and why.
    pub closed: Vec<(FaultCode, String)>,
    targets: Vec<PublicKey>,
    /// What a process keeps on disk.
    pub lines: BTreeMap<PublicKey, LineageToken>,
    /// Whether it asks to be certified anew because it may be a copy.
    pub suspended: bool,
    /// What the machine says the time is, less what it is.
    clock_error_ms: Arc<AtomicI64>,
    clock: Clock,
    offset_ms: i64,
    /// The directory of its store.
    pub dir: PathBuf,
    authority: Arc<Authority>,
    committed: Arc<AtomicBool>,
}

/// The file of a store in its directory.
const STORE: &str = "store.sqlite";

/// An earlier state of a node.
pub struct Backup {
    member: Member,
    lines: BTreeMap<PublicKey, LineageToken>,
    dir: TempDir,
}

/// Everything there is.
pub struct World {
    /// The time, milliseconds since 1970.
    pub now_ms: i64,
    /// The same for the clocks of the machines.
    steady_ms: Arc<AtomicI64>,
    /// All nodes by number.
    pub nodes: Vec<Node>,
    /// Every frame sent so far, with sender, as on the wire.
    pub tape: Vec<(usize, Vec<u8>)>,
    /// The line breaks when so many more frames have been sent.
    pub frames_until_cut: Option<usize>,
    /// Whether certificates get lost on the way.
    pub loses_certificates: bool,
    /// A node that answers requests for certificates with this, whatever they are.
    pub gives: Option<(usize, Vec<Vec<u8>>)>,
    /// A node that refuses so many requests for certificates yet.
    pub refuses: Option<(usize, u32)>,
    rng: StdRng,
    queue: VecDeque<(usize, Event)>,
    lines: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    cut: BTreeSet<(usize, usize)>,
    /// Whom one reaches where a node with this key is, or was.
    addresses: BTreeMap<PublicKey, usize>,
    next_connection: u64,
    dir: TempDir,
}

impl World {
    /// Nobody yet. The seed decides exporters and jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            now_ms: START_MS,
            steady_ms: Arc::new(AtomicI64::new(START_MS)),
            nodes: Vec::new(),
            tape: Vec::new(),
            frames_until_cut: None,
            loses_certificates: false,
            gives: None,
            refuses: None,
            rng: StdRng::seed_from_u64(seed),
            queue: VecDeque::new(),
            lines: BTreeMap::new(),
            cut: BTreeSet::new(),
            addresses: BTreeMap::new(),
            next_connection: 0,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Adds a node that dials those with these keys; gives its number.
    pub fn add(&mut self, member: &Member, targets: &[PublicKey]) -> usize {
        self.add_with_clock(member, targets, 0)
    }

    /// Adds a node whose machine's clock is wrong by so much.
    pub fn add_with_clock(
        &mut self,
        member: &Member,
        targets: &[PublicKey],
        error_ms: i64,
    ) -> usize {
        let dir = self.dir.path().join(self.nodes.len().to_string());
        let committed = Arc::new(AtomicBool::new(false));
        let store = open(&dir, member.store_identity(), &committed);
        let authority = store.authority();
        let clock_error_ms = Arc::new(AtomicI64::new(error_ms));
        let machine = Machine(Arc::clone(&self.steady_ms), Arc::clone(&clock_error_ms));
        let clock = Clock::with_source(&dir, machine);
        let hub = Hub::new(member.identity.clone(), Arc::clone(&authority), targets.to_vec());
        self.nodes.push(Node {
            member: member.clone(),
            store,
            hub,
            notices: Vec::new(),
            closed: Vec::new(),
            targets: targets.to_vec(),
            lines: BTreeMap::new(),
            suspended: false,
            clock_error_ms,
            clock,
            offset_ms: 0,
            dir,
            authority,
            committed,
        });
        let at = self.nodes.len() - 1;
        self.addresses.entry(member.public_key()).or_insert(at);
        self.follow_clock(at);
        at
    }

    /// The process of a node ends and starts again: its connections go, its store stays.
    pub fn restart(&mut self, at: usize) {
        self.drop_lines(|(one, _), (other, _)| one == at || other == at);
        self.queue.retain(|(to, _)| *to != at);
        let node = &mut self.nodes[at];
        let (identity, targets) = (node.member.identity.clone(), node.targets.clone());
        node.authority = node.store.authority();
        let hub = Hub::new(identity, Arc::clone(&node.authority), targets);
        node.hub = hub.with_lineage_tokens(node.lines.clone(), node.suspended);
        node.offset_ms = 0;
        self.follow_clock(at);
    }

    /// The process starts again as another: with this identity, on the same store.
    pub fn become_other(&mut self, at: usize, identity: Identity) {
        let node = &mut self.nodes[at];
        node.member = Member { identity };
        node.suspended = false;
        self.addresses.insert(node.member.public_key(), at);
        // The store is closed with its last handle.
        node.store = open(&node.dir.with_extension("none"), nobody(), &Arc::default());
        node.store = open(&node.dir, node.member.store_identity(), &node.committed);
        self.restart(at);
    }

    /// Time goes by without anything happening.
    pub fn pass(&mut self, ms: i64) {
        self.set_now(self.now_ms + ms);
    }

    /// The machine's clock of a node is set to be wrong by so much.
    pub fn set_clock(&mut self, at: usize, error_ms: i64) {
        self.nodes[at].clock_error_ms.store(error_ms, Ordering::SeqCst);
    }

    /// What a node takes for the time.
    pub fn trusted_ms(&self, at: usize) -> i64 {
        self.nodes[at].clock.now_ms()
    }

    /// A person says that the machine's clock of a node is right.
    pub fn believe_clock(&mut self, at: usize) {
        self.nodes[at].clock.believe_system();
        self.follow_clock(at);
    }

    /// What a node says about its machine's clock.
    pub fn judgement(&self, at: usize) -> Judgement {
        self.nodes[at].clock.check()
    }

    /// Cuts the line between two nodes.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
        self.drop_lines(|(a, _), (b, _)| (a, b) == (one, other) || (a, b) == (other, one));
    }

    /// Heals the line between two nodes.
    pub fn heal(&mut self, one: usize, other: usize) {
        self.cut.remove(&(one, other));
        self.cut.remove(&(other, one));
    }

    /// Lets everything happen that happens within this time.
    pub fn run(&mut self, duration_ms: i64) {
        let until = self.now_ms + duration_ms;
        let mut events = 0_u64;
        for at in 0..self.nodes.len() {
            self.handle(at, Event::Tick);
        }
        loop {
            while let Some((at, event)) = self.queue.pop_front() {
                events += 1;
                assert!(events < MOST_EVENTS, "the nodes do not come to rest");
                self.handle(at, event);
            }
            let deadlines = self.nodes.iter().map(|node| node.hub.next_deadline_ms());
            let Some(next) = deadlines.flatten().min().filter(|next| *next <= until) else {
                self.set_now(until);
                return;
            };
            self.set_now(self.now_ms.max(next));
            events += 1;
            for at in 0..self.nodes.len() {
                self.handle(at, Event::Tick);
            }
        }
    }

    /// Lets so many of the events happen that wait, or all if they are fewer; if none does, time goes
    /// on to the next deadline.
    pub fn run_events(&mut self, count: usize) {
        if self.queue.is_empty() {
            let deadlines = self.nodes.iter().filter_map(|node| node.hub.next_deadline_ms());
            if let Some(next) = deadlines.min() {
                self.set_now(self.now_ms.max(next));
            }
        }
        for at in 0..self.nodes.len() {
            self.handle(at, Event::Tick);
        }
        for _ in 0..count {
            let Some((at, event)) = self.queue.pop_front() else { return };
            self.handle(at, event);
        }
    }

    /// Writes records at a node, one document for each number, in the name of an author.
    pub fn write(&mut self, at: usize, author: &Author, writes: Vec<Write>) -> Vec<ChangeId> {
        let now_ms = self.trusted_ms(at);
        let ids = self.nodes[at].store.write(author, writes, now_ms).unwrap();
        self.after_store(at);
        ids
    }

    /// Exports a bundle at a running node for another, and takes it in there.
    pub fn carry(&mut self, from: usize, to: usize) {
        let recipient = Some(self.nodes[to].member.identity.certificate.clone());
        let now_ms = self.trusted_ms(from);
        let (bundle, ephemeral) = ([7; 16], self.random());
        let (regions, since_ms, part_bytes) = (Vec::new(), None, None);
        let plan = Plan { bundle, recipient, ephemeral, regions, since_ms, part_bytes, now_ms };
        let mut bytes = Vec::new();
        let mut output = |output: Output<'_>| {
            if let Output::Bytes(some) = output {
                bytes.extend_from_slice(some);
            }
            Ok(())
        };
        let Node { store, member, .. } = &self.nodes[from];
        export(store, &member.identity, &plan, &mut output, &mut |_, _| {}).unwrap();
        let learned = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&learned);
        let Node { store, member, .. } = &self.nodes[to];
        store.on_commit(move |notice| {
            flag.fetch_or(notice.learned, Ordering::SeqCst);
        });
        let owner = Owner { identity: &member.identity, now_ms: self.trusted_ms(to) };
        import(store, owner, bytes.as_slice(), &mut |_, _| {}).unwrap();
        self.after_store(to);
        if learned.load(Ordering::SeqCst) {
            self.queue.push_back((to, Event::Learned));
        }
    }

    /// Connects to node `at` from outside, with a key of one's own; gives the connection there.
    pub fn knock(&mut self, at: usize, peer_key: PublicKey) -> (ConnectionId, Channel) {
        let connection = self.new_connection();
        let channel = Channel { exporter: self.random(), peer_key };
        self.handle(at, Event::Accepted { connection, channel: channel.clone() });
        (connection, channel)
    }

    /// Gives a frame (length included) to a node.
    pub fn give(&mut self, at: usize, connection: ConnectionId, frame: &[u8]) {
        self.handle(at, Event::Frame { connection, bytes: frame[4..].to_vec() });
    }

    /// A node is told that so many bytes have been written to a connection.
    pub fn wrote(&mut self, at: usize, connection: ConnectionId, bytes: usize) {
        self.handle(at, Event::Sent { connection, bytes });
    }

    /// The figures of a node about the peer of this name.
    pub fn report(&self, at: usize, peer: &str) -> Report {
        self.peer(at, peer).session.unwrap()
    }

    /// What a node says about the peer of this name.
    pub fn peer(&self, at: usize, peer: &str) -> PeerReport {
        let reports = self.nodes[at].hub.reports();
        let found = reports.iter().find(|report| report.name.as_deref() == Some(peer));
        found.unwrap_or_else(|| panic!("{peer} is not in {reports:#?}")).clone()
    }

    /// Ids of all changes of a store within a scope.
    pub fn ids(&self, at: usize, scope: &Scope) -> BTreeSet<Vec<u8>> {
        let keys: Vec<Vec<u8>> = self.nodes[at]
            .store
            .read(|connection| {
                let mut select = connection.prepare("SELECT key FROM change")?;
                select.query_map([], |row| row.get(0))?.collect()
            })
            .unwrap();
        keys.into_iter().filter(|key| scope.allows(key)).collect()
    }

    /// What both nodes may read.
    pub fn common_scope(&self, one: usize, other: usize) -> Scope {
        let scope = |at: usize| {
            let node: &Node = &self.nodes[at];
            node.store.authority().read_scope(&node.member.serial())
        };
        scope(one).intersection(&scope(other))
    }

    /// Fails unless both hold the same of what both may read, and something of it.
    pub fn assert_equal(&self, one: usize, other: usize) {
        let scope = self.common_scope(one, other);
        let held = self.ids(one, &scope);
        assert!(!held.is_empty());
        assert_eq!(held.len(), self.ids(other, &scope).len());
        assert!(held == self.ids(other, &scope));
    }

    fn handle(&mut self, at: usize, event: Event) {
        let mut effects = Vec::new();
        self.nodes[at].hub.handle(self.now_ms, &mut self.rng, event, &mut effects);
        for effect in effects {
            self.carry_out(at, effect);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Dial(target) => self.dial(at, target),
            Effect::Send { connection, frame } => self.send(at, connection, &frame),
            Effect::Store { connection, number, request } => {
                let reply = self.nodes[at].store.serve(request).map_err(|fault| fault.to_string());
                self.queue.push_back((at, Event::Stored { connection, number, reply }));
                self.after_store(at);
            }
            Effect::Close { connection, code, reason } => {
                self.nodes[at].closed.push((code, reason.clone()));
                self.queue.push_back((at, Event::Gone { connection, reason: reason.clone() }));
                if let Some((to, other)) = self.lines.remove(&(at, connection)) {
                    self.lines.remove(&(to, other));
                    self.queue.push_back((to, Event::Gone { connection: other, reason }));
                }
            }
            Effect::Line { peer, token } => {
                self.nodes[at].lines.insert(peer, token);
            }
            Effect::Beacon(at_ms) => {
                self.nodes[at].clock.beacon(at_ms);
                self.follow_clock(at);
            }
            Effect::Succeeded { old, new } => {
                let targets = &mut self.nodes[at].targets;
                targets.iter_mut().filter(|key| **key == old).for_each(|key| *key = new);
            }
            Effect::Renew { connection, .. }
                if self.gives.as_ref().is_some_and(|(giver, _)| *giver == at) =>
            {
                let (_, chain) = self.gives.clone().unwrap();
                self.queue.push_back((at, Event::Issued { connection, outcome: Ok(chain) }));
            }
            Effect::Renew { connection, .. }
                if self.refuses.is_some_and(|(who, left)| who == at && left > 0) =>
            {
                self.refuses = self.refuses.map(|(who, left)| (who, left - 1));
                let outcome = Err("the store is full".to_owned());
                self.queue.push_back((at, Event::Issued { connection, outcome }));
            }
            Effect::Renew { connection, child, renewal, restricted } => {
                let Node { store, member, clock, .. } = &self.nodes[at];
                let now_ms = clock.now_ms();
                let outcome = renew(store, &member.identity, now_ms, &child, &renewal, restricted);
                let outcome = outcome.map_err(|error| error.to_string());
                self.queue.push_back((at, Event::Issued { connection, outcome }));
                self.after_store(at);
            }
            Effect::Issued(chain) => self.take_over(at, &chain),
            Effect::Suspend { .. } => {
                let node = &mut self.nodes[at];
                if !node.suspended {
                    node.suspended = true;
                    node.store.suspend(Suspension::Forked);
                    self.restart(at);
                }
            }
            Effect::Notice { text, .. } => self.nodes[at].notices.push(text),
        }
    }

    /// A node takes over the chain its issuer gave it.
    fn take_over(&mut self, at: usize, chain: &[Vec<u8>]) {
        let node = &self.nodes[at];
        let member = node.member.renewed(&node.store.authority(), chain);
        self.become_other(at, member.identity);
    }

    /// Tells the hub how trusted time and its own differ.
    fn follow_clock(&mut self, at: usize) {
        let offset_ms = self.trusted_ms(at) - self.now_ms;
        if offset_ms != self.nodes[at].offset_ms {
            self.nodes[at].offset_ms = offset_ms;
            self.queue.push_back((at, Event::Clock { offset_ms }));
        }
    }

    fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.steady_ms.store(now_ms, Ordering::SeqCst);
    }

    /// The hub learns of new certificates before the changes they cover.
    fn after_store(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.committed.swap(false, Ordering::SeqCst) {
            return;
        }
        let latest = node.store.authority();
        if !Arc::ptr_eq(&latest, &node.authority) {
            node.authority = Arc::clone(&latest);
            self.queue.push_back((at, Event::Authority(latest)));
        }
        self.queue.push_back((at, Event::Committed));
    }

    fn dial(&mut self, at: usize, target: TargetId) {
        let key = self.nodes[at].targets[target.0];
        let to = self.addresses.get(&key).copied();
        if let Some(to) = to.filter(|to| !self.cut.contains(&(at, *to))) {
            self.connect(at, target, to);
        } else {
            let reason = "no answer".to_owned();
            self.queue.push_back((at, Event::DialFailed { target, reason }));
        }
    }

    /// A connection of `at` for its target ends up at node `to`, whoever that is.
    pub fn connect(&mut self, at: usize, target: TargetId, to: usize) {
        let (here, there) = (self.new_connection(), self.new_connection());
        self.lines.insert((at, here), (to, there));
        self.lines.insert((to, there), (at, here));
        let exporter = self.random();
        let channel = |peer: usize| {
            let peer_key = self.nodes[peer].member.public_key();
            Channel { exporter, peer_key }
        };
        let accepted = Event::Accepted { connection: there, channel: channel(at) };
        let dialled = Event::Dialled { target, connection: here, channel: channel(to) };
        self.queue.extend([(to, accepted), (at, dialled)]);
    }

    fn send(&mut self, at: usize, connection: ConnectionId, frame: &[u8]) {
        self.tape.push((at, frame.to_vec()));
        if let Some(left) = &mut self.frames_until_cut {
            if *left == 0 {
                self.frames_until_cut = None;
                if let Some((to, _)) = self.lines.get(&(at, connection)).copied() {
                    self.cut(at, to);
                }
                return;
            }
            *left -= 1;
        }
        let Some((to, other)) = self.lines.get(&(at, connection)).copied() else { return };
        if self.loses_certificates
            && let Ok(Frame::Message(Message::Certificates(_))) = wire::decode(&frame[4..])
        {
            return;
        }
        self.queue.push_back((at, Event::Sent { connection, bytes: frame.len() }));
        let bytes = frame[4..].to_vec();
        self.queue.push_back((to, Event::Frame { connection: other, bytes }));
    }

    /// What is under way on these lines is lost, and both ends are told.
    fn drop_lines(&mut self, lost: impl Fn((usize, ConnectionId), (usize, ConnectionId)) -> bool) {
        let gone: Vec<(usize, ConnectionId)> =
            self.lines.iter().filter(|(a, b)| lost(**a, **b)).map(|(a, _)| *a).collect();
        for end in gone {
            self.lines.remove(&end);
            self.queue.retain(|(to, event)| {
                !matches!(event, Event::Frame { connection, .. } if (*to, *connection) == end)
            });
            let reason = "the line was cut".to_owned();
            self.queue.push_back((end.0, Event::Gone { connection: end.1, reason }));
        }
    }

    fn new_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId(self.next_connection)
    }

    fn random(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

fn nobody() -> StoreIdentity {
    StoreIdentity { root: PublicKey([0; 32]), own: None, chain: Vec::new() }
}

/// Opens a store, which tells of its commits.
fn open(dir: &Path, identity: StoreIdentity, committed: &Arc<AtomicBool>) -> Store {
    let projector = Arc::new(GovernanceProjector);
    let store = Store::open(dir, projector, identity, StoreOptions::default()).unwrap();
    let flag = Arc::clone(committed);
    store.on_commit(move |_| flag.store(true, Ordering::SeqCst));
    store
}

/// A machine whose system clock may be wrong.
struct Machine(Arc<AtomicI64>, Arc<AtomicI64>);

impl Source for Machine {
    fn system_ms(&self) -> i64 {
        self.steady_ms() + self.1.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A write of one field, in a document of this number.
pub fn put(category: Category, address: &str, document: u32, text: &str) -> Write {
    super::put(home(category, address, document), "name", text)
}

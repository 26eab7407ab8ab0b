//! Hubs joined by lines with a breadth and a delay, in virtual time.
//!
//! What a hub sends waits until the line has carried what was sent before. A line that is cut
//! loses what it had not carried to the end; what it had carried until then is counted. A store
//! does one change of its content after the other, and each takes its time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub, TargetId};
use cunlian_protocol::id::{DocumentId, PublicKey};
use cunlian_protocol::session::Channel;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_tests::member::Member;
use cunlian_tests::world::open;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

use super::child::Child;

/// A batch of changes, by its fifth byte on the wire.
const BATCH_KIND: u8 = 2;

/// What a line is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Breadth {
    pub(crate) bytes_per_second: i64,
    pub(crate) delay_ms: i64,
}

/// As within one room.
pub(crate) const WIDE: Breadth = Breadth { bytes_per_second: 10_000_000, delay_ms: 1 };

/// What answers a hub's questions about changes.
pub(crate) enum Backing {
    Store(Store),
    Child(Child),
}

pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) backing: Backing,
    targets: Vec<PublicKey>,
    key: PublicKey,
    authority: Arc<Authority>,
    /// When time alone is something to it.
    deadline_ms: Option<i64>,
    /// When the store has done what it was asked.
    busy_until_ms: i64,
    /// Most bytes of changes in memory so far.
    pub(crate) most_in_store: usize,
    /// Frames that have come and are not wanted yet.
    unread: BTreeMap<ConnectionId, VecDeque<Vec<u8>>>,
}

struct End {
    node: usize,
    other: ConnectionId,
    breadth: Breadth,
    /// When the line has carried what was sent from here.
    free_at_ms: i64,
    /// Frames sent from here and not arrived: when each begins to be carried, and what it is.
    under_way: VecDeque<(i64, Vec<u8>)>,
}

enum Happening {
    Arrive { from: ConnectionId },
    Event { node: usize, event: Event },
}

/// What a line has carried.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Carried {
    pub(crate) bytes: i64,
    /// Of these, batches that arrived whole.
    pub(crate) batches: i64,
    /// Of these, parts of batches that were lost with the line.
    pub(crate) lost: i64,
    pub(crate) cuts: i64,
}

pub(crate) struct World {
    pub(crate) now_ms: i64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) carried: Carried,
    /// Time that a store takes for a transaction, and microseconds for each change in it.
    pub(crate) store_ms: i64,
    pub(crate) change_us: i64,
    breadths: BTreeMap<(usize, usize), Breadth>,
    ends: BTreeMap<ConnectionId, End>,
    agenda: BTreeMap<(i64, u64), Happening>,
    number: u64,
    rng: StdRng,
    dir: TempDir,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now_ms: 1_795_000_000_000,
            nodes: Vec::new(),
            carried: Carried::default(),
            store_ms: 2,
            change_us: 20,
            breadths: BTreeMap::new(),
            ends: BTreeMap::new(),
            agenda: BTreeMap::new(),
            number: 0,
            rng: StdRng::seed_from_u64(seed),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A node with a store of its own.
    pub(crate) fn add(&mut self, member: &Member, targets: &[PublicKey]) -> usize {
        let dir = self.dir.path().join(self.nodes.len().to_string());
        let store = open(&dir, member);
        let authority = store.authority();
        self.add_backed(member, targets, authority, Backing::Store(store))
    }

    pub(crate) fn add_backed(
        &mut self,
        member: &Member,
        targets: &[PublicKey],
        authority: Arc<Authority>,
        backing: Backing,
    ) -> usize {
        let hub = Hub::new(member.identity.clone(), Arc::clone(&authority), targets.to_vec());
        self.nodes.push(Node {
            hub,
            backing,
            targets: targets.to_vec(),
            key: member.public_key(),
            authority,
            deadline_ms: Some(self.now_ms),
            busy_until_ms: 0,
            most_in_store: 0,
            unread: BTreeMap::new(),
        });
        self.nodes.len() - 1
    }

    pub(crate) fn store(&self, at: usize) -> &Store {
        match &self.nodes[at].backing {
            Backing::Store(store) => store,
            Backing::Child(_) => panic!("node {at} has no store"),
        }
    }

    /// The line between two nodes, for connections made from now on.
    pub(crate) fn set_line(&mut self, one: usize, other: usize, breadth: Breadth) {
        self.breadths.insert((one, other), breadth);
        self.breadths.insert((other, one), breadth);
    }

    /// All connections between two nodes break in this moment.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        let is_between = |end: &End| {
            let there = self.ends.get(&end.other).map(|end| end.node);
            (end.node, there) == (one, Some(other)) || (end.node, there) == (other, Some(one))
        };
        let gone: Vec<ConnectionId> =
            self.ends.iter().filter(|(_, end)| is_between(end)).map(|(id, _)| *id).collect();
        for connection in gone {
            let Some(end) = self.ends.remove(&connection) else { continue };
            for (begins_ms, frame) in end.under_way {
                let carried = (self.now_ms - begins_ms) * end.breadth.bytes_per_second / 1_000;
                let carried = carried.clamp(0, frame.len() as i64);
                self.carried.bytes += carried;
                self.carried.lost += if frame[4] == BATCH_KIND { carried } else { 0 };
            }
            let reason = "the line was cut".to_owned();
            self.soon(end.node, Event::Gone { connection, reason });
        }
        self.carried.cuts += 1;
    }

    /// Writes records, one document for each number.
    pub(crate) fn write(&mut self, at: usize, author: &Author, writes: Vec<Write>) {
        self.store(at).write(author, writes, self.now_ms).unwrap();
        self.soon(at, Event::Committed);
    }

    /// Lets everything happen until then, or until `done` says so; looks every 50 ms.
    pub(crate) fn run_until(&mut self, until_ms: i64, done: impl Fn(&Self) -> bool) {
        let mut look_ms = self.now_ms;
        while self.now_ms < until_ms {
            if self.now_ms >= look_ms {
                if done(self) {
                    return;
                }
                look_ms = self.now_ms + 50;
            }
            self.step(look_ms.min(until_ms));
        }
    }

    pub(crate) fn run(&mut self, duration_ms: i64) {
        self.run_until(self.now_ms + duration_ms, |_| false);
    }

    /// How many changes of a category a node with a store holds.
    pub(crate) fn count(&self, at: usize, category: Category) -> i64 {
        let (first, next) = (category.0.to_be_bytes(), (category.0 + 1).to_be_bytes());
        let sql = "SELECT count(*) FROM change WHERE key >= ?1 AND key < ?2";
        let store = self.store(at);
        store.read(|connection| connection.query_row(sql, (first, next), |row| row.get(0))).unwrap()
    }

    /// The next thing that happens, if it does before `until_ms`; then that is the time.
    fn step(&mut self, until_ms: i64) {
        let due = self.agenda.first_key_value().map(|((at_ms, _), _)| *at_ms);
        let deadlines = self.nodes.iter().filter_map(|node| node.deadline_ms);
        let tick = deadlines.min().map(|at_ms| at_ms.max(self.now_ms));
        if due.is_some_and(|due| due <= until_ms && tick.is_none_or(|tick| due <= tick)) {
            let ((at_ms, _), happening) = self.agenda.pop_first().unwrap();
            self.now_ms = self.now_ms.max(at_ms);
            match happening {
                Happening::Arrive { from } => self.arrive(from),
                Happening::Event { node, event } => self.handle(node, event),
            }
        } else if let Some(tick) = tick.filter(|tick| *tick <= until_ms) {
            self.now_ms = tick;
            for at in 0..self.nodes.len() {
                if self.nodes[at].deadline_ms.is_some_and(|due| due <= tick) {
                    self.handle(at, Event::Tick);
                }
            }
        } else {
            self.now_ms = until_ms;
        }
    }

    fn soon(&mut self, node: usize, event: Event) {
        self.at(self.now_ms, Happening::Event { node, event });
    }

    fn at(&mut self, at_ms: i64, happening: Happening) {
        self.number += 1;
        self.agenda.insert((at_ms, self.number), happening);
    }

    fn arrive(&mut self, from: ConnectionId) {
        let Some(end) = self.ends.get_mut(&from) else { return };
        let (_, frame) = end.under_way.pop_front().unwrap();
        let (to, node) = (end.other, end.node);
        self.carried.bytes += frame.len() as i64;
        self.carried.batches += if frame[4] == BATCH_KIND { frame.len() as i64 } else { 0 };
        self.soon(node, Event::Sent { connection: from, bytes: frame.len() });
        let Some(end) = self.ends.get(&to) else { return };
        let node = end.node;
        self.nodes[node].unread.entry(to).or_default().push_back(frame);
        self.read(node);
    }

    /// A node reads what has come as far as it wants to.
    fn read(&mut self, at: usize) {
        loop {
            let Node { hub, unread, .. } = &mut self.nodes[at];
            let wanted = |(connection, frames): &(&ConnectionId, &mut VecDeque<Vec<u8>>)| {
                !frames.is_empty() && hub.wants_frames(**connection)
            };
            let next = unread.iter_mut().find(wanted);
            let Some((connection, frames)) = next else { return };
            let (connection, frame) = (*connection, frames.pop_front().unwrap());
            self.feed(at, Event::Frame { connection, bytes: frame[4..].to_vec() });
        }
    }

    fn handle(&mut self, at: usize, event: Event) {
        if let Event::Gone { connection, .. } = &event {
            self.nodes[at].unread.remove(connection);
        }
        self.feed(at, event);
        self.read(at);
    }

    fn feed(&mut self, at: usize, event: Event) {
        let mut effects = Vec::new();
        let node = &mut self.nodes[at];
        node.hub.handle(self.now_ms, &mut self.rng, event, &mut effects);
        node.deadline_ms = node.hub.next_deadline_ms();
        node.most_in_store = node.most_in_store.max(node.hub.in_store_bytes());
        for effect in effects {
            self.carry_out(at, effect);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Dial(target) => self.dial(at, target),
            Effect::Send { connection, frame } => self.send(connection, frame),
            Effect::Store { connection, number, request } => {
                self.ask(at, connection, number, request);
            }
            Effect::Close { connection, reason, .. } => {
                let end = self.ends.remove(&connection);
                let other = end.and_then(|end| Some((end.other, self.ends.remove(&end.other)?)));
                if let Some((connection, other)) = other {
                    self.soon(other.node, Event::Gone { connection, reason: reason.clone() });
                }
                self.soon(at, Event::Gone { connection, reason });
            }
            Effect::Beacon(_)
            | Effect::Line { .. }
            | Effect::Succeeded { .. }
            | Effect::Renew { .. }
            | Effect::Issued(_)
            | Effect::Suspend { .. }
            | Effect::Notice { .. } => {}
        }
    }

    fn dial(&mut self, at: usize, target: TargetId) {
        let key = self.nodes[at].targets[target.0];
        let to = self.nodes.iter().position(|node| node.key == key).unwrap();
        let breadth = self.breadths.get(&(at, to)).copied().unwrap_or(WIDE);
        let here = ConnectionId(2 * self.number + 1_000_000);
        let there = ConnectionId(here.0 + 1);
        self.number += 1;
        for (connection, other, node) in [(here, there, at), (there, here, to)] {
            let under_way = VecDeque::new();
            let end = End { node, other, breadth, free_at_ms: self.now_ms, under_way };
            self.ends.insert(connection, end);
        }
        let mut exporter = [0; 32];
        self.rng.fill_bytes(&mut exporter);
        let channel = |peer_key| Channel { exporter, peer_key };
        // The handshake of QUIC takes a round trip.
        let at_ms = self.now_ms + 2 * breadth.delay_ms;
        let (dialled, accepted) = (channel(key), channel(self.nodes[at].key));
        let event = Event::Accepted { connection: there, channel: accepted };
        self.at(at_ms, Happening::Event { node: to, event });
        let event = Event::Dialled { target, connection: here, channel: dialled };
        self.at(at_ms, Happening::Event { node: at, event });
    }

    fn send(&mut self, connection: ConnectionId, frame: Vec<u8>) {
        let Some(end) = self.ends.get_mut(&connection) else { return };
        let begins_ms = end.free_at_ms.max(self.now_ms);
        let takes_ms = frame.len() as i64 * 1_000 / end.breadth.bytes_per_second;
        end.free_at_ms = begins_ms + takes_ms;
        end.under_way.push_back((begins_ms, frame));
        let at_ms = end.free_at_ms + end.breadth.delay_ms;
        self.at(at_ms, Happening::Arrive { from: connection });
    }

    fn ask(&mut self, at: usize, connection: ConnectionId, number: u64, request: StoreRequest) {
        let took_us = match &request {
            StoreRequest::Ingest { changes, .. } => changes.len() as i64 * self.change_us,
            _ => 0,
        };
        let writes = cunlian_host::network::runtime::changes_store(&request);
        let node = &mut self.nodes[at];
        let reply = match &mut node.backing {
            Backing::Store(store) => store.serve(request).map_err(|fault| fault.to_string()),
            Backing::Child(child) => Ok(child.serve(self.now_ms, request)),
        };
        let done_ms = if writes {
            let begins_ms = node.busy_until_ms.max(self.now_ms);
            node.busy_until_ms = begins_ms + self.store_ms + took_us / 1_000;
            node.busy_until_ms
        } else {
            self.now_ms
        };
        let committed = matches!(&reply, Ok(StoreReply::Ingested { .. }));
        let mut events = vec![Event::Stored { connection, number, reply }];
        if let Backing::Store(store) = &node.backing {
            let authority = store.authority();
            if !Arc::ptr_eq(&authority, &node.authority) {
                node.authority = Arc::clone(&authority);
                events.push(Event::Authority(authority));
            }
            if committed {
                events.push(Event::Committed);
            }
        }
        for event in events {
            self.at(done_ms, Happening::Event { node: at, event });
        }
    }
}

/// A write of a record like those of a village: about as many bytes.
pub(crate) fn record(category: Category, address: &str, number: u32) -> Write {
    let put = |field: &str, text: String| Edit::Put { field: field.to_owned(), text };
    let mut id = [0; 16];
    // As random as ids are.
    id.copy_from_slice(&blake3::hash(&number.to_be_bytes()).as_bytes()[..16]);
    let address = AddressCode::parse(address).unwrap();
    let home = Home { category, address, document: DocumentId(id) };
    let phone = 13_800_000_000_u64 + u64::from(number) * 7_919 % 99_999_989;
    let edits = vec![
        put("name", format!("王建国{number}")),
        put("phone", phone.to_string()),
        put("note", "2026 年秋季走访核实".to_owned()),
    ];
    Write { home, edits, source: "terminal".to_owned(), task: String::new() }
}

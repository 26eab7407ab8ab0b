//! Two nodes and the line between them, in virtual time.
//!
//! One queue, ordered by time and then by number, holds all that is on its way. A node does one
//! thing after the other: what comes while it works waits until it is free.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cunlian_crdt::store::Store;
use cunlian_host::clock::now_ms;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::{Channel, Identity};
use cunlian_protocol::sync::StoreRequest;
use cunlian_protocol::wire::{self, Frame, Message};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{Done, seconds};
use crate::failure::Failure;

/// The dialler's place among the nodes.
const DIALLER: usize = 1;
/// More events than any meeting needs.
const MOST_EVENTS: u64 = 50_000_000;
/// The only connection, at both ends.
const LINE: ConnectionId = ConnectionId(1);
/// Of each frame, before what is decoded.
const LENGTH_BYTES: usize = 4;

/// A node with its store.
pub(super) struct Node {
    pub(super) store: Store,
    hub: Hub,
    key: PublicKey,
    authority: Arc<Authority>,
    committed: Arc<AtomicBool>,
    free_at_us: i64,
    /// Frames in a row that led to what it knows now.
    flight: u32,
}

impl Node {
    /// A node that dials these peers.
    pub(super) fn new(store: Store, identity: Identity, peers: Vec<PublicKey>) -> Self {
        let committed = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&committed);
        store.on_commit(move |_| note.store(true, Ordering::Release));
        let authority = store.authority();
        let key = identity.certificate.body().subject;
        let hub = Hub::new(identity, Arc::clone(&authority), peers);
        Self { store, hub, key, authority, committed, free_at_us: 0, flight: 0 }
    }
}

/// What has passed over the line.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) hello_bytes: u64,
    pub(super) compare_bytes: u64,
    pub(super) compare_frames: u64,
    pub(super) all_bytes: u64,
    /// When the dialler had its welcome.
    pub(super) welcomed_us: i64,
    /// When the last frame of the comparison had come.
    pub(super) last_compare_us: i64,
    /// How many frames in a row led to it.
    pub(super) last_flight: u32,
    /// What both nodes had worked by then, hello included.
    pub(super) busy_until_known_us: i64,
}

enum Item {
    Event(Event),
    Frame { bytes: Vec<u8>, flight: u32 },
}

/// Both nodes and what is on its way.
pub(super) struct World {
    nodes: [Node; 2],
    pub(super) tape: Tape,
    queue: BTreeMap<(i64, u64), (usize, Item)>,
    one_way_us: i64,
    start_ms: i64,
    busy_us: i64,
    number: u64,
    rng: StdRng,
    /// Whether changes are read at all.
    reads: bool,
}

impl World {
    /// The listener first, then the dialler.
    pub(super) fn new(nodes: [Node; 2], round_trip_ms: u32, seed: u64) -> Self {
        Self {
            nodes,
            tape: Tape::default(),
            queue: BTreeMap::new(),
            one_way_us: i64::from(round_trip_ms) * 500,
            start_ms: now_ms(),
            busy_us: 0,
            number: 0,
            rng: StdRng::seed_from_u64(seed),
            reads: true,
        }
    }

    /// Lets them compare until nothing more of it is on its way; no change is read.
    pub(super) fn compare(&mut self) -> Result<(), Failure> {
        self.reads = false;
        self.run(|world| world.queue.is_empty() && world.tape.compare_frames > 0)
    }

    /// Lets them meet until each has received what only the other had: `[from the listener, from
    /// the dialler]`.
    pub(super) fn meet(&mut self, apart: [u64; 2]) -> Result<Done, Failure> {
        let [there, here] = apart;
        self.run(move |world| {
            let received = |at: usize| world.nodes.get(at).map_or(0, received);
            received(DIALLER) >= there && received(0) >= here && world.has_compared()
        })?;
        let end_us = self.nodes.iter().map(|node| node.free_at_us).max().unwrap_or_default();
        Ok(Done {
            seconds: seconds(end_us - self.tape.welcomed_us),
            wire_bytes: self.tape.all_bytes,
        })
    }

    /// Equal sets have only the comparison to end with.
    fn has_compared(&self) -> bool {
        let on_its_way = |(_, item): &(usize, Item)| matches!(item, Item::Frame { .. });
        self.tape.compare_frames > 1 && !self.queue.values().any(on_its_way)
            || self.tape.compare_frames > 2
    }

    fn run(&mut self, mut until: impl FnMut(&Self) -> bool) -> Result<(), Failure> {
        for at in 0..self.nodes.len() {
            self.handle(at, 0, Event::Tick)?;
        }
        let mut events = 0;
        while !until(self) {
            events += 1;
            let Some(((at_us, _), (at, item))) = self.queue.pop_first() else {
                return Err(Failure::new("the nodes came to rest before they agreed"));
            };
            if events > MOST_EVENTS {
                return Err(Failure::new("the nodes do not come to rest"));
            }
            match item {
                Item::Event(event) => self.handle(at, at_us, event)?,
                Item::Frame { bytes, flight } => self.receive(at, at_us, bytes, flight)?,
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        at: usize,
        at_us: i64,
        mut bytes: Vec<u8>,
        flight: u32,
    ) -> Result<(), Failure> {
        let frame = bytes.split_off(LENGTH_BYTES);
        let length = (frame.len() + LENGTH_BYTES) as u64;
        self.tape.all_bytes += length;
        match wire::decode(&frame) {
            Ok(Frame::Message(Message::Hello(_) | Message::Welcome(_))) => {
                self.tape.hello_bytes += length;
                self.tape.welcomed_us = at_us;
            }
            Ok(Frame::Message(message)) if compares(&message) => {
                self.tape.compare_bytes += length;
                self.tape.compare_frames += 1;
                self.tape.last_compare_us = at_us;
                self.tape.last_flight = flight;
                self.tape.busy_until_known_us = self.busy_us;
            }
            Ok(Frame::Message(_) | Frame::Batch { .. }) => {}
            Err(error) => return Err(Failure::new(format!("a frame is not one: {error}"))),
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.flight = node.flight.max(flight);
        }
        self.handle(at, at_us, Event::Frame { connection: LINE, bytes: frame })
    }

    /// Feeds one event to a node that is free for it at `at_us` or later.
    fn handle(&mut self, at: usize, at_us: i64, event: Event) -> Result<(), Failure> {
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let begins_us = at_us.max(node.free_at_us);
        let mut effects = Vec::new();
        let mark = Instant::now();
        node.hub.handle(self.start_ms + begins_us / 1_000, &mut self.rng, event, &mut effects);
        let worked_us = microseconds(mark);
        node.free_at_us = begins_us + worked_us;
        self.busy_us += worked_us;
        effects.into_iter().try_for_each(|effect| self.carry_out(at, effect))
    }

    fn carry_out(&mut self, at: usize, effect: Effect) -> Result<(), Failure> {
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let now_us = node.free_at_us;
        match effect {
            Effect::Dial(target) => {
                let (mut exporter, keys) = ([0; 32], self.nodes.each_ref().map(|node| node.key));
                self.rng.fill_bytes(&mut exporter);
                let [of_listener, of_dialler] = keys;
                let channel = |peer_key| Channel { exporter, peer_key };
                let dialled =
                    Event::Dialled { target, connection: LINE, channel: channel(of_listener) };
                let accepted = Event::Accepted { connection: LINE, channel: channel(of_dialler) };
                self.push(now_us, 0, Item::Event(accepted));
                self.push(now_us, DIALLER, Item::Event(dialled));
            }
            Effect::Send { connection, frame } => {
                let (bytes, flight) = (frame.len(), node.flight + 1);
                let arrives_us = now_us + self.one_way_us;
                self.push(now_us, at, Item::Event(Event::Sent { connection, bytes }));
                self.push(arrives_us, 1 - at, Item::Frame { bytes: frame, flight });
            }
            Effect::Store { number, request, .. } => {
                if self.reads || !is_read(&request) {
                    self.serve(at, number, request);
                }
            }
            Effect::Close { reason, .. } => {
                return Err(Failure::new(format!("the nodes parted: {reason}")));
            }
            Effect::Suspend { reason } => return Err(Failure::new(reason)),
            Effect::Beacon(_)
            | Effect::Line { .. }
            | Effect::Succeeded { .. }
            | Effect::Renew { .. }
            | Effect::Issued(_)
            | Effect::Notice { .. } => {}
        }
        Ok(())
    }

    fn serve(&mut self, at: usize, number: u64, request: StoreRequest) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let mark = Instant::now();
        let reply = node.store.serve(request).map_err(|fault| fault.to_string());
        let worked_us = microseconds(mark);
        node.free_at_us += worked_us;
        self.busy_us += worked_us;
        let now_us = node.free_at_us;
        let latest = node.store.authority();
        let renewed = !Arc::ptr_eq(&latest, &node.authority);
        node.authority = Arc::clone(&latest);
        let committed = node.committed.swap(false, Ordering::AcqRel);
        if renewed {
            self.push(now_us, at, Item::Event(Event::Authority(latest)));
        }
        self.push(now_us, at, Item::Event(Event::Stored { connection: LINE, number, reply }));
        if committed {
            self.push(now_us, at, Item::Event(Event::Committed));
        }
    }

    fn push(&mut self, at_us: i64, to: usize, item: Item) {
        self.number += 1;
        self.queue.insert((at_us, self.number), (to, item));
    }
}

/// Whether a message is a question or an answer about what the sets hold.
fn compares(message: &Message) -> bool {
    matches!(
        message,
        Message::Root { .. }
            | Message::Equal
            | Message::Tops(_)
            | Message::Query(_)
            | Message::Answer(_)
            | Message::Want { .. }
    )
}

/// Whether a request reads changes to send them.
fn is_read(request: &StoreRequest) -> bool {
    matches!(request, StoreRequest::Read { .. })
}

/// Changes of the peer that are durable at a node.
fn received(node: &Node) -> u64 {
    let reports = node.hub.reports();
    reports.iter().filter_map(|peer| peer.session.as_ref()).map(|session| session.received).sum()
}

fn microseconds(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX)
}

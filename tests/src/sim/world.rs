//! Everything that happens, in order: one queue by time and number, and what follows from each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cunlian_governance::capabilities::Capabilities;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::dialect::Dialect;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, TargetId};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::Channel;
use cunlian_protocol::sync::StoreReply;

use super::bound::Bounds;
use super::chance::Chance;
use super::fault::{Fault, Fired};
use super::mischief::{Mischief, Schemes};
use super::model::Model;
use super::network::{Network, Place};
use super::node::Machine;
use super::photos::Photo;
use super::sabotage::Sabotage;
use super::sticks::{Parcels, Stick};
use super::thief::Thief;
use super::trace::Trace;
use super::usurper::Former;
use super::work::Work;
use super::{START_MS, county};

/// What happens at some time.
pub(super) enum Happening {
    /// The hub of a process is told something.
    Tell { at: usize, epoch: u64, event: Event },
    /// Bytes arrive at an end of a connection.
    Arrive { end: ConnectionId, bytes: Vec<u8> },
    /// A frame was written from an end.
    Written { end: ConnectionId, bytes: usize },
    /// The next frame of an end is read.
    Read { end: ConnectionId },
    /// A connection has ended, as seen from this end.
    Lost { end: ConnectionId, reason: &'static str },
    /// A deadline of a hub.
    Wake { at: usize, epoch: u64 },
    /// A store takes the next request of a queue.
    Serve { at: usize, epoch: u64, lane: (ConnectionId, bool) },
    /// A store has answered.
    Served {
        at: usize,
        epoch: u64,
        lane: (ConnectionId, bool),
        number: u64,
        reply: Result<StoreReply, String>,
    },
    /// A hub is told that something was committed.
    Committed { at: usize, epoch: u64 },
    /// A node does what its hub leaves to it.
    Duty { at: usize, epoch: u64, effect: Effect },
    /// A dialled connection stands, if the network lets it.
    Connect { at: usize, epoch: u64, target: TargetId },
    /// A machine is switched on.
    Start { at: usize },
    /// Somebody works.
    Work,
    /// A fault begins or ends.
    Mischief(Mischief),
    /// The thief connects.
    Thief(Fault),
    /// A bundle has been carried to where it is taken in.
    Carried(Stick),
    /// Administrators look after what only people decide.
    Care,
    /// The simulator itself does what must be found.
    Sabotage(Sabotage),
}

/// The whole county.
pub(super) struct World {
    pub(super) now_ms: i64,
    /// The same for the clocks of the machines.
    pub(super) steady_ms: Arc<AtomicI64>,
    pub(super) machines: Vec<Machine>,
    /// Which process of a machine runs; what was meant for an earlier one does not happen.
    pub(super) epochs: Vec<u64>,
    /// What each knew last.
    pub(super) authorities: Vec<Option<Arc<Authority>>>,
    pub(super) network: Network,
    pub(super) model: Model,
    pub(super) fired: Fired,
    pub(super) thief: Thief,
    pub(super) former: Former,
    pub(super) bounds: Bounds,
    pub(super) work: Work,
    pub(super) schemes: Schemes,
    pub(super) photos: Vec<Photo>,
    pub(super) parcels: Parcels,
    /// Decides what people and faults do.
    pub(super) plan: Chance,
    /// Decides how long things take.
    pub(super) luck: Chance,
    /// What the product asks for.
    pub(super) dice: Chance,
    /// Whether faults may still happen.
    pub(super) faulty: bool,
    /// A run with more does not come to rest.
    pub(super) most_events: u64,
    queue: BTreeMap<(i64, u64), Happening>,
    next_number: u64,
    /// Whom one reaches where a node with this key is, or was.
    addresses: BTreeMap<PublicKey, usize>,
    trace: Arc<Mutex<Trace>>,
}

impl World {
    /// A county that has just been switched on, with its files below a directory.
    pub(super) fn new(
        seed: u64,
        dir: &Path,
        trace: &Arc<Mutex<Trace>>,
        capabilities: &Capabilities,
    ) -> Self {
        let mut plan = Chance::new(seed, "plan");
        let seats = county::seats(plan.one_in(3), capabilities.kinds());
        let town = seats.get(1).map(|seat| seat.member.clone()).expect("the first town");
        let county = seats.first().map(|seat| seat.member.clone()).expect("the county");
        let addresses = (0..).zip(&seats).map(|(at, seat)| (seat.member.public_key(), at));
        let addresses = addresses.map(|(key, at): (PublicKey, usize)| (key, at)).collect();
        let machine =
            |(at, seat)| Machine::new(seat, dir.join(format!("{at}")), capabilities.clone());
        let machines: Vec<Machine> = (0..).zip(seats).map(machine).collect::<Vec<_>>();
        let mut world = Self {
            now_ms: START_MS,
            steady_ms: Arc::new(AtomicI64::new(START_MS)),
            epochs: vec![0; machines.len()],
            authorities: vec![None; machines.len()],
            model: Model::new(machines.len()),
            network: Network::default(),
            fired: Fired::default(),
            thief: Thief::new(county::thief(&town), dir.join("thief")),
            former: county::former(&county),
            bounds: Bounds::default(),
            work: Work::new(seed, capabilities),
            schemes: Schemes::default(),
            photos: Vec::new(),
            parcels: Parcels::default(),
            plan,
            luck: Chance::new(seed, "luck"),
            dice: Chance::new(seed, "dice"),
            faulty: true,
            most_events: u64::MAX,
            queue: BTreeMap::new(),
            next_number: 0,
            addresses,
            trace: Arc::clone(trace),
            machines,
        };
        world.update_some();
        for at in 0..world.machines.len() {
            world.start(at);
        }
        world
    }

    /// In half of the counties some have a newer program, which speaks one version more.
    fn update_some(&mut self) {
        if self.plan.one_in(2) {
            return;
        }
        for machine in &mut self.machines {
            if self.plan.one_in(2) {
                let remark = Some("版本 2".to_owned());
                machine.dialect = Dialect { versions: vec![2, 1], more: vec![7; 9], remark };
            }
        }
    }

    /// Lets everything happen up to a time.
    pub(super) fn run_until(&mut self, until_ms: i64) {
        while let Some(((at_ms, _), _)) = self.queue.first_key_value()
            && *at_ms <= until_ms
        {
            let Some(((at_ms, _), happening)) = self.queue.pop_first() else { return };
            self.set_now(at_ms);
            self.happen(happening);
            assert!(self.trace().events() < self.most_events, "there is no end of events");
        }
        self.set_now(until_ms);
    }

    /// Plans something for a time from now.
    pub(super) fn after(&mut self, ms: i64, happening: Happening) {
        self.at(self.now_ms + ms.max(0), happening);
    }

    /// Plans something for a time.
    pub(super) fn at(&mut self, at_ms: i64, happening: Happening) {
        self.next_number += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.next_number), happening);
    }

    /// Takes what arrives at an end out of the queue; gives it in order.
    pub(super) fn take_under_way(&mut self, to: ConnectionId) -> Vec<Vec<u8>> {
        let arrives = |happening: &Happening| matches!(happening, Happening::Arrive { end, .. } if *end == to);
        let due = self.queue.iter().filter(|(_, happening)| arrives(happening));
        let keys: Vec<(i64, u64)> = due.map(|(key, _)| *key).collect();
        let mut taken = Vec::new();
        for key in keys {
            if let Some(Happening::Arrive { bytes, .. }) = self.queue.remove(&key) {
                taken.push(bytes);
            }
        }
        taken
    }

    /// The name of a node.
    pub(super) fn name(&self, at: usize) -> &'static str {
        self.machines.get(at).map_or("", |machine| machine.name)
    }

    /// The node with this key.
    pub(super) fn address(&self, key: &PublicKey) -> Option<usize> {
        self.addresses.get(key).copied()
    }

    /// A node has a new key.
    pub(super) fn move_in(&mut self, key: PublicKey, at: usize) {
        self.addresses.insert(key, at);
    }

    /// The trace.
    pub(super) fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what happens to somebody.
    pub(super) fn note(&self, who: &str, verb: &str, what: &dyn std::fmt::Debug) {
        self.trace().note(self.now_ms, who, verb, what);
    }

    fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.steady_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Whether this process of a machine still runs.
    pub(super) fn runs(&self, at: usize, epoch: u64) -> bool {
        self.epochs.get(at) == Some(&epoch)
            && self.machines.get(at).is_some_and(|machine| machine.process.is_some())
    }

    /// The process of a machine that runs now.
    pub(super) fn epoch(&self, at: usize) -> u64 {
        self.epochs.get(at).copied().unwrap_or_default()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tell { at, epoch, event } if self.runs(at, epoch) => self.handle(at, event),
            Happening::Wake { at, epoch } if self.runs(at, epoch) => self.wake(at),
            Happening::Serve { at, epoch, lane } if self.runs(at, epoch) => self.serve(at, lane),
            Happening::Served { at, epoch, lane, number, reply } if self.runs(at, epoch) => {
                self.served(at, lane, number, reply);
            }
            Happening::Committed { at, epoch } if self.runs(at, epoch) => self.tell_commit(at),
            Happening::Duty { at, epoch, effect } if self.runs(at, epoch) => self.duty(at, effect),
            Happening::Connect { at, epoch, target } if self.runs(at, epoch) => {
                self.connect(at, target);
            }
            Happening::Tell { .. }
            | Happening::Wake { .. }
            | Happening::Serve { .. }
            | Happening::Served { .. }
            | Happening::Committed { .. }
            | Happening::Duty { .. }
            | Happening::Connect { .. } => {}
            Happening::Arrive { end, bytes } => self.arrive(end, bytes),
            Happening::Written { end, bytes } => self.written(end, bytes),
            Happening::Read { end } => self.read(end),
            Happening::Lost { end, reason } => self.lost(end, reason),
            Happening::Start { at } => self.start(at),
            Happening::Work => self.do_work(),
            Happening::Mischief(mischief) => self.do_mischief(mischief),
            Happening::Thief(attempt) => self.thief_comes(attempt),
            Happening::Carried(stick) => self.take_in(stick),
            Happening::Care => self.take_care(),
            Happening::Sabotage(what) => self.sabotage(what),
        }
    }

    /// Gives an event to the hub of a running node, and does what it wants done.
    pub(super) fn handle(&mut self, at: usize, event: Event) {
        self.note_event(at, &event);
        let mut effects = Vec::new();
        let (now_ms, dice) = (self.now_ms, &mut self.dice);
        let Some(machine) = self.machines.get_mut(at) else { return };
        let Some(process) = &mut machine.process else { return };
        process.hub.handle(now_ms, dice.rng(), event, &mut effects);
        for effect in effects {
            if self.dies_now(at) {
                self.fired.count(Fault::Crash);
                self.crash(at);
                return;
            }
            self.carry_out(at, effect);
        }
        self.look_at_deadline(at);
        self.look_at_frames(at);
    }

    fn note_event(&self, at: usize, event: &Event) {
        let (name, now_ms) = (self.name(at), self.now_ms);
        match event {
            Event::Frame { bytes, .. } => {
                let frame = [&[0; 4], bytes.as_slice()].concat();
                self.trace().note_bytes(now_ms, name, "hears", &frame);
            }
            // Says who the node knows, which follows from what it heard.
            Event::Authority(_) => self.trace().note(now_ms, name, "knows", &"authority"),
            Event::Stored { number, reply, connection } => {
                let what = (connection.0, number, reply);
                self.trace().note(now_ms, name, "store says", &what);
            }
            Event::Tick
            | Event::Dialled { .. }
            | Event::DialFailed { .. }
            | Event::Accepted { .. }
            | Event::Unframed { .. }
            | Event::Sent { .. }
            | Event::Gone { .. }
            | Event::Committed
            | Event::Learned
            | Event::Clock { .. }
            | Event::Issued { .. } => self.trace().note(now_ms, name, "event", event),
        }
    }

    /// Whether the process dies before its next effect.
    pub(super) fn dies_now(&mut self, at: usize) -> bool {
        let Some(machine) = self.machines.get_mut(at) else { return false };
        match &mut machine.dies_after {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let epoch = self.epoch(at);
        match effect {
            Effect::Send { connection, frame } => {
                self.trace().note_bytes(self.now_ms, self.name(at), "sends", &frame);
                self.check_frame(at, connection, &frame);
                self.send(connection, frame);
            }
            Effect::Store { connection, number, request } => {
                self.note(self.name(at), "asks", &(connection.0, number, &request));
                self.queue_request(at, connection, number, request);
            }
            Effect::Dial(target) => {
                let ms = 2 * self.luck.ms(1, 60);
                self.after(ms, Happening::Connect { at, epoch, target });
            }
            Effect::Close { connection, code, reason } => {
                self.note(self.name(at), "closes", &(connection.0, code, reason));
                self.close(connection);
            }
            Effect::Notice { .. } => self.note(self.name(at), "notices", &effect),
            Effect::Beacon(_)
            | Effect::Line { .. }
            | Effect::Succeeded { .. }
            | Effect::Renew { .. }
            | Effect::Issued(_)
            | Effect::Suspend { .. } => {
                self.note(self.name(at), "leaves", &effect);
                // One after another, as one task does them.
                let ms = 5;
                self.after(ms, Happening::Duty { at, epoch, effect });
            }
        }
    }

    fn look_at_deadline(&mut self, at: usize) {
        let epoch = self.epoch(at);
        let Some(process) = self.machines.get_mut(at).and_then(|m| m.process.as_mut()) else {
            return;
        };
        let Some(next_ms) = process.hub.next_deadline_ms() else { return };
        let next_ms = next_ms.max(self.now_ms + 1);
        if process.wake_at_ms.is_none_or(|planned| planned > next_ms || planned <= self.now_ms) {
            process.wake_at_ms = Some(next_ms);
            self.at(next_ms, Happening::Wake { at, epoch });
        }
    }

    fn wake(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let Some(process) = self.machines.get_mut(at).and_then(|m| m.process.as_mut()) else {
            return;
        };
        if process.wake_at_ms == Some(now_ms) {
            process.wake_at_ms = None;
        }
        let due = process.hub.next_deadline_ms().is_some_and(|due_ms| due_ms <= now_ms);
        if due {
            self.handle(at, Event::Tick);
        } else {
            self.look_at_deadline(at);
        }
    }

    fn connect(&mut self, at: usize, target: TargetId) {
        let key = self.machines.get(at).and_then(|m| m.disk.targets.get(target.0)).copied();
        let Some(key) = key else { return };
        let Some(to) = self.address(&key) else { return self.dial_former(at, target, &key) };
        let (here, there) = (Place::Node(at), Place::Node(to));
        let blocked =
            self.network.weather(here, there).blocked || self.network.weather(there, here).blocked;
        let refused = self.schemes.refuses(to, self.now_ms);
        let runs = self.machines.get(to).is_some_and(|machine| machine.process.is_some());
        let epoch = self.epoch(at);
        if blocked || refused || !runs {
            if refused && runs {
                self.fired.count(Fault::DialRefusal);
            }
            let ms = if refused { 50 } else { 10_000 };
            let event = Event::DialFailed { target, reason: "no answer".to_owned() };
            self.after(ms, Happening::Tell { at, epoch, event });
            return;
        }
        let (own, other) = self.network.connect(here, there);
        let exporter = self.luck.bytes();
        let channel = |peer: usize| {
            let machine = self.machines.get(peer).expect("every node is known");
            Channel { exporter, peer_key: machine.disk.member.public_key() }
        };
        let accepted = Event::Accepted { connection: other, channel: channel(at) };
        let dialled = Event::Dialled { target, connection: own, channel: channel(to) };
        self.handle(to, accepted);
        if self.runs(at, epoch) {
            self.handle(at, dialled);
        }
    }

    fn close(&mut self, connection: ConnectionId) {
        let Some(end) = self.network.ends.get_mut(&connection) else { return };
        end.closing = true;
        let (peer, arrives_ms) = (end.peer, end.arrives_ms);
        self.after(1_000, Happening::Lost { end: connection, reason: "closed" });
        let at_ms = arrives_ms.max(self.now_ms) + 50;
        self.at(at_ms, Happening::Lost { end: peer, reason: "closed by the peer" });
    }
}

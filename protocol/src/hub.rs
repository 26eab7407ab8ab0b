//! The hub: all sessions of a node, and when to dial whom.
//!
//! A state machine like the session: the runtime feeds it events, moves the bytes and carries out
//! the effects. [`Hub::handle`] takes every input, [`Hub::next_deadline_ms`] says when time alone
//! is one, [`Hub::reports`] shows where things stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_core::Rng;

use crate::authority::Authority;
use crate::certificate::Certificate;
use crate::dialect::Dialect;
use crate::durability::News;
use crate::id::PublicKey;
use crate::limits;
use crate::session::{self, Channel, Identity, Remembered, Role, Session};
use crate::sync::StoreRequest;
use crate::wire::{FaultCode, LineageToken};

mod arrivals;
mod between;
mod dialling;
mod report;
mod scheduler;
mod stored;
mod types;
mod wants;

pub use report::PeerReport;
pub use types::{ConnectionId, Effect, Event, TargetId};

use arrivals::Arrivals;
use dialling::Target;
use report::Past;
use scheduler::Scheduler;
use wants::Wants;

/// All sessions of a node.
pub struct Hub {
    identity: Arc<Identity>,
    authority: Arc<Authority>,
    targets: Vec<Target>,
    target_problems: BTreeMap<TargetId, String>,
    refused: BTreeSet<TargetId>,
    sessions: BTreeMap<ConnectionId, Session>,
    /// By key: a peer that was certified anew is the same peer.
    past: BTreeMap<PublicKey, Past>,
    dialect: Arc<Dialect>,
    lines: BTreeMap<PublicKey, LineageToken>,
    renewing: bool,
    clock_offset_ms: i64,
    arrivals: Arrivals,
    /// When it began, by the time that is given with events.
    begun_ms: Option<i64>,
    /// Batches to be made durable.
    intake: Scheduler,
    /// Changes to be read and sent.
    reads: Scheduler,
    wants: Wants,
    /// What is looked up to compare and to answer.
    lookups: Scheduler,
}

impl Hub {
    /// A hub that dials these peers, by their keys, as soon as it ticks.
    pub fn new(identity: Identity, authority: Arc<Authority>, targets: Vec<PublicKey>) -> Self {
        Self {
            identity: Arc::new(identity),
            authority,
            targets: targets.into_iter().map(Target::new).collect(),
            target_problems: BTreeMap::new(),
            refused: BTreeSet::new(),
            sessions: BTreeMap::new(),
            past: BTreeMap::new(),
            dialect: Arc::default(),
            lines: BTreeMap::new(),
            renewing: false,
            clock_offset_ms: 0,
            arrivals: Arrivals::default(),
            begun_ms: None,
            intake: Scheduler::new(scheduler::INTAKE),
            reads: Scheduler::new(scheduler::READS),
            wants: Wants::default(),
            lookups: Scheduler::new(scheduler::LOOKUPS),
        }
    }

    /// With the lineage tokens that peers gave last, by their keys, and whether this node came back
    /// from a copy and asks to be certified anew.
    #[must_use]
    pub fn with_lineage_tokens(
        mut self,
        lines: BTreeMap<PublicKey, LineageToken>,
        renewing: bool,
    ) -> Self {
        self.lines = lines;
        self.renewing = renewing;
        self
    }

    /// Speaking other versions of the protocol than the released ones.
    #[must_use]
    pub fn speaking(mut self, dialect: Dialect) -> Self {
        self.dialect = Arc::new(dialect);
        self
    }

    /// Takes one event; what follows from it is added to `effects`.
    pub fn handle(
        &mut self,
        now_ms: i64,
        rng: &mut dyn Rng,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        self.begun_ms.get_or_insert(now_ms);
        match event {
            Event::Dialled { target, connection, channel } => {
                let Some(entry) = self.targets.get_mut(target.0) else { return };
                entry.dialling = false;
                entry.connection = Some(connection);
                let expected = entry.key;
                let lineage = self.lines.get(&expected).copied().unwrap_or_default();
                let role = Role::Dialler { expected, lineage, renewing: self.renewing };
                self.begin(now_ms, connection, role, channel, effects);
            }
            Event::DialFailed { target, reason } => {
                self.target_problems.insert(target, reason);
                self.dial_later(now_ms, rng, target);
            }
            Event::Accepted { connection, channel } => {
                self.begin(now_ms, connection, Role::Listener, channel, effects);
            }
            Event::Gone { connection, reason } => {
                self.forget(now_ms, rng, connection, reason);
            }
            Event::Frame { connection, bytes } => {
                self.note_silence(now_ms, connection);
                self.with(now_ms, connection, effects, |s| s.handle_frame(now_ms, &bytes));
                self.bound_wants(now_ms, effects);
            }
            Event::Unframed { connection, error } => {
                self.with(now_ms, connection, effects, |s| s.handle_unframed(now_ms, &error));
            }
            Event::Sent { connection, bytes } => {
                self.with(now_ms, connection, effects, |s| s.handle_sent(now_ms, bytes));
            }
            Event::Stored { connection, number, reply } => {
                self.on_stored(now_ms, (connection, number), reply, effects);
            }
            Event::Committed => self.each(now_ms, effects, |s| s.handle_committed(now_ms)),
            Event::Learned => {
                self.spread(now_ms, &News { more: true, ..News::default() }, effects);
            }
            Event::Authority(authority) => {
                self.authority = Arc::clone(&authority);
                self.each(now_ms, effects, |s| s.handle_authority(now_ms, Arc::clone(&authority)));
            }
            Event::Clock { offset_ms } => {
                self.clock_offset_ms = offset_ms;
                self.each(now_ms, effects, |s| s.handle_clock(now_ms, offset_ms));
            }
            Event::Issued { connection, outcome } => {
                self.with(now_ms, connection, effects, |s| s.handle_issued(now_ms, outcome));
            }
            Event::Tick => self.tick(now_ms, effects),
        }
        self.tick_dials(now_ms, effects);
        self.give_turns(effects);
    }

    /// When to send [`Event::Tick`].
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let dials = self.targets.iter().filter_map(Target::due_ms);
        dials.chain(self.sessions.values().filter_map(Session::next_deadline_ms)).min()
    }

    /// Whether the runtime should read frames of this connection now: both the session and the node
    /// have room for what they bring.
    pub fn wants_frames(&self, connection: ConnectionId) -> bool {
        self.has_room(connection) && !self.is_crowded()
    }

    /// Whether the session of this connection has room for what further frames bring.
    pub fn has_room(&self, connection: ConnectionId) -> bool {
        self.sessions.get(&connection).is_some_and(Session::wants_frames)
    }

    /// Whether so much of all peers waits for the store that no frames should be read.
    pub fn is_crowded(&self) -> bool {
        self.intake.is_crowded() || self.lookups.is_crowded()
    }

    /// Bytes of changes of all peers that are in memory until they are durable.
    pub fn in_store_bytes(&self) -> usize {
        self.intake.bytes()
    }

    fn begin(
        &mut self,
        now_ms: i64,
        connection: ConnectionId,
        role: Role,
        channel: Channel,
        effects: &mut Vec<Effect>,
    ) {
        let identity = Arc::clone(&self.identity);
        let authority = Arc::clone(&self.authority);
        let peer_key = channel.peer_key;
        let session =
            Session::new(identity, authority, role, channel, now_ms, self.clock_offset_ms)
                .speaking(Arc::clone(&self.dialect))
                .unconfirmed(self.renewing);
        let full = self.sessions.len() >= limits::SESSIONS;
        let early = match role {
            Role::Listener => self.arrivals.note(now_ms, peer_key).err(),
            Role::Dialler { .. } => None,
        };
        self.sessions.insert(connection, session);
        self.with(now_ms, connection, effects, |session| match early {
            _ if full => session.close(now_ms, FaultCode::Busy, "this node has no session free"),
            Some(ms) => {
                let text = format!("this key connects too often; it may come in {ms} ms");
                session.close(now_ms, FaultCode::Busy, &text)
            }
            None => session.start(now_ms),
        });
    }

    fn tick(&mut self, now_ms: i64, effects: &mut Vec<Effect>) {
        self.each(now_ms, effects, |session| {
            let due = session.next_deadline_ms().is_some_and(|at| now_ms >= at);
            if due { session.handle_deadline(now_ms) } else { Vec::new() }
        });
    }

    fn each(
        &mut self,
        now_ms: i64,
        effects: &mut Vec<Effect>,
        mut input: impl FnMut(&mut Session) -> Vec<session::Effect>,
    ) {
        let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for connection in connections {
            self.with(now_ms, connection, effects, &mut input);
        }
    }

    fn with(
        &mut self,
        now_ms: i64,
        connection: ConnectionId,
        effects: &mut Vec<Effect>,
        input: impl FnOnce(&mut Session) -> Vec<session::Effect>,
    ) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let done = input(session);
        self.wants.note(connection, session.remembered());
        for effect in done {
            match effect {
                session::Effect::Send(frame) => effects.push(Effect::Send { connection, frame }),
                session::Effect::Store { number, mut request } => {
                    if let StoreRequest::Admit { subject, elsewhere, .. } = &mut request {
                        *elsewhere = self.is_elsewhere(connection, subject);
                    }
                    self.ask_store(connection, number, request, effects);
                }
                session::Effect::Opened => self.opened(now_ms, connection, effects),
                session::Effect::News(news) => self.spread(now_ms, &news, effects),
                session::Effect::Beacon(at_ms) => effects.push(Effect::Beacon(at_ms)),
                session::Effect::Line(token) => {
                    if let Some(peer) = self.subject(connection) {
                        self.lines.insert(peer, token);
                        effects.push(Effect::Line { peer, token });
                    }
                }
                session::Effect::Succeeded { old, new } => {
                    let targets = self.targets.iter_mut().filter(|target| target.key == old);
                    targets.for_each(|target| target.key = new);
                    effects.push(Effect::Succeeded { old, new });
                }
                session::Effect::Renew(renewal) => {
                    let Some(session) = self.sessions.get(&connection) else { continue };
                    let restricted = session.report().renewing;
                    if let Some(child) = session.peer().map(Certificate::serial) {
                        effects.push(Effect::Renew { connection, child, renewal, restricted });
                    }
                }
                session::Effect::Issued(chain) => effects.push(Effect::Issued(chain)),
                session::Effect::SetBack(reason) => effects.push(Effect::Suspend { reason }),
                session::Effect::Forked(subject) => {
                    self.end_others(now_ms, connection, &subject, FaultCode::Cloned, effects);
                }
                session::Effect::Notice(text) => {
                    effects.push(Effect::Notice { peer: self.peer_name(connection), text });
                }
                session::Effect::Close { code, reason } => {
                    if code == FaultCode::Cloned && self.target_of(connection).is_some() {
                        effects.push(Effect::Suspend { reason: reason.clone() });
                    }
                    self.note_problem(connection, code, &reason);
                    self.note_skew(connection, code, &reason);
                    effects.push(Effect::Close { connection, code, reason });
                }
            }
        }
    }

    /// A peer has proved who it is: an older session with it gives way.
    fn opened(&mut self, now_ms: i64, connection: ConnectionId, effects: &mut Vec<Effect>) {
        let Some(subject) = self.subject(connection) else { return };
        if let Some(most) = self.too_many_below(connection) {
            let text = format!("{most} machines below one child are connected already");
            return self.with(now_ms, connection, effects, |session| {
                session.close(now_ms, FaultCode::Busy, &text)
            });
        }
        if let Some(past) = self.past.get_mut(&subject) {
            past.problem = None;
            past.report.skew = None;
        }
        if let Some(target) = self.target_of(connection) {
            self.target_problems.remove(&target);
            self.refused.remove(&target);
            if let Some(entry) = self.targets.get_mut(target.0) {
                entry.opened_at_ms = Some(now_ms);
            }
        }
        self.end_others(now_ms, connection, &subject, FaultCode::Replaced, effects);
    }

    /// The bound on sessions of those below one child, when this connection is of one of them and
    /// goes beyond it.
    fn too_many_below(&self, connection: ConnectionId) -> Option<usize> {
        let session = self.sessions.get(&connection)?;
        let (branch, subject) = (session.branch()?, session.peer()?.body().subject);
        let is_below = |session: &Session| {
            let own = session.peer().map(|peer| peer.body().subject);
            session.branch() == Some(branch) && own != Some(branch.key) && own != Some(subject)
        };
        if branch.key == subject {
            return None;
        }
        let most = limits::SESSIONS_BELOW.of(branch.tier);
        let open = self.sessions.values().filter(|session| is_below(session)).count();
        (open >= most).then_some(most)
    }

    /// Whether a machine with this key is in an ordinary session. One that is being certified anew
    /// may be the same machine, before the power went.
    fn is_elsewhere(&self, connection: ConnectionId, subject: &PublicKey) -> bool {
        self.sessions.iter().any(|(other, session)| {
            let same = session.peer().is_some_and(|peer| peer.body().subject == *subject);
            *other != connection && same && !session.report().renewing
        })
    }

    /// Ends the older sessions with the node of this key.
    fn end_others(
        &mut self,
        now_ms: i64,
        connection: ConnectionId,
        subject: &PublicKey,
        code: FaultCode,
        effects: &mut Vec<Effect>,
    ) {
        let text = if code == FaultCode::Cloned {
            "another machine uses this identity"
        } else {
            "a newer connection of the same node took over"
        };
        let of_subject = |s: &Session| s.peer().is_some_and(|peer| peer.body().subject == *subject);
        let older: Vec<ConnectionId> = self
            .sessions
            .iter()
            .filter(|(other, session)| **other < connection && of_subject(session))
            .map(|(other, _)| *other)
            .collect();
        for other in older {
            self.with(now_ms, other, effects, |s| s.close(now_ms, code, text));
        }
    }

    /// The key of the peer of a connection, once it has said hello.
    fn subject(&self, connection: ConnectionId) -> Option<PublicKey> {
        let session = self.sessions.get(&connection);
        session.and_then(Session::peer).map(|peer| peer.body().subject)
    }

    fn spread(&mut self, now_ms: i64, news: &News, effects: &mut Vec<Effect>) {
        self.each(now_ms, effects, |session| session.handle_news(now_ms, news));
    }

    fn forget(&mut self, now_ms: i64, rng: &mut dyn Rng, connection: ConnectionId, reason: String) {
        let target = self.target_of(connection);
        self.intake.forget(connection);
        self.reads.forget(connection);
        self.wants.note(connection, Remembered::default());
        self.lookups.forget(connection);
        if let Some(session) = self.sessions.remove(&connection)
            && let Some(peer) = session.peer()
        {
            self.note_worth(now_ms, target, &session.report());
            let mut report = self.total(&session);
            report.synced = false;
            report.remembered = Remembered::default();
            self.past.insert(peer.body().subject, Past { report, problem: Some(reason.clone()) });
        }
        if let Some(target) = target {
            self.target_problems.entry(target).or_insert(reason);
            self.dial_later(now_ms, rng, target);
        }
    }

    fn peer_name(&self, connection: ConnectionId) -> String {
        let peer = self.sessions.get(&connection).and_then(Session::peer);
        let unknown = || format!("connection {}", connection.0);
        peer.map_or_else(unknown, |peer| peer.body().name.clone())
    }
}

//! One session: how two nodes bring their sets together over one connection.
//!
//! ```text
//! dialler                                listener
//!   Hello ───────────────────────────────▶        chain, signed over the TLS exporter
//!         ◀─────────────────────────────── Welcome, or Goodbye with the reason
//!   Root(digest) ────────────────────────▶        of the common scope
//!         ◀─────────────────────────────── Equal, or Tops (a frontier of prefixes)
//!   Query(prefixes) ─────────────────────▶        where they differ
//!         ◀─────────────────────────────── Answer(sketches, short ids or finer frontiers)
//!   Want(prefixes, short ids) ───────────▶
//!   Announce, Certificates, batches ─────▶ ◀───── Announce, Certificates, batches, Delivered
//!         ◀── Ack(receipt) ──▶                    only after the transaction is durable
//!   AskHeld ─────────────────────────────▶ ◀───── Holding: which tiers above hold what
//!   Renew ───────────────────────────────▶ ◀───── Issued, when a certificate is to be followed
//! ```
//!
//! The dialler alone compares and decides; the listener answers. Both push what becomes durable
//! later. The *common scope* is what both may read; every range a peer names is checked against
//! it, and every change that comes is checked against it by the store.
//!
//! [`Session`] is a state machine without clock, socket or store. Input: [`Session::start`],
//! [`Session::handle_frame`], [`Session::handle_unframed`], [`Session::handle_stored`], [`Session::handle_committed`],
//! [`Session::handle_news`], [`Session::handle_sent`], [`Session::handle_deadline`]. Output:
//! effects ([`Effect`]), [`Session::next_deadline_ms`] and [`Session::report`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authority::Authority;
use crate::certificate::Certificate;
use crate::dialect::Dialect;
use crate::durability::News;
use crate::limits;
use crate::sync::{StoreReply, StoreRequest};
use crate::wire::{self, FaultCode, Message, WireError};

mod backpressure;
mod below;
mod blobs;
mod compare;
mod dispatch;
mod durability;
mod fault;
mod following;
mod greeting;
mod incoming;
pub mod lineage;
mod outgoing;
mod pace;
mod push;
mod renewing;
mod revoking;
mod strangers;
mod types;
mod versions;

use compare::{Answering, Compare};
use fault::unreadable;
use incoming::Incoming;
use outgoing::Outgoing;

pub use fault::Fault;
pub(crate) use types::Peer;
pub use types::{Activity, Branch, Channel, Effect, Identity, Relation, Remembered, Report, Role};

/// How long a peer may take to say hello, and to answer.
const ANSWER_MS: i64 = 30_000;
/// How often a quiet session compares again, in case a push was lost.
const COMPARE_AGAIN_MS: i64 = 60_000;
/// Frames given to the runtime and not yet written; beyond it a peer does not read.
const UNSENT_BYTES: usize = 32 << 20;
/// With so many of them a listener reads no more questions.
const UNREAD_BYTES: usize = 2 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the first message of the peer.
    Greeting,
    /// A child has said hello; the store is looking at its lineage token.
    Admitting,
    Open,
    Closed,
}

/// Why a store request was made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// Own side of a comparison, at the dialler.
    Compare(compare::Purpose),
    /// For a question of the peer, at the listener.
    Answer(compare::AnswerPurpose),
    /// Changes to send.
    Read(outgoing::Reading),
    /// A batch of the peer.
    Ingest { batch: u64, changes: u64, bytes: usize },
    /// Blobs.
    Blob(blobs::Purpose),
    /// Durability.
    Durability(durability::Purpose),
    /// May the child come in?
    Admit,
    /// Is it the machine that is known, further below?
    AdmitBelow,
    /// What waits, to be handed up before a new certificate is asked for.
    Handover,
    /// Certificates that came before a renewal are known.
    Renewal(crate::renewal::Renewal),
    /// Revocations that came before a new chain are known.
    TakingOver(Vec<Vec<u8>>),
    /// Nothing waits for it.
    Note,
}

/// The state machine of one connection.
pub struct Session {
    identity: Arc<Identity>,
    authority: Arc<Authority>,
    role: Role,
    channel: Channel,
    phase: Phase,
    peer: Option<Peer>,
    dialect: Arc<Dialect>,
    /// Who was turned away for want of a version.
    away: Option<Certificate>,
    /// The hello of a dialler that is not answered yet.
    greeting: Option<wire::Hello>,
    now_ms: i64,
    deadline_ms: i64,
    next_number: u64,
    requests: BTreeMap<u64, Purpose>,
    compare: Compare,
    answering: Answering,
    outgoing: Outgoing,
    incoming: Incoming,
    blobs: blobs::Blobs,
    durability: durability::Durability,
    strangers: strangers::Strangers,
    renewing: renewing::Renewing,
    below: below::Below,
    revoking: revoking::Revoking,
    /// Trusted time less the time of the hub.
    clock_offset_ms: i64,
    unsent_bytes: usize,
    /// Bytes that had come from the peer when the last comparison was due.
    heard_before: u64,
    figures: Report,
    effects: Vec<Effect>,
}

type Outcome = Result<(), Fault>;

impl Session {
    /// A session on a new connection; [`Session::start`] comes next.
    pub fn new(
        identity: Arc<Identity>,
        authority: Arc<Authority>,
        role: Role,
        channel: Channel,
        now_ms: i64,
        clock_offset_ms: i64,
    ) -> Self {
        Self {
            identity,
            authority,
            role,
            channel,
            phase: Phase::Greeting,
            peer: None,
            dialect: Arc::default(),
            away: None,
            greeting: None,
            now_ms,
            deadline_ms: now_ms + ANSWER_MS,
            next_number: 0,
            requests: BTreeMap::new(),
            compare: Compare::default(),
            answering: Answering::default(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            blobs: blobs::Blobs::default(),
            durability: durability::Durability::default(),
            strangers: strangers::Strangers::default(),
            renewing: renewing::Renewing::default(),
            below: below::Below::default(),
            revoking: revoking::Revoking::default(),
            clock_offset_ms,
            unsent_bytes: 0,
            heard_before: 0,
            figures: Report::default(),
            effects: Vec::new(),
        }
    }

    /// The dialler speaks first.
    pub fn start(&mut self, now_ms: i64) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            if let Role::Dialler { .. } = session.role {
                let hello = session.own_hello();
                session.send(&Message::Hello(hello));
            }
            Ok(())
        })
    }

    /// A frame without its length has come.
    pub fn handle_frame(&mut self, now_ms: i64, bytes: &[u8]) -> Vec<Effect> {
        self.figures.bytes_in += bytes.len() as u64 + 4;
        self.figures.frames_in += 1;
        self.figures.heard_at_ms = Some(now_ms.saturating_add(self.clock_offset_ms));
        self.drive(now_ms, |session| {
            let frame = wire::decode(bytes).map_err(|error| unreadable(&error))?;
            session.on_frame(frame)
        })
    }

    /// What has come announces no frame that may be read.
    pub fn handle_unframed(&mut self, now_ms: i64, error: &WireError) -> Vec<Effect> {
        self.drive(now_ms, |_| Err(unreadable(error)))
    }

    /// The store has answered request `number`; an error is a state of this node, not of the peer.
    pub fn handle_stored(
        &mut self,
        now_ms: i64,
        number: u64,
        reply: Result<StoreReply, String>,
    ) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            let Some(purpose) = session.requests.remove(&number) else { return Ok(()) };
            match reply {
                Ok(reply) => session.on_stored(purpose, reply),
                Err(reason) => Err(Fault::new(FaultCode::Store, reason)),
            }
        })
    }

    /// New changes are durable in the store.
    pub fn handle_committed(&mut self, now_ms: i64) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            session.outgoing.note_committed();
            session.blobs.note_committed();
            Ok(())
        })
    }

    /// A tier above is now known to hold changes; a descendant is told of those it may see.
    pub fn handle_news(&mut self, now_ms: i64, news: &News) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            session.note_news(news);
            Ok(())
        })
    }

    /// The runtime has written this many frame bytes.
    pub fn handle_sent(&mut self, now_ms: i64, bytes: usize) -> Vec<Effect> {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(bytes);
        let room = self.unsent_bytes < limits::REVOCATIONS_UNSENT_BYTES;
        if room && self.has_revocations_to_tell() {
            return self.drive(now_ms, |_| Ok(()));
        }
        Vec::new()
    }

    /// The certificates or revocations this node knows have changed.
    pub fn handle_authority(&mut self, now_ms: i64, authority: Arc<Authority>) -> Vec<Effect> {
        self.authority = authority;
        self.drive(now_ms, |session| {
            session.check_peer_in_force()?;
            session.meet_strangers();
            session.take_over_waiting()?;
            session.find_revocations();
            Ok(())
        })
    }

    /// Trusted time has moved against the time of the hub.
    pub fn handle_clock(&mut self, now_ms: i64, clock_offset_ms: i64) -> Vec<Effect> {
        self.clock_offset_ms = clock_offset_ms;
        self.drive(now_ms, Self::check_peer_in_force)
    }

    /// What became of a renewal ([`Effect::Renew`]): the new chain, or why there is none.
    pub fn handle_issued(
        &mut self,
        now_ms: i64,
        outcome: Result<Vec<Vec<u8>>, String>,
    ) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            session.answer_renewal(outcome);
            Ok(())
        })
    }

    /// The deadline has passed.
    pub fn handle_deadline(&mut self, now_ms: i64) -> Vec<Effect> {
        self.drive(now_ms, |session| {
            let greeting = matches!(session.phase, Phase::Greeting | Phase::Admitting);
            if greeting && now_ms >= session.deadline_ms {
                return Err(Fault::new(FaultCode::Timeout, "the peer did not say hello in time"));
            }
            if session.phase == Phase::Open && now_ms >= session.deadline_ms {
                session.deadline_ms = now_ms + COMPARE_AGAIN_MS;
                if !session.figures.renewing {
                    // In the middle of a copy everything that is still on its way would be asked
                    // for once more; one that has come to a halt is compared all the same.
                    session.compare.end_old_disputes(now_ms);
                    let heard = session.figures.bytes_in;
                    if session.is_quiet() || heard == session.heard_before {
                        session.compare_again();
                    }
                    session.heard_before = heard;
                    session.blobs.look_again();
                    session.renew_if_due();
                }
                session.check_peer_in_force()?;
            }
            Ok(())
        })
    }

    /// Ends the session from this side.
    pub fn close(&mut self, now_ms: i64, code: FaultCode, reason: &str) -> Vec<Effect> {
        self.drive(now_ms, |_| Err(Fault::new(code, reason)))
    }

    /// When [`Session::handle_deadline`] is due.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let checks = [self.compare.next_check_ms(), self.next_durability_ms()];
        let check = checks.into_iter().flatten().min();
        let check = check.filter(|_| self.is_dialler() && self.is_quiet());
        let wake = self.outgoing.wake_ms().filter(|at_ms| *at_ms > self.now_ms);
        let checks = check.into_iter().chain(wake).chain(self.next_blobs_ms());
        let deadline = checks.fold(self.deadline_ms, i64::min);
        (self.phase != Phase::Closed).then_some(deadline)
    }

    /// Whether the runtime should read more frames now; otherwise the store is behind, or the peer
    /// does not read the answers to what it asks. Only a listener waits for the latter: if both
    /// did, both would wait for ever.
    pub fn wants_frames(&self) -> bool {
        let unread = !self.is_dialler() && self.unsent_bytes > UNREAD_BYTES;
        self.phase != Phase::Closed
            && self.requests.len() < limits::SESSION_REQUESTS
            && self.incoming.has_room()
            && !unread
    }

    /// The peer's certificate, once it has said hello.
    pub fn peer(&self) -> Option<&Certificate> {
        self.peer.as_ref().filter(|_| self.phase != Phase::Admitting).map(|peer| &peer.certificate)
    }

    /// When the peer was last heard, by trusted time.
    pub fn heard_at_ms(&self) -> Option<i64> {
        self.figures.heard_at_ms
    }

    /// Whether this side opened the connection.
    pub fn is_dialler(&self) -> bool {
        matches!(self.role, Role::Dialler { .. })
    }

    /// Figures.
    pub fn report(&self) -> Report {
        let mut report = self.figures.clone();
        report.to_send = self.outgoing.unacknowledged();
        report.to_receive = self.incoming.expected();
        report.in_store_bytes = self.incoming.in_store_bytes() as u64;
        report.remembered = self.remembered();
        report.send_rate = self.outgoing.rate();
        report.postponed = self.outgoing.held().map(str::to_owned);
        report.synced = self.is_quiet() && self.holds_the_same();
        report.disputed = self.compare.disputed();
        report.activity = self.activity(&report);
        report
    }

    /// What the peer has asked for and not been sent.
    pub fn remembered(&self) -> Remembered {
        self.outgoing.remembered()
    }

    /// Runs one input, then everything that can go on because of it.
    fn drive(&mut self, now_ms: i64, input: impl FnOnce(&mut Self) -> Outcome) -> Vec<Effect> {
        if self.phase == Phase::Closed {
            return Vec::new();
        }
        self.now_ms = now_ms;
        let outcome = input(self).and_then(|()| self.go_on());
        if let Err(fault) = outcome {
            self.end(&fault);
        }
        std::mem::take(&mut self.effects)
    }

    fn go_on(&mut self) -> Outcome {
        if self.phase != Phase::Open {
            return Ok(());
        }
        self.tell_news();
        self.pump_revocations();
        self.pump_outgoing();
        self.go_on_renewing();
        self.settle();
        self.pump_blobs();
        if self.unsent_bytes > UNSENT_BYTES {
            return Err(Fault::new(FaultCode::Flow, "the peer does not read what it asks for"));
        }
        Ok(())
    }

    /// Notes the moment at which both sides hold the same and nothing is under way.
    fn settle(&mut self) {
        if !self.is_quiet() || self.figures.renewing {
            return;
        }
        if self.holds_the_same() {
            // What was last heard is the proof; since then only this side's time has passed.
            self.figures.synced_at_ms = self.figures.synced_at_ms.max(self.figures.heard_at_ms);
            self.note_room_for_all();
        } else {
            self.check_agreement();
        }
        self.ask_durability_once();
    }

    /// Both were found equal, and nothing that came since is held back.
    fn holds_the_same(&self) -> bool {
        self.compare.agreed() && self.outgoing.held().is_none()
    }

    fn is_quiet(&self) -> bool {
        self.phase == Phase::Open
            && self.compare.is_done(self.is_dialler())
            && self.outgoing.unacknowledged() == 0
            && self.incoming.expected() == 0
    }

    /// Trusted time, milliseconds since 1970-01-01 UTC.
    fn wall_ms(&self) -> i64 {
        self.now_ms.saturating_add(self.clock_offset_ms)
    }

    fn store(&mut self, purpose: Purpose, request: StoreRequest) {
        self.next_number += 1;
        self.requests.insert(self.next_number, purpose);
        self.effects.push(Effect::Store { number: self.next_number, request });
    }

    fn send(&mut self, message: &Message) {
        self.send_frame(wire::encode(message));
    }

    fn send_frame(&mut self, frame: Vec<u8>) {
        self.figures.bytes_out += frame.len() as u64;
        self.figures.frames_out += 1;
        self.unsent_bytes += frame.len();
        self.effects.push(Effect::Send(frame));
    }

    fn end(&mut self, fault: &Fault) {
        let Fault { code, reason } = fault.clone();
        self.say_versions(code);
        self.send(&Message::Goodbye { code: code as u16, reason: wire::bounded_text(&reason) });
        self.phase = Phase::Closed;
        self.outgoing.forget_wants();
        self.effects.push(Effect::Close { code, reason });
    }

    fn open_peer(&self) -> &Peer {
        self.peer.as_ref().expect("the phase is Open only after the hello of the peer")
    }
}

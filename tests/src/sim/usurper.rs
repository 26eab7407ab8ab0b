//! The thief in the place of a town that was revoked, whose key he has: he is the one who is dialled,
//! and says that his key is the one after it.
//!
//! The first village still has the address of that town in its configuration, as one does who was
//! served by it once. Whoever answers there gets nothing for it: a succession counts only under the
//! certificate that stands above a node and is in force.

use cunlian_protocol::hub::{ConnectionId, Event, TargetId};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::SuccessionBody;
use cunlian_protocol::wire::{self, Message};

use super::fault::Fault;
use super::network::Place;
use super::thief::Visit;
use super::world::{Happening, World};
use crate::hostile::Hostile;
use crate::member::{Member, key};

/// Seed of the key that he says is the next one, when it is not his own.
const NEXT: u8 = 71;
/// How long a dial into the void takes.
const VOID_MS: i64 = 10_000;
/// How long he waits for an answer.
const PATIENCE_MS: i64 = 20_000;

/// The town that was.
pub(super) struct Former {
    pub(super) member: Member,
    /// The word of the county that it is none any more.
    pub(super) revocation: Vec<u8>,
}

impl World {
    /// Somebody dials a key that no node here has.
    pub(super) fn dial_former(&mut self, at: usize, target: TargetId, dialled: &PublicKey) {
        // Once everything is healed nobody is there, for good.
        if *dialled != self.former.member.public_key() || !self.faulty {
            return;
        }
        let waits = std::mem::take(&mut self.thief.lies_in_wait);
        if !waits || self.thief.visit.is_some() {
            self.thief.lies_in_wait |= waits;
            let event = Event::DialFailed { target, reason: "no answer".to_owned() };
            let epoch = self.epoch(at);
            return self.after(VOID_MS, Happening::Tell { at, epoch, event });
        }
        self.note("thief", "answers", &self.name(at));
        let (there, own) = self.network.connect(Place::Node(at), Place::Thief);
        let exporter = self.luck.bytes();
        let Some(machine) = self.machines.get(at) else { return };
        let channel = Channel { exporter, peer_key: machine.disk.member.public_key() };
        let attempt = Fault::StolenSuccession;
        self.thief.visit = Some(Visit::new(own, attempt, channel));
        for end in [own, there] {
            self.after(PATIENCE_MS, Happening::Lost { end, reason: "the thief leaves" });
        }
        self.thief.next_key = self.plan.one_in(2).then(|| key(NEXT));
        let peer_key = public_key(self.key_of_usurper());
        let channel = Channel { exporter, peer_key };
        self.handle(at, Event::Dialled { target, connection: there, channel });
    }

    /// He has been greeted as a town, and answers as the one after it: with his own chain, which is
    /// in force, or with a key that the stolen one has certified.
    pub(super) fn usurper_answers(&mut self, connection: ConnectionId) {
        let Some(visit) = &self.thief.visit else { return };
        let own = &self.thief.stolen.hostile;
        let former = &self.former.member;
        let key = self.key_of_usurper();
        let chain = match &self.thief.next_key {
            Some(next) => former.certify_key(next, "高城镇"),
            None => own.chain.clone(),
        };
        let succession =
            SuccessionBody { old: former.public_key(), new: public_key(key), stands: Vec::new() };
        let successions = vec![succession.sign(&former.identity.key, key)];
        let hello = Hostile::new(key.clone(), chain);
        let hello = hello.welcome(&visit.channel, self.now_ms, successions);
        self.send(connection, wire::encode(&Message::Welcome(hello)));
    }

    /// Whether a target of a node is the town that was, at which nobody is.
    pub(super) fn is_former(&self, at: usize, target: TargetId) -> bool {
        let machine = self.machines.get(at);
        let key = machine.and_then(|machine| machine.disk.targets.get(target.0));
        key == Some(&self.former.member.public_key())
    }

    /// Nobody follows a stolen key.
    pub(super) fn check_followed(&self, at: usize, new: &PublicKey) {
        let own = public_key(&self.thief.stolen.hostile.key);
        let usurps = *new == own || *new == public_key(&key(NEXT));
        assert!(!usurps, "{} takes a thief for its town", self.name(at));
    }

    fn key_of_usurper(&self) -> &SigningKey {
        self.thief.next_key.as_ref().unwrap_or(&self.thief.stolen.hostile.key)
    }
}

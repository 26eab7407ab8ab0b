//! Revocations: both sides come to know all of them, at the start and as they are learned.
//!
//! They are sent a few at a time, as the peer reads: what is under way of them is bounded by
//! [`limits::REVOCATIONS_UNSENT_BYTES`], so that on a thin line changes go beside them. Nothing is
//! looked through as long as no revocation comes or goes. A new certificate is given to a peer when
//! it has been sent all revocations: it lets others in by it, and must not have forgotten any.

use std::collections::{BTreeSet, VecDeque};

use super::{Phase, Purpose, Session, StoreRequest};
use crate::authority::Authority;
use crate::id::Serial;
use crate::limits;
use crate::revocation::{Revocation, RevocationId};
use crate::wire::{Bounded, Hello, Message, RevocationBytes};

/// Bytes of revocations in one frame, unless a single one has more.
const FRAME_BYTES: usize = limits::REVOCATION_BYTES / 4;

/// What the peer is known to know.
#[derive(Debug, Default)]
pub(super) struct Revoking {
    told: BTreeSet<RevocationId>,
    /// Whether the peer has been told which are known here.
    said: bool,
    /// Whether the peer has said which it knows, or knows the same.
    begun: bool,
    /// Up to which change of the authority its revocations were looked through.
    looked_at: Option<u64>,
    /// To be told, by the certificates that are revoked.
    waiting: VecDeque<(Serial, RevocationId)>,
}

impl Session {
    /// Says which revocations are known here if the peer knows others.
    pub(super) fn compare_revocations(&mut self, hello: &Hello) {
        if hello.revocations == digest(&self.authority) {
            self.revoking.told = self.authority.revocations().map(Revocation::id).collect();
            self.revoking.begun = true;
            self.revoking.looked_at = Some(self.authority.revocation_changes());
            return;
        }
        self.say_known_revocations();
    }

    fn say_known_revocations(&mut self) {
        self.revoking.said = true;
        let known = self.authority.revocations().map(|revocation| start(&revocation.id()));
        let known: Vec<[u8; 8]> = known.take(limits::LIST_IDS).collect();
        self.send(&Message::KnownRevocations(Bounded(known)));
    }

    /// The peer says which it knows; it is sent the others. A peer that learned of one after its
    /// hello finds a difference where here there was none, and waits to be told what is known here.
    pub(super) fn on_known_revocations(&mut self, known: &[[u8; 8]]) {
        if !self.revoking.said {
            self.say_known_revocations();
        }
        let known: BTreeSet<&[u8; 8]> = known.iter().collect();
        let ids = self.authority.revocations().map(Revocation::id);
        self.revoking.told.extend(ids.filter(|id| known.contains(&start(id))));
        self.revoking.begun = true;
        self.find_revocations();
    }

    /// Looks for what the peer has not been told, if any came or went since.
    pub(super) fn find_revocations(&mut self) {
        let changes = self.authority.revocation_changes();
        if !self.revoking.begun || self.revoking.looked_at == Some(changes) {
            return;
        }
        self.revoking.looked_at = Some(changes);
        self.forget_revocations_gone();
        for revocation in self.authority.revocations() {
            if self.revoking.told.insert(revocation.id()) {
                let of = revocation.body().own.serial;
                self.revoking.waiting.push_back((of, revocation.id()));
            }
        }
    }

    /// What others took the place of is not remembered, however often they do.
    fn forget_revocations_gone(&mut self) {
        let known: BTreeSet<RevocationId> =
            self.authority.revocations().map(Revocation::id).collect();
        if self.revoking.told.len() > 2 * known.len() + limits::FRAME_CERTIFICATES {
            self.revoking.told.retain(|id| known.contains(id));
            self.revoking.waiting.retain(|(_, id)| known.contains(id));
        }
    }

    /// Whether the peer has yet to be told of some.
    pub fn has_revocations_to_tell(&self) -> bool {
        !self.revoking.waiting.is_empty()
    }

    /// Sends what there is room for, certificates that the peer takes to check it first.
    pub(super) fn pump_revocations(&mut self) {
        while self.phase == Phase::Open
            && !self.revoking.waiting.is_empty()
            && self.unsent_bytes < limits::REVOCATIONS_UNSENT_BYTES
        {
            let (frame, serials) = self.next_revocations();
            self.introduce(serials);
            if !frame.is_empty() {
                self.send(&Message::Revocations(Bounded(frame)));
            }
        }
        if self.revoking.waiting.is_empty() {
            self.give_answer();
        }
    }

    /// One frame of them, and whom they name.
    fn next_revocations(&mut self) -> (Vec<RevocationBytes>, Vec<Serial>) {
        let (mut frame, mut serials, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((of, id)) = self.revoking.waiting.front() {
            let known = self.authority.revocations_of(of).iter().find(|known| known.id() == *id);
            // It may have gone meanwhile, for others that go first.
            if let Some(revocation) = known {
                let length = revocation.bytes().len();
                let full =
                    bytes + length > FRAME_BYTES || frame.len() == limits::FRAME_CERTIFICATES;
                if full && !frame.is_empty() {
                    break;
                }
                bytes += length;
                frame.push(Bounded(revocation.bytes().to_vec()));
                let body = revocation.body();
                serials.push(body.own.serial);
                serials.extend(body.issuer);
                // Whoever is asked to certify its holder anew must know what that follows.
                serials.extend(body.successor);
            }
            self.revoking.waiting.pop_front();
        }
        (frame, serials)
    }

    pub(super) fn on_revocations(&mut self, list: Vec<RevocationBytes>) {
        let ids = list.iter().map(|bytes| Revocation::id_of(&bytes.0));
        self.revoking.told.extend(ids);
        let revocations = list.into_iter().map(|bytes| bytes.0).collect();
        self.store(Purpose::Note, StoreRequest::Revocations { revocations });
    }
}

/// BLAKE3 of the ids of all revocations, ascending by revoked certificate and id.
pub(super) fn digest(authority: &Authority) -> [u8; 32] {
    let named = |revocation: &Revocation| (revocation.body().own.serial, revocation.id());
    let mut ids: Vec<(Serial, RevocationId)> = authority.revocations().map(named).collect();
    ids.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (_, id) in ids {
        hasher.update(&id.0);
    }
    *hasher.finalize().as_bytes()
}

fn start(id: &RevocationId) -> [u8; 8] {
    id.0.first_chunk().copied().unwrap_or_default()
}

//! Revocations: both sides come to know all of them, at the start and as they are learned.

use std::collections::BTreeSet;

use super::{Phase, Purpose, Session, StoreRequest};
use crate::authority::Authority;
use crate::id::Serial;
use crate::limits;
use crate::revocation::{Revocation, RevocationId};
use crate::wire::{Bounded, Hello, Message, RevocationBytes};

/// Bytes of revocations in one frame.
const FRAME_BYTES: usize = limits::FRAME_BYTES / 2;

/// What the peer is known to know.
#[derive(Debug, Default)]
pub(super) struct Revoking {
    told: BTreeSet<RevocationId>,
    /// Whether the peer has said which it knows, or knows the same.
    begun: bool,
}

impl Session {
    /// Says which revocations are known here if the peer knows others.
    pub(super) fn compare_revocations(&mut self, hello: &Hello) {
        if hello.revocations == digest(&self.authority) {
            self.revoking.told = self.authority.revocations().map(Revocation::id).collect();
            self.revoking.begun = true;
            return;
        }
        let known = self.authority.revocations().map(|revocation| start(&revocation.id()));
        let known: Vec<[u8; 8]> = known.take(limits::LIST_IDS).collect();
        self.send(&Message::KnownRevocations(Bounded(known)));
    }

    /// The peer says which it knows; it is sent the others.
    pub(super) fn on_known_revocations(&mut self, known: &[[u8; 8]]) {
        let known: BTreeSet<&[u8; 8]> = known.iter().collect();
        let ids = self.authority.revocations().map(Revocation::id);
        self.revoking.told.extend(ids.filter(|id| known.contains(&start(id))));
        self.revoking.begun = true;
        self.push_revocations();
    }

    /// Sends what the peer has not been told, certificates that it takes to check them first.
    pub(super) fn push_revocations(&mut self) {
        if self.phase != Phase::Open || !self.revoking.begun {
            return;
        }
        let mut serials: Vec<Serial> = Vec::new();
        let mut frames: Vec<Vec<RevocationBytes>> = Vec::new();
        let mut bytes = FRAME_BYTES;
        for revocation in self.authority.revocations() {
            if !self.revoking.told.insert(revocation.id()) {
                continue;
            }
            serials.push(revocation.body().own.serial);
            serials.extend(revocation.body().issuer);
            // Whoever is asked to certify its holder anew must know what that follows.
            serials.extend(revocation.body().successor);
            let length = revocation.bytes().len();
            let full = frames.last().is_none_or(|frame| frame.len() == limits::FRAME_CERTIFICATES);
            if full || bytes + length > FRAME_BYTES {
                frames.push(Vec::new());
                bytes = 0;
            }
            bytes += length;
            if let Some(frame) = frames.last_mut() {
                frame.push(Bounded(revocation.bytes().to_vec()));
            }
        }
        self.introduce(serials);
        for frame in frames {
            self.send(&Message::Revocations(Bounded(frame)));
        }
    }

    pub(super) fn on_revocations(&mut self, list: Vec<RevocationBytes>) {
        let ids = list.iter().map(|bytes| Revocation::id_of(&bytes.0));
        self.revoking.told.extend(ids);
        let revocations = list.into_iter().map(|bytes| bytes.0).collect();
        self.store(Purpose::Note, StoreRequest::Revocations { revocations });
    }
}

/// BLAKE3 of the ids of all revocations.
pub(super) fn digest(authority: &Authority) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for revocation in authority.revocations() {
        hasher.update(&revocation.id().0);
    }
    *hasher.finalize().as_bytes()
}

fn start(id: &RevocationId) -> [u8; 8] {
    id.0.first_chunk().copied().unwrap_or_default()
}

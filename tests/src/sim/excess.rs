//! What the thief sends that is sound piece by piece, and too much in sum: changes that unfold,
//! documents that hold more than counts, certificates and revocations without end.
//!
//! What a node keeps of it is looked at by [`super::bound`], which also notes that it had an effect:
//! a flood counts when a node holds as much of it as it may, and no more.

use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION, actor};
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::wire::{self, Bounded, Message};

use super::fault::Fault;
use super::thief::batch;
use super::world::World;
use super::{START_MS, county};
use crate::member::key;
use crate::unfolding::Puts;

/// Issuers one below the other and beside each other, and people below each.
const ISSUERS: u8 = 6;
const PEOPLE: i64 = 100;
/// Changes of one document, of which the last does not count.
const HEAVY: u64 = 3;
/// Bytes of each.
const HEAVY_BYTES: usize = limits::CHANGE_BYTES - 4_096;
/// Revocations of one flood: more than are kept below a village.
const REVOCATIONS: usize = 300;

impl World {
    /// The frames of an attempt that is none of the others.
    pub(super) fn excess(&mut self, attempt: Fault) -> Vec<Vec<u8>> {
        if attempt == Fault::Unfolding {
            let home = self.own_home();
            let puts = self.plan.pick(&[(65_536, 0), (1 << 40, 0), (1, 65_536), (40, 100)]);
            vec![batch(1, vec![self.filled(home, puts.unwrap_or_default(), 0)])]
        } else if attempt == Fault::Crowding {
            self.crowd()
        } else if attempt == Fault::SubIssuers {
            self.mint()
        } else if attempt == Fault::RevocationFlood {
            let mut frames = self.mint();
            frames.extend(self.revoke_minted());
            frames
        } else {
            Vec::new()
        }
    }

    /// The changes of one document in batches of their own.
    fn crowd(&mut self) -> Vec<Vec<u8>> {
        let changes = self.crowded_changes();
        (1..).zip(changes).map(|(number, change)| batch(number, vec![change])).collect()
    }

    /// Changes of one document, each as full as it may be.
    pub(super) fn crowded_changes(&mut self) -> Vec<Vec<u8>> {
        let home = self.own_home();
        let carried = (HEAVY_BYTES / limits::OPERATION_BYTES) as u64;
        let puts = limits::FREE_OPERATIONS as u64 + carried;
        let predecessors = limits::FREE_PREDECESSORS as u64 + carried;
        self.thief.crowded.push((home, puts + predecessors));
        let make = |_| {
            let change = self.filled(home, (puts, predecessors), HEAVY_BYTES);
            let sound = SignedChange::decode(change.clone()).expect("it is sound");
            self.model.make(sound.id(), sound.header());
            change
        };
        (0..HEAVY).map(make).collect()
    }

    /// A change of his that puts a field so often, with so many predecessors and so much text.
    fn filled(&mut self, home: Home, (puts, predecessors): (u64, u64), bytes: usize) -> Vec<u8> {
        let (author, session) = (self.thief.stolen.certificate.serial(), self.plan.any());
        let (field, text) = ("note".to_owned(), "x".repeat(bytes));
        let actor = actor(&author, session);
        let payload = Puts { actor, field, puts, predecessors, text }.to_bytes();
        let header = Header {
            version: VERSION,
            kind: ChangeKind::EDIT,
            home,
            author,
            session,
            seq: 1 + self.plan.below(1 << 40),
            recorded_at_ms: self.now_ms,
        };
        let signed = SignedChange::sign(&header, &payload, &self.thief.stolen.hostile.key);
        signed.expect("it is not too large").bytes().to_vec()
    }

    /// A tree of issuers under whatever tier they like to be, with people below each.
    fn mint(&mut self) -> Vec<Vec<u8>> {
        if self.thief.minted.is_empty() {
            let own = (self.thief.stolen.certificate.serial(), &self.thief.stolen.hostile.key);
            self.thief.minted = tree(own);
        }
        let parts = self.thief.minted.chunks(limits::FRAME_CERTIFICATES);
        let bounded = |part: &[Vec<u8>]| Bounded(part.iter().cloned().map(Bounded).collect());
        parts.map(|part| wire::encode(&Message::Certificates(bounded(part)))).collect()
    }

    /// He takes back what he certified.
    fn revoke_minted(&mut self) -> Vec<Vec<u8>> {
        let (by, key) = (self.thief.stolen.certificate.serial(), &self.thief.stolen.hostile.key);
        let mut revocations = self.thief.minted.iter().take(REVOCATIONS).map(|bytes| {
            let body = RevocationBody {
                own: Standing { serial: Serial::of(bytes), through_seq: 3, tags: Vec::new() },
                successor: None,
                descendants: Vec::new(),
                reason: "离任".to_owned(),
                issuer: Some(by),
            };
            Bounded(body.sign(key))
        });
        let mut frames = Vec::new();
        loop {
            let part: Vec<_> = revocations.by_ref().take(limits::FRAME_CERTIFICATES).collect();
            if part.is_empty() {
                return frames;
            }
            frames.push(wire::encode(&Message::Revocations(Bounded(part))));
        }
    }
}

fn tree(own: (Serial, &SigningKey)) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    let mut above = (own.0, own.1.clone());
    for number in 0..ISSUERS {
        let issuer = key(100 + number);
        let tiers = [Tier::Province, Tier::Town, Tier::Grid];
        let tier = tiers.get(usize::from(number) % 3).copied().unwrap_or(Tier::Grid);
        let bytes = below(&above, &issuer, AuthorKind::Node, tier, i64::from(number));
        let serial = Serial::of(&bytes);
        list.push(bytes);
        let here = (serial, issuer);
        for person in 0..PEOPLE {
            let at_ms = i64::from(number) * 7 + person * 3 - 50;
            list.push(below(&here, &key(9), AuthorKind::Operator, Tier::Grid, at_ms));
        }
        above = if number % 2 == 0 { here } else { (own.0, own.1.clone()) };
    }
    list
}

/// A certificate without rights below one of this serial and key.
fn below(
    (issuer, by): &(Serial, SigningKey),
    subject: &SigningKey,
    kind: AuthorKind,
    tier: Tier,
    later_ms: i64,
) -> Vec<u8> {
    let body = CertificateBody {
        subject: public_key(subject),
        name: "小工".to_owned(),
        kind,
        tier,
        grants: Vec::new(),
        issued_at_ms: START_MS + later_ms,
        not_after_ms: county::VALID.end,
        issuer: Some(*issuer),
    };
    Certificate::issue(&body, by)
}

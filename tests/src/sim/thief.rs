//! Somebody with a valid certificate of a village who breaks the rules of the protocol.
//!
//! Each visit is one connection to the town that certified him, and one attempt. What the town
//! answers is looked at: an attempt counts when the town did what it must. What he sends that is
//! sound one by one and too much in sum is in [`super::excess`]; where he is the one who is dialled,
//! in [`super::usurper`].

use std::path::PathBuf;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::blob::{BlobMessage, BlobName, BlobReference};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION};
use cunlian_protocol::hub::{ConnectionId, Event};
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Frame, Hello, Message, Prefixed, Wanted};

use super::fault::Fault;
use super::network::Place;
use super::reading::decode;
use super::world::{Happening, World};
use crate::authored::authored_in;
use crate::hostile::Stolen;

/// The town that certified him.
const TOWN: usize = 1;
/// How long he waits for an answer.
const PATIENCE_MS: i64 = 20_000;
const OWN_VILLAGE: &str = "370322102310";
const OTHER_VILLAGE: &str = "370322102311";
const POPULATION: Category = Category::library(0, 0);

/// The thief.
pub(super) struct Thief {
    pub(super) stolen: Stolen,
    /// The node whose batches he has on tape.
    pub(super) robbed: usize,
    /// What he has on tape.
    pub(super) tape: Vec<Vec<u8>>,
    /// A greeting of his own that was good once.
    greeting: Option<Vec<u8>>,
    dir: PathBuf,
    stores: u32,
    pub(super) visit: Option<Visit>,
    /// The certificates that he made, root side first.
    pub(super) minted: Vec<Vec<u8>>,
    /// Documents that he filled beyond what counts, with what each of the changes holds.
    pub(super) crowded: Vec<(Home, u64)>,
    /// Whether he waits where a town was that he has the key of.
    pub(super) lies_in_wait: bool,
    /// The key that he says comes after it, when it is not his own.
    pub(super) next_key: Option<SigningKey>,
}

/// One connection of his.
pub(super) struct Visit {
    pub(super) connection: ConnectionId,
    pub(super) attempt: Fault,
    /// What both ends of it have of TLS.
    pub(super) channel: Channel,
    /// What he asks for when the town has taken what names it.
    claim: Option<(BlobName, KeyPrefix)>,
}

impl Visit {
    pub(super) fn new(connection: ConnectionId, attempt: Fault, channel: Channel) -> Self {
        Self { connection, attempt, channel, claim: None }
    }
}

impl Thief {
    pub(super) fn new(stolen: Stolen, dir: PathBuf) -> Self {
        Self {
            stolen,
            robbed: 3,
            tape: Vec::new(),
            greeting: None,
            dir,
            stores: 0,
            visit: None,
            minted: Vec::new(),
            crowded: Vec::new(),
            lies_in_wait: false,
            next_key: None,
        }
    }
}

impl World {
    /// He connects and greets.
    pub(super) fn thief_comes(&mut self, attempt: Fault) {
        if attempt == Fault::StolenSuccession {
            self.thief.lies_in_wait = true;
            return;
        }
        let town = self.machines.get(TOWN).filter(|town| town.process.is_some());
        let Some(town) = town.filter(|_| self.faulty && self.thief.visit.is_none()) else { return };
        let peer_key = town.disk.member.public_key();
        self.note("thief", "comes for", &attempt);
        let (own, other) = self.network.connect(Place::Thief, Place::Node(TOWN));
        let exporter = self.luck.bytes();
        let key = public_key(&self.thief.stolen.hostile.key);
        let accepted =
            Event::Accepted { connection: other, channel: Channel { exporter, peer_key: key } };
        let channel = Channel { exporter, peer_key };
        self.thief.visit = Some(Visit::new(own, attempt, channel.clone()));
        self.after(PATIENCE_MS, Happening::Lost { end: own, reason: "the thief leaves" });
        self.after(PATIENCE_MS, Happening::Lost { end: other, reason: "the thief leaves" });
        self.handle(TOWN, accepted);
        let who = &self.thief.stolen.hostile;
        let hello = who.greeting(&channel, self.now_ms);
        let frame = match (attempt, &self.thief.greeting) {
            (Fault::OldVersion, _) => {
                let hello = Hello { versions: Bounded(vec![u16::MAX]), ..hello };
                wire::encode(&Message::Hello(who.sign(hello, &channel)))
            }
            (Fault::Replay, Some(greeting)) if self.plan.one_in(2) => greeting.clone(),
            _ => wire::encode(&Message::Hello(hello)),
        };
        if attempt != Fault::OldVersion {
            self.thief.greeting = Some(frame.clone());
        }
        self.send(own, frame);
    }

    /// He is thrown out of the simulation.
    pub(super) fn thief_leaves(&mut self) {
        self.thief.lies_in_wait = false;
        if let Some(Visit { connection, .. }) = &self.thief.visit {
            let own = *connection;
            let other = self.network.ends.get(&own).map(|end| end.peer);
            self.lost(own, "the thief leaves");
            if let Some(other) = other {
                self.lost(other, "the thief leaves");
            }
        }
    }

    pub(super) fn thief_is_out(&mut self, connection: ConnectionId) {
        if self.thief.visit.as_ref().is_some_and(|visit| visit.connection == connection) {
            self.thief.visit = None;
        }
    }

    pub(super) fn thief_hears(&mut self, connection: ConnectionId, frame: &[u8]) {
        let visit = self.thief.visit.as_ref();
        let Some(visit) = visit.filter(|visit| visit.connection == connection) else { return };
        let attempt = visit.attempt;
        self.trace().note_bytes(self.now_ms, "thief", "hears", frame);
        match decode(frame) {
            Some(Frame::Message(Message::Hello(_))) => self.usurper_answers(connection),
            Some(Frame::Message(Message::Welcome(hello))) => {
                self.thief.stolen.hostile.keep(hello.lineage);
                assert_ne!(attempt, Fault::OldVersion, "nobody speaks that version");
                if !hello.renewing {
                    self.attempt(connection, attempt);
                }
            }
            Some(Frame::Message(Message::Goodbye { code, .. })) => {
                let code = FaultCode::from_number(code);
                if expected_end(attempt).contains(&code) {
                    self.fired.count(attempt);
                }
            }
            // What it says to who asks for what it does not have.
            Some(Frame::Message(Message::Blob(BlobMessage::None))) => self.fired.count(attempt),
            Some(Frame::Message(Message::Ack { refused, .. })) => {
                let reasons = refused.0.iter().map(|(_, why)| String::from_utf8_lossy(&why.0));
                let reasons: Vec<String> = reasons.map(std::borrow::Cow::into_owned).collect();
                self.judge_answer(attempt, &reasons);
                if reasons.is_empty() {
                    self.make_claim(connection);
                }
            }
            _ => {}
        }
    }

    /// What the town says to the changes he sent.
    fn judge_answer(&mut self, attempt: Fault, reasons: &[String]) {
        let has = |text: &str| reasons.iter().any(|reason| reason.contains(text));
        let revoked = has("revoked");
        let (done, must) = if attempt == Fault::BadSignature {
            (has("signature does not hold"), true)
        } else if attempt == Fault::OutOfScopeWrite {
            (has("outside of what") && has("no right"), true)
        } else if attempt == Fault::Oversize {
            (has("at most"), true)
        } else if attempt == Fault::Unfolding {
            (has("unfold"), true)
        } else {
            (attempt == Fault::Replay && reasons.is_empty(), false)
        };
        if done {
            self.fired.count(attempt);
        }
        assert!(done || !must || revoked, "{attempt:?} is answered with {reasons:?}");
    }

    fn attempt(&mut self, connection: ConnectionId, attempt: Fault) {
        let frames: Vec<Vec<u8>> = if attempt == Fault::BadSignature {
            let mut change = self.forged(POPULATION, OWN_VILLAGE);
            if let Some(last) = change.last_mut() {
                *last ^= 1;
            }
            vec![batch(1, vec![change])]
        } else if attempt == Fault::OutOfScopeWrite {
            let elsewhere = self.forged(POPULATION, OTHER_VILLAGE);
            vec![batch(1, vec![elsewhere, self.forged(Category::CATALOGUE, "370322")])]
        } else if attempt == Fault::OutOfScopeRead && self.plan.one_in(2) {
            self.ask_for_photo(connection).into_iter().collect()
        } else if attempt == Fault::OutOfScopeRead {
            let home = home(POPULATION, OTHER_VILLAGE, DocumentId([0; 16]));
            let items = Prefixed(vec![(KeyPrefix::document(&home), Wanted::All)]);
            vec![wire::encode(&Message::Want { number: 1, items })]
        } else if attempt == Fault::Oversize {
            vec![self.oversize()]
        } else if attempt == Fault::Replay {
            self.replayed().into_iter().collect()
        } else if attempt == Fault::Equivocation {
            let home = self.own_home();
            let pair = [self.authored(home, "一"), self.authored(home, "二")];
            vec![batch(1, pair.into_iter().flatten().collect())]
        } else if attempt == Fault::PhotoByHash {
            self.name_photo().into_iter().collect()
        } else {
            self.excess(attempt)
        };
        for frame in frames {
            self.send(connection, frame);
        }
    }

    /// A document of his village that names a photo of others, which he knows the hash of.
    fn name_photo(&mut self) -> Option<Vec<u8>> {
        let scope = self.scope_of(Place::Thief);
        let (blob, content) = self.photo_out_of(&scope)?;
        let reference = BlobReference::of(&content, "image/jpeg").expect("it is not too large");
        let home = Home { category: Category::TICKET_PHOTO, ..self.own_home() };
        let changes = self.authored(home, &reference.to_string());
        let change = SignedChange::decode(changes.first()?.clone()).expect("it is sound");
        self.know_photo(change.id(), home, content, false);
        if let Some(visit) = &mut self.thief.visit {
            visit.claim = Some((blob, KeyPrefix::document(&home)));
        }
        Some(batch(1, changes))
    }

    /// The town has taken a document of his that names a photo: he asks for it.
    fn make_claim(&mut self, connection: ConnectionId) {
        let claim = self.thief.visit.as_mut().and_then(|visit| visit.claim.take());
        let Some((blob, document)) = claim else { return };
        let message = self.question(connection, document, blob);
        self.send(connection, wire::encode(&message));
    }

    /// A photo of others, by the document of theirs that names it, or by one of his village that
    /// does not.
    fn ask_for_photo(&mut self, connection: ConnectionId) -> Option<Vec<u8>> {
        let scope = self.scope_of(Place::Thief);
        let known = self.photos.iter();
        let names = known.map(|photo| (photo.name(), photo.document.clone()));
        let (own, others): (Vec<_>, Vec<_>) =
            names.partition(|(_, document)| scope.allows(document.as_bytes()));
        let is_own = |blob: BlobName| own.iter().any(|(name, _)| *name == blob);
        let others: Vec<_> = others.into_iter().filter(|(name, _)| !is_own(*name)).collect();
        let places: Vec<usize> = (0..others.len()).collect();
        let (blob, document) = others.get(self.plan.pick(&places)?)?.clone();
        let unnamed = own.first().filter(|_| self.plan.one_in(2));
        let document = unnamed.map_or(document, |(_, own)| own.clone());
        let message = self.question(connection, document, blob);
        Some(wire::encode(&message))
    }

    fn question(&mut self, end: ConnectionId, document: KeyPrefix, blob: BlobName) -> Message {
        Message::Blob(if self.plan.one_in(2) {
            self.ask_blob(end, (blob, None));
            BlobMessage::WantOutline { document, blob }
        } else {
            self.ask_blob(end, (blob, Some((0, 1))));
            BlobMessage::Want { document, blob, from: 0, length: 1 }
        })
    }

    /// A document of his village that nobody has made yet.
    pub(super) fn own_home(&mut self) -> Home {
        home(POPULATION, OWN_VILLAGE, DocumentId(self.plan.bytes()))
    }

    /// A batch that an honest village sent, as the first of this connection.
    fn replayed(&mut self) -> Option<Vec<u8>> {
        let tapes: Vec<usize> = (0..self.thief.tape.len()).collect();
        let tape = self.plan.pick(&tapes).and_then(|at| self.thief.tape.get(at));
        match tape.and_then(|frame| decode(frame)) {
            Some(Frame::Batch { changes, .. }) => Some(wire::encode_batch(1, &changes)),
            Some(Frame::Message(_)) | None => None,
        }
    }

    /// A change that nothing is wrong with but what it says and where.
    fn forged(&mut self, category: Category, address: &str) -> Vec<u8> {
        let document = DocumentId(self.plan.bytes());
        let header = Header {
            version: VERSION,
            kind: ChangeKind::EDIT,
            home: home(category, address, document),
            author: self.thief.stolen.certificate.serial(),
            session: self.plan.any(),
            seq: 1 << 40,
            recorded_at_ms: self.now_ms,
        };
        let key = &self.thief.stolen.hostile.key;
        let signed = SignedChange::sign(&header, b"forged", key).expect("it is not too large");
        signed.bytes().to_vec()
    }

    /// A sound change, the first of a machine that was set back.
    fn authored(&mut self, home: Home, text: &str) -> Vec<Vec<u8>> {
        self.thief.stores += 1;
        let dir = self.thief.dir.join(self.thief.stores.to_string());
        let session = self.plan.any();
        let changes =
            authored_in(&dir, &self.thief.stolen, (session, self.now_ms), &[(home, text)]);
        for bytes in &changes {
            let change = SignedChange::decode(bytes.clone()).expect("a store makes sound changes");
            self.model.make(change.id(), change.header());
        }
        changes
    }

    fn oversize(&mut self) -> Vec<u8> {
        match self.plan.below(3) {
            0 => (1_u32 << 30).to_be_bytes().to_vec(),
            1 => {
                let raw = u32::try_from(limits::BATCH_BYTES + limits::CHANGE_BYTES).unwrap_or(0);
                let packed = zstd::bulk::compress(&vec![0; 8 << 20], 1).expect("memory is there");
                let mut body = vec![2];
                body.extend_from_slice(&1_u64.to_be_bytes());
                body.extend_from_slice(&1_u32.to_be_bytes());
                body.extend_from_slice(&raw.to_be_bytes());
                body.extend_from_slice(&packed);
                let length = u32::try_from(body.len()).unwrap_or_default();
                [length.to_be_bytes().as_slice(), &body].concat()
            }
            _ => batch(1, vec![vec![1; limits::CHANGE_BYTES + 1]]),
        }
    }
}

/// A batch of this number, which is one more than that of the one before.
pub(super) fn batch(number: u64, changes: Vec<Vec<u8>>) -> Vec<u8> {
    let carried = changes.into_iter().map(|bytes| Carried { bytes, reached: 0 });
    wire::encode_batch(number, &carried.collect::<Vec<_>>())
}

/// How a connection ends on which he has tried this, if the other side does what it must.
fn expected_end(attempt: Fault) -> &'static [FaultCode] {
    if attempt == Fault::OldVersion {
        &[FaultCode::Version]
    } else if attempt == Fault::OutOfScopeRead {
        &[FaultCode::OutOfScope]
    } else if attempt == Fault::Replay {
        &[FaultCode::Signature]
    } else if attempt == Fault::Oversize {
        &[FaultCode::TooLarge, FaultCode::Malformed]
    } else if attempt == Fault::StolenSuccession {
        &[FaultCode::WrongPeer, FaultCode::Certificate, FaultCode::Revoked]
    } else {
        &[]
    }
}

fn home(category: Category, address: &str, document: DocumentId) -> Home {
    let address = AddressCode::parse(address).expect("a real code");
    Home { category, address, document }
}

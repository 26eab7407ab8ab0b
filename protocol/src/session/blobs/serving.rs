//! Answering questions about blobs, and who holds what.
//!
//! A question names a document. It is answered only if the peer may read that document and the
//! document, as it stands here, names the blob; otherwise, and when the blob is not whole here,
//! the answer is `None`, the same for all of these. What was asked for and was not here is
//! *owed*: when it has become whole, the peer is told, and may ask again.
//!
//! A node asks its ancestor which of its blobs are held above, as it does of changes, and
//! believes only an ancestor, for its own tier and those above it.

use std::collections::{BTreeMap, VecDeque};

use super::{FEW_CHANGES, PAUSE_MS, Purpose as Because};
use crate::blob::{BlobMessage, BlobName, BlobReply, BlobRequest};
use crate::key::KeyPrefix;
use crate::limits;
use crate::session::{Fault, FaultCode, Message, Outcome, Relation, Session};
use crate::wire::Bounded;

/// Bytes given to the runtime and not written, with which no more is read for answers.
const UNSENT_BYTES: usize = 256 << 10;
/// So many looks for what is held above by any tier, one is for the tier of the peer alone.
const LOOKS_FOR_ALL: u32 = 10;

/// State of answering.
#[derive(Debug, Default)]
pub(super) struct Serving {
    questions: VecDeque<Question>,
    reading: bool,
    owed: Owed,
    /// Whether an ancestor is to be asked what it holds.
    due: bool,
    looks: u32,
}

/// What was asked for and is not here.
#[derive(Debug, Default)]
struct Owed {
    /// With the document named.
    blobs: BTreeMap<BlobName, KeyPrefix>,
    /// Something has become durable since it was looked for.
    dirty: bool,
    looking: bool,
    next_look_ms: i64,
}

#[derive(Debug)]
struct Question {
    document: KeyPrefix,
    blob: BlobName,
    /// First byte and length; `None` for the outline.
    part: Option<(u32, u32)>,
}

/// Why the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::session) enum Purpose {
    /// For a question, about this document and blob.
    Bytes(KeyPrefix, BlobName),
    /// For the question which of these are held.
    Held(Vec<(KeyPrefix, BlobName)>),
    /// Whether something that is owed has come.
    Owed,
    /// What is to be asked of an ancestor, for these tiers.
    Unreached(u8),
    /// Nothing waits for it.
    Mark,
}

impl Serving {
    pub(super) fn note_committed(&mut self) {
        self.owed.dirty = true;
    }

    pub(super) fn look_again(&mut self) {
        self.due = true;
    }

    pub(super) fn next_look_ms(&self) -> i64 {
        self.owed.next_look_ms
    }

    fn owe(&mut self, blob: BlobName, document: KeyPrefix) {
        if self.owed.blobs.len() < limits::BLOB_NAMES {
            self.owed.blobs.insert(blob, document);
        }
    }
}

impl Session {
    /// The peer asks for the outline or a part.
    pub(super) fn on_want_blob(
        &mut self,
        document: KeyPrefix,
        blob: BlobName,
        part: Option<(u32, u32)>,
    ) -> Outcome {
        if let Some((from, length)) = part {
            let place = from / limits::BLOB_CHUNK_BYTES;
            let at = from % limits::BLOB_CHUNK_BYTES;
            let end = at.saturating_add(length);
            if !blob.is_sound() || length == 0 || end > blob.chunk_bytes(place) {
                let text = "a part of a blob that cannot be one is asked for";
                return Err(Fault::new(FaultCode::Malformed, text));
            }
        }
        let serving = &mut self.blobs.serving;
        if serving.questions.len() >= limits::BLOB_QUESTIONS {
            let text = "more of blobs is asked for than can be remembered";
            return Err(Fault::new(FaultCode::Flow, text));
        }
        serving.questions.push_back(Question { document, blob, part });
        Ok(())
    }

    /// Answers the next question, unless changes for the peer wait.
    pub(super) fn pump_answers(&mut self) {
        while !self.blobs.serving.reading && self.may_answer() {
            let Some(question) = self.blobs.serving.questions.pop_front() else { break };
            let Question { document, blob, part } = question;
            if !self.open_peer().scope.allows(document.as_bytes()) {
                self.send(&Message::Blob(BlobMessage::None));
                continue;
            }
            self.blobs.serving.reading = true;
            let purpose = Purpose::Bytes(document.clone(), blob);
            let request = match part {
                Some((from, length)) => BlobRequest::Read { document, blob, from, length },
                None => BlobRequest::Outline { document, blob },
            };
            self.store_blob(Because::Answer(purpose), request);
        }
        if self.is_owing() && self.now_ms >= self.blobs.serving.owed.next_look_ms {
            let owed = &mut self.blobs.serving.owed;
            owed.next_look_ms = self.now_ms + PAUSE_MS;
            owed.dirty = false;
            owed.looking = true;
            let asked = owed.blobs.iter().map(|(name, document)| (document.clone(), *name));
            let (asked, own) = (asked.collect(), self.identity.tier_bit());
            self.store_blob(Because::Answer(Purpose::Owed), BlobRequest::Held { asked, own });
        }
    }

    /// Whether something that the peer was owed may have come.
    pub(super) fn is_owing(&self) -> bool {
        let owed = &self.blobs.serving.owed;
        owed.dirty && !owed.looking && !owed.blobs.is_empty() && self.is_quiet()
    }

    /// Changes go first: while some are under way only one small piece is, while many are, none.
    fn may_answer(&self) -> bool {
        match self.outgoing.unacknowledged() {
            0 => self.unsent_bytes < UNSENT_BYTES,
            1..=FEW_CHANGES => self.unsent_bytes == 0,
            _ => false,
        }
    }

    /// The peer asks which blobs are whole here.
    pub(super) fn on_ask_blobs_held(&mut self, mut asked: Vec<(KeyPrefix, BlobName)>) {
        let scope = &self.open_peer().scope;
        asked.retain(|(document, _)| scope.allows(document.as_bytes()));
        let own = self.identity.tier_bit();
        let purpose = Because::Answer(Purpose::Held(asked.clone()));
        self.store_blob(purpose, BlobRequest::Held { asked, own });
    }

    /// The peer says what is whole there, and above it.
    pub(super) fn on_blobs_held(&mut self, mut held: Vec<(BlobName, u8)>) {
        for (name, _) in &held {
            if self.blobs.asking.declined.remove(name).is_some() {
                self.blobs.asking.dirty = true;
                self.blobs.asking.next_look_ms = self.now_ms;
            }
        }
        let peer = self.open_peer();
        if peer.relation != Relation::Ancestor {
            return;
        }
        let tier = peer.certificate.body().tier.bit();
        let believed = tier | (tier - 1);
        for (_, tiers) in &mut held {
            *tiers &= believed;
        }
        held.retain(|(_, tiers)| *tiers != 0);
        if !held.is_empty() {
            let request = BlobRequest::MarkReached { reached: held };
            self.store_blob(Because::Answer(Purpose::Mark), request);
        }
    }

    /// Asks an ancestor what it holds, when that is due.
    pub(super) fn ask_who_holds(&mut self) {
        let peer = self.open_peer();
        let tier = peer.certificate.body().tier.bit();
        let ancestor = peer.relation == Relation::Ancestor;
        let serving = &mut self.blobs.serving;
        if !ancestor || !std::mem::take(&mut serving.due) {
            return;
        }
        let all = serving.looks.is_multiple_of(LOOKS_FOR_ALL);
        serving.looks += 1;
        let tiers = if all { tier | (tier - 1) } else { tier };
        self.look_for_unreached(tiers, None);
    }

    fn look_for_unreached(&mut self, tier: u8, after: Option<(KeyPrefix, BlobName)>) {
        let scope = self.open_peer().scope.clone();
        let request = BlobRequest::Unreached { scope, tier, after };
        self.store_blob(Because::Answer(Purpose::Unreached(tier)), request);
    }

    pub(super) fn on_answer_stored(&mut self, purpose: Purpose, reply: BlobReply) {
        match (purpose, reply) {
            (Purpose::Bytes(document, blob), reply) => self.answer_bytes(document, blob, reply),
            (Purpose::Held(asked), BlobReply::Held(held)) => {
                for (document, name) in asked {
                    if !held.iter().any(|(found, _)| *found == name) {
                        self.blobs.serving.owe(name, document);
                    }
                }
                self.tell_held(held);
            }
            (Purpose::Owed, BlobReply::Held(held)) => {
                self.blobs.serving.owed.looking = false;
                for (name, _) in &held {
                    self.blobs.serving.owed.blobs.remove(name);
                }
                self.tell_held(held);
            }
            (Purpose::Unreached(tier), BlobReply::Unreached { blobs, rest }) => {
                if !blobs.is_empty() {
                    self.send(&Message::Blob(BlobMessage::AskHeld(Bounded(blobs))));
                }
                if rest.is_some() {
                    self.look_for_unreached(tier, rest);
                }
            }
            (Purpose::Mark, BlobReply::MarkReached) => {}
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    fn answer_bytes(&mut self, document: KeyPrefix, blob: BlobName, reply: BlobReply) {
        self.blobs.serving.reading = false;
        let message = match reply {
            BlobReply::Outline(Some(outline)) => {
                BlobMessage::Outline { values: Bounded(outline.values().to_vec()) }
            }
            BlobReply::Read(Some(bytes)) => BlobMessage::Part { bytes: Bounded(bytes) },
            BlobReply::Outline(None) | BlobReply::Read(None) => {
                self.blobs.serving.owe(blob, document);
                BlobMessage::None
            }
            reply @ (BlobReply::Missing(_)
            | BlobReply::Keep(_)
            | BlobReply::Unreached { .. }
            | BlobReply::Held(_)
            | BlobReply::MarkReached) => {
                unreachable!("the store answered a question about bytes with {reply:?}")
            }
        };
        self.send(&Message::Blob(message));
    }

    fn tell_held(&mut self, held: Vec<(BlobName, u8)>) {
        if !held.is_empty() {
            self.send(&Message::Blob(BlobMessage::Held(Bounded(held))));
        }
    }
}

//! Answering questions about blobs, and who holds what.
//!
//! A question names a document. It is answered only if the peer may read that document and the
//! document, as it stands here, names the blob; otherwise, and when that part is not here,
//! the answer is `None`, the same for all of these. What was asked for and was not here is
//! *owed*: when the blob has become whole, the peer is told, and may ask again.
//!
//! A node asks its ancestor which of its blobs are held above, as it does of changes, and
//! believes only an ancestor, for its own tier and those above it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::backpressure::Awaiting;
use super::purpose::Purpose;
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
/// Pause between two looks for how far what was told has got since.
const TOLD_PAUSE_MS: i64 = 10_000;

/// State of answering.
#[derive(Debug, Default)]
pub(super) struct Serving {
    questions: VecDeque<Question>,
    reading: bool,
    owed: Owed,
    /// Whether an ancestor is to be asked what it holds.
    due: bool,
    looks: u32,
    pub(super) awaiting: Awaiting,
}

/// What the peer is to be told when it becomes true.
#[derive(Debug, Default)]
struct Owed {
    /// Asked for and not whole here, with the document named.
    absent: BTreeMap<BlobName, KeyPrefix>,
    /// Said to a descendant to be whole at these tiers, and not at all that are above.
    told: BTreeMap<BlobName, (KeyPrefix, u8)>,
    /// Something has become durable since they were looked for.
    absent_dirty: bool,
    told_dirty: bool,
    looking: bool,
    next_absent_ms: i64,
    next_told_ms: i64,
}

impl Owed {
    /// When there is something to look for next.
    fn next_ms(&self) -> Option<i64> {
        let absent = self.absent_dirty && !self.absent.is_empty();
        let told = self.told_dirty && !self.told.is_empty();
        let absent = absent.then_some(self.next_absent_ms);
        let told = told.then_some(self.next_told_ms);
        absent.into_iter().chain(told).min().filter(|_| !self.looking)
    }

    /// What is to be looked for now.
    fn due(&mut self, now_ms: i64) -> Vec<(KeyPrefix, BlobName)> {
        let mut due = Vec::new();
        if self.absent_dirty && now_ms >= self.next_absent_ms {
            self.absent_dirty = false;
            self.next_absent_ms = now_ms + PAUSE_MS;
            due.extend(self.absent.iter().map(|(name, document)| (document.clone(), *name)));
        }
        if self.told_dirty && now_ms >= self.next_told_ms {
            self.told_dirty = false;
            self.next_told_ms = now_ms + TOLD_PAUSE_MS;
            due.extend(self.told.iter().map(|(name, (document, _))| (document.clone(), *name)));
        }
        due
    }

    /// Keeps in mind what was asked for and is not here.
    fn owe(&mut self, name: BlobName, document: KeyPrefix) {
        if self.absent.len() < limits::BLOB_NAMES && self.absent.insert(name, document).is_none() {
            // It may have come between the look into the store and this word of it.
            self.absent_dirty = true;
        }
    }

    /// Keeps in mind what a descendant was told; gives whether it is news.
    fn tell(&mut self, document: KeyPrefix, name: BlobName, tiers: u8, above: u8) -> bool {
        self.absent.remove(&name);
        let before = self.told.remove(&name).map_or(0, |(_, tiers)| tiers);
        if above & !tiers != 0 {
            self.told.insert(name, (document, tiers));
            if self.told.len() > limits::BLOB_NAMES {
                self.told.pop_first();
            }
        }
        before != tiers
    }
}

#[derive(Debug)]
struct Question {
    document: KeyPrefix,
    blob: BlobName,
    /// First byte and length; `None` for the outline.
    part: Option<(u32, u32)>,
}

impl Serving {
    pub(super) fn note_committed(&mut self) {
        self.owed.absent_dirty = true;
        self.owed.told_dirty = true;
    }

    pub(super) fn look_again(&mut self) {
        self.due = true;
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
        self.note_blob_asked(blob);
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
        if self.next_owed_ms().is_some_and(|at_ms| self.now_ms >= at_ms) {
            let asked = self.blobs.serving.owed.due(self.now_ms);
            self.blobs.serving.owed.looking = true;
            let own = self.identity.tier_bit();
            let purpose = Because::Answer(Purpose::Owed(asked.clone()));
            self.store_blob(purpose, BlobRequest::Held { asked, own });
        }
    }

    /// A question that can be answered now: what was given before has been written meanwhile.
    pub(super) fn next_answer_ms(&self) -> Option<i64> {
        let Serving { questions, reading, .. } = &self.blobs.serving;
        (!questions.is_empty() && !reading && self.may_answer()).then_some(self.now_ms)
    }

    /// When it is time to see how far what the peer is owed has got.
    pub(super) fn next_owed_ms(&self) -> Option<i64> {
        self.blobs.serving.owed.next_ms().filter(|_| self.is_quiet())
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
        let names: BTreeSet<BlobName> = held.iter().map(|(name, _)| *name).collect();
        let asking = &mut self.blobs.asking;
        let before = asking.declined.len();
        asking.declined.retain(|_, name| !names.contains(name));
        if asking.declined.len() < before {
            asking.news = true;
            asking.next_look_ms = self.now_ms;
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
            (Purpose::Held(asked), BlobReply::Held(held)) => self.tell_held(asked, &held, true),
            (Purpose::Owed(asked), BlobReply::Held(held)) => {
                self.blobs.serving.owed.looking = false;
                self.tell_held(asked, &held, false);
            }
            (Purpose::Unreached(tier), BlobReply::Unreached { blobs, rest }) => {
                if !blobs.is_empty() {
                    self.send(&Message::Blob(BlobMessage::AskHeld(Bounded(blobs))));
                }
                if rest.is_some() {
                    self.look_for_unreached(tier, rest);
                }
            }
            (
                Purpose::Mark,
                BlobReply::MarkReached | BlobReply::MarkLost | BlobReply::MarkPostponed,
            ) => {}
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
                self.blobs.serving.owed.owe(blob, document);
                BlobMessage::None
            }
            reply @ (BlobReply::Missing(_)
            | BlobReply::Keep(_)
            | BlobReply::Unreached { .. }
            | BlobReply::Held(_)
            | BlobReply::MarkReached
            | BlobReply::MarkLost
            | BlobReply::MarkPostponed) => {
                unreachable!("the store answered a question about bytes with {reply:?}")
            }
        };
        self.send(&Message::Blob(message));
    }

    /// A blob that a document names has become whole here.
    pub(super) fn tell_whole(&mut self, document: KeyPrefix, name: BlobName) {
        let held = [(name, self.identity.tier_bit())];
        self.tell_held(vec![(document, name)], &held, true);
    }

    /// Says what is held of what was asked for, the rest being owed; `all` also what was said
    /// before.
    fn tell_held(&mut self, asked: Vec<(KeyPrefix, BlobName)>, held: &[(BlobName, u8)], all: bool) {
        let descendant = self.open_peer().relation == Relation::Descendant;
        let above = if descendant { self.tiers_above() } else { 0 };
        let mut news = Vec::new();
        for (document, name) in asked {
            match held.iter().find(|(found, _)| *found == name) {
                Some((_, tiers)) => {
                    let new = self.blobs.serving.owed.tell(document, name, *tiers, above);
                    if new || all {
                        news.push((name, *tiers));
                    }
                }
                None => self.blobs.serving.owed.owe(name, document),
            }
        }
        for part in news.chunks(limits::BLOB_NAMES) {
            self.send(&Message::Blob(BlobMessage::Held(Bounded(part.to_vec()))));
        }
    }

    /// Tier bits of the nodes above this one.
    fn tiers_above(&self) -> u8 {
        let above = self.authority.chain(&self.identity.certificate.serial());
        let bits = above.iter().fold(0, |bits, above| bits | above.body().tier.bit());
        bits & !self.identity.tier_bit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobId;

    fn name(byte: u8) -> BlobName {
        BlobName { id: BlobId([byte; 32]), bytes: 1 }
    }

    /// Shows that what becomes whole between the look into the store and the answer that it is not
    /// there is looked for once more: the commit was noted before anybody knew that it matters.
    #[test]
    fn what_comes_in_between_is_looked_for() {
        let document = KeyPrefix::category(crate::category::Category::TICKET_PHOTO);
        let mut serving = Serving::default();
        serving.owed.owe(name(1), document.clone());
        serving.note_committed();
        assert_eq!(serving.owed.due(0).len(), 1);
        serving.owed.owe(name(2), document);
        assert_eq!(serving.owed.next_ms(), Some(PAUSE_MS));
        assert_eq!(serving.owed.due(PAUSE_MS).len(), 2);
        assert_eq!(serving.owed.next_ms(), None);
    }
}

//! Blobs in a session: after the changes, whoever lacks one asks for it.
//!
//! ```text
//! who lacks                                   who has
//!   Missing ─▶ store
//!   WantOutline, Want, Want … ────────────▶   scope? does the document name it? ─▶ store
//!           ◀──────────────────────────────── Outline, Part, Part … or None, in that order
//!   chunk whole? hash? ─▶ store: Keep (durable)
//!   Held ─────────────────────────────────▶   whole at the other side
//! ```
//!
//! Both sides do both. Asking begins when a comparison has ended in agreement, and only then is
//! more than one small piece on its way: what is on its way cannot be taken back, and an alert
//! would wait behind it. A chunk is checked before it is kept, and is durable before the next
//! questions; a cut costs the chunks on their way, and whoever is asked next gives the rest.
//!
//! What is missing is gone through in passes, in key order, each to its end: however much a peer
//! does not have, it is asked for the rest. Of what is named by several documents the peer may know
//! another one than the first.
//!
//! A blob of which a peer gives wrong bytes is not asked of it again in this session, and nothing
//! of them is kept. It is not shut out: its changes are judged by their own signatures.
//!
//! Asking is here; answering, and who holds what, is in [`serving`]; what is not asked for because
//! no more is taken, in [`backpressure`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Effect, Fault, FaultCode, Message, Outcome, Purpose as Of, Relation, Session};
use crate::blob::{
    BlobMessage, BlobName, BlobPlace, BlobReply, BlobRequest, Kept, Missing, MissingBlob, Outline,
    Postponed, Under,
};
use crate::id::PublicKey;
use crate::key::KeyPrefix;
use crate::limits;
use crate::sync::{StoreReply, StoreRequest};

mod backpressure;
mod purpose;
mod serving;
mod window;

use backpressure::LastNotice;
use serving::Serving;
use window::Window;

/// Changes under way that do not count as waiting: the trickle of a day's work.
const FEW_CHANGES: u64 = 64;
/// Pause between two passes that find nothing.
const PAUSE_MS: i64 = 500;
/// The same when there would be something to find, if more were taken.
const POSTPONED_PAUSE_MS: i64 = 5_000;
/// Largest piece while changes are under way.
const SMALL_PIECE_BYTES: u32 = 16 << 10;
/// Chunks given to the store and not yet durable, beyond which no more are asked for.
const KEEPING: usize = 4;
/// References that this peer is known not to have the blob of, beyond which no pass is begun before
/// all are asked for again.
const DECLINED: usize = 4_096;
/// Blobs of which a peer may give wrong bytes before it is asked for no more at all.
const SPOILED: usize = 64;

/// State of blobs in one session.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    asking: Asking,
    serving: Serving,
}

/// State of asking.
#[derive(Debug, Default)]
struct Asking {
    stage: Stage,
    /// There may be more missing than there was when the last pass began.
    news: bool,
    /// What the peer did not have is asked for again from the next pass on.
    forgive: bool,
    /// How far the pass has come that is under way.
    after: Option<BlobPlace>,
    /// What this pass has passed over because no more is taken.
    passed_over: Option<Postponed>,
    /// What the peer was told of that, if anything.
    told: LastNotice,
    looking: bool,
    /// No pass before this time, after nothing was found: commits are many, and photos few.
    next_look_ms: i64,
    transfers: VecDeque<Transfer>,
    last_transfer: u64,
    /// Questions that are not answered, in order.
    asked: VecDeque<PendingPiece>,
    in_flight_bytes: u32,
    keeping: usize,
    window: Window,
    /// What the peer does not have, or not under this document, by the number in the store.
    declined: BTreeMap<(i64, KeyPrefix), BlobName>,
    /// Of what it gave wrong bytes.
    spoiled: BTreeSet<BlobName>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until a comparison ends in agreement, it is not known what documents name.
    #[default]
    Waiting,
    /// Sides that refuse each other's changes never agree; the next quiet moment will do.
    Impatient,
    Open,
    /// The peer has given too much that is not what it was asked for.
    Ended,
}

/// A blob in progress.
#[derive(Debug)]
struct Transfer {
    /// Counted in this session: a blob may be begun again while answers of before are on their way.
    id: u64,
    number: i64,
    name: BlobName,
    document: KeyPrefix,
    outline: Option<Arc<Outline>>,
    outline_asked: bool,
    /// Places that are not yet asked for in full.
    places: VecDeque<u32>,
    /// Bytes asked for of the first of them.
    asked_bytes: u32,
    /// Chunks that are not yet durable.
    unkept: usize,
    /// What has come of the chunk that is coming.
    gathered: Vec<u8>,
}

#[derive(Debug)]
struct PendingPiece {
    transfer: u64,
    name: BlobName,
    what: Piece,
    bytes: u32,
    at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Outline,
    Part { place: u32 },
}

/// Why the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What is missing here.
    Missing,
    /// A chunk is to be kept.
    Keep { transfer: u64, name: BlobName },
    /// For a question of the peer.
    Answer(purpose::Purpose),
}

impl Blobs {
    /// Something has become durable: a document that names a blob, or a blob.
    pub(super) fn note_committed(&mut self) {
        self.asking.news = true;
        self.serving.note_committed();
    }

    /// From time to time everything is asked for again.
    pub(super) fn look_again(&mut self) {
        if self.asking.stage == Stage::Waiting {
            self.asking.stage = Stage::Impatient;
        }
        self.asking.news = true;
        self.asking.forgive = true;
        self.serving.look_again();
    }
}

impl Transfer {
    fn new(id: u64, blob: MissingBlob) -> Self {
        let MissingBlob { number, name, document, outline, places } = blob;
        Self {
            id,
            number,
            name,
            document,
            outline: outline.map(Arc::new),
            outline_asked: false,
            unkept: places.len(),
            places: places.into(),
            asked_bytes: 0,
            gathered: Vec::new(),
        }
    }

    /// The next question, with about so many bytes to answer it.
    fn next_question(&mut self, piece_bytes: u32) -> Option<(Piece, u32, BlobMessage)> {
        let (document, blob) = (self.document.clone(), self.name);
        if self.outline.is_none() && !self.outline_asked {
            self.outline_asked = true;
            let bytes = 32 * blob.chunks();
            return Some((Piece::Outline, bytes, BlobMessage::WantOutline { document, blob }));
        }
        let place = *self.places.front()?;
        let left = blob.chunk_bytes(place).saturating_sub(self.asked_bytes);
        let length = piece_bytes.min(left);
        let from = place * limits::BLOB_CHUNK_BYTES + self.asked_bytes;
        self.asked_bytes += length;
        if length == left {
            self.places.pop_front();
            self.asked_bytes = 0;
        }
        let message = BlobMessage::Want { document, blob, from, length };
        Some((Piece::Part { place }, length, message))
    }
}

impl Session {
    /// Goes on with everything about blobs that can go on.
    pub(super) fn pump_blobs(&mut self) {
        let quiet = self.is_quiet();
        let asking = &mut self.blobs.asking;
        let settled = match asking.stage {
            Stage::Waiting => self.compare.agreed(),
            Stage::Impatient => true,
            Stage::Open | Stage::Ended => false,
        };
        if quiet && settled {
            asking.stage = Stage::Open;
            asking.news = true;
            self.blobs.serving.look_again();
        }
        self.pump_answers();
        if self.figures.renewing || self.blobs.asking.stage != Stage::Open {
            return;
        }
        if quiet {
            self.ask_who_holds();
        }
        while self.ask_one() {}
        self.look_for_missing();
    }

    /// Asks for one more piece, if there is room for it.
    fn ask_one(&mut self) -> bool {
        let quiet = self.is_quiet();
        let few = self.compare.is_done(self.is_dialler())
            && self.outgoing.unacknowledged() + self.incoming.expected() <= FEW_CHANGES;
        let asking = &mut self.blobs.asking;
        let window_bytes = asking.window.bytes();
        let (piece_bytes, most_bytes) = match (quiet, few) {
            (true, _) => (window_bytes.min(limits::BLOB_CHUNK_BYTES), window_bytes),
            (false, true) => (window_bytes.min(SMALL_PIECE_BYTES), 0),
            (false, false) => return false,
        };
        let full = asking.in_flight_bytes > 0 && asking.in_flight_bytes + piece_bytes > most_bytes;
        let many = asking.asked.len() >= limits::BLOB_QUESTIONS || asking.keeping >= KEEPING;
        if full || many {
            return false;
        }
        let question = asking.transfers.iter_mut().find_map(|transfer| {
            let question = transfer.next_question(piece_bytes)?;
            Some((transfer.id, transfer.name, question))
        });
        let Some((transfer, name, (what, bytes, message))) = question else { return false };
        asking.in_flight_bytes += bytes;
        asking.asked.push_back(PendingPiece { transfer, name, what, bytes, at_ms: self.now_ms });
        self.send(&Message::Blob(message));
        true
    }

    /// When something can be looked for that only waits for its time.
    pub(super) fn next_blobs_ms(&self) -> Option<i64> {
        let asking = &self.blobs.asking;
        // A pass that is under way does not wait.
        let look_ms = if asking.after.is_some() { self.now_ms } else { asking.next_look_ms };
        let missing = self.may_look().then_some(look_ms);
        missing.into_iter().chain(self.next_answer_ms()).chain(self.next_owed_ms()).min()
    }

    /// Whether there may be more to ask for, and all that is in progress has been asked for.
    fn may_look(&self) -> bool {
        let asking = &self.blobs.asking;
        let all_asked = asking.transfers.iter().all(|transfer| transfer.places.is_empty());
        let may_begin = asking.forgive || asking.declined.len() < DECLINED;
        asking.stage == Stage::Open
            && (asking.after.is_some() || (asking.news && may_begin))
            && !asking.looking
            && all_asked
            && asking.transfers.len() < limits::BLOBS_AT_ONCE
            && !self.figures.renewing
            && self.is_quiet()
    }

    fn look_for_missing(&mut self) {
        let goes_on = self.blobs.asking.after.is_some();
        if !self.may_look() || (!goes_on && self.now_ms < self.blobs.asking.next_look_ms) {
            return;
        }
        let asking = &mut self.blobs.asking;
        if !goes_on {
            asking.news = false;
            if std::mem::take(&mut asking.forgive) {
                asking.declined.clear();
            }
        }
        asking.looking = true;
        let active = asking.transfers.iter().map(|transfer| transfer.number).collect();
        let without = asking.declined.keys().cloned().collect();
        let after = asking.after.take();
        let scope = self.open_peer().scope.clone();
        let (from, limited) = self.giver();
        let at_ms = self.now_ms;
        let request = BlobRequest::Missing { scope, from, limited, active, without, after, at_ms };
        self.store_blob(Purpose::Missing, request);
    }

    fn on_missing(&mut self, missing: Missing) {
        let Missing { mut blobs, rest, postponed, roomy } = missing;
        let asking = &mut self.blobs.asking;
        asking.looking = false;
        blobs.retain(|blob| !asking.spoiled.contains(&blob.name));
        let nothing = blobs.is_empty();
        for blob in blobs.into_iter().take(limits::BLOBS_AT_ONCE) {
            asking.last_transfer += 1;
            asking.transfers.push_back(Transfer::new(asking.last_transfer, blob));
        }
        if postponed.is_some() {
            asking.passed_over = postponed;
            self.tell_blobs_postponed(self.blobs.asking.passed_over.clone());
        } else if roomy {
            // At once, and not at the end of a pass through thousands that come now.
            self.tell_blobs_postponed(None);
        }
        let asking = &mut self.blobs.asking;
        asking.after = rest;
        if asking.after.is_none() {
            let passed_over = asking.passed_over.take();
            if nothing {
                let postponed = passed_over.is_some();
                let pause_ms = if postponed { POSTPONED_PAUSE_MS } else { PAUSE_MS };
                asking.next_look_ms = self.now_ms + pause_ms;
                // Somebody may raise the bound, or make room on the disk.
                asking.news |= postponed;
            }
            if passed_over.is_none() {
                self.tell_blobs_postponed(None);
            }
        }
    }

    /// The key of the peer, and whether what it gives is limited in sum.
    fn giver(&self) -> (PublicKey, bool) {
        let peer = self.open_peer();
        (peer.certificate.body().subject, peer.relation != Relation::Ancestor)
    }

    fn store_blob(&mut self, purpose: Purpose, request: BlobRequest) {
        self.store(Of::Blob(purpose), StoreRequest::Blob(request));
    }

    pub(super) fn on_blob_stored(&mut self, purpose: Purpose, reply: StoreReply) {
        match (purpose, reply) {
            (Purpose::Missing, StoreReply::Blob(BlobReply::Missing(missing))) => {
                self.on_missing(missing);
            }
            (Purpose::Keep { transfer, name }, StoreReply::Blob(BlobReply::Keep(kept))) => {
                self.on_kept(transfer, name, kept);
            }
            (Purpose::Answer(purpose), StoreReply::Blob(reply)) => {
                self.on_answer_stored(purpose, reply);
            }
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    fn on_kept(&mut self, transfer: u64, name: BlobName, kept: Kept) {
        let asking = &mut self.blobs.asking;
        asking.keeping -= 1;
        match kept {
            Kept::Part => asking.note_kept(transfer),
            // It is looked for again from time to time, in case the other one stops.
            Kept::Elsewhere => asking.transfers.retain(|other| other.id != transfer),
            Kept::Unwanted => asking.decline(transfer),
            Kept::Whole => {
                let done = asking.transfers.iter().position(|transfer| transfer.name == name);
                if let Some(done) = done.and_then(|place| asking.transfers.remove(place)) {
                    self.tell_whole(done.document, name);
                }
            }
        }
    }

    pub(super) fn on_blob(&mut self, message: BlobMessage) -> Outcome {
        match message {
            BlobMessage::Outline { values } => self.on_outline(values.0),
            BlobMessage::Part { bytes } => self.on_part(bytes.0),
            BlobMessage::None => {
                let PendingPiece { transfer, .. } = self.blobs.asking.answered(self.now_ms)?;
                self.blobs.asking.decline(transfer);
                Ok(())
            }
            BlobMessage::WantOutline { document, blob } => self.on_want_blob(document, blob, None),
            BlobMessage::Want { document, blob, from, length } => {
                self.on_want_blob(document, blob, Some((from, length)))
            }
            BlobMessage::AskHeld(asked) => {
                self.on_ask_blobs_held(asked.0);
                Ok(())
            }
            BlobMessage::Held(held) => {
                self.on_blobs_held(held.0);
                Ok(())
            }
            BlobMessage::Postponed { over_bytes, begun, why } => {
                let why = String::from_utf8_lossy(&why.0).into_owned();
                self.on_blobs_postponed(Some(Postponed { over_bytes, begun, why }));
                Ok(())
            }
            BlobMessage::AllWanted => {
                self.on_blobs_postponed(None);
                Ok(())
            }
        }
    }

    fn on_outline(&mut self, values: Vec<[u8; 32]>) -> Outcome {
        let PendingPiece { transfer, name, what, .. } = self.blobs.asking.answered(self.now_ms)?;
        if what != Piece::Outline {
            return Err(not_asked());
        }
        let Some(transfer) = self.blobs.asking.transfer(transfer) else { return Ok(()) };
        match Outline::check(name, values) {
            Ok(outline) => transfer.outline = Some(Arc::new(outline)),
            Err(error) => self.distrust(name, &error.to_string()),
        }
        Ok(())
    }

    fn on_part(&mut self, bytes: Vec<u8>) -> Outcome {
        let answered = self.blobs.asking.answered(self.now_ms)?;
        let PendingPiece { transfer, name, what, bytes: asked, .. } = answered;
        let Piece::Part { place } = what else { return Err(not_asked()) };
        if bytes.len() != asked as usize {
            return Err(not_asked());
        }
        // What nobody wants any more, or the outline of which did not come, is let go.
        let Some(transfer) = self.blobs.asking.transfer(transfer) else { return Ok(()) };
        let (id, under) = (transfer.id, Under::Document(transfer.document.clone()));
        let Some(outline) = transfer.outline.clone() else {
            self.blobs.asking.decline(id);
            return Ok(());
        };
        transfer.gathered.extend(bytes);
        if transfer.gathered.len() < name.chunk_bytes(place) as usize {
            return Ok(());
        }
        match outline.verify(place, std::mem::take(&mut transfer.gathered)) {
            Ok(chunk) => {
                self.blobs.asking.keeping += 1;
                let (from, limited) = self.giver();
                let at_ms = Some(self.now_ms);
                let request = BlobRequest::Keep { under, outline, chunk, from, limited, at_ms };
                self.store_blob(Purpose::Keep { transfer: id, name }, request);
            }
            Err(error) => self.distrust(name, &error.to_string()),
        }
        Ok(())
    }

    /// This blob is not asked of this peer again; of one that goes on like this, no other is.
    fn distrust(&mut self, name: BlobName, reason: &str) {
        let asking = &mut self.blobs.asking;
        asking.transfers.retain(|transfer| transfer.name != name);
        asking.spoiled.insert(name);
        asking.news = true;
        let mut text = format!("the peer gives wrong bytes of a blob: {reason}");
        if asking.spoiled.len() >= SPOILED {
            asking.stage = Stage::Ended;
            asking.transfers.clear();
            text.push_str("; it is asked for no more");
        }
        self.effects.push(Effect::Notice(text));
    }
}

impl Asking {
    /// The question that the answer that has come belongs to.
    fn answered(&mut self, now_ms: i64) -> Result<PendingPiece, Fault> {
        let asked = self.asked.pop_front().ok_or_else(not_asked)?;
        self.in_flight_bytes -= asked.bytes;
        self.window.note_answer(now_ms - asked.at_ms);
        Ok(asked)
    }

    fn transfer(&mut self, id: u64) -> Option<&mut Transfer> {
        self.transfers.iter_mut().find(|transfer| transfer.id == id)
    }

    /// A chunk is durable. With the last one the blob is whole, unless it was dropped and named
    /// again meanwhile; then it is looked for again.
    fn note_kept(&mut self, id: u64) {
        let Some(transfer) = self.transfer(id) else { return };
        transfer.unkept -= 1;
        if transfer.unkept == 0 {
            self.transfers.retain(|transfer| transfer.id != id);
            self.news = true;
        }
    }

    /// A blob is not to be had from this peer now, under the document that was named. By the
    /// number of the transfer: the blob may have been begun again since it was asked for.
    fn decline(&mut self, id: u64) {
        let Some(at) = self.transfers.iter().position(|transfer| transfer.id == id) else { return };
        let Some(transfer) = self.transfers.remove(at) else { return };
        if self.declined.len() < DECLINED {
            self.declined.insert((transfer.number, transfer.document), transfer.name);
            // Another document may name it, and was passed by meanwhile.
            self.news = true;
        }
    }
}

fn not_asked() -> Fault {
    Fault::new(FaultCode::Unexpected, "bytes of a blob that were not asked for")
}

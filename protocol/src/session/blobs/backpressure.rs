//! Blobs that are not asked for because no more is taken: said by who lacks them, kept in mind by who
//! has them, so that a person sees there why a photo does not go on.
//!
//! ```text
//! who lacks                                          who has, below
//!   a pass through what is missing finds no room
//!   Postponed(over so many bytes, why) ───────────▶  store: shown beside the photos
//!   a pass that leaves nothing out
//!   AllWanted ────────────────────────────────────▶  store: they are on their way again
//! ```
//!
//! What is said is a size, and not a list of names: blobs of more bytes, of which nothing has come,
//! are not asked for. So it is short however many they are. Of which something was asked for, the
//! side that has them knows. It is said once in each session, and when it changes; a node below keeps
//! in its store what the nodes above it said last.

use std::collections::BTreeSet;

use super::purpose::Purpose as ForAnswer;
use super::{Purpose as Because, Session};
use crate::blob::{BlobMessage, BlobName, BlobRequest, Postponed};
use crate::limits;
use crate::session::{Effect, Message, Relation};
use crate::wire;

/// What a descendant was told last in this session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum LastNotice {
    #[default]
    Nothing,
    AllWanted,
    Postponed(Postponed),
}

/// What an ancestor does not ask for, as far as this session knows.
#[derive(Debug, Default)]
pub(super) struct Awaiting {
    postponed: Option<Postponed>,
    /// Of which it has asked for some.
    begun: BTreeSet<BlobName>,
}

impl Session {
    /// Says what is not asked for at present, if that is news and concerns the peer.
    pub(super) fn tell_blobs_postponed(&mut self, postponed: Option<Postponed>) {
        if self.open_peer().relation != Relation::Descendant {
            return;
        }
        let now = postponed.clone().map_or(LastNotice::AllWanted, LastNotice::Postponed);
        if self.blobs.asking.told == now {
            return;
        }
        let before = std::mem::replace(&mut self.blobs.asking.told, now);
        let message = match postponed {
            None => BlobMessage::AllWanted,
            Some(Postponed { over_bytes, begun, why }) => {
                let is_known = matches!(before, LastNotice::Postponed(before) if before.why == why);
                let bounded = wire::bounded_text(&why);
                if !is_known {
                    self.effects.push(Effect::Notice(format!("photos and files postponed: {why}")));
                }
                BlobMessage::Postponed { over_bytes, begun, why: bounded }
            }
        };
        self.send(&Message::Blob(message));
    }

    /// An ancestor says what it does not ask for at present.
    pub(super) fn on_blobs_postponed(&mut self, postponed: Option<Postponed>) {
        if self.open_peer().relation != Relation::Ancestor {
            return;
        }
        let awaiting = &mut self.blobs.serving.awaiting;
        awaiting.postponed.clone_from(&postponed);
        let begun = awaiting.begun.iter().copied().collect();
        self.mark_blobs_postponed(postponed, begun);
    }

    /// The peer asks for some of a blob. An ancestor that does so for the first time in this session
    /// has not begun to hold it since: one that was set back lost what it said to hold.
    pub(super) fn note_blob_asked(&mut self, name: BlobName) {
        if self.open_peer().relation != Relation::Ancestor {
            return;
        }
        let tier = self.open_peer().certificate.body().tier.bit();
        let awaiting = &mut self.blobs.serving.awaiting;
        if awaiting.begun.len() >= limits::BLOB_NAMES || !awaiting.begun.insert(name) {
            return;
        }
        let lost = BlobRequest::MarkLost { name, tier };
        self.store_blob(Because::Answer(ForAnswer::Mark), lost);
        let awaiting = &self.blobs.serving.awaiting;
        if awaiting.postponed.is_some() {
            let postponed = awaiting.postponed.clone();
            self.mark_blobs_postponed(postponed, vec![name]);
        }
    }

    fn mark_blobs_postponed(&mut self, postponed: Option<Postponed>, begun: Vec<BlobName>) {
        let tier = self.open_peer().certificate.body().tier.bit();
        let request = BlobRequest::MarkPostponed { tier, postponed, begun };
        self.store_blob(Because::Answer(ForAnswer::Mark), request);
    }
}

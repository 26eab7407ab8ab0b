//! A child that has changes to hand up and nothing else: what the tests of crowds need five hundred
//! of, without five hundred stores.

use cunlian_crdt::store::Store;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::sync::{Fate, StoreReply, StoreRequest, Stored};

/// Stands for the store of a child.
pub(crate) struct Child {
    /// Answers what is not about the child's changes.
    others: Store,
    changes: Vec<Stored>,
    /// Changes read so far.
    read: usize,
    /// Changes that its parent has.
    held: usize,
    refused: usize,
    /// When its parent had all of them.
    pub(crate) done_ms: Option<i64>,
}

impl Child {
    pub(crate) fn new(others: &Store, changes: Vec<Stored>) -> Self {
        Self { others: others.clone(), changes, read: 0, held: 0, refused: 0, done_ms: None }
    }

    /// Changes that its parent has, and that it refused.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.held, self.refused)
    }

    pub(crate) fn serve(&mut self, now_ms: i64, request: StoreRequest) -> StoreReply {
        match request {
            StoreRequest::Overview { .. } => StoreReply::Overview { tops: Vec::new(), last_row: 0 },
            StoreRequest::Read { bytes, selection } => {
                let mut changes: Vec<Stored> = Vec::new();
                let mut left = bytes;
                for change in &self.changes[self.read..] {
                    let length = change.carried.bytes.len() + 5;
                    if length > left || changes.len() == 2_000 {
                        break;
                    }
                    left -= length;
                    changes.push(change.clone());
                }
                self.read += changes.len();
                let more = self.read < self.changes.len();
                StoreReply::Read { changes, rest: more.then_some(selection), through_row: 0 }
            }
            StoreRequest::Ingest { changes, .. } => {
                let fates = changes.iter().map(|c| (ChangeId::of(&c.bytes), Fate::Known));
                StoreReply::Ingested { fates: fates.collect(), set_back: false }
            }
            StoreRequest::MarkReached { reached, .. } => {
                self.held += reached.len();
                if self.held == self.changes.len() {
                    self.done_ms = Some(now_ms);
                }
                StoreReply::MarkReached { news: Vec::new() }
            }
            StoreRequest::MarkRefused { refused, .. } => {
                self.refused += refused.len();
                StoreReply::MarkRefused
            }
            other => self.others.serve(other).unwrap(),
        }
    }
}

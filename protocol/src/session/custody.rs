//! Custody: which tiers above hold which changes, so that the status people see is true.
//!
//! A receipt of the parent settles what was just sent to it. The rest is asked: after a
//! comparison a node asks its ancestor about everything that still waits, and an ancestor tells
//! its descendants unasked when a tier further up has taken something.

use super::{Effect, Message, Purpose as Of, Relation, Session, StoreReply, StoreRequest};
use crate::key::SetKey;
use crate::limits;
use crate::wire::Bounded;

/// State of asking.
#[derive(Debug, Default)]
pub(super) struct Custody {
    asking: bool,
    asked_at_ms: Option<i64>,
    rest: Option<i64>,
}

/// Why the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Waiting,
    Held,
    Mark,
}

impl Session {
    /// Asks an ancestor about what waits, once after each comparison.
    pub(super) fn ask_custody_once(&mut self) {
        let ancestor = self.open_peer().relation == Relation::Ancestor;
        let due =
            self.custody.asked_at_ms.is_none_or(|at| self.now_ms >= at + super::COMPARE_AGAIN_MS);
        if ancestor && self.is_dialler() && due && !self.custody.asking {
            self.custody.asked_at_ms = Some(self.now_ms);
            self.ask_waiting(0);
        }
    }

    pub(super) fn mark_reached(&mut self, reached: Vec<(SetKey, u8)>, receipt: Option<Vec<u8>>) {
        let request = StoreRequest::MarkReached { reached, receipt };
        self.store(Of::Custody(Purpose::Mark), request);
    }

    pub(super) fn on_custody(&mut self, purpose: Purpose, reply: StoreReply) {
        match (purpose, reply) {
            (Purpose::Waiting, StoreReply::Waiting { waiting, rest }) => {
                self.custody.rest = rest;
                let scope = &self.open_peer().scope;
                let keys: Vec<SetKey> = waiting
                    .into_iter()
                    .map(|(key, _)| key)
                    .filter(|key| scope.allows(&key.to_bytes()))
                    .collect();
                match (keys.is_empty(), rest) {
                    (false, _) => self.send(&Message::AskHeld(Bounded(keys))),
                    (true, Some(after)) => self.ask_waiting(after),
                    (true, None) => self.custody.asking = false,
                }
            }
            (Purpose::Held, StoreReply::Held(held)) => self.send(&Message::Held(Bounded(held))),
            (Purpose::Mark, StoreReply::MarkReached { news }) => {
                if !news.is_empty() {
                    self.effects.push(Effect::News(news));
                }
            }
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    /// A descendant asks who holds its changes.
    pub(super) fn on_ask_held(&mut self, mut keys: Vec<SetKey>) {
        let scope = &self.open_peer().scope;
        keys.retain(|key| scope.allows(&key.to_bytes()));
        let own = self.identity.tier_bit();
        self.store(Of::Custody(Purpose::Held), StoreRequest::Held { keys, own });
    }

    /// The peer says who holds changes; only an ancestor is believed, for its tier and above.
    pub(super) fn on_held(&mut self, mut held: Vec<(SetKey, u8)>) {
        if self.open_peer().relation != Relation::Ancestor {
            return;
        }
        let peer = self.open_peer().certificate.body().tier.bit();
        let believed = peer | (peer - 1);
        for (_, tiers) in &mut held {
            *tiers &= believed;
        }
        held.retain(|(_, tiers)| *tiers != 0);
        self.mark_reached(held, None);
        if std::mem::take(&mut self.custody.asking)
            && let Some(after) = self.custody.rest.take()
        {
            self.ask_waiting(after);
        }
    }

    /// Tells a descendant what a tier above has taken.
    pub(super) fn tell_news(&mut self, news: &[(SetKey, u8)]) {
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.relation == Relation::Descendant)
        else {
            return;
        };
        let inside = |(key, _): &&(SetKey, u8)| peer.scope.allows(&key.to_bytes());
        let told: Vec<(SetKey, u8)> = news.iter().filter(inside).cloned().collect();
        for part in told.chunks(limits::HELD_KEYS) {
            self.send(&Message::Held(Bounded(part.to_vec())));
        }
    }

    fn ask_waiting(&mut self, after: i64) {
        self.custody.asking = true;
        self.store(Of::Custody(Purpose::Waiting), StoreRequest::Waiting { after });
    }
}

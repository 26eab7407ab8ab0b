//! Custody: which tiers above hold which changes, so that the status people see is true.
//!
//! A receipt of the parent settles what was just sent to it. The rest is asked: after a
//! comparison a node asks its ancestor about everything that still waits, and an ancestor tells
//! its descendants unasked when a tier further up has taken something. Because it does, only what
//! the ancestor itself should hold is asked for again soon; what waits for a tier further up, which
//! may be a whole library while a link there is down, is asked for again but rarely.

use super::{Effect, Message, Purpose as Of, Relation, Role, Session, StoreReply, StoreRequest};
use crate::key::SetKey;
use crate::limits;
use crate::wire::Bounded;

/// How often everything that waits is asked for in one session.
const ASK_ALL_AGAIN_MS: i64 = 3_600_000;

/// State of asking.
#[derive(Debug, Default)]
pub(super) struct Custody {
    asking: bool,
    asked_at_ms: Option<i64>,
    /// When everything was asked for last, not only what the peer itself should hold.
    asked_all_at_ms: Option<i64>,
    /// Whether everything is being asked for.
    all: bool,
    rest: Option<i64>,
    /// News for a descendant.
    to_tell: Vec<(SetKey, u8)>,
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
        let now_ms = self.now_ms;
        let due = |at: Option<i64>, pause_ms| at.is_none_or(|at| now_ms >= at + pause_ms);
        let custody = &mut self.custody;
        let soon = due(custody.asked_at_ms, super::COMPARE_AGAIN_MS);
        if ancestor && self.role != Role::Listener && soon && !custody.asking {
            custody.asked_at_ms = Some(now_ms);
            custody.all = due(custody.asked_all_at_ms, ASK_ALL_AGAIN_MS);
            if custody.all {
                custody.asked_all_at_ms = Some(now_ms);
            }
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
                let peer = self.open_peer();
                let tier = peer.certificate.body().tier.bit();
                let asked = if self.custody.all { u8::MAX } else { tier };
                let keys: Vec<SetKey> = waiting
                    .into_iter()
                    .filter(|(key, tiers)| tiers & asked != 0 && peer.scope.allows(&key.to_bytes()))
                    .map(|(key, _)| key)
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

    /// A tier above has taken changes; a descendant is told of those it may see.
    pub(super) fn note_news(&mut self, news: &[(SetKey, u8)]) {
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.relation == Relation::Descendant)
        else {
            return;
        };
        let inside = |(key, _): &&(SetKey, u8)| peer.scope.allows(&key.to_bytes());
        self.custody.to_tell.extend(news.iter().filter(inside).cloned());
    }

    /// Tells the news, after changes that were read before the store knew of it: told before them,
    /// it would be about changes the descendant does not have yet, and be lost.
    pub(super) fn tell_news(&mut self) {
        if self.outgoing.has_unsent() {
            return;
        }
        for part in std::mem::take(&mut self.custody.to_tell).chunks(limits::HELD_KEYS) {
            self.send(&Message::Held(Bounded(part.to_vec())));
        }
    }

    fn ask_waiting(&mut self, after: i64) {
        self.custody.asking = true;
        self.store(Of::Custody(Purpose::Waiting), StoreRequest::Waiting { after });
    }
}

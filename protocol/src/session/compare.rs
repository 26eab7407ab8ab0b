//! Reconciliation: the dialler finds out where the two sets differ.
//!
//! The dialler walks down the summary trie, a level of all differing prefixes per round trip,
//! until a prefix holds so few changes that ids are compared. What only it has it queues for
//! sending; what only the peer has it wants. The listener answers without keeping any state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Fault, FaultCode, Message, Outcome, Purpose as Of, Session, StoreReply, StoreRequest};
use crate::id::ChangeId;
use crate::key::KeyPrefix;
use crate::limits;
use crate::summary::Summary;
use crate::sync::Selection;
use crate::wire::{Bounded, Node, Page, Wanted};

/// Answers are sent before they grow beyond this many bytes.
const ANSWER_BYTES: usize = 256 << 10;
/// Most ids of ours that are listed to be compared with a short list of the peer.
const OWN_IDS: u64 = 2_000;

/// State of the comparison at the dialler.
#[derive(Debug, Default)]
pub(super) struct Compare {
    state: State,
    own_tops: Vec<(KeyPrefix, Summary)>,
    /// Prefixes that differ and have not been asked about; `true` to ask for ids.
    to_ask: VecDeque<(KeyPrefix, bool)>,
    /// Widest prefixes of the peer that have come so far.
    their_tops: Vec<(KeyPrefix, Summary)>,
    /// Asked and not wholly answered, with the last child that has come (its bytes).
    asked: BTreeMap<KeyPrefix, Vec<u8>>,
    /// Own lookups under way, for answers that have come.
    looking: usize,
    /// Found missing here, to be wanted.
    to_want: Vec<Wanted>,
    /// Requests that the peer has not delivered.
    wanted: BTreeSet<u64>,
    last_want: u64,
    again: bool,
    /// Whether the last comparison found both sets equal, refused changes left aside.
    agreed: bool,
    /// Whether this descent queued or wanted anything.
    moved: bool,
    /// Changes that one side has refused: they stay different and are not sent again.
    disputed: BTreeSet<ChangeId>,
    /// When to compare again to see whether both sides agree now.
    check_at_ms: i64,
    /// Pause before the next check; doubles while the sides do not agree.
    pause_ms: i64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// Root sent or about to be.
    Asking,
    Descending,
    /// Compared once at least.
    Compared,
}

/// Why the dialler asked its own store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Tops,
    Children { theirs: Vec<(KeyPrefix, Summary)>, after: Vec<u8>, through: Option<Vec<u8>> },
    Ids { prefix: KeyPrefix, theirs: Vec<ChangeId> },
}

/// Why the listener asked its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AnswerPurpose {
    Root { digest: [u8; 32] },
    Children { prefix: KeyPrefix },
    Ids { prefix: KeyPrefix },
}

impl Compare {
    /// Whether the dialler has compared and got all that it asked for; a listener never asks.
    pub(super) fn is_done(&self, dialler: bool) -> bool {
        !dialler || (self.state == State::Compared && self.wanted.is_empty() && !self.again)
    }

    /// Whether both sets were found equal by the last comparison.
    pub(super) fn agreed(&self) -> bool {
        self.agreed
    }

    /// A change was refused by one side.
    pub(super) fn dispute(&mut self, id: ChangeId) {
        if self.disputed.len() < limits::LIST_IDS {
            self.disputed.insert(id);
        }
    }

    /// When the dialler should look again, if it must.
    pub(super) fn next_check_ms(&self) -> Option<i64> {
        (self.state == State::Compared && !self.agreed).then_some(self.check_at_ms)
    }
}

impl Session {
    /// Begins a comparison; if one is under way, another follows it.
    pub(super) fn compare_again(&mut self) {
        if !self.is_dialler() {
            return;
        }
        match self.compare.state {
            State::Idle | State::Compared => {
                self.compare.state = State::Asking;
                self.compare.again = false;
                let scope = self.open_peer().scope.clone();
                self.store(Of::Compare(Purpose::Tops), StoreRequest::Overview { scope });
            }
            State::Asking | State::Descending => self.compare.again = true,
        }
    }

    pub(super) fn on_compared(&mut self, purpose: Purpose, reply: StoreReply) {
        match (purpose, reply) {
            (Purpose::Tops, StoreReply::Overview { tops, last_row }) => {
                self.outgoing.go_live(last_row);
                let digest = digest(&tops);
                self.compare.own_tops = tops;
                self.figures.rounds += 1;
                self.send(&Message::Root { digest });
            }
            (Purpose::Children { theirs, after, through }, StoreReply::Children(mut mine)) => {
                mine.retain(|(child, _)| {
                    let child = child.as_bytes();
                    child > after.as_slice() && through.as_deref().is_none_or(|last| child <= last)
                });
                self.compare.looking -= 1;
                self.find_differences(&mine, &theirs);
                self.ask_on();
            }
            (Purpose::Ids { prefix, theirs }, StoreReply::Ids(mine)) => {
                self.compare.looking -= 1;
                self.compare_ids(prefix, &mine, &theirs);
                self.ask_on();
            }
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    /// Everything has moved: sees whether both sides agree now.
    pub(super) fn check_agreement(&mut self) {
        let due = self.compare.next_check_ms().is_some_and(|at| self.now_ms >= at);
        if self.is_dialler() && due {
            let pause_ms = (2 * self.compare.pause_ms).clamp(500, super::COMPARE_AGAIN_MS);
            self.compare.pause_ms = pause_ms;
            self.compare.check_at_ms = self.now_ms + pause_ms;
            self.compare_again();
        }
    }

    /// The peer holds the same.
    pub(super) fn on_equal(&mut self) -> Outcome {
        self.expect(State::Asking)?;
        self.agree();
        self.compare_finished();
        Ok(())
    }

    /// The peer's widest prefixes.
    pub(super) fn on_tops(&mut self, page: Page) -> Outcome {
        self.expect(State::Asking)?;
        let last = self.compare.their_tops.last().map(|(prefix, _)| prefix.as_bytes().to_vec());
        check_page(&page, &last.unwrap_or_default())?;
        for (prefix, _) in &page.items.0 {
            self.check_scope(prefix)?;
        }
        self.compare.their_tops.extend(page.items.0);
        if self.compare.their_tops.len() > limits::TOPS {
            return Err(Fault::new(FaultCode::TooLarge, "more prefixes than a scope can have"));
        }
        if page.more {
            return Ok(());
        }
        let theirs = std::mem::take(&mut self.compare.their_tops);
        self.compare.state = State::Descending;
        self.compare.moved = false;
        self.compare.agreed = false;
        let mine = std::mem::take(&mut self.compare.own_tops);
        self.find_differences(&mine, &theirs);
        self.ask_on();
        Ok(())
    }

    /// Answers to some of the prefixes asked for.
    pub(super) fn on_answer(&mut self, items: Vec<(KeyPrefix, Node)>) -> Outcome {
        self.expect(State::Descending)?;
        for (prefix, node) in items {
            let Some(after) = self.compare.asked.remove(&prefix) else {
                let text = format!("an answer for {prefix:?}, which was not asked");
                return Err(Fault::new(FaultCode::Unexpected, text));
            };
            match node {
                Node::Children(page) => self.on_children(prefix, after, page)?,
                Node::Ids(theirs) => self.look_up_ids(prefix, theirs.0),
            }
        }
        self.ask_on();
        Ok(())
    }

    /// A page of the children of a prefix, after the child `after` (its bytes).
    fn on_children(&mut self, prefix: KeyPrefix, after: Vec<u8>, page: Page) -> Outcome {
        check_page(&page, &after)?;
        let inside = |(child, _): &(KeyPrefix, Summary)| {
            prefix.contains(child.as_bytes()) && *child != prefix
        };
        if !page.items.0.iter().all(inside) {
            let text = format!("children of {prefix:?} that are not inside it");
            return Err(Fault::new(FaultCode::OutOfScope, text));
        }
        let last = page.items.0.last().map(|(child, _)| child.as_bytes().to_vec());
        let through = last.filter(|_| page.more);
        if let Some(through) = &through {
            self.compare.asked.insert(prefix.clone(), through.clone());
        }
        self.compare.looking += 1;
        let purpose = Purpose::Children { theirs: page.items.0, after, through };
        self.store(Of::Compare(purpose), StoreRequest::Children { prefix });
        Ok(())
    }

    /// Everything asked for by this number has come, and is durable or on its way to the store.
    pub(super) fn on_delivered(&mut self, number: u64) -> Outcome {
        if self.compare.wanted.remove(&number) {
            if self.compare.wanted.is_empty() {
                self.incoming.all_delivered();
            }
            return Ok(());
        }
        let text = format!("delivery of request {number}, which was not made");
        Err(Fault::new(FaultCode::Unexpected, text))
    }

    /// The digest of the dialler, at the listener.
    pub(super) fn on_root(&mut self, digest: [u8; 32]) {
        self.incoming.all_delivered();
        let scope = self.open_peer().scope.clone();
        let purpose = AnswerPurpose::Root { digest };
        self.store(Of::Answer(purpose), StoreRequest::Overview { scope });
    }

    /// A question of the dialler, at the listener.
    pub(super) fn on_query(&mut self, items: Vec<(KeyPrefix, bool)>) -> Outcome {
        for (prefix, _) in &items {
            self.check_scope(prefix)?;
        }
        for (prefix, ids) in items {
            let (purpose, request) = if ids {
                (AnswerPurpose::Ids { prefix: prefix.clone() }, StoreRequest::Ids { prefix })
            } else {
                (
                    AnswerPurpose::Children { prefix: prefix.clone() },
                    StoreRequest::Children { prefix },
                )
            };
            self.store(Of::Answer(purpose), request);
        }
        Ok(())
    }

    /// What the listener's store found for a question.
    pub(super) fn on_answer_found(&mut self, purpose: AnswerPurpose, reply: StoreReply) {
        match (purpose, reply) {
            (AnswerPurpose::Root { digest: theirs }, StoreReply::Overview { tops, last_row }) => {
                self.outgoing.go_live(last_row);
                if digest(&tops) == theirs {
                    self.send(&Message::Equal);
                    self.agree();
                } else {
                    self.compare.agreed = false;
                    for page in Page::cut(tops) {
                        self.send(&Message::Tops(page));
                    }
                }
            }
            (AnswerPurpose::Children { prefix }, StoreReply::Children(children)) => {
                for page in Page::cut(children) {
                    self.answer(prefix.clone(), Node::Children(page));
                }
            }
            (AnswerPurpose::Ids { prefix }, StoreReply::Ids(ids)) => {
                self.answer(prefix, Node::Ids(Bounded(ids)));
            }
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    /// Every prefix a peer names must be within what both may see.
    pub(super) fn check_scope(&self, prefix: &KeyPrefix) -> Outcome {
        if self.open_peer().scope.allows(prefix.as_bytes()) {
            return Ok(());
        }
        let text = format!("the range {prefix:?} is outside what this peer may see");
        Err(Fault::new(FaultCode::OutOfScope, text))
    }

    fn expect(&self, state: State) -> Outcome {
        if self.compare.state == state {
            return Ok(());
        }
        Err(Fault::new(FaultCode::Unexpected, "an answer to no question"))
    }

    /// Both lists ascend; what differs is asked about, sent or wanted.
    fn find_differences(&mut self, mine: &[(KeyPrefix, Summary)], theirs: &[(KeyPrefix, Summary)]) {
        // A whole prefix may be moved unseen only as long as nothing in it can have been refused.
        let disputes = !self.compare.disputed.is_empty();
        let mine: BTreeMap<&KeyPrefix, &Summary> = mine.iter().map(|(p, s)| (p, s)).collect();
        let theirs: BTreeMap<&KeyPrefix, &Summary> = theirs.iter().map(|(p, s)| (p, s)).collect();
        for (prefix, own) in &mine {
            match theirs.get(prefix) {
                Some(other) if other == own => {}
                Some(other) => {
                    let ids = other.count <= limits::LEAF_IDS && own.count <= OWN_IDS;
                    self.compare.to_ask.push_back(((*prefix).clone(), ids));
                }
                None if own.count <= OWN_IDS => self.look_up_ids((*prefix).clone(), Vec::new()),
                None if disputes => self.compare.to_ask.push_back(((*prefix).clone(), false)),
                None => {
                    self.compare.moved = true;
                    let after = Vec::new();
                    let selection = Selection::Prefix { prefix: (*prefix).clone(), after };
                    self.outgoing.queue(selection, own.count, None);
                }
            }
        }
        for (prefix, summary) in theirs.iter().filter(|(prefix, _)| !mine.contains_key(*prefix)) {
            if disputes {
                let ids = summary.count <= limits::LEAF_IDS;
                self.compare.to_ask.push_back(((*prefix).clone(), ids));
            } else {
                self.incoming.announced(summary.count);
                self.compare.to_want.push(Wanted { prefix: (*prefix).clone(), ids: None });
            }
        }
    }

    fn look_up_ids(&mut self, prefix: KeyPrefix, theirs: Vec<ChangeId>) {
        self.compare.looking += 1;
        let purpose = Purpose::Ids { prefix: prefix.clone(), theirs };
        self.store(Of::Compare(purpose), StoreRequest::Ids { prefix });
    }

    fn compare_ids(&mut self, prefix: KeyPrefix, mine: &[ChangeId], theirs: &[ChangeId]) {
        let mine: BTreeSet<ChangeId> = mine.iter().copied().collect();
        let theirs: BTreeSet<ChangeId> = theirs.iter().copied().collect();
        let disputed = &self.compare.disputed;
        let movable = |id: &&ChangeId| !disputed.contains(id);
        let only_mine: Vec<_> = mine.difference(&theirs).filter(movable).copied().collect();
        let only_theirs: Vec<_> = theirs.difference(&mine).filter(movable).copied().collect();
        if !only_mine.is_empty() {
            let count = only_mine.len() as u64;
            let selection = Selection::Ids { prefix: prefix.clone(), ids: only_mine };
            self.compare.moved = true;
            self.outgoing.queue(selection, count, None);
        }
        if !only_theirs.is_empty() {
            self.incoming.announced(only_theirs.len() as u64);
            self.compare.to_want.push(Wanted { prefix, ids: Some(Bounded(only_theirs)) });
        }
    }

    /// Asks what is left to ask; when nothing is, the comparison is over.
    fn ask_on(&mut self) {
        if self.compare.looking > 0 || !self.compare.asked.is_empty() {
            return;
        }
        self.want_missing();
        if self.compare.to_ask.is_empty() {
            self.compare_finished();
            return;
        }
        let count = self.compare.to_ask.len().min(limits::QUERY_PREFIXES);
        let part: Vec<(KeyPrefix, bool)> = self.compare.to_ask.drain(..count).collect();
        let asked = part.iter().map(|(prefix, _)| (prefix.clone(), Vec::new()));
        self.compare.asked.extend(asked);
        self.figures.rounds += 1;
        self.send(&Message::Query(Bounded(part)));
    }

    fn want_missing(&mut self) {
        let mut part = Vec::new();
        let mut ids = 0;
        for wanted in std::mem::take(&mut self.compare.to_want) {
            let more = wanted.ids.as_ref().map_or(1, |list| list.0.len());
            if ids + more > limits::LIST_IDS || part.len() == limits::QUERY_PREFIXES {
                self.send_want(std::mem::take(&mut part));
                ids = 0;
            }
            ids += more;
            part.push(wanted);
        }
        if !part.is_empty() {
            self.send_want(part);
        }
    }

    fn send_want(&mut self, items: Vec<Wanted>) {
        self.compare.moved = true;
        self.compare.last_want += 1;
        let number = self.compare.last_want;
        self.compare.wanted.insert(number);
        self.send(&Message::Want { number, items: Bounded(items) });
    }

    fn agree(&mut self) {
        self.compare.agreed = true;
        self.compare.moved = false;
        self.compare.pause_ms = 0;
    }

    fn compare_finished(&mut self) {
        self.compare.state = State::Compared;
        if self.compare.moved {
            self.compare.check_at_ms = self.now_ms + self.compare.pause_ms;
        } else {
            // What still differs was refused by one side: that is shown, not sent again.
            self.agree();
        }
        if self.compare.again {
            self.compare_again();
        }
    }

    fn answer(&mut self, prefix: KeyPrefix, node: Node) {
        let bytes = match &node {
            Node::Children(page) => page.items.0.len() * (Summary::LENGTH + 90),
            Node::Ids(list) => list.0.len() * ChangeId::LENGTH,
        };
        self.incoming.answer.push((prefix, node));
        self.incoming.answer_bytes += bytes;
        let more = self.requests.values().any(|purpose| matches!(purpose, Of::Answer(_)));
        if !more || self.incoming.answer_bytes > ANSWER_BYTES {
            let items = std::mem::take(&mut self.incoming.answer);
            self.incoming.answer_bytes = 0;
            self.send(&Message::Answer(Bounded(items)));
        }
    }
}

/// A page must ascend beyond what came before, and be the last if it is empty.
fn check_page(page: &Page, after: &[u8]) -> Outcome {
    let before = std::iter::once(after).chain(page.items.0.iter().map(|(p, _)| p.as_bytes()));
    let ascends = before.zip(&page.items.0).all(|(before, (prefix, _))| before < prefix.as_bytes());
    if ascends && !(page.more && page.items.0.is_empty()) {
        return Ok(());
    }
    Err(Fault::new(FaultCode::Malformed, "a page of prefixes that does not ascend"))
}

/// BLAKE3 over prefixes and summaries: equal digests mean equal sets in the common scope.
fn digest(tops: &[(KeyPrefix, Summary)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for (prefix, summary) in tops {
        hasher.update(&(prefix.as_bytes().len() as u64).to_be_bytes());
        hasher.update(prefix.as_bytes());
        hasher.update(&summary.to_bytes());
    }
    *hasher.finalize().as_bytes()
}

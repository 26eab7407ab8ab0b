//! Reconciliation: the dialler finds out where the two sets differ.
//!
//! ```text
//! Root(digest)            ▶ ◀ Equal, or the frontier: some hundreds of prefixes with fingerprints
//! Query(prefixes)         ▶ ◀ symbols of sketches, short ids, or a finer frontier
//! Want(short ids)         ▶
//! ```
//!
//! A prefix whose fingerprint differs is asked about in the way that costs the fewest bytes
//! ([`asking`]); what comes out of the answer is wanted or queued for sending ([`differing`]). The
//! listener answers without remembering anything ([`answering`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Fault, FaultCode, Message, Outcome, Purpose as Of, Session, StoreReply, StoreRequest};
use crate::id::ChangeId;
use crate::key::KeyPrefix;
use crate::limits;
use crate::sketch::ShortKey;
use crate::summary::{Fingerprint, Summary};
use crate::sync::Selection;
use crate::wire::{AskReply, Page, Prefixed, Wanted};

mod answering;
mod asking;
mod differing;

pub(super) use answering::{AnswerPurpose, Answering};
use asking::{Differing, Questions};

/// Most own lookups under way at a time: each holds the ids under a prefix.
const LOOKUPS: usize = 4;

/// How long a change that one side has refused is not moved again in a session, about.
const DISPUTE_MS: i64 = 50 * super::COMPARE_AGAIN_MS;

/// State of the comparison at the dialler.
#[derive(Debug, Default)]
pub(super) struct Compare {
    state: State,
    /// Number of the comparison, from 1.
    number: u32,
    own_tops: Vec<KeyPrefix>,
    /// The frontier of the peer, as far as it has come.
    their_tops: Vec<(KeyPrefix, Fingerprint)>,
    questions: Questions,
    /// Answers that wait to be looked at against what is here.
    to_look: VecDeque<(Differing, AskReply)>,
    /// Own lookups under way.
    looking: usize,
    /// Found missing here, to be wanted.
    to_want: Vec<(KeyPrefix, Wanted)>,
    /// Requests that the peer has not delivered, with their short ids, and the sum of these.
    wanted: BTreeMap<u64, usize>,
    wanted_ids: usize,
    /// Short ids in answers that wait, and are being looked at.
    answered_ids: usize,
    last_want: u64,
    again: bool,
    /// Whether the last comparison found both sets equal, refused changes left aside.
    agreed: bool,
    /// Whether this comparison queued or wanted anything.
    moved: bool,
    /// Changes that one side has refused: they stay different and are not sent again.
    disputed: BTreeSet<ChangeId>,
    /// When these are to be looked at again.
    dispute_ends_ms: Option<i64>,
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
    /// What is here in the common scope.
    Tops,
    /// The own side of a frontier.
    Against { theirs: Vec<(KeyPrefix, Fingerprint)> },
    /// The own ids of a prefix, to be held against an answer.
    Own { differing: Box<Differing>, told: Box<AskReply> },
    /// Parts of a prefix that only this side has, some of which may have been refused.
    Split,
}

impl Compare {
    /// Whether the dialler has compared and got all that it asked for; a listener never asks.
    pub(super) fn is_done(&self, dialler: bool) -> bool {
        !dialler
            || (self.state == State::Compared
                && self.wanted.is_empty()
                && self.to_want.is_empty()
                && !self.again)
    }

    /// Whether both sets were found equal by the last comparison.
    pub(super) fn agreed(&self) -> bool {
        self.agreed
    }

    /// Changes that one side has refused.
    pub(super) fn disputed(&self) -> u64 {
        self.disputed.len() as u64
    }

    /// A change was refused by one side.
    pub(super) fn dispute(&mut self, id: ChangeId) {
        if self.disputed.len() < limits::LIST_IDS {
            self.disputed.insert(id);
        }
    }

    /// What was refused may be taken by now: the next comparison moves it again.
    pub(super) fn forget_disputes(&mut self) {
        self.disputed.clear();
        self.dispute_ends_ms = None;
    }

    /// The same once in a while: nobody tells what has changed at the peer.
    pub(super) fn end_old_disputes(&mut self, now_ms: i64) {
        if self.disputed.is_empty() {
            return;
        }
        let ends_ms = *self.dispute_ends_ms.get_or_insert(now_ms.saturating_add(DISPUTE_MS));
        if now_ms >= ends_ms {
            self.forget_disputes();
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
                self.compare.number = self.compare.number.wrapping_add(1);
                // Short ids of another comparison mean nothing to the peer.
                self.compare.to_want.clear();
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
                self.compare.own_tops = tops.into_iter().map(|(prefix, _)| prefix).collect();
                self.figures.rounds += 1;
                self.send(&Message::Root { number: self.compare.number, digest });
            }
            (Purpose::Against { theirs }, StoreReply::Against { mine, alone }) => {
                self.compare.looking -= 1;
                self.find_differences(&mine, theirs);
                for (prefix, own) in alone {
                    self.only_here(prefix, own.count);
                }
                self.ask_on();
            }
            (Purpose::Own { differing, told }, StoreReply::Shorts(mine)) => {
                self.compare.looking -= 1;
                self.compare.answered_ids -= ids_in(&told);
                self.hold_against(*differing, *told, &mine);
                self.ask_on();
            }
            (Purpose::Split, StoreReply::Frontier(parts)) => {
                self.compare.looking -= 1;
                for (prefix, own) in parts {
                    self.only_here(prefix, own.count);
                }
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

    /// The frontier of the peer.
    pub(super) fn on_tops(&mut self, page: Page) -> Outcome {
        self.expect(State::Asking)?;
        for (prefix, _) in &page.items.0 {
            self.check_scope(prefix)?;
        }
        let more = page.more;
        add_page(&mut self.compare.their_tops, page)?;
        if more {
            return Ok(());
        }
        self.compare.state = State::Descending;
        self.compare.moved = false;
        self.compare.agreed = false;
        self.compare.questions = Questions::default();
        let within = std::mem::take(&mut self.compare.own_tops);
        let theirs = std::mem::take(&mut self.compare.their_tops);
        self.look_against(within, theirs);
        Ok(())
    }

    /// Everything asked for by this number has come, and is durable or on its way to the store.
    pub(super) fn on_delivered(&mut self, number: u64) -> Outcome {
        if let Some(ids) = self.compare.wanted.remove(&number) {
            self.compare.wanted_ids -= ids;
            if self.compare.state == State::Compared {
                self.want_missing();
            }
            if self.compare.wanted.is_empty() {
                self.incoming.all_delivered();
            }
            return Ok(());
        }
        let text = format!("delivery of request {number}, which was not made");
        Err(Fault::new(FaultCode::Unexpected, text))
    }

    /// Every prefix a peer names must be within what both may see.
    pub(super) fn check_scope(&self, prefix: &KeyPrefix) -> Outcome {
        if self.open_peer().scope.allows(prefix.as_bytes()) {
            return Ok(());
        }
        let text = format!("the range {prefix:?} is outside what this peer may see");
        Err(Fault::new(FaultCode::OutOfScope, text))
    }

    /// What a peer names in the course of a comparison is remembered up to a bound.
    fn check_compared(&self) -> Outcome {
        if self.compare.questions.ranges() + self.compare.to_want.len() <= limits::COMPARED {
            return Ok(());
        }
        Err(Fault::new(FaultCode::TooLarge, "more ranges than a comparison can hold"))
    }

    fn expect(&self, state: State) -> Outcome {
        if self.compare.state == state {
            return Ok(());
        }
        Err(Fault::new(FaultCode::Unexpected, "an answer to no question"))
    }

    fn short_key(&self) -> ShortKey {
        ShortKey::derive(&self.channel.exporter, self.compare.number)
    }

    /// Looks up the own side of a frontier of the peer.
    fn look_against(&mut self, within: Vec<KeyPrefix>, theirs: Vec<(KeyPrefix, Fingerprint)>) {
        self.compare.looking += 1;
        let prefixes = theirs.iter().map(|(prefix, _)| prefix.clone()).collect();
        let request = StoreRequest::Against { within, theirs: prefixes };
        self.store(Of::Compare(Purpose::Against { theirs }), request);
    }

    /// Looks up own ids for answers that have come.
    fn look_up(&mut self) {
        while self.compare.looking < LOOKUPS
            && let Some((differing, told)) = self.compare.to_look.pop_front()
        {
            self.compare.looking += 1;
            let prefix = differing.prefix.clone();
            let key = self.short_key();
            let purpose = Purpose::Own { differing: Box::new(differing), told: Box::new(told) };
            self.store(Of::Compare(purpose), StoreRequest::Shorts { prefix, key });
        }
    }

    /// Each prefix of the peer's frontier beside what is here under it.
    fn find_differences(&mut self, mine: &[Summary], theirs: Vec<(KeyPrefix, Fingerprint)>) {
        let of = theirs.len();
        let unequal: Vec<_> = theirs
            .into_iter()
            .zip(mine)
            .filter(|((_, theirs), mine)| Fingerprint::from(**mine) != *theirs)
            .collect();
        self.compare.questions.note_share(unequal.len(), of);
        for ((prefix, theirs), mine) in unequal {
            if theirs.count == 0 {
                self.only_here(prefix, mine.count);
            } else if mine.count == 0 && self.compare.disputed.is_empty() {
                self.want_all(prefix, theirs.count);
            } else {
                let differing = Differing::new(prefix, mine.count, theirs.count);
                self.compare.questions.add(differing, None);
            }
        }
    }

    /// Only this side has anything under a prefix.
    fn only_here(&mut self, prefix: KeyPrefix, count: u64) {
        // A whole prefix may be sent unseen only as long as nothing in it can have been refused.
        if self.compare.disputed.is_empty() {
            self.send_all(prefix, count);
        } else if count <= limits::SKETCH_ITEMS as u64 {
            let nothing = AskReply::Shorts(crate::wire::Bounded(Vec::new()));
            self.compare.to_look.push_back((Differing::new(prefix, count, 0), nothing));
        } else {
            self.compare.looking += 1;
            let (prefixes, nodes) = (vec![prefix], limits::FRONTIER_NODES);
            self.store(Of::Compare(Purpose::Split), StoreRequest::Frontier { prefixes, nodes });
        }
    }

    fn send_all(&mut self, prefix: KeyPrefix, count: u64) {
        self.compare.moved = true;
        self.outgoing.queue(Selection::Prefix { prefix, after: Vec::new() }, count, None);
    }

    fn want_all(&mut self, prefix: KeyPrefix, count: u64) {
        self.incoming.announced(count);
        self.compare.to_want.push((prefix, Wanted::All));
    }

    /// Asks what is left to ask; when nothing is, the comparison is over.
    fn ask_on(&mut self) {
        self.look_up();
        let (questions, given_up) = self.compare.questions.next(!self.compare.disputed.is_empty());
        for Differing { prefix, mine, theirs, .. } in given_up {
            self.send_all(prefix.clone(), mine);
            self.want_all(prefix, theirs);
        }
        if !questions.is_empty() {
            self.figures.rounds += 1;
            self.send(&Message::Query(Prefixed(questions)));
        }
        if self.compare.looking > 0 {
            return;
        }
        self.want_missing();
        if self.compare.questions.is_empty() {
            self.compare_finished();
        }
    }

    fn want_missing(&mut self) {
        let mut wanted = std::mem::take(&mut self.compare.to_want);
        wanted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut part = Vec::new();
        let mut shorts = 0;
        let mut wanted = wanted.into_iter();
        while self.compare.wanted_ids + shorts + limits::SKETCH_ITEMS <= limits::WANTED_IDS
            && let Some((prefix, wanted)) = wanted.next()
        {
            let more = match &wanted {
                Wanted::All => 1,
                Wanted::Shorts(list) => list.0.len(),
            };
            let full = shorts + more > limits::SKETCH_ITEMS || part.len() == limits::QUERY_PREFIXES;
            if full && !part.is_empty() {
                self.send_want(std::mem::take(&mut part), shorts);
                shorts = 0;
            }
            shorts += more;
            part.push((prefix, wanted));
        }
        if !part.is_empty() {
            self.send_want(part, shorts);
        }
        // More than the peer remembers is asked for when some of it has come.
        self.compare.to_want = wanted.collect();
    }

    fn send_want(&mut self, items: Vec<(KeyPrefix, Wanted)>, ids: usize) {
        self.compare.moved = true;
        self.compare.last_want += 1;
        let number = self.compare.last_want;
        self.compare.wanted.insert(number, ids);
        self.compare.wanted_ids += ids;
        self.send(&Message::Want { number, items: Prefixed(items) });
    }

    fn agree(&mut self) {
        if !self.compare.agreed {
            self.ask_again_when_agreed();
        }
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
}

/// Adds a page to a frontier; it must go on where the one before ended.
fn add_page(list: &mut Vec<(KeyPrefix, Fingerprint)>, page: Page) -> Outcome {
    let first = page.items.0.first().map(|(prefix, _)| prefix);
    let ascends = list.last().is_none_or(|(last, _)| first.is_none_or(|first| last < first));
    if !ascends || (page.more && page.items.0.is_empty()) {
        return Err(Fault::new(FaultCode::Malformed, "a page of prefixes that does not ascend"));
    }
    list.extend(page.items.0);
    if list.len() > limits::TOPS {
        return Err(Fault::new(FaultCode::TooLarge, "more prefixes than a scope can have"));
    }
    Ok(())
}

/// Short ids in an answer.
fn ids_in(told: &AskReply) -> usize {
    match told {
        AskReply::Shorts(list) => list.0.len(),
        AskReply::Symbols { .. } | AskReply::Frontier(_) | AskReply::TooMany => 0,
    }
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

//! Durability: which tiers above hold which changes, so that the status people see is true.
//!
//! A receipt of the parent settles what was just sent to it. The rest is asked, once after a
//! comparison, in a *walk*: the widest ranges in which something waits are named with the summary
//! of what is here, and the ancestor says for each whether it holds the same and which tiers hold
//! all of it ([`crate::durability`]). Only where the sets differ, or a tier further up holds a part
//! that is worth it, the walk goes into the parts of a range, and in the end asks by single changes. What is
//! learned is marked a few thousand changes at a time, and never beyond the row up to which the
//! summary counts: what was made since then was not in the question.
//!
//! A part that was not worth it is *left*: no news will come of it, so it is asked about again after a
//! pause, and gone into then if it is small.
//!
//! An ancestor tells its descendants unasked when a tier further up has taken something, by name
//! when it is little, else by "ask again". Because it does, only what the ancestor itself should
//! hold is asked for again soon; what waits for a tier further up, which may be a whole library
//! while a link there is down, is asked for again but rarely.

use super::{
    Effect, Fault, FaultCode, Message, Outcome, Purpose as Of, Relation, Role, Session, StoreReply,
    StoreRequest,
};
use crate::durability::{
    Answer, Ask, Attestation, News, Question, Questions, Reply, Request, Within,
};
use crate::key::{KeyPrefix, SetKey};
use crate::limits;
use crate::sync::Stored;
use crate::wire::Bounded;

mod walk;

use walk::{Said, Walk};

/// How often everything that waits is asked for in one session.
const ASK_ALL_AGAIN_MS: i64 = 3_600_000;
/// Pause after a walk, doubled after each that finds nothing: a library on its way up gives news
/// all the time.
const PAUSE_MS: i64 = 2_000;
/// Longest such pause.
const LONGEST_PAUSE_MS: i64 = 30_000;
/// Pause after a walk that left a part, doubled after each that brings nothing further.
const LEFT_PAUSE_MS: i64 = 30_000;
/// Longest such pause.
const LONGEST_LEFT_PAUSE_MS: i64 = 900_000;
/// With so few changes waiting in a range every part is worth going into, if nothing else helps.
const FEW_LEFT: u64 = 1_000;
/// Ranges whose parts are looked up in one request.
const PARTS_TOGETHER: usize = 64;

/// State of asking.
#[derive(Debug, Default)]
pub(super) struct Durability {
    asked_at_ms: Option<i64>,
    /// When everything was asked for last, not only what the peer itself should hold.
    asked_all_at_ms: Option<i64>,
    /// The peer says that there is news.
    told: bool,
    pause_ms: i64,
    walk: Option<Walk>,
    /// When to ask again about a part that a walk left, of which no news will come.
    left_until_ms: Option<i64>,
    left_pause_ms: i64,
    /// The first questions of the last walk, if it found nothing.
    fruitless: Option<Vec<Question>>,
    /// News for a descendant, by name.
    to_tell: Vec<(SetKey, u8)>,
    /// There is more news for it than can be told by name.
    more_to_tell: bool,
    /// When the descendant was told to ask, if it has not asked since. It does not when it finds
    /// that nothing waits there, so it is told again.
    told_to_ask_ms: Option<i64>,
}

/// Why the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Walk,
    Answer { questions: Questions },
    Reached,
    Lost,
}

impl Session {
    /// Asks an ancestor about what waits, once after each comparison.
    pub(super) fn ask_durability_once(&mut self) {
        let ancestor = self.open_peer().relation == Relation::Ancestor;
        let now_ms = self.now_ms;
        let due = |at: Option<i64>, pause_ms| at.is_none_or(|at| now_ms >= at + pause_ms);
        let durability = &mut self.durability;
        let left = durability.left_until_ms.is_some_and(|until_ms| now_ms >= until_ms);
        let soon = due(durability.asked_at_ms, super::COMPARE_AGAIN_MS)
            || (durability.told && due(durability.asked_at_ms, durability.pause_ms))
            || left;
        if !ancestor || self.role == Role::Listener || !soon || durability.walk.is_some() {
            return;
        }
        let all = durability.told || left || due(durability.asked_all_at_ms, ASK_ALL_AGAIN_MS);
        let thorough = durability.asked_all_at_ms.is_some_and(|at| now_ms >= at + ASK_ALL_AGAIN_MS);
        durability.asked_at_ms = Some(now_ms);
        let answers = durability.told;
        let closer = match (thorough, left) {
            (true, _) => u64::MAX,
            (false, true) => FEW_LEFT,
            (false, false) => 0,
        };
        if all {
            durability.told = false;
            durability.fruitless = None;
        }
        if thorough || durability.asked_all_at_ms.is_none() {
            durability.asked_all_at_ms = Some(now_ms);
        }
        let peer = self.open_peer();
        let tiers = if all { u8::MAX } else { peer.certificate.body().tier.bit() };
        let within = Within::Scope(peer.scope.clone());
        self.durability.walk = Some(Walk { tiers, closer, answers, busy: true, ..Walk::default() });
        let request = Request::Unsettled { within, tiers };
        self.store(Of::Durability(Purpose::Walk), StoreRequest::Durability(request));
    }

    /// Both hold the same now, and did not before: what the peer was asked about in vain may have
    /// come to it by another way, of which it has no news to tell.
    pub(super) fn ask_again_when_agreed(&mut self) {
        self.durability.fruitless = None;
    }

    /// When the peer's news is to be asked for.
    pub(super) fn next_durability_ms(&self) -> Option<i64> {
        let durability = &self.durability;
        if durability.walk.is_some() || self.figures.renewing {
            return None;
        }
        let asked_at_ms = durability.asked_at_ms.unwrap_or(i64::MIN);
        let pause_ends = durability.told.then(|| asked_at_ms.saturating_add(durability.pause_ms));
        pause_ends.into_iter().chain(durability.left_until_ms).min()
    }

    pub(super) fn mark_reached(&mut self, reached: Vec<(SetKey, u8)>, receipt: Option<Vec<u8>>) {
        let request = StoreRequest::MarkReached { reached, receipt };
        self.store(Of::Durability(Purpose::Reached), request);
    }

    pub(super) fn on_durability(&mut self, purpose: Purpose, reply: StoreReply) {
        match (purpose, reply) {
            (Purpose::Walk, StoreReply::Durability(Reply::Unsettled { asks, through_row })) => {
                self.on_unsettled(asks, through_row);
            }
            (Purpose::Walk, StoreReply::Durability(Reply::Mark { marked, news, rest })) => {
                self.on_range_marked(marked, rest);
                self.tell_the_hub(news);
            }
            (Purpose::Answer { questions }, StoreReply::Durability(Reply::Answer(answers))) => {
                self.answer_held(&questions, answers);
            }
            (Purpose::Reached, StoreReply::MarkReached { news }) => {
                self.tell_the_hub(News { changes: news, ..News::default() });
            }
            (Purpose::Lost, StoreReply::Durability(Reply::Lost)) => {}
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    /// These are about to be sent because a comparison found that the peer lacks them. Of some of
    /// them it, being above, may have said before that it holds them: it has lost them since.
    pub(super) fn note_lost(&mut self, changes: &[Stored]) {
        let peer = self.open_peer();
        let tier = peer.certificate.body().tier.bit();
        let ancestor = peer.relation == Relation::Ancestor;
        let said = |stored: &&Stored| ancestor && stored.carried.reached & tier != 0;
        let keys: Vec<SetKey> = changes.iter().filter(said).map(|s| s.key.clone()).collect();
        if !keys.is_empty() {
            let request = Request::Lost { keys, tier };
            self.store(Of::Durability(Purpose::Lost), StoreRequest::Durability(request));
        }
    }

    /// A descendant asks who holds its changes.
    pub(super) fn on_ask_held(&mut self, questions: Questions) -> Outcome {
        let mut before: Option<&KeyPrefix> = None;
        for question in &questions.list.0 {
            if let Question::Range { prefix, .. } = question {
                self.check_scope(prefix)?;
                let apart = before.is_none_or(|it| it < prefix && !it.contains(prefix.as_bytes()));
                if !apart {
                    let text = "ranges that do not ascend, or lie within each other";
                    return Err(Fault::new(FaultCode::Malformed, text));
                }
                before = Some(prefix);
            }
        }
        self.durability.told_to_ask_ms = None;
        let own = self.identity.tier_bit();
        // Of a change that is not the peer's to know, nothing is looked up.
        let scope = &self.open_peer().scope;
        let known = |question: &Question| match question {
            Question::Range { .. } => true,
            Question::Change(key) => scope.allows(&key.to_bytes()),
        };
        let list = questions.list.0.iter().filter(|question| known(question)).cloned().collect();
        let request = Questions { tiers: questions.tiers, list: Bounded(list) };
        let request = Request::Answer { questions: request, own };
        self.store(
            Of::Durability(Purpose::Answer { questions }),
            StoreRequest::Durability(request),
        );
        Ok(())
    }

    fn answer_held(&mut self, questions: &Questions, answers: Vec<Answer>) {
        let scope = &self.open_peer().scope;
        let mut found = answers.into_iter();
        let answers = questions.list.0.iter().map(|question| match question {
            Question::Change(key) if !scope.allows(&key.to_bytes()) => Answer::Change { held: 0 },
            Question::Change(_) | Question::Range { .. } => found.next().unwrap_or(Answer::Differs),
        });
        let answers: Vec<Answer> = answers.collect();
        let holder = (self.identity.certificate.serial(), self.identity.tier_bit());
        let attestation = Attestation::new(holder, self.wall_ms(), questions, &answers);
        let receipt = Bounded(attestation.sign(&self.identity.key));
        self.send(&Message::Holding { answers: Bounded(answers), receipt });
    }

    /// The answers to the questions asked last; only an ancestor is asked.
    pub(super) fn on_holding(&mut self, answers: Vec<Answer>, receipt: Vec<u8>) -> Outcome {
        let unasked = || Fault::new(FaultCode::Unexpected, "an answer to no question");
        let walk = self.durability.walk.as_mut().ok_or_else(unasked)?;
        let questions = walk.questions.take().ok_or_else(unasked)?;
        let asked = std::mem::take(&mut walk.asked);
        let peer = &self.peer.as_ref().ok_or_else(unasked)?.certificate;
        let tier = peer.body().tier.bit();
        let attestation = Attestation::verify(&receipt, &peer.body().subject);
        let covers = attestation.is_some_and(|said| {
            said == Attestation::new((peer.serial(), tier), said.at_ms, &questions, &answers)
        });
        if !covers || answers.len() != asked.len() {
            let text = "the answers about what is held are not signed by who gives them";
            return Err(Fault::new(FaultCode::Signature, text));
        }
        // An ancestor is believed for its own tier and those above it.
        let believed = (tier | (tier - 1)) & walk.tiers;
        let mut changes = Vec::new();
        for ((ask, through_row), answer) in asked.into_iter().zip(answers) {
            match (ask.question.clone(), answer) {
                (Question::Range { prefix, .. }, answer) => {
                    let said = Said { prefix, ask, through_row, believed, receipt: &receipt };
                    walk.take(&said, answer);
                }
                (Question::Change(key), Answer::Change { held }) => {
                    changes.push((key, held & believed & ask.tiers()));
                }
                (Question::Change(_), Answer::Same { .. } | Answer::Differs) => {}
            }
        }
        changes.retain(|(_, held)| *held != 0);
        if !changes.is_empty() {
            walk.marked += changes.len() as u64;
            self.mark_reached(changes, Some(receipt));
        }
        self.go_on_walking();
        Ok(())
    }

    fn on_unsettled(&mut self, asks: Vec<Ask>, through_row: i64) {
        let fruitless = self.durability.fruitless.take();
        let Some(walk) = self.durability.walk.as_mut() else { return };
        walk.busy = false;
        let questions = || asks.iter().map(|ask| ask.question.clone()).collect::<Vec<_>>();
        if walk.first.is_none() {
            let first = questions();
            // Nothing has changed here, and no news has come, since these were asked in vain.
            let in_vain = fruitless.as_ref() == Some(&first);
            walk.first = Some(first);
            if in_vain {
                self.end_walk();
                return;
            }
        }
        walk.to_ask.extend(asks.into_iter().map(|ask| (ask, through_row)));
        self.go_on_walking();
    }

    fn on_range_marked(&mut self, marked: u64, rest: Option<Vec<u8>>) {
        let Some(walk) = self.durability.walk.as_mut() else { return };
        walk.busy = false;
        walk.marked += marked;
        match rest {
            Some(after) => {
                if let Some(mark) = walk.marks.front_mut() {
                    mark.after = after;
                    if marked > 0 {
                        mark.receipt = None;
                    }
                }
            }
            None => drop(walk.marks.pop_front()),
        }
        self.go_on_walking();
    }

    /// The next step: mark what is known, else ask what is left to ask, else look for more.
    fn go_on_walking(&mut self) {
        let Some(walk) = self.durability.walk.as_mut() else { return };
        if walk.busy || walk.questions.is_some() {
            return;
        }
        if let Some(mark) = walk.marks.front() {
            let request = Request::Mark(mark.clone());
            walk.busy = true;
            self.store(Of::Durability(Purpose::Walk), StoreRequest::Durability(request));
            return;
        }
        if !walk.to_ask.is_empty() || walk.answers {
            walk.answers = false;
            let count = walk.to_ask.len().min(limits::HELD_QUESTIONS);
            walk.asked = walk.to_ask.drain(..count).collect();
            let list = walk.asked.iter().map(|(ask, _)| ask.question.clone()).collect();
            let questions = Questions { tiers: walk.tiers, list: Bounded(list) };
            walk.questions = Some(questions.clone());
            self.send(&Message::AskHeld(questions));
            return;
        }
        if !walk.to_enter.is_empty() {
            let count = walk.to_enter.len().min(PARTS_TOGETHER);
            let within = Within::Parts(walk.to_enter.drain(..count).collect());
            let request = Request::Unsettled { within, tiers: walk.tiers };
            walk.busy = true;
            self.store(Of::Durability(Purpose::Walk), StoreRequest::Durability(request));
            return;
        }
        self.end_walk();
    }

    fn end_walk(&mut self) {
        if let Some(walk) = self.durability.walk.take() {
            let longer = (2 * self.durability.pause_ms).clamp(PAUSE_MS, LONGEST_PAUSE_MS);
            self.durability.pause_ms = if walk.marked == 0 { longer } else { PAUSE_MS };
            if walk.tiers == u8::MAX {
                let brought_nothing = walk.left && walk.marked == 0;
                let longer = if brought_nothing { 2 * self.durability.left_pause_ms } else { 0 };
                let pause_ms = longer.clamp(LEFT_PAUSE_MS, LONGEST_LEFT_PAUSE_MS);
                self.durability.left_pause_ms = if walk.left { pause_ms } else { 0 };
                self.durability.left_until_ms = walk.left.then_some(self.now_ms + pause_ms);
            }
            self.durability.fruitless = walk.first.filter(|_| walk.marked == 0);
        }
    }

    /// The peer tells unasked who holds changes; only an ancestor is believed, for its tier and
    /// those above.
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
        // A batch that waits for its turn at the store is overtaken by this news, which is lost if
        // it is about changes of the batch.
        let overtakes = |purpose: &Of| matches!(purpose, Of::Ingest { .. });
        self.durability.told |= self.requests.values().any(overtakes);
    }

    /// The peer says that tiers above hold more than can be told one by one.
    pub(super) fn on_ask_again(&mut self) {
        if self.open_peer().relation == Relation::Ancestor {
            self.durability.told = true;
        }
    }

    /// A tier above has taken changes; a descendant is told of those it may see.
    pub(super) fn note_news(&mut self, news: &News) {
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.relation == Relation::Descendant)
        else {
            return;
        };
        let inside = |(key, _): &&(SetKey, u8)| peer.scope.allows(&key.to_bytes());
        let durability = &mut self.durability;
        durability.more_to_tell |= news.is_more_in(&peer.scope);
        durability.to_tell.extend(news.changes.iter().filter(inside).cloned());
        if durability.more_to_tell || durability.to_tell.len() > limits::NEWS_KEYS {
            durability.more_to_tell = true;
            durability.to_tell.clear();
        }
    }

    /// Tells the news, after changes that were read before the store knew of it: told before them,
    /// it would be about changes the descendant does not have yet, and be lost.
    pub(super) fn tell_news(&mut self) {
        if self.outgoing.has_unsent() {
            return;
        }
        let news = std::mem::take(&mut self.durability.to_tell);
        if !news.is_empty() {
            self.send(&Message::Held(Bounded(news)));
        }
        let told_ms = self.durability.told_to_ask_ms;
        let due = told_ms.is_none_or(|at_ms| self.now_ms >= at_ms + PAUSE_MS);
        if self.durability.more_to_tell && due {
            self.durability.told_to_ask_ms = Some(self.now_ms);
            self.durability.more_to_tell = false;
            self.send(&Message::AskAgain);
        }
    }

    fn tell_the_hub(&mut self, news: News) {
        if !news.is_empty() {
            self.effects.push(Effect::News(news));
        }
    }
}

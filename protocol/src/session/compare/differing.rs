//! What comes out of an answer: what the peer lacks is queued, what is missing here is wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::asking::PendingAsk;
use super::{Differing, Fault, FaultCode, Outcome, Session, add_page, ids_in};
use crate::id::ChangeId;
use crate::limits;
use crate::sync::Selection;
use crate::wire::{Ask, AskReply, Bounded, Wanted};

impl Session {
    /// Answers to some of the questions.
    pub(in crate::session) fn on_answer(&mut self, items: Vec<(u32, AskReply)>) -> Outcome {
        self.expect(super::State::Descending)?;
        for (number, told) in items {
            let Some(asked) = self.compare.questions.answered(number) else {
                let text = format!("an answer to question {number}, which was not asked");
                return Err(Fault::new(FaultCode::Unexpected, text));
            };
            self.take_answer(number, asked, told)?;
        }
        self.ask_on();
        self.check_compared()
    }

    fn take_answer(&mut self, number: u32, mut asked: PendingAsk, told: AskReply) -> Outcome {
        match (asked.ask, told) {
            (Ask::Frontier, AskReply::Frontier(page)) => {
                let prefix = &asked.differing.prefix;
                if !page.items.0.iter().all(|(part, _)| prefix.contains(part.as_bytes())) {
                    let text = format!("a frontier of {prefix:?} that is not inside it");
                    return Err(Fault::new(FaultCode::OutOfScope, text));
                }
                let more = page.more;
                add_page(&mut asked.frontier, page)?;
                if more {
                    self.compare.questions.put_back(number, asked);
                    return self.check_compared();
                }
                self.take_frontier(asked);
            }
            (Ask::Symbols { from, to }, AskReply::Symbols { items, symbols })
                if symbols.0.len() == (to - from) as usize
                    && items as usize <= limits::SKETCH_ITEMS =>
            {
                let told = AskReply::Symbols { items, symbols };
                self.compare.to_look.push_back((asked.differing, told));
            }
            (Ask::Shorts, told @ AskReply::Shorts(_)) => {
                let ids = ids_in(&told);
                if self.compare.answered_ids + ids > limits::ANSWERED_IDS {
                    // Much more than the peer said it had.
                    self.compare.questions.add(asked.differing, Some(Ask::Frontier));
                } else {
                    self.compare.answered_ids += ids;
                    self.compare.to_look.push_back((asked.differing, told));
                }
            }
            (Ask::Symbols { .. } | Ask::Shorts, AskReply::TooMany) => {
                // It has grown since the frontier was made.
                self.compare.questions.add(asked.differing, Some(Ask::Frontier));
            }
            (ask, _) => {
                let text = format!("something else than the {ask:?} that was asked for");
                return Err(Fault::new(FaultCode::Unexpected, text));
            }
        }
        Ok(())
    }

    fn take_frontier(&mut self, asked: PendingAsk) {
        let PendingAsk { differing, frontier, .. } = asked;
        // A prefix that the peer does not split any further leads nowhere.
        if frontier.first().is_some_and(|(part, _)| *part == differing.prefix) {
            self.send_all(differing.prefix.clone(), differing.mine);
            self.want_all(differing.prefix, differing.theirs);
        } else {
            self.look_against(vec![differing.prefix], frontier);
        }
    }

    /// Holds an answer against the ids that are here.
    pub(super) fn hold_against(
        &mut self,
        mut differing: Differing,
        told: AskReply,
        mine: &[(u64, ChangeId)],
    ) {
        if mine.len() > limits::SKETCH_ITEMS {
            self.compare.questions.add(differing, Some(Ask::Frontier));
            return;
        }
        let own = || mine.iter().map(|(short, _)| *short);
        match told {
            AskReply::Symbols { items, symbols } => {
                differing.theirs = u64::from(items);
                if differing.difference.extend(&symbols.0, items as usize, own()) {
                    let (only_theirs, only_mine) = differing.difference.sides();
                    self.settle_differing(&differing, mine, only_theirs, &only_mine);
                } else {
                    self.compare.questions.ask_more(differing);
                }
            }
            AskReply::Shorts(list) => {
                differing.theirs = list.0.len() as u64;
                let mut theirs: Vec<u64> = list.0.into_iter().map(u64::from_le_bytes).collect();
                theirs.sort_unstable();
                theirs.dedup();
                let mut here: Vec<u64> = own().collect();
                here.sort_unstable();
                let without = |list: &[u64], other: &[u64]| -> Vec<u64> {
                    let other = |short: &&u64| other.binary_search(short).is_err();
                    list.iter().filter(other).copied().collect()
                };
                let (only_theirs, only_mine) = (without(&theirs, &here), without(&here, &theirs));
                self.settle_differing(&differing, mine, only_theirs, &only_mine);
            }
            AskReply::Frontier(_) | AskReply::TooMany => {
                unreachable!("only symbols and short ids are held against what is here")
            }
        }
    }

    /// A prefix is told apart.
    fn settle_differing(
        &mut self,
        differing: &Differing,
        mine: &[(u64, ChangeId)],
        mut only_theirs: Vec<u64>,
        only_mine: &[u64],
    ) {
        let theirs = usize::try_from(differing.theirs).unwrap_or(usize::MAX);
        let different = only_theirs.len() + only_mine.len();
        let common = mine.len().saturating_sub(only_mine.len());
        self.compare.questions.note_told(theirs.max(mine.len()), different, common);
        let disputes = !self.compare.disputed.is_empty();
        if disputes {
            let key = self.short_key();
            let refused = self.compare.disputed.iter().map(|id| key.short(id));
            let refused: BTreeSet<u64> = refused.collect();
            only_theirs.retain(|short| !refused.contains(short));
        }
        // Beside all that is sent, a few that are known already cost less than naming the others.
        let most = |part: usize, of: usize| !disputes && 15 * of < 16 * part;
        let prefix = &differing.prefix;
        if !only_theirs.is_empty() {
            let count = only_theirs.len();
            if most(count, theirs) {
                self.want_all(prefix.clone(), differing.theirs);
            } else {
                self.incoming.announced(count as u64);
                only_theirs.sort_unstable();
                let list = only_theirs.into_iter().map(u64::to_le_bytes);
                let shorts = list.take(limits::SKETCH_ITEMS).collect();
                self.compare.to_want.push((prefix.clone(), Wanted::Shorts(Bounded(shorts))));
            }
        }
        if most(only_mine.len(), mine.len()) && !only_mine.is_empty() {
            self.send_all(prefix.clone(), mine.len() as u64);
            return;
        }
        let by_short: BTreeMap<u64, ChangeId> = mine.iter().copied().collect();
        let known = only_mine.iter().filter_map(|short| by_short.get(short).copied());
        let mut ids: Vec<ChangeId> =
            known.filter(|id| !self.compare.disputed.contains(id)).collect();
        if !ids.is_empty() {
            ids.sort_unstable();
            self.compare.moved = true;
            let count = ids.len() as u64;
            self.outgoing.queue(Selection::Ids { prefix: prefix.clone(), ids }, count, None);
        }
    }
}

//! One walk: from the widest ranges in which something waits to the parts that need a closer look.
//!
//! It holds what is to be asked, entered and marked, and makes of each answer what follows from it;
//! messages and requests to the store are sent by [`super`].

use std::collections::VecDeque;

use crate::durability::{Answer, Ask, Mark, Open, Question, Questions};
use crate::id::ChangeId;
use crate::key::KeyPrefix;

/// One way down from the widest ranges.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) tiers: u8,
    /// Goes into every range of which a tier holds a part, if no more than this waits there.
    pub(super) closer: u64,
    /// A tier holds a part of something, and which is not known: it was not worth going into.
    pub(super) left: bool,
    /// The peer said that there is news, and hears a question even if nothing waits here: only
    /// then it will say so again.
    pub(super) answers: bool,
    pub(super) first: Option<Vec<Question>>,
    /// Questions with the row up to which each counts.
    pub(super) to_ask: VecDeque<(Ask, i64)>,
    pub(super) asked: Vec<(Ask, i64)>,
    pub(super) questions: Option<Questions>,
    /// Ranges to go into, with the tiers (bits) for which.
    pub(super) to_enter: VecDeque<(KeyPrefix, u8)>,
    pub(super) marks: VecDeque<Mark>,
    /// A request to the store is under way.
    pub(super) busy: bool,
    pub(super) marked: u64,
}

/// What an answer is about.
pub(super) struct Said<'a> {
    pub(super) prefix: KeyPrefix,
    pub(super) ask: Ask,
    pub(super) through_row: i64,
    pub(super) believed: u8,
    pub(super) receipt: &'a [u8],
}

impl Walk {
    /// Takes the answer about one range.
    pub(super) fn take(&mut self, said: &Said<'_>, answer: Answer) {
        match answer {
            Answer::Differs => {
                self.enter(&said.prefix, said.ask.tiers());
            }
            Answer::Same { held, in_parts, open } => {
                let wanted = said.believed & said.ask.tiers();
                self.mark(said, held & wanted, Vec::new());
                if in_parts & wanted != 0 {
                    self.enter(&said.prefix, in_parts & wanted);
                }
                for open in open.0 {
                    self.take_open(said, open);
                }
            }
            Answer::Change { .. } => {}
        }
    }

    /// A tier holds a part, or nothing. To find out which part is worth it when it is at least
    /// half of what is not known here: so a library on its way up costs a few walks, not many.
    /// What is left so is asked about again when no more news has come for a while.
    fn take_open(&mut self, said: &Said<'_>, open: Open) {
        let Open { tier, waiting, .. } = open;
        let mine = said.ask.waiting_for(tier);
        if tier & said.believed == 0 || mine <= waiting {
            return;
        }
        if open.is_complete() {
            self.mark(said, tier, open.ids.0);
        } else if waiting <= mine / 2 || mine <= self.closer {
            self.enter(&said.prefix, tier);
        } else {
            self.left = true;
        }
    }

    fn enter(&mut self, prefix: &KeyPrefix, tiers: u8) {
        match self.to_enter.back_mut() {
            Some((last, bits)) if last == prefix => *bits |= tiers,
            _ => self.to_enter.push_back((prefix.clone(), tiers)),
        }
    }

    fn mark(&mut self, said: &Said<'_>, tiers: u8, except: Vec<ChangeId>) {
        if tiers != 0 {
            self.marks.push_back(Mark {
                prefix: said.prefix.clone(),
                tiers,
                through_row: said.through_row,
                except,
                after: Vec::new(),
                receipt: Some(said.receipt.to_vec()),
            });
        }
    }
}

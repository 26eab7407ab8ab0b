//! The listener: answers questions about its set, and remembers only those not answered yet.

use std::collections::VecDeque;

use super::super::{
    Channel, Fault, FaultCode, Message, Outcome, Purpose as Of, Session, StoreReply, StoreRequest,
};
use super::digest;
use crate::key::KeyPrefix;
use crate::limits;
use crate::sketch::{self, ShortKey};
use crate::wire::{Ask, AskReply, Bounded, Page};

/// Answers are sent before they grow beyond this many bytes.
const ANSWER_BYTES: usize = 256 << 10;
/// Most lookups under way at a time: each holds the ids under a prefix.
const LOOKUPS: usize = 4;
/// Changes for each prefix of a frontier, as long as it does not get too long.
const CHANGES_PER_NODE: u64 = 128;
/// Fewest prefixes of a frontier.
const FEWEST_NODES: usize = 32;
/// Greatest number of a symbol.
const LAST_SYMBOL: u32 = 1 << 20;

/// State of answering.
#[derive(Debug, Default)]
pub(in crate::session) struct Answering {
    /// Number of the comparison.
    comparison: u32,
    next: u32,
    waiting: VecDeque<(u32, KeyPrefix, Ask)>,
    looking: usize,
    answer: Vec<(u32, AskReply)>,
    answer_bytes: usize,
}

/// Why the listener asked its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::session) enum AnswerPurpose {
    Root { digest: [u8; 32] },
    Tops,
    Question { number: u32, ask: Ask },
}

impl Answering {
    /// How ids are cut short in the comparison under way.
    pub(in crate::session) fn short_key(&self, channel: &Channel) -> ShortKey {
        ShortKey::derive(&channel.exporter, self.comparison)
    }
}

impl Session {
    /// The digest of the dialler.
    pub(in crate::session) fn on_root(&mut self, number: u32, digest: [u8; 32]) {
        self.incoming.all_delivered();
        self.answering.comparison = number;
        self.answering.next = 0;
        let scope = self.open_peer().scope.clone();
        let purpose = AnswerPurpose::Root { digest };
        self.store(Of::Answer(purpose), StoreRequest::Overview { scope });
    }

    /// Questions of the dialler.
    pub(in crate::session) fn on_query(&mut self, items: Vec<(KeyPrefix, Ask)>) -> Outcome {
        for (prefix, ask) in items {
            self.check_scope(&prefix)?;
            if let Ask::Symbols { from, to } = ask {
                let few =
                    to.checked_sub(from).is_some_and(|n| n as usize <= limits::SKETCH_SYMBOLS);
                if !few || to > LAST_SYMBOL {
                    return Err(Fault::new(FaultCode::TooLarge, "more symbols than are given"));
                }
            }
            let number = self.answering.next;
            self.answering.next = number.wrapping_add(1);
            self.answering.waiting.push_back((number, prefix, ask));
        }
        if self.answering.waiting.len() > limits::QUERY_PREFIXES {
            return Err(Fault::new(FaultCode::Flow, "more questions than can be remembered"));
        }
        self.look_for_answers();
        Ok(())
    }

    fn look_for_answers(&mut self) {
        let key = self.answering.short_key(&self.channel);
        while self.answering.looking < LOOKUPS
            && let Some((number, prefix, ask)) = self.answering.waiting.pop_front()
        {
            self.answering.looking += 1;
            let request = match ask {
                Ask::Frontier => {
                    StoreRequest::Frontier { prefixes: vec![prefix], nodes: limits::FRONTIER_NODES }
                }
                Ask::Symbols { .. } | Ask::Shorts => StoreRequest::Shorts { prefix, key },
            };
            self.store(Of::Answer(AnswerPurpose::Question { number, ask }), request);
        }
    }

    /// What the store found.
    pub(in crate::session) fn on_answer_found(
        &mut self,
        purpose: AnswerPurpose,
        reply: StoreReply,
    ) {
        match (purpose, reply) {
            (AnswerPurpose::Root { digest: theirs }, StoreReply::Overview { tops, last_row }) => {
                self.outgoing.go_live(last_row);
                if digest(&tops) == theirs {
                    self.send(&Message::Equal);
                    self.agree();
                    return;
                }
                self.compare.agreed = false;
                let changes: u64 = tops.iter().map(|(_, summary)| summary.count).sum();
                let nodes = usize::try_from(changes / CHANGES_PER_NODE).unwrap_or(usize::MAX);
                let nodes = nodes.clamp(FEWEST_NODES, limits::FRONTIER_NODES);
                let prefixes = tops.into_iter().map(|(prefix, _)| prefix).collect();
                let request = StoreRequest::Frontier { prefixes, nodes };
                self.store(Of::Answer(AnswerPurpose::Tops), request);
            }
            (AnswerPurpose::Tops, StoreReply::Frontier(frontier)) => {
                for page in Page::cut(frontier) {
                    self.send(&Message::Tops(page));
                }
            }
            (AnswerPurpose::Question { number, .. }, StoreReply::Frontier(frontier)) => {
                self.answering.looking -= 1;
                for page in Page::cut(frontier) {
                    self.answer(number, AskReply::Frontier(page));
                }
                self.answered();
            }
            (AnswerPurpose::Question { number, ask }, StoreReply::Shorts(shorts)) => {
                self.answering.looking -= 1;
                let shorts: Vec<u64> = shorts.into_iter().map(|(short, _)| short).collect();
                self.answer(number, told(ask, &shorts));
                self.answered();
            }
            (purpose, reply) => unreachable!("the store answered {purpose:?} with {reply:?}"),
        }
    }

    fn answer(&mut self, number: u32, told: AskReply) {
        let bytes = match &told {
            AskReply::Frontier(page) => page.items.0.len() * 60,
            AskReply::Symbols { symbols, .. } => symbols.0.len() * 16,
            AskReply::Shorts(list) => list.0.len() * 8,
            AskReply::TooMany => 1,
        };
        if self.answering.answer_bytes + bytes > ANSWER_BYTES {
            self.send_answer();
        }
        self.answering.answer.push((number, told));
        self.answering.answer_bytes += bytes;
    }

    fn answered(&mut self) {
        self.look_for_answers();
        if self.answering.looking == 0 {
            self.send_answer();
        }
    }

    fn send_answer(&mut self) {
        let items = std::mem::take(&mut self.answering.answer);
        self.answering.answer_bytes = 0;
        if !items.is_empty() {
            self.send(&Message::Answer(Bounded(items)));
        }
    }
}

fn told(ask: Ask, shorts: &[u64]) -> AskReply {
    if shorts.len() > limits::SKETCH_ITEMS {
        return AskReply::TooMany;
    }
    match ask {
        Ask::Symbols { from, to } => {
            let own = shorts.iter().copied();
            let symbols = sketch::symbols(own, from as usize, to as usize);
            let items = u32::try_from(shorts.len()).unwrap_or(u32::MAX);
            AskReply::Symbols { items, symbols: Bounded(symbols) }
        }
        Ask::Shorts | Ask::Frontier => {
            AskReply::Shorts(Bounded(shorts.iter().map(|short| short.to_le_bytes()).collect()))
        }
    }
}

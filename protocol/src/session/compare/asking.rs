//! What to ask about prefixes that differ, and how much at a time.
//!
//! Symbols cost [`SYMBOL_BYTES`] for each of about 1.4 per differing id, short ids 8 bytes for
//! each id that is there. How many differ is not known before; it is guessed from how many
//! prefixes of the frontier differ, and then from what came out of those asked first.

use std::collections::BTreeMap;

use crate::key::KeyPrefix;
use crate::limits;
use crate::sketch::{Difference, symbols_for};
use crate::summary::Fingerprint;
use crate::wire::Ask;

/// A symbol on the wire.
const SYMBOL_BYTES: u64 = 14;
/// A short id on the wire.
const SHORT_BYTES: u64 = 8;
/// Symbols (or as many bytes of short ids) under way.
const SYMBOLS_UNDER_WAY: u64 = 65_536;
/// Questions under way while nothing is known about how much differs, and for how many differing
/// ids each of them asks: one of them will be about right, whatever it is.
const FIRST_GUESSES: [u64; 12] = [250, 60, 60, 12, 12, 12, 12, 12, 12, 12, 12, 12];
/// How many differ under a prefix when all of a few prefixes do.
const FEW_GUESS: u64 = 8;
/// A listener splits a prefix with more changes when it is asked for a frontier.
const SPLIT: u64 = 256;
/// More changes than any prefix has.
const MOST_CHANGES: u64 = 1 << 48;
/// Prefixes told apart before it is believed that two sets have next to nothing in common.
const SURE: usize = 8;

/// A prefix under which the two sets differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::session) struct Differing {
    pub(super) prefix: KeyPrefix,
    /// How many changes are here.
    pub(super) mine: u64,
    /// How many the peer has.
    pub(super) theirs: u64,
    /// What its symbols tell so far.
    pub(super) difference: Difference,
}

impl Differing {
    pub(super) fn new(prefix: KeyPrefix, mine: u64, theirs: u64) -> Self {
        // A peer may say any number; beyond this all are the same.
        let theirs = theirs.min(MOST_CHANGES);
        Self { prefix, mine, theirs, difference: Difference::default() }
    }

    fn larger(&self) -> u64 {
        self.mine.max(self.theirs)
    }

    /// What to ask next, since the symbols asked for were not enough for the number of differing
    /// ids that was expected, or is by now.
    fn ask_more(&self, expected: Option<u64>) -> Ask {
        let known = self.difference.symbols();
        let likely = expected.and_then(|ids| usize::try_from(symbols_for(ids)).ok()).unwrap_or(0);
        let next = likely.max(3 * known / 2).min(known + limits::SKETCH_SYMBOLS);
        if next as u64 * SYMBOL_BYTES > self.theirs * SHORT_BYTES {
            return Ask::Shorts;
        }
        Ask::Symbols { from: number(known), to: number(next) }
    }
}

/// A question that is not answered.
#[derive(Debug)]
pub(super) struct PendingAsk {
    pub(super) differing: Differing,
    pub(super) ask: Ask,
    /// Pages of a frontier that have come.
    pub(super) frontier: Vec<(KeyPrefix, Fingerprint)>,
}

/// Questions asked and to be asked in one comparison.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: BTreeMap<KeyPrefix, (Differing, Option<Ask>)>,
    asked: BTreeMap<u32, PendingAsk>,
    next: u32,
    under_way: u64,
    /// Prefixes in pages of frontiers that have come in part.
    paged: usize,
    /// Of the frontier: prefixes that differ, and all.
    share: (usize, usize),
    /// Of prefixes told apart: how many, ids of the larger side, ids of one side only, ids common.
    learned: (usize, u64, u64, u64),
}

impl Questions {
    /// So many prefixes of a frontier differ.
    pub(super) fn note_share(&mut self, differing: usize, of: usize) {
        self.share.0 += differing;
        self.share.1 += of;
    }

    /// So many ids of a prefix differ.
    pub(super) fn note_told(&mut self, larger: usize, different: usize, common: usize) {
        let (prefixes, larger_sum, different_sum, common_sum) = self.learned;
        let (larger, different, common) = (larger as u64, different as u64, common as u64);
        self.learned =
            (prefixes + 1, larger_sum + larger, different_sum + different, common_sum + common);
    }

    /// Asks about a prefix, in this way or in the one that is best.
    pub(super) fn add(&mut self, differing: Differing, ask: Option<Ask>) {
        self.waiting.insert(differing.prefix.clone(), (differing, ask));
    }

    /// Asks more about a prefix for which the symbols were not enough.
    pub(super) fn ask_more(&mut self, differing: Differing) {
        let ask = differing.ask_more(self.learned_for(differing.larger()));
        self.add(differing, Some(ask));
    }

    /// Ranges that are remembered.
    pub(super) fn ranges(&self) -> usize {
        self.waiting.len() + self.asked.len() + self.paged
    }

    /// Nothing asked, nothing to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// The question with this number, which is answered.
    pub(super) fn answered(&mut self, number: u32) -> Option<PendingAsk> {
        let asked = self.asked.remove(&number)?;
        self.under_way -= cost(&asked.differing, asked.ask);
        self.paged -= asked.frontier.len();
        Some(asked)
    }

    /// A question that is answered in part.
    pub(super) fn put_back(&mut self, number: u32, asked: PendingAsk) {
        self.under_way += cost(&asked.differing, asked.ask);
        self.paged += asked.frontier.len();
        self.asked.insert(number, asked);
    }

    /// The questions to send now, ascending, and prefixes that are not worth a question: both
    /// sides send all they have.
    pub(super) fn next(&mut self, disputes: bool) -> (Vec<(KeyPrefix, Ask)>, Vec<Differing>) {
        let mut questions = Vec::new();
        let mut given_up = Vec::new();
        while self.may_ask()
            && let Some((prefix, (differing, ask))) = self.waiting.pop_first()
        {
            let Some(ask) = ask.or_else(|| self.choose(&differing, disputes)) else {
                given_up.push(differing);
                continue;
            };
            let asked = PendingAsk { differing, ask, frontier: Vec::new() };
            self.put_back(self.next, asked);
            self.next += 1;
            questions.push((prefix, ask));
        }
        (questions, given_up)
    }

    fn may_ask(&self) -> bool {
        let guessed = self.learned.0 > 0 || self.prior().is_some();
        let most = if guessed { limits::QUESTIONS } else { FIRST_GUESSES.len() };
        self.asked.len() < most && self.under_way < SYMBOLS_UNDER_WAY
    }

    /// The cheapest way to tell a prefix apart; `None` when sending everything is.
    fn choose(&self, differing: &Differing, disputes: bool) -> Option<Ask> {
        if differing.larger() > limits::SKETCH_ITEMS as u64 {
            return (differing.theirs > SPLIT).then_some(Ask::Frontier);
        }
        let (prefixes, larger, _, common) = self.learned;
        if !disputes && prefixes >= SURE && 32 * common < larger {
            return None;
        }
        let gap = differing.mine.abs_diff(differing.theirs);
        let symbols = symbols_for(self.expected(differing.larger()).max(gap).max(1));
        if symbols.saturating_mul(SYMBOL_BYTES) > differing.theirs * SHORT_BYTES {
            return Some(Ask::Shorts);
        }
        Some(Ask::Symbols { from: 0, to: u32::try_from(symbols).unwrap_or(u32::MAX) })
    }

    /// How many ids are expected to differ among so many.
    fn expected(&self, items: u64) -> u64 {
        let guess = || FIRST_GUESSES.get(self.asked.len()).copied().unwrap_or(FEW_GUESS);
        self.learned_for(items).or(self.prior()).unwrap_or_else(guess)
    }

    /// The same, from what was told apart so far.
    fn learned_for(&self, items: u64) -> Option<u64> {
        let (_, larger, different, _) = self.learned;
        (larger > 0).then(|| different.saturating_mul(items).div_ceil(larger))
    }

    /// How many differ under a prefix, from how many prefixes differ at all; `None` when that
    /// tells nothing, because nearly all do.
    fn prior(&self) -> Option<u64> {
        let (differing, of) = self.share;
        // If each prefix has λ differences by chance, e^-λ of them have none.
        match (20 * differing).checked_div(of.max(1))? {
            0..=10 => Some(1),
            11..=17 => Some(2),
            18 => Some(3),
            _ if of < 8 => Some(FEW_GUESS),
            _ => None,
        }
    }
}

/// What an answer costs, counted as symbols.
fn cost(differing: &Differing, ask: Ask) -> u64 {
    match ask {
        Ask::Frontier => limits::FRONTIER_NODES as u64,
        Ask::Symbols { from, to } => u64::from(to - from),
        Ask::Shorts => differing.theirs * SHORT_BYTES / SYMBOL_BYTES,
    }
}

fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::category::Category;

    fn differing(category: u16, mine: u64, theirs: u64) -> Differing {
        Differing::new(KeyPrefix::category(Category(category)), mine, theirs)
    }

    fn first(questions: &mut Questions, differing: Differing) -> Option<Ask> {
        questions.add(differing, None);
        let (asked, given_up) = questions.next(false);
        assert_eq!(asked.len() + given_up.len(), 1);
        asked.into_iter().next().map(|(_, ask)| ask)
    }

    /// Shows that a few differences are asked for by symbols, a set that is mostly missing by
    /// short ids, a large one by a frontier, and that a few changes there are not worth one.
    #[test]
    fn the_cheapest_way_is_chosen() {
        let mut questions = Questions::default();
        questions.note_share(1, 400);
        let symbols = symbols_for(1);
        let to = u32::try_from(symbols).unwrap_or(0);
        assert_eq!(
            first(&mut questions, differing(1, 8_000, 8_001)),
            Some(Ask::Symbols { from: 0, to })
        );
        assert_eq!(first(&mut questions, differing(2, 8_000, 900)), Some(Ask::Shorts));
        assert_eq!(first(&mut questions, differing(3, 3, 1_000_000)), Some(Ask::Frontier));
        assert_eq!(first(&mut questions, differing(4, 1_000_000, 20)), None);
    }

    /// Shows that what came out of some prefixes decides about the others: many symbols where
    /// much differs, no question where nothing is common.
    #[test]
    fn what_was_learned_is_used() {
        let mut questions = Questions::default();
        questions.note_share(400, 400);
        questions.note_told(8_000, 80, 7_960);
        let to = u32::try_from(symbols_for(80)).unwrap_or(0);
        let ask = first(&mut questions, differing(1, 8_000, 8_000));
        assert_eq!(ask, Some(Ask::Symbols { from: 0, to }));
        let mut questions = Questions::default();
        (0..SURE).for_each(|_| questions.note_told(8_000, 16_000, 0));
        assert_eq!(first(&mut questions, differing(1, 8_000, 8_000)), None);
    }

    /// Shows that few questions are asked before anything is known, and more after.
    #[test]
    fn nothing_known_means_few_questions() {
        let mut questions = Questions::default();
        questions.note_share(400, 400);
        (0..400).for_each(|at| questions.add(differing(at, 8_000, 8_000), None));
        let guesses = FIRST_GUESSES.map(|ids| u32::try_from(symbols_for(ids)).unwrap_or(0));
        let asked = guesses.map(|to| Ask::Symbols { from: 0, to }).to_vec();
        let first: Vec<Ask> = questions.next(false).0.into_iter().map(|(_, ask)| ask).collect();
        assert_eq!(first, asked);
        assert_eq!(questions.next(false).0.len(), 0);
        questions.note_told(8_000, 80, 7_960);
        assert_eq!(questions.next(false).0.len(), 400 - FIRST_GUESSES.len());
    }
}

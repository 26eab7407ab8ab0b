//! What a session asks of the store about where things are, and what it is answered.

use super::{Answer, Ask, Mark, News, Questions, Within};
use crate::key::SetKey;

/// What a session asks of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What to ask about what waits for these tiers (bits).
    Unsettled {
        /// Where.
        within: Within,
        /// For whom.
        tiers: u8,
    },
    /// The answers to questions.
    Answer {
        /// The questions.
        questions: Questions,
        /// Tier bit of this node.
        own: u8,
    },
    /// Notes that tiers hold a range; as much of it as is done quickly.
    Mark(Mark),
    /// Notes that a tier does not hold changes, although it said so before: it came back from an
    /// older state.
    Lost {
        /// The changes.
        keys: Vec<SetKey>,
        /// The tier (bit).
        tier: u8,
    },
}

/// What the store answers; each variant to the request of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What to ask.
    Unsettled {
        /// Ranges ascend and lie outside of each other.
        asks: Vec<Ask>,
        /// The row up to which the summaries count.
        through_row: i64,
    },
    /// In the order of the questions.
    Answer(Vec<Answer>),
    /// Noted.
    Mark {
        /// How many changes were.
        marked: u64,
        /// Which.
        news: News,
        /// Key after which to go on; `None` at the end.
        rest: Option<Vec<u8>>,
    },
    /// Noted.
    Lost,
}

//! Durability: questions about which tiers hold what, their answers, and the signed word for it.
//!
//! A node asks its ancestor by ranges: it names a range with the summary of what it holds there
//! itself, and when the ancestor holds the same, one answer settles all of it. Only where they
//! differ, or where a tier further up holds a part, is asked on by smaller ranges, and in the end
//! by single changes. What is said here is bounded; who asks whom and when is the business of the
//! session ([`crate::session`]).
//!
//! An answer comes with an [`Attestation`], which is `version ‖ body ‖ signature` as a receipt is:
//!
//! | part | bytes | content |
//! |---|---|---|
//! | version | 1 | 1 |
//! | holder | 16 | serial of the certificate of who answers |
//! | at | 1–10 | milliseconds since 1970-01-01 UTC, zigzag varint |
//! | count | 1–10 | changes that the holder says it holds itself, varint |
//! | digest | 32 | BLAKE3 of the questions and the answers, both as in their messages |
//! | signature | 64 | Ed25519 of the holder over [`Context::Durability`] and the bytes before |

use serde::{Deserialize, Serialize};

pub mod request;

pub use request::{Reply, Request};

use crate::id::{ChangeId, PublicKey, Serial, Signature};
use crate::key::{KeyPrefix, SetKey};
use crate::limits;
use crate::scope::Scope;
use crate::signing::{self, Context, SigningKey};
use crate::summary::Summary;
use crate::wire::bounded::Bounded;

/// One thing asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Who holds all of what the asker holds in a range?
    Range {
        /// The range.
        prefix: KeyPrefix,
        /// What the asker holds there.
        summary: Summary,
    },
    /// Who holds this change?
    Change(SetKey),
}

/// Several things asked, and about which tiers (bits).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// The tiers the asker wants to know of.
    pub tiers: u8,
    /// What it asks: ranges ascend and lie outside of each other.
    pub list: Bounded<Question, { limits::HELD_QUESTIONS }>,
}

/// What one answer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The answerer does not hold the same in the range: ask about its parts.
    Differs,
    /// It does.
    Same {
        /// Tiers (bits), itself and those above, that hold all of it.
        held: u8,
        /// Tiers that may read parts of it only: the parts are to be asked about.
        in_parts: u8,
        /// Tiers that are not known to hold all of it.
        open: Bounded<Open, 8>,
    },
    /// Tiers (bits), itself and those above, that hold the change; none when it is not there.
    Change {
        /// The bits.
        held: u8,
    },
}

/// A tier that is not known to hold all of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its bit.
    pub tier: u8,
    /// Changes it is not known to hold.
    pub waiting: u64,
    /// Which, ascending; all of them, or none when there are too many.
    pub ids: Bounded<ChangeId, { limits::HELD_IDS }>,
}

impl Open {
    /// Whether `ids` are all that wait.
    pub fn is_complete(&self) -> bool {
        self.ids.0.len() as u64 == self.waiting
    }
}

/// Signed word of who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Who answers.
    pub holder: Serial,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// How many changes the holder says it holds.
    pub count: u64,
    /// BLAKE3 of questions and answers.
    pub digest: [u8; 32],
}

const VERSION: u8 = 1;

impl Attestation {
    /// For these answers to these questions, by a holder of this tier (its bit).
    pub fn new(
        holder: (Serial, u8),
        at_ms: i64,
        questions: &Questions,
        answers: &[Answer],
    ) -> Self {
        let (holder, own) = holder;
        let pairs = questions.list.0.iter().zip(answers);
        let count = pairs.map(|pair| match pair {
            (Question::Range { summary, .. }, Answer::Same { held, .. }) if held & own != 0 => {
                summary.count
            }
            (Question::Change(_), Answer::Change { held }) => u64::from(held & own != 0),
            _ => 0,
        });
        let count = count.fold(0, u64::saturating_add);
        let mut hasher = blake3::Hasher::new();
        let encodable = "questions and answers have only encodable types";
        hasher.update(&postcard::to_allocvec(questions).expect(encodable));
        hasher.update(&postcard::to_allocvec(answers).expect(encodable));
        Self { holder, at_ms, count, digest: *hasher.finalize().as_bytes() }
    }

    /// Signs it with the holder's key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let body = postcard::to_allocvec(self).expect("an attestation has only encodable types");
        bytes.extend_from_slice(&body);
        let signature = signing::sign(key, Context::Durability, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }

    /// Reads one and checks that `key` signed it; `None` when it does not hold.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Option<Self> {
        let (signed, signature) = bytes.split_last_chunk()?;
        signing::verify(key, Context::Durability, signed, &Signature(*signature)).ok()?;
        match signed.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
                Ok((attestation, [])) => Some(attestation),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What a tier above is now known to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// Changes and the tiers (bits) that were not known before to hold them.
    pub changes: Vec<(SetKey, u8)>,
    /// Ranges with more than is listed: whoever wants to know must ask.
    pub ranges: Vec<KeyPrefix>,
    /// There is more, and it is not known where.
    pub more: bool,
}

impl News {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.ranges.is_empty() && !self.more
    }

    /// Whether there is more than is listed that somebody with this scope may know.
    pub fn is_more_in(&self, scope: &Scope) -> bool {
        self.more
            || self.ranges.iter().any(|range| {
                let tops = scope.tops([range.of_category()]);
                let meets = |top: &KeyPrefix| {
                    top.contains(range.as_bytes()) || range.contains(top.as_bytes())
                };
                tops.iter().any(meets)
            })
    }
}

/// Where to look for what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// The widest ranges of a scope.
    Scope(Scope),
    /// The parts of ranges, each for some tiers (bits).
    Parts(Vec<(KeyPrefix, u8)>),
}

/// A question to ask, with what the asker waits for there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// Tiers (bits, one each) with how many changes wait for them.
    pub waiting: Vec<(u8, u64)>,
}

impl Ask {
    /// Changes that wait for a tier.
    pub fn waiting_for(&self, tier: u8) -> u64 {
        self.waiting.iter().filter(|(bit, _)| *bit == tier).map(|(_, count)| *count).sum()
    }

    /// All tiers that something waits for.
    pub fn tiers(&self) -> u8 {
        self.waiting.iter().fold(0, |bits, (bit, _)| bits | bit)
    }
}

/// A range of which tiers hold everything, up to a row and but for a few changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The range.
    pub prefix: KeyPrefix,
    /// The tiers (bits).
    pub tiers: u8,
    /// Later changes are not meant.
    pub through_row: i64,
    /// Changes that are not held, ascending.
    pub except: Vec<ChangeId>,
    /// Bytes of the last key looked at, when it goes on; empty at the start.
    pub after: Vec<u8>,
    /// The signed word for it, kept when something is marked.
    pub receipt: Option<Vec<u8>>,
}

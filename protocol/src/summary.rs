//! Summary of a set of change ids: how many, and their sum modulo 2²⁵⁶.
//!
//! The sum does not depend on order and is updated by one addition per change. Equal sets have
//! equal summaries; different sets of BLAKE3 ids have equal ones with probability 2⁻²⁵⁶ unless an
//! insider grinds ids for a collision, who thereby only hides changes that he could withhold anyway.

use serde::{Deserialize, Serialize};

use crate::id::ChangeId;

/// Count and sum of a set of change ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How many changes.
    pub count: u64,
    /// Sum of their ids as 256-bit little-endian numbers, least significant word first.
    pub sum: [u64; 4],
}

impl Summary {
    /// Length of [`Summary::to_bytes`].
    pub const LENGTH: usize = 40;

    /// Adds one change.
    pub fn add(&mut self, id: &ChangeId) {
        self.merge(&Self { count: 1, sum: words(id) });
    }

    /// Takes one change away.
    pub fn remove(&mut self, id: &ChangeId) {
        let mut borrow = false;
        for (word, minus) in self.sum.iter_mut().zip(words(id)) {
            let (partial, first) = word.overflowing_sub(minus);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            *word = total;
            borrow = first || second;
        }
        self.count = self.count.wrapping_sub(1);
    }

    /// Adds a disjoint set.
    pub fn merge(&mut self, other: &Self) {
        let mut carry = false;
        for (word, plus) in self.sum.iter_mut().zip(other.sum) {
            let (partial, first) = word.overflowing_add(plus);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *word = total;
            carry = first || second;
        }
        self.count = self.count.wrapping_add(other.count);
    }

    /// Count then sum, little-endian: the form in the store.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let words = core::iter::once(&self.count).chain(&self.sum);
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads [`Summary::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let mut words =
            bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(u64::from_le_bytes));
        let mut next = || words.next();
        Some(Self { count: next()?, sum: [next()?, next()?, next()?, next()?] })
    }
}

/// What of a summary travels: enough to tell whether two sets are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many changes.
    pub count: u64,
    /// The sum of their ids modulo 2¹²⁸, little-endian.
    pub sum: [u8; 16],
}

impl From<Summary> for Fingerprint {
    fn from(summary: Summary) -> Self {
        let [low, high, ..] = summary.sum;
        let sum = u128::from(low) | (u128::from(high) << 64);
        Self { count: summary.count, sum: sum.to_le_bytes() }
    }
}

fn words(id: &ChangeId) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(id.0.chunks_exact(8)) {
        if let Ok(chunk) = chunk.try_into() {
            *word = u64::from_le_bytes(chunk);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that order does not matter and that removal undoes addition, carries included.
    #[test]
    fn addition_commutes_and_removal_undoes_it() {
        let ids = [ChangeId([0xff; 32]), ChangeId([0x80; 32]), ChangeId([1; 32])];
        let mut forward = Summary::default();
        let mut backward = Summary::default();
        for (first, last) in ids.iter().zip(ids.iter().rev()) {
            forward.add(first);
            backward.add(last);
        }
        assert_eq!(forward, backward);
        assert_eq!(Summary::from_bytes(&forward.to_bytes()), Some(forward));
        for id in &ids {
            forward.remove(id);
        }
        assert_eq!(forward, Summary::default());
    }
}

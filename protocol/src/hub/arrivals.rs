//! Who connects again and again: each key may come so many times at once, and then so often.
//!
//! A session costs its listener signatures and a transaction before anything useful is said. A
//! child whose program ends and starts in a loop, or that means ill, is told to wait, before its
//! hello is looked at. Keys cost nothing, so only the latest are remembered; strangers with many
//! keys are the matter of the door of the runtime, which goes by their addresses.

use std::collections::BTreeMap;

use crate::id::PublicKey;

/// Connections of one key that may come at once.
const AT_ONCE: i64 = 1_000;
/// Time for one more.
const ONE_MORE_MS: i64 = 40;
/// Keys remembered.
const REMEMBERED: usize = 4_096;

/// When the next connections of each key are due, if they came evenly.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    due_ms: BTreeMap<PublicKey, i64>,
}

impl Arrivals {
    /// Notes that a connection of this key has come; gives how long it should have waited.
    pub(super) fn note(&mut self, now_ms: i64, key: PublicKey) -> Result<(), i64> {
        let due_ms = self.due_ms.get(&key).copied().unwrap_or(now_ms).max(now_ms);
        let too_early_ms = due_ms - now_ms - (AT_ONCE - 1) * ONE_MORE_MS;
        if too_early_ms > 0 {
            return Err(too_early_ms);
        }
        if self.due_ms.len() >= REMEMBERED {
            self.due_ms.retain(|_, due_ms| *due_ms > now_ms);
        }
        if self.due_ms.len() >= REMEMBERED {
            let quietest = self.due_ms.iter().min_by_key(|(_, due_ms)| **due_ms);
            if let Some(quietest) = quietest.map(|(key, _)| *key) {
                self.due_ms.remove(&quietest);
            }
        }
        self.due_ms.insert(key, due_ms + ONE_MORE_MS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a key may come many times at once, then only so often, that refused attempts do
    /// not make it wait longer, and that others are not concerned.
    #[test]
    fn who_comes_too_often_waits() {
        let mut arrivals = Arrivals::default();
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let came = (0..AT_ONCE + 10).filter(|_| arrivals.note(0, one).is_ok()).count();
        assert_eq!(came, 1_000);
        assert_eq!(arrivals.note(0, one), Err(ONE_MORE_MS));
        assert_eq!(arrivals.note(0, other), Ok(()));
        assert_eq!(arrivals.note(ONE_MORE_MS, one), Ok(()));
        assert_eq!(arrivals.note(ONE_MORE_MS, one), Err(ONE_MORE_MS));
        let later_ms = 5 * AT_ONCE * ONE_MORE_MS;
        let came = (0..AT_ONCE + 10).filter(|_| arrivals.note(later_ms, one).is_ok()).count();
        assert_eq!(came, 1_000, "time is not saved up beyond the bound");
    }

    /// Shows that however many keys come, the latest are remembered and no more.
    #[test]
    fn the_memory_is_bounded() {
        let mut arrivals = Arrivals::default();
        for number in 0..10_000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            assert_eq!(arrivals.note(0, PublicKey(key)), Ok(()));
        }
        assert_eq!(arrivals.due_ms.len(), REMEMBERED);
    }
}

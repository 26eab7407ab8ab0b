//! Limits on how often one party may do a thing: token buckets in bounded memory.
//!
//! A bucket holds `burst` tokens and gains one every `refill_ms`. A request takes a token; without
//! one it is refused and told how long to wait. When the table is full, full buckets are dropped
//! first, because a full bucket and an absent one mean the same; if every bucket is in use, the
//! request is refused, so that memory stays bounded under a flood of new keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// How many buckets a throttle keeps at most.
const BUCKETS: usize = 20_000;

/// Bounds of one kind of request.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests allowed at once after a quiet time.
    pub burst: u32,
    /// Milliseconds until one more is allowed.
    pub refill_ms: i64,
}

/// One kind of request, counted per key.
#[derive(Debug)]
pub struct Throttle<K> {
    rate: Rate,
    // The time at which the bucket will be full again says all there is to say about it.
    full_at_ms: Mutex<HashMap<K, i64>>,
}

impl<K: Hash + Eq> Throttle<K> {
    /// An empty throttle.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at_ms: Mutex::new(HashMap::new()) }
    }

    /// Takes a token of `key`, or tells the milliseconds to wait for one.
    pub fn take(&self, key: K, now_ms: i64) -> Result<(), i64> {
        let mut buckets = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS && !buckets.contains_key(&key) {
            buckets.retain(|_, full_at_ms| *full_at_ms > now_ms);
            if buckets.len() >= BUCKETS {
                return Err(self.rate.refill_ms);
            }
        }
        let full_at_ms = buckets.entry(key).or_insert(now_ms);
        let next_ms = (*full_at_ms).max(now_ms) + self.rate.refill_ms;
        let capacity_ms = i64::from(self.rate.burst) * self.rate.refill_ms;
        let wait_ms = next_ms - now_ms - capacity_ms;
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        *full_at_ms = next_ms;
        Ok(())
    }

    /// Tells the milliseconds that `key` would have to wait for a token, and takes none.
    pub fn wait_ms(&self, key: &K, now_ms: i64) -> Option<i64> {
        let buckets = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at_ms = buckets.get(key).copied().unwrap_or(now_ms);
        let next_ms = full_at_ms.max(now_ms) + self.rate.refill_ms;
        let wait_ms = next_ms - now_ms - i64::from(self.rate.burst) * self.rate.refill_ms;
        (wait_ms > 0).then_some(wait_ms)
    }

    /// Forgets what `key` has taken.
    pub fn forget(&self, key: &K) {
        self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill_ms: 1_000 };

    /// Shows that the burst passes, the next is told exactly how long to wait, and after that
    /// time it passes.
    #[test]
    fn a_refused_request_passes_after_the_time_it_was_told() {
        let throttle = Throttle::new(RATE);
        for _ in 0..3 {
            assert_eq!(throttle.take("a", 5_000), Ok(()));
        }
        assert_eq!(throttle.take("a", 5_400), Err(600));
        assert_eq!(throttle.wait_ms(&"a", 5_400), Some(600));
        assert_eq!(throttle.wait_ms(&"a", 6_000), None, "looking takes nothing");
        assert_eq!(throttle.take("b", 5_400), Ok(()), "another key is not held up");
        assert_eq!(throttle.take("a", 6_000), Ok(()));
    }

    /// Shows that a flood of new keys neither grows the table nor locks out forever.
    #[test]
    fn a_flood_of_keys_is_bounded() {
        let throttle = Throttle::new(RATE);
        let passed = (0..30_000).filter(|key| throttle.take(*key, 0).is_ok()).count();
        assert_eq!(passed, BUCKETS);
        assert_eq!(throttle.take(40_000, 1_000), Ok(()), "buckets that are full again make room");
    }
}

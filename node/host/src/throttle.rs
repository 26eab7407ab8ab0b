//! Limits on how often one party may do a thing: token buckets in bounded memory.
//!
//! A bucket holds `burst` tokens and gains one every `refill_ms`. A request takes a token; without
//! one it is refused and told how long to wait. When the table is full, full buckets are dropped
//! first, because a full bucket and an absent one mean the same; if every bucket is in use, the
//! request is refused, so that memory stays bounded under a flood of new keys.
//!
//! What many share, as the reports about one door, has *fair shares* ([`FairThrottle`]): who floods
//! empties the bucket for itself, and the others keep their part of it.

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

/// One kind of request, counted per key; those who share a key have fair shares of it.
///
/// As long as there are tokens, whoever asks takes one. When there are none, somebody who has taken
/// less than an equal share of the burst since a full bucket would have filled again, and less than
/// one at least, passes all the same. When n have come, the shares that are given beyond the burst are
/// a half of it, a third and so on: together less than the burst times its logarithm, and one for each
/// of the others up to [`SHARERS`].
#[derive(Debug)]
pub struct FairThrottle<K, M> {
    rate: Rate,
    shared: Mutex<Shared<K, M>>,
}

#[derive(Debug)]
struct Shared<K, M> {
    buckets: HashMap<K, Bucket<M>>,
    /// Of all buckets.
    sharers: usize,
}

#[derive(Debug)]
struct Bucket<M> {
    full_at_ms: i64,
    sharers: HashMap<M, Share>,
}

/// What one of several has taken of a bucket.
#[derive(Debug, Clone, Copy)]
struct Share {
    taken: u32,
    /// When it counts no longer.
    until_ms: i64,
}

/// How many share one bucket at most; further ones take what is left of it.
pub const SHARERS: usize = 200;

impl<K: Hash + Eq, M: Hash + Eq> FairThrottle<K, M> {
    /// An empty throttle.
    pub fn new(rate: Rate) -> Self {
        Self { rate, shared: Mutex::new(Shared { buckets: HashMap::new(), sharers: 0 }) }
    }

    /// Takes a token of `key` for `sharer`, or tells the milliseconds to wait for one.
    pub fn take(&self, key: K, sharer: M, now_ms: i64) -> Result<(), i64> {
        let Rate { burst, refill_ms } = self.rate;
        let capacity_ms = i64::from(burst) * refill_ms;
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if all.sharers >= BUCKETS && !all.forget_old(now_ms) {
            return Err(refill_ms);
        }
        let Shared { buckets, sharers } = &mut *all;
        let new = || Bucket { full_at_ms: now_ms, sharers: HashMap::new() };
        let bucket = buckets.entry(key).or_insert_with(new);
        *sharers -= bucket.forget_old(now_ms);
        let is_known = bucket.sharers.contains_key(&sharer);
        let of_all = bucket.sharers.len() + usize::from(!is_known);
        let taken = bucket.sharers.get(&sharer).map_or(0, |share| share.taken);
        let next_ms = bucket.full_at_ms.max(now_ms) + refill_ms;
        let wait_ms = next_ms - now_ms - capacity_ms;
        if wait_ms <= 0 {
            bucket.full_at_ms = next_ms;
        } else {
            let equal = burst / u32::try_from(of_all).unwrap_or(u32::MAX);
            if taken >= equal.max(1) || of_all > SHARERS {
                return Err(wait_ms);
            }
        }
        if of_all <= SHARERS {
            *sharers += usize::from(!is_known);
            let until_ms = now_ms + capacity_ms;
            let share = bucket.sharers.entry(sharer).or_insert(Share { taken: 0, until_ms });
            share.taken += 1;
        }
        Ok(())
    }
}

impl<K, M: Hash + Eq> Shared<K, M> {
    /// Forgets what counts no longer; gives whether there is room again.
    fn forget_old(&mut self, now_ms: i64) -> bool {
        for bucket in self.buckets.values_mut() {
            self.sharers -= bucket.forget_old(now_ms);
        }
        self.buckets.retain(|_, bucket| bucket.full_at_ms > now_ms || !bucket.sharers.is_empty());
        self.sharers < BUCKETS
    }
}

impl<M: Hash + Eq> Bucket<M> {
    /// Forgets what counts no longer; gives how much that was.
    fn forget_old(&mut self, now_ms: i64) -> usize {
        let before = self.sharers.len();
        self.sharers.retain(|_, share| share.until_ms > now_ms);
        before - self.sharers.len()
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

    /// Shows that when a few have emptied a bucket, others still take from it: as many as an equal
    /// share, one at least however many there are; that what passes is bounded however many come; and
    /// that everybody begins anew when the bucket would have been full again.
    #[test]
    fn a_flood_leaves_the_others_their_share() {
        let rate = Rate { burst: 20, refill_ms: 1_000 };
        let throttle = FairThrottle::new(rate);
        let flood = (0..100).filter(|n| throttle.take("door", n % 2, 0).is_ok()).count();
        assert_eq!(flood, 20);
        let honest = (0..20).filter(|_| throttle.take("door", 7, 0).is_ok()).count();
        assert_eq!(honest, 6, "a third of it");
        assert_eq!(throttle.take("door", 0, 0), Err(1_000), "who flooded it waits");
        assert_eq!(throttle.take("other door", 0, 0), Ok(()), "another door is not held up");
        let many = (100..1_000).filter(|who| throttle.take("door", *who, 0).is_ok()).count();
        assert_eq!(many, SHARERS - 3, "one for each, up to a number");
        let most = 20 + 20 * 3 + SHARERS;
        let greedy = FairThrottle::new(rate);
        let all = (0..50_000).filter(|n| greedy.take("door", n / 50, 0).is_ok()).count();
        assert!(all <= most, "{all}");
        assert_eq!(throttle.take("door", 0, 20_000), Ok(()));
    }

    /// Shows that who shares and what is shared is remembered in bounded memory.
    #[test]
    fn a_flood_of_sharers_is_bounded() {
        let throttle = FairThrottle::new(RATE);
        let passed = (0..30_000).filter(|n| throttle.take(n / 2, n % 2, 0).is_ok()).count();
        assert_eq!(passed, BUCKETS);
        assert_eq!(throttle.take(40_000, 0, 3_000), Ok(()), "what counts no longer makes room");
    }
}

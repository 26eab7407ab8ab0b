//! How fast changes pass a link: from figures looked at again and again.
//!
//! Only what passed in the last ten seconds counts, so that a link that has come to a stand has
//! no rate and no estimate, rather than those of a better hour.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

/// How far back the rate looks.
const WINDOW_MS: i64 = 10_000;
/// With less between the first and the last look there is no rate yet.
const SHORTEST_MS: i64 = 1_000;
/// Longest estimate: beyond it nothing is said.
const LONGEST_S: u64 = 30 * 24 * 3_600;

/// What has passed in all, in both directions, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Changes acknowledged by the peer, and made durable here.
    pub changes: u64,
    /// Frame bytes.
    pub bytes: u64,
}

/// Changes and bytes in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rate {
    /// Thousandths of a change, so that slow lines have a rate too.
    pub milli_changes: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Rate {
    /// How long so many changes take at this rate, in whole seconds, at least one; `None` for a
    /// month and more.
    pub fn seconds_for(&self, changes: u64) -> Option<u64> {
        let milli = u128::from(changes) * 1_000;
        let seconds = milli.div_ceil(u128::from(self.milli_changes.max(1)));
        u64::try_from(seconds).ok().filter(|seconds| *seconds <= LONGEST_S)
    }
}

/// The looks of the last seconds at one link.
#[derive(Debug, Clone, Default)]
pub struct Meter(VecDeque<(i64, Passed)>);

impl Meter {
    /// Notes what has passed until now; gives the rate, when changes have passed lately.
    pub fn look(&mut self, now_ms: i64, passed: Passed) -> Option<Rate> {
        let is_behind = |(at_ms, last): &(i64, Passed)| {
            *at_ms > now_ms || last.changes > passed.changes || last.bytes > passed.bytes
        };
        if self.0.back().is_some_and(is_behind) {
            // The clock was set, or the figures begin anew.
            self.0.clear();
        }
        self.0.push_back((now_ms, passed));
        // The look at the beginning of the window stays, to measure from.
        while self.0.get(1).is_some_and(|(at_ms, _)| *at_ms <= now_ms - WINDOW_MS) {
            self.0.pop_front();
        }
        let (from_ms, first) = *self.0.front()?;
        let took_ms = u64::try_from(now_ms - from_ms).ok()?;
        if now_ms - from_ms < SHORTEST_MS || passed.changes == first.changes {
            return None;
        }
        let per_second = |amount: u64| u128::from(amount) * 1_000 / u128::from(took_ms);
        let changes = passed.changes - first.changes;
        Some(Rate {
            milli_changes: u64::try_from(per_second(changes * 1_000)).ok()?.max(1),
            bytes: u64::try_from(per_second(passed.bytes - first.bytes)).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn passed(changes: u64) -> Passed {
        Passed { changes, bytes: changes * 100 }
    }

    /// Shows that the rate is that of the last ten seconds, that a link at a stand has none, and
    /// that figures that begin anew do not make one.
    #[test]
    fn the_rate_is_of_the_last_ten_seconds() {
        let mut meter = Meter::default();
        assert_eq!(meter.look(0, passed(0)), None);
        assert_eq!(meter.look(500, passed(1_000)), None, "too short to tell");
        let rate = meter.look(2_000, passed(1_000)).unwrap();
        assert_eq!(rate, Rate { milli_changes: 500_000, bytes: 50_000 });
        for second in 3..=20 {
            meter.look(second * 1_000, passed(1_000 + 10 * second.unsigned_abs()));
        }
        let rate = meter.look(21_000, passed(1_210)).unwrap();
        assert_eq!(rate.milli_changes, 10_000, "the first seconds are forgotten");
        for second in 22..=31 {
            meter.look(second * 1_000, passed(1_210));
        }
        assert_eq!(meter.look(32_000, passed(1_210)), None);
        assert_eq!(meter.look(33_000, passed(3)), None);
        assert_eq!(meter.look(20_000, passed(4)), None, "the clock was set back");
    }

    /// Shows that an estimate is never zero, and that what would take years is not estimated.
    #[test]
    fn estimates_are_whole_seconds() {
        let rate = Rate { milli_changes: 2_000, bytes: 0 };
        assert_eq!(rate.seconds_for(1), Some(1));
        assert_eq!(rate.seconds_for(601), Some(301));
        assert_eq!(Rate { milli_changes: 1, bytes: 0 }.seconds_for(u64::MAX), None);
    }
}

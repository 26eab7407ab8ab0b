//! How much is sent at a time, and how much may be under way.
//!
//! What is under way cannot be taken back: an alert waits behind it, and a cut loses the part of a
//! batch that has come. So both are measured in time. Acknowledgements tell at what rate the peer
//! takes bytes; what may be under way is that rate for two seconds and one and a half round trips, and
//! a batch is that rate for half a second. At the start, when nothing is known, it is little, and it
//! doubles while acknowledgements come quickly.
//!
//! Bytes are those of changes before compression, times come from outside; nothing is sent here.

use crate::limits;

/// The first batch.
const FIRST_BYTES: usize = 64 << 10;
/// The smallest batch, for slow lines and for asking whether a peer takes anything again.
const SMALLEST_BYTES: usize = 16 << 10;
/// What is under way besides a round trip.
const AHEAD_MS: u64 = 2_000;
/// What a batch takes.
const BATCH_MS: u64 = 500;
/// A batch is at least such a part of a round trip, so that a long line can be filled.
const BATCHES_IN_ROUND_TRIP: u64 = 8;

const _: () = assert!(FIRST_BYTES <= limits::BATCH_BYTES && SMALLEST_BYTES <= FIRST_BYTES);
const _: () = assert!(
    AHEAD_MS / BATCH_MS + BATCHES_IN_ROUND_TRIP * 3 / 2 <= limits::IN_FLIGHT_BATCHES as u64,
    "what may be under way fits into the batches that may be"
);

/// What is known about how fast the peer takes changes.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    batch_bytes: usize,
    /// Bytes per second; 0 before the first acknowledgement.
    rate: u64,
    /// The quickest acknowledgement of late.
    round_trip_ms: u64,
    /// Bytes acknowledged so far.
    acknowledged: u64,
    /// When the last of them were, or when the line was last empty.
    acknowledged_at_ms: i64,
    under_way: usize,
    /// The peer took nothing at last: one small batch at a time finds out whether it does again.
    asking: bool,
}

/// What is to be known about a batch when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    bytes: usize,
    at_ms: i64,
    before: u64,
    since_ms: i64,
    /// Whether nothing was under way.
    alone: bool,
    /// Whether it was as large as it might be, so that its rate is one of the line.
    full: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_bytes: FIRST_BYTES,
            rate: 0,
            round_trip_ms: 0,
            acknowledged: 0,
            acknowledged_at_ms: 0,
            under_way: 0,
            asking: false,
        }
    }
}

impl Pace {
    /// Notes that a batch of so many bytes leaves now.
    pub(super) fn depart(&mut self, now_ms: i64, bytes: usize) -> Departure {
        let alone = self.under_way == 0;
        if alone {
            self.acknowledged_at_ms = now_ms;
        }
        self.under_way += bytes;
        Departure {
            bytes,
            at_ms: now_ms,
            before: self.acknowledged,
            since_ms: self.acknowledged_at_ms,
            alone,
            full: 2 * bytes >= self.batch_bytes,
        }
    }

    /// Notes that a batch is acknowledged now; `taken` when the peer took something of it.
    pub(super) fn arrive(&mut self, now_ms: i64, departure: Departure, taken: bool) {
        self.under_way -= departure.bytes;
        self.acknowledged += departure.bytes as u64;
        self.acknowledged_at_ms = now_ms;
        if !taken {
            // Batches that left before count on from what they saw then.
            let Self { under_way, acknowledged, acknowledged_at_ms, .. } = *self;
            *self = Self {
                batch_bytes: SMALLEST_BYTES,
                asking: true,
                under_way,
                acknowledged,
                acknowledged_at_ms,
                ..Self::default()
            };
            return;
        }
        self.asking = false;
        let took_ms = elapsed_ms(departure.at_ms, now_ms);
        let known = self.round_trip_ms > 0 && !departure.alone;
        self.round_trip_ms = if known { took_ms.min(self.round_trip_ms) } else { took_ms };
        let moved = self.acknowledged - departure.before;
        let rate = 1_000 * moved / elapsed_ms(departure.since_ms, now_ms);
        if rate > self.rate {
            self.rate = rate;
        } else if departure.full {
            self.rate = (3 * self.rate + rate) / 4;
        }
        let batch_ms = BATCH_MS.max(self.round_trip_ms / BATCHES_IN_ROUND_TRIP);
        let wanted = self.bytes_in(batch_ms).min(2 * self.batch_bytes);
        self.batch_bytes = wanted.clamp(SMALLEST_BYTES, limits::BATCH_BYTES);
    }

    /// Most bytes of the next batch.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// Whether another batch may leave.
    pub(super) fn has_room(&self) -> bool {
        self.under_way == 0 || self.under_way + self.batch_bytes <= self.most_under_way()
    }

    /// Most bytes that may be under way.
    pub(super) fn most_under_way(&self) -> usize {
        let most = match (self.asking, self.rate) {
            (true, _) => 0,
            (false, 0) => 2 * FIRST_BYTES,
            // Half a round trip more than what fills the line, or it would never look faster.
            (false, _) => self.bytes_in(AHEAD_MS + self.round_trip_ms * 3 / 2),
        };
        most.min(limits::IN_FLIGHT_BYTES)
    }

    /// Bytes acknowledged per second; 0 before anything was.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    fn bytes_in(&self, ms: u64) -> usize {
        usize::try_from(self.rate.saturating_mul(ms) / 1_000).unwrap_or(usize::MAX)
    }
}

/// Never 0, because it is divided by.
fn elapsed_ms(from_ms: i64, to_ms: i64) -> u64 {
    u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A line that takes so many bytes per second, with a delay each way; sends as much as it may
    /// for so long. Gives the pace, the bytes acknowledged, and the longest wait of a batch.
    fn run(bytes_per_second: u64, delay_ms: i64, for_ms: i64) -> (Pace, u64, i64) {
        let mut pace = Pace::default();
        let mut on_the_line: VecDeque<(i64, Departure)> = VecDeque::new();
        let (mut now_ms, mut free_at_ms, mut longest_ms) = (0, 0, 0);
        while now_ms < for_ms {
            while pace.has_room() && on_the_line.len() < limits::IN_FLIGHT_BATCHES {
                let departure = pace.depart(now_ms, pace.batch_bytes());
                let takes_ms = 1_000 * departure.bytes as u64 / bytes_per_second;
                free_at_ms = free_at_ms.max(now_ms) + i64::try_from(takes_ms).unwrap_or(i64::MAX);
                on_the_line.push_back((free_at_ms + 2 * delay_ms, departure));
            }
            let Some((at_ms, departure)) = on_the_line.pop_front() else { break };
            now_ms = at_ms;
            longest_ms = longest_ms.max(now_ms - departure.at_ms);
            pace.arrive(now_ms, departure, true);
        }
        let acknowledged = pace.acknowledged;
        (pace, acknowledged, longest_ms)
    }

    /// Shows that on a slow line a batch soon takes half a second, that no batch waits more than
    /// seconds, the first ones included, and that the line is used.
    #[test]
    fn on_a_slow_line_little_is_under_way() {
        for (rate, delay_ms) in [(32 << 10, 150), (64 << 10, 20), (200 << 10, 300)] {
            let (pace, acknowledged, longest_ms) = run(rate, delay_ms, 60_000);
            let batch_ms = 1_000 * pace.batch_bytes() as u64 / rate;
            assert!(batch_ms <= 650, "{rate}: a batch takes {batch_ms} ms");
            assert!(longest_ms <= 5_000 + 2 * delay_ms, "{rate}: one waited {longest_ms} ms");
            assert!(acknowledged > 59 * rate * 9 / 10, "{rate}: {acknowledged}");
        }
    }

    /// Shows that a fast line gets full batches after a few, and all that may be under way.
    #[test]
    fn on_a_fast_line_batches_grow() {
        let (pace, acknowledged, _) = run(40 << 20, 1, 1_000);
        assert_eq!(pace.batch_bytes(), limits::BATCH_BYTES);
        assert_eq!(pace.most_under_way(), limits::IN_FLIGHT_BYTES);
        assert!(acknowledged > 35 << 20, "{acknowledged}");
    }

    /// Shows that a line with seconds of delay is filled nevertheless, within a few round trips.
    #[test]
    fn a_long_line_is_filled() {
        let (_, acknowledged, _) = run(100 << 10, 5_000, 600_000);
        assert!(acknowledged > (100 << 10) * 600 * 7 / 10, "{acknowledged}");
    }

    /// Shows that single small changes, which are acknowledged quickly and hardly use the line, do
    /// not make it look slow.
    #[test]
    fn small_changes_say_nothing_about_the_line() {
        let (mut pace, ..) = run(40 << 20, 1, 1_000);
        let rate = pace.rate();
        for second in 10..40 {
            let departure = pace.depart(second * 1_000, 400);
            pace.arrive(second * 1_000 + 3, departure, true);
        }
        assert_eq!(pace.rate(), rate);
    }

    /// Shows that after a batch of which nothing was taken one small batch at a time is sent, until
    /// something is taken.
    #[test]
    fn who_takes_nothing_is_asked_with_little() {
        let mut pace = Pace::default();
        for taken in [true, true, true, false] {
            let departure = pace.depart(2_000, pace.batch_bytes());
            pace.arrive(2_010, departure, taken);
        }
        assert_eq!(pace.batch_bytes(), SMALLEST_BYTES);
        let asking = pace.depart(3_000, pace.batch_bytes());
        assert!(!pace.has_room());
        pace.arrive(3_010, asking, true);
        let _one = pace.depart(3_020, pace.batch_bytes());
        assert!(pace.has_room());
    }
}

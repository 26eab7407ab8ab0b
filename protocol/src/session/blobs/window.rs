//! How many bytes of blobs may be on their way to this side.
//!
//! Measured in time: an alert of the peer waits behind what is on its way. Answers that come
//! quickly double the window, slow ones halve it, so that it holds about a second of the line.

/// Where it begins, and on slow lines stays.
const FIRST_BYTES: u32 = 16 << 10;
/// Never less.
const LEAST_BYTES: u32 = 8 << 10;
/// Never more.
const MOST_BYTES: u32 = 1 << 20;
/// An answer may take so much longer than the quickest before the window stops growing.
const QUICK_MS: i64 = 400;
/// An answer that takes so much longer than the quickest makes it smaller.
const SLOW_MS: i64 = 1_500;
/// No line has a longer way there and back; what takes longer waits behind something.
const LONGEST_TRIP_MS: i64 = 1_000;

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    bytes: u32,
    quickest_ms: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self { bytes: FIRST_BYTES, quickest_ms: LONGEST_TRIP_MS }
    }
}

impl Window {
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// An answer has come so long after its question.
    pub(super) fn note_answer(&mut self, took_ms: i64) {
        self.quickest_ms = self.quickest_ms.min(took_ms);
        if took_ms <= self.quickest_ms + QUICK_MS {
            self.bytes = (2 * self.bytes).min(MOST_BYTES);
        } else if took_ms > self.quickest_ms + SLOW_MS {
            self.bytes = (self.bytes / 2).max(LEAST_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with a delay there and back that moves so many bytes in a second; gives the longest
    /// wait behind what is on its way, in milliseconds, and the bytes moved in a minute.
    fn run(bytes_per_second: i64, trip_ms: i64) -> (i64, i64) {
        let mut window = Window::default();
        let (mut now_ms, mut moved, mut longest_ms) = (0, 0, 0);
        while now_ms < 60_000 {
            let bytes = i64::from(window.bytes());
            let busy_ms = bytes * 1_000 / bytes_per_second;
            longest_ms = longest_ms.max(busy_ms);
            now_ms += busy_ms + trip_ms;
            moved += bytes;
            window.note_answer(busy_ms + trip_ms);
        }
        (longest_ms, moved)
    }

    /// Shows that on a line of 8 kB/s nothing waits more than some two seconds behind a photo.
    #[test]
    fn little_is_on_its_way_on_a_slow_line() {
        let (longest_ms, moved) = run(8_000, 300);
        assert!(longest_ms <= 2_100, "{longest_ms} ms");
        assert!(moved >= 60 * 8_000 * 8 / 10, "{moved} bytes");
    }

    /// Shows that a fast line, and a long one, carry more than one piece at a time.
    #[test]
    fn the_window_grows_on_a_fast_line() {
        for (rate, trip_ms) in [(10_000_000, 20), (1_000_000, 600)] {
            let (longest_ms, moved) = run(rate, trip_ms);
            assert!(longest_ms <= 2_000, "{longest_ms} ms");
            assert!(moved >= rate * 60 / 4, "{moved} bytes of {rate} a second");
        }
    }
}

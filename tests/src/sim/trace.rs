//! What happened, as a hash of everything and the last of it in words.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Write as _};

/// Characters of one event in words.
const WIDTH: usize = 240;

/// Everything that happened so far in one run.
pub(super) struct Trace {
    hasher: blake3::Hasher,
    last: VecDeque<String>,
    keep: usize,
    events: u64,
    now_ms: i64,
}

impl Trace {
    /// Of nothing, with the last so many events in words.
    pub(super) fn new(keep: usize) -> Self {
        let hasher = blake3::Hasher::new_derive_key("cunlian simulator 2026-11 trace");
        Self { hasher, last: VecDeque::new(), keep, events: 0, now_ms: super::START_MS }
    }

    /// Notes an event. All of `what` counts for the hash, bytes included.
    pub(super) fn note(&mut self, now_ms: i64, who: &str, verb: &str, what: &dyn Debug) {
        self.now_ms = now_ms;
        self.events += 1;
        self.hasher.update(&now_ms.to_be_bytes()).update(who.as_bytes()).update(verb.as_bytes());
        let mut both = Both { hasher: &mut self.hasher, text: String::new(), left: WIDTH };
        let _ = write!(both, "{what:?}");
        let text = both.text;
        self.keep(format!("{:>9.3} s  {who}  {verb} {text}", seconds(now_ms)));
    }

    /// Notes bytes: all count for the hash, only their number is put in words.
    pub(super) fn note_bytes(&mut self, now_ms: i64, who: &str, verb: &str, bytes: &[u8]) {
        self.now_ms = now_ms;
        self.events += 1;
        self.hasher.update(&now_ms.to_be_bytes()).update(who.as_bytes()).update(verb.as_bytes());
        self.hasher.update(&bytes.len().to_be_bytes()).update(bytes);
        let kind = super::reading::kind(bytes);
        self.keep(format!(
            "{:>9.3} s  {who}  {verb} {kind}, {} bytes",
            seconds(now_ms),
            bytes.len()
        ));
    }

    /// How many events there were.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The hash of all of them.
    pub(super) fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Virtual time of the last one, seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        seconds(self.now_ms)
    }

    /// The last ones in words, oldest first.
    pub(super) fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    fn keep(&mut self, line: String) {
        if self.last.len() == self.keep {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(now_ms: i64) -> f64 {
    (now_ms - super::START_MS) as f64 / 1_000.0
}

/// Hashes all that is written and keeps the beginning.
struct Both<'a> {
    hasher: &'a mut blake3::Hasher,
    text: String,
    left: usize,
}

impl fmt::Write for Both<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.hasher.update(part.as_bytes());
        for character in part.chars() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            self.text.push(character);
        }
        Ok(())
    }
}

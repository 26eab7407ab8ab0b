//! Says a thing once, and then how often it came again.
//!
//! A hostile peer can repeat a refused act thousands of times a second. The first one is logged in
//! full; what is the same within the interval is only counted, and the count is logged when the
//! interval is over. The table is bounded, and so is what one party can put into it; beyond that
//! a line says only how many went unsaid.

use std::collections::BTreeMap;

/// How long a line stands for what is the same.
const INTERVAL_MS: i64 = 60_000;
/// Different lines of one party within an interval; more are only counted together.
const LINES_PER_PARTY: usize = 200;
/// Different lines of all parties within an interval.
const LINES: usize = 5_000;

/// What to do about one occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Log it.
    InFull,
    /// It has been logged; it is counted.
    Nothing,
}

/// What came again and was not logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// Who.
    pub party: String,
    /// What, or `None` for different things together.
    pub line: Option<String>,
    /// How often.
    pub count: u64,
}

/// What was said within the interval.
#[derive(Debug, Default)]
pub struct Repeats {
    said: BTreeMap<String, Party>,
    lines: usize,
    began_ms: i64,
}

#[derive(Debug, Default)]
struct Party {
    lines: BTreeMap<String, u64>,
    unsaid: u64,
}

impl Repeats {
    /// Notes one occurrence. Call [`Repeats::due`] first.
    pub fn note(&mut self, party: &str, line: &str) -> Say {
        let known = self.said.entry(party.to_owned()).or_default();
        if let Some(again) = known.lines.get_mut(line) {
            *again += 1;
            return Say::Nothing;
        }
        if known.lines.len() >= LINES_PER_PARTY || self.lines >= LINES {
            known.unsaid += 1;
            self.bound();
            return Say::Nothing;
        }
        known.lines.insert(line.to_owned(), 0);
        self.lines += 1;
        Say::InFull
    }

    /// When the interval is over: what came again in it. A new interval begins.
    pub fn due(&mut self, now_ms: i64) -> Vec<Repeated> {
        if now_ms.saturating_sub(self.began_ms) < INTERVAL_MS {
            return Vec::new();
        }
        self.began_ms = now_ms;
        self.lines = 0;
        let said = std::mem::take(&mut self.said);
        let of_party = |(party, Party { lines, unsaid }): (String, Party)| {
            let again = lines.into_iter().map(|(line, count)| (Some(line), count));
            let all = again.chain([(None, unsaid)]).filter(|(_, count)| *count > 0);
            let all = all.map(|(line, count)| Repeated { party: party.clone(), line, count });
            all.collect::<Vec<_>>()
        };
        said.into_iter().flat_map(of_party).collect()
    }

    /// Parties without a line of their own, put together once there are too many of them.
    fn bound(&mut self) {
        if self.said.len() <= 2 * LINES {
            return;
        }
        let silent: Vec<String> = self
            .said
            .iter()
            .filter(|(party, known)| known.lines.is_empty() && *party != "others")
            .map(|(party, _)| party.clone())
            .collect();
        let moved: u64 =
            silent.iter().filter_map(|party| self.said.remove(party)).map(|p| p.unsaid).sum();
        self.said.entry("others".to_owned()).or_default().unsaid += moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a line is said once in an interval, and that none of the others is lost.
    #[test]
    fn what_is_the_same_is_said_once_and_counted() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.due(100_000), []);
        let said = (0..1_000).filter(|_| repeats.note("a", "refused") == Say::InFull).count();
        assert_eq!(said, 1);
        assert_eq!(repeats.note("b", "refused"), Say::InFull, "another party has its own line");
        assert_eq!(repeats.due(100_000 + INTERVAL_MS - 1), []);
        let line = Some("refused".to_owned());
        let again = Repeated { party: "a".to_owned(), line, count: 999 };
        assert_eq!(repeats.due(100_000 + INTERVAL_MS), [again]);
        assert_eq!(repeats.note("a", "refused"), Say::InFull, "a new interval has begun");
    }

    /// Shows that neither one party nor a flood of parties fills log or memory, and that every
    /// occurrence is counted all the same.
    #[test]
    fn a_flood_of_lines_and_parties_is_bounded() {
        let mut repeats = Repeats::default();
        repeats.due(INTERVAL_MS);
        let mut said = 0;
        for line in 0..1_000 {
            said += u64::from(repeats.note("a", &line.to_string()) == Say::InFull);
        }
        assert_eq!(said, LINES_PER_PARTY as u64);
        for party in 0..50_000 {
            said += u64::from(repeats.note(&format!("p{party}"), "refused") == Say::InFull);
        }
        assert_eq!(said, LINES as u64);
        assert!(repeats.said.len() <= 2 * LINES + 2, "{}", repeats.said.len());
        let counted: u64 = repeats.due(2 * INTERVAL_MS).iter().map(|again| again.count).sum();
        assert_eq!(said + counted, 51_000);
    }
}

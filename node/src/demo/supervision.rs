//! Keeps the nodes of the demo running while a person looks at it: one that ends by itself, or is
//! killed, is named and started again, and the others go on meanwhile.
//!
//! One that ends again and again is named once more and left alone: the reason is in its log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use crate::failure::Failure;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node that ends this often within [`WITHIN`] is not started again.
const ENDS: usize = 5;
const WITHIN: Duration = Duration::from_mins(1);

/// When a node ended last, and whether it is left alone.
#[derive(Debug, Default)]
struct Record {
    ends: Vec<Instant>,
    is_given_up: bool,
}

impl Record {
    /// Notes an end; tells whether the node is to be started again.
    fn note(&mut self, now: Instant) -> bool {
        self.ends.retain(|end| now.duration_since(*end) < WITHIN);
        self.ends.push(now);
        self.is_given_up = self.ends.len() >= ENDS;
        !self.is_given_up
    }
}

/// Starts nodes again for as long as one is left that can be; says on standard error what it does.
pub(super) async fn keep(fleet: &mut Fleet) -> Failure {
    let mut records: BTreeMap<usize, Record> = BTreeMap::new();
    let nodes = fleet.layout().nodes.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for node in &nodes {
            let record = records.entry(node.index).or_default();
            if record.is_given_up {
                continue;
            }
            let Some(how) = fleet.ended(node.index) else { continue };
            eprintln!("{} ({}) has ended: {how}", node.name, node.region);
            if !record.note(Instant::now()) {
                eprintln!("it has ended {ENDS} times within a minute and is left alone");
                eprintln!("hint: the reason is in {}", node.dir.join("node.log").display());
                continue;
            }
            match fleet.restart(node.index) {
                Ok(()) => eprintln!("{} is started again; the other nodes go on", node.name),
                Err(failure) => eprintln!("{} does not start: {}", node.name, failure.message),
            }
        }
        if records.len() == nodes.len() && records.values().all(|record| record.is_given_up) {
            return Failure::new("all nodes of the demo have ended")
                .hint("the reasons are in node.log of their directories");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a node is started again unless it ends again and again, and that what was long ago
    /// does not count.
    #[test]
    fn who_ends_again_and_again_is_left_alone() {
        let mut record = Record::default();
        let start = Instant::now();
        for number in 0..100 {
            assert!(record.note(start + number * WITHIN / 4), "{number}");
        }
        let late = start + 200 * WITHIN;
        let started: Vec<bool> = (0..ENDS).map(|_| record.note(late)).collect();
        assert_eq!(started, [true, true, true, true, false]);
    }
}

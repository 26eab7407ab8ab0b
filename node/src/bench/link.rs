//! Waiting until two nodes agree, and what passed between them.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::federation::DESTINATION;
use crate::demo::fleet::Fleet;
use crate::failure::Failure;

/// The status is published a few times a second, so looking more often shows nothing new.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// One meeting of two nodes, from the dialling of the destination on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Meeting {
    /// Until both sides had found each other equal.
    pub seconds: f64,
    /// Frame bytes both ways before TLS, hello, acknowledgements and questions of durability included.
    pub wire_bytes: u64,
    /// Frames both ways.
    pub messages: u64,
    /// Questions of reconciliation, each of which waits for its answer.
    pub round_trips: u64,
}

/// How many came in each second of the first and of the last tenth of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tenths {
    /// Per second of the first tenth, the comparison before it included.
    pub first_tenth_per_second: f64,
    /// Per second of the last tenth.
    pub last_tenth_per_second: f64,
}

/// When how much had come, without keeping every look.
#[derive(Debug)]
pub(super) struct Pace {
    total: u64,
    started_at_ms: i64,
    first: Option<(u64, i64)>,
    before_last: (u64, i64),
    last: Option<(u64, i64)>,
}

impl Pace {
    /// For a copy of so many.
    pub(super) fn of(total: u64) -> Self {
        Self { total, started_at_ms: 0, first: None, before_last: (0, 0), last: None }
    }

    fn note(&mut self, look: &Look) {
        let (came, at_ms) = (look.received.min(self.total), look.as_of_ms);
        self.started_at_ms = look.started_at_ms;
        if self.first.is_none() && came >= self.total / 10 {
            self.first = Some((came, at_ms));
        }
        if came <= self.total - self.total / 10 {
            self.before_last = (came, at_ms);
        }
        if self.last.is_none() && came == self.total {
            self.last = Some((came, at_ms));
        }
    }

    /// `None` when it did not come to the end.
    pub(super) fn tenths(&self) -> Option<Tenths> {
        let start = (0, self.started_at_ms);
        Some(Tenths {
            first_tenth_per_second: per_second(start, self.first?),
            last_tenth_per_second: per_second(self.before_last.max(start), self.last?),
        })
    }
}

/// Of two looks, each with how many and when.
fn per_second((before, from_ms): (u64, i64), (after, until_ms): (u64, i64)) -> f64 {
    // Two looks within one millisecond do not happen in a copy that takes as long as a tenth does.
    super::rate::rate(after.saturating_sub(before), seconds((until_ms - from_ms).max(1)))
}

/// What is still under way, as far as the destination has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coming {
    /// Changes it has.
    pub(super) changes: u64,
    /// Changes the source has sent and that are durable.
    pub(super) received: u64,
}

/// One status of the destination.
struct Look {
    as_of_ms: i64,
    started_at_ms: i64,
    agreed_at_ms: Option<i64>,
    changes: u64,
    received: u64,
    wire_bytes: u64,
    messages: u64,
    rounds: u64,
}

/// Waits until the destination agrees with the source and has `changes`, and the link has become
/// quiet; `progress` gets what it has so far, `pace` takes note of it.
///
/// The time goes from the start of the destination's network to its own note of the agreement;
/// both are milliseconds of one clock.
pub(super) fn until_equal(
    fleet: &mut Fleet,
    changes: u64,
    patience: Duration,
    pace: &mut Pace,
    mut progress: impl FnMut(Coming) -> Result<(), Failure>,
) -> Result<Meeting, Failure> {
    let begun = Instant::now();
    let mut agreed_at_ms = None;
    let mut before: Option<Look> = None;
    loop {
        let look = look(fleet)?;
        pace.note(&look);
        progress(Coming { changes: look.changes, received: look.received })?;
        if look.agreed_at_ms.is_some() && look.changes >= changes {
            let agreed = *agreed_at_ms.get_or_insert(look.agreed_at_ms.unwrap_or_default());
            let quiet = before.is_some_and(|before| {
                before.as_of_ms < look.as_of_ms && before.wire_bytes == look.wire_bytes
            });
            if quiet {
                return Ok(Meeting {
                    seconds: seconds(agreed - look.started_at_ms),
                    wire_bytes: look.wire_bytes,
                    messages: look.messages,
                    round_trips: look.rounds,
                });
            }
        }
        if begun.elapsed() > patience {
            let (seconds, found) = (patience.as_secs(), look.changes);
            return Err(Failure::new(format!(
                "after {seconds} s the nodes do not agree; {found} of {changes} changes are there"
            )));
        }
        before = Some(look);
        std::thread::sleep(LOOK_EVERY);
    }
}

fn look(fleet: &mut Fleet) -> Result<Look, Failure> {
    if !fleet.is_running(DESTINATION) {
        return Err(Failure::new("the destination has ended; its log is in its directory"));
    }
    let status = fleet.status(DESTINATION)?;
    let peers = status.get("peers").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |value: &Value, key: &str| value.get(key).cloned().unwrap_or_default();
    let is_parent = |peer: &Value| of(peer, "role") == "parent";
    let link = peers.into_iter().find(is_parent).unwrap_or_default();
    let traffic = of(&link, "traffic");
    let figure = |key: &str| of(&traffic, key).as_u64().unwrap_or(0);
    let live = of(&link, "state") == "live";
    Ok(Look {
        as_of_ms: of(&status, "as_of_ms").as_i64().unwrap_or(0),
        started_at_ms: of(&status, "started_at_ms").as_i64().unwrap_or(0),
        agreed_at_ms: of(&link, "last_success_ms").as_i64().filter(|_| live),
        changes: of(&status, "changes").as_u64().unwrap_or(0),
        received: figure("received"),
        wire_bytes: figure("bytes_in") + figure("bytes_out"),
        messages: figure("frames_in") + figure("frames_out"),
        rounds: figure("rounds"),
    })
}

fn seconds(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

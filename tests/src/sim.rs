//! A county in one process: real hubs, real stores on files, and nothing real between them.
//!
//! One seed decides everything: what people do, what goes wrong and when, how long each thing
//! takes, and what the product asks of randomness. Time is virtual. There is no socket and no
//! thread but those inside of a store, whose calls are waited for. So a run can be repeated event
//! by event: two runs of one seed have the same trace hash, and a failure comes with the command
//! that replays it.
//!
//! ```text
//!  plan ─ work, faults ─┐
//!                       ▼                          ┌─ store requests ─▶ store (files)
//!  queue by (time, number) ─ event ─▶ Hub ─ effect ┼─ frames ─▶ network ─▶ queue
//!                       ▲                          └─ duties: tokens, beacons, renewals
//!                       └── answers, frames, ends of connections, deadlines
//! ```
//!
//! A run has two phases. In the *safety* phase people work and things break; what must never be is
//! checked at every frame and commit (`sim/check.rs`). Then everything is healed, and in the *liveness*
//! phase the county must come to rest: each node connected, each set equal, everything shown as
//! held where it is to be. At rest everything is looked at once more.
//!
//! | module | is |
//! |---|---|
//! | `chance` | streams of numbers from the seed |
//! | `county` | who there is |
//! | `node`, `process` | machines with disks, and the processes on them |
//! | `network`, `transport` | lines, and bytes on them |
//! | `world` | the queue, and what follows from each event |
//! | `work`, `photos`, `sticks` | what people do: documents and tickets, photos, bundles |
//! | `mischief` | what goes wrong by itself |
//! | `thief`, `excess`, `usurper` | what somebody does: what is not his, too much, in another's place |
//! | `model`, `check`, `bound`, `reading` | what must be true |
//! | `fault`, `trace` | proof that something happened |
//! | `sabotage` | proof that the checks see what must not be |
//!
//! What it is not: a test of the runtime (tokio, quinn, real disks); the suites `federation` and
//! `power_cut` have these.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cunlian_governance::capabilities::Capabilities;
use cunlian_protocol::category::Category;

mod bound;
mod chance;
mod check;
mod county;
mod excess;
mod fault;
mod mischief;
mod model;
mod network;
mod node;
mod photos;
mod process;
mod reading;
mod sabotage;
mod sticks;
mod thief;
mod trace;
mod transport;
mod usurper;
mod work;
mod world;

pub use fault::{Fault, Fired};
pub use sabotage::Sabotage;

use trace::Trace;
use world::{Happening, World};

/// When every run begins, milliseconds since 1970-01-01 UTC.
const START_MS: i64 = 1_795_000_000_000;
/// Virtual milliseconds in which the healed county must come to rest. The longest chain of waits
/// that the product has a reason for: a machine that was off starts after 15 s, a dial into the
/// void takes 10 s and the next one is up to 30 s later; what was missed is found by the
/// comparison a minute after the last one, and who holds it by the question a minute after the
/// last one, with half a minute more for a part that was left; and a tier further down begins its
/// two minutes when the one above has ended.
const LIVENESS_MS: i64 = 300_000;
/// How often it is looked whether it has.
const LOOK_MS: i64 = 5_000;
/// More events than a run of a minute needs.
const EVENTS_A_MINUTE: u64 = 400_000;

/// How long a run is, and what is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Virtual minutes of the safety phase.
    pub minutes: u32,
    /// How many of the last events a failure tells.
    pub last: usize,
}

/// Of each seed that `./check` runs.
pub const SHORT: Length = Length { minutes: 2, last: 40 };

/// A run that went well.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Hash of everything that happened.
    pub hash: [u8; 32],
    /// How many events there were.
    pub events: u64,
    /// Virtual time until everything was at rest, in seconds.
    pub seconds: f64,
    /// How much of it was left to come to rest after everything was healed.
    pub settling_seconds: f64,
    /// What went wrong, and had an effect.
    pub fired: Fired,
    /// How many changes of each category were made.
    pub made: BTreeMap<Category, u64>,
}

/// A run that did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// How long it was to be.
    pub length: Length,
    /// Virtual time of the failure, in seconds.
    pub seconds: f64,
    /// What is wrong.
    pub reason: String,
    /// The last events, oldest first.
    pub last: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.last {
            writeln!(out, "  {line}")?;
        }
        let Self { seed, length, seconds, reason, .. } = self;
        let (end, minutes) = (seed + 1, length.minutes);
        writeln!(out, "seed {seed} failed at {seconds:.3} s of virtual time: {reason}")?;
        write!(
            out,
            "replay: cargo run -p cunlian-tests --bin simulate -- --seeds {seed}..{end} \
             --minutes {minutes}"
        )
    }
}

/// Runs one seed.
pub fn run(seed: u64, length: Length) -> Result<Report, Failure> {
    run_with(seed, length, None, Capabilities::of_program())
}

/// Runs one seed in a county whose programs have these capabilities, of which the samples are
/// written.
pub fn run_extended(
    seed: u64,
    length: Length,
    capabilities: &Capabilities,
) -> Result<Report, Failure> {
    run_with(seed, length, None, capabilities)
}

/// Runs one seed in which the simulator itself breaks something, which must be found.
pub fn run_sabotaged(seed: u64, length: Length, what: Sabotage) -> Result<Report, Failure> {
    run_with(seed, length, Some(what), Capabilities::of_program())
}

fn run_with(
    seed: u64,
    length: Length,
    sabotage: Option<Sabotage>,
    capabilities: &Capabilities,
) -> Result<Report, Failure> {
    let trace = Arc::new(Mutex::new(Trace::new(length.last)));
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.expect("a directory for the stores");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, dir.path(), &trace, capabilities);
        if let Some(what) = sabotage {
            world.at(START_MS + 60_000, Happening::Sabotage(what));
        }
        go(world, length)
    }));
    let trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok((fired, made)) => {
            let (hash, events, seconds) = (trace.hash(), trace.events(), trace.seconds());
            let settling_seconds = seconds - 60.0 * f64::from(length.minutes);
            Ok(Report { seed, hash, events, seconds, settling_seconds, fired, made })
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let reason = text.unwrap_or_else(|| "a panic without words".to_owned());
            let last = trace.last().map(str::to_owned).collect();
            Err(Failure { seed, length, seconds: trace.seconds(), reason, last })
        }
    }
}

fn go(mut world: World, length: Length) -> (Fired, BTreeMap<Category, u64>) {
    let safety_ms = i64::from(length.minutes) * 60_000;
    let until_ms = START_MS + safety_ms;
    world.plan_work(u64::from(length.minutes) * 30, until_ms);
    world.plan_mischief(until_ms);
    world.most_events = EVENTS_A_MINUTE * (u64::from(length.minutes) + 5);
    world.run_until(until_ms);
    world.heal();
    let patience_ms = world.now_ms + LIVENESS_MS;
    loop {
        let next_ms = world.now_ms + LOOK_MS;
        world.run_until(next_ms);
        let Some(reason) = world.unsettled() else { break };
        assert!(world.now_ms < patience_ms, "the county does not come to rest: {reason}");
    }
    world.check_roll_backs();
    world.check_at_rest();
    let made = world.model.made_of();
    (world.fired, made)
}

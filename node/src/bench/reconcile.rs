//! `bench reconcile`: two stores that hold millions of changes find out what differs.
//!
//! ```text
//!  city (listener) ◀── 300 ms there and back, in virtual time ── county (dialler)
//!  items + differences / 2                                       items + differences / 2
//! ```
//!
//! Stores, hubs and sessions are the real ones. Time is virtual: each frame takes half of the round
//! trip, and everything that a node works takes as long as it took here, measured. So the figures
//! are those of two such machines with that line between them, and no run waits for the line.
//!
//! | figure | from the hello on until |
//! |---|---|
//! | `known` | the last question or answer of the comparison has come: both know what differs |
//! | `done` | all changes that differ are durable on both sides |
//!
//! Where everything differs, `done` would be a copy of everything, which `bench sync` measures;
//! changes are then announced and not read.

use std::path::PathBuf;

use serde::Serialize;

use super::federation::Scratch;
use super::machine::{Machine, own_peak_rss_mib};
use crate::failure::Failure;

mod fill;
mod pair;
mod world;

use pair::Pair;
use world::{Tape, World};

/// What an id of a difference costs at least, as the aim counts it.
const ID_BYTES: u64 = 32;

/// How many of the changes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// So many, half of them on each side.
    Some(u64),
    /// No change is on both sides.
    All,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Changes that both hold, or each when all differ.
    pub items: u64,
    /// How many differ.
    pub differences: Differences,
    /// There and back, in milliseconds.
    pub round_trip_ms: u32,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The stores are filled.
    Fill,
    /// They meet.
    Meet,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Changes on both sides, or on each when all differ.
    pub items: u64,
    /// Changes that are on one side only.
    pub differences: u64,
    /// Whether no change is on both sides.
    pub all: bool,
    /// There and back.
    pub round_trip_ms: u32,
    /// The seed.
    pub seed: u64,
    /// Until both know what differs, hello apart.
    #[serde(flatten)]
    pub known: Known,
    /// The hello of both, certificates included; one round trip more.
    pub hello_wire_bytes: u64,
    /// Until the changes are there as well; `None` when all differ.
    pub done: Option<Done>,
    /// What the comparison could cost at least, and what it may cost.
    pub limit: Limit,
    /// Most memory that the process had, both stores and both nodes together.
    pub rss_mib: f64,
}

/// The comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Known {
    /// Round trips, one after the other.
    pub rounds: u32,
    /// Bytes of all frames of the comparison in both directions, hello not included.
    pub wire_bytes: u64,
    /// Frames of the comparison.
    pub messages: u64,
    /// Seconds of virtual time.
    pub seconds: f64,
    /// Seconds of it that the nodes worked.
    pub busy_seconds: f64,
}

/// All of the meeting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Done {
    /// Seconds of virtual time.
    pub seconds: f64,
    /// Bytes of all frames, changes, hello and acknowledgements included.
    pub wire_bytes: u64,
}

/// What the aim is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// The line alone for the round trips that were needed.
    pub seconds: f64,
    /// Ids of the differences, 32 bytes each.
    pub id_bytes: u64,
    /// 1.3 × (ids and a tenth more): what the aim allows where 1 % differs.
    pub allowed_wire_bytes: u64,
    /// Bytes used for each byte of the ids.
    pub wire_bytes_per_id_byte: f64,
}

/// Runs all of it; `progress` gets the stage, what is done of it and what it comes to.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Stage, u64, u64),
) -> Result<Report, Failure> {
    let scratch = Scratch::new(options.dir.as_deref())?;
    let pair = Pair::new(scratch.path())?;
    let all = options.differences == Differences::All;
    pair.fill(options, |done| progress(Stage::Fill, done, 2 * options.items))?;
    let here_and_there = match options.differences {
        Differences::Some(differences) => {
            let there = differences.div_ceil(2);
            pair.differ(there, differences - there, options.seed)?;
            [there, differences - there]
        }
        Differences::All => [options.items, options.items],
    };
    progress(Stage::Meet, 0, 0);
    let mut world = World::new(pair.open()?, options.round_trip_ms, options.seed);
    let done = if all {
        world.compare()?;
        None
    } else {
        Some(world.meet(here_and_there)?)
    };
    let differences = here_and_there.iter().sum();
    let known = known(&world.tape);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        items: options.items,
        differences,
        all,
        round_trip_ms: options.round_trip_ms,
        seed: options.seed,
        limit: limit(&known, options.round_trip_ms, differences),
        known,
        hello_wire_bytes: world.tape.hello_bytes,
        done,
        rss_mib: own_peak_rss_mib()?,
    })
}

fn known(tape: &Tape) -> Known {
    Known {
        // The hello was two flights of its own.
        rounds: tape.last_flight.saturating_sub(2).div_ceil(2),
        wire_bytes: tape.compare_bytes,
        messages: tape.compare_frames,
        seconds: seconds(tape.last_compare_us - tape.welcomed_us),
        busy_seconds: seconds(tape.busy_until_known_us),
    }
}

fn limit(known: &Known, round_trip_ms: u32, differences: u64) -> Limit {
    let id_bytes = ID_BYTES * differences;
    Limit {
        seconds: f64::from(known.rounds) * f64::from(round_trip_ms) / 1e3,
        id_bytes,
        allowed_wire_bytes: id_bytes * 143 / 100,
        wire_bytes_per_id_byte: super::rate::rate(
            known.wire_bytes,
            super::rate::rate(id_bytes.max(1), 1.0),
        ),
    }
}

fn seconds(microseconds: i64) -> f64 {
    let microseconds = u64::try_from(microseconds).unwrap_or(0);
    std::time::Duration::from_micros(microseconds).as_secs_f64()
}

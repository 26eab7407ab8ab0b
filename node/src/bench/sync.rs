//! `bench sync`: a library is copied to an empty terminal, compared when nothing changed, and
//! brought together after edits on both sides.
//!
//! ```text
//!  town (source) ◀── QUIC on loopback ── village terminal (destination)
//!  everything                            nothing, then the same
//! ```

use std::path::PathBuf;
use std::time::Duration;

use cunlian_host::opening::open_store;
use serde::Serialize;

use super::federation::{DESTINATION, Federation, SOURCE};
use super::library::{self, Contents, Edits, Side};
use super::limit::{self, Limit};
use super::link::{Coming, Meeting, Pace, Tenths, until_equal};
use super::machine::{Machine, cpu_seconds, peak_rss_mib};
use super::person::{Person, Saved};
use super::rate::{as_float, rate};
use crate::demo::fleet::Fleet;
use crate::demo::layout::Node;
use crate::failure::Failure;

/// Fields edited on both sides.
const CONCURRENT: usize = 50;
/// How long a meeting may take before it counts as failed: this and a second for 100 records.
const PATIENCE: Duration = Duration::from_mins(2);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Documents of the library.
    pub records: usize,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
    /// Whether a person saves records at the destination during the cold copy.
    pub person: bool,
    /// The `cunlian` binary of both processes; this process's own program when absent.
    pub program: Option<PathBuf>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The library is written into the source's store.
    Load,
    /// The empty destination copies it.
    Cold,
    /// The limit is measured.
    Limit,
    /// Both start again with equal sets.
    Noop,
    /// Both were edited.
    Diff,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Documents of the library.
    pub records: u64,
    /// The seed.
    pub seed: u64,
    /// The copy to an empty store.
    pub cold: Cold,
    /// Equal sets after a restart of both.
    pub noop: Meeting,
    /// One hundredth of the documents edited on each side.
    pub diff: Diff,
    /// The town.
    pub source: Process,
    /// The village terminal.
    pub destination: Process,
    /// The same work on one core.
    pub limit: Limit,
    /// Whether both stores held the same at the end, conflicts as expected.
    pub equal: bool,
    /// What differs.
    pub differences: Vec<String>,
}

/// The copy to an empty store.
#[derive(Debug, Clone, Serialize)]
pub struct Cold {
    /// Documents made durable per second.
    pub records_per_second: f64,
    /// Wire bytes for each document.
    pub wire_bytes_per_record: f64,
    /// Seconds of the limit for each second of the copy; more than one core may pass 1.
    pub limit_share: f64,
    /// Whether it kept its speed.
    #[serde(flatten)]
    pub tenths: Tenths,
    /// Records that a person saved at the destination meanwhile, every 20 ms.
    pub local_writes: Option<Saved>,
    /// Time, bytes, round trips.
    #[serde(flatten)]
    pub meeting: Meeting,
}

/// Edits on both sides brought together.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    /// Changes made on each side.
    pub changes_each: u64,
    /// Documents in conflict afterwards.
    pub conflicts: u64,
    /// Time, bytes, round trips.
    #[serde(flatten)]
    pub meeting: Meeting,
}

/// One of the two processes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Process {
    /// Most memory it had by the end of the cold copy.
    pub rss_mib: f64,
    /// Processor time it had used by then, start included.
    pub cpu_seconds: f64,
}

/// Runs all of it. `progress` gets the stage, what is done of it and what it comes to; both are 0
/// where a stage cannot tell.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Stage, u64, u64),
) -> Result<Report, Failure> {
    let Federation { scratch, layout, town, village } =
        Federation::without_county(options.dir.as_deref())?;
    let records = options.records as u64;
    library::load(&town.dir, village.region, options.records, options.seed, |done| {
        progress(Stage::Load, done, records);
    })?;
    let patience = PATIENCE + Duration::from_secs(records / 100);
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut fleet = Fleet::new(layout, &program);

    start(&mut fleet)?;
    let report = |done| progress(Stage::Cold, done, records);
    let (meeting, tenths, local_writes) =
        cold(&mut fleet, records, patience, options.person.then_some(&village), report)?;
    let (source, destination) = (process(&fleet, SOURCE)?, process(&fleet, DESTINATION)?);
    fleet.stop_all();
    let saved = local_writes.map_or(0, |saved| saved.records);
    for node in [&town, &village] {
        library::settle(&node.dir)?;
    }

    progress(Stage::Limit, 0, 0);
    let limit = limit::measure(&open_store(&town.dir)?.0, scratch.path())?;

    progress(Stage::Noop, 0, 0);
    start(&mut fleet)?;
    let noop = meet(&mut fleet, records + saved, patience)?;
    fleet.stop_all();

    progress(Stage::Diff, 0, 0);
    let edits = Edits::of(options.records, CONCURRENT);
    let (region, seed) = (village.region, options.seed);
    let here = library::edit(&town.dir, region, seed, &edits, Side::Source)?;
    let there = library::edit(&village.dir, region, seed, &edits, Side::Destination)?;
    start(&mut fleet)?;
    let changes = records + saved + here + there;
    let apart = meet(&mut fleet, changes, patience)?;
    fleet.stop_all();

    let (conflicts, differences) = compare(&town, &village, records + saved, changes, &edits)?;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        records,
        seed,
        cold: Cold {
            records_per_second: rate(records, meeting.seconds),
            wire_bytes_per_record: rate(meeting.wire_bytes, as_float(records)),
            limit_share: limit.seconds / meeting.seconds,
            tenths,
            local_writes,
            meeting,
        },
        noop,
        diff: Diff { changes_each: here, conflicts, meeting: apart },
        source,
        destination,
        limit,
        equal: differences.is_empty(),
        differences,
    })
}

/// The copy to the empty destination, with a person at work there if `at` says where.
fn cold(
    fleet: &mut Fleet,
    records: u64,
    patience: Duration,
    at: Option<&Node>,
    mut progress: impl FnMut(u64),
) -> Result<(Meeting, Tenths, Option<Saved>), Failure> {
    let mut person = at.map(Person::begin).transpose()?;
    let mut saved = None;
    let mut pace = Pace::of(records);
    let meeting =
        until_equal(fleet, records, patience, &mut pace, |Coming { received, .. }| {
            progress(received);
            // What comes in the other direction would keep the two from being equal.
            if received >= records
                && let Some(person) = person.take()
            {
                saved = Some(person.end()?);
            }
            Ok(())
        })?;
    let tenths = pace.tenths().ok_or_else(|| Failure::new("the copy has no last tenth"))?;
    Ok((meeting, tenths, saved))
}

/// Waits until both have `changes` and agree.
fn meet(fleet: &mut Fleet, changes: u64, patience: Duration) -> Result<Meeting, Failure> {
    until_equal(fleet, changes, patience, &mut Pace::of(changes), |_| Ok(()))
}

/// The source first, so that the first dial of the destination finds it.
pub(super) fn start(fleet: &mut Fleet) -> Result<(), Failure> {
    fleet.start(SOURCE)?;
    fleet.start(DESTINATION)
}

pub(super) fn process(fleet: &Fleet, index: usize) -> Result<Process, Failure> {
    let pid = fleet.pid(index);
    let figures = pid.and_then(peak_rss_mib).zip(pid.and_then(cpu_seconds));
    let (rss_mib, cpu_seconds) =
        figures.ok_or_else(|| Failure::new("the system does not tell memory and time"))?;
    Ok(Process { rss_mib, cpu_seconds })
}

/// Reads both stores; gives the conflicts found, and what is not as it should be.
fn compare(
    town: &Node,
    village: &Node,
    records: u64,
    changes: u64,
    edits: &Edits,
) -> Result<(u64, Vec<String>), Failure> {
    let (source, _) = open_store(&town.dir)?;
    let (destination, identity) = open_store(&village.dir)?;
    let scope = destination.authority().read_scope(&identity.certificate.serial());
    let here = library::contents(&source, &scope)?;
    let there = library::contents(&destination, &scope)?;
    let mut differences = Vec::new();
    if here != there {
        differences.push(format!("source {here:?}, destination {there:?}"));
    }
    let mut expect = |what: &str, found: u64, expected: u64| {
        if found != expected {
            differences.push(format!("{what}: {found} instead of {expected}"));
        }
    };
    let Contents { changes: found, documents, conflicted, .. } = there;
    expect("changes", found, changes);
    expect("documents", documents, records);
    expect("conflicts", conflicted, edits.concurrent as u64);
    Ok((conflicted, differences))
}

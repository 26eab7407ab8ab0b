//! `bench storm`: after an outage all terminals of a town come back in the same instant.
//!
//! ```text
//!  this process: 500 terminals, each with a store, 20 changes  ── QUIC on loopback ──▶  town
//! ```
//!
//! The town is a process of this program. The terminals share one process and the machine with it,
//! so the figures are those of a town with half a machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cunlian_host::opening::open_store;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::children::{Child, MOST, Parent, Running};
use super::federation::{Federation, SOURCE};
use super::limit::{self, Limit};
use super::machine::{Machine, own_peak_rss_mib};
use super::sample::{Spread, spread};
use super::sync::Process;
use crate::demo::fleet::Fleet;
use crate::failure::Failure;

/// Files that a terminal holds open: its store with readers, and a socket.
const FILES_OF_CHILD: u64 = 16;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Terminals.
    pub children: usize,
    /// Changes that wait at each of them.
    pub changes: usize,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
    /// The `cunlian` binary of the town; this process's own program when absent.
    pub program: Option<PathBuf>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The terminals are made and work alone.
    Outage,
    /// They come back.
    Storm,
    /// The limit is measured.
    Limit,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Terminals.
    pub children: u64,
    /// Changes that waited at each.
    pub changes_each: u64,
    /// Until all changes of all were durable at the town, and acknowledged.
    pub seconds: f64,
    /// The same for each terminal, in milliseconds from the first dial of any.
    #[serde(flatten)]
    pub wait: Spread,
    /// The last one against the middle one.
    pub worst_over_median: f64,
    /// Changes per second.
    pub changes_per_second: f64,
    /// Most memory of the town.
    pub rss_mib: f64,
    /// Processor time of the town, start included.
    pub cpu_seconds: f64,
    /// Most memory of all terminals together.
    pub children_rss_mib: f64,
    /// The work on the changes on one core, without connections.
    pub limit: Limit,
    /// The limit as a part of the time.
    pub limit_share: f64,
}

/// Runs all of it; `progress` gets the stage, what is done of it and what it comes to.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Stage, u64, u64),
) -> Result<Report, Failure> {
    let Options { children, changes, seed, .. } = *options;
    if children > MOST {
        return Err(Failure::new(format!("a town has codes for {MOST} villages")));
    }
    allow_files(children as u64)?;
    let Federation { scratch, layout, town, .. } =
        Federation::without_county(options.dir.as_deref())?;
    let parent = Parent::of(&town)?;
    let villages = scratch.path().join("villages");
    let mut waiting = Vec::with_capacity(children);
    for number in 0..children {
        let child = parent.child(&villages, number)?;
        child.write(changes, seed)?;
        waiting.push(child);
        progress(Stage::Outage, number as u64 + 1, children as u64);
    }
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut fleet = Fleet::new(layout, &program);
    fleet.start(SOURCE)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = |done| progress(Stage::Storm, done, children as u64);
    let waits = runtime.block_on(storm(waiting, &parent, changes as u64, report))?;
    let Process { rss_mib, cpu_seconds } = super::sync::process(&fleet, SOURCE)?;
    fleet.stop_all();
    progress(Stage::Limit, 0, 0);
    let (store, _) = open_store(&town.dir)?;
    let (came, sent) = (store.counts()?.total.documents, (children * changes) as u64);
    if came != sent {
        return Err(Failure::new(format!("{came} of {sent} documents are at the town")).code(3));
    }
    let limit = limit::measure(&store, scratch.path())?;
    let wait = spread(waits);
    let seconds = wait.worst_ms / 1e3;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        children: children as u64,
        changes_each: changes as u64,
        seconds,
        wait,
        worst_over_median: wait.worst_ms / wait.p50_ms,
        changes_per_second: super::rate::rate(sent, seconds),
        rss_mib,
        cpu_seconds,
        children_rss_mib: own_peak_rss_mib()?,
        limit_share: limit.seconds / seconds,
        limit,
    })
}

/// Lets all dial at once; gives the milliseconds until each had everything acknowledged.
async fn storm(
    waiting: Vec<Child>,
    parent: &Parent,
    changes: u64,
    mut progress: impl FnMut(u64),
) -> Result<Vec<f64>, Failure> {
    let all = waiting.len();
    let begun = Instant::now();
    let deadline = tokio::time::Instant::from_std(begun) + PATIENCE;
    let mut running: Vec<Running> = Vec::with_capacity(all);
    let mut coming = JoinSet::new();
    for child in waiting {
        let child = child.start(parent)?;
        let mut reports = child.reports();
        coming.spawn(async move {
            let acknowledged = reports.wait_for(|peers| {
                peers.iter().filter_map(|peer| peer.session.as_ref()).any(|s| s.sent >= changes)
            });
            let came = matches!(timeout_at(deadline, acknowledged).await, Ok(Ok(_)));
            came.then(|| begun.elapsed().as_secs_f64() * 1e3)
        });
        running.push(child);
    }
    let mut waits = Vec::with_capacity(all);
    while let Some(wait) = coming.join_next().await {
        let Some(wait) = wait? else {
            let seconds = PATIENCE.as_secs();
            let came = waits.len();
            return Err(Failure::new(format!("after {seconds} s {came} of {all} are through")));
        };
        waits.push(wait);
        progress(waits.len() as u64);
    }
    for child in running {
        child.stop().await;
    }
    Ok(waits)
}

/// Asks the system for as many open files as the terminals need.
fn allow_files(children: u64) -> Result<(), Failure> {
    let needed = 256 + children * FILES_OF_CHILD;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|error| {
        Failure::new(format!("{children} terminals need {needed} open files: {error}"))
            .hint("raise the limit with `ulimit -n`, or choose fewer --children")
    })
}

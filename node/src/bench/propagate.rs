//! `bench propagate`: how long until the county sees what a village has saved.
//!
//! ```text
//!  village ── QUIC ──▶ town ── QUIC ──▶ county       three nodes, three stores on one disk
//!  saved: durable      durable          durable and to be read
//! ```
//!
//! Timed from the call that saves a record at the village to the moment from which the county's
//! tables show it. Each of the three makes it durable before it goes on, so three transactions
//! that wait for the disk are the least it can take; they are measured in the same run.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cunlian_crdt::store::Store;
use cunlian_governance::generator::Generator;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::node_author;
use cunlian_protocol::rights::Rights;
use serde::Serialize;

use super::federation::Federation;
use super::limit::raw_table;
use super::machine::{Machine, own_peak_rss_mib};
use super::sample::{Spread, spread};
use crate::failure::Failure;
use crate::service::Service;

/// Durable transactions on the way.
const FSYNCS: usize = 3;
/// From one record to the next; the way before it is long over.
const EVERY: Duration = Duration::from_millis(40);
/// How long one record may take, and the nodes to find each other.
const PATIENCE: Duration = Duration::from_mins(1);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Records, one after the other.
    pub records: usize,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Records.
    pub records: u64,
    /// From the village to the county's tables.
    #[serde(flatten)]
    pub way: Spread,
    /// What it cannot do without.
    pub limit: Limit,
    /// The middle of the limit as a part of the middle of the way.
    pub limit_share: f64,
    /// Most memory of the three nodes together.
    pub rss_mib: f64,
}

/// The waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Durable transactions, one after the other.
    pub fsyncs: usize,
    /// All of them together, in a plain table on the same disk.
    #[serde(flatten)]
    pub spread: Spread,
}

/// Runs all of it; `progress` gets the records that have arrived.
pub fn run(options: &Options, progress: impl FnMut(u64)) -> Result<Report, Failure> {
    let Federation { scratch, layout, village, .. } = Federation::whole(options.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let way = runtime.block_on(async {
        let mut services = Vec::with_capacity(layout.nodes.len());
        for node in &layout.nodes {
            services.push(Service::start(&node.dir).await?);
        }
        let stores: Vec<Store> = services.iter().map(|service| service.store().clone()).collect();
        let way = tokio::task::block_in_place(|| travel(&stores, &village.dir, options, progress));
        for service in services {
            service.stop().await;
        }
        way
    })?;
    let disk = disk(&scratch.path().join("raw.sqlite"), options.records)?;
    let (way, disk) = (spread(way), spread(disk));
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        records: options.records as u64,
        way,
        limit_share: disk.p50_ms / way.p50_ms,
        limit: Limit { fsyncs: FSYNCS, spread: disk },
        rss_mib: own_peak_rss_mib()?,
    })
}

/// Saves one record after the other at the last node and waits for each at the first.
fn travel(
    stores: &[Store],
    village: &Path,
    options: &Options,
    mut progress: impl FnMut(u64),
) -> Result<Vec<f64>, Failure> {
    let (county, here) = stores.first().zip(stores.last()).ok_or_else(no_nodes)?;
    let (commits, committed) = mpsc::channel();
    county.on_commit(move |_| {
        // Nobody listens any more at the end.
        let _ = commits.send(Instant::now());
    });
    let identity = cunlian_host::keystore::Keystore::new(village).identity()?;
    let author = node_author(&identity);
    let region = cunlian_host::regions::own_region(&identity.certificate);
    let authority = here.authority();
    let chain = authority.chain(&identity.certificate.serial());
    let top = chain.first().map(|top| top.serial()).ok_or_else(no_nodes)?;
    // A village has much that its county may not read.
    let allowed = |home: &_| authority.may(&top, Rights::READ, home).is_ok();
    let writes = Generator::new(options.seed).records(region, usize::MAX).flatten();
    let writes = writes.filter(|write| allowed(&write.home));
    let mut way = Vec::with_capacity(options.records);
    // The first one waits until the nodes have found each other.
    for (number, write) in writes.take(options.records + 1).enumerate() {
        let home = write.home;
        let begun = Instant::now();
        here.write(&author, vec![write], now_ms())?;
        let mut arrived = begun;
        while county.view(&home)?.is_none() {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            arrived = committed.recv_timeout(left).map_err(|_| late(number))?;
        }
        if number > 0 {
            way.push(arrived.max(begun).duration_since(begun).as_secs_f64() * 1e3);
            progress(number as u64);
        }
        std::thread::sleep(EVERY);
        // What else was committed meanwhile, such as receipts.
        while committed.try_recv().is_ok() {}
    }
    Ok(way)
}

fn no_nodes() -> Failure {
    Failure::new("there are no nodes")
}

fn late(number: usize) -> Failure {
    Failure::new(format!("record {number} did not come to the county within a minute"))
}

/// Milliseconds of [`FSYNCS`] durable transactions, one after the other, `times` over.
fn disk(path: &Path, times: usize) -> Result<Vec<f64>, Failure> {
    let raw = raw_table(path)?;
    let bytes = [7_u8; 275];
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        for _ in 0..FSYNCS {
            raw.execute("INSERT INTO raw VALUES (NULL, ?1)", [bytes.as_slice()])?;
        }
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

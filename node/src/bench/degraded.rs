//! `bench degraded`: a library is copied over a line as bad as mountains have them.
//!
//! ```text
//!  town ◀── QUIC ──▶ relay: 5 % lost, 300 ms there and back, 128 kbit/s ◀── QUIC ──▶ terminal
//! ```
//!
//! The goodput is what arrives of the frames of both, hello and acknowledgements included, as a
//! part of what one direction of the line carries. How much a line lets through at all is measured
//! in the same run: datagrams of the size QUIC begins with, sent as fast as the line takes them,
//! through a relay that loses as many.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cunlian_host::config::Config;
use serde::Serialize;

use super::federation::{DESTINATION, Federation};
use super::library;
use super::link::{Coming, Meeting, Pace, until_equal};
use super::machine::Machine;
use super::rate::rate;
use super::relay::{Line, Passed, Relay};
use super::sync::{process, start};
use crate::demo::fleet::Fleet;
use crate::failure::Failure;

/// Datagrams of QUIC before it knows what the path takes.
const DATAGRAM_BYTES: usize = 1_200;
/// How long the line alone is measured.
const PROBE: Duration = Duration::from_secs(8);
/// The first datagrams are under way for so long before any arrives.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the copy may take, beside twenty times what the line takes for it.
const PATIENCE: Duration = Duration::from_mins(3);
/// Bytes of a record on the line, at most.
const RECORD_BYTES: u64 = 220;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Documents of the library.
    pub records: usize,
    /// The line.
    pub line: Line,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
    /// The `cunlian` binary of both; this process's own program when absent.
    pub program: Option<PathBuf>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The library is written.
    Load,
    /// The line alone is measured.
    Limit,
    /// The terminal copies it.
    Copy,
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
    /// The line.
    pub line: Line,
    /// Time, bytes, round trips.
    #[serde(flatten)]
    pub meeting: Meeting,
    /// Bytes of frames per second.
    pub goodput_bytes_per_second: f64,
    /// As a part of what the line carries in one direction.
    pub goodput_share: f64,
    /// The line alone.
    pub limit: Limit,
    /// The goodput as a part of what the line alone lets through.
    pub limit_share: f64,
    /// What the relay saw.
    pub relay: Passed,
    /// Most memory of the terminal.
    pub rss_mib: f64,
}

/// What the line lets through of datagrams that are sent as fast as it takes them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Bytes in datagrams that arrived, per second.
    pub bytes_per_second: f64,
    /// As a part of what the line carries.
    pub share: f64,
}

/// Runs all of it; `progress` gets the stage, what is done of it and what it comes to.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Stage, u64, u64),
) -> Result<Report, Failure> {
    let Options { line, seed, .. } = *options;
    // The directory is there until the end.
    let Federation { scratch: _scratch, layout, town, village } =
        Federation::without_county(options.dir.as_deref())?;
    let records = options.records as u64;
    library::load(&town.dir, village.region, options.records, seed, |done| {
        progress(Stage::Load, done, records);
    })?;
    progress(Stage::Limit, 0, 0);
    let bytes_per_second = probe(line, seed)?;
    let relay = Relay::start(town.listen, line, seed)?;
    let mut config = Config::load(&village.dir)?;
    for peer in &mut config.peers {
        peer.address = relay.address().into();
    }
    config.save(&village.dir)?;
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut fleet = Fleet::new(layout, &program);
    start(&mut fleet)?;
    let on_the_line = rate(records * RECORD_BYTES, line.bytes_per_second());
    let patience = PATIENCE + Duration::from_secs_f64(20.0 * on_the_line);
    let mut pace = Pace::of(records);
    let meeting = until_equal(&mut fleet, records, patience, &mut pace, |coming| {
        let Coming { received, .. } = coming;
        progress(Stage::Copy, received, records);
        Ok(())
    })?;
    let rss_mib = process(&fleet, DESTINATION)?.rss_mib;
    fleet.stop_all();
    let goodput = rate(meeting.wire_bytes, meeting.seconds);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        records,
        seed,
        line,
        meeting,
        goodput_bytes_per_second: goodput,
        goodput_share: goodput / line.bytes_per_second(),
        limit: Limit { bytes_per_second, share: bytes_per_second / line.bytes_per_second() },
        limit_share: goodput / bytes_per_second,
        relay: relay.passed(),
        rss_mib,
    })
}

/// Bytes per second that arrive of datagrams sent as fast as the line takes them.
fn probe(line: Line, seed: u64) -> Result<f64, Failure> {
    let parent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let child = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let relay = Relay::start(parent.local_addr()?, line, seed)?;
    let datagram = [0; DATAGRAM_BYTES];
    // A tenth faster than the line: its queue is full from then on.
    let pause = Duration::from_secs_f64(rate(DATAGRAM_BYTES as u64, line.bytes_per_second()) / 1.1);
    let begun = Instant::now();
    let mut settled = None;
    while begun.elapsed() < SETTLE + PROBE {
        child.send_to(&datagram, relay.address())?;
        if settled.is_none() && begun.elapsed() >= SETTLE {
            settled = Some((Instant::now(), relay.passed().bytes));
        }
        std::thread::sleep(pause);
    }
    let (since, before) = settled.ok_or_else(|| Failure::new("the line was not measured"))?;
    Ok(rate(relay.passed().bytes - before, since.elapsed().as_secs_f64()))
}

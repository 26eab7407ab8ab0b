//! Runs seeds of the simulator for as long as somebody likes.
//!
//! `simulate [--seeds FROM..TO] [--minutes N] [--last N] [--twice]`: the seeds from FROM up to, and without,
//! TO, each with a safety phase of N virtual minutes. One line for each seed goes to stdout; a
//! failure ends with the last N events, the reason and the command that replays it, and with exit
//! code 1. `--twice` runs each seed again and compares the hashes.

use std::ops::Range;
use std::process::ExitCode;

use cunlian_tests::sim::{self, Fault, Fired, Length};

struct Arguments {
    seeds: Range<u64>,
    length: Length,
    twice: bool,
}

fn main() -> ExitCode {
    let Some(Arguments { seeds, length, twice }) = arguments() else {
        eprintln!("usage: simulate [--seeds FROM..TO] [--minutes N] [--last N] [--twice]");
        return ExitCode::from(2);
    };
    let mut fired = Fired::default();
    let mut failed = 0_u32;
    let mut longest = (0.0, 0);
    for seed in seeds {
        let started = std::time::Instant::now();
        let outcome = sim::run(seed, length);
        let again = twice.then(|| sim::run(seed, length));
        match (outcome, again) {
            (Err(failure), _) | (Ok(_), Some(Err(failure))) => {
                eprintln!("{failure}");
                failed += 1;
            }
            (Ok(report), Some(Ok(again))) if report.hash != again.hash => {
                eprintln!("seed {seed} went two ways");
                failed += 1;
            }
            (Ok(report), _) => {
                let [a, b, c, d, ..] = report.hash;
                let hash = u32::from_be_bytes([a, b, c, d]);
                println!(
                    "seed {seed}: {} events, at rest after {:.0} s, {} faults, {hash:08x}, {} ms",
                    report.events,
                    report.seconds,
                    Fault::ALL.iter().filter(|fault| report.fired.times(**fault) > 0).count(),
                    started.elapsed().as_millis(),
                );
                fired.add(&report.fired);
                if report.settling_seconds > longest.0 {
                    longest = (report.settling_seconds, seed);
                }
            }
        }
    }
    let (seconds, seed) = longest;
    println!("longest way to rest: {seconds:.0} s, of seed {seed}");
    for fault in Fault::ALL {
        println!("{fault:?}: {}", fired.times(fault));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Option<Arguments> {
    let mut found = Arguments { seeds: 0..100, length: sim::SHORT, twice: false };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        match name.as_str() {
            "--seeds" => {
                let value = given.next()?;
                let (from, to) = value.split_once("..")?;
                found.seeds = from.parse().ok()?..to.parse().ok()?;
            }
            "--minutes" => found.length.minutes = given.next()?.parse().ok()?,
            "--last" => found.length.last = given.next()?.parse().ok()?,
            "--twice" => found.twice = true,
            _ => return None,
        }
    }
    Some(found)
}

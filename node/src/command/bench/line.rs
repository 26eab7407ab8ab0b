//! `cunlian bench storm`, `bench propagate` and `bench degraded`.

use std::path::PathBuf;

use clap::Args;

use super::{Setting, print_machine, progress_bar};
use crate::bench::relay::Line;
use crate::bench::{degraded, propagate, storm};
use crate::failure::Outcome;

/// Arguments of `bench storm`.
#[derive(Debug, Args)]
pub(super) struct Storm {
    /// Terminals
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    children: u32,
    /// Changes that wait at each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    changes: u32,
    /// Program that the town runs, such as a wrapper that profiles; this one by default
    #[arg(long)]
    program: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
}

impl Storm {
    pub(super) fn run(self) -> Outcome {
        let Self { children, changes, program, setting } = self;
        let (children, changes) = (usize::try_from(children)?, usize::try_from(changes)?);
        let Setting { seed, dir, form } = setting;
        let bar = progress_bar();
        let options = storm::Options { children, changes, seed, dir, program };
        let report = storm::run(&options, |stage, done, total| {
            bar.set_message(match stage {
                storm::Stage::Outage => "working alone",
                storm::Stage::Storm => "coming back",
                storm::Stage::Limit => "measuring the limit",
            });
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        form.print(&report?, print_storm)
    }
}

fn print_storm(report: &storm::Report) {
    let storm::Report { wait, limit, .. } = report;
    print_machine(report.version, &report.machine);
    println!(
        "{} terminals with {} changes each: all durable after {:.2} s, {:.0} changes/s",
        report.children, report.changes_each, report.seconds, report.changes_per_second
    );
    println!(
        "wait  {:.0} ms in the middle, {:.0} ms at 99 %, {:.0} ms at worst, {:.1} × the middle",
        wait.p50_ms, wait.p99_ms, wait.worst_ms, report.worst_over_median
    );
    println!(
        "limit {:.2} s on one core for the changes alone: share {:.0} %",
        limit.seconds,
        100.0 * report.limit_share
    );
    println!(
        "peak memory {:.0} MiB at the town, {:.0} MiB for all terminals; processor {:.2} s",
        report.rss_mib, report.children_rss_mib, report.cpu_seconds
    );
}

/// Arguments of `bench propagate`.
#[derive(Debug, Args)]
pub(super) struct Propagate {
    /// Records, one after the other
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    records: u32,
    #[command(flatten)]
    setting: Setting,
}

impl Propagate {
    pub(super) fn run(self) -> Outcome {
        let Setting { seed, dir, form } = self.setting;
        let records = usize::try_from(self.records)?;
        let bar = progress_bar();
        bar.set_message("village to county");
        bar.set_length(u64::from(self.records));
        let options = propagate::Options { records, seed, dir };
        let report = propagate::run(&options, |done| bar.set_position(done));
        bar.finish_and_clear();
        form.print(&report?, print_propagate)
    }
}

fn print_propagate(report: &propagate::Report) {
    let propagate::Report { way, limit, .. } = report;
    print_machine(report.version, &report.machine);
    println!(
        "{} records from village to county: {:.2} ms in the middle, {:.2} ms at 99 %, {:.2} ms at worst",
        report.records, way.p50_ms, way.p99_ms, way.worst_ms
    );
    println!(
        "limit {} fsyncs: {:.2} ms in the middle, {:.2} ms at 99 %: share {:.0} %",
        limit.fsyncs,
        limit.spread.p50_ms,
        limit.spread.p99_ms,
        100.0 * report.limit_share
    );
}

/// Arguments of `bench degraded`.
#[derive(Debug, Args)]
pub(super) struct Degraded {
    /// Documents of the library
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(1..))]
    records: u32,
    /// Datagrams of a hundred that are lost
    #[arg(long, default_value_t = 5.0)]
    loss_percent: f64,
    /// Milliseconds there and back
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=9_000))]
    round_trip_ms: u32,
    /// Bits per second in each direction
    #[arg(long, default_value_t = 128_000, value_parser = clap::value_parser!(u32).range(8_000..))]
    bits_per_second: u32,
    /// Milliseconds that the queue of the line holds
    #[arg(long, default_value_t = 1_000)]
    queue_ms: u32,
    /// Program that both processes run; this one by default
    #[arg(long)]
    program: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
}

impl Degraded {
    pub(super) fn run(self) -> Outcome {
        let Self { records, loss_percent, round_trip_ms, bits_per_second, queue_ms, .. } = self;
        let Setting { seed, dir, form } = self.setting;
        let loss_percent = loss_percent.clamp(0.0, 100.0);
        let line = Line { loss_percent, round_trip_ms, bits_per_second, queue_ms };
        let records = usize::try_from(records)?;
        let bar = progress_bar();
        let program = self.program;
        let options = degraded::Options { records, line, seed, dir, program };
        let report = degraded::run(&options, |stage, done, total| {
            bar.set_message(match stage {
                degraded::Stage::Load => "writing the library",
                degraded::Stage::Limit => "measuring the line",
                degraded::Stage::Copy => "copying it",
            });
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        form.print(&report?, print_degraded)
    }
}

fn print_degraded(report: &degraded::Report) {
    let degraded::Report { meeting, limit, relay, .. } = report;
    print_machine(report.version, &report.machine);
    println!(
        "{} records in {:.1} s, {} wire bytes: goodput {:.0} bytes/s, {:.0} % of the line",
        report.records,
        meeting.seconds,
        meeting.wire_bytes,
        report.goodput_bytes_per_second,
        100.0 * report.goodput_share
    );
    println!(
        "limit {:.0} bytes/s let through, {:.0} % of the line: share {:.0} %",
        limit.bytes_per_second,
        100.0 * limit.share,
        100.0 * report.limit_share
    );
    println!(
        "relay {} datagrams brought, {} lost, {} dropped by a full queue",
        relay.datagrams, relay.lost, relay.dropped
    );
}

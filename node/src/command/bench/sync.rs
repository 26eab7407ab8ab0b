//! `cunlian bench sync`.

use std::path::PathBuf;

use clap::Args;

use super::{Setting, print_machine, progress_bar};
use crate::bench::sync::{self, Report, Stage};
use crate::failure::{Failure, Outcome};

/// Exit code when the two stores differ at the end.
const DIFFERS: u8 = 3;

/// Arguments of `bench sync`.
#[derive(Debug, Args)]
pub(super) struct Sync {
    /// Documents of the library
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Let a person save records at the terminal during the cold copy, one every 20 ms
    #[arg(long)]
    person: bool,
    /// Program that both processes run, such as a wrapper that profiles; this one by default
    #[arg(long)]
    program: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
}

impl Sync {
    pub(super) fn run(self) -> Outcome {
        let records = usize::try_from(self.records)?;
        let Self { person, program, setting: Setting { seed, dir, form }, .. } = self;
        let options = sync::Options { records, seed, dir, person, program };
        let bar = progress_bar();
        let report = sync::run(&options, |stage, done, total| {
            bar.set_message(name(stage));
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let report = report?;
        form.print(&report, print)?;
        if report.equal {
            return Ok(());
        }
        let differences = report.differences.join("; ");
        Err(Failure::new(format!("the stores differ: {differences}")).code(DIFFERS))
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Load => "writing the library",
        Stage::Cold => "copying it",
        Stage::Limit => "measuring the limit",
        Stage::Noop => "comparing",
        Stage::Diff => "edits on both sides",
    }
}

fn print(report: &Report) {
    let Report { machine, cold, noop, diff, limit, .. } = report;
    print_machine(report.version, machine);
    println!("{} records, seed {}", report.records, report.seed);
    println!(
        "cold  {:.2} s, {:.0} records/s, {:.0} wire bytes per record, {} round trips",
        cold.meeting.seconds,
        cold.records_per_second,
        cold.wire_bytes_per_record,
        cold.meeting.round_trips
    );
    println!(
        "      {:.0} records/s in the first tenth, {:.0} in the last",
        cold.tenths.first_tenth_per_second, cold.tenths.last_tenth_per_second
    );
    if let Some(saved) = cold.local_writes {
        println!(
            "      {} records saved by hand meanwhile: {:.1} ms in the middle, {:.1} ms at 99 %, {:.1} ms at worst",
            saved.records, saved.latency.p50_ms, saved.latency.p99_ms, saved.latency.worst_ms
        );
    }
    println!(
        "limit {:.2} s on one core (signatures {:.2}, documents {:.2}, raw insert {:.2}): share {:.0} %",
        limit.seconds,
        limit.verify_seconds,
        limit.document_seconds,
        limit.insert_seconds,
        100.0 * cold.limit_share
    );
    println!(
        "noop  {:.3} s, {} wire bytes, {} round trips",
        noop.seconds, noop.wire_bytes, noop.round_trips
    );
    println!(
        "diff  {:.3} s, {} wire bytes, {} round trips; {} changes on each side, {} conflicts",
        diff.meeting.seconds,
        diff.meeting.wire_bytes,
        diff.meeting.round_trips,
        diff.changes_each,
        diff.conflicts
    );
    for (name, process) in [("source", report.source), ("destination", report.destination)] {
        println!(
            "{name}: peak memory {:.0} MiB, processor {:.2} s by the end of the copy",
            process.rss_mib, process.cpu_seconds
        );
    }
}

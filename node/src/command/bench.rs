//! `cunlian bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Outcome, print_json};
use crate::bench::identity::chain::Chain;
use crate::bench::identity::joins::Joins;
use crate::bench::identity::revocation::Revocation;
use crate::bench::sync::{self, Report, Stage};
use crate::bench::{Machine, identity};

mod history;
mod line;
mod reconcile;

/// Exit code when the two stores differ at the end.
const DIFFERS: u8 = 3;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Copy a library to an empty terminal, compare, bring edits of both sides together
    Sync(Sync),
    /// Find out what differs between two stores of millions of changes, over a slow line
    Reconcile(reconcile::Reconcile),
    /// Let all terminals of a town come back at once after an outage
    Storm(line::Storm),
    /// Time what a village saves until the county sees it
    Propagate(line::Propagate),
    /// Copy a library over a bad line
    Degraded(line::Degraded),
    /// Make documents and a store years old
    History(history::History),
    /// Check chains of certificates, let new machines join, revoke the work of a person
    Identity(Identity),
}

#[derive(Debug, Args)]
struct Identity {
    /// Machines that join
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    joins: u32,
    /// Changes by the person whose work is revoked
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    changes: u32,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Sync {
    /// Documents of the library
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Empty directory for the stores; a temporary one by default
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Let a person save records at the terminal during the cold copy, one every 20 ms
    #[arg(long)]
    person: bool,
    /// Program that both processes run, such as a wrapper that profiles; this one by default
    #[arg(long)]
    program: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Sync(options) => options.run(),
            What::Reconcile(options) => options.run(),
            What::Storm(options) => options.run(),
            What::Propagate(options) => options.run(),
            What::Degraded(options) => options.run(),
            What::History(options) => options.run(),
            What::Identity(options) => options.run(),
        }
    }
}

impl Identity {
    fn run(self) -> Outcome {
        let (joins, changes) = (usize::try_from(self.joins)?, usize::try_from(self.changes)?);
        let bar = progress_bar();
        let report = identity::run(&identity::Options { joins, changes }, |stage, done, total| {
            bar.set_message(match stage {
                identity::Stage::Chain => "checking chains",
                identity::Stage::Joins => "joining",
                identity::Stage::Revocation => "revoking",
            });
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            return print_json(&report);
        }
        print_machine(report.version, &report.machine);
        print_chain(&report.chain);
        print_joins(&report.joins);
        print_revocation(&report.revocation);
        Ok(())
    }
}

impl Sync {
    fn run(self) -> Outcome {
        let records = usize::try_from(self.records)?;
        let Self { seed, dir, program, json, person, .. } = self;
        let options = sync::Options { records, seed, dir, person, program };
        let bar = progress_bar();
        let report = sync::run(&options, |stage, done, total| {
            bar.set_message(name(stage));
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let report = report?;
        if json {
            print_json(&report)?;
        } else {
            print(&report);
        }
        if report.equal {
            return Ok(());
        }
        let differences = report.differences.join("; ");
        Err(Failure::new(format!("the stores differ: {differences}")).code(DIFFERS))
    }
}

/// On standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {elapsed}");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
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

fn print_machine(version: &str, machine: &Machine) {
    let Machine { build, cores, cpu, kernel, .. } = machine;
    println!("cunlian {version} ({build}), {cores} × {cpu}, Linux {kernel}");
}

fn print_chain(chain: &Chain) {
    println!(
        "chain of {} certificates, {} bytes: {:.1} µs from its bytes, {:.2} µs when it is known",
        chain.certificates, chain.bytes, chain.fresh_us, chain.known_us
    );
    println!(
        "  limit {:.1} µs (signatures alone): share {:.0} %",
        chain.limit_us,
        100.0 * chain.limit_share
    );
    println!(
        "  per message: {:.3} µs whether it may, {:.3} µs whether it is in force",
        chain.may_us, chain.valid_us
    );
}

fn print_joins(joins: &Joins) {
    let Joins { nodes, at_once, invite_seconds, seconds, per_second, limit, .. } = joins;
    println!(
        "{nodes} machines joined in {seconds:.2} s, {per_second:.0} per second, {at_once} at a time; {invite_seconds:.2} s of it for the invitations"
    );
    println!(
        "  limit {:.2} s (files {:.2}, rows {:.2}, signatures {:.2}): share {:.0} %",
        limit.seconds,
        limit.file_seconds,
        limit.row_seconds,
        limit.signature_seconds,
        100.0 * joins.limit_share
    );
}

fn print_revocation(revocation: &Revocation) {
    let Revocation { changes, documents, seconds, preview_seconds, limit, .. } = revocation;
    println!(
        "{changes} changes in {documents} documents revoked in {seconds:.2} s, foretold in {preview_seconds:.2} s"
    );
    println!(
        "  {} stay marked, {} are gone, {} by a colleague stand",
        revocation.tainted, revocation.removed, revocation.kept
    );
    println!(
        "  limit {:.2} s on one core (documents {:.2}, rows {:.2}): share {:.0} %",
        limit.seconds,
        limit.document_seconds,
        limit.row_seconds,
        100.0 * revocation.limit_share
    );
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

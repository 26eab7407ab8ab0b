//! `cunlian bench reconcile`.

use clap::Args;

use super::{Setting, print_machine, progress_bar};
use crate::bench::reconcile::{self, Differences, Report, Stage};
use crate::failure::Outcome;

/// Arguments of `bench reconcile`.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// Changes that both sides hold
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    items: u64,
    /// Changes that only one side holds, or `all`
    #[arg(long, default_value = "1", value_parser = differences)]
    differences: Differences,
    /// Milliseconds there and back
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=60_000))]
    round_trip_ms: u32,
    #[command(flatten)]
    setting: Setting,
}

fn differences(text: &str) -> Result<Differences, String> {
    if text == "all" {
        return Ok(Differences::All);
    }
    text.parse().map(Differences::Some).map_err(|_| "a number, or all".to_owned())
}

impl Reconcile {
    pub(super) fn run(self) -> Outcome {
        let Self { items, differences, round_trip_ms, setting } = self;
        let Setting { seed, dir, form } = setting;
        let options = reconcile::Options { items, differences, round_trip_ms, seed, dir };
        let bar = progress_bar();
        let report = reconcile::run(&options, |stage, done, total| {
            bar.set_message(match stage {
                Stage::Fill => "filling the stores",
                Stage::Meet => "comparing",
            });
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        form.print(&report?, print)
    }
}

fn print(report: &Report) {
    let Report { known, limit, .. } = report;
    print_machine(report.version, &report.machine);
    println!(
        "{} changes, {} of them on one side only, {} ms there and back",
        report.items, report.differences, report.round_trip_ms
    );
    println!(
        "known {:.2} s, {} round trips, {} wire bytes in {} frames, {:.2} s of work; hello {} bytes",
        known.seconds,
        known.rounds,
        known.wire_bytes,
        known.messages,
        known.busy_seconds,
        report.hello_wire_bytes
    );
    println!(
        "limit {:.2} s for the round trips; ids {} bytes, {:.2} used for each; the aim allows {}",
        limit.seconds, limit.id_bytes, limit.wire_bytes_per_id_byte, limit.allowed_wire_bytes
    );
    if let Some(done) = report.done {
        println!("done  {:.2} s, {} wire bytes with the changes", done.seconds, done.wire_bytes);
    }
    println!("peak memory {:.0} MiB for both sides", report.rss_mib);
}

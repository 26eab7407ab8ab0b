//! `cunlian bench history`.

use clap::Args;

use super::{Setting, print_machine, progress_bar};
use crate::bench::history::{self, Report};
use crate::failure::Outcome;

/// Arguments of `bench history`.
#[derive(Debug, Args)]
pub(super) struct History {
    /// How old documents and store become
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    years: u32,
    /// Records of the store
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    records: u32,
    #[command(flatten)]
    setting: Setting,
}

impl History {
    pub(super) fn run(self) -> Outcome {
        let Self { years, records, setting } = self;
        let Setting { seed, dir, form } = setting;
        let (years, records) = (usize::try_from(years)?, usize::try_from(records)?);
        let bar = progress_bar();
        bar.set_message("years go by");
        let report =
            history::run(&history::Options { years, records, seed, dir }, |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            });
        bar.finish_and_clear();
        form.print(&report?, print)
    }
}

fn print(report: &Report) {
    print_machine(report.version, &report.machine);
    for document in &report.documents {
        println!(
            "{}: {} changes a year, full after {:.0} years",
            document.kind, document.changes_per_year, document.years_until_full
        );
        for age in &document.ages {
            println!(
                "  {:2} years: {:6} changes, {:8} bytes; one more: {:7.2} ms to save, {:7.2} ms to take in; {:7.2} ms to read",
                age.years, age.changes, age.bytes, age.save_ms, age.ingest_ms, age.view_ms
            );
        }
    }
    let store = &report.store;
    println!(
        "store of {} records and {} changes: {} bytes, {:.0} for each record ({:.0} when new), {:.0} for each change",
        store.records,
        store.changes,
        store.bytes,
        store.bytes_per_record,
        store.new_bytes_per_record,
        store.bytes_per_change
    );
}

//! `cunlian bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::print_json;
use crate::bench::Machine;
use crate::failure::Outcome;

mod history;
mod identity;
mod line;
mod reconcile;
mod sync;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Copy a library to an empty terminal, compare, bring edits of both sides together
    Sync(sync::Sync),
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
    Identity(identity::Identity),
}

/// What a benchmark that makes its own data is told.
#[derive(Debug, Args)]
struct Setting {
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Empty directory for the stores; a temporary one by default
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// How the report is wanted.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Form {
    /// Prints a report: one JSON object, or in words.
    fn print<R: Serialize>(self, report: &R, in_words: impl FnOnce(&R)) -> Outcome {
        if self.json {
            return print_json(report);
        }
        in_words(report);
        Ok(())
    }
}

impl Bench {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            BenchCommand::Sync(options) => options.run(),
            BenchCommand::Reconcile(options) => options.run(),
            BenchCommand::Storm(options) => options.run(),
            BenchCommand::Propagate(options) => options.run(),
            BenchCommand::Degraded(options) => options.run(),
            BenchCommand::History(options) => options.run(),
            BenchCommand::Identity(options) => options.run(),
        }
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

fn print_machine(version: &str, machine: &Machine) {
    let Machine { build, cores, cpu, kernel, .. } = machine;
    println!("cunlian {version} ({build}), {cores} × {cpu}, Linux {kernel}");
}

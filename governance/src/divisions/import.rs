//! Reading a division list into the register.
//!
//! The list is streamed: memory does not grow with it. Rows are written in transactions of
//! [`BATCH_ROWS`], so a process killed on the way leaves a register that is complete up to some
//! row, and importing the same list again finishes the work. Importing it once more changes
//! nothing. A code that stands twice in one list keeps its last row.
//!
//! A list without a `status` column says nothing about statuses: those known from another list
//! stay. Likewise an empty parent does not erase a known one.

use std::io::{self, Read};

use cunlian_protocol::address::{AddressCode, Kind};
use rusqlite::{CachedStatement, Connection};
use serde::{Serialize, Serializer};

use super::lines::{Line, Lines};
use super::row::{Fields, Format, Header, HeaderError, Row, RowError};
use super::{Status, schema};

/// Rows per transaction.
pub const BATCH_ROWS: u64 = 20_000;

/// Rejected rows, and placeholders, that a report lists one by one; beyond it they are counted.
pub const LISTED_MAX: usize = 100;

/// Rows between two progress reports.
const PROGRESS_ROWS: u64 = 2_000;

/// Characters of an offending text that a report quotes.
const QUOTED_CHARS: usize = 80;

const INSERT: &str = "INSERT INTO division (code, level, name, parent, status, successors)
     VALUES (?1, length(?1), ?2, ?3, ?4, ?5)
     ON CONFLICT (code) DO UPDATE SET
         name = excluded.name,
         parent = iif(excluded.parent = '', parent, excluded.parent),
         status = iif(?6, excluded.status, status),
         successors = iif(?6, excluded.successors, successors)
     WHERE name <> excluded.name
         OR (excluded.parent <> '' AND parent <> excluded.parent)
         OR (?6 AND (status <> excluded.status OR successors <> excluded.successors))";

/// Why a list could not be imported at all, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The list could not be read on; batches before this line are kept.
    #[error("the list cannot be read after line {line}")]
    Read {
        /// Lines read before.
        line: u64,
        /// The error of the reader.
        source: io::Error,
    },
    /// There is no header: the list is empty.
    #[error("the list is empty")]
    Empty,
    /// The first line is not the header of a known list.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The register could not be written; batches before are kept.
    #[error("the register of divisions cannot be written")]
    Register(#[from] rusqlite::Error),
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the list read so far.
    pub bytes: u64,
    /// Rows read so far, without the header and blank lines.
    pub rows: u64,
}

/// What an import did. `rows = inserted + updated + unchanged + rejected_count + placeholder_count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The list, as told by its header.
    pub format: Format,
    /// Rows read, without the header and blank lines.
    pub rows: u64,
    /// Codes new to the register.
    pub inserted: u64,
    /// Rows that changed the entry of a known code.
    pub updated: u64,
    /// Rows that repeated what was known.
    pub unchanged: u64,
    /// Rows that were malformed.
    pub rejected_count: u64,
    /// The first [`LISTED_MAX`] of them.
    pub rejected: Vec<Rejected>,
    /// Rows whose code names no town or village; they are not entered.
    pub placeholder_count: u64,
    /// The first [`LISTED_MAX`] of them.
    pub placeholders: Vec<Placeholder>,
    /// Entries of the whole register, after the import, whose parent is not in it.
    pub missing_parents: u64,
}

/// A row that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Line of the file, from 1; the header is line 1.
    pub line: u64,
    /// Why.
    #[serde(serialize_with = "as_text")]
    pub reason: RowError,
    /// The row, shortened to 80 characters.
    pub text: String,
}

/// A row that fills a list without naming a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placeholder {
    /// Line of the file, from 1.
    pub line: u64,
    /// The code, with town or village digits 000.
    pub code: AddressCode,
    /// The name given to it.
    pub name: String,
}

fn as_text<S: Serializer>(reason: &RowError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

/// Imports a list, creating the register if there is none.
///
/// Writes in transactions of its own unless the connection is already inside one. `progress` is
/// called every few thousand rows and once at the end.
pub fn import(
    connection: &Connection,
    list: impl Read,
    mut progress: impl FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let mut lines = Lines::new(list);
    let header = match lines.next() {
        Ok(Some(line)) => Header::parse(line.bytes)?,
        Ok(None) => return Err(ImportError::Empty),
        Err(source) => return Err(ImportError::Read { line: 0, source }),
    };
    schema(connection)?;
    let before = entries(connection)?;
    let mut import = Import { header: &header, report: ImportReport::new(header.format()) };
    let mut changed = 0;
    loop {
        let rows_before = import.report.rows;
        let own = connection.is_autocommit();
        let transaction = own.then(|| connection.unchecked_transaction()).transpose()?;
        changed += import.batch(connection, &mut lines, &mut progress)?;
        if let Some(transaction) = transaction {
            transaction.commit()?;
        }
        if import.report.rows == rows_before {
            break;
        }
    }
    let mut report = import.report;
    report.inserted = entries(connection)?.saturating_sub(before);
    report.updated = changed - report.inserted;
    report.missing_parents = missing_parents(connection)?;
    progress(Progress { bytes: lines.bytes(), rows: report.rows });
    Ok(report)
}

/// An import on its way.
struct Import<'a> {
    header: &'a Header,
    report: ImportReport,
}

impl ImportReport {
    fn new(format: Format) -> Self {
        Self {
            format,
            rows: 0,
            inserted: 0,
            updated: 0,
            unchanged: 0,
            rejected_count: 0,
            rejected: Vec::new(),
            placeholder_count: 0,
            placeholders: Vec::new(),
            missing_parents: 0,
        }
    }
}

impl Import<'_> {
    /// Reads up to [`BATCH_ROWS`] rows and gives the number of entries written.
    fn batch<R: Read>(
        &mut self,
        connection: &Connection,
        lines: &mut Lines<R>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<u64, ImportError> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut changed = 0;
        let mut rows = 0;
        while rows < BATCH_ROWS {
            let line_before = lines.line();
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(source) => return Err(ImportError::Read { line: line_before, source }),
            };
            if line.bytes.trim_ascii().is_empty() {
                continue;
            }
            rows += 1;
            self.report.rows += 1;
            changed += self.line(&mut insert, &line)?;
            if self.report.rows.is_multiple_of(PROGRESS_ROWS) {
                progress(Progress { bytes: lines.bytes(), rows: self.report.rows });
            }
        }
        Ok(changed)
    }

    /// Enters, counts or rejects one line and gives the number of entries written, 0 or 1.
    fn line(
        &mut self,
        insert: &mut CachedStatement<'_>,
        line: &Line<'_>,
    ) -> Result<u64, ImportError> {
        let fields = if line.cut { Err(RowError::LineLength) } else { Fields::split(line.bytes) };
        let row = fields.as_ref().map_err(Clone::clone).and_then(|fields| self.header.row(fields));
        match row {
            Ok(row) if row.code.kind() == Kind::Placeholder => {
                self.report.placeholder_count += 1;
                if self.report.placeholders.len() < LISTED_MAX {
                    let name = shortened(row.name.as_bytes());
                    let placeholder = Placeholder { line: line.number, code: row.code, name };
                    self.report.placeholders.push(placeholder);
                }
                Ok(0)
            }
            Ok(row) => {
                let changed = write(insert, &row)?;
                self.report.unchanged += 1 - changed;
                Ok(changed)
            }
            Err(reason) => {
                self.report.rejected_count += 1;
                if self.report.rejected.len() < LISTED_MAX {
                    let text = shortened(line.bytes);
                    self.report.rejected.push(Rejected { line: line.number, reason, text });
                }
                Ok(0)
            }
        }
    }
}

/// Writes one entry and gives 1, or 0 if it was there already.
fn write(insert: &mut CachedStatement<'_>, row: &Row<'_>) -> rusqlite::Result<u64> {
    let (status, successors) = match &row.fate {
        Some((status, successors)) => (*status, successors.as_slice()),
        None => (Status::Active, [].as_slice()),
    };
    let successors: Vec<_> = successors.iter().map(AddressCode::as_str).collect();
    let changed = insert.execute((
        row.code.as_str(),
        row.name,
        row.parent.as_ref().map_or("", AddressCode::as_str),
        status.as_str(),
        successors.join(" "),
        row.fate.is_some(),
    ))?;
    Ok(changed as u64)
}

fn entries(connection: &Connection) -> rusqlite::Result<u64> {
    count(connection, "SELECT count(*) FROM division")
}

fn missing_parents(connection: &Connection) -> rusqlite::Result<u64> {
    count(
        connection,
        "SELECT count(*) FROM division AS child WHERE child.parent <> ''
         AND NOT EXISTS (SELECT 1 FROM division AS parent WHERE parent.code = child.parent)",
    )
}

fn count(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    connection.query_row(query, [], |row| row.get(0)).map(i64::unsigned_abs)
}

/// The beginning of a text for a report; what is not UTF-8 becomes `�`.
pub(super) fn shortened(text: &[u8]) -> String {
    // Four bytes is the longest character, so this prefix holds all that is quoted.
    let prefix = text.get(..QUOTED_CHARS * 4 + 4).unwrap_or(text);
    let decoded = String::from_utf8_lossy(prefix);
    let mut quoted: String = decoded.chars().take(QUOTED_CHARS).collect();
    if decoded.chars().nth(QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}

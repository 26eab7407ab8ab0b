//! A division list on its way in: rows are checked, counted and handed out in batches.

use std::io::{self, Read};

use cunlian_protocol::address::{AddressCode, Kind};
use serde::{Serialize, Serializer};

use super::limits::{BATCH_ROWS, LISTED_MAX};
use super::lines::{Line, Lines};
use super::row::{Fields, Format, Header, HeaderError, Row, RowError, shortened};

/// Why a list cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The input failed.
    #[error("the list cannot be read after line {line}: {source}")]
    Read {
        /// Lines read before.
        line: u64,
        /// The error of the input.
        source: io::Error,
    },
    /// There is no header: the list is empty.
    #[error("the list is empty")]
    Empty,
    /// The first line is not the header of a known list.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A list being read.
#[derive(Debug)]
pub struct DivisionList<R> {
    lines: Lines<R>,
    header: Header,
    report: ImportReport,
}

/// What writing a batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Codes that are new.
    pub inserted: u64,
    /// Entries that changed.
    pub updated: u64,
    /// Entries that were there already.
    pub unchanged: u64,
    /// Rows of places that belong to somebody else's register.
    pub outside: Vec<Outside>,
}

/// Good rows of a list, at most [`BATCH_ROWS`].
#[derive(Debug)]
pub struct Batch {
    pub(super) rows: Vec<Row>,
}

/// How far the reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the list read so far.
    pub bytes: u64,
    /// Rows read so far, without the header and blank lines.
    pub rows: u64,
}

/// What an import did. `rows = inserted + updated + unchanged + rejected_count + placeholder_count +
/// outside_count`.
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
    /// Rows of places outside the region whose register this is; they are not entered.
    pub outside_count: u64,
    /// The first [`LISTED_MAX`] of them.
    pub outside: Vec<Outside>,
    /// Entries of the whole register, after the import, whose parent is not in it.
    pub missing_parents: u64,
    /// Successors named in the whole register, after the import, that are not in it: whoever scans
    /// such an old plate is led nowhere.
    pub missing_successor_count: u64,
    /// The first [`LISTED_MAX`] of them.
    pub missing_successors: Vec<MissingSuccessor>,
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

/// A row of a place that is not the publisher's to name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// The code.
    pub code: AddressCode,
    /// The name given to it.
    pub name: String,
}

/// A successor that the register does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingSuccessor {
    /// The code that was merged or split.
    pub code: AddressCode,
    /// Its name.
    pub name: String,
    /// The successor.
    pub successor: AddressCode,
}

fn as_text<S: Serializer>(reason: &RowError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

impl<R: Read> DivisionList<R> {
    /// Reads the header, which decides the format.
    pub fn open(input: R) -> Result<Self, ListError> {
        let mut lines = Lines::new(input);
        let header = match lines.next() {
            Ok(Some(line)) => Header::parse(line.bytes)?,
            Ok(None) => return Err(ListError::Empty),
            Err(source) => return Err(ListError::Read { line: 0, source }),
        };
        let report = ImportReport {
            format: header.format(),
            rows: 0,
            inserted: 0,
            updated: 0,
            unchanged: 0,
            rejected_count: 0,
            rejected: Vec::new(),
            placeholder_count: 0,
            placeholders: Vec::new(),
            outside_count: 0,
            outside: Vec::new(),
            missing_parents: 0,
            missing_successor_count: 0,
            missing_successors: Vec::new(),
        };
        Ok(Self { lines, header, report })
    }

    /// The next rows; `None` at the end of the list. A batch may hold no good row.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ListError> {
        let mut batch = Batch { rows: Vec::new() };
        let first = self.report.rows;
        while self.report.rows - first < BATCH_ROWS {
            let before = self.lines.line();
            let line = match self.lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(source) => return Err(ListError::Read { line: before, source }),
            };
            if !line.bytes.trim_ascii().is_empty() {
                batch.rows.extend(self.report.sort(&self.header, &line));
            }
        }
        Ok((self.report.rows > first).then_some(batch))
    }

    /// How far the reading has come.
    pub fn progress(&self) -> Progress {
        Progress { bytes: self.lines.bytes(), rows: self.report.rows }
    }

    /// Counts what writing a batch did.
    pub fn tally(&mut self, written: Written) {
        self.report.inserted += written.inserted;
        self.report.updated += written.updated;
        self.report.unchanged += written.unchanged;
        self.report.outside_count += written.outside.len() as u64;
        let room = LISTED_MAX.saturating_sub(self.report.outside.len());
        self.report.outside.extend(written.outside.into_iter().take(room));
    }

    /// The report on all of it, with what the whole register lacks.
    ///
    /// # Panics
    /// When a row is not accounted for: a batch was not tallied, or the program is wrong.
    pub(super) fn report(
        self,
        missing_parents: u64,
        mut missing_successors: Vec<MissingSuccessor>,
    ) -> ImportReport {
        let missing_successor_count = missing_successors.len() as u64;
        missing_successors.truncate(LISTED_MAX);
        let report = ImportReport {
            missing_parents,
            missing_successor_count,
            missing_successors,
            ..self.report
        };
        assert_eq!(report.rows, report.accounted(), "every row has come to something");
        report
    }
}

impl ImportReport {
    /// What became of rows, added up.
    fn accounted(&self) -> u64 {
        let taken = self.inserted + self.updated + self.unchanged;
        taken + self.rejected_count + self.placeholder_count + self.outside_count
    }

    /// Counts one line and gives its row if it is to be entered.
    fn sort(&mut self, header: &Header, line: &Line<'_>) -> Option<Row> {
        self.rows += 1;
        let fields = if line.cut { Err(RowError::LineLength) } else { Fields::split(line.bytes) };
        match fields.and_then(|fields| header.row(&fields)) {
            Ok(row) if row.code.kind() == Kind::Placeholder => {
                self.placeholder_count += 1;
                if self.placeholders.len() < LISTED_MAX {
                    let name = shortened(row.name.as_bytes());
                    self.placeholders.push(Placeholder { line: line.number, code: row.code, name });
                }
                None
            }
            Ok(row) => Some(row),
            Err(reason) => {
                self.rejected_count += 1;
                if self.rejected.len() < LISTED_MAX {
                    let text = shortened(line.bytes);
                    self.rejected.push(Rejected { line: line.number, reason, text });
                }
                None
            }
        }
    }
}

//! Checking the store against itself: everything else in it follows from the log.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::change::{ChangeKind, Home, SignedChange};
use cunlian_protocol::key::{KeyPrefix, SetKey};

#[cfg(doc)]
use cunlian_protocol::limits;
use cunlian_protocol::signing::{self, Claim, Context};
use rayon::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::apply_validity::entries;
use super::erased::erases;
use super::materialize::fill;
use super::rows::{damaged, key_of};
use super::validity::{Entry, Source, settle};
use super::{Fault, Inner, blob, bounds, counts, kept, pending_counts, rollup, summary};
use crate::projector::Rollup;

/// Changes whose signatures are checked together, and their bytes.
const TOGETHER: usize = 4_096;
const TOGETHER_BYTES: usize = 8 << 20;

/// What a verification found. All lists are empty when the store is sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Changes looked at.
    pub changes: u64,
    /// Documents looked at.
    pub documents: u64,
    /// What SQLite's own check found.
    pub damaged_pages: Vec<String>,
    /// Changes whose signature, author or key does not hold, with the reason.
    pub bad_changes: Vec<String>,
    /// Changes that should not be in the log, or not in this form: that do not stand without
    /// anything building on them, stubs without an erasure, payloads in spite of one, and marks of
    /// tainted changes that are missing or too many.
    pub wrong_validity: Vec<String>,
    /// Prefixes whose summary is not the sum of the changes below, or which should have none, and
    /// categories with another number of documents than is noted.
    pub wrong_summaries: Vec<String>,
    /// Places and tiers of which the counts of what waits are not what the outbox holds, and tables of
    /// what is kept of whom that are not those of a recount.
    pub wrong_counts: Vec<String>,
    /// Projection tables that differ from what the log gives, and rollups that differ from a recount.
    pub wrong_projections: Vec<String>,
    /// Blobs whose content is not what their id says, and references that do not follow from the
    /// documents.
    pub bad_blobs: Vec<String>,
    /// Documents of which some changes do not count, because these or the document hold more
    /// operations than they may ([`limits::DOCUMENT_OPERATIONS`]). The store is sound all the same.
    pub beyond_bounds: Vec<String>,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.damaged_pages.is_empty()
            && self.bad_changes.is_empty()
            && self.wrong_validity.is_empty()
            && self.wrong_summaries.is_empty()
            && self.wrong_counts.is_empty()
            && self.wrong_projections.is_empty()
            && self.bad_blobs.is_empty()
    }
}

pub(super) fn verify(inner: &Inner) -> Result<Verification, Fault> {
    inner.readers.with(|connection| {
        let mut report = Verification::default();
        let done = pages(connection, &mut report)
            .and_then(|()| log_and_summaries(connection, inner, &mut report))
            .and_then(|()| {
                report.wrong_counts = pending_counts::wrong(connection)?;
                report.wrong_counts.extend(kept::wrong(connection)?);
                report.beyond_bounds = bounds::listed(connection)?;
                projections(connection, inner, &mut report)
            });
        match done.map_err(Fault::from) {
            // What lies on a damaged page cannot be read, so the report ends where it was met.
            Err(fault @ Fault::Corrupt { .. }) => {
                inner.shared.condition.note_damage(&fault);
                report.damaged_pages.push(fault.to_string());
                Ok(report)
            }
            Err(fault) => Err(fault),
            Ok(()) => {
                if let Some(detail) = report.damaged_pages.first().cloned() {
                    inner.shared.condition.note_damage(&Fault::Corrupt { detail });
                }
                Ok(report)
            }
        }
    })
}

fn pages(connection: &Connection, report: &mut Verification) -> rusqlite::Result<()> {
    let mut check = connection.prepare("PRAGMA quick_check")?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" {
            report.damaged_pages.push(line);
        }
    }
    Ok(())
}

fn log_and_summaries(
    connection: &Connection,
    inner: &Inner,
    report: &mut Verification,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT key, bytes FROM change ORDER BY row")?;
    let mut rows = select.query([])?;
    let mut together = Vec::with_capacity(TOGETHER);
    let mut bytes = 0;
    let authority = inner.shared.authority();
    let mut doubtful = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let key = key_of(row.get_ref(0)?.as_blob()?)?;
        report.changes += 1;
        match SignedChange::decode(row.get(1)?) {
            Ok(change) if change.key() == key => {
                let header = change.header();
                let stands = authority.stands(&header.author, header.seq, Some(&change.id()));
                if change.is_stub() || header.kind == ChangeKind::ERASE || stands.is_err() {
                    doubtful.insert(header.home);
                }
                bytes += change.bytes().len();
                together.push(change);
            }
            Ok(_) => report.bad_changes.push(format!("{}: is under another key", key.change)),
            Err(error) => report.bad_changes.push(format!("{}: {error}", key.change)),
        }
        if together.len() == TOGETHER || bytes >= TOGETHER_BYTES {
            bytes = 0;
            report.bad_changes.extend(signatures(inner, &std::mem::take(&mut together)));
        }
    }
    report.bad_changes.extend(signatures(inner, &together));
    standing(connection, inner, &doubtful, report)?;
    summaries(connection, report)
}

/// Compares the kept summaries and numbers of documents with a recount.
fn summaries(connection: &Connection, report: &mut Verification) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT prefix, value FROM summary")?;
    let kept = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut kept = kept.collect::<rusqlite::Result<BTreeMap<Vec<u8>, Vec<u8>>>>()?;
    let mut wrong = Vec::new();
    summary::trie::each_due(connection, |prefix, summary| {
        if kept.remove(prefix).as_deref() != Some(summary.to_bytes().as_slice()) {
            wrong.push(prefix.to_vec());
        }
        Ok(())
    })?;
    wrong.extend(kept.into_keys());
    report.wrong_summaries.extend(wrong.iter().map(|prefix| match KeyPrefix::from_bytes(prefix) {
        Ok(prefix) => format!("{prefix:?}"),
        Err(error) => error.to_string(),
    }));
    for category in summary::categories(connection)? {
        let counted = counts::documents_counted(connection, category)?;
        let kept = counts::documents_kept(connection, category)?;
        if counted != kept {
            let prefix = KeyPrefix::category(category);
            let found = format!("{prefix:?}: {kept} documents noted, {counted} found");
            report.wrong_summaries.push(found);
        }
    }
    Ok(())
}

fn signatures(inner: &Inner, changes: &[SignedChange]) -> Vec<String> {
    let authority = inner.shared.authority();
    let check = |chunk: &[SignedChange]| {
        let mut bad = Vec::new();
        let mut known = Vec::with_capacity(chunk.len());
        for change in chunk {
            match authority.get(&change.header().author) {
                Some(certificate) => known.push((change, certificate.body().subject)),
                None => bad.push(format!("{}: the author is unknown", change.id())),
            }
        }
        let claims: Vec<Claim<'_>> = known.iter().map(|(change, key)| change.claim(*key)).collect();
        let holds = signing::verify_all(Context::Change, &claims);
        for ((change, _), _) in known.iter().zip(holds).filter(|(_, holds)| !holds) {
            bad.push(format!("{}: {}", change.id(), signing::BadSignature));
        }
        bad
    };
    changes.par_chunks(128).flat_map_iter(check).collect()
}

/// Puts the changes of documents that are not plain in their places again, and compares.
fn standing(
    connection: &Connection,
    inner: &Inner,
    doubtful: &BTreeSet<Home>,
    report: &mut Verification,
) -> rusqlite::Result<()> {
    let authority = inner.shared.authority();
    let mut expected = BTreeSet::new();
    for home in doubtful {
        let settled = settle(&authority, *home, entries(connection, &authority, home)?);
        let in_log = |entry: &Entry| matches!(entry.source, Source::Log { .. });
        for (entry, reason) in settled.withheld.iter().filter(|(entry, _)| in_log(entry)) {
            report.wrong_validity.push(format!("{}: {reason}", entry.change.id()));
        }
        for Entry { change, source, .. } in &settled.kept {
            let whole = erases(change) || change.is_stub() == settled.erased;
            if !matches!(source, Source::Log { .. }) {
                report.wrong_validity.push(format!("{}: is in quarantine", change.id()));
            } else if !whole {
                report.wrong_validity.push(format!("{}: its document was erased", change.id()));
            }
        }
        let view = settled.history.view();
        let tainted = view.tainted.into_iter().map(|tainted| tainted.writer.change);
        expected.extend(tainted.map(|change| SetKey { home: *home, change }.to_bytes()));
    }
    let mut select = connection.prepare("SELECT key FROM tainted")?;
    let marked = select.query_map([], |row| row.get(0))?;
    let marked = marked.collect::<rusqlite::Result<BTreeSet<Vec<u8>>>>()?;
    for key in expected.symmetric_difference(&marked) {
        let change = key_of(key)?.change;
        report.wrong_validity.push(format!("{change}: is marked as tainted or not, wrongly"));
    }
    Ok(())
}

/// Fills the tables of a temporary database from the log and compares row by row.
fn projections(
    connection: &Connection,
    inner: &Inner,
    report: &mut Verification,
) -> rusqlite::Result<()> {
    let projector = &*inner.shared.projector;
    let expected = Connection::open("")?;
    expected.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")?;
    expected.execute_batch(&projector.schema())?;
    report.documents =
        connection.query_row("SELECT count(*) FROM document", [], |row| row.get(0))?;
    let expect = |home: &Home, names: &[blob::naming::Named]| blob::expect(&expected, home, names);
    let authority = inner.shared.authority();
    fill(connection, &expected, &projector.sets(), &authority, Some(&expect))?;
    report.bad_blobs = blob::verify(connection, &expected)?;
    rollup::recount(&expected, &projector.rollups())?;
    let rollups = projector.rollups().into_iter().map(Rollup::table);
    for table in projector.tables().into_iter().chain(rollups) {
        if !same_rows(connection, &expected, table)? {
            report.wrong_projections.push(table.to_owned());
        }
    }
    Ok(())
}

fn same_rows(left: &Connection, right: &Connection, table: &str) -> rusqlite::Result<bool> {
    let columns = left.prepare(&format!("SELECT * FROM {table}"))?.column_count();
    let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
    let sql = format!("SELECT * FROM {table} ORDER BY {}", order.join(", "));
    let (mut left, mut right) = (left.prepare(&sql)?, right.prepare(&sql)?);
    let (mut left, mut right) = (left.query([])?, right.query([])?);
    loop {
        match (left.next()?, right.next()?) {
            (None, None) => return Ok(true),
            (Some(left), Some(right)) => {
                for column in 0..columns {
                    let left: Value = left.get(column)?;
                    if left != right.get(column).map_err(|error| damaged(Box::new(error)))? {
                        return Ok(false);
                    }
                }
            }
            _ => return Ok(false),
        }
    }
}

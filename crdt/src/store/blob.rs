//! Blobs: photos and files that documents name, in the same file as the documents.
//!
//! A blob is in the store exactly as long as some document names it: its row is made with the
//! first *reference*, and goes with the last one, in the transaction that changes the document.
//! So what is erased, purged or taken back takes its photos along, and a peer can fill nothing
//! with what nobody asked for. References follow from the documents, as projections do. To name a
//! blob is not to have it: see [`proof`].
//!
//! ```text
//!  Store::write_with_blobs ─► change, document, reference ─┐
//!                             chunks, outline              ├─ one transaction
//!  batch of a peer ─────────► change, document, reference ─┘
//!  chunk of a peer ─────────► chunk, if still referenced ─── one transaction each
//! ```
//!
//! | table | one row for each |
//! |---|---|
//! | `blob` | content that is named: id and length, `missing` chunks, when the change that named it was recorded, tiers that hold it and that have `begun` to ask for it, key of the peer it came from, outline when known |
//! | `blob_chunk` | chunk of 64 KiB that is here |
//! | `blob_proof` | reference that lacks: what came under it, see [`proof`] |
//! | `blob_reference` | document and blob it names; `lacking` while the document does not have it, then `awaited` as tier bits, as in `outbox` |
//! | `blob_postponed` | tier above (bit) that does not ask for blobs of more than `over_bytes`, see [`deferral`] |

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::blob::{BlobError, BlobName, Outline, Under};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{BlobId, ChangeId, PublicKey};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use rusqlite::{Connection, OptionalExtension as _, Row};

use self::naming::Named;
use super::outbox::Ancestors;
use super::writer::Batch;
use super::{Fault, Store, WriteError, local};
use crate::document::{Author, Write};

mod claims;
mod deferral;
mod exchange;
mod missing;
pub(super) mod naming;
mod outlines;
mod proof;
mod verify;

pub(super) use claims::Claims;
pub(super) use exchange::serve;
pub(super) use verify::{expect, verify};

/// What there is of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobContent {
    /// All of it.
    Whole(Vec<u8>),
    /// Some document names it, and its content has not arrived.
    OnItsWay {
        /// Bytes that are here.
        here: u64,
    },
}

/// How far a blob has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobState {
    /// Whether all of it is here.
    pub whole: bool,
    /// Bytes that are here.
    pub here: u64,
    /// Tiers above (bits) that hold all of it.
    pub reached: u8,
    /// Tiers above (bits) that may read a document that names it, and are not known to hold it.
    pub awaited: u8,
    /// Why it does not go on: of a whole one the word of a tier above, of another one why it is
    /// not asked for here.
    pub postponed: Option<String>,
}

/// Blobs of a store in sum, and for each peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobTotals {
    /// Named and not whole here.
    pub missing: BlobBacklog,
    /// Whole here, and some tier above is not known to hold them.
    pub awaited: BlobBacklog,
    /// The same for each tier, with what it does not ask for at present.
    pub above: BTreeMap<Tier, (BlobBacklog, NotTaken)>,
    /// Of those that are missing, what is not asked of which peer.
    pub not_taken: BTreeMap<PublicKey, NotTaken>,
    /// Why nothing that is missing is asked for, if that is so.
    pub why_none: Option<&'static str>,
}

/// Blobs that are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobBacklog {
    /// How many.
    pub blobs: u64,
    /// Their bytes, those that have arrived already included.
    pub bytes: u64,
    /// When the change that names the oldest was recorded.
    pub oldest_recorded_at_ms: Option<i64>,
}

/// Blobs that are not asked for at present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotTaken {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why, in the words of who does not ask for them; empty when there are none.
    pub why: String,
}

impl BlobBacklog {
    fn add(&mut self, bytes: u64, recorded_at_ms: i64) {
        self.blobs += 1;
        self.bytes += bytes;
        let oldest = self.oldest_recorded_at_ms.map_or(recorded_at_ms, |at| at.min(recorded_at_ms));
        self.oldest_recorded_at_ms = Some(oldest);
    }
}

impl NotTaken {
    fn add(&mut self, bytes: u64, why: &str) {
        self.blobs += 1;
        self.bytes += bytes;
        if self.why.is_empty() {
            why.clone_into(&mut self.why);
        }
    }
}

impl Store {
    /// As [`Store::write`], with the content of blobs that the writes name: changes and blobs are
    /// durable together, or nothing is. Content that is here already is not kept twice.
    pub fn write_with_blobs(
        &self,
        author: &Author,
        writes: Vec<Write>,
        contents: Vec<Vec<u8>>,
        now_ms: i64,
    ) -> Result<Vec<ChangeId>, WriteError> {
        local::check_suspension(&self.inner.shared)?;
        local::check(&self.authority(), author, &writes)?;
        let outline = |content: Vec<u8>| Ok((Outline::of(&content)?, content));
        let blobs = contents.into_iter().map(outline).collect::<Result<Vec<_>, BlobError>>()?;
        let author = author.clone();
        let homes: BTreeSet<Home> = writes.iter().map(|write| write.home).collect();
        self.inner.writer.submit(move |batch| {
            let ids = batch.write(&author, writes, now_ms)?;
            for (outline, content) in &blobs {
                if !batch.fill(&homes, outline, content)? {
                    return Err(WriteError::BlobNotNamed { name: outline.name() });
                }
            }
            Ok(ids)
        })
    }

    /// The content of a blob; `None` when no document here names it. Whether the asker may read it
    /// depends on the document: [`Store::blob_of`].
    pub fn blob(&self, name: &BlobName) -> Result<Option<BlobContent>, Fault> {
        self.inner.readers.with(|connection| {
            let Some(entry) = entry(connection, name)? else { return Ok(None) };
            if entry.missing > 0 {
                let here = bytes_here(connection, entry.number)?;
                return Ok(Some(BlobContent::OnItsWay { here }));
            }
            Ok(Some(BlobContent::Whole(content(connection, &entry)?)))
        })
    }

    /// The content of a blob that a document has; `None` when it does not name it.
    pub fn blob_of(&self, home: &Home, name: &BlobName) -> Result<Option<BlobContent>, Fault> {
        self.inner.readers.with(|connection| {
            let document = KeyPrefix::document(home);
            let Some(held) = held_by(connection, document.as_bytes(), name)? else {
                return Ok(None);
            };
            match held {
                Held::Whole(entry) => Ok(Some(BlobContent::Whole(content(connection, &entry)?))),
                Held::Lacking { here, .. } => Ok(Some(BlobContent::OnItsWay { here })),
            }
        })
    }

    /// How far a blob has got in all documents together; `None` when none here names it.
    pub fn blob_state(&self, name: &BlobName) -> Result<Option<BlobState>, Fault> {
        self.inner.readers.with(|connection| {
            let Some(entry) = entry(connection, name)? else { return Ok(None) };
            let documents = documents_of(connection, entry.number)?;
            let here = bytes_here(connection, entry.number)?;
            Ok(Some(self.standing(connection, (&entry, here), &documents)?))
        })
    }

    /// How far a blob has got that a document names; `None` when it does not.
    pub fn blob_state_of(&self, home: &Home, name: &BlobName) -> Result<Option<BlobState>, Fault> {
        self.inner.readers.with(|connection| {
            let document = KeyPrefix::document(home).as_bytes().to_vec();
            let Some(held) = held_by(connection, &document, name)? else { return Ok(None) };
            let (entry, here) = match held {
                Held::Whole(entry) => (entry, u64::from(name.bytes)),
                Held::Lacking { entry, here } => (Entry { missing: 1, ..entry }, here),
            };
            Ok(Some(self.standing(connection, (&entry, here), &[document])?))
        })
    }

    fn standing(
        &self,
        connection: &Connection,
        (entry, here): (&Entry, u64),
        documents: &[Vec<u8>],
    ) -> rusqlite::Result<BlobState> {
        let ancestors = &self.inner.shared.ancestors;
        let covering =
            documents.iter().fold(0, |bits, document| bits | ancestors.covering(document));
        let (whole, awaited) = (entry.missing == 0, covering & !entry.reached);
        let postponed = if whole {
            deferral::why_above(connection, entry.number, awaited)?
        } else {
            deferral::why_here(&self.inner, entry.number)
        };
        Ok(BlobState { whole, here, reached: entry.reached, awaited, postponed })
    }

    /// Whether one of these documents that names a blob lacks it; `None` when none names it.
    pub(crate) fn is_lacking(&self, name: &BlobName, under: &Under) -> Result<Option<bool>, Fault> {
        self.inner.readers.with(|connection| {
            let Some(entry) = entry(connection, name)? else { return Ok(None) };
            let named = exchange::named_under(connection, entry.number, under)?;
            let lacking = named.iter().any(|(_, lacking)| *lacking);
            Ok((!named.is_empty()).then_some(lacking))
        })
    }

    /// What is not whole here, and what is not known to be above.
    pub fn blob_totals(&self) -> Result<BlobTotals, Fault> {
        self.inner.readers.with(|connection| Ok(deferral::totals(&self.inner, connection)?))
    }
}

impl Batch<'_> {
    /// Notes which blobs a document names now; what nothing names any more goes.
    pub(super) fn refer(&self, home: &Home, names: &[Named]) -> rusqlite::Result<()> {
        let (ancestors, authority) = (&self.shared.ancestors, &self.authority);
        refer(self.connection, ancestors, authority, &KeyPrefix::document(home), names)
    }

    /// Keeps the whole content of a blob for those of the documents that name it; `false` when none
    /// does.
    fn fill(
        &self,
        homes: &BTreeSet<Home>,
        outline: &Outline,
        content: &[u8],
    ) -> rusqlite::Result<bool> {
        let (connection, ancestors) = (self.connection, &self.shared.ancestors);
        let mut named = false;
        for home in homes {
            let document = KeyPrefix::document(home);
            let Some(held) = held_by(connection, document.as_bytes(), &outline.name())? else {
                continue;
            };
            named = true;
            if let Held::Lacking { entry, .. } = held {
                keep_content(connection, &entry, outline, content)?;
                let document = document.as_bytes();
                proof::hold(connection, ancestors, &self.authority, document, &entry)?;
            }
        }
        Ok(named)
    }

    /// Whether the document with this prefix names a blob that is whole here and at none of the
    /// tiers above that should hold it.
    pub(super) fn has_unsent_blob(&self, document: &[u8]) -> rusqlite::Result<bool> {
        let covering = self.shared.ancestors.covering(document);
        let mut select = self.connection.prepare_cached(
            "SELECT 1 FROM blob_reference WHERE document = ?1 AND lacking = 0 AND awaited = ?2",
        )?;
        select.exists((document, covering))
    }
}

/// Notes which blobs a document names now; what nothing names any more goes.
pub(super) fn refer(
    connection: &Connection,
    ancestors: &Ancestors,
    authority: &Authority,
    document: &KeyPrefix,
    names: &[Named],
) -> rusqlite::Result<()> {
    let before = references_of(connection, document.as_bytes())?;
    if before.is_empty() && names.is_empty() {
        return Ok(());
    }
    let is_new = |named: &&Named| !before.iter().any(|(_, known)| *known == named.name);
    for named in names.iter().filter(is_new) {
        insert_reference(connection, ancestors, authority, document, named)?;
    }
    let is_gone = |known: &BlobName| !names.iter().any(|named| named.name == *known);
    for (number, _) in before.iter().filter(|(_, known)| is_gone(known)) {
        connection
            .prepare_cached("DELETE FROM blob_reference WHERE document = ?1 AND blob = ?2")?
            .execute((document.as_bytes(), number))?;
        proof::forget(connection, document.as_bytes(), *number)?;
        proof::let_go(connection, *number)?;
    }
    Ok(())
}

/// Takes out the references of documents that are not there, for when all are made anew.
pub(super) fn sweep(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["blob_reference", "blob_proof"] {
        let sql =
            format!("DELETE FROM {table} WHERE document NOT IN (SELECT prefix FROM document)");
        connection.execute(&sql, [])?;
    }
    let mut select = connection
        .prepare("SELECT number FROM blob WHERE number NOT IN (SELECT blob FROM blob_reference)")?;
    let unnamed = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    unnamed.into_iter().try_for_each(|number| proof::let_go(connection, number))
}

/// Fits what is awaited to the ancestors of this run of the node.
pub(super) fn adapt(connection: &Connection, ancestors: &Ancestors) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT document, blob, awaited, reached FROM blob_reference \
         JOIN blob ON number = blob WHERE lacking = 0",
    )?;
    let mut update = connection
        .prepare("UPDATE blob_reference SET awaited = ?3 WHERE document = ?1 AND blob = ?2")?;
    let mut rows = select.query([])?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next()? {
        let (document, blob): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        let (awaited, reached): (u8, u8) = (row.get(2)?, row.get(3)?);
        let expected = ancestors.covering(&document) & !reached;
        if awaited != expected {
            changed.push((document, blob, expected));
        }
    }
    for change in changed {
        update.execute(change)?;
    }
    Ok(())
}

/// What table `blob` says of a blob.
struct Entry {
    number: i64,
    name: BlobName,
    missing: u32,
    reached: u8,
}

fn name_of(row: &Row<'_>, id: usize, bytes: usize) -> rusqlite::Result<BlobName> {
    Ok(BlobName { id: BlobId(row.get(id)?), bytes: row.get(bytes)? })
}

fn entry(connection: &Connection, name: &BlobName) -> rusqlite::Result<Option<Entry>> {
    let mut select = connection
        .prepare_cached("SELECT number, missing, reached FROM blob WHERE id = ?1 AND bytes = ?2")?;
    let entry = select.query_row((name.id.0, name.bytes), |row| {
        let (number, missing, reached) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Entry { number, name: *name, missing, reached })
    });
    entry.optional()
}

fn content(connection: &Connection, entry: &Entry) -> rusqlite::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(entry.name.bytes as usize);
    let mut select =
        connection.prepare_cached("SELECT bytes FROM blob_chunk WHERE blob = ?1 ORDER BY place")?;
    let mut rows = select.query([entry.number])?;
    while let Some(row) = rows.next()? {
        content.extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(content)
}

fn bytes_here(connection: &Connection, number: i64) -> rusqlite::Result<u64> {
    let mut select = connection
        .prepare_cached("SELECT coalesce(sum(length(bytes)), 0) FROM blob_chunk WHERE blob = ?1")?;
    select.query_row([number], |row| row.get(0))
}

fn documents_of(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut select =
        connection.prepare_cached("SELECT document FROM blob_reference WHERE blob = ?1")?;
    select.query_map([number], |row| row.get(0))?.collect()
}

/// What a document has of a blob that it names.
enum Held {
    Whole(Entry),
    /// Bytes that came under this document.
    Lacking {
        entry: Entry,
        here: u64,
    },
}

/// What a document has of a blob; `None` when it does not name it.
fn held_by(
    connection: &Connection,
    document: &[u8],
    name: &BlobName,
) -> rusqlite::Result<Option<Held>> {
    let Some(entry) = entry(connection, name)? else { return Ok(None) };
    let sql = "SELECT lacking FROM blob_reference WHERE document = ?1 AND blob = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let lacking = select.query_row((document, entry.number), |row| row.get(0)).optional()?;
    Ok(match lacking {
        None => None,
        Some(false) => Some(Held::Whole(entry)),
        Some(true) => {
            let places = proof::places(connection, document, entry.number)?;
            let came = (0..name.chunks()).filter(|place| proof::contains(&places, *place));
            let here = came.map(|place| u64::from(name.chunk_bytes(place))).sum();
            Some(Held::Lacking { entry, here })
        }
    })
}

/// Numbers and names of the blobs that a document names.
fn references_of(
    connection: &Connection,
    document: &[u8],
) -> rusqlite::Result<Vec<(i64, BlobName)>> {
    let mut select = connection.prepare_cached(
        "SELECT number, id, bytes FROM blob_reference JOIN blob ON number = blob \
         WHERE document = ?1",
    )?;
    let references = select.query_map([document], |row| Ok((row.get(0)?, name_of(row, 1, 2)?)))?;
    references.collect()
}

fn insert_reference(
    connection: &Connection,
    ancestors: &Ancestors,
    authority: &Authority,
    document: &KeyPrefix,
    named: &Named,
) -> rusqlite::Result<()> {
    let Named { name, recorded_at_ms, author } = named;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO blob (id, bytes, missing, recorded_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((name.id.0, name.bytes, name.chunks(), recorded_at_ms))?;
    let Some(entry) = entry(connection, name)? else { return Ok(()) };
    let document = document.as_bytes();
    let is_whole = entry.missing == 0;
    let is_entitled =
        is_whole && proof::is_entitled(connection, authority, (document, entry.number), author)?;
    connection
        .prepare_cached("INSERT INTO blob_reference VALUES (?1, ?2, 1, 0)")?
        .execute((document, entry.number))?;
    proof::note_named(connection, document, entry.number, author)?;
    if is_entitled {
        proof::hold(connection, ancestors, authority, document, &entry)?;
    }
    Ok(())
}

/// Keeps the content of a blob, unless it is here.
fn keep_content(
    connection: &Connection,
    entry: &Entry,
    outline: &Outline,
    content: &[u8],
) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO blob_chunk VALUES (?1, ?2, ?3)")?;
    for (place, chunk) in (0_u32..).zip(content.chunks(limits::BLOB_CHUNK_BYTES as usize)) {
        insert.execute((entry.number, place, chunk))?;
    }
    // It is this node's own now, whoever began to send it.
    connection
        .prepare_cached(
            "UPDATE blob SET missing = 0, origin = NULL, outline = ?2 WHERE number = ?1",
        )?
        .execute((entry.number, outline.values().as_flattened()))?;
    Ok(())
}

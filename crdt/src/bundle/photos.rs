//! Blobs in bundles: written after all changes, taken in chunk by chunk.
//!
//! | kind | body |
//! |---|---|
//! | 66 | a blob: BLAKE3 of its content (32 bytes), its length (4, big-endian), then 32 bytes for each chunk if there are several: its outline |
//! | 67 | a chunk of the blob named last in this part: its place (4, big-endian), its bytes |
//! | 71 | the documents that have the blob which is named next: of each the length of its key (1), the key |
//!
//! Nothing is believed: an outline must merge to the name of the blob and a chunk must have its
//! value in the outline. A chunk is kept only if some document here names the blob, and counts for
//! the documents that the exporter says have it: it may have been named by others, who know its hash
//! ([`crate::store`], `blob/proof.rs`). A program from before wrote no frame 71. Of what it exported
//! a blob counts if all that name it are at one place.

use std::collections::BTreeSet;
use std::sync::Arc;

use cunlian_protocol::blob::{BlobName, BlobReply, BlobRequest, Kept, Outline, Under};
use cunlian_protocol::id::{BlobId, PublicKey};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use rusqlite::Connection;

use crate::store::{Fault, Store};

pub(super) const KIND_BLOB: u8 = 66;
pub(super) const KIND_CHUNK: u8 = 67;
pub(super) const KIND_OWNERS: u8 = 71;
/// Most documents that are said to have one blob: to the others it comes by the line.
const OWNERS: usize = 500;
/// References read at a time.
const PAGE: usize = 500;

/// Which blobs go into a bundle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    pub(super) scope: &'a Scope,
    /// Only those of documents with a change after this row, or that the tier (bit) above is not
    /// known to hold.
    pub(super) after: Option<i64>,
    pub(super) tier: u8,
}

/// A blob that is whole here, and a document that names it.
#[derive(Debug, Clone)]
pub(super) struct StoredPhoto {
    document: Vec<u8>,
    number: i64,
    name: BlobName,
    awaited: u8,
}

/// Calls `each` for every blob that is chosen, once.
pub(super) fn each_blob<E: From<Fault>>(
    store: &Store,
    chosen: Chosen<'_>,
    mut each: impl FnMut(&StoredPhoto) -> Result<(), E>,
) -> Result<(), E> {
    let mut last: (Vec<u8>, i64) = (Vec::new(), 0);
    let mut done: BTreeSet<i64> = BTreeSet::new();
    loop {
        let found = store.read(|connection| page(connection, &last))?;
        let Some(end) = found.last() else { return Ok(()) };
        last = (end.document.clone(), end.number);
        for found in &found {
            if !chosen.scope.allows(&found.document) || done.contains(&found.number) {
                continue;
            }
            if let Some(after) = chosen.after
                && found.awaited & chosen.tier == 0
                && store.read(|connection| newest(connection, &found.document))? <= after
            {
                continue;
            }
            done.insert(found.number);
            each(found)?;
        }
    }
}

fn page(connection: &Connection, after: &(Vec<u8>, i64)) -> rusqlite::Result<Vec<StoredPhoto>> {
    let mut select = connection.prepare_cached(
        "SELECT document, blob.number, blob.id, blob.bytes, awaited FROM blob_reference \
         JOIN blob ON blob.number = blob_reference.blob WHERE lacking = 0 \
         AND (document, blob.number) > (?1, ?2) ORDER BY document, blob.number LIMIT ?3",
    )?;
    let rows = select.query_map((&after.0, after.1, PAGE), |row| {
        Ok(StoredPhoto {
            document: row.get(0)?,
            number: row.get(1)?,
            name: BlobName { id: BlobId(row.get(2)?), bytes: row.get(3)? },
            awaited: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// The greatest row of the changes of a document.
fn newest(connection: &Connection, document: &[u8]) -> rusqlite::Result<i64> {
    let end = KeyPrefix::from_bytes(document).ok().and_then(|prefix| prefix.end());
    let sql = "SELECT coalesce(max(row), 0) FROM change WHERE key >= ?1 AND key < ?2";
    let end = end.unwrap_or_else(|| vec![u8::MAX; 128]);
    connection.prepare_cached(sql)?.query_row((document, end), |row| row.get(0))
}

/// The outline of a blob that was found; `None` when it has gone since.
pub(super) fn outline(store: &Store, found: &StoredPhoto) -> Result<Option<Outline>, Fault> {
    let Ok(document) = KeyPrefix::from_bytes(&found.document) else { return Ok(None) };
    let request = BlobRequest::Outline { document, blob: found.name };
    let reply = store.serve(StoreRequest::Blob(request))?;
    let StoreReply::Blob(BlobReply::Outline(outline)) = reply else {
        unreachable!("the store answered an outline with {reply:?}");
    };
    Ok(outline)
}

/// The bytes of a chunk; `None` when the blob has gone since.
pub(super) fn chunk(
    store: &Store,
    found: &StoredPhoto,
    place: u32,
) -> Result<Option<Vec<u8>>, Fault> {
    let Ok(document) = KeyPrefix::from_bytes(&found.document) else { return Ok(None) };
    let (from, length) = (place * limits::BLOB_CHUNK_BYTES, found.name.chunk_bytes(place));
    let request = BlobRequest::Read { document, blob: found.name, from, length };
    let reply = store.serve(StoreRequest::Blob(request))?;
    let StoreReply::Blob(BlobReply::Read(bytes)) = reply else {
        unreachable!("the store answered a chunk with {reply:?}");
    };
    Ok(bytes)
}

/// Body of the frame that says which documents within a scope have a blob.
pub(super) fn owners_body(
    store: &Store,
    found: &StoredPhoto,
    scope: &Scope,
) -> Result<Vec<u8>, Fault> {
    let owners = store.read(|connection| {
        let sql = "SELECT document FROM blob_reference WHERE blob = ?1 AND lacking = 0";
        let mut select = connection.prepare_cached(sql)?;
        let owners = select.query_map([found.number], |row| row.get(0))?;
        owners.collect::<rusqlite::Result<Vec<Vec<u8>>>>()
    })?;
    let inside = owners.iter().filter(|document| scope.allows(document)).take(OWNERS);
    let with_length =
        |key: &Vec<u8>| Some([&[u8::try_from(key.len()).ok()?], key.as_slice()].concat());
    Ok(inside.filter_map(with_length).flatten().collect())
}

/// The documents that the body names; `None` when it is not made as it must be.
fn read_owners(mut body: &[u8]) -> Option<Vec<KeyPrefix>> {
    let mut owners = Vec::new();
    while let Some((length, rest)) = body.split_first() {
        let (key, rest) = rest.split_at_checked(usize::from(*length))?;
        owners.push(KeyPrefix::from_bytes(key).ok()?);
        body = rest;
    }
    (owners.len() <= OWNERS).then_some(owners)
}

/// Body of the frame that names a blob.
pub(super) fn blob_body(outline: &Outline) -> Vec<u8> {
    let name = outline.name();
    let mut body = [name.id.0.as_slice(), &name.bytes.to_be_bytes()].concat();
    body.extend(outline.values().iter().flatten());
    body
}

/// Body of the frame of a chunk.
pub(super) fn chunk_body(place: u32, bytes: &[u8]) -> Vec<u8> {
    [place.to_be_bytes().as_slice(), bytes].concat()
}

/// Blobs on their way in.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// What chunks are checked by; `None` before a blob, and while one is passed over that is
    /// whole here.
    outline: Option<Arc<Outline>>,
    /// What has the blob that is named next, if that is said.
    owners: Option<Vec<KeyPrefix>>,
    /// What chunks of the blob that is named count for.
    under: Option<Under>,
}

/// What came of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing that counts.
    Nothing,
    /// A blob became whole.
    Whole,
    /// No document here names the blob.
    Unwanted,
    /// The exporter has given as much as it may: which bound says so.
    Full(String),
    /// It is not what its name says.
    Unsound,
}

impl Incoming {
    /// Which documents have the blob that is named next.
    pub(super) fn owners(&mut self, body: &[u8], scope: &Scope) -> Taken {
        self.outline = None;
        let Some(mut owners) = read_owners(body) else { return Taken::Unsound };
        owners.retain(|document| scope.allows(document.as_bytes()));
        self.owners = Some(owners);
        Taken::Nothing
    }

    /// A blob is named; `tiers` are those that hold it by the word of the exporter.
    pub(super) fn blob(
        &mut self,
        store: &Store,
        body: &[u8],
        (scope, tiers): (&Scope, u8),
    ) -> Result<Taken, Fault> {
        self.outline = None;
        let Some(outline) = read_outline(body) else { return Ok(Taken::Unsound) };
        let name = outline.name();
        let owners = self.owners.take();
        let under = owners.map_or_else(|| Under::Scope(scope.clone()), Under::Documents);
        let lacking = store.is_lacking(&name, &under)?;
        self.under = Some(under);
        let Some(lacking) = lacking else { return Ok(Taken::Unwanted) };
        if tiers != 0 {
            let request = BlobRequest::MarkReached { reached: vec![(name, tiers)] };
            store.serve(StoreRequest::Blob(request))?;
        }
        if lacking {
            self.outline = Some(Arc::new(outline));
        }
        Ok(Taken::Nothing)
    }

    /// A chunk of it.
    pub(super) fn chunk(
        &mut self,
        store: &Store,
        body: &[u8],
        (from, limited): (PublicKey, bool),
    ) -> Result<Taken, Fault> {
        let (Some(outline), Some(under)) = (&self.outline, &self.under) else {
            return Ok(Taken::Nothing);
        };
        let Some((place, bytes)) = body.split_first_chunk() else { return Ok(Taken::Unsound) };
        let Ok(chunk) = outline.verify(u32::from_be_bytes(*place), bytes.to_vec()) else {
            return Ok(Taken::Unsound);
        };
        let outline = Arc::clone(outline);
        let under = under.clone();
        let request = BlobRequest::Keep { under, outline, chunk, from, limited, at_ms: None };
        let reply = store.serve(StoreRequest::Blob(request))?;
        let StoreReply::Blob(BlobReply::Keep(kept)) = reply else {
            unreachable!("the store answered a chunk with {reply:?}");
        };
        match kept {
            Kept::Part | Kept::Elsewhere => Ok(Taken::Nothing),
            Kept::Whole => Ok(Taken::Whole),
            Kept::Unwanted => {
                let bytes = self.outline.take().map_or(0, |outline| outline.name().bytes);
                let (room, why) = store.room_for_blobs(&from)?;
                let is_full = limited && room < bytes.into();
                Ok(if is_full { Taken::Full(why) } else { Taken::Unwanted })
            }
        }
    }
}

fn read_outline(body: &[u8]) -> Option<Outline> {
    let (id, rest) = body.split_first_chunk()?;
    let (bytes, values) = rest.split_first_chunk()?;
    let name = BlobName { id: BlobId(*id), bytes: u32::from_be_bytes(*bytes) };
    let (values, []) = values.as_chunks() else { return None };
    Outline::check(name, values.to_vec()).ok()
}

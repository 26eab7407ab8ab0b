//! Answering what sessions ask about blobs.

use std::sync::Arc;

use cunlian_protocol::blob::{BlobName, BlobReply, BlobRequest, Chunk, Kept, Outline, Under};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use rusqlite::{Connection, OptionalExtension as _};

use super::missing::{Look, missing};
use super::outlines::outline;
use super::{Entry, deferral, entry, name_of, proof};
use crate::store::outbox::Ancestors;
use crate::store::rows::{Range, damaged, home_of};
use crate::store::writer::Batch;
use crate::store::{Fault, Inner, quota, summary};

pub(in crate::store) fn serve(inner: &Inner, request: BlobRequest) -> Result<BlobReply, Fault> {
    match request {
        BlobRequest::Missing { scope, from, limited, active, without, after, at_ms } => {
            let look = Look { scope, from, limited, active, without, after, at_ms };
            Ok(BlobReply::Missing(missing(inner, &look)?))
        }
        BlobRequest::Outline { document, blob } => inner
            .readers
            .with(|connection| Ok(BlobReply::Outline(outline_for(connection, &document, &blob)?))),
        BlobRequest::Read { document, blob, from, length } => inner.readers.with(|connection| {
            Ok(BlobReply::Read(part_for(connection, &document, &blob, from, length)?))
        }),
        BlobRequest::Keep { under, outline, chunk, from, limited, at_ms } => {
            // What may not come in is looked at before the transaction, which is one at a time.
            let room = inner.readers.with(|connection| {
                if !limited {
                    return Ok(u64::MAX);
                }
                let (authority, usual) = (inner.shared.authority(), &inner.options.quota);
                Ok(quota::room_for_blobs(connection, &authority, usual, &from)?.0)
            })?;
            let (number, kept) = inner.writer.submit(move |batch| {
                Ok::<_, Fault>(keep(batch, &under, (&outline, &chunk), &from, room)?)
            })?;
            let kept = match (kept, at_ms) {
                (Kept::Part, Some(at_ms)) if !inner.blobs.take(number, from, at_ms) => {
                    Kept::Elsewhere
                }
                (Kept::Part | Kept::Elsewhere, _) => kept,
                (Kept::Whole | Kept::Unwanted, _) => {
                    inner.blobs.drop(number);
                    kept
                }
            };
            Ok(BlobReply::Keep(kept))
        }
        BlobRequest::Unreached { scope, tier, after } => inner.readers.with(|connection| {
            let (blobs, rest) = unreached(connection, &scope, tier, after.as_ref())?;
            Ok(BlobReply::Unreached { blobs, rest })
        }),
        BlobRequest::Held { asked, own } => inner.readers.with(|connection| {
            let mut held = Vec::new();
            for (document, name) in asked {
                if let Some(reached) = whole(connection, &document, &name)? {
                    held.push((name, reached | own));
                }
            }
            Ok(BlobReply::Held(held))
        }),
        BlobRequest::MarkReached { reached } => inner.writer.submit(move |batch| {
            for (name, tiers) in reached {
                mark_reached(batch.connection, &name, tiers)?;
            }
            Ok(BlobReply::MarkReached)
        }),
        BlobRequest::MarkLost { name, tier } => {
            let held = inner.readers.with(|connection| Ok(entry(connection, &name)?))?;
            if held.is_some_and(|held| held.reached & tier != 0) {
                inner.writer.submit(move |batch| {
                    let ancestors = &batch.shared.ancestors;
                    Ok::<_, Fault>(mark_lost(batch.connection, ancestors, &name, tier)?)
                })?;
            }
            Ok(BlobReply::MarkLost)
        }
        BlobRequest::MarkPostponed { tier, postponed, begun } => {
            deferral::mark(inner, tier, postponed, begun)?;
            Ok(BlobReply::MarkPostponed)
        }
    }
}

/// The tiers that hold a blob, if the document has all of it.
fn whole(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
) -> rusqlite::Result<Option<u8>> {
    let mut select = connection.prepare_cached(
        "SELECT reached FROM blob JOIN blob_reference ON blob = number \
         WHERE id = ?1 AND bytes = ?2 AND missing = 0 AND lacking = 0 AND document = ?3",
    )?;
    select.query_row((name.id.0, name.bytes, document.as_bytes()), |row| row.get(0)).optional()
}

/// What a document has of a blob that it names.
struct Share {
    number: i64,
    /// As it is kept.
    outline: Option<Vec<u8>>,
    /// The chunks that it has, unless it has all.
    places: Option<Vec<u8>>,
}

impl Share {
    fn has(&self, place: u32) -> bool {
        self.places.as_ref().is_none_or(|places| proof::contains(places, place))
    }
}

/// What the document has of the blob; `None` when it does not name it.
fn named(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
) -> rusqlite::Result<Option<Share>> {
    let mut select = connection.prepare_cached(
        "SELECT number, outline, lacking FROM blob JOIN blob_reference ON blob = number \
         WHERE id = ?1 AND bytes = ?2 AND document = ?3",
    )?;
    let found = select.query_row((name.id.0, name.bytes, document.as_bytes()), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    let Some((number, outline, lacking)) = found.optional()? else { return Ok(None) };
    let places =
        if lacking { Some(proof::places(connection, document.as_bytes(), number)?) } else { None };
    Ok(Some(Share { number, outline, places }))
}

/// The outline, as soon as the document has one chunk.
fn outline_for(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
) -> rusqlite::Result<Option<Outline>> {
    let share = named(connection, document, name)?;
    let share = share.filter(|share| (0..name.chunks()).any(|place| share.has(place)));
    Ok(share.and_then(|share| share.outline).and_then(|kept| outline(*name, Some(&kept))))
}

/// A part of a chunk that the document has, whether it has them all or not: each was checked on its
/// own.
fn part_for(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
    from: u32,
    length: u32,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let (place, at) = (from / limits::BLOB_CHUNK_BYTES, from % limits::BLOB_CHUNK_BYTES);
    let share = named(connection, document, name)?.filter(|share| share.has(place));
    let Some(Share { number, .. }) = share else { return Ok(None) };
    let mut select = connection.prepare_cached(
        "SELECT substr(bytes, ?3, ?4) FROM blob_chunk WHERE blob = ?1 AND place = ?2",
    )?;
    let part = select.query_row((number, place, at + 1, length), |row| row.get::<_, Vec<u8>>(0));
    Ok(part.optional()?.filter(|part| part.len() == length as usize))
}

/// Keeps a chunk; gives the number of the blob, too.
fn keep(
    batch: &Batch<'_>,
    under: &Under,
    (outline, chunk): (&Arc<Outline>, &Chunk),
    from: &PublicKey,
    room: u64,
) -> rusqlite::Result<(i64, Kept)> {
    let connection = batch.connection;
    let name = chunk.name();
    let Some(found) = entry(connection, &name)?.filter(|_| outline.name() == name) else {
        return Ok((0, Kept::Unwanted));
    };
    let (documents, lacking): (Vec<_>, Vec<_>) = named_under(connection, found.number, under)?
        .into_iter()
        .partition(|(_, lacking)| !lacking);
    if lacking.is_empty() {
        let kept = if documents.is_empty() { Kept::Unwanted } else { Kept::Whole };
        return Ok((found.number, kept));
    }
    if found.missing > 0 && !add_chunk(connection, &found, (outline, chunk), from, room)? {
        return Ok((found.number, Kept::Unwanted));
    }
    let mut kept = Kept::Whole;
    for (document, _) in lacking {
        if proof::note_chunk(connection, &document, &found, chunk.place())? {
            let (ancestors, authority) = (&batch.shared.ancestors, &batch.authority);
            proof::hold(connection, ancestors, authority, &document, &found)?;
        } else {
            kept = Kept::Part;
        }
    }
    Ok((found.number, kept))
}

/// The documents under which a chunk came that name the blob, and whether each lacks it.
pub(super) fn named_under(
    connection: &Connection,
    number: i64,
    under: &Under,
) -> rusqlite::Result<Vec<(Vec<u8>, bool)>> {
    let mut select = connection
        .prepare_cached("SELECT document, lacking FROM blob_reference WHERE blob = ?1")?;
    let named = select.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut named = named.collect::<rusqlite::Result<Vec<(Vec<u8>, bool)>>>()?;
    named.retain(|(document, _)| match under {
        Under::Document(wanted) => document == wanted.as_bytes(),
        Under::Documents(wanted) => wanted.iter().any(|wanted| document == wanted.as_bytes()),
        Under::Scope(scope) => scope.allows(document),
    });
    if let (Under::Scope(_), Some((first, _))) = (under, named.first()) {
        let first = home_of(first)?;
        for (document, _) in &named {
            let home = home_of(document)?;
            if (home.category, home.address) != (first.category, first.address) {
                return Ok(Vec::new());
            }
        }
    }
    Ok(named)
}

/// Adds a chunk to the content, if it is not there; `false` when there is no room for what this peer
/// gives.
fn add_chunk(
    connection: &Connection,
    found: &Entry,
    (outline, chunk): (&Arc<Outline>, &Chunk),
    from: &PublicKey,
    room: u64,
) -> rusqlite::Result<bool> {
    let mut select =
        connection.prepare_cached("SELECT origin, outline IS NULL FROM blob WHERE number = ?1")?;
    let (origin, without): (Option<Vec<u8>>, bool) =
        select.query_row([found.number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if origin.as_deref() != Some(from.0.as_slice()) && room < found.name.bytes.into() {
        return Ok(false);
    }
    if without || origin.is_none() {
        connection
            .prepare_cached(
                "UPDATE blob SET origin = coalesce(origin, ?2), outline = ?3 WHERE number = ?1",
            )?
            .execute((found.number, from.0, outline.values().as_flattened()))?;
    }
    let added = connection
        .prepare_cached("INSERT OR IGNORE INTO blob_chunk VALUES (?1, ?2, ?3)")?
        .execute((found.number, chunk.place(), chunk.bytes()))?;
    connection
        .prepare_cached("UPDATE blob SET missing = missing - ?2 WHERE number = ?1")?
        .execute((found.number, added))?;
    Ok(true)
}

/// Document and blob of a reference.
type Reference = (KeyPrefix, BlobName);

fn unreached(
    connection: &Connection,
    scope: &Scope,
    tier: u8,
    after: Option<&Reference>,
) -> rusqlite::Result<(Vec<Reference>, Option<Reference>)> {
    let mut found: Vec<Reference> = Vec::new();
    let after = after.map(|(document, name)| (document.as_bytes(), name.id, name.bytes));
    for prefix in scope.tops(summary::categories(connection)?) {
        let Range { start, end } = Range::of(&prefix);
        let start = after.map_or(start.as_slice(), |(document, ..)| start.as_slice().max(document));
        let mut select = connection.prepare_cached(
            "SELECT document, id, blob.bytes FROM blob_reference INDEXED BY blob_awaited \
             JOIN blob ON number = blob WHERE awaited > 0 AND awaited & ?3 != 0 \
             AND document >= ?1 AND document < ?2 ORDER BY document, id, blob.bytes",
        )?;
        let mut rows = select.query((start, end, tier))?;
        while let Some(row) = rows.next()? {
            let document: Vec<u8> = row.get(0)?;
            let name = name_of(row, 1, 2)?;
            if after.is_some_and(|after| (document.as_slice(), name.id, name.bytes) <= after) {
                continue;
            }
            let document =
                KeyPrefix::from_bytes(&document).map_err(|error| damaged(Box::new(error)))?;
            found.push((document, name));
            if found.len() == limits::BLOB_NAMES {
                let rest = found.last().cloned();
                return Ok((found, rest));
            }
        }
    }
    Ok((found, None))
}

fn mark_reached(connection: &Connection, name: &BlobName, tiers: u8) -> rusqlite::Result<()> {
    let Some(found) = entry(connection, name)? else { return Ok(()) };
    if found.reached | tiers == found.reached {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE blob SET reached = reached | ?2 WHERE number = ?1")?
        .execute((found.number, tiers))?;
    connection
        .prepare_cached("UPDATE blob_reference SET awaited = awaited & ?2 WHERE blob = ?1")?
        .execute((found.number, !tiers))?;
    Ok(())
}

/// A tier above does not hold a blob any more: where it may read a document that names it, the
/// blob waits for it again.
fn mark_lost(
    connection: &Connection,
    ancestors: &Ancestors,
    name: &BlobName,
    tier: u8,
) -> rusqlite::Result<()> {
    let Some(found) = entry(connection, name)? else { return Ok(()) };
    let reached = found.reached & !tier;
    connection
        .prepare_cached("UPDATE blob SET reached = ?2 WHERE number = ?1")?
        .execute((found.number, reached))?;
    let mut select = connection
        .prepare_cached("SELECT document FROM blob_reference WHERE blob = ?1 AND lacking = 0")?;
    let holders = select.query_map([found.number], |row| row.get(0))?;
    for document in holders.collect::<rusqlite::Result<Vec<Vec<u8>>>>()? {
        let awaited = ancestors.covering(&document) & !reached;
        connection
            .prepare_cached(
                "UPDATE blob_reference SET awaited = ?3 WHERE document = ?1 AND blob = ?2",
            )?
            .execute((document, found.number, awaited))?;
    }
    Ok(())
}

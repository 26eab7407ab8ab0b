//! Answering what sessions ask about blobs.

use std::sync::Arc;

use cunlian_protocol::blob::{BlobName, BlobReply, BlobRequest, Chunk, Kept, MissingBlob, Outline};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use rusqlite::{Connection, OptionalExtension as _};

use super::{entry, name_of, note_whole, room};
use crate::store::outbox::Ancestors;
use crate::store::reading::{Range, damaged};
use crate::store::{Fault, Health, Inner, summary};

/// References looked at to find a few that are not refused.
const REFERENCES_LOOKED_AT: usize = 10_000;

pub(in crate::store) fn serve(inner: &Inner, request: BlobRequest) -> Result<BlobReply, Fault> {
    match request {
        BlobRequest::Missing { scope, from, limited, without, at_ms } => {
            // Photos must not take the room that changes need.
            let health = inner.shared.condition.health(&inner.dir, inner.options.low_space_bytes);
            if health != Health::Ok {
                return Ok(BlobReply::Missing(Vec::new()));
            }
            inner.readers.with(|connection| {
                let room = if limited { room(inner, connection, &from.0)? } else { u64::MAX };
                let skip = |number: i64| {
                    without.binary_search(&number).is_ok()
                        || inner.blobs.is_taken(number, &from, at_ms)
                };
                Ok(BlobReply::Missing(missing(connection, &scope, &from, room, skip)?))
            })
        }
        BlobRequest::Outline { document, blob } => inner
            .readers
            .with(|connection| Ok(BlobReply::Outline(outline_for(connection, &document, &blob)?))),
        BlobRequest::Read { document, blob, from, length } => inner.readers.with(|connection| {
            Ok(BlobReply::Read(part_for(connection, &document, &blob, from, length)?))
        }),
        BlobRequest::Keep { outline, chunk, from, limited, at_ms } => {
            // What may not come in is looked at before the transaction, which is one at a time.
            let room = inner.readers.with(|connection| {
                if limited { Ok(room(inner, connection, &from.0)?) } else { Ok(u64::MAX) }
            })?;
            let (number, kept) = inner.writer.submit(move |batch| {
                let ancestors = &batch.shared.ancestors;
                Ok::<_, Fault>(keep(batch.connection, ancestors, &outline, &chunk, &from, room)?)
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
                if let Some(found) = whole(connection, &document, &name)? {
                    held.push((name, found.reached | own));
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
    }
}

/// Blobs to be asked of a peer: named in the scope, not whole, not to be skipped, and no more in
/// sum than there is room for.
fn missing(
    connection: &Connection,
    scope: &Scope,
    from: &PublicKey,
    mut room: u64,
    skip: impl Fn(i64) -> bool,
) -> rusqlite::Result<Vec<MissingBlob>> {
    let mut found: Vec<MissingBlob> = Vec::new();
    let mut looked_at = 0;
    for prefix in scope.tops(summary::categories(connection)?) {
        let Range { start, end } = Range::of(&prefix);
        let mut select = connection.prepare_cached(
            "SELECT document, number, id, blob.bytes, origin, outline \
             FROM blob_reference INDEXED BY blob_lacking JOIN blob ON number = blob \
             WHERE lacking > 0 AND document >= ?1 AND document < ?2 ORDER BY document",
        )?;
        let mut rows = select.query((start, end))?;
        while let Some(row) = rows.next()? {
            looked_at += 1;
            if found.len() == limits::BLOBS_AT_ONCE || looked_at > REFERENCES_LOOKED_AT {
                return Ok(found);
            }
            let number: i64 = row.get(1)?;
            let known = found.iter().any(|blob| blob.number == number);
            if known || skip(number) {
                continue;
            }
            let name = name_of(row, 2, 3)?;
            // What this peer has begun to give was taken off its room in full.
            if row.get_ref(4)?.as_blob_or_null()? != Some(from.0.as_slice()) {
                let Some(left) = room.checked_sub(name.bytes.into()) else { continue };
                room = left;
            }
            let document: Vec<u8> = row.get(0)?;
            found.push(MissingBlob {
                number,
                name,
                document: KeyPrefix::from_bytes(&document)
                    .map_err(|error| damaged(Box::new(error)))?,
                outline: outline(name, row.get_ref(5)?.as_blob_or_null()?),
                places: places_missing(connection, number, &name)?,
            });
        }
    }
    Ok(found)
}

/// The outline in a row of table `blob`; that of a blob of one chunk is always known.
pub(super) fn outline(name: BlobName, bytes: Option<&[u8]>) -> Option<Outline> {
    let values = match bytes {
        Some(bytes) => bytes.as_chunks().0.to_vec(),
        None if name.chunks() == 1 => Vec::new(),
        None => return None,
    };
    Outline::check(name, values).ok()
}

fn places_missing(
    connection: &Connection,
    number: i64,
    name: &BlobName,
) -> rusqlite::Result<Vec<u32>> {
    let mut select = connection.prepare_cached("SELECT place FROM blob_chunk WHERE blob = ?1")?;
    let here = select.query_map([number], |row| row.get(0))?;
    let here = here.collect::<rusqlite::Result<std::collections::HashSet<u32>>>()?;
    Ok((0..name.chunks()).filter(|place| !here.contains(place)).collect())
}

/// What a document's naming of a whole blob came to.
struct Found {
    number: i64,
    reached: u8,
}

/// The blob, if it is whole here and the document names it.
fn whole(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
) -> rusqlite::Result<Option<Found>> {
    let mut select = connection.prepare_cached(
        "SELECT number, reached FROM blob JOIN blob_reference ON blob = number \
         WHERE id = ?1 AND bytes = ?2 AND missing = 0 AND document = ?3",
    )?;
    let found = select.query_row((name.id.0, name.bytes, document.as_bytes()), |row| {
        Ok(Found { number: row.get(0)?, reached: row.get(1)? })
    });
    found.optional()
}

fn outline_for(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
) -> rusqlite::Result<Option<Outline>> {
    let Some(Found { number, .. }) = whole(connection, document, name)? else { return Ok(None) };
    let mut select = connection.prepare_cached("SELECT outline FROM blob WHERE number = ?1")?;
    select.query_row([number], |row| Ok(outline(*name, row.get_ref(0)?.as_blob_or_null()?)))
}

fn part_for(
    connection: &Connection,
    document: &KeyPrefix,
    name: &BlobName,
    from: u32,
    length: u32,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let Some(Found { number, .. }) = whole(connection, document, name)? else { return Ok(None) };
    let (place, at) = (from / limits::BLOB_CHUNK_BYTES, from % limits::BLOB_CHUNK_BYTES);
    let mut select = connection.prepare_cached(
        "SELECT substr(bytes, ?3, ?4) FROM blob_chunk WHERE blob = ?1 AND place = ?2",
    )?;
    let part = select.query_row((number, place, at + 1, length), |row| row.get::<_, Vec<u8>>(0));
    Ok(part.optional()?.filter(|part| part.len() == length as usize))
}

/// Keeps a chunk; gives the number of the blob, too.
fn keep(
    connection: &Connection,
    ancestors: &Ancestors,
    outline: &Arc<Outline>,
    chunk: &Chunk,
    from: &PublicKey,
    room: u64,
) -> rusqlite::Result<(i64, Kept)> {
    let name = chunk.name();
    let Some(found) = entry(connection, &name)?.filter(|_| outline.name() == name) else {
        return Ok((0, Kept::Unwanted));
    };
    if found.missing == 0 {
        return Ok((found.number, Kept::Whole));
    }
    let mut select =
        connection.prepare_cached("SELECT origin, outline IS NULL FROM blob WHERE number = ?1")?;
    let (origin, without): (Option<Vec<u8>>, bool) =
        select.query_row([found.number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if origin.as_deref() != Some(from.0.as_slice()) && room < name.bytes.into() {
        return Ok((found.number, Kept::Unwanted));
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
    let missing = found.missing - u32::try_from(added).unwrap_or(0);
    connection
        .prepare_cached("UPDATE blob SET missing = ?2 WHERE number = ?1")?
        .execute((found.number, missing))?;
    if missing > 0 {
        return Ok((found.number, Kept::Part));
    }
    note_whole(connection, ancestors, found.number, found.reached)?;
    Ok((found.number, Kept::Whole))
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

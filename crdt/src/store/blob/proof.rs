//! Which of the documents that name a blob have it: whoever knows its hash can name it, so naming it
//! gives nothing.
//!
//! A document has a blob (`lacking` is 0) when
//! - the content was given with the write that names it, at this node;
//! - every chunk of it came under this document, from whomever: that side has the content;
//! - or another document has it that who named it here could read anyway: one at the same address and
//!   of the same category, or one that the author's certificate covers. So a record that is moved
//!   takes its photos along, and nothing comes twice that one person shows in two places.
//!
//! Until then it is lacked, whatever is here of the content for others: it is asked for under this
//! document, and neither given nor said to be here. Content that no document has is let go, but for
//! the chunks that came under one that is still there.
//!
//! | column of `blob_proof` | |
//! |---|---|
//! | `document`, `blob` | a reference that lacks |
//! | `author` | serial of who named it; `NULL` when that is not known |
//! | `places` | one bit for each chunk, lowest first: it came under this document |

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use cunlian_protocol::rights::Rights;
use rusqlite::{Connection, OptionalExtension as _};

use super::Entry;
use crate::store::outbox::Ancestors;
use crate::store::rows::home_of;

/// Documents looked at for one that lets another have its blob: a photo is shown in few.
const DOCUMENTS_LOOKED_AT: usize = 64;

/// Notes who named a blob in a document that lacks it.
pub(super) fn note_named(
    connection: &Connection,
    document: &[u8],
    number: i64,
    author: &Serial,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO blob_proof VALUES (?1, ?2, ?3, x'')")?
        .execute((document, number, author.0))?;
    Ok(())
}

/// Whether who named a blob in the document could read one that has it. Content that no document
/// names was left by damage to the references, which are made anew: it is for who named it.
pub(super) fn is_entitled(
    connection: &Connection,
    authority: &Authority,
    (document, number): (&[u8], i64),
    author: &Serial,
) -> rusqlite::Result<bool> {
    let home = home_of(document)?;
    let mut named = connection.prepare_cached("SELECT 1 FROM blob_reference WHERE blob = ?1")?;
    if !named.exists([number])? {
        return Ok(true);
    }
    let mut select = connection.prepare_cached(
        "SELECT document FROM blob_reference WHERE blob = ?1 AND lacking = 0 LIMIT ?2",
    )?;
    let holders =
        select.query_map((number, DOCUMENTS_LOOKED_AT), |row| row.get::<_, Vec<u8>>(0))?;
    for holder in holders {
        if may_take(authority, author, &home, &home_of(&holder?)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn may_take(authority: &Authority, author: &Serial, home: &Home, holder: &Home) -> bool {
    let same_place = (home.category, home.address) == (holder.category, holder.address);
    same_place || authority.may(author, Rights::READ, holder).is_ok()
}

/// A chunk has come under this document; gives whether all have.
pub(super) fn note_chunk(
    connection: &Connection,
    document: &[u8],
    entry: &Entry,
    place: u32,
) -> rusqlite::Result<bool> {
    let mut places = places(connection, document, entry.number)?;
    let chunks = entry.name.chunks();
    places.resize(chunks.div_ceil(8) as usize, 0);
    if let Some(byte) = places.get_mut(place as usize / 8) {
        *byte |= 1 << (place % 8);
    }
    connection
        .prepare_cached(
            "INSERT INTO blob_proof VALUES (?1, ?2, NULL, ?3) \
             ON CONFLICT (document, blob) DO UPDATE SET places = ?3",
        )?
        .execute((document, entry.number, &places))?;
    Ok((0..chunks).all(|place| contains(&places, place)))
}

/// Whether this chunk came under this document.
pub(super) fn contains(places: &[u8], place: u32) -> bool {
    places.get(place as usize / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
}

/// The chunks that came under a document that lacks the blob.
pub(super) fn places(
    connection: &Connection,
    document: &[u8],
    number: i64,
) -> rusqlite::Result<Vec<u8>> {
    let sql = "SELECT places FROM blob_proof WHERE document = ?1 AND blob = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let places = select.query_row((document, number), |row| row.get(0)).optional()?;
    Ok(places.unwrap_or_default())
}

/// A document has the blob, and with it all whose authors could read it there.
pub(super) fn hold(
    connection: &Connection,
    ancestors: &Ancestors,
    authority: &Authority,
    document: &[u8],
    entry: &Entry,
) -> rusqlite::Result<()> {
    let mut holders = vec![document.to_vec()];
    while let Some(holder) = holders.pop() {
        let awaited = ancestors.covering(&holder) & !entry.reached;
        connection
            .prepare_cached(
                "UPDATE blob_reference SET lacking = 0, awaited = ?3 \
                 WHERE document = ?1 AND blob = ?2",
            )?
            .execute((&holder, entry.number, awaited))?;
        forget(connection, &holder, entry.number)?;
        let mut select = connection.prepare_cached(
            "SELECT document, author FROM blob_proof WHERE blob = ?1 AND author IS NOT NULL \
             ORDER BY document LIMIT ?2",
        )?;
        let lacking = select.query_map((entry.number, DOCUMENTS_LOOKED_AT), |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, Serial(row.get(1)?)))
        })?;
        let home = home_of(&holder)?;
        for reference in lacking {
            let (document, author) = reference?;
            let is_known = holders.contains(&document);
            if !is_known && may_take(authority, &author, &home_of(&document)?, &home) {
                holders.push(document);
            }
        }
    }
    Ok(())
}

/// The reference lacks no more, or is gone.
pub(super) fn forget(
    connection: &Connection,
    document: &[u8],
    number: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM blob_proof WHERE document = ?1 AND blob = ?2")?
        .execute((document, number))?;
    Ok(())
}

/// A document names a blob no more: what no other one has a claim to goes.
pub(super) fn let_go(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    let sql = "SELECT min(lacking) FROM blob_reference WHERE blob = ?1";
    let lacking: Option<bool> =
        connection.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
    match lacking {
        Some(false) => Ok(()),
        Some(true) => keep_proven(connection, number),
        None => {
            for sql in [
                "DELETE FROM blob_proof WHERE blob = ?1",
                "DELETE FROM blob_chunk WHERE blob = ?1",
                "DELETE FROM blob WHERE number = ?1",
            ] {
                connection.prepare_cached(sql)?.execute([number])?;
            }
            Ok(())
        }
    }
}

/// Nobody has the whole: of the content only those chunks stay that came under a document that still
/// names it.
fn keep_proven(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached("SELECT places FROM blob_proof WHERE blob = ?1")?;
    let proven = select.query_map([number], |row| row.get(0))?;
    let proven = proven.collect::<rusqlite::Result<Vec<Vec<u8>>>>()?;
    let mut select = connection.prepare_cached("SELECT place FROM blob_chunk WHERE blob = ?1")?;
    let here = select.query_map([number], |row| row.get(0))?;
    for place in here.collect::<rusqlite::Result<Vec<u32>>>()? {
        if !proven.iter().any(|places| contains(places, place)) {
            connection
                .prepare_cached("DELETE FROM blob_chunk WHERE blob = ?1 AND place = ?2")?
                .execute((number, place))?;
            connection
                .prepare_cached("UPDATE blob SET missing = missing + 1 WHERE number = ?1")?
                .execute([number])?;
        }
    }
    connection
        .prepare_cached(
            "UPDATE blob SET outline = NULL, origin = NULL, reached = 0, begun = 0 \
             WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM blob_chunk WHERE blob = ?1)",
        )?
        .execute([number])?;
    Ok(())
}

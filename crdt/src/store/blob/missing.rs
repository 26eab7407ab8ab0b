//! Which blobs are to be asked of a peer: in key order, a few at a time, from where the last look
//! ended. What is left out for want of room is told apart from what is there to be asked for, so
//! that people are told.

use std::collections::BTreeSet;

use cunlian_protocol::blob::{BlobName, BlobPlace, Missing, MissingBlob, Postponed};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use rusqlite::{Connection, Row};

use super::deferral::why_none;
use super::{name_of, proof};
use crate::store::blob::outlines::outline;
use crate::store::rows::{Range, damaged};
use crate::store::{Fault, Inner, quota, summary};

/// References looked at in one look.
const REFERENCES_LOOKED_AT: usize = 10_000;

/// What is looked for.
pub(super) struct Look {
    /// What the peer may read, too.
    pub(super) scope: Scope,
    pub(super) from: PublicKey,
    /// Whether what comes from the peer is limited.
    pub(super) limited: bool,
    /// What it is giving.
    pub(super) active: Vec<i64>,
    /// What it does not give.
    pub(super) without: BTreeSet<(i64, KeyPrefix)>,
    /// Where the last look ended.
    pub(super) after: Option<BlobPlace>,
    pub(super) at_ms: i64,
}

/// A look under way.
struct Looking<'a> {
    inner: &'a Inner,
    connection: &'a Connection,
    look: &'a Look,
    /// Bytes that the peer may still give.
    room: u64,
    /// Of what is being given, that was taken off the room.
    counted: BTreeSet<i64>,
    found: Vec<MissingBlob>,
    passed_over: Vec<i64>,
    looked_at: usize,
}

/// A part of what is to be asked of a peer.
pub(super) fn missing(inner: &Inner, look: &Look) -> Result<Missing, Fault> {
    if let Some(why) = why_none(inner) {
        let postponed = Postponed { over_bytes: 0, begun: true, why: why.to_owned() };
        return Ok(Missing { postponed: Some(postponed), ..Missing::default() });
    }
    inner.readers.with(|connection| {
        let (room, why) = if look.limited {
            let (authority, usual) = (inner.shared.authority(), &inner.options.quota);
            quota::room_for_blobs(connection, &authority, usual, &look.from)?
        } else {
            (u64::MAX, String::new())
        };
        let mut looking = Looking {
            inner,
            connection,
            look,
            room,
            counted: BTreeSet::new(),
            found: Vec::new(),
            passed_over: Vec::new(),
            looked_at: 0,
        };
        let rest = looking.through()?;
        let Looking { room, found, passed_over, .. } = looking;
        let asked: Vec<i64> = found.iter().map(|blob| blob.number).collect();
        inner.blobs.pass_over(look.from, (&passed_over, &why), &asked);
        let over_bytes = u32::try_from(room).unwrap_or(u32::MAX);
        let postponed = Postponed { over_bytes, begun: false, why };
        let postponed = Some(postponed).filter(|_| !passed_over.is_empty());
        let roomy = room >= limits::BLOB_BYTES.into();
        Ok(Missing { blobs: found, rest, postponed, roomy })
    })
}

impl Looking<'_> {
    /// Goes on until there is enough; gives where it ended, unless that is the end.
    fn through(&mut self) -> rusqlite::Result<Option<BlobPlace>> {
        let connection = self.connection;
        let after =
            self.look.after.as_ref().map(|(document, number)| (document.as_bytes(), *number));
        for prefix in self.look.scope.tops(summary::categories(connection)?) {
            let Range { start, end } = Range::of(&prefix);
            let start =
                after.map_or(start.as_slice(), |(document, _)| start.as_slice().max(document));
            let mut select = connection.prepare_cached(
                "SELECT document, number, id, blob.bytes, origin, outline, missing \
                 FROM blob_reference INDEXED BY blob_lacking JOIN blob ON number = blob \
                 WHERE lacking > 0 AND document >= ?1 AND document < ?2 \
                 ORDER BY document, blob_reference.blob",
            )?;
            let mut rows = select.query((start, end))?;
            while let Some(row) = rows.next()? {
                let (document, number): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
                if after.is_some_and(|after| (document.as_slice(), number) <= after) {
                    continue;
                }
                let document =
                    KeyPrefix::from_bytes(&document).map_err(|error| damaged(Box::new(error)))?;
                self.consider(row, &document, number)?;
                self.looked_at += 1;
                let enough = self.found.len() >= limits::BLOBS_AT_ONCE;
                if enough || self.looked_at >= REFERENCES_LOOKED_AT {
                    return Ok(Some((document, number)));
                }
            }
        }
        Ok(None)
    }

    fn consider(
        &mut self,
        row: &Row<'_>,
        document: &KeyPrefix,
        number: i64,
    ) -> rusqlite::Result<()> {
        let name = name_of(row, 2, 3)?;
        let bytes = u64::from(name.bytes);
        // What this peer has begun to give was taken off its room in full, and what is here for
        // another document takes no more.
        let begun = row.get_ref(4)?.as_blob_or_null()? == Some(self.look.from.0.as_slice())
            || row.get::<_, u32>(6)? == 0;
        if self.look.active.contains(&number) {
            if !begun && self.counted.insert(number) {
                self.room = self.room.saturating_sub(bytes);
            }
            return Ok(());
        }
        if self.found.iter().any(|blob| blob.number == number) {
            return Ok(());
        }
        if !begun && self.room < bytes {
            self.passed_over.push(number);
            return Ok(());
        }
        let Look { from, without, at_ms, .. } = self.look;
        if without.contains(&(number, document.clone()))
            || self.inner.blobs.is_taken(number, from, *at_ms)
        {
            return Ok(());
        }
        if !begun {
            self.room -= bytes;
        }
        self.found.push(MissingBlob {
            number,
            name,
            document: document.clone(),
            outline: outline(name, row.get_ref(5)?.as_blob_or_null()?),
            places: places_missing(self.connection, document, number, &name)?,
        });
        Ok(())
    }
}

fn places_missing(
    connection: &Connection,
    document: &KeyPrefix,
    number: i64,
    name: &BlobName,
) -> rusqlite::Result<Vec<u32>> {
    let here = proof::places(connection, document.as_bytes(), number)?;
    Ok((0..name.chunks()).filter(|place| !proof::contains(&here, *place)).collect())
}

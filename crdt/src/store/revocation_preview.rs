//! What a revocation would do, before it is signed: the known work of an author, and what of it
//! would stand, stay tainted or go. Nothing here writes.

use std::collections::BTreeSet;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, Serial};
use rayon::prelude::*;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::apply_validity::entries;
use super::rows::key_of;
use super::validity::{Source, settle};
use super::writer::known_author;
use super::{Fault, Store};

/// What revocations do to the work of those they are about, as far as it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RevocationPreview {
    /// Changes by them.
    pub changes: u64,
    /// Those of them that stand now.
    pub stand_before: u64,
    /// Those that stand afterwards.
    pub stand_after: u64,
    /// Those that fall and stay, marked, because something that stands builds on them.
    pub tainted: u64,
    /// Those that fall and go.
    pub removed: u64,
    /// Documents in which something falls.
    pub documents: u64,
}

impl Store {
    /// The last changes of an author that are here, numbers up to `through_seq`, ascending; of
    /// two under one number the first that came.
    pub fn last_changes(
        &self,
        author: &Serial,
        through_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, ChangeId)>, Fault> {
        let through_seq = i64::try_from(through_seq).unwrap_or(i64::MAX);
        self.inner.readers.with(|connection| {
            let Some(number) = known_author(connection, author)? else { return Ok(Vec::new()) };
            let mut select = connection.prepare_cached(
                "SELECT seq, key, min(row) FROM change WHERE author = ?1 AND seq <= ?2 \
                 GROUP BY seq ORDER BY seq DESC LIMIT ?3",
            )?;
            let rows = select.query_map((number, through_seq, limit), |row| {
                Ok((row.get(0)?, key_of(row.get_ref(1)?.as_blob()?)?.change))
            })?;
            let mut changes = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            changes.reverse();
            Ok(changes)
        })
    }

    /// What these revocations would do; the reason if one would be refused.
    pub fn preview_revocations(
        &self,
        revocations: &[Vec<u8>],
    ) -> Result<Result<RevocationPreview, String>, Fault> {
        let before = self.authority();
        let mut after = Authority::clone(&before);
        for bytes in revocations {
            if let Err(error) = after.revoke(bytes) {
                return Ok(Err(error.to_string()));
            }
        }
        self.inner.readers.with(|connection| Ok(Ok(preview(connection, &before, &after)?)))
    }
}

fn preview(
    connection: &Connection,
    before: &Authority,
    after: &Authority,
) -> rusqlite::Result<RevocationPreview> {
    let mut preview = RevocationPreview::default();
    let mut fallen: BTreeSet<ChangeId> = BTreeSet::new();
    let mut homes: BTreeSet<Home> = BTreeSet::new();
    for certificate in after.certificates() {
        let serial = certificate.serial();
        let touched = after.chain(&serial).iter().any(|above| {
            let above = above.serial();
            after.revocations_of(&above) != before.revocations_of(&above)
        });
        let Some(number) = known_author(connection, &serial)?.filter(|_| touched) else { continue };
        let mut select =
            connection.prepare_cached("SELECT key, seq FROM change WHERE author = ?1")?;
        let mut rows = select.query([number])?;
        while let Some(row) = rows.next()? {
            let key = key_of(row.get_ref(0)?.as_blob()?)?;
            let seq = row.get(1)?;
            let stands =
                |authority: &Authority| authority.stands(&serial, seq, Some(&key.change)).is_ok();
            preview.changes += 1;
            preview.stand_before += u64::from(stands(before));
            if stands(after) {
                preview.stand_after += 1;
            } else if stands(before) {
                fallen.insert(key.change);
                homes.insert(key.home);
            }
        }
    }
    preview.documents = homes.len() as u64;
    let mut documents = Vec::with_capacity(homes.len());
    for home in homes {
        documents.push((home, entries(connection, after, &home)?));
    }
    let is_tainted = |(home, entries)| {
        let kept = settle(after, home, entries).kept.into_iter();
        let in_log = kept.filter(|entry| matches!(entry.source, Source::Log { .. }));
        in_log.filter(|entry| fallen.contains(&entry.change.id())).count() as u64
    };
    preview.tainted = documents.into_par_iter().map(is_tainted).sum();
    preview.removed = fallen.len() as u64 - preview.tainted;
    Ok(preview)
}

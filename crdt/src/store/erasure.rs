//! Erasure: the payloads of a document go, for ever and everywhere, the ids stay.
//!
//! ```text
//!  erase ─► right, reason ─► one change ─┐                 ┌─ log: every other change a stub
//!  batch with an erasure ────────────────┼─ validity::settle ─ quarantine: stubs
//!  full change of an erased document ────┘                 └─ rows: what is left to be said
//! ```
//!
//! Deleted cells are overwritten (`secure_delete`); what SQLite left behind in pages whose rows
//! moved goes when the file is written anew, at once if it is small, else at the next opening
//! ([`super::purge`]). Then no byte of the payload is in the files.

use std::collections::BTreeMap;

use cunlian_protocol::change::{self, ChangeKind, Header, Home, SignedChange};
use cunlian_protocol::id::ChangeId;

use super::checking::is_reason;
use super::materialize::{Panicked, base, project};
use super::validity::{Entry, Source, settle};
use super::write_error::WriteError;
use super::writer::Batch;
use super::{Fault, Inner, Store, local, purge};
use crate::document::Author;

impl Store {
    /// Erases documents, each with one change by `author`, who needs the right to erase; all are
    /// erased when it returns, or none is. Gives the changes in the order of the documents.
    ///
    /// The reason is read by whoever finds that the document is gone, so it must not repeat what
    /// was in it.
    pub fn erase(
        &self,
        author: &Author,
        homes: &[Home],
        reason: &str,
        now_ms: i64,
    ) -> Result<Vec<ChangeId>, WriteError> {
        local::check_suspension(&self.inner.shared)?;
        local::check_key(&self.authority(), author)?;
        for home in homes {
            self.authority().may(&author.serial, ChangeKind::ERASE.needs(), home)?;
        }
        if !is_reason(reason) {
            return Err(WriteError::Reason);
        }
        let (author, homes, reason) = (author.clone(), homes.to_vec(), reason.to_owned());
        let ids = self.inner.writer.submit_local(move |batch| {
            let mut ids = BTreeMap::new();
            for home in &homes {
                if !ids.contains_key(home) {
                    ids.insert(*home, batch.erase(&author, home, &reason, now_ms)?);
                }
            }
            Ok::<_, WriteError>(homes.iter().filter_map(|home| ids.get(home).copied()).collect())
        })?;
        compact(&self.inner);
        Ok(ids)
    }

    /// Writes the files anew if erased or purged bytes may be left in them and they are small
    /// enough; gives whether none are left.
    pub fn compact(&self) -> Result<bool, Fault> {
        purge::compact(&self.inner)
    }
}

/// Gets erased bytes out of the files. What is in the way now, as a reader, is so for a moment:
/// the store stays marked, and the next compaction or opening does it.
pub(super) fn compact(inner: &Inner) {
    match purge::compact(inner) {
        Ok(true) => {}
        Ok(false) => tracing::info!("erased bytes leave the files at the next compaction"),
        Err(fault) => tracing::warn!(%fault, "the store could not be written anew"),
    }
}

impl Batch<'_> {
    fn erase(
        &mut self,
        author: &Author,
        home: &Home,
        reason: &str,
        now_ms: i64,
    ) -> Result<ChangeId, WriteError> {
        if base(self.connection, home)?.changes == 0 {
            return Err(WriteError::NoDocument { home: *home });
        }
        let number = self.author(&author.serial)?;
        let header = Header {
            version: change::VERSION,
            kind: ChangeKind::ERASE,
            home: *home,
            author: author.serial,
            session: author.session,
            seq: self.last_seq(number)? + 1,
            recorded_at_ms: now_ms,
        };
        let change = SignedChange::sign(&header, reason.as_bytes(), &author.key)
            .map_err(|_| WriteError::Reason)?;
        let id = change.id();
        self.authority.stands(&author.serial, header.seq, Some(&id))?;
        let mut entries = self.entries(home)?;
        entries.push(Entry { change, payload: None, source: Source::Batch { reached: 0 } });
        let settled = settle(&self.authority, *home, entries);
        let outcome = project(&*self.shared.projector, &self.authority, &settled.history)
            .map_err(|Panicked| WriteError::Panicked)?;
        self.place(settled, outcome, None)?;
        Ok(id)
    }
}

//! Writing by authors of this node.
//!
//! Rights are checked before anything is made. Numbers are given in the writer thread, so that an
//! author's changes are numbered without gaps in the order in which they became durable; building
//! and signing many changes is spread over the cores from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{
    self, ChangeError, ChangeKind, Header, Home, SignedChange, VerifiedChange,
};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::{limits, signing};
use rayon::prelude::*;

use super::commit::{Addition, New};
use super::health::Fault;
use super::materialize::{Base, Panicked, base, project};
use super::replay::{history, read};
use super::rows::changes_of;
use super::write_error::WriteError;
use super::writer::{Batch, Interrupts};
use super::{Shared, suspension};
use crate::document::{Author, Write};
use crate::history::payload::{Payload, PayloadError};
use crate::history::{EditError, History};
use crate::projector::Projector;

/// Documents from which on the work is spread over the cores. A few are sooner done here than the
/// cores are free when they check the batches of peers.
const SPREAD: usize = 64;

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Interrupts for WriteError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Storage(fault) => Some(fault),
            Self::Suspended(_)
            | Self::Refused(_)
            | Self::WrongKey
            | Self::Blob(_)
            | Self::BlobNotNamed { .. }
            | Self::Nothing { .. }
            | Self::Erased { .. }
            | Self::NoDocument { .. }
            | Self::Reason
            | Self::NotTainted { .. }
            | Self::ReservedField
            | Self::ChangeTooLarge { .. }
            | Self::DocumentTooLarge { .. }
            | Self::TooMany { .. }
            | Self::Panicked => None,
        }
    }
}

/// Checks that this store may author now.
pub(super) fn check_suspension(shared: &Shared) -> Result<(), WriteError> {
    suspension::of(shared).map_or(Ok(()), |reason| Err(WriteError::Suspended(reason)))
}

/// Checks that the author may do all of it.
pub(super) fn check(
    authority: &Authority,
    author: &Author,
    writes: &[Write],
) -> Result<(), WriteError> {
    check_key(authority, author)?;
    for write in writes {
        authority.may(&author.serial, Rights::WRITE, &write.home)?;
    }
    Ok(())
}

/// Checks that the key is the one in the certificate.
pub(super) fn check_key(authority: &Authority, author: &Author) -> Result<(), WriteError> {
    match authority.get(&author.serial) {
        Some(certificate) if certificate.body().subject != signing::public_key(&author.key) => {
            Err(WriteError::WrongKey)
        }
        _ => Ok(()),
    }
}

/// Writes of one document, each with its place in the call.
struct Task {
    home: Home,
    base: Base,
    existing: Vec<VerifiedChange>,
    writes: Vec<(usize, Write)>,
}

impl Batch<'_> {
    /// Makes, numbers, signs and keeps the changes; gives their ids in the order of the writes.
    pub(super) fn write(
        &mut self,
        author: &Author,
        writes: Vec<Write>,
        now_ms: i64,
    ) -> Result<Vec<ChangeId>, WriteError> {
        let number = self.author(&author.serial)?;
        let first_seq = self.last_seq(number)? + 1;
        let last_seq = first_seq + writes.len() as u64 - 1;
        self.authority.stands(&author.serial, last_seq, None)?;
        let tasks = self.tasks(writes)?;
        let maker = Maker {
            author,
            first_seq,
            now_ms,
            authority: Arc::clone(&self.authority),
            projector: &*self.shared.projector,
        };
        let made: Vec<_> = if tasks.len() >= SPREAD {
            tasks.into_par_iter().map(|task| maker.make(task)).collect::<Result<_, _>>()?
        } else {
            tasks.into_iter().map(|task| maker.make(task)).collect::<Result<_, _>>()?
        };
        let mut ids = Vec::new();
        for (addition, places) in made {
            let changes = addition.new.iter().map(|new| new.change.id());
            ids.extend(places.into_iter().zip(changes));
            self.add(addition, None)?;
        }
        ids.sort_unstable_by_key(|(place, _)| *place);
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    /// Groups the writes by document, in key order, with what is there of each.
    fn tasks(&self, writes: Vec<Write>) -> Result<Vec<Task>, WriteError> {
        let mut by_home: BTreeMap<Home, Vec<(usize, Write)>> = BTreeMap::new();
        for (place, write) in writes.into_iter().enumerate() {
            by_home.entry(write.home).or_default().push((place, write));
        }
        let tasks = by_home.into_iter().map(|(home, writes)| {
            let base = base(self.connection, &home)?;
            let existing = match base.changes {
                0 => Vec::new(),
                _ => changes_of(self.connection, &home)?,
            };
            Ok(Task { home, base, existing, writes })
        });
        tasks.collect()
    }
}

/// What all changes of one call share.
struct Maker<'a> {
    author: &'a Author,
    first_seq: u64,
    now_ms: i64,
    authority: Arc<Authority>,
    projector: &'a dyn Projector,
}

impl Maker<'_> {
    fn make(&self, task: Task) -> Result<(Addition, Vec<usize>), WriteError> {
        let Task { home, base, existing, writes } = task;
        let mut history = history(&self.authority, home, read(&existing));
        if history.is_erased() {
            return Err(WriteError::Erased { home });
        }
        let mut new = Vec::with_capacity(writes.len());
        let mut places = Vec::with_capacity(writes.len());
        let mut bytes = base.bytes;
        for (place, write) in writes {
            let (change, payload) = self.change(&history, &write, place)?;
            // Under a number below the last that stands there may stand another change.
            let seq = change.header().seq;
            self.authority.stands(&self.author.serial, seq, Some(&change.id()))?;
            history.push(payload);
            if history.is_too_heavy() {
                return Err(WriteError::TooMany { home });
            }
            bytes += change.bytes().len() as u64;
            new.push(New { change, reached: 0 });
            places.push(place);
        }
        if bytes > limits::DOCUMENT_BYTES as u64 {
            return Err(WriteError::DocumentTooLarge { home, got: bytes });
        }
        let outcome = project(self.projector, &self.authority, &history)
            .map_err(|Panicked| WriteError::Panicked)?;
        Ok((Addition { home, base, new, outcome }, places))
    }

    fn change(
        &self,
        history: &History,
        write: &Write,
        place: usize,
    ) -> Result<(VerifiedChange, Payload), WriteError> {
        let Write { home, edits, source, task } = write;
        let header = Header {
            version: change::VERSION,
            kind: ChangeKind::EDIT,
            home: *home,
            author: self.author.serial,
            session: self.author.session,
            seq: self.first_seq + place as u64,
            recorded_at_ms: self.now_ms,
        };
        let payload =
            history.author(header.actor(), edits, source, task).map_err(|error| match error {
                EditError::Nothing => WriteError::Nothing { home: *home },
                EditError::FieldName => WriteError::ReservedField,
                EditError::NotTainted => WriteError::NotTainted { home: *home },
            })?;
        let too_large = |got| WriteError::ChangeTooLarge { home: *home, got };
        let change =
            SignedChange::sign(&header, &payload, &self.author.key).map_err(
                |error| match error {
                    ChangeError::TooLarge { got } | ChangeError::Length { got } => too_large(got),
                    ChangeError::Address | ChangeError::Zero => too_large(payload.len()),
                },
            )?;
        match Payload::decode(&change) {
            Some(Ok(payload)) => Ok((change, payload)),
            Some(Err(PayloadError::Unfolds { .. })) => Err(WriteError::TooMany { home: *home }),
            Some(Err(PayloadError::Panicked)) | None => Err(WriteError::Panicked),
            Some(Err(error)) => {
                tracing::error!(%error, "a change made here does not decode");
                Err(WriteError::Panicked)
            }
        }
    }
}

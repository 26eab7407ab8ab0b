//! Moves (迁移): a person, household or shop goes to another village.
//!
//! A document never changes its home. A move copies every part its author may read and write to
//! new documents in the other village, and links both: the old base and parts get
//! [`MOVED_TO`], the new base [`MOVED_FROM`]. The old ones leave lists and counts, are still
//! found, and say where the record is now. Nothing is deleted: history and concurrent edits stay
//! where they were made.
//!
//! All writes are meant for one call of the store, which keeps all of them or none. The new id
//! follows from the old one and the address, so that a move sent twice is one move.

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::id::DocumentId;

use super::catalogue::{Class, Part};
use super::{Origin, Place};
use crate::refusal::{Refusal, RefusalKind, Refused, keys};

/// The field of a base or part that says where the record has gone: a [`Place::link`].
pub const MOVED_TO: &str = "moved_to";
/// The field of a base that says where the record has come from: a [`Place::link`].
pub const MOVED_FROM: &str = "moved_from";

/// Why a record is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelocationError {
    /// The base is not among the parts.
    #[error("the base of the record is not here")]
    NoBase,
    /// There is nothing left of it.
    #[error("the record was erased")]
    Erased,
    /// It has gone already.
    #[error("the record has already been moved to {to}")]
    Moved {
        /// Where to.
        to: AddressCode,
    },
    /// The target is no village in use.
    #[error("{to} is not a village in use")]
    NoVillage {
        /// The target.
        to: AddressCode,
    },
    /// Who moves it has no right to write its base at both ends.
    #[error("no right to write the record in both villages")]
    NoRight,
    /// The target is no village, or the village it is in.
    #[error("{to} is not another village")]
    NotElsewhere {
        /// The target.
        to: AddressCode,
    },
    /// Two people wrote different values at the same time: a copy would carry one of them.
    #[error("the field {field} has two values; choose one first")]
    Conflict {
        /// The field.
        field: String,
    },
}

keys!(RelocationError {
    Self::NoBase => "relocation-not-found",
    Self::Erased => "relocation-erased",
    Self::Moved { .. } => "relocation-moved",
    Self::NoVillage { .. } => "relocation-no-village",
    Self::NotElsewhere { .. } => "relocation-not-elsewhere",
    Self::NoRight => "relocation-no-right",
    Self::Conflict { .. } => "relocation-conflict",
});

impl Refused for RelocationError {
    fn refusal(&self) -> Refusal {
        let refusal = |class| Refusal::new(class, self.key(), self);
        match self {
            Self::NoBase => refusal(RefusalKind::NotFound),
            Self::Erased => refusal(RefusalKind::Conflict),
            Self::Moved { to } | Self::NotElsewhere { to } => {
                refusal(RefusalKind::Conflict).with("code", to)
            }
            Self::NoVillage { to } => {
                refusal(RefusalKind::Malformed).with("code", to).about("village")
            }
            Self::NoRight => refusal(RefusalKind::Forbidden),
            Self::Conflict { field } => refusal(RefusalKind::Conflict).with("field", field),
        }
    }
}

/// Whether a field of a document is a link of a move and no field of the catalogue.
pub fn is_link(key: &str) -> bool {
    key == MOVED_TO || key == MOVED_FROM
}

/// Where the record of this base has gone; `None` when it is where it was.
pub fn moved_to(base: &DocumentView) -> Option<Place> {
    Place::from_link(&base.fields.get(MOVED_TO)?.current.text)
}

/// Where the record of this base has come from.
pub fn moved_from(base: &DocumentView) -> Option<Place> {
    Place::from_link(&base.fields.get(MOVED_FROM)?.current.text)
}

/// The place of the record `from` after a move to `to`.
pub fn destination(from: Place, to: AddressCode) -> Place {
    let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 moved record");
    hasher.update(from.record.as_bytes());
    hasher.update(from.address.as_bytes());
    hasher.update(b" ");
    hasher.update(to.as_bytes());
    let mut id = [0; DocumentId::LENGTH];
    hasher.finalize_xof().fill(&mut id);
    Place { address: to, record: DocumentId(id) }
}

/// The writes that move the record `from` to the address `to`, with the `parts` its author may
/// read and write at both; the others stay where they are.
pub fn relocate(
    class: &Class,
    from: Place,
    to: AddressCode,
    parts: &[(Part, &DocumentView)],
    origin: &Origin,
) -> Result<(Place, Vec<Write>), RelocationError> {
    let base = parts.iter().find(|(part, _)| *part == Part::Base);
    let (_, base) = base.ok_or(RelocationError::NoBase)?;
    if base.erased.is_some() {
        return Err(RelocationError::Erased);
    }
    if let Some(place) = moved_to(base) {
        return Err(RelocationError::Moved { to: place.address });
    }
    let village = |code: AddressCode| code.truncate(Level::Village);
    if village(to).is_none() || village(to) == village(from.address) {
        return Err(RelocationError::NotElsewhere { to });
    }
    let place = destination(from, to);
    let (mut made, mut left) = (Vec::new(), Vec::new());
    for (part, view) in parts.iter().filter(|(_, view)| view.erased.is_none()) {
        let mut edits = Vec::new();
        for (key, field) in view.fields.iter().filter(|(key, _)| !is_link(key)) {
            if !field.others.is_empty() {
                return Err(RelocationError::Conflict { field: key.clone() });
            }
            edits.push(put(key, field.current.text.clone()));
        }
        if *part == Part::Base {
            edits.push(put(MOVED_FROM, from.link()));
        }
        let write = |place: Place, edits| Write {
            home: class.home(*part, place.address, place.record),
            edits,
            source: origin.source.clone(),
            task: origin.task.clone(),
        };
        if !edits.is_empty() {
            made.push(write(place, edits));
        }
        left.push(write(from, vec![put(MOVED_TO, place.link())]));
    }
    made.extend(left);
    Ok((place, made))
}

fn put(field: &str, text: String) -> Edit {
    Edit::Put { field: field.to_owned(), text }
}

//! A record is changed, and what happens when somebody else was faster.
//!
//! Whoever edits says what they saw. A field that others have changed since is not written over: the
//! refusal says what stands there now, and the edit is taken when it is sent again with that.

use std::collections::BTreeMap;

use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;

use super::catalogue::{self, Class, Part};
use super::masking::{has_text, with_masks};
use super::record::{self, Problem, RecordError, changed_since, told};
use super::register::Written;
use super::{Fields, Origin, Place, relocation};
use crate::access::acting::Acting;
use crate::access::reader::Reader;
use crate::refusal::{Failed, Refusal, RefusalKind, Refused, keys};

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new texts; a field that is not named stays, an empty text takes it away.
    pub fields: Fields,
    /// The texts that the editor saw; what stands here where they do not say.
    pub seen: Option<Fields>,
    /// Where the texts come from.
    pub origin: Origin,
}

/// Why a record is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such record, or nothing of it that this person may read.
    #[error("there is no such record")]
    NotFound,
    /// There is nothing left of it.
    #[error("the record was erased")]
    Erased,
    /// It has gone to another village.
    #[error("the record has moved to {to}")]
    Moved {
        /// Where to.
        to: AddressCode,
    },
    /// What was seen names a field that the record does not have.
    #[error("seen: {key:?} is not a field of this class")]
    Seen {
        /// The key.
        key: String,
    },
    /// Somebody changed the same fields in the meantime.
    #[error("changed since it was read: {}", .0.keys().cloned().collect::<Vec<_>>().join(", "))]
    Overtaken(Fields),
    /// Fields that must be corrected, by key.
    #[error("{} fields must be corrected", .0.len())]
    Fields(BTreeMap<String, Problem>),
}

keys!(EditError {
    Self::NotFound => "edit-not-found",
    Self::Erased => "edit-erased",
    Self::Moved { .. } => "edit-moved",
    Self::Seen { .. } => "edit-seen",
    Self::Overtaken(_) => "edit-overtaken",
    Self::Fields(_) => "edit-fields",
});

impl Refused for EditError {
    fn refusal(&self) -> Refusal {
        let refusal = |class| Refusal::new(class, self.key(), self);
        match self {
            Self::NotFound => refusal(RefusalKind::NotFound),
            Self::Erased => refusal(RefusalKind::Conflict),
            Self::Moved { to } => refusal(RefusalKind::Conflict).with("code", to),
            Self::Seen { key } => refusal(RefusalKind::Malformed).with("field", key).about("seen"),
            Self::Overtaken(now) => {
                let fields = now.iter().map(|(key, text)| (key.clone(), overtaken(self, text)));
                let refusal = refusal(RefusalKind::Conflict).about_each(fields.collect());
                Refusal { now: now.clone(), ..refusal }
            }
            Self::Fields(problems) => refusal(RefusalKind::Malformed)
                .with("count", &problems.len())
                .about_each(told(problems)),
        }
    }
}

/// The keys of what is said of a field that somebody else has changed.
pub const FIELD_KEYS: &[&str] = &["field-emptied", "field-overtaken"];

/// That somebody changed a field to `text` in the meantime, or emptied it.
fn overtaken(error: &EditError, text: &str) -> Refusal {
    let key = if text.is_empty() { "field-emptied" } else { "field-overtaken" };
    Refusal::new(RefusalKind::Conflict, key, error).with("text", text)
}

/// Changes a record. Where nothing differs nothing is written.
pub fn edit(
    acting: &Acting<'_>,
    class: &Class,
    place: Place,
    edited: &Edited,
) -> Result<Written, Failed<EditError>> {
    let refused = Failed::Refused;
    let stored = changeable(acting.store, acting.reader, class, place)?;
    let seen = match &edited.seen {
        Some(seen) => {
            let is_known = |key: &str| has_text(class, key) || stored.contains_key(key);
            if let Some(key) = seen.keys().find(|key| !is_known(key)) {
                return Err(refused(EditError::Seen { key: key.clone() }));
            }
            let now = changed_since(seen, &stored, &edited.fields);
            if !now.is_empty() {
                return Err(refused(EditError::Overtaken(now)));
            }
            with_masks(seen.clone(), &stored)
        }
        None => stored,
    };
    let home = class.home(Part::Base, place.address, place.record);
    let catalogue = acting.store.read(|connection| catalogue::at(connection, place.address))?;
    let Edited { fields, origin, .. } = edited;
    let changes = match record::edit(&catalogue, &class.key, place, &seen, fields, origin) {
        Ok(writes) => acting.write(writes)?,
        Err(RecordError::Unchanged) => Vec::new(),
        Err(RecordError::Fields(problems)) => return Err(refused(EditError::Fields(problems))),
        Err(RecordError::Class { .. }) => return Err(refused(EditError::NotFound)),
    };
    Ok(Written { home, changes })
}

/// The texts of a record that may be changed, as far as `reader` reads them.
pub fn changeable(
    store: &Store,
    reader: &Reader,
    class: &Class,
    place: Place,
) -> Result<Fields, Failed<EditError>> {
    let refused = Failed::Refused;
    let mut fields = Fields::new();
    let mut is_here = false;
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        let view = if reader.may_read(&home) { store.view(&home)? } else { None };
        let Some(view) = view else { continue };
        is_here = true;
        if part == Part::Base && view.erased.is_some() {
            return Err(refused(EditError::Erased));
        }
        if let Some(gone) = relocation::moved_to(&view).filter(|_| part == Part::Base) {
            return Err(refused(EditError::Moved { to: gone.address }));
        }
        fields.extend(view.fields.into_iter().map(|(key, field)| (key, field.current.text)));
    }
    if is_here { Ok(fields) } else { Err(refused(EditError::NotFound)) }
}

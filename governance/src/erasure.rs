//! Erasing what is known of a person, on their demand (PIPL art. 47): never one document alone.
//!
//! A record is its base, its sensitive parts and, where it has moved, the copies that stayed
//! behind; a ticket is its steps, the contact of who reported it and its photos. Each capability
//! names what belongs together ([`Capability::whole`](crate::capability::Capability::whole));
//! [`Store::erase`](cunlian_crdt::store::Store::erase) takes all of it or none. Where one sensitive
//! part goes alone, its mask in the base goes with it, if who erases may write there.

use cunlian_crdt::store::{Fault, WriteError};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;

use crate::access::acting::Acting;
use crate::capabilities::Capabilities;
use crate::library::catalogue::{self, Part};
use crate::library::{Origin, masking, whole};
use crate::refusal::{Failed, Refusal, RefusalKind, Refused, keys};

/// Why nothing is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// There is nothing of it here, or it was erased before.
    #[error("there is no such document here")]
    NotHere,
    /// The base of what it belongs to is not here, which alone says what else there is.
    #[error("what this document is part of is not here")]
    NoBase,
}

keys!(EraseError {
    Self::NotHere => "erase-not-here",
    Self::NoBase => "erase-no-base",
});

impl Refused for EraseError {
    fn refusal(&self) -> Refusal {
        Refusal::new(RefusalKind::NotFound, self.key(), self)
    }
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The documents, each with the change that erased it.
    pub documents: Vec<(Home, ChangeId)>,
    /// Kinds of data that belong to it and are not here; another node may hold them.
    pub missing: Vec<Category>,
    /// Whether a mask of what was erased stands in the base of the record still, because who
    /// erased may not write there.
    pub mask_left: bool,
}

/// Erases a document, or with `everything` all that belongs to the same thing.
pub fn erase(
    acting: &Acting<'_>,
    home: &Home,
    everything: bool,
    reason: &str,
) -> Result<Erased, Failed<EraseError>> {
    let store = acting.store;
    let (homes, missing) = if everything {
        let whole = Capabilities::of_program().whole(store, home)?;
        let whole = whole.ok_or(Failed::Refused(EraseError::NoBase))?;
        (whole.homes, whole.missing)
    } else {
        (vec![*home], Vec::new())
    };
    let mut here = Vec::new();
    for home in homes {
        if store.view(&home)?.is_some_and(|view| view.erased.is_none()) {
            here.push(home);
        }
    }
    if here.is_empty() {
        return Err(Failed::Refused(EraseError::NotHere));
    }
    let changes = store.erase(acting.author, &here, reason.trim(), acting.now_ms)?;
    let mask_left = !everything && leaves_mask(acting, home)?;
    Ok(Erased { documents: here.into_iter().zip(changes).collect(), missing, mask_left })
}

/// Takes the masks of an erased part out of the base of its record; whether some had to stay.
fn leaves_mask(acting: &Acting<'_>, home: &Home) -> Result<bool, WriteError> {
    let Some(write) = unmasking(acting, home)? else { return Ok(false) };
    match acting.write(vec![write]) {
        Ok(_) => Ok(false),
        Err(WriteError::Refused(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// What takes the masks of an erased part out of the base of its record.
fn unmasking(
    acting: &Acting<'_>,
    home: &Home,
) -> Result<Option<cunlian_crdt::document::Write>, Fault> {
    let store = acting.store;
    let Some((class, part)) = home.category.class_and_part() else { return Ok(None) };
    let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
    let class = catalogue.by_number(class);
    let part = Part::from_number(part).filter(|part| *part != Part::Base);
    let (Some(class), Some(part)) = (class, part) else { return Ok(None) };
    let Some(base) = whole::base_of(store, class, home)? else { return Ok(None) };
    let origin = Origin { source: "erasure".to_owned(), task: String::new() };
    let view = store.view(&base)?;
    Ok(view.and_then(|view| masking::unmask(class, part, &view, &origin)))
}

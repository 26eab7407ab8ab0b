//! The record that a document is part of, with all its parts and the places it was at.

use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;

use crate::capability::subject::{Subject, Whole, alone};
use crate::erasure;
use crate::library::Place;
use crate::library::catalogue::{self, Class, Part};

/// Most records at one address that are looked through for the one that a part belongs to.
const RECORDS_OF_ADDRESS: usize = 100_000;

/// All documents of the record; `None` when its base is not here, which alone says what it is.
pub(super) fn whole(store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
    let Some((class, _)) = class_of(store, home)? else { return alone(store, home).map(Some) };
    let Some(base) = base_of(store, &class, home)? else { return Ok(None) };
    let place = Place { address: base.address, record: base.document };
    let homes = erasure::of_record(&class, place, |home| store.view(home))?;
    let is_missing = |part: &Part| !homes.contains(&class.home(*part, place.address, place.record));
    let missing = class.parts().filter(is_missing).map(|part| class.category(part)).collect();
    Ok(Some(Whole { homes, missing }))
}

/// The base of the record, by its name.
pub(super) fn subject(store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
    let Some((class, _)) = class_of(store, home)? else { return Ok(None) };
    let Some(base) = base_of(store, &class, home)? else { return Ok(None) };
    let Some(view) = store.view(&base)?.filter(|view| view.erased.is_none()) else {
        return Ok(None);
    };
    let title = view.fields.get("name").map(|field| field.current.text.clone());
    Ok(Some(Subject { home: base, title: title.unwrap_or_default() }))
}

/// The class of a document, as the catalogue has it there, and which part it is.
fn class_of(store: &Store, home: &Home) -> Result<Option<(Class, Part)>, Fault> {
    let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
    let Some((number, part)) = home.category.class_and_part() else { return Ok(None) };
    Ok(catalogue.by_number(number).cloned().zip(Part::from_number(part)))
}

/// The base document of a record. Other parts have ids made from it, which cannot be turned back,
/// so the records at the address are tried.
fn base_of(store: &Store, class: &Class, home: &Home) -> Result<Option<Home>, Fault> {
    let base = class.category(Part::Base);
    if home.category == base {
        return Ok(store.view(home)?.map(|_| *home));
    }
    let prefix = KeyPrefix::region(base, &Region::exact(home.address));
    let bases = store.documents(&prefix, RECORDS_OF_ADDRESS)?;
    Ok(bases.into_iter().find(|base| is_part(home.category, *base, home)))
}

fn is_part(category: Category, base: Home, part: &Home) -> bool {
    base.document.part(category) == part.document
}

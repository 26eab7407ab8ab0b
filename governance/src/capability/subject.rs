//! What a document belongs to: the thing that people mean when they speak of it.

use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

/// What a document is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The document that has a page of its own: of a part of a record its base.
    pub home: Home,
    /// What people call it; empty where it has no name.
    pub title: String,
}

/// What is erased or moved together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whole {
    /// The documents that are here and not erased.
    pub homes: Vec<Home>,
    /// Kinds of data that belong to it and are not here, or erased already.
    pub missing: Vec<Category>,
}

/// A document that nothing else belongs to.
pub(crate) fn alone(store: &Store, home: &Home) -> Result<Whole, Fault> {
    let mut whole = Whole::default();
    if is_here(store, home)? {
        whole.homes.push(*home);
    } else {
        whole.missing.push(home.category);
    }
    Ok(whole)
}

/// Whether there is something of a document that can be erased.
pub(crate) fn is_here(store: &Store, home: &Home) -> Result<bool, Fault> {
    Ok(store.view(home)?.is_some_and(|view| view.erased.is_none()))
}

//! An actor: what one author may do to a document, in the words of what is done.
//!
//! Pages ask it before a person types, so that no form leads to a refusal. What it is not: the
//! check itself, which the store makes again with every write, whoever asked before.

use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use cunlian_protocol::rights::Rights;

/// Reading a document and writing it: who writes what they cannot read overwrites it blindly.
const EDIT: Rights = Rights::READ.with(Rights::WRITE);

/// One author, and the certificates as they are known at this moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Actor {
    authority: Arc<Authority>,
    serial: Serial,
}

impl Actor {
    /// The holder of `serial`.
    pub const fn new(authority: Arc<Authority>, serial: Serial) -> Self {
        Self { authority, serial }
    }

    /// Whether they may read a document.
    pub fn reads(&self, home: &Home) -> bool {
        self.has(Rights::READ, home)
    }

    /// Whether they may write a document, known to them or not.
    pub fn writes(&self, home: &Home) -> bool {
        self.has(Rights::WRITE, home)
    }

    /// Whether they may change what a document says.
    pub fn edits(&self, home: &Home) -> bool {
        self.has(EDIT, home)
    }

    /// Whether they may erase a document.
    pub fn erases(&self, home: &Home) -> bool {
        self.has(Rights::ERASE, home)
    }

    /// Whether they hold every right that an act on a document needs.
    pub fn has(&self, rights: Rights, home: &Home) -> bool {
        self.authority.may(&self.serial, rights, home).is_ok()
    }

    /// Their grants to write whole kinds of data, wherever that is.
    pub fn writing(&self, category: Category) -> impl Iterator<Item = &Grant> {
        self.granting(Rights::WRITE, category)
    }

    /// Their grants to change whole kinds of data, wherever that is.
    pub fn editing(&self, category: Category) -> impl Iterator<Item = &Grant> {
        self.granting(EDIT, category)
    }

    fn granting(&self, rights: Rights, category: Category) -> impl Iterator<Item = &Grant> {
        let certificate = self.authority.get(&self.serial);
        let grants = certificate.into_iter().flat_map(|certificate| &certificate.body().grants);
        grants.filter(move |grant| {
            grant.rights.contains(rights)
                && grant.document.is_none()
                && grant.categories.contains(category)
        })
    }
}

//! Who does something, and with what: what every use case takes beside what is asked of it.

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::{Store, WriteError};
use cunlian_protocol::id::ChangeId;

use super::actor::Actor;
use super::reader::Reader;

/// Somebody who does something at this node, at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Acting<'a> {
    /// Where it is read and written.
    pub store: &'a Store,
    /// Who signs it: a person, or the node for villagers.
    pub author: &'a Author,
    /// What they read.
    pub reader: &'a Reader,
    /// Where it comes from, such as `terminal`, `api` or `plate`.
    pub source: &'a str,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
}

impl Acting<'_> {
    /// What they may do.
    pub fn actor(&self) -> Actor {
        Actor::new(self.store.authority(), self.author.serial)
    }

    /// Writes as them, all or nothing; durable on return. The store checks every right.
    pub(crate) fn write(&self, writes: Vec<Write>) -> Result<Vec<ChangeId>, WriteError> {
        self.store.write(self.author, writes, self.now_ms)
    }
}

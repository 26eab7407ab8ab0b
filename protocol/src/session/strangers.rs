//! Changes by authors whom this session does not know yet.
//!
//! The store gives out what is durable, and the session learns of new certificates by an event of
//! its own: a change can be read before its author is known here. Sent without the certificate it
//! would be refused, as by an unknown author, and what was refused is not sent again. So it waits
//! here until the certificates come. Of more than a batch the next comparison finds the rest.

use std::collections::BTreeMap;

use super::Session;
use crate::id::{ChangeId, Serial};
use crate::key::{KeyPrefix, SetKey};
use crate::limits;
use crate::sync::{Selection, Stored};

/// Changes that wait for the certificates of their authors.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeMap<ChangeId, (SetKey, Serial)>);

impl Session {
    /// Those of some changes whose authors are known; the others wait.
    pub(super) fn without_strangers(&mut self, changes: Vec<Stored>) -> Vec<Stored> {
        let known = |stored: &Stored| self.authority.get(&stored.author).is_some();
        let (known, unknown): (Vec<_>, Vec<_>) = changes.into_iter().partition(known);
        for stored in unknown {
            if self.strangers.0.len() < limits::BATCH_CHANGES {
                self.strangers.0.insert(stored.key.change, (stored.key, stored.author));
            }
        }
        known
    }

    /// New certificates are known: authors that were waited for may be among them. What one side
    /// has refused may have been refused for want of them; it is looked at again.
    pub(super) fn meet_strangers(&mut self) {
        self.compare.forget_disputes();
        let waiting = std::mem::take(&mut self.strangers.0);
        let (known, unknown): (BTreeMap<_, _>, _) =
            waiting.into_iter().partition(|(_, (_, author))| self.authority.get(author).is_some());
        self.strangers.0 = unknown;
        for (id, (key, _)) in known {
            let prefix = KeyPrefix::document(&key.home);
            self.outgoing.queue(Selection::Ids { prefix, ids: vec![id] }, 1, None);
        }
    }
}

//! When a store must not author: it may be one of two with the same keys and numbers.
//!
//! What it is: a gate in front of [`Store::write`]. What it is not: the store does not find out
//! by itself and forgets at close; the node decides, keeps the reason beside the store and sets
//! it again at the next start.

use std::sync::PoisonError;

use cunlian_protocol::id::Serial;
use serde::{Deserialize, Serialize};

use super::writer::Batch;
use super::{Fault, Shared, Store, writer};

/// Why a store must not author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub enum Suspension {
    /// It was made from a backup, and may lack changes it has authored since.
    #[error("this node was restored from a backup")]
    Restored,
    /// Its data directory is in another place than before, and the other may run as well.
    #[error("the data directory of this node was copied or moved")]
    Copied,
    /// Two machines were seen to use this identity.
    #[error("another machine uses the identity of this node")]
    Forked,
}

impl Suspension {
    /// The reason's name, as in JSON and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Copied => "copied",
            Self::Forked => "forked",
        }
    }
}

impl Store {
    /// From now on [`Store::write`] refuses with this reason. Changes of peers, this node's own
    /// among them, are still taken in.
    pub fn suspend(&self, reason: Suspension) {
        let suspension = &self.inner.shared.suspension;
        *suspension.write().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Lets writes through again.
    pub fn resume(&self) {
        let suspension = &self.inner.shared.suspension;
        *suspension.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why writes are refused; `None` when they are not.
    pub fn suspension(&self) -> Option<Suspension> {
        of(&self.inner.shared)
    }

    /// The greatest number of a change by an author that was ever here; 0 when there was none.
    pub fn last_seq(&self, author: &Serial) -> Result<u64, Fault> {
        self.inner.readers.with(|connection| match writer::known_author(connection, author)? {
            Some(number) => Ok(writer::last_seq(connection, number)?),
            None => Ok(0),
        })
    }
}

impl Batch<'_> {
    /// Whether it is known that this store may be one of two.
    pub(super) fn is_suspended(&self) -> bool {
        of(self.shared).is_some()
    }
}

pub(super) fn of(shared: &Shared) -> Option<Suspension> {
    *shared.suspension.read().unwrap_or_else(PoisonError::into_inner)
}

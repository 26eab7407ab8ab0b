//! Versions of the protocol: which of them a node speaks, and what hangs on the one that two
//! nodes agree on.
//!
//! Each side lists in its hello the versions it speaks. Both take the greatest that both have; two
//! that have none part, and each says so to its administrator ([`Skew`]).
//!
//! What later versions may change, and what never changes:
//!
//! - The hello, the goodbye and [`Message::Speaks`] stay as they are: they pass before a version
//!   is agreed on. What a later version adds to a hello it puts into [`crate::wire::Hello::more`],
//!   which is signed with the rest and passed over by who does not know it.
//! - New messages go to the end of [`Message`], and [`Message::since`] says with which version
//!   they came. Nobody sends a message that the version of the session does not have; who does is
//!   at fault.
//! - Changes have versions and kinds of their own ([`crate::change`]); they are kept and passed on
//!   by nodes that do not understand them, whatever the version of the session.
//!
//! Version 1 is all that is released. Version 2 has [`Message::Remark`] and a first use of
//! `more`; so far only tests speak it, to show that both live side by side.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::wire::{Bounded, Message, VERSIONS};

/// What a node speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Versions spoken, best first; at most [`limits::VERSIONS`].
    pub versions: Vec<u16>,
    /// What the hello says beside what version 1 knows.
    pub more: Vec<u8>,
    /// Words for the administrators of peers, said when a session opens whose version has
    /// [`Message::Remark`].
    pub remark: Option<String>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { versions: VERSIONS.to_vec(), more: Vec::new(), remark: None }
    }
}

impl Dialect {
    /// The version that is spoken with a peer that speaks these; `None` when there is none.
    pub fn common(&self, theirs: &[u16]) -> Option<u16> {
        self.versions.iter().copied().filter(|version| theirs.contains(version)).max()
    }

    /// The versions as they stand in a hello.
    pub(crate) fn told(&self) -> Bounded<u16, { limits::VERSIONS }> {
        Bounded(self.versions.iter().copied().take(limits::VERSIONS).collect())
    }
}

/// Two nodes that have no version in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skew {
    /// What this node speaks.
    pub own: Vec<u16>,
    /// What the peer speaks.
    pub peer: Vec<u16>,
}

impl Skew {
    /// Whether this node is the older one, which has to be updated.
    pub fn is_own_older(&self) -> bool {
        self.own.iter().max() < self.peer.iter().max()
    }
}

impl Message {
    /// The first version of the protocol that has the message.
    pub const fn since(&self) -> u16 {
        match self {
            Self::Remark(_) => 2,
            Self::Hello(_)
            | Self::Welcome(_)
            | Self::Goodbye { .. }
            | Self::Root { .. }
            | Self::Equal
            | Self::Tops(_)
            | Self::Query(_)
            | Self::Answer(_)
            | Self::Want { .. }
            | Self::Delivered { .. }
            | Self::Announce { .. }
            | Self::Certificates(_)
            | Self::Revocations(_)
            | Self::Ack { .. }
            | Self::AskHeld(_)
            | Self::Held(_)
            | Self::Holding { .. }
            | Self::AskAgain
            | Self::KnownRevocations(_)
            | Self::Renew { .. }
            | Self::Issued(_)
            | Self::NotIssued { .. }
            | Self::Blob(_)
            | Self::Speaks(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that both sides take the same version whoever asks, that it is the greatest, and that
    /// without a common one the older side is the one that speaks only smaller numbers.
    #[test]
    fn both_take_the_greatest_common_version() {
        let speaking =
            |versions: &[u16]| Dialect { versions: versions.to_vec(), ..Dialect::default() };
        let pairs: [(&[u16], &[u16], Option<u16>); 4] = [
            (&[1], &[2, 1], Some(1)),
            (&[2, 1], &[1, 2], Some(2)),
            (&[1], &[3, 2], None),
            (&[], &[1], None),
        ];
        for (one, other, common) in pairs {
            assert_eq!(speaking(one).common(other), common);
            assert_eq!(speaking(other).common(one), common);
        }
        assert!(Skew { own: vec![1], peer: vec![3, 2] }.is_own_older());
        assert!(!Skew { own: vec![3, 2], peer: vec![1] }.is_own_older());
    }
}

//! What a grant lets its holder do.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A set of rights, one bit each: read 1, write 2, assign 4, sign off 8, erase 32.
///
/// To delegate is not a bit here but the second set of a grant
/// ([`crate::certificate::Grant::delegable`]).
///
/// Unknown bits of a newer version are kept, and contained only in a grant that has them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rights(pub u8);

impl Rights {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Receive and see.
    pub const READ: Self = Self(1);
    /// Create and change.
    pub const WRITE: Self = Self(2);
    /// Assign cases to others.
    pub const ASSIGN: Self = Self(4);
    /// Sign off joint cases.
    pub const SIGN_OFF: Self = Self(8);
    /// Erase payloads.
    pub const ERASE: Self = Self(32);
    /// Every right known to this version.
    pub const ALL: Self = Self(47);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every right of `other` is here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Rights, &str); 5] = [
            (Rights::READ, "read"),
            (Rights::WRITE, "write"),
            (Rights::ASSIGN, "assign"),
            (Rights::SIGN_OFF, "sign-off"),
            (Rights::ERASE, "erase"),
        ];
        let mut first = true;
        for (_, name) in NAMES.into_iter().filter(|(right, _)| self.contains(*right)) {
            out.write_str(if first { "" } else { "+" })?;
            out.write_str(name)?;
            first = false;
        }
        if first { out.write_str("nothing") } else { Ok(()) }
    }
}

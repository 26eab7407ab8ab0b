//! The register of administrative divisions: which address codes were given out, their names, and
//! what became of codes that no longer exist.
//!
//! It is data of the county, published from lists ([`import()`]) and replicated to every node below
//! it, as the catalogue is; nothing in it is personal. Names are labels only; two villages of one
//! county may share a name, so the key is the code.
//!
//! | module | is |
//! |---|---|
//! | `lines`, `row`, `list` | a list on its way in |
//! | [`publish`] | the use case: what a list changes is written |
//! | `entry` | entries as they stand in documents |
//! | `projection` | the tables |
//! | `own` | what a machine knows before it received anything |
//! | `lookup` | questions |

mod entry;
pub mod kinds;
pub mod limits;
mod lines;
mod list;
mod lookup;
mod own;
pub(crate) mod projection;
pub mod publish;
mod row;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use cunlian_protocol::address::AddressCode;
use serde::{Deserialize, Serialize};

pub use self::limits::{BATCH_ROWS, LINE_BYTES_MAX, LISTED_MAX, RESOLVE_CODES_MAX};
pub use self::list::{
    Batch, DivisionList, ImportReport, ListError, MissingSuccessor, Outside, Placeholder, Progress,
    Rejected, Written,
};
pub use self::lookup::{
    LookupError, Resolution, children, family, find, name_path, predecessors, resolve, successor,
};
pub use self::own::{keep_own_names, unknown_places};
pub use self::publish::{ImportError, PublishError, import};
pub use self::row::{Format, HeaderError, RowError};

/// One entry of the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// The address code.
    pub code: AddressCode,
    /// The published name, such as `苑兴村民委员会`. Not unique.
    pub name: String,
    /// The published parent; `None` for the top of a list.
    pub parent: Option<AddressCode>,
    /// What became of the code.
    pub status: Status,
    /// The codes that took its place; empty for an active code.
    pub successors: Vec<AddressCode>,
}

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    Active,
    /// Joined into another division (撤并).
    Merged,
    /// Divided into several.
    Split,
    /// Withdrawn.
    Revoked,
}

impl Status {
    /// The word used in lists and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Merged => "merged",
            Self::Split => "split",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A word that is none of the four states.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a status; it is active, merged, split or revoked")]
pub struct StatusError {
    /// The word found.
    pub found: String,
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        [Self::Active, Self::Merged, Self::Split, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StatusError { found: text.to_owned() })
    }
}

/// What people call a village whose register entry names its committee: `苑兴村民委员会` is 苑兴村.
pub fn spoken_name(name: &str) -> String {
    for (long, short) in
        [("村民委员会", "村"), ("居民委员会", ""), ("村委会", "村"), ("居委会", "")]
    {
        if let Some(stem) = name.strip_suffix(long).filter(|stem| !stem.is_empty()) {
            let doubled = short == "村" && stem.ends_with('村');
            return if doubled { stem.to_owned() } else { format!("{stem}{short}") };
        }
    }
    name.to_owned()
}

//! The register of administrative divisions: which address codes were given out, their names, and
//! what became of codes that no longer exist.
//!
//! It is a reference table imported from published lists ([`import()`]), not replicated data: every
//! node loads the lists it needs, and nothing in it is personal. Names are labels only; two
//! villages of one county may share a name, so the key is the code.
//!
//! | column     | type    | meaning                                                              |
//! |------------|---------|----------------------------------------------------------------------|
//! | code       | TEXT    | digits of the address code, primary key                              |
//! | level      | INTEGER | digits of the code, 2 to 26                                          |
//! | name       | TEXT    | as published                                                         |
//! | parent     | TEXT    | code of an ancestor as published, empty at the top of a list         |
//! | status     | TEXT    | `active`, `merged`, `split` or `revoked`                             |
//! | successors | TEXT    | codes separated by one blank, empty for active codes                 |

mod import;
mod lines;
mod list;
mod lookup;
mod row;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use cunlian_protocol::address::AddressCode;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use self::import::{ImportError, import, missing_parents};
pub use self::lines::LINE_BYTES_MAX;
pub use self::list::{
    BATCH_ROWS, Batch, DivisionList, ImportReport, LISTED_MAX, ListError, Placeholder, Progress,
    Rejected, Written,
};
pub use self::lookup::{
    LookupError, RESOLVE_CODES_MAX, Resolution, children, family, find, name_path, predecessors,
    resolve, successor,
};
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

/// Creates the table and its index where they do not exist yet.
pub fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS division (
             code TEXT PRIMARY KEY NOT NULL,
             level INTEGER NOT NULL,
             name TEXT NOT NULL,
             parent TEXT NOT NULL,
             status TEXT NOT NULL,
             successors TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS division_by_parent ON division (parent);
         CREATE INDEX IF NOT EXISTS division_ended ON division (status) WHERE status <> 'active';",
    )
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

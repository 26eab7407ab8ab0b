//! The library (一库): records in classes, each part of a record a document of its own.
//!
//! | module | what it holds |
//! |---|---|
//! | [`catalogue`] | the classes and their fields, as replicated data |
//! | [`register`], [`edit`], [`relocate`] | what people do with records, each act once |
//! | [`record`] | what is written for a new or edited record |
//! | [`masking`] | what who may not read a part sees of it |
//! | [`relocation`] | what is written when a record goes to another village |
//! | [`query`] | search, and one record with the parts that are here |

pub mod catalogue;
pub mod edit;
pub mod kinds;
pub mod masking;
pub(crate) mod projection;
pub mod query;
pub mod record;
pub mod register;
pub mod relocate;
pub mod relocation;
pub(crate) mod sample;
pub(crate) mod whole;

use std::collections::BTreeMap;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::DocumentId;

/// Field texts by key, across all parts of a record.
pub type Fields = BTreeMap<String, String>;

/// Where a record lives and which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The address it belongs to: house, grid or village.
    pub address: AddressCode,
    /// The id of its base document.
    pub record: DocumentId,
}

impl Place {
    /// How a move names a record: address and document, separated by a blank.
    pub fn link(&self) -> String {
        format!("{} {}", self.address, self.record)
    }

    /// Reads what [`Self::link`] wrote.
    pub fn from_link(text: &str) -> Option<Self> {
        let (address, record) = text.split_once(' ')?;
        Some(Self { address: AddressCode::parse(address).ok()?, record: record.parse().ok()? })
    }
}

/// Where values come from and what they were asked for (provenance of every field).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Such as `form`, `import` or `survey`.
    pub source: String,
    /// The survey or help task that asked; may be empty.
    pub task: String,
}

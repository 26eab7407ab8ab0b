//! Certificates in words: what a certificate says, where it stands, why its holder may or may not
//! do something, and how its grants are changed.
//!
//! What it is: answers for people, with the structure behind each sentence in the JSON, so that
//! pages can say the same in their language. What it is not: a second judge of permission. What
//! may be done is decided by [`cunlian_protocol::authority`]; here it is explained, and tests hold
//! the two together.
//!
//! | module | has |
//! |---|---|
//! | `find` | who is meant: a name, a serial, a login, an address code as people write it |
//! | [`card`] | one certificate with its grants, and its state |
//! | [`tree`] | all certificates under the root |
//! | [`why`] | one question of permission, answered grant by grant |
//! | [`grant`] | a grant as text, and what makes one wider than another |
//! | [`change`] | a new certificate for the same key with other grants, and its handing over |

use std::sync::Arc;

use cunlian_crdt::store::Store;
use cunlian_governance::divisions;
use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::Serial;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AdminError, Administration};
use crate::operator::Operators;
use crate::regions::own_region;

pub mod card;
pub mod change;
mod find;
pub mod grant;
pub mod tree;
pub mod why;

pub use find::read_address;

const DAY_MS: i64 = 86_400_000;

/// What is asked about certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Action {
    /// One certificate; answered with a [`card::Card`].
    Show {
        /// Name, serial or login; the node itself if absent.
        who: Option<String>,
    },
    /// All of them; answered with a [`tree::Tree`].
    Tree,
    /// Whether somebody may do something; answered with a [`why::Answer`].
    Why(why::Question),
    /// Other grants for somebody; answered with a [`change::Changed`].
    Change(change::Wanted),
}

/// A certificate by its serial and the name in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its serial.
    pub serial: Serial,
    /// The name in it.
    pub name: String,
}

/// What is needed to say something about certificates.
pub struct Desk<'a> {
    /// The node's store.
    pub store: &'a Store,
    /// The people of the node.
    pub operators: &'a Operators,
    /// The certificates that are known.
    pub authority: Arc<Authority>,
    /// What kinds and fields are called.
    pub catalogue: Catalogue,
    /// The node's own certificate.
    pub own: Serial,
    /// Trusted time.
    pub now_ms: i64,
}

impl Administration {
    /// Answers what is asked about certificates.
    pub fn certificate(&self, action: &Action) -> Result<Value, AdminError> {
        let desk = self.desk()?;
        let answer = match action {
            Action::Show { who } => serde_json::to_value(desk.show(who.as_deref())?),
            Action::Tree => serde_json::to_value(desk.tree()?),
            Action::Why(question) => serde_json::to_value(desk.why(question)?),
            Action::Change(wanted) => serde_json::to_value(self.change(&desk, wanted)?),
        };
        Ok(answer.expect("an answer has only JSON types"))
    }

    /// What is needed to say something about certificates, as things stand now.
    pub fn desk(&self) -> Result<Desk<'_>, AdminError> {
        let region = own_region(&self.identity.certificate);
        Ok(Desk {
            store: &self.store,
            operators: &self.operators,
            authority: self.store.authority(),
            catalogue: self.store.read(|connection| catalogue::at(connection, region))?,
            own: self.identity.certificate.serial(),
            now_ms: (self.now_ms)(),
        })
    }
}

impl Desk<'_> {
    /// The names on the way to an address, as far as the register knows them.
    pub fn place(&self, address: &AddressCode) -> Option<String> {
        // A node that has not imported the register yet shows codes.
        let names = self
            .store
            .read(|connection| Ok(divisions::name_path(connection, address).unwrap_or_default()));
        names.ok().filter(|names| !names.is_empty()).map(|names| names.join(" "))
    }

    /// An address with its names.
    pub fn place_words(&self, address: &AddressCode) -> String {
        let code = match address.as_str() {
            "" => "CN",
            digits => digits,
        };
        self.place(address).map_or_else(|| code.to_owned(), |place| format!("{place} ({code})"))
    }

    /// A certificate by serial and name.
    pub fn named(&self, serial: &Serial) -> Named {
        Named { serial: *serial, name: self.authority.name(serial) }
    }
}

//! Erasing documents for a person's right to it (PIPL art. 47).
//!
//! What is known of one person is in several documents, one for each kind of data, and in the
//! copies that stayed behind where the record has moved; a ticket has contact and photos beside its
//! steps. With [`ErasureRequest::person`] all of them go at once
//! ([`cunlian_governance::erasure`]). Where one kind of data goes alone, its mask in the base goes with it, if who erases may write there.
//! What this node does not hold it cannot erase: the answer names the kinds of data that were not
//! found here, to be erased where they are kept.

use cunlian_crdt::document::Author;
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::erasure::{self, EraseError};
use cunlian_governance::refusal::Failed;
use cunlian_protocol::change::Home;
use serde::{Deserialize, Serialize};

use super::certificate::{Desk, read_address};
use super::naming::{category_name, parse_category};
use super::people::Password;
use super::review::in_words;
use super::{AdminError, Administration};

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequest {
    /// Address code of the document.
    pub address: String,
    /// Name of its category.
    pub category: String,
    /// The document, 32 hexadecimal digits.
    pub document: String,
    /// Whether to erase every part of the record that the document is one of.
    pub person: bool,
    /// Why, in up to 400 bytes; it must not repeat what is erased.
    pub reason: String,
    /// Login of the person who erases.
    pub login: String,
    /// The person's password.
    pub password: Password,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The documents.
    pub documents: Vec<ErasedDocument>,
    /// Kinds of data of the record of which there is nothing here; another node may hold them.
    pub not_here: Vec<String>,
    /// Whether a mask of what was erased stands in the base of the record still, because who
    /// erased may not write there.
    pub mask_left: bool,
    /// Whether the bytes are out of the files already; else they are after the next start.
    pub compacted: bool,
}

/// One document that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedDocument {
    /// Name of its category.
    pub category: String,
    /// Its address.
    pub address: String,
    /// Its id, 32 hexadecimal digits.
    pub document: String,
    /// The change that erased it.
    pub change: String,
}

impl Administration {
    /// Erases a document, or all parts of a record.
    pub fn erase(&self, wish: &ErasureRequest) -> Result<Erased, AdminError> {
        let author = self.acting_as(&wish.login, &wish.password)?;
        self.erase_as(&author, wish)
    }

    /// The same for somebody whose key is open already; login and password are not looked at.
    pub fn erase_as(&self, author: &Author, wish: &ErasureRequest) -> Result<Erased, AdminError> {
        let desk = self.desk()?;
        let home = read_home(&desk, wish)?;
        let acting = Acting {
            store: &self.store,
            author,
            reader: &Reader::everything(),
            source: "erasure",
            now_ms: (self.now_ms)(),
        };
        let erased = erasure::erase(&acting, &home, wish.person, &wish.reason).map_err(told)?;
        let documents = erased.documents.iter().map(|(home, change)| ErasedDocument {
            category: category_name(home.category, &desk.catalogue),
            address: home.address.as_str().to_owned(),
            document: home.document.to_string(),
            change: change.to_string(),
        });
        let not_here = erased.missing.iter().map(|kind| category_name(*kind, &desk.catalogue));
        let compacted = !self.store.is_compaction_due()?;
        Ok(Erased {
            documents: documents.collect(),
            not_here: not_here.collect(),
            mask_left: erased.mask_left,
            compacted,
        })
    }
}

/// The reason with what can be done about it.
fn told(failed: Failed<EraseError>) -> AdminError {
    match failed {
        Failed::Store(error) => in_words(error),
        Failed::Refused(error @ EraseError::NotHere) => AdminError::new(error)
            .hint("check address, category and document; it may be kept at another node"),
        Failed::Refused(error @ EraseError::NoBase) => AdminError::new(error)
            .hint("give its base document, or erase this one without --person"),
    }
}

fn read_home(desk: &Desk<'_>, wish: &ErasureRequest) -> Result<Home, AdminError> {
    let category = parse_category(&wish.category, &desk.catalogue).map_err(AdminError::new)?;
    let document = wish.document.trim().parse().map_err(|_| {
        AdminError::new(format!("{:?} is not the id of a document", wish.document))
            .hint("it has 32 hexadecimal digits")
    })?;
    Ok(Home { category, address: read_address(&wish.address)?, document })
}

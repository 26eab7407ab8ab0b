//! Erasing documents for a person's right to it (PIPL art. 47).
//!
//! What is known of one person is in several documents, one for each kind of data, and in the
//! copies that stayed behind where the record has moved; a ticket has contact and photos beside its
//! steps. With [`Wish::person`] all of them go at once ([`cunlian_governance::erasure`]). Where one
//! kind of data goes alone, its mask in the base goes with it, if who erases may write there.
//! What this node does not hold it cannot erase: the answer names the kinds of data that were not
//! found here, to be erased where they are kept.

use cunlian_crdt::document::Author;
use cunlian_crdt::store::WriteError;
use cunlian_governance::capabilities::Capabilities;
use cunlian_governance::erasure;
use cunlian_governance::library::Origin;
use cunlian_governance::library::catalogue::{Class, Part};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use serde::{Deserialize, Serialize};

use super::certificate::{Desk, read_address};
use super::naming::{category_name, parse_category};
use super::people::Password;
use super::review::in_words;
use super::{AdminError, Administration};

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
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
    pub fn erase(&self, wish: &Wish) -> Result<Erased, AdminError> {
        let author = self.acting_as(&wish.login, &wish.password)?;
        self.erase_as(&author, wish)
    }

    /// The same for somebody whose key is open already; login and password are not looked at.
    pub fn erase_as(&self, author: &Author, wish: &Wish) -> Result<Erased, AdminError> {
        let desk = self.desk()?;
        let home = read_home(&desk, wish)?;
        let (homes, not_here) =
            if wish.person { whole(&desk, &home)? } else { (vec![home], Vec::new()) };
        let mut here = Vec::new();
        for home in homes {
            if self.store.view(&home)?.is_some_and(|view| view.erased.is_none()) {
                here.push(home);
            }
        }
        if here.is_empty() {
            return Err(AdminError::new("there is no such document here")
                .hint("check address, category and document; it may be kept at another node"));
        }
        let changes = self.store.erase(author, &here, wish.reason.trim(), (self.now_ms)());
        let changes = changes.map_err(in_words)?;
        let mask_left = !wish.person && self.leaves_mask(&desk, author, &home)?;
        let documents = here.iter().zip(changes).map(|(home, change)| ErasedDocument {
            category: category_name(home.category, &desk.catalogue),
            address: home.address.as_str().to_owned(),
            document: home.document.to_string(),
            change: change.to_string(),
        });
        let compacted = !self.store.is_compaction_due()?;
        Ok(Erased { documents: documents.collect(), not_here, mask_left, compacted })
    }

    /// Takes the masks of an erased part out of the base of its record; whether some had to stay.
    fn leaves_mask(
        &self,
        desk: &Desk<'_>,
        author: &Author,
        home: &Home,
    ) -> Result<bool, AdminError> {
        let Some((class, part)) = class_of(desk, home.category) else { return Ok(false) };
        if part == Part::Base {
            return Ok(false);
        }
        let Some(base) = base_of(desk, class, part, home)? else { return Ok(false) };
        let base = class.home(Part::Base, home.address, base);
        let Some(view) = self.store.view(&base)? else { return Ok(false) };
        let origin = Origin { source: "erasure".to_owned(), task: String::new() };
        let Some(write) = erasure::unmask(class, part, &view, &origin) else { return Ok(false) };
        let written = self.store.write(author, vec![write], (self.now_ms)());
        match written {
            Ok(_) => Ok(false),
            Err(WriteError::Refused(_)) => Ok(true),
            Err(error) => Err(in_words(error)),
        }
    }
}

fn read_home(desk: &Desk<'_>, wish: &Wish) -> Result<Home, AdminError> {
    let category = parse_category(&wish.category, &desk.catalogue).map_err(AdminError::new)?;
    let document = wish.document.trim().parse().map_err(|_| {
        AdminError::new(format!("{:?} is not the id of a document", wish.document))
            .hint("it has 32 hexadecimal digits")
    })?;
    Ok(Home { category, address: read_address(&wish.address)?, document })
}

/// Everything that goes with a document, and the kinds of data of it that are not here.
fn whole(desk: &Desk<'_>, home: &Home) -> Result<(Vec<Home>, Vec<String>), AdminError> {
    let Some(whole) = Capabilities::of_program().whole(desk.store, home)? else {
        return Err(AdminError::new("what this document is part of is not here")
            .hint("give its base document, or erase this one without --person"));
    };
    let missing = whole.missing.into_iter();
    Ok((whole.homes, missing.map(|kind| category_name(kind, &desk.catalogue)).collect()))
}

fn class_of<'a>(desk: &'a Desk<'_>, category: Category) -> Option<(&'a Class, Part)> {
    let (number, part) = category.class_and_part()?;
    Some((desk.catalogue.by_number(number)?, Part::from_number(part)?))
}

/// The base document of a record. Other parts have ids made from it, which cannot be turned back,
/// so the records at the address are tried.
fn base_of(
    desk: &Desk<'_>,
    class: &Class,
    part: Part,
    home: &Home,
) -> Result<Option<DocumentId>, AdminError> {
    if part == Part::Base {
        return Ok(Some(home.document));
    }
    let bases = documents_at(desk, class.category(Part::Base), home.address)?;
    let is_base = |base: &DocumentId| class.home(part, home.address, *base) == *home;
    Ok(bases.into_iter().find(is_base))
}

fn documents_at(
    desk: &Desk<'_>,
    category: Category,
    address: AddressCode,
) -> Result<Vec<DocumentId>, AdminError> {
    let prefix = KeyPrefix::region(category, &Region::exact(address));
    let homes = desk.store.documents(&prefix, usize::MAX)?;
    Ok(homes.into_iter().map(|home| home.document).collect())
}

//! The public contact directory of a village: who to call for what.
//!
//! Entries stand on the page behind the door plate, so they hold only what an office has
//! published: the role, the name and the office phone of people on duty. One document of
//! [`Category::DIRECTORY`] per entry, homed at the village.

pub mod kinds;
pub(crate) mod projection;
pub mod query;

use std::collections::BTreeMap;

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use crate::checks::{self, CheckError};

/// Roles a village usually publishes, in the order of its page.
pub const ROLES: [&str; 8] =
    ["村支书", "包村干部", "片警", "农管员", "网格员", "村医", "调解员", "水电维修"];

/// One contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// What to call them for, one of [`ROLES`] or another.
    pub role: String,
    /// Name.
    pub name: String,
    /// Office phone, checked.
    pub phone: String,
    /// Duty or hours; may be empty.
    pub duty: String,
    /// Place in the list, low first.
    pub position: u32,
}

/// Why a contact is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// Role or name is empty.
    #[error("{field} must be filled in")]
    Empty {
        /// `role` or `name`.
        field: &'static str,
    },
    /// The phone is not one.
    #[error("the phone {0}")]
    Phone(#[from] CheckError),
}

/// The write that publishes `contact` as the entry `document` of `village`.
pub fn publish(
    village: AddressCode,
    document: DocumentId,
    contact: &Contact,
    source: &str,
) -> Result<Write, ContactError> {
    let (role, name) = (contact.role.trim(), contact.name.trim());
    if role.is_empty() {
        return Err(ContactError::Empty { field: "role" });
    }
    if name.is_empty() {
        return Err(ContactError::Empty { field: "name" });
    }
    let phone = checks::phone(&contact.phone)?;
    let position = contact.position.to_string();
    let values = [
        ("role", role),
        ("name", name),
        ("phone", phone.as_str()),
        ("duty", contact.duty.trim()),
        ("position", position.as_str()),
    ];
    let put =
        |(field, text): (&str, &str)| Edit::Put { field: field.to_owned(), text: text.to_owned() };
    let edits = values.into_iter().filter(|(_, text)| !text.is_empty()).map(put).collect();
    let home = Home { category: Category::DIRECTORY, address: village, document };
    Ok(Write { home, edits, source: source.to_owned(), task: String::new() })
}

/// The contact in the fields of an entry; `None` while role or name are missing.
pub fn read(fields: &BTreeMap<&str, &str>) -> Option<Contact> {
    let text = |key| fields.get(key).copied().unwrap_or_default().to_owned();
    let contact = Contact {
        role: text("role"),
        name: text("name"),
        phone: text("phone"),
        duty: text("duty"),
        position: text("position").parse().unwrap_or(u32::MAX),
    };
    (!contact.role.is_empty() && !contact.name.is_empty()).then_some(contact)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// Shows that a published contact is read back as it was, and that a wrong phone is refused.
    #[test]
    fn a_contact_survives_its_document() {
        let village = AddressCode::parse("370322102310").unwrap();
        let mut contact = Contact {
            role: "片警".to_owned(),
            name: "李国强".to_owned(),
            phone: "05336310000".to_owned(),
            duty: String::new(),
            position: 2,
        };
        let write = publish(village, DocumentId([1; 16]), &contact, "form").unwrap();
        let mut fields = BTreeMap::new();
        for edit in &write.edits {
            let Edit::Put { field, text } = edit else { continue };
            fields.insert(field.as_str(), text.as_str());
        }
        assert_eq!(read(&fields), Some(contact.clone()));
        contact.phone = "12".to_owned();
        assert_eq!(
            publish(village, DocumentId([1; 16]), &contact, "form"),
            Err(ContactError::Phone(CheckError::Phone))
        );
    }
}

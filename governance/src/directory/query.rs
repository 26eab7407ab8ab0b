//! The public contacts of a village, as its page lists them.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::id::DocumentId;
use rusqlite::{Connection, named_params};

use super::Contact;
use crate::query::document;

/// The public contacts of a village, in the order of its page.
pub fn contacts(
    connection: &Connection,
    village: AddressCode,
) -> rusqlite::Result<Vec<(DocumentId, Contact)>> {
    let mut statement = connection.prepare_cached(
        "SELECT document, role, name, phone, duty, position FROM directory
         WHERE category = :category AND address = :address ORDER BY position, role, name, document",
    )?;
    let named = named_params! {
        ":category": Category::DIRECTORY.0, ":address": village.as_str(),
    };
    let rows = statement.query_map(named, |row| {
        let contact = Contact {
            role: row.get(1)?,
            name: row.get(2)?,
            phone: row.get(3)?,
            duty: row.get(4)?,
            position: row.get(5)?,
        };
        Ok((document(row, 0)?, contact))
    })?;
    rows.collect()
}

//! The catalogue as this node knows it.

use cunlian_protocol::address::AddressCode;
use rusqlite::{Connection, named_params};

use super::{Catalogue, Entry};
use crate::query::document;

/// The catalogue that holds at `address`: the built-in one with what the county, or another
/// region above the address, has changed.
pub fn at(connection: &Connection, address: AddressCode) -> rusqlite::Result<Catalogue> {
    let mut statement = connection.prepare_cached(
        "SELECT document, entry, text FROM catalogue
         WHERE substr(:address, 1, length(address)) = address
         ORDER BY address, document, entry",
    )?;
    let rows = statement.query_map(named_params! {":address": address.as_str()}, |row| {
        Ok(Entry { document: document(row, 0)?, key: row.get(1)?, text: row.get(2)? })
    })?;
    Ok(Catalogue::from_entries(rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

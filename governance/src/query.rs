//! Questions to the projection tables: what pages, commands and figures show.
//!
//! Every function takes a [`Connection`] and returns [`rusqlite::Result`], so that it can run
//! inside the store's `read`. Nothing here writes, and nothing looks at the clock: where "now"
//! matters it is a parameter. What a node does not have it cannot answer; a record without the
//! parts the node may not read is a whole record here.
//!
//! | module | answers |
//! |---|---|
//! | [`record`] | search, one record with the parts that are here |
//! | [`region`] | counts by class and by child region, villages and their latest change |
//! | [`ticket`] | queues, one ticket, trace, by receipt, similar ones |
//! | [`told`] | what may be said of figures of people |
//! | [`statistics`] | reply, completion and satisfaction rates with their definitions |
//! | [`conflict`] | the conflict inbox |
//! | [`title`] | search by title over other kinds |
//! | [`erasure`] | what was erased, by whom and why |
//! | this one | catalogue and directory |

pub mod conflict;
pub mod erasure;
pub mod record;
pub mod region;
pub mod statistics;
pub mod ticket;
pub mod title;
pub mod told;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, named_params};

use crate::catalogue::{Catalogue, Entry};
use crate::directory::Contact;

/// The catalogue that holds at `address`: the built-in one with what the county, or another
/// region above the address, has changed.
pub fn catalogue(connection: &Connection, address: AddressCode) -> rusqlite::Result<Catalogue> {
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

/// The public contacts of a village, in the order of its page.
pub fn directory(
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

/// The half-open range of address texts at and below `region`: `:` is the character after `9`.
fn range(region: AddressCode) -> (String, String) {
    (region.as_str().to_owned(), format!("{region}:"))
}

/// The home in the first three columns.
fn home(row: &Row<'_>) -> rusqlite::Result<Home> {
    Ok(Home {
        category: Category(row.get(0)?),
        address: address(row, 1)?,
        document: document(row, 2)?,
    })
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<AddressCode> {
    let text: String = row.get(column)?;
    AddressCode::parse_or_country(&text).map_err(|error| broken(column, Type::Text, error))
}

fn document(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    Ok(DocumentId(row.get(column)?))
}

fn serial(row: &Row<'_>, column: usize) -> rusqlite::Result<Serial> {
    Ok(Serial(row.get(column)?))
}

fn change(row: &Row<'_>, column: usize) -> rusqlite::Result<ChangeId> {
    Ok(ChangeId(row.get(column)?))
}

/// A count of rows, which is never negative.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let counted: i64 = row.get(column)?;
    u64::try_from(counted).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, counted))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| broken(column, Type::Text, error))
}

/// A stored value that the projector did not write: the table is damaged or of another version.
fn broken(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

#[cfg(test)]
mod tests;

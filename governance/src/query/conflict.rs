//! The conflict inbox: fields two people wrote at the same time, with all values.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use rusqlite::{Connection, named_params};

use super::{home, json, range};
use crate::access::reader::Reader;
use crate::projection::ConflictOption;

/// One field with concurrent values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The document it is in, base or part.
    pub home: Home,
    /// The field.
    pub field: String,
    /// The values, the one shown first being the first; at least two.
    pub options: Vec<ConflictOption>,
}

/// The conflicts at and below `region` that `reader` may read, ordered by address; at most `limit`.
pub fn list(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    limit: u32,
) -> rusqlite::Result<Vec<Conflict>> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT category, address, document, field, options FROM conflict
         WHERE address >= :from AND address < :to AND {}
         ORDER BY address, category, document, field LIMIT :limit",
        readable.sql()
    ))?;
    let named = named_params! {":from": from, ":to": to, ":limit": limit};
    let rows = statement.query_map(&*readable.with(named), read)?;
    rows.collect()
}

/// The conflicts at and below each of `regions`, which do not overlap; at most `limit`.
pub fn list_within(
    connection: &Connection,
    reader: &Reader,
    regions: &[AddressCode],
    limit: u32,
) -> rusqlite::Result<Vec<Conflict>> {
    let mut all = Vec::new();
    for region in regions {
        all.extend(list(connection, reader, *region, limit)?);
    }
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}

/// How many fields are in conflict at and below each of `regions`, which do not overlap.
pub fn count_within(
    connection: &Connection,
    reader: &Reader,
    regions: &[AddressCode],
) -> rusqlite::Result<u64> {
    regions.iter().map(|region| count(connection, reader, *region)).sum()
}

/// The conflicts of one document.
pub fn of_document(
    connection: &Connection,
    address: AddressCode,
    document: DocumentId,
) -> rusqlite::Result<Vec<Conflict>> {
    let mut statement = connection.prepare_cached(
        "SELECT category, address, document, field, options FROM conflict
         WHERE address = :address AND document = :document ORDER BY category, field",
    )?;
    let named = named_params! {":address": address.as_str(), ":document": document.0};
    let rows = statement.query_map(named, read)?;
    rows.collect()
}

/// How many fields that `reader` may read are in conflict at and below `region`.
pub fn count(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
) -> rusqlite::Result<u64> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT count(*) FROM conflict WHERE address >= :from AND address < :to AND {}",
        readable.sql()
    ))?;
    let named = named_params! {":from": from, ":to": to};
    statement.query_row(&*readable.with(named), |row| super::count(row, 0))
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Conflict> {
    Ok(Conflict { home: home(row)?, field: row.get(3)?, options: json(row, 4)? })
}

//! What was erased, by whom and why (PIPL art. 47). The content is gone; this is the trace of it.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, Serial};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::{change, home, range, serial};

/// A document that was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedDocument {
    /// Where it was.
    pub home: Home,
    /// The reason given.
    pub reason: String,
    /// The certificate of who erased it.
    pub author: Serial,
    /// The name in it.
    pub name: String,
    /// When their device recorded it, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// The signed change.
    pub change: ChangeId,
}

const COLUMNS: &str = "category, address, document, reason, author, name, at_ms, change";

/// What is left of the document at `home`; `None` when it was not erased.
pub fn of_document(
    connection: &Connection,
    home: &Home,
) -> rusqlite::Result<Option<ErasedDocument>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM erasure
         WHERE category = :category AND address = :address AND document = :document"
    ))?;
    let named = named_params! {
        ":category": home.category.0,
        ":address": home.address.as_str(),
        ":document": home.document.0,
    };
    statement.query_row(named, read).optional()
}

/// The documents erased at and below `region`, the latest first; at most `limit`.
pub fn list(
    connection: &Connection,
    region: AddressCode,
    limit: u32,
) -> rusqlite::Result<Vec<ErasedDocument>> {
    let (from, to) = range(region);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM erasure WHERE address >= :from AND address < :to
         ORDER BY at_ms DESC, change LIMIT :limit"
    ))?;
    let rows =
        statement.query_map(named_params! {":from": from, ":to": to, ":limit": limit}, read)?;
    rows.collect()
}

/// How many documents were erased at and below `region`.
pub fn count(connection: &Connection, region: AddressCode) -> rusqlite::Result<u64> {
    let (from, to) = range(region);
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM erasure WHERE address >= :from AND address < :to")?;
    statement.query_row(named_params! {":from": from, ":to": to}, |row| super::count(row, 0))
}

fn read(row: &Row<'_>) -> rusqlite::Result<ErasedDocument> {
    Ok(ErasedDocument {
        home: home(row)?,
        reason: row.get(3)?,
        author: serial(row, 4)?,
        name: row.get(5)?,
        at_ms: row.get(6)?,
        change: change(row, 7)?,
    })
}

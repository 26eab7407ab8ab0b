//! Questions to the projection tables: what pages, commands and figures show.
//!
//! Every function takes a [`Connection`](rusqlite::Connection) and returns [`rusqlite::Result`], so that it can run
//! inside the store's `read`. Nothing here writes, and nothing looks at the clock: where "now"
//! matters it is a parameter. What a node does not have it cannot answer; a record without the
//! parts the node may not read is a whole record here.
//!
//! | module | answers |
//! |---|---|
//! | [`region`] | counts by class and by child region, villages and their latest change |
//! | [`disclosure`] | what may be said of figures of people |
//! | [`conflict`] | the conflict inbox |
//! | [`title`] | search by title over other kinds |
//! | [`erasure`] | what was erased, by whom and why |
//! | `<capability>/query.rs` | what belongs to one capability |
//! | this one | how columns are read |

pub mod conflict;
pub mod disclosure;
pub mod erasure;
pub mod region;
pub mod title;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use rusqlite::Row;
use rusqlite::types::Type;

/// The half-open range of address texts at and below `region`: `:` is the character after `9`.
pub(crate) fn range(region: AddressCode) -> (String, String) {
    (region.as_str().to_owned(), format!("{region}:"))
}

/// The home in the first three columns.
pub(crate) fn home(row: &Row<'_>) -> rusqlite::Result<Home> {
    Ok(Home {
        category: Category(row.get(0)?),
        address: address(row, 1)?,
        document: document(row, 2)?,
    })
}

pub(crate) fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<AddressCode> {
    let text: String = row.get(column)?;
    AddressCode::parse_or_country(&text).map_err(|error| broken(column, Type::Text, error))
}

pub(crate) fn document(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    Ok(DocumentId(row.get(column)?))
}

pub(crate) fn serial(row: &Row<'_>, column: usize) -> rusqlite::Result<Serial> {
    Ok(Serial(row.get(column)?))
}

pub(crate) fn change(row: &Row<'_>, column: usize) -> rusqlite::Result<ChangeId> {
    Ok(ChangeId(row.get(column)?))
}

/// A count of rows, which is never negative.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let counted: i64 = row.get(column)?;
    u64::try_from(counted).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, counted))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| broken(column, Type::Text, error))
}

/// A stored value that the projector did not write: the table is damaged or of another version.
pub(crate) fn broken(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

#[cfg(test)]
mod tests;

//! Search by title, over the kinds whose documents are found by it. The library has a search of its
//! own ([`crate::library::query`]), and tickets their queue.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use rusqlite::{Connection, named_params};

use super::{home, range};
use crate::access::reader::Reader;

/// A document that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Titled {
    /// The document.
    pub home: Home,
    /// Its title.
    pub title: String,
}

/// The documents at and below `region` that `reader` may read and whose title contains `text`, or
/// is spelled as `text` begins, in full or by initials; ordered by kind, address and title, at most
/// `limit`. Without a text all of them.
pub fn search(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    text: &str,
    limit: u32,
) -> rusqlite::Result<Vec<Titled>> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT category, address, document, title FROM title
         WHERE address >= :from AND address < :to AND {}
             AND (instr(lower(title), :text) > 0 OR substr(pinyin, 1, length(:letters)) = :letters
                 OR substr(initials, 1, length(:letters)) = :letters)
         ORDER BY category, address, title, document LIMIT :limit",
        readable.sql()
    ))?;
    let text = text.trim().to_lowercase();
    let letters: String = text.chars().filter(|found| !found.is_whitespace()).collect();
    let named = named_params! {
        ":from": from, ":to": to, ":text": text, ":letters": letters, ":limit": limit,
    };
    let rows = statement.query_map(&*readable.with(named), |row| {
        Ok(Titled { home: home(row)?, title: row.get(3)? })
    })?;
    rows.collect()
}

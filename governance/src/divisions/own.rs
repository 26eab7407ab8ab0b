//! What a machine knows of places by itself: the names in the certificates of its own chain.
//!
//! A node that joined a moment ago has received nothing yet, and villagers scan its plate all the
//! same. Its certificate and those above it name its village, town and county; they stand in the
//! table `division` until the published register has the codes.

use cunlian_protocol::address::{AddressCode, Level};
use rusqlite::Connection;

/// Keeps the names of places where nothing is known of them yet; gives how many were new.
pub fn keep_own_names(
    connection: &Connection,
    places: &[(AddressCode, String)],
) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO division (code, level, name, parent, status, successors)
         VALUES (?1, length(?1), ?2, ?3, 'active', '') ON CONFLICT (code) DO NOTHING",
    )?;
    let mut kept = 0;
    for (code, name) in places {
        let parent = code.parent().filter(|parent| parent.level() >= Level::County);
        let parent = parent.as_ref().map_or("", AddressCode::as_str);
        kept += insert.execute((code.as_str(), name.as_str(), parent))?;
    }
    Ok(kept)
}

/// Those of `places` of which nothing is known here.
pub fn unknown_places(
    connection: &Connection,
    places: &[(AddressCode, String)],
) -> rusqlite::Result<Vec<(AddressCode, String)>> {
    let mut select =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM division WHERE code = ?1)")?;
    let mut unknown = Vec::new();
    for place in places {
        if !select.query_row([place.0.as_str()], |row| row.get::<_, bool>(0))? {
            unknown.push(place.clone());
        }
    }
    Ok(unknown)
}

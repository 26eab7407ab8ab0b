//! What is left in the writer's database.

use std::path::Path;

use rusqlite::Connection;

/// The number of the last commit that is there, given that all before it are there too, each
/// whole and unaltered. Says what is wrong otherwise.
pub(crate) fn last_complete(database: &Path) -> Result<u32, String> {
    let connection = Connection::open(database).map_err(|error| error.to_string())?;
    read(&connection).map_err(|error| error.to_string())?
}

fn read(connection: &Connection) -> rusqlite::Result<Result<u32, String>> {
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Err(verdict));
    }
    let mut statement =
        connection.prepare("SELECT number, part, parts, payload, digest FROM row ORDER BY 1, 2")?;
    let mut rows = statement.query([])?;
    let (mut last, mut expected) = (0_u32, (1_u32, 0_u32));
    while let Some(row) = rows.next()? {
        let found: (u32, u32) = (row.get(0)?, row.get(1)?);
        let parts: u32 = row.get(2)?;
        let payload: Vec<u8> = row.get(3)?;
        let digest: [u8; 32] = row.get(4)?;
        if found != expected {
            return Ok(Err(format!("expected commit and part {expected:?}, found {found:?}")));
        }
        if blake3::hash(&payload) != digest {
            return Ok(Err(format!("commit and part {found:?} has other bytes than were written")));
        }
        let (number, part) = found;
        expected = if part + 1 == parts { (number + 1, 0) } else { (number, part + 1) };
        last = expected.0 - 1;
    }
    if expected.1 == 0 { Ok(Ok(last)) } else { Ok(Err(format!("commit {} is torn", expected.0))) }
}

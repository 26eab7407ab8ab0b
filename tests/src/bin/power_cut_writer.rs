//! Commits numbered transactions to a `SQLite` database until it is killed, and says each number
//! on standard output once the commit has returned. `tests/tests/power_cut.rs` cuts it off.
//!
//! Arguments: the database file, and the value of `PRAGMA synchronous` (`FULL` or `OFF`).
//!
//! A transaction is one to sixteen rows of up to 4 KiB, so that commits differ in size and the
//! write-ahead log is moved into the main file now and then.

use std::error::Error;
use std::io::Write;

use rusqlite::{Connection, params};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: power_cut_writer DATABASE FULL|OFF";
    let database = arguments.next().ok_or(usage)?;
    let synchronous = arguments.next().ok_or(usage)?;

    let mut connection = Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS row (
            number INTEGER, part INTEGER, parts INTEGER, payload BLOB, digest BLOB,
            PRIMARY KEY (number, part))",
    )?;
    connection.pragma_update(None, "synchronous", synchronous)?;

    let last: u32 =
        connection.query_row("SELECT COALESCE(MAX(number), 0) FROM row", [], |row| row.get(0))?;
    let mut output = std::io::stdout().lock();
    for number in last + 1.. {
        commit(&mut connection, number)?;
        writeln!(output, "{number}")?;
        output.flush()?;
    }
    Ok(())
}

fn commit(connection: &mut Connection, number: u32) -> rusqlite::Result<()> {
    let parts = 1 + number % 16;
    let transaction = connection.transaction()?;
    for part in 0..parts {
        let mut payload =
            vec![0; usize::try_from(256 + (number * 31 + part * 977) % 3840).unwrap_or(256)];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&number.to_be_bytes()).update(&part.to_be_bytes());
        hasher.finalize_xof().fill(&mut payload);
        let digest = blake3::hash(&payload);
        transaction.execute(
            "INSERT INTO row VALUES (?1, ?2, ?3, ?4, ?5)",
            params![number, part, parts, payload, digest.as_bytes()],
        )?;
    }
    transaction.commit()
}

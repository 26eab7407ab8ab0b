//! Writes until it is killed, and says each number on standard output once the write has returned.
//! Tests that cut the power or kill a process cut or kill this one.
//!
//! Arguments: `store DIRECTORY`, which makes numbered writes to a real store, or
//! `unsynced DATABASE`, which commits rows to a bare `SQLite` file without ever syncing.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_tests::numbered::{self, NumberedProjector};
use rusqlite::Connection;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["store", directory] => write_store(Path::new(directory)),
        ["unsynced", database] => write_unsynced(Path::new(database)),
        _ => Err("usage: power_cut_writer store DIRECTORY | unsynced DATABASE".into()),
    }
}

fn write_store(directory: &Path) -> Result<(), Box<dyn Error>> {
    let projector = Arc::new(NumberedProjector);
    let store = Store::open(directory, projector, numbered::identity(), StoreOptions::default())?;
    let author = numbered::author(rand::random());
    for number in numbered::last_complete(&store)? + 1.. {
        store.write(&author, numbered::writes(number), i64::from(number))?;
        acknowledge(number)?;
    }
    Ok(())
}

fn write_unsynced(database: &Path) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE row (number INTEGER PRIMARY KEY, payload BLOB)")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    for number in 1_u32.. {
        connection.execute("INSERT INTO row VALUES (?1, zeroblob(2000))", [number])?;
        acknowledge(number)?;
    }
    Ok(())
}

fn acknowledge(number: u32) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{number}")?;
    output.flush()
}

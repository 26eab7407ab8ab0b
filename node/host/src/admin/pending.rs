//! Certificates that wait here until their holder comes: a child that renews, or a person who logs
//! in.
//!
//! | table `pending_certificate` | |
//! |---|---|
//! | `subject` | key of the holder, 32 bytes |
//! | `bytes` | the certificate |
//!
//! The one place that reads and writes the table. A store that cannot be read is a fault and not
//! an empty table: whoever can go on without the certificate says so where they do.

use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::id::PublicKey;
use rusqlite::OptionalExtension as _;

/// The certificate that waits for the holder of a key.
pub fn of(store: &Store, subject: &PublicKey) -> Result<Option<Vec<u8>>, Fault> {
    let subject = *subject;
    store.read(|connection| {
        let sql = "SELECT bytes FROM pending_certificate WHERE subject = ?1";
        connection.prepare_cached(sql)?.query_row([subject.0], |row| row.get(0)).optional()
    })
}

/// The keys for whose holders one waits.
pub(super) fn subjects(store: &Store) -> Result<Vec<PublicKey>, Fault> {
    store.read(|connection| {
        let mut select = connection.prepare_cached("SELECT subject FROM pending_certificate")?;
        let subjects = select.query_map([], |row| Ok(PublicKey(row.get(0)?)))?;
        subjects.collect()
    })
}

/// Lets a certificate wait for the holder of a key, in place of any other.
pub fn put(store: &Store, subject: &PublicKey, bytes: &[u8]) -> Result<(), Fault> {
    let (subject, bytes) = (*subject, bytes.to_vec());
    store.write_reference(move |connection| {
        connection.execute(
            "INSERT OR REPLACE INTO pending_certificate (subject, bytes) VALUES (?1, ?2)",
            (subject.0, bytes),
        )?;
        Ok(())
    })
}

/// The holder of a key has got what waited.
pub fn forget(store: &Store, subject: &PublicKey) -> Result<(), Fault> {
    let subject = *subject;
    store.write_reference(move |connection| {
        connection.execute("DELETE FROM pending_certificate WHERE subject = ?1", [subject.0])?;
        Ok(())
    })
}

//! Certificates and revocations: kept in the order learned, checked again at every start.

use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::revocation::Revocation;
use rusqlite::Connection;

use super::materialize::{history, project};
use super::reading::{changes_of, key_of};
use super::writer::Batch;
use super::{Fault, Inner};

/// The authority that the file holds. What no longer verifies is left out and reported: it can
/// only have been altered on disk.
pub(super) fn load(connection: &Connection, root: PublicKey) -> rusqlite::Result<Authority> {
    let mut authority = Authority::new(root);
    let mut select = connection.prepare("SELECT bytes FROM succession ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = authority.succeed(row.get_ref(0)?.as_blob()?) {
            tracing::error!(%error, "a kept succession does not verify");
        }
    }
    let mut select = connection.prepare("SELECT bytes FROM certificate ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = authority.insert(row.get_ref(0)?.as_blob()?) {
            tracing::error!(%error, "a kept certificate does not verify");
        }
    }
    let mut select = connection.prepare("SELECT bytes FROM revocation ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = authority.revoke(row.get_ref(0)?.as_blob()?) {
            tracing::error!(%error, "a kept revocation does not verify");
        }
    }
    Ok(authority)
}

/// Adds successions of the root; gives the reasons of those refused.
pub(super) fn add_successions(
    inner: &Inner,
    successions: Vec<Vec<u8>>,
) -> Result<Vec<String>, Fault> {
    inner.writer.submit(move |batch| {
        let mut refused = Vec::new();
        let mut authority = Authority::clone(&batch.authority);
        let mut insert = batch
            .connection
            .prepare_cached("INSERT OR IGNORE INTO succession (bytes) VALUES (?1)")?;
        for bytes in &successions {
            match authority.succeed(bytes) {
                Ok(true) => {
                    insert.execute([bytes])?;
                }
                Ok(false) => {}
                Err(error) => refused.push(error.to_string()),
            }
        }
        batch.authority = Arc::new(authority);
        Ok(refused)
    })
}

/// Keeps a certificate that the authority has accepted.
pub(super) fn keep_certificate(
    connection: &Connection,
    serial: &Serial,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO certificate (serial, bytes) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((serial.0, bytes))?;
    Ok(())
}

pub(super) fn add_certificates(
    inner: &Inner,
    mut certificates: Vec<Vec<u8>>,
) -> Result<Vec<String>, Fault> {
    let known = inner.shared.authority();
    certificates.retain(|bytes| known.get(&Serial::of(bytes)).is_none());
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    inner.writer.submit(move |batch| {
        let mut refused = Vec::new();
        let mut authority = Authority::clone(&batch.authority);
        for bytes in &certificates {
            match authority.insert(bytes) {
                Ok(serial) => keep_certificate(batch.connection, &serial, bytes)?,
                Err(error) => refused.push(error.to_string()),
            }
        }
        if refused.len() < certificates.len() {
            batch.authority = Arc::new(authority);
        }
        Ok(refused)
    })
}

pub(super) fn add_revocations(
    inner: &Inner,
    mut revocations: Vec<Vec<u8>>,
) -> Result<Vec<String>, Fault> {
    let known = inner.shared.authority();
    revocations.retain(|bytes| {
        let id = Revocation::id_of(bytes);
        !known.revocations().any(|known| known.id() == id)
    });
    if revocations.is_empty() {
        return Ok(Vec::new());
    }
    inner.writer.submit(move |batch| {
        let mut refused = Vec::new();
        let mut authority = Authority::clone(&batch.authority);
        let mut insert = batch
            .connection
            .prepare_cached("INSERT OR IGNORE INTO revocation (bytes) VALUES (?1)")?;
        for bytes in &revocations {
            match authority.revoke(bytes) {
                Ok(true) => {
                    insert.execute([bytes])?;
                }
                Ok(false) => {}
                Err(error) => refused.push(error.to_string()),
            }
        }
        batch.set_revocations(authority)?;
        Ok(refused)
    })
}

impl Batch<'_> {
    /// Takes over the revocations of `authority` and projects again what their authors wrote
    /// after what stands.
    fn set_revocations(&mut self, authority: Authority) -> rusqlite::Result<()> {
        let authority = Arc::new(authority);
        let before = std::mem::replace(&mut self.authority, Arc::clone(&authority));
        for certificate in authority.certificates() {
            let serial = certificate.serial();
            for revocation in authority.revocations_of(&serial) {
                if !before.revocations_of(&serial).contains(revocation) {
                    self.project_after(&serial, revocation.body().own.through_seq)?;
                }
            }
        }
        Ok(())
    }

    fn project_after(&mut self, author: &Serial, through_seq: u64) -> rusqlite::Result<()> {
        let author = self.author(author)?;
        let through_seq = i64::try_from(through_seq).unwrap_or(i64::MAX);
        let mut select = self
            .connection
            .prepare_cached("SELECT key FROM change WHERE author = ?1 AND seq > ?2")?;
        let homes = select
            .query_map((author, through_seq), |row| Ok(key_of(row.get_ref(0)?.as_blob()?)?.home))?;
        let homes = homes.collect::<rusqlite::Result<std::collections::BTreeSet<_>>>()?;
        for home in homes {
            let history = history(home, &changes_of(self.connection, &home)?);
            let projector = &*self.shared.projector;
            match project(projector, &self.authority, &history) {
                Ok(outcome) => self.replace_rows(&home, outcome.rows)?,
                Err(error) => tracing::error!(%error, ?home, "a document keeps its old rows"),
            }
        }
        Ok(())
    }
}

//! Certificates and revocations: kept in the order learned, checked again at every start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::revocation::Revocation;
use rayon::prelude::*;
use rusqlite::Connection;

use super::materialize::{Outcome, project};
use super::reading::key_of;
use super::standing::settle;
use super::writer::Batch;
use super::{Fault, Inner, quarantine};

/// Documents worked out together when something stands no more.
const SETTLED_TOGETHER: usize = 1_000;

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
        batch.set_authority(authority)?;
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
        let mut issued: BTreeMap<Serial, usize> = BTreeMap::new();
        for issuer in authority.certificates().filter_map(|c| c.body().issuer) {
            *issued.entry(issuer).or_default() += 1;
        }
        for bytes in &certificates {
            let above = Certificate::peek_issuer(bytes).ok().flatten();
            let count = above.map(|above| issued.entry(above).or_default());
            if count.as_ref().is_some_and(|count| **count >= limits::CERTIFICATES_OF_ISSUER) {
                let most = limits::CERTIFICATES_OF_ISSUER;
                refused.push(format!("its issuer has issued {most} certificates already"));
                continue;
            }
            match authority.insert(bytes) {
                Ok(serial) => {
                    keep_certificate(batch.connection, &serial, bytes)?;
                    if let Some(count) = count {
                        *count += 1;
                    }
                }
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
        batch.set_authority(authority)?;
        Ok(refused)
    })
}

impl Batch<'_> {
    /// Takes over what `authority` says, and brings every document into order in which something
    /// stands no more.
    fn set_authority(&mut self, authority: Authority) -> rusqlite::Result<()> {
        self.authority = Arc::new(authority);
        let mut homes = BTreeSet::new();
        let mut select = self.connection.prepare("SELECT id, serial FROM author")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (number, serial) = (row.get(0)?, Serial(row.get(1)?));
            if self.authority.stands(&serial, u64::MAX, None).is_err() {
                self.fallen(number, &serial, &mut homes)?;
            }
        }
        let homes: Vec<Home> = homes.into_iter().collect();
        for some in homes.chunks(SETTLED_TOGETHER) {
            self.settle_all(some)?;
        }
        if !homes.is_empty() {
            let documents = homes.len();
            tracing::warn!(documents, "work was revoked; what nothing builds on was taken out");
            quarantine::bound(self.connection)?;
            self.bound_touched()?;
        }
        Ok(())
    }

    /// Documents with a change by this author that does not stand and is not known as tainted.
    fn fallen(
        &self,
        author: i64,
        serial: &Serial,
        homes: &mut BTreeSet<Home>,
    ) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare_cached(
            "SELECT key, seq FROM change WHERE author = ?1 \
             AND NOT EXISTS (SELECT 1 FROM tainted WHERE tainted.key = change.key)",
        )?;
        let mut rows = select.query([author])?;
        while let Some(row) = rows.next()? {
            let key = key_of(row.get_ref(0)?.as_blob()?)?;
            if self.authority.stands(serial, row.get(1)?, Some(&key.change)).is_err() {
                homes.insert(key.home);
            }
        }
        Ok(())
    }

    fn settle_all(&mut self, homes: &[Home]) -> rusqlite::Result<()> {
        let documents = homes.iter().map(|home| Ok((*home, self.entries(home)?)));
        let documents = documents.collect::<rusqlite::Result<Vec<_>>>()?;
        let (authority, projector) = (&self.authority, &*self.shared.projector);
        let settled: Vec<_> = documents
            .into_par_iter()
            .map(|(home, entries)| {
                let settled = settle(authority, home, entries);
                let outcome = project(projector, authority, &settled.history);
                (settled, outcome)
            })
            .collect();
        for (settled, outcome) in settled {
            let outcome = outcome.unwrap_or_else(|error| {
                tracing::error!(%error, home = ?settled.home, "a document is missing in the tables");
                Outcome::default()
            });
            self.arrange(settled, outcome, None)?;
        }
        self.take_out()
    }
}

//! Certificates and revocations: kept in the order learned, checked again at every start.

use std::collections::BTreeSet;
use std::sync::Arc;

use cunlian_protocol::authority::{Authority, Dropped};
use cunlian_protocol::certificate::CertificateError;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::revocation::RevocationError;
use cunlian_protocol::succession::Succession;
use rayon::prelude::*;
use rusqlite::Connection;

use super::materialize::{Outcome, project};
use super::rows::key_of;
use super::validity::settle;
use super::writer::Batch;
use super::{Fault, Inner, quarantine};

/// Documents worked out together when something stands no more.
const SETTLED_TOGETHER: usize = 1_000;

/// Takes out the work of those for whom there was no room when the file was read.
pub(super) fn settle_all(inner: &Inner) -> Result<(), Fault> {
    inner.writer.submit(|batch| {
        let authority = Authority::clone(&batch.authority);
        Ok::<_, Fault>(batch.set_authority(authority)?)
    })
}

/// The authority that the file holds, and whether that is less than was in it. What no longer verifies is left out and reported: it can
/// only have been altered on disk.
pub(super) fn load(
    connection: &Connection,
    root: PublicKey,
) -> rusqlite::Result<(Authority, bool)> {
    let mut authority = Authority::new(root);
    let mut select = connection.prepare("SELECT bytes FROM succession ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = authority.succeed(row.get_ref(0)?.as_blob()?) {
            tracing::error!(%error, "a kept succession does not verify");
        }
    }
    let mut select = connection.prepare("SELECT serial, bytes FROM certificate ORDER BY row")?;
    let mut rows = select.query([])?;
    let mut crowded = Dropped::default();
    while let Some(row) = rows.next()? {
        match authority.insert(row.get_ref(1)?.as_blob()?) {
            Ok(_) => {}
            Err(CertificateError::Crowded { .. }) => {
                crowded.certificates.push(Serial(row.get(0)?));
            }
            Err(error) => tracing::error!(%error, "a kept certificate does not verify"),
        }
    }
    let mut select = connection.prepare("SELECT bytes FROM revocation ORDER BY row")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob()?;
        match authority.revoke(bytes) {
            Ok(_) => {}
            Err(RevocationError::Crowded { .. }) => crowded.revocations.push(bytes.to_vec()),
            Err(error) => tracing::error!(%error, "a kept revocation does not verify"),
        }
    }
    // An earlier version kept more.
    let evicted = authority.take_dropped();
    forget(connection, &crowded)?;
    forget(connection, &evicted)?;
    let fewer = !crowded.is_empty() || !evicted.is_empty();
    Ok((authority, fewer))
}

/// Adds successions of the root; gives the reasons of those refused.
pub(super) fn add_successions(
    inner: &Inner,
    successions: Vec<Vec<u8>>,
) -> Result<Vec<String>, Fault> {
    let known = inner.shared.authority();
    let read = |bytes: &Vec<u8>| Succession::verify(bytes).map_err(|error| error.to_string());
    let read = successions.iter().map(read);
    let (sound, refused): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    let refused: Vec<String> = refused.into_iter().filter_map(Result::err).collect();
    if !sound.into_iter().flatten().any(|succession| known.is_next(&succession)) {
        return Ok(refused);
    }
    inner.writer.submit(move |batch| {
        let mut authority = Authority::clone(&batch.authority);
        let mut insert = batch
            .connection
            .prepare_cached("INSERT OR IGNORE INTO succession (bytes) VALUES (?1)")?;
        for bytes in &successions {
            if authority.succeed(bytes) == Ok(true) {
                insert.execute([bytes])?;
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

/// Adds certificates, issuers first; gives the reasons of those refused. What does not hold costs
/// the writer nothing.
pub(super) fn add_certificates(
    inner: &Inner,
    certificates: &[Vec<u8>],
) -> Result<Vec<String>, Fault> {
    let (sound, errors) = inner.shared.authority().check_certificates(certificates);
    let mut refused: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if sound.is_empty() {
        return Ok(refused);
    }
    let late = inner.writer.submit(move |batch| {
        let mut late = Vec::new();
        let mut authority = Authority::clone(&batch.authority);
        let mut added = false;
        for certificate in sound {
            let (serial, bytes) = (certificate.serial(), certificate.bytes().to_vec());
            match authority.admit(certificate) {
                Ok(true) => {
                    keep_certificate(batch.connection, &serial, &bytes)?;
                    added = true;
                }
                Ok(false) => {}
                Err(error) => late.push(error.to_string()),
            }
        }
        if added {
            batch.learn(authority)?;
        }
        Ok::<_, Fault>(late)
    })?;
    refused.extend(late);
    Ok(refused)
}

/// Adds revocations; gives the reasons of those refused. What does not hold costs the writer
/// nothing.
pub(super) fn add_revocations(
    inner: &Inner,
    revocations: &[Vec<u8>],
) -> Result<Vec<String>, Fault> {
    let known = inner.shared.authority();
    let (mut sound, mut refused) = (Vec::new(), Vec::new());
    for bytes in revocations {
        match known.check_revocation(bytes) {
            Ok(revocation) => sound.extend(revocation),
            Err(error) => refused.push(error.to_string()),
        }
    }
    if sound.is_empty() {
        return Ok(refused);
    }
    let late = inner.writer.submit(move |batch| {
        let mut late = Vec::new();
        let mut authority = Authority::clone(&batch.authority);
        let mut insert = batch
            .connection
            .prepare_cached("INSERT OR IGNORE INTO revocation (bytes) VALUES (?1)")?;
        let mut added = false;
        for revocation in sound {
            let bytes = revocation.bytes().to_vec();
            match authority.admit_revocation(revocation) {
                Ok(true) => {
                    insert.execute([bytes])?;
                    added = true;
                }
                Ok(false) => {}
                Err(error) => late.push(error.to_string()),
            }
        }
        if added {
            let dropped = authority.take_dropped();
            forget(batch.connection, &dropped)?;
            batch.set_authority(authority)?;
        }
        Ok::<_, Fault>(late)
    })?;
    refused.extend(late);
    Ok(refused)
}

/// What the authority keeps no longer is not kept in the file either.
fn forget(connection: &Connection, dropped: &Dropped) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM certificate WHERE serial = ?1")?;
    for serial in &dropped.certificates {
        delete.execute([serial.0])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM revocation WHERE bytes = ?1")?;
    for bytes in &dropped.revocations {
        delete.execute([bytes])?;
    }
    Ok(())
}

impl Batch<'_> {
    /// Takes over an authority that knows more certificates. Work of those for whom there is no room
    /// any more does not stand.
    fn learn(&mut self, mut authority: Authority) -> rusqlite::Result<()> {
        let dropped = authority.take_dropped();
        if dropped.is_empty() {
            self.authority = Arc::new(authority);
            return Ok(());
        }
        tracing::warn!(
            certificates = dropped.certificates.len(),
            "somebody certifies more than there is room for; later certificates are let go"
        );
        forget(self.connection, &dropped)?;
        self.set_authority(authority)
    }

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

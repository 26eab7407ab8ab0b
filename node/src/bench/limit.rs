//! The limit: what a copy of the same changes cannot do without, each part alone on one core.

use std::path::Path;
use std::time::{Duration, Instant};

use cunlian_crdt::measure::document_work;
use cunlian_crdt::store::Store;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::change::{SignedChange, VerifiedChange};
use cunlian_protocol::signing::{self, Claim, Context};
use rusqlite::Connection;
use serde::Serialize;

use super::library::each_batch;
use crate::failure::Failure;

/// Signatures checked in one batch equation, as the store does.
const SIGNATURES_TOGETHER: usize = 128;

/// Seconds on one core for all changes of the library, in batches as they travel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limit {
    /// The three parts together.
    pub seconds: f64,
    /// Batch checks of the signatures.
    pub verify_seconds: f64,
    /// Reading payloads, building documents, working out their rows.
    pub document_seconds: f64,
    /// Writing the bytes of the changes into a table of their own, a durable transaction a batch.
    pub insert_seconds: f64,
    /// Documents per second that this would be.
    pub records_per_second: f64,
    /// Bytes of the changes as they are kept, signatures included.
    pub change_bytes: u64,
}

/// Measures the limit for everything in `store`; the raw table is written to `dir`, which must be
/// on the disk of the stores.
pub(super) fn measure(store: &Store, dir: &Path) -> Result<Limit, Failure> {
    let authority = store.authority();
    let mut raw = raw_table(&dir.join("raw.sqlite"))?;
    let [mut verify, mut document, mut insert] = [Duration::ZERO; 3];
    let mut change_bytes = 0;
    let mut rows = 0;
    each_batch(store, |batch| {
        let mut changes = Vec::with_capacity(batch.len());
        let mut keys = Vec::with_capacity(batch.len());
        for stored in batch {
            let certificate = authority.get(&stored.author);
            let certificate = certificate.ok_or_else(|| Failure::new("an author is not known"))?;
            keys.push(certificate.body().subject);
            changes.push(SignedChange::decode(stored.carried.bytes)?);
        }
        let mark = Instant::now();
        let claims = changes.iter().zip(&keys).map(|(change, key)| change.claim(*key));
        let claims: Vec<Claim<'_>> = claims.collect();
        let holds: Vec<bool> = claims
            .chunks(SIGNATURES_TOGETHER)
            .flat_map(|chunk| signing::verify_all(Context::Change, chunk))
            .collect();
        drop(claims);
        verify += mark.elapsed();
        let changes: Vec<VerifiedChange> = changes
            .into_iter()
            .zip(holds)
            .map(|(change, holds)| change.verified(holds))
            .collect::<Result<_, _>>()?;
        let mark = Instant::now();
        rows += document_work(&changes, &GovernanceProjector, &authority).len();
        document += mark.elapsed();
        let mark = Instant::now();
        let transaction = raw.transaction()?;
        for change in &changes {
            let mut insert = transaction.prepare_cached("INSERT INTO raw VALUES (NULL, ?1)")?;
            insert.execute([change.bytes()])?;
            change_bytes += change.bytes().len() as u64;
        }
        transaction.commit()?;
        insert += mark.elapsed();
        Ok(())
    })?;
    let documents = store.counts()?.total.documents;
    if rows == 0 && documents > 0 {
        return Err(Failure::new("the document work of the limit gave no rows"));
    }
    let seconds = (verify + document + insert).as_secs_f64();
    Ok(Limit {
        seconds,
        verify_seconds: verify.as_secs_f64(),
        document_seconds: document.as_secs_f64(),
        insert_seconds: insert.as_secs_f64(),
        records_per_second: super::rate::rate(documents, seconds),
        change_bytes,
    })
}

/// An empty table with the durability of the store: WAL, synchronous, nothing else.
pub(super) fn raw_table(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE raw (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")?;
    Ok(connection)
}

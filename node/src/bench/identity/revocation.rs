//! All work of one person taken back, in the store of a village where a colleague built on some of
//! it.
//!
//! A person writes the documents of a library and a second change into a quarter of them; a
//! colleague edits every third document. Then the node revokes the person from the first change
//! on, which is the most that can fall: what the colleague built on stays, marked, and the rest
//! leaves the log, documents and tables.
//!
//! The clock runs from the signed revocation until everything is durable. The preview is what an
//! administrator is told before. The limit is, on one core with nothing around it:
//!
//! | part | what is done |
//! |---|---|
//! | documents | payloads read, documents built and their rows worked out, of what is left |
//! | rows | what goes is deleted from one table and inserted into another, in one durable transaction |

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::measure::document_work;
use cunlian_crdt::store::{RevocationPreview, Store};
use cunlian_governance::generator::Generator;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::open_store;
use cunlian_host::preset;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use serde::Serialize;

use super::super::library::correction;
use super::super::limit::raw_table;
use super::DIFFERS;
use crate::demo::layout::Node;
use crate::failure::Failure;

/// Of so many changes by the person, one is the second in its document.
const SECOND_OF: usize = 5;
/// Of so many documents, the colleague edits one.
const SHARED_OF: usize = 3;
/// Writes given to the store at a time.
const WRITES_AT_ONCE: usize = 1_000;
/// Everything generated follows from it.
const SEED: u64 = 1;

/// The work of one person revoked.
#[derive(Debug, Clone, Serialize)]
pub struct Revocation {
    /// Changes by the person.
    pub changes: u64,
    /// Documents they are in.
    pub documents: u64,
    /// Until everything is in its place and durable.
    pub seconds: f64,
    /// Telling beforehand what it would do.
    pub preview_seconds: f64,
    /// Changes that stand: all by the colleague.
    pub kept: u64,
    /// Changes by the person that stay, marked.
    pub tainted: u64,
    /// Changes by the person that have left the log.
    pub removed: u64,
    /// The limit as a part of the time.
    pub limit_share: f64,
    /// What it cannot do without.
    pub limit: Limit,
}

/// Seconds on one core.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// Both parts together.
    pub seconds: f64,
    /// Building what is left of the documents.
    pub document_seconds: f64,
    /// Moving what goes from one table to another.
    pub row_seconds: f64,
}

/// What a store holds of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    kept: u64,
    tainted: u64,
    removed: u64,
}

/// Writes `changes` changes by one person, and revokes them.
pub(super) fn measure(
    village: &Node,
    scratch: &Path,
    changes: usize,
) -> Result<Revocation, Failure> {
    let (store, identity) = open_store(&village.dir)?;
    let person = employ(&store, &identity, village, 1)?;
    let colleague = employ(&store, &identity, village, 2)?;
    let work = Work::of(changes);
    let homes = work.write(&store, village, &person, &colleague)?;
    let before = all_changes(&store, &homes)?;
    let body = RevocationBody {
        own: Standing { serial: person.serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "离职".to_owned(),
        issuer: Some(identity.certificate.serial()),
    };
    let signed = [body.sign(&identity.key)];
    let mark = Instant::now();
    let effect = store.preview_revocations(&signed)?.map_err(Failure::new)?;
    let preview_seconds = mark.elapsed().as_secs_f64();
    let mark = Instant::now();
    let refused = store.add_revocations(&signed)?;
    let seconds = mark.elapsed().as_secs_f64();
    if let Some(reason) = refused.first() {
        return Err(Failure::new(reason));
    }
    let left = work.check(&store, &effect)?;
    let after = all_changes(&store, &homes)?;
    let stays: HashSet<ChangeId> = after.iter().map(VerifiedChange::id).collect();
    let gone = before.iter().filter(|change| !stays.contains(&change.id()));
    let limit = limit(&store, &after, gone, &scratch.join("moved.sqlite"))?;
    let Left { kept, tainted, removed } = left;
    Ok(Revocation {
        changes: changes as u64,
        documents: work.documents as u64,
        seconds,
        preview_seconds,
        kept,
        tainted,
        removed,
        limit_share: limit.seconds / seconds,
        limit,
    })
}

/// Certifies a person of the village, with the grants of its node.
fn employ(store: &Store, node: &Identity, village: &Node, seed: u8) -> Result<Author, Failure> {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let issuer = node.certificate.body();
    let body = CertificateBody {
        subject: public_key(&key),
        name: format!("{} {seed}", village.name),
        kind: AuthorKind::Operator,
        tier: Tier::Village,
        grants: preset::grants(Tier::Village, village.region),
        issued_at_ms: issuer.issued_at_ms,
        not_after_ms: issuer.not_after_ms,
        issuer: Some(node.certificate.serial()),
    };
    let bytes = Certificate::issue(&body, &node.key);
    let serial = Serial::of(&bytes);
    match store.add_certificates(&[bytes])?.into_iter().next() {
        Some(reason) => Err(Failure::new(reason)),
        None => Ok(Author { serial, key, session: u64::from(seed) }),
    }
}

/// Who changes which documents, by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    documents: usize,
    /// Documents with a second change by the person, the first ones.
    twice: usize,
}

impl Work {
    /// `changes` by the person.
    const fn of(changes: usize) -> Self {
        let twice = changes / SECOND_OF;
        Self { documents: changes - twice, twice }
    }

    const fn is_shared(number: usize) -> bool {
        number.is_multiple_of(SHARED_OF)
    }

    /// What has to be left after the revocation.
    fn left(self) -> Left {
        let of_person = |number| 1 + u64::from(number < self.twice);
        let (shared, alone): (Vec<usize>, Vec<usize>) =
            (0..self.documents).partition(|number| Self::is_shared(*number));
        Left {
            kept: shared.len() as u64,
            tainted: shared.into_iter().map(of_person).sum(),
            removed: alone.into_iter().map(of_person).sum(),
        }
    }

    /// Writes all of it; gives the documents.
    fn write(
        self,
        store: &Store,
        village: &Node,
        person: &Author,
        colleague: &Author,
    ) -> Result<Vec<Home>, Failure> {
        let records = || Generator::new(SEED).records(village.region, self.documents).flatten();
        let save = |author: &Author, writes: Vec<Write>| {
            let mut writes = writes.into_iter();
            loop {
                let some: Vec<Write> = writes.by_ref().take(WRITES_AT_ONCE).collect();
                if some.is_empty() {
                    return Ok::<_, Failure>(());
                }
                store.write(author, some, now_ms())?;
            }
        };
        let homes: Vec<Home> = records().map(|write| write.home).collect();
        save(person, records().collect())?;
        save(person, records().take(self.twice).filter_map(|w| correction(w, "更正")).collect())?;
        let shared = records().enumerate().filter(|(number, _)| Self::is_shared(*number));
        save(colleague, shared.filter_map(|(_, write)| correction(write, "补充")).collect())?;
        Ok(homes)
    }

    /// Reads from the store what is left, and holds it against what was foretold and what has to
    /// be.
    fn check(self, store: &Store, foretold: &RevocationPreview) -> Result<Left, Failure> {
        let tainted: u64 = store.read(|connection| {
            connection.query_row("SELECT count(*) FROM tainted", [], |row| row.get(0))
        })?;
        let counts = store.counts()?;
        let kept = counts.total.changes.saturating_sub(tainted);
        let found = Left { kept, tainted, removed: counts.quarantined };
        let expected = self.left();
        let told = Left { kept, tainted: foretold.tainted, removed: foretold.removed };
        if found != expected || told != expected {
            let words = format!("{found:?} and foretold {told:?} instead of {expected:?}");
            return Err(Failure::new(words).code(DIFFERS));
        }
        Ok(found)
    }
}

fn all_changes(store: &Store, homes: &[Home]) -> Result<Vec<VerifiedChange>, Failure> {
    let mut changes = Vec::new();
    for home in homes {
        changes.extend(store.changes_of(home)?);
    }
    Ok(changes)
}

fn limit<'a>(
    store: &Store,
    left: &[VerifiedChange],
    gone: impl Iterator<Item = &'a VerifiedChange>,
    path: &Path,
) -> Result<Limit, Failure> {
    let authority = store.authority();
    let mark = Instant::now();
    let rows = document_work(left, &GovernanceProjector, &authority).len();
    let document_seconds = mark.elapsed().as_secs_f64();
    if rows == 0 && !left.is_empty() {
        return Err(Failure::new("the document work of the limit gave no rows"));
    }
    let mut raw = raw_table(path)?;
    raw.execute_batch("CREATE TABLE aside (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")?;
    let filling = raw.transaction()?;
    for change in gone {
        filling.execute("INSERT INTO raw VALUES (NULL, ?1)", [change.bytes()])?;
    }
    filling.commit()?;
    let mark = Instant::now();
    let moving = raw.transaction()?;
    moving.execute("INSERT INTO aside SELECT row, bytes FROM raw", [])?;
    moving.execute("DELETE FROM raw WHERE row > 0", [])?;
    moving.commit()?;
    let row_seconds = mark.elapsed().as_secs_f64();
    Ok(Limit { seconds: document_seconds + row_seconds, document_seconds, row_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that the changes are counted out: as many by the person as asked for, each of them
    /// either marked or gone.
    #[test]
    fn work_is_counted_out() {
        for changes in [1, 4, 5, 300, 1_001, 10_000] {
            let work = Work::of(changes);
            let Left { kept, tainted, removed } = work.left();
            assert_eq!(work.documents + work.twice, changes);
            assert_eq!(tainted + removed, changes as u64, "{changes}");
            assert_eq!(kept, work.documents.div_ceil(SHARED_OF) as u64, "{changes}");
            assert!(tainted >= kept, "{changes}");
        }
    }
}

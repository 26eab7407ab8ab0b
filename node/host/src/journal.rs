//! The journal of a node: what it did as a node, for those above it to read.
//!
//! One document of [`Category::JOURNAL`] per node at the node's own address; its id is the first
//! 16 bytes of BLAKE3 of `cunlian journal` and the node's public key. The node appends operations
//! to it, in its own name, and they replicate upward like all data. That is how an administrator
//! sees which nodes have a revocation, and that what a node may no longer hold is gone.
//!
//! | operation | meaning |
//! |---|---|
//! | `{"journal":{"kind":"revocation","id":…}}` | the revocation with this id is in force here |
//! | `{"journal":{"kind":"purged","parts":[{"prefix":…,"count":…,"sum":…}],"unsent":…}}` | the scope shrank; this many changes with this sum of ids are gone, by part; so many stay until they were handed up |
//! | `{"journal":{"kind":"equivocation","author":…,"seq":…,"first":…,"second":…}}` | an author gave one number to these two changes |
//! | `{"journal":{"kind":"forked","child":…,"name":…}}` | two machines use the certificate of this child |
//!
//! Bytes are lower-case hexadecimal. Each operation is signed as part of its change, so that an
//! entry is a receipt of the node. Others may be able to write at the same address; what they
//! append is passed over ([`journal_of`]).
//!
//! What it is not: a log of what people did; that is in the documents they worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::{Equivocation, Fault, Purged, Store};
use cunlian_protocol::authority::{Authority, read_scope};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, PublicKey, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::revocation::{Revocation, RevocationId};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Identity;
use cunlian_protocol::summary::Summary;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::keystore::{hex, unhex};
use crate::opening::node_author;
use crate::regions::own_region;

/// Parts of a purge in one operation, to keep it well below the limit of a change.
const PARTS_TOGETHER: usize = 400;
/// Where the entries come from, as documents name it.
const SOURCE: &str = "node";

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Operation {
    journal: Entry,
}

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A revocation is in force here.
    Revocation {
        /// BLAKE3 of the revocation.
        id: String,
    },
    /// What the node may no longer hold is gone.
    Purged {
        /// What went, by part.
        parts: Vec<Part>,
        /// Changes that stay until they have been handed up.
        unsent: u64,
    },
    /// An author gave one number to two changes.
    Equivocation {
        /// Serial of the author.
        author: String,
        /// The number.
        seq: u64,
        /// Id of the change that came first here.
        first: String,
        /// Id of the other.
        second: String,
    },
    /// Two machines use one identity.
    Forked {
        /// Serial of the child's certificate.
        child: String,
        /// Its name.
        name: String,
    },
}

/// Part of what was purged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes of the key prefix.
    pub prefix: String,
    /// Changes.
    pub count: u64,
    /// Sum of their ids, four words of 16 digits, least significant first.
    pub sum: String,
}

/// The journal of one node, as far as it has come here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// Revocations that the node holds, and since when by its word.
    pub revocations: BTreeMap<RevocationId, i64>,
    /// What it purged.
    pub purges: Vec<Receipt>,
    /// Alarms, with the time by its word.
    pub alarms: Vec<(i64, Entry)>,
}

/// A receipt for what a node purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When, by the node's word, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Changes that went.
    pub changes: u64,
    /// Changes that stay until they have been handed up.
    pub unsent: u64,
    /// Parts whose count and sum are not those of what this store holds outside of the node's
    /// scope: what has been written there since makes a difference too.
    pub differs: Vec<Part>,
}

/// Where the journal of the node with this certificate is.
pub fn home(certificate: &Certificate) -> Home {
    let subject = certificate.body().subject;
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"cunlian journal").update(&subject.0);
    let mut document = [0; 16];
    hasher.finalize_xof().fill(&mut document);
    Home {
        category: Category::JOURNAL,
        address: own_region(certificate),
        document: DocumentId(document),
    }
}

/// Reads the journal of the node with this certificate from the store of one that may.
pub fn journal_of(store: &Store, certificate: &Certificate) -> Result<Journal, Fault> {
    let authority = store.authority();
    let mut journal = Journal::default();
    for (at_ms, entry) in entries(store, &authority, certificate)? {
        match entry {
            Entry::Revocation { id } => {
                let id = unhex(&id).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                if let Some(id) = id {
                    journal.revocations.entry(RevocationId(id)).or_insert(at_ms);
                }
            }
            Entry::Purged { parts, unsent } => {
                let changes = parts.iter().map(|part| part.count).sum();
                let keep = read_scope(certificate);
                let mut differs = Vec::new();
                for part in parts {
                    let agrees = match part.read() {
                        Some((prefix, summary)) => store.outside(&prefix, &keep)? == summary,
                        None => false,
                    };
                    if !agrees {
                        differs.push(part);
                    }
                }
                journal.purges.push(Receipt { at_ms, changes, unsent, differs });
            }
            alarm @ (Entry::Equivocation { .. } | Entry::Forked { .. }) => {
                journal.alarms.push((at_ms, alarm));
            }
        }
    }
    Ok(journal)
}

/// What the node itself appended, in order, with its time.
fn entries(
    store: &Store,
    authority: &Authority,
    certificate: &Certificate,
) -> Result<Vec<(i64, Entry)>, Fault> {
    let subject = certificate.body().subject;
    let Some(view) = store.view(&home(certificate))? else { return Ok(Vec::new()) };
    let is_own = |author: &Serial| {
        authority.get(author).is_some_and(|author| author.body().subject == subject)
    };
    let own = view.effective().filter(|operation| is_own(&operation.writer.author));
    let read = own.filter_map(|operation| {
        let Operation { journal } = serde_json::from_str(&operation.body).ok()?;
        Some((operation.writer.recorded_at_ms, journal))
    });
    Ok(read.collect())
}

impl Part {
    fn of((prefix, summary): &(KeyPrefix, Summary)) -> Self {
        let words = summary.sum.iter().map(|word| format!("{word:016x}"));
        Self { prefix: hex(prefix.as_bytes()), count: summary.count, sum: words.collect() }
    }

    fn read(&self) -> Option<(KeyPrefix, Summary)> {
        let prefix = KeyPrefix::from_bytes(&unhex(&self.prefix)?).ok()?;
        let mut sum = [0; 4];
        for (at, word) in sum.iter_mut().enumerate() {
            *word = u64::from_str_radix(self.sum.get(16 * at..16 * (at + 1))?, 16).ok()?;
        }
        Some((prefix, Summary { count: self.count, sum }))
    }
}

/// Keeps the journal of this node.
pub struct JournalWriter {
    store: Store,
    identity: Arc<Identity>,
    clock: Clock,
    /// What was looked at last.
    seen: Option<Arc<Authority>>,
    alarms: (u64, BTreeSet<PublicKey>),
}

impl JournalWriter {
    /// Of a node, by a clock.
    pub fn new(store: Store, identity: Arc<Identity>, clock: Clock) -> Self {
        Self { store, identity, clock, seen: None, alarms: (0, BTreeSet::new()) }
    }

    /// Purges what the node may no longer hold, and then writes down what happens, whenever
    /// something was committed.
    pub async fn run(mut self, committed: Arc<Notify>) {
        let mut first = true;
        loop {
            self = tokio::task::spawn_blocking(move || {
                let outcome =
                    if first { self.account().and_then(|()| self.look()) } else { self.look() };
                if let Err(error) = outcome {
                    tracing::warn!(%error, "the journal was not written");
                }
                self
            })
            .await
            .expect("keeping the journal does not panic");
            first = false;
            committed.notified().await;
        }
    }

    fn may_write(&self) -> bool {
        let serial = self.identity.certificate.serial();
        let home = home(&self.identity.certificate);
        self.store.suspension().is_none()
            && self.store.authority().may(&serial, Rights::WRITE, &home).is_ok()
    }

    /// Purges, and writes the receipt. What is killed in between is done again.
    fn account(&mut self) -> Result<(), Failure> {
        let own = self.identity.certificate.serial();
        let Some(purged) = self.store.purge_lost(&own)? else { return Ok(()) };
        if self.store.suspension().is_some() {
            return Ok(());
        }
        if purged.changes > 0 && self.may_write() {
            let receipts = receipts(&purged);
            let authority = self.store.authority();
            let known = entries(&self.store, &authority, &self.identity.certificate)?;
            let news = receipts.into_iter().filter(|entry| !known.iter().any(|(_, k)| k == entry));
            self.append(news.collect())?;
        }
        Ok(self.store.purge_accounted()?)
    }

    /// Writes down what is not in the journal yet.
    fn look(&mut self) -> Result<(), Failure> {
        let authority = self.store.authority();
        let forked: BTreeSet<PublicKey> = self.store.forked()?.into_iter().collect();
        // Asked after every transaction: counting all documents for it would slow a copy down.
        let equivocations = self.store.alarms()?.equivocations;
        let alarms = (equivocations, forked);
        let same = self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &authority));
        if (same && alarms == self.alarms) || !self.may_write() {
            return Ok(());
        }
        let known = entries(&self.store, &authority, &self.identity.certificate)?;
        let mut found: Vec<Entry> = authority.revocations().map(held).collect();
        found.extend(equivocations_of(&self.store)?);
        found.extend(alarms.1.iter().filter_map(|child| fork(&authority, child)));
        let is_new = |entry: &Entry| !known.iter().any(|(_, known)| known == entry);
        self.append(found.into_iter().filter(is_new).collect())?;
        self.seen = Some(authority);
        self.alarms = alarms;
        Ok(())
    }

    fn append(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let body = |journal| {
            serde_json::to_string(&Operation { journal }).expect("an entry has only JSON types")
        };
        let edits = entries.into_iter().map(|entry| Edit::Append { body: body(entry) });
        let write = Write {
            home: home(&self.identity.certificate),
            edits: edits.collect(),
            source: SOURCE.to_owned(),
            task: String::new(),
        };
        self.store.write(&node_author(&self.identity), vec![write], self.clock.now_ms())?;
        Ok(())
    }
}

/// Why the journal was not written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] Fault),
    #[error(transparent)]
    Write(#[from] cunlian_crdt::store::WriteError),
}

fn held(revocation: &Revocation) -> Entry {
    Entry::Revocation { id: hex(&revocation.id().0) }
}

fn receipts(purged: &Purged) -> Vec<Entry> {
    let parts = purged.parts.chunks(PARTS_TOGETHER);
    let unsent = purged.unsent.changes;
    parts.map(|part| Entry::Purged { parts: part.iter().map(Part::of).collect(), unsent }).collect()
}

fn fork(authority: &Authority, child: &PublicKey) -> Option<Entry> {
    let of_child = authority.certificates().filter(|c| c.body().subject == *child);
    let latest = of_child.max_by_key(|c| (c.body().issued_at_ms, c.serial()))?;
    Some(Entry::Forked { child: latest.serial().to_string(), name: latest.body().name.clone() })
}

/// The evidence that the store has.
fn equivocations_of(store: &Store) -> Result<Vec<Entry>, Fault> {
    let entry = |found: Equivocation| Entry::Equivocation {
        author: hex(&found.author.0),
        seq: found.seq,
        first: found.first.to_string(),
        second: found.second.to_string(),
    };
    Ok(store.equivocations()?.into_iter().map(entry).collect())
}

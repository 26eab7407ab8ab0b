//! The store: log, documents, summaries and projections of one node in one SQLite file.
//!
//! ```text
//!  write ─► rights ─┐                        ┌─ log            ┐
//!                   ├─► writer thread ───────┼─ document       │ one transaction,
//!  serve ─► checks, │   (group commit)       ├─ summary        │ durable before
//!           work ───┘                        ├─ projections    │ the call returns
//!                                            └─ outbox         ┘
//!  view, read, serve ─► read connections, each call on one snapshot
//! ```
//!
//! | file | content |
//! |---|---|
//! | `store.sqlite` | the database, in WAL mode with `synchronous=FULL` |
//! | `store.sqlite-wal`, `store.sqlite-shm` | its write-ahead log and index, while open |
//! | `store.lock` | held by the process that has the store open |
//!
//! Calls block; an async runtime makes them on a thread for blocking work. A `Store` is a handle:
//! clones share one store, and the last one dropped closes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, PublicKey, Serial};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use rusqlite::Connection;

use crate::document::{Author, DocumentView, Write};
use crate::projector::Projector;

mod alarms;
mod apply_validity;
mod backup;
mod blob;
mod bounds;
mod checking;
mod clone_guard;
mod commit;
mod counts;
mod deferral;
mod durability;
mod erased;
mod erasure;
mod facts;
mod follow;
mod health;
mod ingest;
mod kept;
mod local;
mod materialize;
mod opening;
mod outbox;
mod pending_counts;
mod permission;
mod purge;
mod quarantine;
mod quota;
mod reading;
mod reconcile;
mod replay;
mod review;
mod revocation_preview;
pub(crate) mod rollup;
mod rows;
mod schema;
mod selection;
mod serving;
mod summary;
mod suspension;
mod validity;
mod verify;
mod write_error;
mod writer;

pub use alarms::{Alarms, Equivocation};
pub use backup::{StoreCopy, check_copy};
pub use blob::{BlobBacklog, BlobContent, BlobState, BlobTotals, NotTaken};
pub use counts::{CategoryCounts, Counts};
pub use follow::{Follower, Lag, News, Start, Touched};
pub use health::{Fault, Health};
pub use kept::{Kept, KeptOfAll};
pub use opening::OpenError;
pub use outbox::{Backlog, Reached};
pub use purge::{Purged, Unsent, UnsentLeft};
pub use quarantine::Refused;
pub use quota::{Quota, QuotaUse};
pub use review::ToReview;
pub use revocation_preview::RevocationPreview;
pub use schema::VERSION;
pub use suspension::Suspension;
pub use verify::Verification;
pub use write_error::WriteError;

use health::Condition;
use outbox::Ancestors;
use reading::Readers;
use writer::Writer;

/// Who the node is, as far as the store needs to know.
#[derive(Debug, Clone)]
pub struct StoreIdentity {
    /// Key of the federation root.
    pub root: PublicKey,
    /// Certificate of this node; `None` before it has joined.
    pub own: Option<Serial>,
    /// Certificates from the root side down to this node's own; they are added to the store.
    pub chain: Vec<Vec<u8>>,
}

/// Sizes and bounds of one store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Most read connections.
    pub readers: usize,
    /// Page cache of the writer, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reader, in KiB.
    pub reader_cache_kib: u32,
    /// Free bytes of the disk below which [`Health::LowSpace`] is reported.
    pub low_space_bytes: u64,
    /// Largest size of the database file in bytes; beyond it the store acts as on a full disk.
    pub size_limit_bytes: Option<u64>,
    /// After a removal, a file of at most so many bytes is written anew at once, while writers
    /// wait; a larger one when the store is next opened.
    pub compact_at_once_bytes: u64,
    /// What is taken from one peer below, unless it has bounds of its own.
    pub quota: Quota,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            writer_cache_kib: 32 << 10,
            reader_cache_kib: 4 << 10,
            low_space_bytes: 256 << 20,
            size_limit_bytes: None,
            compact_at_once_bytes: 64 << 20,
            quota: Quota::default(),
        }
    }
}

/// A transaction has become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitNotice {
    /// The greatest row of the log.
    pub last_row: i64,
    /// Changes added by the transaction; 0 when only receipts or certificates came.
    pub added: u64,
    /// A bundle has said what tiers above hold, which no session has heard.
    pub learned: bool,
}

type Listener = Arc<dyn Fn(CommitNotice) + Send + Sync>;

/// Handle of an open store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Declared first, so that the writer has ended before the lock is given back.
    writer: Writer,
    readers: Readers,
    shared: Arc<Shared>,
    dir: PathBuf,
    options: StoreOptions,
    blobs: blob::Claims,
    _lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.latest.close();
    }
}

/// What callers and the writer thread have in common.
struct Shared {
    projector: Arc<dyn Projector>,
    /// Certificate of this node.
    own: Option<Serial>,
    authority: RwLock<Arc<Authority>>,
    ancestors: Ancestors,
    condition: Condition,
    listeners: RwLock<Vec<Listener>>,
    /// Woken by what is committed.
    latest: Arc<follow::Latest>,
    suspension: RwLock<Option<Suspension>>,
}

impl Shared {
    fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_authority(&self, authority: Arc<Authority>) {
        *self.authority.write().unwrap_or_else(PoisonError::into_inner) = authority;
    }

    fn notify(&self, notice: CommitNotice) {
        self.latest.set(notice.last_row);
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            listener(notice);
        }
    }
}

impl Store {
    /// Opens the store in `dir`, which is made if it does not exist.
    ///
    /// A store of an older version is brought up to date; one of a newer version is refused with
    /// its files untouched. Projections made by another version of `projector` are made anew,
    /// which takes about as long as the documents took to come in.
    pub fn open(
        dir: &Path,
        projector: Arc<dyn Projector>,
        identity: StoreIdentity,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        opening::open(dir, projector, identity, options)
            .map(|inner| Self { inner: Arc::new(inner) })
    }

    /// Makes one change for each write, checked against the author's rights before anything is
    /// saved. All are durable when it returns, with ids in the order of the writes, or none is.
    ///
    /// Writes of one call to one document build on each other. Many threads may write; their
    /// calls share transactions. Thousands of writes in one call are the fast way to load data.
    pub fn write(
        &self,
        author: &Author,
        writes: Vec<Write>,
        now_ms: i64,
    ) -> Result<Vec<ChangeId>, WriteError> {
        local::check_suspension(&self.inner.shared)?;
        local::check(&self.authority(), author, &writes)?;
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let author = author.clone();
        self.inner.writer.submit_local(move |batch| batch.write(&author, writes, now_ms))
    }

    /// Carries out one request of a session.
    pub fn serve(&self, request: StoreRequest) -> Result<StoreReply, Fault> {
        serving::serve(&self.inner, request)
    }

    /// Adds certificates, issuers first; gives the reasons of those refused.
    pub fn add_certificates(&self, certificates: &[Vec<u8>]) -> Result<Vec<String>, Fault> {
        permission::add_certificates(&self.inner, certificates)
    }

    /// Adds revocations; gives the reasons of those refused. What does not stand any more, and
    /// nothing that stands builds on, leaves the log; the rest of it is tainted.
    pub fn add_revocations(&self, revocations: &[Vec<u8>]) -> Result<Vec<String>, Fault> {
        permission::add_revocations(&self.inner, revocations)
    }

    /// Adds successions of the root; gives the reasons of those refused. What stands no more goes
    /// as with revocations.
    pub fn add_successions(&self, successions: &[Vec<u8>]) -> Result<Vec<String>, Fault> {
        permission::add_successions(&self.inner, successions.to_vec())
    }

    /// Keys of children that two machines use, as their lineage tokens show.
    pub fn forked(&self) -> Result<Vec<PublicKey>, Fault> {
        self.inner.readers.with(|connection| Ok(clone_guard::forked(connection)?))
    }

    /// Lets the next machine in that comes with this child's key and asks to be certified anew;
    /// `false` when the child is not known as forked.
    pub fn release(&self, subject: &PublicKey) -> Result<bool, Fault> {
        let subject = *subject;
        self.inner.writer.submit(move |batch| Ok(clone_guard::release(batch.connection, &subject)?))
    }

    /// All certificates and revocations known now.
    pub fn authority(&self) -> Arc<Authority> {
        self.inner.shared.authority()
    }

    /// A document as it stands; `None` when there is none.
    pub fn view(&self, home: &Home) -> Result<Option<DocumentView>, Fault> {
        let authority = self.authority();
        self.inner.readers.with(|connection| Ok(materialize::view(connection, &authority, home)?))
    }

    /// What stood in a field before its present values were written at the same time; `None` when
    /// it was empty, or is not in conflict.
    pub fn common_ancestor(&self, home: &Home, field: &str) -> Result<Option<String>, Fault> {
        let authority = self.authority();
        self.inner.readers.with(|connection| {
            let changes = rows::changes_of(connection, home)?;
            let history = replay::history(&authority, *home, replay::read(&changes));
            Ok(history.common_ancestor(field).map(str::to_owned))
        })
    }

    /// Documents under `prefix` with a field in conflict, in key order, at most `limit`.
    pub fn in_conflict(&self, prefix: &KeyPrefix, limit: usize) -> Result<Vec<Home>, Fault> {
        self.inner
            .readers
            .with(|connection| Ok(materialize::in_conflict(connection, prefix, limit)?))
    }

    /// Documents under `prefix`, erased ones included, in key order, at most `limit`.
    pub fn documents(&self, prefix: &KeyPrefix, limit: usize) -> Result<Vec<Home>, Fault> {
        self.inner.readers.with(|connection| Ok(materialize::under(connection, prefix, limit)?))
    }

    /// All changes of a document, in key order.
    pub fn changes_of(&self, home: &Home) -> Result<Vec<VerifiedChange>, Fault> {
        self.inner.readers.with(|connection| Ok(rows::changes_of(connection, home)?))
    }

    /// How many refused changes are kept, and how many numbers were given twice. Quick, however
    /// large the store is.
    pub fn alarms(&self) -> Result<Alarms, Fault> {
        self.inner.readers.with(|connection| Ok(alarms::count(connection)?))
    }

    /// The pairs of changes to which one author gave one number.
    pub fn equivocations(&self) -> Result<Vec<Equivocation>, Fault> {
        self.inner.readers.with(|connection| Ok(alarms::equivocations(connection)?))
    }

    /// How many changes here each author made.
    pub fn changes_by_author(&self) -> Result<BTreeMap<Serial, u64>, Fault> {
        self.inner.readers.with(|connection| Ok(counts::by_author(connection)?))
    }

    /// The keys of all changes, ascending. For who compares whole stores.
    pub fn keys(&self) -> Result<Vec<SetKey>, Fault> {
        self.inner.readers.with(|connection| Ok(rows::keys(connection)?))
    }

    /// Tries whether so many bytes could be stored, and stores none; the outcome is noted as that
    /// of any write.
    pub fn try_room(&self, bytes: usize) -> Result<(), Fault> {
        self.write_reference(move |connection| facts::try_room(connection, bytes))
    }

    /// Runs queries on one snapshot of the store.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        self.inner.readers.with(|connection| Ok(work(connection)?))
    }

    /// Runs `work` in a transaction of the writer, for tables that are neither log nor
    /// projection, such as reference data. An error takes back all it did.
    pub fn write_reference<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.inner.writer.submit_local(move |batch| Ok(work(batch.connection)?))
    }

    /// Calls `listener` after every transaction, in the writer thread: it must be quick, must not
    /// write to the store, and should not hold a `Store`, which would then never close.
    pub fn on_commit(&self, listener: impl Fn(CommitNotice) + Send + Sync + 'static) {
        let listeners = &self.inner.shared.listeners;
        listeners.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    /// Says that it was learned what tiers above hold, otherwise than in a session.
    pub(crate) fn tell_learned(&self) -> Result<(), Fault> {
        let last_row = self.read(|connection| {
            let sql = "SELECT coalesce(max(row), 0) FROM change";
            connection.query_row(sql, [], |row| row.get(0))
        })?;
        self.inner.shared.notify(CommitNotice { last_row, added: 0, learned: true });
        Ok(())
    }

    /// How far a document has got.
    pub fn reached(&self, home: &Home) -> Result<Reached, Fault> {
        let ancestors = &self.inner.shared.ancestors;
        self.inner.readers.with(|connection| Ok(outbox::reached(connection, ancestors, home)?))
    }

    /// What waits to be held by each tier above.
    pub fn outbox_totals(&self) -> Result<BTreeMap<Tier, Backlog>, Fault> {
        self.inner.readers.with(|connection| Ok(outbox::totals(connection)?))
    }

    /// Why tiers above take nothing, or only what is more urgent, for now.
    pub fn postponed(&self) -> Result<BTreeMap<Tier, String>, Fault> {
        self.inner.readers.with(|connection| Ok(deferral::by_tier(connection)?))
    }

    /// The latest refused changes, newest first.
    pub fn quarantine(&self, limit: usize) -> Result<Vec<Refused>, Fault> {
        self.inner.readers.with(|connection| Ok(quarantine::latest(connection, limit)?))
    }

    /// What has been taken from the peer with this key, as of this time, and the bounds for it.
    pub fn quota(&self, peer: &PublicKey, at_ms: i64) -> Result<(QuotaUse, Quota), Fault> {
        let usual = &self.inner.options.quota;
        self.inner.readers.with(|connection| quota::state(connection, usual, peer, at_ms))
    }

    /// How many bytes of blobs a peer may still give, and why no more.
    pub(crate) fn room_for_blobs(&self, peer: &PublicKey) -> Result<(u64, String), Fault> {
        let (authority, usual) = (self.authority(), &self.inner.options.quota);
        self.inner
            .readers
            .with(|connection| Ok(quota::room_for_blobs(connection, &authority, usual, peer)?))
    }

    /// Gives a peer bounds of its own, or with `None` the usual ones again. What waits for it is
    /// taken in the next comparison.
    pub fn set_quota(&self, peer: &PublicKey, bounds: Option<Quota>) -> Result<(), Fault> {
        let peer = *peer;
        let set = move |connection: &Connection| quota::set(connection, &peer, bounds.as_ref());
        self.write_reference(set)?;
        self.inner.blobs.forget(&peer);
        Ok(())
    }

    /// Whether writing works.
    pub fn health(&self) -> Health {
        let Inner { shared, dir, options, .. } = &*self.inner;
        shared.condition.health(dir, options.low_space_bytes)
    }

    /// How much there is.
    pub fn counts(&self) -> Result<Counts, Fault> {
        self.inner.readers.with(|connection| Ok(counts::counts(connection)?))
    }

    /// Checks everything in the store against the log; reads all of it.
    pub fn verify(&self) -> Result<Verification, Fault> {
        verify::verify(&self.inner)
    }

    /// Makes the summaries, the numbers of documents and what is kept of whom anew from the log.
    pub fn rebuild_summaries(&self) -> Result<(), Fault> {
        self.inner.writer.submit(|batch| {
            summary::trie::rebuild(batch.connection)?;
            counts::rebuild(batch.connection)?;
            Ok(kept::rebuild(batch.connection)?)
        })
    }

    /// Makes the projection tables, and the references to blobs, anew from the log.
    pub fn rebuild_projections(&self) -> Result<(), Fault> {
        self.inner.writer.submit(|batch| {
            let projector = &*batch.shared.projector;
            let note = |home: &Home, names: &[blob::naming::Named]| batch.refer(home, names);
            materialize::rebuild(batch.connection, projector, &batch.authority, &note)?;
            Ok(blob::sweep(batch.connection)?)
        })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

//! The one thread that writes.
//!
//! Jobs queue up while a transaction is under way; the next transaction takes as many of them as
//! are there (group commit), so that many small writers share one fsync. Each job has its own
//! savepoint: a job that gives up leaves nothing behind and does not disturb the others. A fault
//! of the disk fails all jobs of the transaction, none of which has been told "durable" before.
//!
//! What people at this node write goes before what comes from peers ([`group`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use rusqlite::{Connection, OptionalExtension as _};

use super::health::Fault;
use super::pending_counts::PendingCounts;
use super::rollup::deltas::Deltas;
use super::rows::last_row;
use super::summary::Additions;
use super::{Shared, quarantine};
use queue::{Job, Queue, Ran, Shareable};

mod folding;
mod group;
mod queue;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
pub(super) mod tests;

/// A job of a peer adds so many changes at least before it lets a person go first.
const PART_CHANGES: u64 = 32;

/// Handle of the writer thread; dropping it lets the queue run dry and waits for the end.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a part of a job came to.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// It is to be called again, perhaps in a later transaction; what it did is kept.
    Paused,
    /// All is done.
    Done(T),
}

/// What the writer remembers of the store between transactions; forgotten after any rollback.
#[derive(Debug, Default)]
pub(super) struct Memory {
    authors: HashMap<Serial, i64>,
    last_seq: HashMap<i64, u64>,
    last_row: Option<i64>,
    /// Known that no change is withheld, which spares asking for each document.
    pub(super) nothing_withheld: bool,
    pub(super) inserts: HashMap<(&'static str, usize), String>,
}

/// One job's view of the transaction.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    pub(super) shared: &'a Shared,
    pub(super) memory: &'a mut Memory,
    queue: &'a Queue,
    /// Authority as it will be after this transaction.
    pub(super) authority: Arc<Authority>,
    pub(super) summaries: Additions,
    /// What of the outbox came and went.
    pub(super) pending_counts: PendingCounts,
    /// What rollups gain and lose.
    pub(super) deltas: Deltas,
    /// Changes added.
    pub(super) added: u64,
    /// Changes after which the job should pause.
    most: u64,
    /// Rows of the log that leave it, see [`Batch::take_out`].
    pub(super) leaving: Vec<i64>,
    /// Whether payloads were erased, so that the files must be written anew.
    pub(super) wiped: bool,
    /// Whether a peer brought a change that was made at this node and is not known here.
    pub(super) set_back: bool,
}

impl Writer {
    /// Starts the thread on a connection that may write.
    pub(super) fn start(connection: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let jobs = Arc::clone(&queue);
        let builder = thread::Builder::new().name("store-writer".to_owned());
        let thread = builder.spawn(move || {
            // Nobody waits forever if a listener panics.
            let _end = End(Arc::clone(&jobs));
            group::run(&connection, &shared, &jobs);
            // Leaves one file behind on a clean end; a failure only means that it is done at next
            // open.
            if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
                tracing::warn!(%error, "the write-ahead log could not be folded in");
            }
        })?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in one of the next transactions and waits until it is durable. An error of
    /// `work` is given back, and takes back all it did.
    pub(super) fn submit<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Interrupts + Send + 'static,
    {
        self.submit_in_parts(at_once(work))
    }

    /// The same before all that comes from peers: for what a person waits for.
    pub(super) fn submit_local<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Interrupts + Send + 'static,
    {
        wait(at_once(work), |job| self.queue.push_local(job))
    }

    /// As [`Writer::submit`], for work that may pause. An error takes back only what was done since
    /// the last pause.
    pub(super) fn submit_in_parts<T, E>(
        &self,
        work: impl FnMut(&mut Batch<'_>) -> Result<Part<T>, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Interrupts + Send + 'static,
    {
        wait(work, |job| self.queue.push(Job::Shared(job)))
    }

    /// Runs `work` between two transactions; others wait meanwhile.
    pub(super) fn submit_alone(
        &self,
        work: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), Fault> {
        let (done, ended) = mpsc::sync_channel(1);
        if !self.queue.push(Job::Alone { work: Box::new(work), done }) {
            return Err(Fault::Stopped);
        }
        ended.recv().unwrap_or(Err(Fault::Stopped))
    }
}

/// Leaves nobody waiting when the thread ends.
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Work that never pauses.
fn at_once<T, E: From<Fault>>(
    work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
) -> impl FnMut(&mut Batch<'_>) -> Result<Part<T>, E> + Send + 'static {
    let mut work = Some(work);
    move |batch| {
        let work = work.take().ok_or(Fault::Stopped)?;
        work(batch).map(Part::Done)
    }
}

/// Queues a job and waits for its transaction.
fn wait<T, E>(
    mut work: impl FnMut(&mut Batch<'_>) -> Result<Part<T>, E> + Send + 'static,
    push: impl FnOnce(Shareable) -> bool,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Fault> + Interrupts + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let result = Arc::clone(&slot);
    let work = Box::new(move |batch: &mut Batch<'_>| {
        let outcome = match work(batch) {
            Ok(Part::Paused) => return Ok(Ran::Paused),
            Ok(Part::Done(done)) => Ok(done),
            Err(error) => Err(error),
        };
        let fault = outcome.as_ref().err().and_then(Interrupts::fault);
        let fault = fault.filter(|fault| ends_transaction(fault)).cloned();
        let ran = if outcome.is_ok() { Ran::Done } else { Ran::Undone };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        fault.map_or(Ok(ran), Err)
    });
    let (done, committed) = mpsc::sync_channel(1);
    if !push(Shareable { work, done }) {
        return Err(Fault::Stopped.into());
    }
    committed.recv().unwrap_or(Err(Fault::Stopped))?;
    let outcome = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.unwrap_or_else(|| Err(Fault::Stopped.into()))
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A listener may hold the last handle of the store, and runs in the thread itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("the writer thread of the store panicked");
        }
    }
}

/// Tells a fault of the disk, which ends the transaction, from an error of the job alone.
pub(super) trait Interrupts {
    /// The fault of the store in this error, if there is one.
    fn fault(&self) -> Option<&Fault>;
}

impl Interrupts for Fault {
    fn fault(&self) -> Option<&Fault> {
        Some(self)
    }
}

/// A job may fail by its own SQL, as by a constraint; then the others go on.
fn ends_transaction(fault: &Fault) -> bool {
    match fault {
        Fault::DiskFull | Fault::ReadOnly | Fault::Corrupt { .. } => true,
        Fault::Failing { .. } | Fault::Stopped => false,
    }
}

impl Memory {
    fn last_row(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        let known = self.last_row.map_or_else(|| last_row(connection), Ok)?;
        self.last_row = Some(known);
        Ok(known)
    }
}

impl Batch<'_> {
    /// Whether a job of a peer should pause: somebody at this node waits, or may wait for the
    /// commit if it becomes long.
    pub(super) fn should_pause(&self) -> bool {
        let waits = self.added >= PART_CHANGES && self.queue.is_local_waiting();
        waits || self.added >= self.most
    }

    /// Whether something of a document is withheld.
    pub(super) fn is_any_withheld(&mut self, home: &Home) -> rusqlite::Result<bool> {
        if !self.memory.nothing_withheld {
            self.memory.nothing_withheld = !quarantine::is_anything_withheld(self.connection)?;
        }
        Ok(!self.memory.nothing_withheld && quarantine::is_any_withheld(self.connection, home)?)
    }

    /// The next row of the log.
    pub(super) fn next_row(&mut self) -> rusqlite::Result<i64> {
        let next = self.memory.last_row(self.connection)? + 1;
        self.memory.last_row = Some(next);
        Ok(next)
    }

    /// The small number of a certificate serial, which is given one if it has none.
    pub(super) fn author(&mut self, serial: &Serial) -> rusqlite::Result<i64> {
        if let Some(id) = self.memory.authors.get(serial) {
            return Ok(*id);
        }
        let known = known_author(self.connection, serial)?;
        let id = if let Some(id) = known {
            id
        } else {
            self.connection.execute("INSERT INTO author (serial) VALUES (?1)", [serial.0])?;
            self.connection.last_insert_rowid()
        };
        self.memory.authors.insert(*serial, id);
        Ok(id)
    }

    /// The greatest number of a change by this author, removed ones included; 0 when there was
    /// none.
    pub(super) fn last_seq(&mut self, author: i64) -> rusqlite::Result<u64> {
        if let Some(seq) = self.memory.last_seq.get(&author) {
            return Ok(*seq);
        }
        let seq = last_seq(self.connection, author)?;
        self.memory.last_seq.insert(author, seq);
        Ok(seq)
    }

    /// Notes that there is a change by this author with this number.
    pub(super) fn saw_seq(&mut self, author: i64, seq: u64) {
        let last = self.memory.last_seq.entry(author).or_insert(seq);
        *last = seq.max(*last);
    }
}

/// The small number of a certificate serial; `None` when it has none.
pub(super) fn known_author(
    connection: &Connection,
    serial: &Serial,
) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM author WHERE serial = ?1")?;
    select.query_row([serial.0], |row| row.get(0)).optional()
}

/// The greatest number of a change by an author, removed ones included; 0 when there was none.
pub(super) fn last_seq(connection: &Connection, author: i64) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached(
        "SELECT max(last_seq, coalesce((SELECT max(seq) FROM change WHERE author = id), 0)) \
         FROM author WHERE id = ?1",
    )?;
    select.query_row([author], |row| row.get(0))
}

/// Notes the number of a change that is about to be removed, so that it is never given again.
pub(super) fn remember_seq(connection: &Connection, author: i64, seq: u64) -> rusqlite::Result<()> {
    let mut update = connection
        .prepare_cached("UPDATE author SET last_seq = ?2 WHERE id = ?1 AND last_seq < ?2")?;
    update.execute((author, seq))?;
    Ok(())
}

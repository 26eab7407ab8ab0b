//! The one thread that writes.
//!
//! Jobs queue up while a transaction is under way; the next transaction takes as many of them as
//! are there (group commit), so that many small writers share one fsync. Each job has its own
//! savepoint: a job that gives up leaves nothing behind and does not disturb the others. A fault
//! of the disk fails all jobs of the transaction, none of which has been told "durable" before.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::Serial;
use rusqlite::{Connection, OptionalExtension as _};

use super::health::Fault;
use super::reading::last_row;
use super::summary::Additions;
use super::tally::Tally;
use super::{CommitNotice, Shared};

/// Most jobs in one transaction.
const GROUP_JOBS: usize = 64;
/// No further job joins a transaction that has added this many changes.
const GROUP_CHANGES: u64 = 8_000;

/// What a job does inside the transaction; `false` takes all it did back.
type Work = Box<dyn FnOnce(&mut Batch<'_>) -> Result<bool, Fault> + Send>;

/// What can only be done outside of a transaction.
type Upkeep = Box<dyn FnOnce(&Connection) -> Result<(), Fault> + Send>;

enum Job {
    Shared(Shareable),
    Alone { work: Upkeep, done: SyncSender<Result<(), Fault>> },
}

/// A job that shares a transaction with others.
struct Shareable {
    work: Work,
    done: SyncSender<Result<(), Fault>>,
}

/// Handle of the writer thread; dropping it lets the queue run dry and waits for the end.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer remembers of the store between transactions; forgotten after any rollback.
#[derive(Debug, Default)]
pub(super) struct Memory {
    authors: HashMap<Serial, i64>,
    last_seq: HashMap<i64, u64>,
    last_row: Option<i64>,
    pub(super) inserts: HashMap<(&'static str, usize), String>,
}

/// One job's view of the transaction.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    pub(super) shared: &'a Shared,
    pub(super) memory: &'a mut Memory,
    /// Authority as it will be after this transaction.
    pub(super) authority: Arc<Authority>,
    pub(super) summaries: Additions,
    /// What of the outbox came and went.
    pub(super) tally: Tally,
    /// Changes added.
    pub(super) added: u64,
    /// Rows of the log that leave it, see [`Batch::take_out`].
    pub(super) leaving: Vec<i64>,
    /// Whether payloads were erased, so that the files must be written anew.
    pub(super) wiped: bool,
}

impl Writer {
    /// Starts the thread on a connection that may write.
    pub(super) fn start(connection: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let builder = thread::Builder::new().name("store-writer".to_owned());
        let thread = builder.spawn(move || run(&connection, &shared, &jobs))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in the next transaction and waits until it is durable. An error of `work` is
    /// given back, and takes back all it did.
    pub(super) fn submit<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Interrupts + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let work: Work = Box::new(move |batch| {
            let outcome = work(batch);
            let fault = outcome.as_ref().err().and_then(Interrupts::fault);
            let fault = fault.filter(|fault| ends_transaction(fault)).cloned();
            let kept = outcome.is_ok();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            fault.map_or(Ok(kept), Err)
        });
        let (done, committed) = mpsc::sync_channel(1);
        if !self.send(Job::Shared(Shareable { work, done })) {
            return Err(Fault::Stopped.into());
        }
        committed.recv().unwrap_or(Err(Fault::Stopped))?;
        let outcome = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(|| Err(Fault::Stopped.into()))
    }

    /// Runs `work` between two transactions; others wait meanwhile.
    pub(super) fn submit_alone(
        &self,
        work: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), Fault> {
        let (done, ended) = mpsc::sync_channel(1);
        if !self.send(Job::Alone { work: Box::new(work), done }) {
            return Err(Fault::Stopped);
        }
        ended.recv().unwrap_or(Err(Fault::Stopped))
    }

    fn send(&self, job: Job) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.is_some_and(|queue| queue.send(job).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
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

fn run(connection: &Connection, shared: &Shared, jobs: &Receiver<Job>) {
    let mut memory = Memory::default();
    let mut put_back = None;
    while let Some(job) = put_back.take().or_else(|| jobs.recv().ok()) {
        let first = match job {
            Job::Shared(first) => first,
            Job::Alone { work, done } => {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)));
                let _ = done.send(outcome.unwrap_or(Err(Fault::Stopped)));
                continue;
            }
        };
        let mut group = Group { waiting: Vec::new(), added: 0, authority: None, put_back: None };
        let result = transaction(connection, shared, &mut memory, &mut group, first, jobs);
        if result.is_err() {
            memory = Memory::default();
            if !connection.is_autocommit()
                && let Err(error) = connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "rolling back failed");
            }
        }
        put_back = group.put_back;
        let fault = result.as_ref().err().cloned();
        if let Ok(last_row) = &result {
            if let Some(authority) = group.authority {
                shared.set_authority(authority);
            }
            shared.notify(CommitNotice { last_row: *last_row, added: group.added });
        }
        shared.condition.set(fault.clone());
        for done in group.waiting {
            // Whoever waited may have gone; the work is durable all the same.
            let _ = done.send(fault.clone().map_or(Ok(()), Err));
        }
    }
    // Leaves one file behind on a clean end; a failure only means that it is done at next open.
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the write-ahead log could not be folded in");
    }
}

struct Group {
    waiting: Vec<SyncSender<Result<(), Fault>>>,
    added: u64,
    authority: Option<Arc<Authority>>,
    /// A job that was next and cannot share the transaction.
    put_back: Option<Job>,
}

/// One transaction with the jobs that are there; gives the last row of the store.
fn transaction(
    connection: &Connection,
    shared: &Shared,
    memory: &mut Memory,
    group: &mut Group,
    first: Shareable,
    jobs: &Receiver<Job>,
) -> Result<i64, Fault> {
    let mut summaries = Additions::default();
    let mut tally = Tally::default();
    let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(Fault::from);
    let mut next = Some(first);
    while let Some(Shareable { work, done }) = next.take() {
        group.waiting.push(done);
        begun.clone()?;
        connection.execute_batch("SAVEPOINT job")?;
        let authority = group.authority.clone().unwrap_or_else(|| shared.authority());
        let mut batch = Batch {
            connection,
            shared,
            memory,
            authority: Arc::clone(&authority),
            summaries: Additions::default(),
            tally: Tally::default(),
            added: 0,
            leaving: Vec::new(),
            wiped: false,
        };
        let kept = catch_unwind(AssertUnwindSafe(|| work(&mut batch)));
        match kept {
            Ok(Ok(true)) => {
                group.added += batch.added;
                if !Arc::ptr_eq(&authority, &batch.authority) {
                    group.authority = Some(batch.authority);
                }
                summaries.merge(batch.summaries);
                tally.merge(batch.tally);
                connection.execute_batch("RELEASE job")?;
            }
            Ok(Ok(false)) | Err(_) => {
                *memory = Memory::default();
                connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
            }
            Ok(Err(fault)) => return Err(fault),
        }
        if group.waiting.len() < GROUP_JOBS && group.added < GROUP_CHANGES {
            match jobs.try_recv() {
                Ok(Job::Shared(job)) => next = Some(job),
                Ok(alone) => group.put_back = Some(alone),
                Err(_) => {}
            }
        }
    }
    summaries.save(connection)?;
    tally.save(connection)?;
    let last_row = memory.last_row(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(last_row)
}

impl Memory {
    fn last_row(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        let known = self.last_row.map_or_else(|| last_row(connection), Ok)?;
        self.last_row = Some(known);
        Ok(known)
    }
}

impl Batch<'_> {
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

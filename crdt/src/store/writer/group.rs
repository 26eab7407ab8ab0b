//! Transactions of the writer thread, each with as many jobs as are there.
//!
//! ```text
//!  all local jobs ─► commit        while people write, by turns with
//!  a job of a peer until a local one waits, that one ─► commit
//!
//!  jobs of peers, one after the other, until there are many ─► commit        else
//! ```
//!
//! A job of a peer pauses when a local job comes: that is done next, in the same transaction, and
//! the rest in a later one. So a person waits for the document under work and for one commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use cunlian_protocol::authority::Authority;
use rusqlite::Connection;

use super::folding::Folding;
use super::queue::{Job, Next, Queue, Ran, Shareable};
use super::{Batch, Memory};
use crate::store::health::Fault;
use crate::store::pending_counts::PendingCounts;
use crate::store::rollup::deltas::Deltas;
use crate::store::summary::Additions;
use crate::store::{CommitNotice, Shared};

/// Most jobs in one transaction.
const GROUP_JOBS: usize = 64;
/// No further job joins a transaction that has added this many changes. A person who writes now
/// and then waits for one such commit at most.
const GROUP_CHANGES: u64 = 2_000;
/// The same for some time after a local job, so that the next one waits for a short commit.
const SHORT_GROUP_CHANGES: u64 = 500;
/// Transactions that are kept short after one with a local job.
const SHORT_GROUPS: u32 = 64;

/// Does jobs until the queue is closed and empty.
pub(super) fn run(connection: &Connection, shared: &Shared, queue: &Queue) {
    let mut thread = Thread {
        connection,
        shared,
        queue,
        memory: Memory::default(),
        paused: None,
        short_groups: 0,
        turn_of_others: false,
        folding: Folding::new(connection),
    };
    while let Some(first) = thread.first() {
        match first {
            Next::Other(Job::Alone { work, done }) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)));
                let _ = done.send(outcome.unwrap_or(Err(Fault::Stopped)));
            }
            Next::Local(job) => thread.group(job, true),
            Next::Other(Job::Shared(job)) => thread.group(job, false),
        }
    }
}

struct Thread<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    queue: &'a Queue,
    memory: Memory,
    /// A job that is not done, between its runs.
    paused: Option<Shareable>,
    /// How many transactions are still kept short.
    short_groups: u32,
    /// Whether the last transaction was of local jobs alone.
    turn_of_others: bool,
    folding: Folding<'a>,
}

/// What one transaction has come to.
#[derive(Default)]
struct Group {
    /// To be told when it is durable.
    waiting: Vec<SyncSender<Result<(), Fault>>>,
    added: u64,
    authority: Option<Arc<Authority>>,
    summaries: Additions,
    pending_counts: PendingCounts,
    /// Whether a local job is in it, and another one.
    local: bool,
    other: bool,
}

impl Group {
    fn is_full(&self, short: bool) -> bool {
        let most = if short { SHORT_GROUP_CHANGES } else { GROUP_CHANGES };
        self.waiting.len() >= GROUP_JOBS || self.added >= most || self.local
    }
}

impl Thread<'_> {
    /// The job to begin a transaction with, waited for; `None` at the end.
    fn first(&mut self) -> Option<Next> {
        if !std::mem::take(&mut self.turn_of_others)
            && let Some(local) = self.queue.next_local()
        {
            return Some(Next::Local(local));
        }
        match self.paused.take() {
            Some(paused) => Some(Next::Other(Job::Shared(paused))),
            None => self.queue.next_other().map(Next::Other).or_else(|| self.queue.wait()),
        }
    }

    fn group(&mut self, first: Shareable, local: bool) {
        let mut group = Group::default();
        let result = self.transaction(&mut group, first, local);
        if let Err(fault) = &result {
            self.memory = Memory::default();
            // A job whose earlier part is taken back must not go on.
            if group.other
                && let Some(paused) = self.paused.take()
            {
                let _ = paused.done.send(Err(fault.clone()));
            }
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "rolling back failed");
            }
        }
        let fault = result.as_ref().err().cloned();
        if let Ok(last_row) = &result {
            if let Some(authority) = group.authority {
                self.shared.set_authority(authority);
            }
            let (last_row, added) = (*last_row, group.added);
            self.shared.notify(CommitNotice { last_row, added, learned: false });
        }
        self.shared.condition.set(fault.clone());
        for done in group.waiting {
            // Whoever waited may have gone; the work is durable all the same.
            let _ = done.send(fault.clone().map_or(Ok(()), Err));
        }
        self.short_groups =
            if group.local { SHORT_GROUPS } else { self.short_groups.saturating_sub(1) };
        self.turn_of_others = group.local && !group.other;
        self.folding.grew(group.added);
        self.folding.fold(self.short_groups > 0, self.queue.is_local_waiting());
    }

    /// One transaction with the jobs that are there; gives the last row of the store.
    fn transaction(
        &mut self,
        group: &mut Group,
        first: Shareable,
        local: bool,
    ) -> Result<i64, Fault> {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Fault::from);
        let mut next = Some((first, local));
        while let Some((mut job, local)) = next {
            let ran = begun.clone().and_then(|()| self.run(group, &mut job));
            group.local |= local;
            group.other |= !local;
            match ran {
                Ok(Ran::Paused) => self.paused = Some(job),
                Ok(Ran::Done | Ran::Undone) => group.waiting.push(job.done),
                Err(fault) => {
                    group.waiting.push(job.done);
                    return Err(fault);
                }
            }
            next = self.next(group);
        }
        std::mem::take(&mut group.summaries).save(self.connection)?;
        std::mem::take(&mut group.pending_counts).save(self.connection)?;
        let last_row = self.memory.last_row(self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        Ok(last_row)
    }

    /// The job that joins the transaction next, and whether it is a local one.
    fn next(&mut self, group: &Group) -> Option<(Shareable, bool)> {
        if group.waiting.len() < GROUP_JOBS
            && let Some(job) = self.queue.next_local()
        {
            return Some((job, true));
        }
        if group.is_full(self.short_groups > 0) {
            return None;
        }
        let job = self.paused.take().or_else(|| self.queue.next_shared())?;
        Some((job, false))
    }

    /// One run of a job, which has its own savepoint.
    fn run(&mut self, group: &mut Group, job: &mut Shareable) -> Result<Ran, Fault> {
        self.connection.execute_batch("SAVEPOINT job")?;
        let authority = group.authority.clone().unwrap_or_else(|| self.shared.authority());
        let mut batch = Batch {
            connection: self.connection,
            shared: self.shared,
            memory: &mut self.memory,
            queue: self.queue,
            authority: Arc::clone(&authority),
            summaries: Additions::default(),
            pending_counts: PendingCounts::default(),
            deltas: Deltas::default(),
            added: 0,
            most: if self.short_groups > 0 { SHORT_GROUP_CHANGES } else { u64::MAX },
            leaving: Vec::new(),
            wiped: false,
            set_back: false,
        };
        match catch_unwind(AssertUnwindSafe(|| (job.work)(&mut batch))) {
            Ok(Ok(ran @ (Ran::Done | Ran::Paused))) => {
                batch.deltas.save(self.connection, &*self.shared.projector)?;
                group.added += batch.added;
                if !Arc::ptr_eq(&authority, &batch.authority) {
                    group.authority = Some(batch.authority);
                }
                group.summaries.merge(batch.summaries);
                group.pending_counts.merge(batch.pending_counts);
                self.connection.execute_batch("RELEASE job")?;
                Ok(ran)
            }
            Ok(Ok(Ran::Undone)) | Err(_) => {
                self.memory = Memory::default();
                self.connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
                Ok(Ran::Undone)
            }
            Ok(Err(fault)) => Err(fault),
        }
    }
}

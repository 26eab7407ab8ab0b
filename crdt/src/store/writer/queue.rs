//! Jobs that wait for the writer: those of people at this node before those of peers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::Batch;
use crate::store::health::Fault;

/// What became of one run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// It gave up: what this run did is taken back.
    Undone,
    /// It has more to do; what it did so far is kept.
    Paused,
    /// It is done.
    Done,
}

/// What a job does inside the transaction.
type Work = Box<dyn FnMut(&mut Batch<'_>) -> Result<Ran, Fault> + Send>;

/// What can only be done outside of a transaction.
type Upkeep = Box<dyn FnOnce(&Connection) -> Result<(), Fault> + Send>;

/// A job that shares a transaction with others.
pub(super) struct Shareable {
    pub(super) work: Work,
    pub(super) done: SyncSender<Result<(), Fault>>,
}

/// A job of a peer or of upkeep.
pub(super) enum Job {
    Shared(Shareable),
    Alone { work: Upkeep, done: SyncSender<Result<(), Fault>> },
}

#[derive(Default)]
struct Waiting {
    /// Of people at this node.
    local: VecDeque<Shareable>,
    other: VecDeque<Job>,
    closed: bool,
}

/// What the writer takes next.
pub(super) enum Next {
    Local(Shareable),
    Other(Job),
}

/// The two queues.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// How many local jobs wait, to be looked at in the midst of another job.
    local: AtomicUsize,
}

impl Queue {
    /// Whether the job was taken: not when the store is closing.
    pub(super) fn push_local(&self, job: Shareable) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.local.push_back(job);
        self.local.store(waiting.local.len(), Ordering::Release);
        self.arrived.notify_one();
        true
    }

    /// Whether the job was taken: not when the store is closing.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.other.push_back(job);
        self.arrived.notify_one();
        true
    }

    /// Takes no more jobs; those that wait are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Takes no more jobs and forgets those that wait, whose callers are told by that.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.local.clear();
        waiting.other.clear();
    }

    /// Whether somebody at this node waits.
    pub(super) fn is_local_waiting(&self) -> bool {
        self.local.load(Ordering::Acquire) > 0
    }

    /// The next job; `None` when there is none and there will be none.
    pub(super) fn wait(&self) -> Option<Next> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.local.pop_front() {
                self.local.store(waiting.local.len(), Ordering::Release);
                return Some(Next::Local(job));
            }
            if let Some(job) = waiting.other.pop_front() {
                return Some(Next::Other(job));
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A local job, if one waits.
    pub(super) fn next_local(&self) -> Option<Shareable> {
        let mut waiting = self.lock();
        let job = waiting.local.pop_front();
        self.local.store(waiting.local.len(), Ordering::Release);
        job
    }

    /// Another job, if one waits.
    pub(super) fn next_other(&self) -> Option<Job> {
        self.lock().other.pop_front()
    }

    /// Another job, if one waits that can share a transaction.
    pub(super) fn next_shared(&self) -> Option<Shareable> {
        let mut waiting = self.lock();
        match waiting.other.pop_front()? {
            Job::Shared(job) => Some(job),
            alone @ Job::Alone { .. } => {
                waiting.other.push_front(alone);
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

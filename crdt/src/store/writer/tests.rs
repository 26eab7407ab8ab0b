//! Who goes first at the writer. The order is forced by jobs that wait for the test.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::signing::{self, SigningKey};
use tempfile::tempdir;

use super::*;
use crate::document::DocumentView;
use crate::projector::{Row, TableSet};
use crate::store::{CommitNotice, Store, StoreIdentity, StoreOptions};

struct Nothing;

impl TableSet for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        ""
    }

    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn rows(&self, _: &DocumentView, _: &Authority) -> Vec<Row> {
        Vec::new()
    }
}

pub(in crate::store) fn open(dir: &std::path::Path) -> Store {
    let root = signing::public_key(&SigningKey::from_bytes(&[1; 32]));
    let identity = StoreIdentity { root, own: None, chain: Vec::new() };
    Store::open(dir, Arc::new(Nothing), identity, StoreOptions::default()).unwrap()
}

/// A job of a peer in three parts that pauses only when a local job waits. The first part tells
/// that it has begun and waits for a word.
fn job_of_a_peer(
    log: Sender<&'static str>,
    begun: Sender<()>,
    go_on: Receiver<()>,
) -> impl FnMut(&mut Batch<'_>) -> Result<Part<()>, Fault> + Send + 'static {
    let mut parts = ["first part", "second part", "third part"].into_iter();
    move |batch| {
        for part in parts.by_ref() {
            if part == "first part" {
                begun.send(()).unwrap();
                go_on.recv().unwrap();
            }
            log.send(part).unwrap();
            batch.added = PART_CHANGES;
            if batch.should_pause() {
                return Ok(Part::Paused);
            }
        }
        Ok(Part::Done(()))
    }
}

/// Shows that a job of a peer that is under way lets a local job go first, which shares its
/// transaction, and is done afterwards to its end.
#[test]
fn a_job_under_way_pauses_for_a_local_one() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let (log, events) = channel();
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel();
    let commits = log.clone();
    store.on_commit(move |_: CommitNotice| commits.send("commit").unwrap());
    thread::scope(|scope| {
        let writer = &store.inner.writer;
        let job = job_of_a_peer(log.clone(), begun, may_go_on);
        scope.spawn(move || writer.submit_in_parts(job).unwrap());
        has_begun.recv().unwrap();
        let local = log.clone();
        scope.spawn(move || {
            let work = move |_: &mut Batch<'_>| local.send("local").map_err(|_| Fault::Stopped);
            writer.submit_local(work).unwrap();
        });
        while !writer.queue.is_local_waiting() {
            thread::yield_now();
        }
        go_on.send(()).unwrap();
    });
    drop(store);
    drop(log);
    let events: Vec<&str> = events.iter().collect();
    let expected = ["first part", "local", "commit", "second part", "third part", "commit"];
    assert_eq!(events, expected);
}

/// Shows that the jobs of a writer that has ended are refused, and do not wait for ever.
#[test]
fn nobody_waits_for_a_writer_that_has_ended() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.on_commit(|_: CommitNotice| panic!("a listener that fails"));
    let work = |_: &mut Batch<'_>| Ok::<_, Fault>(());
    assert_eq!(store.inner.writer.submit_local(work), Err(Fault::Stopped));
    assert_eq!(store.inner.writer.submit_local(work), Err(Fault::Stopped));
    assert_eq!(store.inner.writer.submit(work), Err(Fault::Stopped));
}

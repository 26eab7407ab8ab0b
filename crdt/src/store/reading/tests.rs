//! Who may read while others read.

use std::sync::mpsc::channel;
use std::thread;

use tempfile::tempdir;

use super::*;
use crate::store::writer::tests::open;

/// Shows that batches of peers leave connections to other requests, and these to people: a third
/// batch waits for one of the first two, while a peer's request and a person are served.
#[test]
fn batches_do_not_take_all_connections() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let readers = &store.inner.readers;
    assert_eq!(readers.most, 4);
    let (log, events) = channel();
    thread::scope(|scope| {
        let third = log.clone();
        readers
            .with_for(Reader::Batch, |_| {
                readers.with_for(Reader::Batch, |_| {
                    scope.spawn(move || {
                        readers.with_for(Reader::Batch, |_| {
                            third.send("third batch").unwrap();
                            Ok(())
                        })
                    });
                    readers.with_for(Reader::Peer, |_| {
                        log.send("peer").unwrap();
                        readers.with(|_| {
                            log.send("person").unwrap();
                            Ok(())
                        })
                    })?;
                    log.send("second batch ends").unwrap();
                    Ok(())
                })
            })
            .unwrap();
    });
    drop(log);
    let events: Vec<&str> = events.iter().collect();
    assert_eq!(events, ["peer", "person", "second batch ends", "third batch"]);
}

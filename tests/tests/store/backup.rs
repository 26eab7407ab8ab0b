//! Copies of an open store: consistent, complete, and without what was removed.

use std::sync::atomic::{AtomicU32, Ordering};

use cunlian_crdt::store::{Suspension, WriteError, check_copy};
use cunlian_protocol::category::Category;
use cunlian_tests::program::wait_for;
use tempfile::tempdir;

use super::world::*;

/// Shows that a copy made while people write is a sound store of one moment: it holds all that
/// was acknowledged before it was begun, and says itself how much it holds.
#[test]
fn a_copy_made_during_work_is_a_sound_store() {
    let world = World::new();
    let (dir, copied) = (tempdir().unwrap(), tempdir().unwrap());
    let store = world.open(dir.path(), &world.village);
    let written = AtomicU32::new(0);
    let copy = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let until = |n: u32| n < 60 || written.load(Ordering::Relaxed) < 1_000;
            for n in (0..).take_while(|n| until(*n)) {
                let at = home(Category::TICKET, VILLAGE, u8::try_from(n % 251).unwrap());
                write(&store, &world.village, vec![put(at, "a", &n.to_string())]);
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_for("some writes", || written.load(Ordering::Relaxed) > 50);
        let before = u64::from(written.load(Ordering::Relaxed));
        let copy = store.copy_to(&copied.path().join("store.sqlite")).unwrap();
        written.fetch_add(1_000, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(copy.changes >= before, "{} < {before}", copy.changes);
        copy
    });
    assert!(copy.changes <= store.counts().unwrap().total.changes);
    let path = copied.path().join("store.sqlite");
    assert_eq!(check_copy(&path).unwrap(), (copy.clone(), Vec::new()));
    let restored = world.open(copied.path(), &world.village);
    assert_sound(&restored);
    assert_eq!(restored.counts().unwrap().total.changes, copy.changes);
    // It is the same store up to some row of the log.
    let original = all(&store);
    let of_copy = all(&restored);
    assert!(of_copy.iter().all(|stored| original.contains(stored)));
}

/// Shows that a copy is not written over another file.
#[test]
fn a_copy_does_not_write_over_a_file() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let path = dir.path().join("copy.sqlite");
    std::fs::write(&path, b"something else").unwrap();
    store.copy_to(&path).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
}

/// Shows that a suspended store saves nothing of its own and says why, that it still takes in
/// from peers, and that it writes again when it is released.
#[test]
fn a_suspended_store_only_takes_in() {
    let world = World::new();
    let (dir, dir_above) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir.path(), &world.village);
    let town = world.open(dir_above.path(), &world.town);
    write(&town, &world.town, vec![put(home(Category::TICKET, VILLAGE, 1), "a", "x")]);
    for reason in [Suspension::Restored, Suspension::Copied, Suspension::Forked] {
        village.suspend(reason);
        let at = home(Category::TICKET, VILLAGE, 2);
        let refused = village.write(&world.village.author, vec![put(at, "a", "x")], NOW_MS);
        assert_eq!(refused, Err(WriteError::Suspended(reason)));
    }
    send_all(&town, &world.town, &village);
    assert_eq!(village.counts().unwrap().total.changes, 1);
    village.resume();
    assert_eq!(village.suspension(), None);
    write(&village, &world.village, vec![put(home(Category::TICKET, VILLAGE, 2), "a", "x")]);
}

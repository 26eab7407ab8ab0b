//! Loss of scope: what goes, what stays, and that nothing of what went is left in the files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cunlian_crdt::store::{Purged, Store, StoreOptions, Unsent, UnsentLeft};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::{Carried, StoreRequest};
use cunlian_tests::program::files;
use cunlian_tests::purging;
use tempfile::tempdir;

use super::world::*;

/// Everything at these addresses and below.
fn scope_of(addresses: &[&str]) -> Scope {
    let grant = |address: &&str| {
        let region = Region::subtree(AddressCode::parse(address).unwrap());
        let categories = CategorySet::all();
        Grant { region, document: None, categories, rights: Rights::READ, delegable: Rights::NONE }
    };
    Scope::of_grants(&addresses.iter().map(grant).collect::<Vec<_>>(), Rights::READ)
}

/// The county holds all that the store holds, as far as it may read it.
fn hand_up(store: &Store) {
    let reached: Vec<(SetKey, u8)> =
        keys(&all(store)).into_iter().map(|key| (key, Tier::County.bit())).collect();
    store.serve(StoreRequest::MarkReached { reached, receipt: None }).unwrap();
}

/// Files of a store in which these bytes are found.
fn files_with(dir: &Path, canary: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|at| at == canary.as_bytes());
    let found = files(dir).into_iter().filter(|(_, bytes)| holds(bytes));
    found.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn purge(store: &Store, keep: &Scope) -> Purged {
    assert!(store.purge_due(keep).unwrap());
    store.purge(keep, Unsent::Keep).unwrap()
}

/// Shows that a purge takes out what lies outside of the scope and nothing else: the store is
/// sound, the other village's documents are what they were, a second purge finds nothing, and
/// the account agrees part by part with what the county holds of the lost scope.
#[test]
fn what_lies_outside_goes_and_the_account_agrees_with_the_parent() {
    let world = World::new();
    let (dir, dir_above) = (tempdir().unwrap(), tempdir().unwrap());
    let town = world.open(dir.path(), &world.town);
    let county = world.open(dir_above.path(), &world.county);
    let both = [VILLAGE, OTHER_VILLAGE];
    let writes: Vec<_> = (0..200_u8)
        .flat_map(|n| both.map(|at| put(home(Category::TICKET, at, n), "a", &format!("{n}"))))
        .chain((0..50).map(|n| append(home(Category::NOTICE, VILLAGE, n), "{}")))
        .collect();
    write(&town, &world.town, writes);
    write(&town, &world.town, vec![put(home(Category::NOTICE, TOWN, 1), "a", "of the town")]);
    send_all(&town, &world.town, &county);
    hand_up(&town);
    let keep = scope_of(&[TOWN]);
    assert!(!town.purge_due(&keep).unwrap());

    let keep = scope_of(&[OTHER_VILLAGE]);
    let kept: Vec<SetKey> =
        keys(&all(&town)).into_iter().filter(|key| keep.allows(&key.to_bytes())).collect();
    let purged = purge(&town, &keep);
    assert_eq!((purged.changes, purged.documents), (251, 251));
    assert_eq!((purged.unsent, purged.compacted), (UnsentLeft::default(), true));
    assert!(purged.bytes > 251 * 100);
    assert_eq!(keys(&all(&town)), kept);
    assert_sound(&town);

    let parts: Vec<String> = purged.parts.iter().map(|(part, _)| format!("{part:?}")).collect();
    assert_eq!(parts.len(), 3, "{parts:?}");
    let mut total = Summary::default();
    for (part, summary) in &purged.parts {
        assert_eq!(county.outside(part, &keep).unwrap(), *summary, "{part:?}");
        total.merge(summary);
    }
    assert_eq!(total, purged.digest);
    let inside = KeyPrefix::category(Category::TICKET);
    assert_eq!(county.outside(&inside, &keep).unwrap().count, 200);

    // Until it is accounted for, it is asked for again, and says the same.
    assert_eq!(purge(&town, &keep), purged);
    town.purge_accounted().unwrap();
    assert!(!town.purge_due(&keep).unwrap());
    assert_eq!(town.purge(&keep, Unsent::Keep).unwrap().changes, 0);
}

/// Shows that a document of the lost scope stays, and is reported, as long as one of its changes
/// is not known to be held above, that it goes once it is, and that only `Discard` takes out what
/// is nowhere else.
#[test]
fn what_is_nowhere_else_stays_until_it_has_been_handed_up() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let at = home(Category::TICKET, VILLAGE, 1);
    // Nobody above the town may read it, so nobody above will ever hold it.
    let private = home(PRIVATE, VILLAGE, 2);
    write(&town, &world.town, vec![put(at, "a", "one"), put(private, "a", "x")]);
    hand_up(&town);
    write(&town, &world.town, vec![put(at, "a", "two")]);
    let keep = scope_of(&[OTHER_VILLAGE]);
    let purged = purge(&town, &keep);
    assert_eq!((purged.changes, purged.unsent), (0, UnsentLeft { documents: 2, changes: 3 }));
    assert_eq!(town.view(&at).unwrap().unwrap().fields["a"].current.text, "two");

    hand_up(&town);
    let purged = purge(&town, &keep);
    assert_eq!((purged.changes, purged.unsent), (2, UnsentLeft { documents: 1, changes: 1 }));
    town.purge_accounted().unwrap();
    assert_eq!(town.view(&at).unwrap(), None);
    assert!(town.purge_due(&keep).unwrap(), "one document still waits");
    let purged = town.purge(&keep, Unsent::Discard).unwrap();
    assert_eq!((purged.changes, purged.unsent), (1, UnsentLeft::default()));
    assert_eq!(town.counts().unwrap().total.changes, 0);
    assert_sound(&town);
}

/// Shows that numbers of authors and rows of the log are not given again after a purge, also when
/// the store has been closed in between: else changes would come under used numbers, and sessions
/// would pass over new rows.
#[test]
fn numbers_and_rows_are_not_given_again() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let writes = (0..10).map(|n| put(home(Category::TICKET, VILLAGE, n), "a", "x")).collect();
    write(&town, &world.town, writes);
    hand_up(&town);
    assert_eq!(purge(&town, &scope_of(&[OTHER_VILLAGE])).changes, 10);
    drop(town);
    let town = world.open(dir.path(), &world.town);
    assert_eq!(town.last_seq(&world.town.author.serial).unwrap(), 10);
    let at = home(Category::TICKET, OTHER_VILLAGE, 1);
    write(&town, &world.town, vec![put(at, "a", "x")]);
    assert_eq!(town.view(&at).unwrap().unwrap().fields["a"].current.writer.seq, 11);
    assert!(all(&town)[0].row > 10);
}

/// Shows that what was purged comes back when the scope is given back: the changes are taken in
/// again, under their old numbers, without an alarm.
#[test]
fn what_was_purged_can_come_back() {
    let world = World::new();
    let (dir, dir_above) = (tempdir().unwrap(), tempdir().unwrap());
    let town = world.open(dir.path(), &world.town);
    let county = world.open(dir_above.path(), &world.county);
    let at = home(Category::TICKET, VILLAGE, 1);
    write(&town, &world.town, vec![put(at, "a", "one")]);
    write(&town, &world.town, vec![put(at, "a", "two")]);
    send_all(&town, &world.town, &county);
    hand_up(&town);
    let before = dump(&town);
    purge(&town, &scope_of(&[OTHER_VILLAGE]));
    town.purge_accounted().unwrap();
    assert_ne!(dump(&town), before);
    ingest_from(&town, &world.county, carried(&all(&county)), Scope::everything(), 0);
    assert_eq!(dump(&town), before);
    assert_eq!(town.counts().unwrap().equivocations, 0);
    assert_sound(&town);
}

/// Texts that must not be found in any file, and one that must: in a value that was written over,
/// in a current one, in operations, in the quarantine.
fn with_canaries(world: &World, town: &Store) {
    let at = |n| home(Category::TICKET, VILLAGE, n);
    for n in 0..60 {
        write(town, &world.town, vec![put(at(n), "a", &format!("canary-old-{n} {n:?}"))]);
        write(town, &world.town, vec![put(at(n), "a", &format!("canary-new-{n}"))]);
        write(town, &world.town, vec![append(at(n), "{\"text\":\"canary-step\"}")]);
        let other = home(Category::TICKET, OTHER_VILLAGE, n);
        write(town, &world.town, vec![put(other, "a", &format!("kept-{n}"))]);
    }
    let mut bad = signed(&world.village, at(1), 1, b"canary-refused");
    if let Some(last) = bad.bytes.last_mut() {
        *last ^= 1;
    }
    let unreadable = Carried { bytes: b"canary-unreadable".to_vec(), reached: 0 };
    ingest(town, &world.village, vec![bad, unreadable]);
    assert_eq!(town.counts().unwrap().quarantined, 2);
    hand_up(town);
}

/// Shows that after a purge no file of the store holds a byte of what was purged, neither of
/// current values nor of those written over long before, while the store is open and after.
#[test]
fn no_byte_of_it_is_left_in_the_files() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    with_canaries(&world, &town);
    assert!(!files_with(dir.path(), "canary-old").is_empty());
    assert!(!files_with(dir.path(), "canary-refused").is_empty());
    let purged = purge(&town, &scope_of(&[OTHER_VILLAGE]));
    assert_eq!((purged.changes, purged.compacted), (180, true));
    assert_eq!(files_with(dir.path(), "canary"), Vec::<String>::new());
    assert_eq!(files_with(dir.path(), "kept-7"), ["store.sqlite"]);
    drop(town);
    assert_eq!(files_with(dir.path(), "canary"), Vec::<String>::new());
    assert_sound(&world.open(dir.path(), &world.town));
}

/// Shows that the file of a large store is written anew at the next start instead, during which
/// nobody has to wait, and that no byte is left after it.
#[test]
fn a_large_file_is_written_anew_at_the_next_start() {
    let world = World::new();
    let dir = tempdir().unwrap();
    // Any file is large.
    let options = StoreOptions { compact_at_once_bytes: 0, ..StoreOptions::default() };
    let town = world.open_with(dir.path(), &world.town, 1, options);
    with_canaries(&world, &town);
    let purged = purge(&town, &scope_of(&[OTHER_VILLAGE]));
    assert_eq!((purged.changes, purged.compacted), (180, false));
    assert!(town.is_compaction_due().unwrap());
    drop(town);
    let before = std::fs::metadata(dir.path().join("store.sqlite")).unwrap().len();
    let town = world.open(dir.path(), &world.town);
    assert!(!town.is_compaction_due().unwrap());
    assert_eq!(files_with(dir.path(), "canary"), Vec::<String>::new());
    assert_eq!(files_with(dir.path(), "kept-7"), ["store.sqlite"]);
    assert!(std::fs::metadata(dir.path().join("store.sqlite")).unwrap().len() <= before);
    assert_sound(&town);
    write(&town, &world.town, vec![put(home(Category::TICKET, OTHER_VILLAGE, 1), "a", "on")]);
}

/// Shows that a purge killed at any moment goes on where it was at the next start: each time the
/// store opens, is sound and has everything that is to stay, and in the end the account covers
/// exactly what went, however many runs it took.
#[test]
fn a_killed_purge_goes_on() {
    let dir = tempdir().unwrap();
    let (before, keep) = purging::fill(dir.path());
    let lost: Vec<SetKey> =
        before.iter().filter(|key| !keep.allows(&key.to_bytes())).cloned().collect();
    let kept = before.len() - lost.len();
    let mut digest = Summary::default();
    for key in &lost {
        digest.add(&key.change);
    }
    let mut cut_short = 0;
    // Closer together where a fast machine is at work, and soon at the end on a slow one.
    let later = |pause_ms: &u64| Some(pause_ms * 5 / 4 + 2);
    for pause_ms in std::iter::successors(Some(5), later) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_purger"));
        let mut child = command.arg(dir.path()).stdout(Stdio::null()).spawn().unwrap();
        // Not waiting for anything: the moment of the kill is what is varied.
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().unwrap();
        let ended = child.wait().unwrap().success();
        let store = purging::open(dir.path());
        assert_sound(&store);
        let left = keys(&all(&store));
        assert_eq!(left.iter().filter(|key| keep.allows(&key.to_bytes())).count(), kept);
        if (kept + 1..before.len()).contains(&left.len()) {
            cut_short += 1;
        }
        if ended {
            break;
        }
    }
    assert!(cut_short > 0, "no kill hit the purge at work");
    let store = purging::open(dir.path());
    let purged = store.purge(&keep, Unsent::Keep).unwrap();
    assert_eq!((purged.changes, purged.digest), (lost.len() as u64, digest));
    assert_eq!(keys(&all(&store)).len(), kept);
    assert_eq!(files_with(dir.path(), "canary"), Vec::<String>::new());
}

/// Shows that people go on working while a purge runs: writes from another thread are saved in
/// the middle of it, none fails, and all of them are there at the end.
#[test]
fn people_work_on_during_a_purge() {
    let dir = tempdir().unwrap();
    let (_, keep) = purging::fill(dir.path());
    let store = purging::open(dir.path());
    let (stop, author) = (AtomicBool::new(false), purging::town().author(77));
    let (written, during) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut written, mut during) = (0_u32, 0_u32);
            while !stop.load(Ordering::Relaxed) {
                store
                    .write(&author, vec![purging::record(OTHER_VILLAGE, 100_000 + written)], 1)
                    .unwrap();
                written += 1;
                let counts = store.counts().unwrap().total.changes;
                during += u32::from(counts > u64::from(written) + purging::KEPT);
            }
            (written, during)
        });
        let purged = store.purge(&keep, Unsent::Keep).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(purged.compacted);
        writer.join().unwrap()
    });
    assert!(during > 3, "{during} of {written} writes came in between");
    assert_eq!(store.counts().unwrap().total.changes, purging::KEPT + u64::from(written));
    assert!(store.verify().unwrap().is_sound());
}

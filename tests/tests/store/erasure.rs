//! Erasure: the payload is gone everywhere, also at nodes that come back later; the ids stay.

use std::fs;
use std::path::Path;

use cunlian_crdt::store::{Store, WriteError};
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::ChangeKind;
use cunlian_protocol::change::{Header, Home, SignedChange, VERSION};
use cunlian_protocol::sync::{Carried, Fate};
use tempfile::tempdir;

use super::world::*;

const CANARY: &str = "canary-13806435512";
const REASON: &str = "asked for by the person";

fn person(document: u8) -> Home {
    home(Category::library(0, 0), VILLAGE, document)
}

/// Files of a data directory with the canary in them.
fn traces(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
    let found = files.filter(|path| holds(&fs::read(path).unwrap()));
    found.map(|path| path.display().to_string()).collect()
}

/// Enough neighbours that rows share pages with what is erased and move as it grows.
fn fill(store: &Store, member: &Member) {
    for round in 0..6 {
        let writes = (0..40).map(|document| {
            put(
                person(100 + document),
                &format!("f{round}"),
                &"x".repeat(50 * usize::from(document)),
            )
        });
        write(store, member, writes.collect());
        let text = format!("{CANARY} {round}");
        write(store, member, vec![put(person(1), "phone", &text), append(person(1), &text)]);
    }
}

fn erase(store: &Store, member: &Member, home: Home) -> Result<(), WriteError> {
    store.erase(&member.author, &[home], REASON, NOW_MS).map(|_| ())
}

/// Shows that an erasure reaches a node that was off line with the payload, and one that gets all
/// from it afterwards, that no byte of the payload is left in any file of any of them, that keys
/// and summaries stay equal throughout, and that every node says that and why.
#[test]
fn the_payload_goes_everywhere_and_the_ids_stay() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let village = world.open(dirs[0].path(), &world.village);
    let town = world.open(dirs[1].path(), &world.town);
    let offline = world.open(dirs[2].path(), &world.county);
    fill(&village, &world.village);
    send_all(&village, &world.village, &town);
    send_all(&village, &world.village, &offline);
    for dir in &dirs {
        assert!(!traces(dir.path()).is_empty(), "the canary must be found before");
    }
    let before = keys(&all(&town));
    erase(&town, &world.town, person(1)).unwrap();
    assert!(town.compact().unwrap());
    assert_eq!(traces(dirs[1].path()), Vec::<String>::new());
    assert_eq!(keys(&all(&town)).len(), before.len() + 1);
    assert!(before.iter().all(|key| keys(&all(&town)).contains(key)));
    // Written elsewhere meanwhile, without knowing of it.
    write(&offline, &world.county, vec![put(person(1), "phone", &format!("{CANARY} later"))]);
    send_all(&town, &world.town, &village);
    send_all(&offline, &world.county, &town);
    send_all(&town, &world.town, &offline);
    send_all(&town, &world.town, &village);
    let stores = [&village, &town, &offline];
    for (store, dir) in stores.iter().zip(&dirs) {
        assert!(store.compact().unwrap());
        assert_eq!(traces(dir.path()), Vec::<String>::new());
        assert_eq!(keys(&all(store)), keys(&all(&town)));
        assert_eq!(dump(store), dump(&town));
        let view = store.view(&person(1)).unwrap().unwrap();
        let erased = view.erased.unwrap();
        assert_eq!((erased.reason.as_str(), erased.by), (REASON, world.town.author.serial));
        assert!(view.fields.is_empty() && view.operations.is_empty() && view.waiting == 0);
        assert!(
            all(store)
                .iter()
                .all(|stored| stored.key.home != person(1) || stored.carried.bytes.len() < 300)
        );
        let add = store.write(&world.town.author, vec![put(person(1), "a", "x")], NOW_MS);
        assert_eq!(add, Err(WriteError::Erased { home: person(1) }));
        assert_sound(store);
    }
    let dir = tempdir().unwrap();
    let late = world.open(dir.path(), &world.town);
    send_all(&village, &world.village, &late);
    assert_eq!(dump(&late), dump(&town));
    assert_sound(&late);
}

/// Shows that stubs and their erasure come in in any order and any batches, and that full changes
/// that come after the erasure are kept as stubs.
#[test]
fn stubs_wait_for_their_erasure() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    write(&village, &world.village, vec![put(person(1), "a", "x"), put(person(1), "b", CANARY)]);
    let full = carried(&all(&village));
    erase(&village, &world.town, person(1)).unwrap();
    let is_erasure = |carried: &&Carried| {
        SignedChange::decode(carried.bytes.clone()).unwrap().header().kind == ChangeKind::ERASE
    };
    let erased = carried(&all(&village));
    let (erasure, stubs): (Vec<Carried>, Vec<Carried>) =
        erased.clone().into_iter().partition(|carried| is_erasure(&carried));
    for (number, stub) in stubs.iter().enumerate() {
        let town = world.open(dir_b.path(), &world.town);
        let sent = ingest(&town, &world.village, vec![stub.clone()]);
        assert!(matches!(&sent[0], Fate::Refused { reason } if reason.contains("erasure")));
        assert_eq!(town.counts().unwrap().total.changes, 0);
        // The same change with its payload comes from somebody else.
        if number == 1 {
            assert_eq!(ingest(&town, &world.county, full.clone()), vec![Fate::Accepted; 2]);
            assert_eq!(town.counts().unwrap().quarantined, 0, "the stubs are not needed");
        }
        drop(town);
    }
    let town = world.open(dir_b.path(), &world.town);
    assert_eq!(ingest(&town, &world.village, erasure.clone()), [Fate::Accepted]);
    assert_eq!(dump(&town), dump(&village));
    assert_eq!(traces(dir_b.path()), Vec::<String>::new());
    assert_sound(&town);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let dir = tempdir().unwrap();
        let apart = world.open(dir.path(), &world.town);
        for index in order {
            ingest(&apart, &world.village, vec![erased[index].clone()]);
        }
        assert_eq!(dump(&apart), dump(&village), "{order:?}");
        let dir = tempdir().unwrap();
        let late = world.open(dir.path(), &world.town);
        ingest(&late, &world.village, erasure.clone());
        assert_eq!(ingest(&late, &world.village, full.clone()), vec![Fate::Accepted; 2]);
        assert_eq!(dump(&late), dump(&village));
        assert_eq!(traces(dir.path()), Vec::<String>::new());
        assert_sound(&late);
    }
}

/// Shows that to erase takes the right, a reason and something to erase, and that an erasure
/// without either is refused from peers too.
#[test]
fn to_erase_takes_right_and_reason() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    write(&town, &world.village, vec![put(person(1), "a", "x")]);
    let elsewhere = erase(&town, &world.other_village, person(1));
    assert!(matches!(elsewhere, Err(WriteError::Refused(Refusal::NoGrant { .. }))));
    assert_eq!(
        erase(&town, &world.town, person(2)),
        Err(WriteError::NoDocument { home: person(2) })
    );
    let long = "x".repeat(401);
    for reason in ["", &long] {
        let erased = town.erase(&world.town.author, &[person(1)], reason, NOW_MS);
        assert_eq!(erased, Err(WriteError::Reason));
    }
    let signed = |member: &Member, reason: &str| {
        let header = Header {
            version: VERSION,
            kind: ChangeKind::ERASE,
            home: person(1),
            author: member.author.serial,
            session: 1,
            seq: 50,
            recorded_at_ms: NOW_MS,
        };
        SignedChange::sign(&header, reason.as_bytes(), &member.author.key).unwrap()
    };
    let (long, empty) = (signed(&world.town, &long), signed(&world.town, ""));
    let stub = signed(&world.town, REASON).stub();
    let foreign = signed(&world.other_village, REASON);
    let batch =
        [long, empty, stub, foreign].map(|c| Carried { bytes: c.bytes().to_vec(), reached: 0 });
    for fate in ingest(&town, &world.town, batch.to_vec()) {
        assert!(matches!(fate, Fate::Refused { .. }), "{fate:?}");
    }
    assert_eq!(town.view(&person(1)).unwrap().unwrap().fields["a"].current.text, "x");
    assert_sound(&town);
}

/// Shows that when an erasure falls with its author, full changes come back from a node that has
/// them, that all nodes end equal, and that a later erasure that stands holds again.
#[test]
fn an_erasure_by_a_thief_is_undone_where_a_copy_is_left() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap()];
    let town = world.open(dirs[0].path(), &world.town);
    let county = world.open(dirs[1].path(), &world.county);
    let thief = World::person(20, &world.village);
    for store in [&town, &county] {
        store.add_certificates(&thief.chain).unwrap();
    }
    write(&town, &world.town, vec![put(person(1), "a", "x"), append(person(1), "{}")]);
    send_all(&town, &world.town, &county);
    erase(&town, &thief, person(1)).unwrap();
    let revocation = revocation(&thief, &world.town, 0, &[]);
    learn(&town, std::slice::from_ref(&revocation));
    assert_sound(&town);
    learn(&county, &[revocation]);
    send_all(&county, &world.county, &town);
    send_all(&town, &world.town, &county);
    assert_eq!(dump(&town), dump(&county));
    let view = town.view(&person(1)).unwrap().unwrap();
    assert_eq!((view.fields["a"].current.text.as_str(), view.erased), ("x", None));
    erase(&county, &world.county, person(1)).unwrap();
    send_all(&county, &world.county, &town);
    assert_eq!(dump(&town), dump(&county));
    assert!(town.view(&person(1)).unwrap().unwrap().erased.is_some());
    for store in [&town, &county] {
        assert_sound(store);
    }
}

/// Shows that what was withheld or refused of a document loses its payload with it, and that in an
/// erased document nothing is tainted.
#[test]
fn quarantine_is_erased_too() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let dismissed = World::person(20, &world.village);
    town.add_certificates(&dismissed.chain).unwrap();
    write(&town, &dismissed, vec![put(person(1), "a", CANARY)]);
    write(&town, &world.town, vec![put(person(1), "b", "x")]);
    write(&town, &dismissed, vec![put(person(1), "c", CANARY)]);
    ingest(&town, &world.town, vec![signed(&world.town, person(1), 9, CANARY.as_bytes())]);
    learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
    assert_eq!(town.counts().unwrap().quarantined, 2);
    erase(&town, &world.town, person(1)).unwrap();
    assert!(town.compact().unwrap());
    assert_eq!(traces(dir.path()), Vec::<String>::new());
    assert_eq!(tainted(&town, &person(1)), []);
    assert_eq!(town.view(&person(1)).unwrap().unwrap().changes, 2);
    assert_sound(&town);
}

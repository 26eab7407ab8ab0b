//! Revocation in the store: what does not stand goes, what others built on stays and is marked,
//! and every order of delivery ends in the same set.

use std::collections::BTreeSet;

use cunlian_crdt::store::{Store, WriteError};
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Home, SignedChange};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::sync::{Carried, Fate};
use tempfile::tempdir;

use super::world::*;

fn at(document: u8) -> Home {
    home(Category::TICKET, VILLAGE, document)
}

fn ids(store: &Store) -> BTreeSet<ChangeId> {
    all(store).into_iter().map(|stored| stored.key.change).collect()
}

fn refused(fate: &Fate) -> &str {
    match fate {
        Fate::Refused { reason } => reason,
        Fate::Accepted | Fate::Known | Fate::Postponed { .. } => {
            panic!("{fate:?} was to be refused")
        }
    }
}

/// Shows that a revocation takes out of log, tables and summaries what nothing builds on, that
/// what a colleague built on stays and is listed, that the bytes are in quarantine, and that a
/// number is not given again.
#[test]
fn what_nothing_builds_on_goes() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let dismissed = World::person(20, &world.village);
    town.add_certificates(&dismissed.chain).unwrap();
    let fallen = write(
        &town,
        &dismissed,
        vec![put(at(1), "a", "x"), put(at(2), "a", "x"), put(at(3), "a", "x")],
    );
    let colleague = write(&town, &world.town, vec![put(at(1), "b", "y"), put(at(4), "b", "y")]);
    let gone = write(&town, &dismissed, vec![put(at(1), "c", "z")]);
    learn(&town, &[revocation(&dismissed, &world.village, 2, &fallen[..2])]);
    let kept = BTreeSet::from([fallen[0], fallen[1], colleague[0], colleague[1]]);
    assert_eq!(ids(&town), kept, "numbers 1 and 2 stand");
    learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
    assert_eq!(ids(&town), BTreeSet::from([fallen[0], colleague[0], colleague[1]]));
    assert_eq!(tainted(&town, &at(1)), [(fallen[0], None)]);
    assert!(town.view(&at(2)).unwrap().is_none());
    let view = town.view(&at(1)).unwrap().unwrap();
    assert!(view.fields["a"].current.writer.tainted && !view.fields["b"].current.writer.tainted);
    assert!(!view.fields.contains_key("c"));
    let held: BTreeSet<ChangeId> =
        town.quarantine(10).unwrap().into_iter().map(|refused| refused.id).collect();
    assert_eq!(held, BTreeSet::from([fallen[1], fallen[2], gone[0]]));
    assert_eq!(town.last_seq(&dismissed.author.serial).unwrap(), 4);
    let again = town.write(&dismissed.author, vec![put(at(1), "a", "x")], NOW_MS).unwrap_err();
    assert!(matches!(again, WriteError::Refused(Refusal::Revoked { .. })), "{again}");
    assert_sound(&town);
    drop(town);
    let town = world.open(dir.path(), &world.town);
    assert_eq!(tainted(&town, &at(1)), [(fallen[0], None)], "also after a restart");
    assert_sound(&town);
}

/// Shows that work of a colleague that builds on fallen work comes in with it, in each order of
/// the two, together and apart, and that what nobody built on does not.
#[test]
fn a_colleague_loses_nothing() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap()];
    let village = world.open(dirs[0].path(), &world.village);
    let dismissed = World::person(20, &world.village);
    let colleague = World::person(21, &world.village);
    for member in [&dismissed, &colleague] {
        village.add_certificates(&member.chain).unwrap();
    }
    write(&village, &dismissed, vec![put(at(1), "a", "x"), put(at(2), "a", "x")]);
    write(&village, &colleague, vec![put(at(1), "b", "y")]);
    let changes = carried(&all(&village));
    let revocation = revocation(&dismissed, &world.village, 0, &[]);
    learn(&village, std::slice::from_ref(&revocation));
    assert_eq!(ids(&village).len(), 2);
    let expected = dump(&village);
    let batches: [Vec<Vec<usize>>; 6] = [
        vec![vec![0, 1, 2]],
        vec![vec![2, 1, 0]],
        vec![vec![0], vec![1], vec![2]],
        vec![vec![1], vec![0], vec![2]],
        vec![vec![2], vec![1], vec![0]],
        vec![vec![0, 2], vec![1]],
    ];
    for order in batches {
        let dir = tempdir().unwrap();
        let town = world.open(dir.path(), &world.town);
        for member in [&dismissed, &colleague] {
            town.add_certificates(&member.chain).unwrap();
        }
        learn(&town, std::slice::from_ref(&revocation));
        for batch in &order {
            let batch = batch.iter().map(|index| changes[*index].clone()).collect();
            ingest(&town, &world.village, batch);
        }
        assert_eq!(dump(&town), expected, "{order:?}");
        assert_eq!(town.counts().unwrap().quarantined, 1, "{order:?}");
        assert_sound(&town);
    }
}

/// Shows that none of a thief's back-dated work comes in: another change under a number that was
/// used, work of somebody certified afterwards with the stolen key, and either relayed by a friend
/// with every right; and that of copies of work that is kept, equal but for the header, one is
/// kept.
#[test]
fn back_dated_work_does_not_come_in() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let honest = write(
        &village,
        &world.village,
        vec![put(at(1), "a", "x"), put(at(2), "a", "x"), put(at(3), "a", "kept")],
    );
    write(&village, &world.town, vec![put(at(3), "b", "built on it")]);
    send_all(&village, &world.village, &town);
    learn(&town, &[revocation(&world.village, &world.town, 2, &honest[..2])]);
    let before = dump(&town);
    let thief = tempdir().unwrap();
    let thief = world.open(thief.path(), &world.village);
    let minted = World::person(30, &world.village);
    for store in [&thief, &town] {
        assert_eq!(store.add_certificates(&minted.chain).unwrap(), Vec::<String>::new());
    }
    write(&thief, &world.village, vec![put(at(1), "a", "forged"), put(at(5), "a", "forged")]);
    write(&thief, &minted, vec![put(at(6), "a", "forged")]);
    for friend in [&world.village, &world.county] {
        for fate in ingest(&town, friend, carried(&all(&thief))) {
            assert!(refused(&fate).contains("revoked"), "{fate:?}");
        }
    }
    assert_eq!(dump(&town), before);
    let kept = all(&village).into_iter().find(|stored| stored.key.change == honest[2]).unwrap();
    let copies = (4..40).map(|seq| signed(&world.village, at(3), seq, &payload_of(&kept)));
    let copies: Vec<Carried> = copies.collect();
    for copy in &copies {
        ingest(&town, &world.county, vec![copy.clone()]);
    }
    let id = |copy: &Carried| SignedChange::decode(copy.bytes.clone()).unwrap().id();
    let there = copies.iter().map(id).chain([honest[2]]).filter(|id| ids(&town).contains(id));
    assert_eq!(there.count(), 1);
    assert_eq!(town.counts().unwrap().total.changes, 4);
    let shown =
        |store: &Store| store.view(&at(3)).unwrap().unwrap().fields["a"].current.text.clone();
    assert_eq!(shown(&town), "kept");
    assert_sound(&town);
}

/// Shows that a flood of changes that do not stand, all for one document, is kept up to a bound,
/// and that honest work on the document goes on beside it.
#[test]
fn a_flood_for_one_document_is_bounded() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let thief = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    learn(&town, &[revocation(&world.village, &world.town, 0, &[])]);
    let honest = write(&town, &world.town, vec![put(at(1), "a", "honest")]);
    let flood = (0..700).map(|turn| put(at(1), "a", &format!("forged {turn}")));
    write(&thief, &world.village, flood.collect());
    let sent = carried(&all(&thief));
    for batch in sent.chunks(100) {
        assert!(
            ingest(&town, &world.village, batch.to_vec()).iter().all(|f| !refused(f).is_empty())
        );
    }
    assert_eq!(town.counts().unwrap().quarantined, 512);
    let more = write(&town, &world.town, vec![put(at(1), "b", "more")]);
    assert_eq!(ids(&town), BTreeSet::from([honest[0], more[0]]));
    assert_sound(&town);
}

/// Shows that of two changes under one number the one that a revocation names stays.
#[test]
fn of_an_equivocation_the_standing_one_stays() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let first = world.open(dirs[0].path(), &world.village);
    let clone = world.open(dirs[1].path(), &world.village);
    let town = world.open(dirs[2].path(), &world.town);
    let stands = write(&first, &world.village, vec![put(at(1), "a", "x")]);
    write(&clone, &world.village, vec![put(at(1), "a", "y")]);
    send_all(&first, &world.village, &town);
    send_all(&clone, &world.village, &town);
    assert_eq!(town.counts().unwrap().equivocations, 1);
    learn(&town, &[revocation(&world.village, &world.county, 1, &stands)]);
    assert_eq!(ids(&town), BTreeSet::from([stands[0]]));
    assert_eq!(town.counts().unwrap().equivocations, 1, "the alarm stays");
    assert_sound(&town);
}

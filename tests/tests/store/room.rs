//! How much a store keeps of what others certify and revoke.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits::{CERTIFICATES_OF_ISSUER, REVOCATION_ROOM};
use cunlian_protocol::revocation::{Revocation, RevocationBody, RevocationError, Standing};
use cunlian_protocol::signing::{SigningKey, public_key};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::tempdir;

use super::world::*;

const NOTE: Category = Category::library(0, 0);

/// A certificate below one of this serial and key.
fn below(
    (issuer, by): (Serial, &SigningKey),
    key: &SigningKey,
    kind: AuthorKind,
    tier: Tier,
    issued_at_ms: i64,
) -> Vec<u8> {
    let body = CertificateBody {
        subject: public_key(key),
        name: "minted".to_owned(),
        kind,
        tier,
        grants: Vec::new(),
        issued_at_ms,
        not_after_ms: i64::MAX,
        issuer: Some(issuer),
    };
    Certificate::issue(&body, by)
}

/// What a hostile village certifies: so many issuers, one below the other by turns, under whatever
/// tier they like to be, and so many people below each.
fn tree(village: &Member, issuers: u8, people: i64) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    let mut above = (village.author.serial, village.author.key.clone());
    for number in 0..issuers {
        let own = key(100 + number);
        let tier = [Tier::Province, Tier::Town, Tier::Grid][usize::from(number) % 3];
        let bytes = below((above.0, &above.1), &own, AuthorKind::Node, tier, i64::from(number));
        let serial = Serial::of(&bytes);
        list.push(bytes);
        for person in 0..people {
            let at_ms = i64::from(number) * 7 + person * 3 - 50;
            list.push(below((serial, &own), &key(9), AuthorKind::Operator, Tier::Grid, at_ms));
        }
        above = if number % 2 == 0 {
            (serial, own)
        } else {
            (village.author.serial, village.author.key.clone())
        };
    }
    list
}

fn everything(world: &World) -> Vec<Vec<u8>> {
    [world.village.chain.clone(), world.other_village.chain.clone()].concat()
}

fn kept(authority: &Authority) -> BTreeSet<Serial> {
    authority.certificates().map(Certificate::serial).collect()
}

/// Shows that what a village certifies, and lets others certify that it certified, is bounded as a
/// whole, that the certificates of others are taken all the same, that a person who was there before
/// stays, and that it is the same after a restart.
#[test]
fn a_tree_of_issuers_is_bounded_as_a_whole() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    assert!(town.add_certificates(&world.village.chain).unwrap().is_empty());
    let honest = World::person(50, &world.village);
    assert!(town.add_certificates(&honest.chain).unwrap().is_empty());
    for part in tree(&world.village, 40, 60).chunks(200) {
        town.add_certificates(part).unwrap();
    }
    let authority = town.authority();
    assert_eq!(authority.count_below(&world.village.author.serial), CERTIFICATES_OF_ISSUER);
    assert!(authority.certificates().count() <= CERTIFICATES_OF_ISSUER + 4);
    assert!(authority.get(&honest.author.serial).is_some());
    assert!(town.add_certificates(&world.other_village.chain).unwrap().is_empty());
    let before = kept(&town.authority());
    drop(town);
    let town = world.open(dir.path(), &world.town);
    assert_eq!(kept(&town.authority()), before);
}

/// Shows that what is kept of certificates and revocations is a function of the set: whatever the
/// order in which they come, in whatever portions, nodes that have been offered the same keep the
/// same.
#[test]
fn what_is_kept_follows_from_the_set() {
    let world = World::new();
    let mut list = [everything(&world), tree(&world.village, 12, 50)].concat();
    list.extend(tree(&world.other_village, 3, 20));
    let subjects: Vec<Serial> = list.iter().skip(6).step_by(40).map(|b| Serial::of(b)).collect();
    let mut revocations = Vec::new();
    for (number, serial) in subjects.iter().enumerate() {
        for by in [&world.county, &world.town] {
            for times in 0..4 {
                let through = u64::try_from(number + times).unwrap();
                revocations.push(revocation(by, *serial, through, None, 10));
            }
        }
    }
    let mut random = StdRng::seed_from_u64(3);
    let mut first: Option<(BTreeSet<Serial>, BTreeSet<Vec<u8>>)> = None;
    for _ in 0..3 {
        let mut authority = Authority::new(public_key(&world.root));
        // Offered until all have been, and those that came before their issuers once more.
        for _ in 0..6 {
            for at in (1..list.len()).rev() {
                list.swap(at, usize::try_from(random.next_u64() % (at as u64 + 1)).unwrap());
            }
            for bytes in &list {
                drop(authority.insert(bytes));
            }
        }
        for at in (1..revocations.len()).rev() {
            revocations.swap(at, usize::try_from(random.next_u64() % (at as u64 + 1)).unwrap());
        }
        for bytes in &revocations {
            drop(authority.revoke(bytes));
        }
        let held: BTreeSet<Vec<u8>> =
            authority.revocations().map(|known| known.bytes().to_vec()).collect();
        let found = (kept(&authority), held);
        assert_eq!(authority.count_below(&world.village.author.serial), CERTIFICATES_OF_ISSUER);
        assert!(found.1.len() < revocations.len());
        let first = first.get_or_insert_with(|| found.clone());
        assert_eq!(*first, found);
    }
}

/// A revocation by one above: what stands, what follows, and how long its reason is.
fn revocation(
    by: &Member,
    serial: Serial,
    through_seq: u64,
    successor: Option<Serial>,
    reason_bytes: usize,
) -> Vec<u8> {
    let body = RevocationBody {
        own: Standing { serial, through_seq, tags: Vec::new() },
        successor,
        descendants: Vec::new(),
        reason: "r".repeat(reason_bytes),
        issuer: Some(by.author.serial),
    };
    body.sign(&by.author.key)
}

/// Shows that mild revocations, however many and however large, do not shut out the dismissal by a
/// higher tier, that it takes effect, and that who signs one that does not count is told.
#[test]
fn mild_revocations_do_not_shut_out_a_dismissal() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let person = World::person(50, &world.village);
    assert!(town.add_certificates(&person.chain).unwrap().is_empty());
    let serial = person.author.serial;
    let mild = |number: usize, bytes: usize| {
        let successor = Some(Serial([u8::try_from(number).unwrap(); 16]));
        revocation(&world.village, serial, u64::MAX, successor, bytes + number)
    };
    let sizes = [10, 10_000, 100_000];
    let list: Vec<_> = (0..17).flat_map(|n| sizes.map(|bytes| mild(n, bytes))).collect();
    let refused = town.add_revocations(&list).unwrap();
    let room: usize = REVOCATION_ROOM.iter().map(|room| room.of_one).sum();
    assert_eq!(town.authority().revocations_of(&serial).len(), room);
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|reason| reason.contains("does not count")), "{refused:?}");
    for bytes in sizes {
        let dismissed = revocation(&world.town, serial, 0, None, bytes);
        assert_eq!(town.add_revocations(std::slice::from_ref(&dismissed)).unwrap(), [""; 0]);
        let authority = town.authority();
        let id = Revocation::id_of(&dismissed);
        assert!(authority.revocations_of(&serial).iter().any(|known| known.id() == id));
        let certificate = authority.get(&serial).unwrap();
        let refusal = authority.valid_at(certificate, NOW_MS).unwrap_err();
        assert!(refusal.to_string().contains("was revoked"), "{refusal}");
    }
    let told =
        (20..60).find_map(|number| town.preview_revocations(&[mild(number, 10)]).unwrap().err());
    assert!(told.unwrap().contains("does not count"));
    let before = town.authority().revocations().count();
    drop(town);
    assert_eq!(world.open(dir.path(), &world.town).authority().revocations().count(), before);
}

/// Shows that all revocations below one village are bounded by their sizes, and that its town has
/// room for its own beside them.
#[test]
fn revocations_below_one_village_are_bounded() {
    let world = World::new();
    let mut authority = Authority::new(public_key(&world.root));
    let people = tree(&world.village, 1, 300);
    for bytes in everything(&world).iter().chain(&people) {
        authority.insert(bytes).unwrap();
    }
    for (size, room) in REVOCATION_ROOM.iter().enumerate() {
        let bytes = room.bytes - 300;
        let offered = room.below.village + 5;
        let mut taken = 0;
        for person in people.iter().skip(1).take(offered) {
            let serial = Serial::of(person);
            match authority.revoke(&revocation(&world.village, serial, 3, None, bytes)) {
                Ok(true) => taken += 1,
                outcome => assert_eq!(outcome, Err(RevocationError::Crowded { serial })),
            }
        }
        let same = |known: &&Revocation| {
            let length = known.bytes().len();
            REVOCATION_ROOM.iter().position(|room| length <= room.bytes) == Some(size)
        };
        assert_eq!(authority.revocations().filter(same).count(), room.below.village);
        assert!(taken >= room.below.village);
        let serial = Serial::of(people.last().unwrap());
        assert_eq!(authority.revoke(&revocation(&world.town, serial, 3, None, bytes)), Ok(true));
    }
}

/// Shows that what does not hold, and what is known, is nothing for the writer: no commit, no new
/// authority.
#[test]
fn what_does_not_hold_does_not_reach_the_writer() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let person = World::person(50, &world.village);
    assert!(town.add_certificates(&person.chain).unwrap().is_empty());
    let dismissed = revocation(&world.town, person.author.serial, 0, None, 10);
    assert!(town.add_revocations(std::slice::from_ref(&dismissed)).unwrap().is_empty());
    let before = town.authority();
    let commits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&commits);
    town.on_commit(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let forged = |bytes: &[u8]| {
        let mut forged = bytes.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        forged
    };
    let certificates = [vec![1; 3_000], forged(&person.chain[3]), person.chain[3].clone()];
    assert_eq!(town.add_certificates(&certificates).unwrap().len(), 2);
    let other = revocation(&world.town, person.author.serial, 1, None, 10);
    let revocations = [vec![1; 200_000], forged(&other), dismissed];
    assert_eq!(town.add_revocations(&revocations).unwrap().len(), 2);
    assert_eq!(town.add_successions(&[vec![1; 1_000]]).unwrap().len(), 1);
    assert!(Arc::ptr_eq(&before, &town.authority()));
    assert_eq!(commits.load(Ordering::SeqCst), 0);
}

/// Shows that the work of one for whom there is no room any more does not stand, in whatever order
/// its certificate, its work and those that go first come, and that nothing is the worse for it.
#[test]
fn work_of_one_without_room_does_not_stand() {
    let world = World::new();
    let mut person = World::person(60, &world.village);
    let body = Certificate::peek(person.chain.last().unwrap()).unwrap();
    let late = CertificateBody { issued_at_ms: 1_000, ..body };
    let bytes = Certificate::issue(&late, &world.village.author.key);
    person.author.serial = Serial::of(&bytes);
    *person.chain.last_mut().unwrap() = bytes;
    let flood: Vec<Vec<u8>> = (0..i64::try_from(CERTIFICATES_OF_ISSUER).unwrap())
        .map(|at_ms| {
            let above = (world.village.author.serial, &world.village.author.key);
            below(above, &key(9), AuthorKind::Operator, Tier::Village, at_ms - 100_000)
        })
        .collect();
    let note = home(NOTE, VILLAGE, 1);
    let ends = [true, false].map(|work_first| {
        let dir = tempdir().unwrap();
        let town = world.open(dir.path(), &world.town);
        assert!(town.add_certificates(&world.village.chain).unwrap().is_empty());
        write(&town, &world.town, vec![put(note, "name", "town")]);
        if work_first {
            assert!(town.add_certificates(&person.chain).unwrap().is_empty());
            write(&town, &person, vec![put(note, "name", "person")]);
            assert_eq!(all(&town).len(), 2);
        }
        assert!(town.add_certificates(&flood).unwrap().is_empty());
        assert_eq!(town.add_certificates(&person.chain).unwrap().len(), 1, "no room");
        let authority = town.authority();
        assert_eq!(authority.count_below(&world.village.author.serial), CERTIFICATES_OF_ISSUER);
        assert!(authority.get(&person.author.serial).is_none());
        assert_sound(&town);
        (kept(&authority), all(&town).len())
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].1, 1);
}

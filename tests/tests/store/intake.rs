//! Taking in changes from peers: every bad one is refused with its reason, none disturbs others.

use std::thread;

use cunlian_crdt::document::{Author, Edit};
use cunlian_crdt::store::{StoreOptions, WriteError};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{self, Context, public_key};
use cunlian_protocol::sync::{Carried, Fate};
use tempfile::tempdir;

use super::world::*;

fn refused(fate: &Fate) -> &str {
    match fate {
        Fate::Refused { reason } => reason,
        Fate::Accepted | Fate::Known | Fate::Postponed { .. } => {
            panic!("{fate:?} was to be refused")
        }
    }
}

/// Shows for each kind of bad change in one batch that it is refused with its own reason and is
/// in quarantine, and that the good ones around it are durable.
#[test]
fn bad_changes_are_refused_and_the_others_kept() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let at = |document| home(Category::TICKET, VILLAGE, document);
    write(&village, &world.village, vec![put(at(1), "a", "one"), put(at(2), "a", "two")]);
    let good = all(&village);
    let payload = payload_of(&good[0]);
    let other_session = Author { session: 77, ..world.village.author.clone() };
    let wrong_actor = Member { author: other_session, chain: Vec::new() };
    let stranger =
        Author { serial: cunlian_protocol::id::Serial([8; 16]), ..world.village.author.clone() };
    let stranger = Member { author: stranger, chain: Vec::new() };
    let mut flipped = good[0].carried.clone();
    let middle = flipped.bytes.len() / 2;
    flipped.bytes[middle] ^= 1;
    let elsewhere = home(Category::TICKET, OTHER_VILLAGE, 1);
    let large = Carried { bytes: vec![1; limits::CHANGE_BYTES + 1], reached: 0 };
    let batch = vec![
        good[0].carried.clone(),
        signed(&wrong_actor, at(3), 3, &payload),
        signed(&world.village, elsewhere, 4, &payload),
        signed(&stranger, at(3), 5, &payload),
        flipped,
        Carried { bytes: b"noise".to_vec(), reached: 0 },
        large,
        signed(&world.village, at(3), 6, b"not a change"),
        good[1].carried.clone(),
    ];
    let fates = ingest(&town, &world.village, batch.clone());
    assert_eq!((&fates[0], &fates[8]), (&Fate::Accepted, &Fate::Accepted));
    let reasons: Vec<&str> = fates[1..8].iter().map(refused).collect();
    let expected = [
        "another actor",
        "has no right",
        "unknown",
        "signature does not hold",
        "cut short",
        "at most 262144",
        "not an uncompressed Automerge change",
    ];
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
    }
    assert_eq!(town.counts().unwrap().total.changes, 2);
    let quarantined: Vec<ChangeId> =
        town.quarantine(100).unwrap().into_iter().rev().map(|refused| refused.id).collect();
    let id = |bytes: &[u8]| match SignedChange::decode(bytes.to_vec()) {
        Ok(change) => change.id(),
        Err(_) => ChangeId::of(bytes),
    };
    let bad: Vec<ChangeId> = batch[1..8].iter().map(|carried| id(&carried.bytes)).collect();
    let mut expected = bad.clone();
    let mut found = quarantined;
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(ingest(&town, &world.village, vec![good[0].carried.clone()]), [Fate::Known]);
    assert_sound(&town);
}

/// Shows that what lies outside of what the peer may send is refused even if its author may
/// write there.
#[test]
fn a_peer_cannot_send_outside_of_its_scope() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let town = world.open(dir_a.path(), &world.town);
    let county = world.open(dir_b.path(), &world.county);
    write(&town, &world.town, vec![put(home(Category::TICKET, OTHER_VILLAGE, 1), "a", "x")]);
    let scope = county.authority().read_scope(&world.village.author.serial);
    let fates = ingest_from(&county, &world.village, carried(&all(&town)), scope, 0);
    assert!(refused(&fates[0]).contains("outside of what this peer may send"));
    assert_eq!(county.counts().unwrap().total.changes, 0);
}

/// Shows that a document cannot outgrow its limit from outside, and that what fits is kept.
#[test]
fn a_document_does_not_outgrow_its_limit() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let home = home(Category::TICKET, VILLAGE, 1);
    let text = "x".repeat(250 << 10);
    for turn in 0..16 {
        let field = format!("f{turn}");
        write(&village, &world.village, vec![put(home, &field, &text)]);
    }
    send_all(&village, &world.village, &town);
    let dir_c = tempdir().unwrap();
    let other = world.open(dir_c.path(), &world.village);
    write(&other, &world.town, vec![put(home, "z", &text)]);
    let fates = ingest(&town, &world.village, carried(&all(&other)));
    assert!(refused(&fates[0]).contains("more than 4194304 bytes"), "{fates:?}");
    assert_eq!(town.counts().unwrap().total.changes, 16);
}

/// Shows that a change of a newer version is checked, kept and passed on byte for byte, though it
/// is not interpreted, and that its document is shown with it waiting.
#[test]
fn changes_of_a_newer_version_are_relayed() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let town = world.open(dir_a.path(), &world.town);
    let county = world.open(dir_b.path(), &world.county);
    let home = home(Category::TICKET, VILLAGE, 1);
    let old = signed(&world.village, home, 1, b"payload of the future").bytes;
    let (signed, _) = old.split_last_chunk::<64>().unwrap();
    let mut newer = signed.to_vec();
    newer[0] = 2;
    let forged = Carried { bytes: [newer.as_slice(), &[0; 64]].concat(), reached: 0 };
    assert!(refused(&ingest(&town, &world.village, vec![forged])[0]).contains("signature"));
    let header = newer.strip_suffix(b"payload of the future").unwrap();
    let covered = [header, blake3::hash(b"payload of the future").as_bytes()].concat();
    let signature = signing::sign(&world.village.author.key, Context::Change, &covered);
    newer.extend_from_slice(&signature.0);
    let sent = vec![Carried { bytes: newer.clone(), reached: 0 }];
    assert_eq!(ingest(&town, &world.village, sent), [Fate::Accepted]);
    let relayed = carried(&all(&town));
    assert_eq!(relayed[0].bytes, newer);
    assert_eq!(ingest(&county, &world.town, relayed), [Fate::Accepted]);
    let view = county.view(&home).unwrap().unwrap();
    assert_eq!((view.changes, view.waiting), (0, 1));
    assert_sound(&county);
}

/// Shows that two changes of one author with one number are both kept and noted.
#[test]
fn equivocation_is_kept_and_noted() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let first = world.open(dirs[0].path(), &world.village);
    let clone = world.open(dirs[1].path(), &world.village);
    let town = world.open(dirs[2].path(), &world.town);
    write(&first, &world.village, vec![put(home(Category::TICKET, VILLAGE, 1), "a", "x")]);
    write(&clone, &world.village, vec![put(home(Category::TICKET, VILLAGE, 2), "a", "y")]);
    send_all(&first, &world.village, &town);
    assert_eq!(town.counts().unwrap().equivocations, 0);
    send_all(&clone, &world.village, &town);
    let counts = town.counts().unwrap();
    assert_eq!((counts.total.changes, counts.equivocations), (2, 1));
}

/// Shows that a panic in a projection refuses the change that brings it about and nothing else.
#[test]
fn a_panic_on_a_document_refuses_its_change_alone() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let careless = world.open_with(dir_a.path(), &world.village, CARELESS, StoreOptions::default());
    let town = world.open(dir_b.path(), &world.town);
    let at = |document| home(Category::TICKET, VILLAGE, document);
    let writes = vec![put(at(1), "a", "x"), put(at(2), PANIC, "x"), put(at(3), "a", "x")];
    let ids = write(&careless, &world.village, writes.clone());
    let sent = all(&careless);
    let fates = ingest(&town, &world.village, carried(&sent));
    for (stored, fate) in sent.iter().zip(&fates) {
        if stored.key.change == ids[1] {
            assert!(refused(fate).contains("panic"), "{fate:?}");
        } else {
            assert_eq!(*fate, Fate::Accepted);
        }
    }
    let written = town.write(&world.town.author, writes, NOW_MS);
    assert_eq!(written, Err(WriteError::Panicked));
    assert_eq!(town.counts().unwrap().total.changes, 2);
    assert_sound(&town);
}

/// Shows that batches taken in at the same time, all for the same documents, end as they would
/// one after the other, duplicates across them counted once.
#[test]
fn batches_taken_in_at_once_do_not_disturb_each_other() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    for turn in 0..40 {
        let at = home(Category::TICKET, VILLAGE, turn % 2);
        let edits = vec![
            Edit::Append { body: format!("step {turn}") },
            Edit::Put { field: "turn".to_owned(), text: turn.to_string() },
        ];
        write(
            &village,
            &world.village,
            vec![cunlian_crdt::document::Write { edits, ..put(at, "", "") }],
        );
    }
    let changes = carried(&all(&village));
    let accepted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8_usize)
            .map(|thread| {
                let (town, world, changes) = (&town, &world, &changes);
                scope.spawn(move || {
                    let mut mine = changes.clone();
                    mine.rotate_left(thread * 5);
                    let batches = mine.chunks(3).map(<[_]>::to_vec);
                    let fates = batches.flat_map(|batch| ingest(town, &world.village, batch));
                    fates.filter(|fate| *fate == Fate::Accepted).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, 40);
    assert_eq!(dump(&town), dump(&village));
    assert_sound(&town);
}

/// Shows that after a revocation later changes are refused, earlier ones and others' stand.
#[test]
fn changes_after_a_revocation_are_refused() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let ids = write(
        &village,
        &world.village,
        vec![
            put(home(Category::TICKET, VILLAGE, 1), "a", "x"),
            put(home(Category::TICKET, VILLAGE, 2), "a", "x"),
        ],
    );
    learn(&town, &[revocation(&world.village, &world.county, 1, &ids[..1])]);
    let sent = all(&village);
    let fates = ingest(&town, &world.town, carried(&sent));
    for (stored, fate) in sent.iter().zip(&fates) {
        if stored.key.change == ids[0] {
            assert_eq!(*fate, Fate::Accepted);
        } else {
            assert!(refused(fate).contains("revoked"), "{fate:?}");
        }
    }
    drop(town);
    let town = world.open(dir_b.path(), &world.town);
    assert!(town.authority().revocation(&world.village.author.serial).is_some());
    let everything = KeyPrefix::category(Category::TICKET);
    assert_eq!(under(&town, &everything).len(), 1);
    assert!(Scope::everything().allows(everything.as_bytes()));
}

/// Shows that a node that certifies without end fills no store: beyond a bound its certificates
/// are refused, and those of others are taken.
#[test]
fn a_node_cannot_certify_without_end() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let above: Vec<Vec<u8>> = world.village.chain.clone();
    assert_eq!(town.add_certificates(&above).unwrap(), Vec::<String>::new());
    let minted = |issued_at_ms: i64| {
        let body = CertificateBody {
            subject: public_key(&key(9)),
            name: "minted".to_owned(),
            kind: AuthorKind::Operator,
            tier: Tier::Village,
            grants: Vec::new(),
            issued_at_ms,
            not_after_ms: i64::MAX,
            issuer: Some(world.village.author.serial),
        };
        Certificate::issue(&body, &world.village.author.key)
    };
    let count = i64::try_from(limits::CERTIFICATES_OF_ISSUER).unwrap();
    let minted: Vec<Vec<u8>> = (0..count + 3).map(minted).collect();
    let refused = town.add_certificates(&minted).unwrap();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(town.add_certificates(&world.other_village.chain).unwrap(), Vec::<String>::new());
}

//! Reading the set: overview, frontiers, short ids and selections.

use std::collections::BTreeSet;

use cunlian_crdt::store::Store;
use cunlian_protocol::category::Category;
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::sketch::ShortKey;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest, Stored};
use tempfile::tempdir;

use super::world::*;

const ADDRESSES: [&str; 6] = [
    COUNTY,
    TOWN,
    VILLAGE,
    "370322102310001",
    "37032210231000100007",
    "37032210231000100007010203",
];

/// Shows that what a comparison asks of the store fits together: a frontier adds up to what it
/// covers, the own side of a peer's frontier and what is beside it is everything that is here, and
/// short ids bring the changes that they stand for, over as many batches as these need.
#[test]
fn a_comparison_finds_what_a_peer_lacks() {
    let world = World::new();
    let dirs = [tempdir().unwrap(), tempdir().unwrap()];
    let store = world.open(dirs[0].path(), &world.county);
    let peer = world.open(dirs[1].path(), &world.county);
    let writes = ADDRESSES.iter().flat_map(|address| {
        (0..110).map(|document| put(home(Category::TICKET, address, document), "a", "x"))
    });
    write(&store, &world.county, writes.collect());
    let lacks = |stored: &Stored| {
        let home = stored.key.home;
        home.address.as_str() == TOWN || home.document.0[0].is_multiple_of(9)
    };
    let (lacked, had): (Vec<Stored>, Vec<Stored>) = all(&store).into_iter().partition(lacks);
    ingest(&peer, &world.county, carried(&had));
    let category = KeyPrefix::category(Category::TICKET);
    let theirs = frontier(&peer, &category, 60);
    assert!((4..=75).contains(&theirs.len()), "{}", theirs.len());
    let sum: u64 = theirs.iter().map(|(_, summary)| summary.count).sum();
    assert_eq!(sum, had.len() as u64);
    let request = StoreRequest::Against {
        within: vec![category],
        theirs: theirs.iter().map(|(prefix, _)| prefix.clone()).collect(),
    };
    let StoreReply::Against { mine, alone } = store.serve(request).unwrap() else {
        panic!("another reply")
    };
    assert!(alone.iter().any(|(_, summary)| summary.count == 110), "{alone:?}");
    let mut found: BTreeSet<ChangeId> = BTreeSet::new();
    let key = ShortKey::derive(&[1; 32], 1);
    let differ = theirs.iter().zip(&mine).filter(|((_, theirs), mine)| theirs != *mine);
    for prefix in differ.map(|((prefix, _), _)| prefix).chain(alone.iter().map(|(p, _)| p)) {
        let shorts = |store: &Store| {
            let prefix = prefix.clone();
            match store.serve(StoreRequest::Shorts { prefix, key }).unwrap() {
                StoreReply::Shorts(shorts) => shorts,
                other => panic!("{other:?} is of another kind"),
            }
        };
        let theirs: BTreeSet<u64> = shorts(&peer).into_iter().map(|(short, _)| short).collect();
        let mine = shorts(&store).into_iter().map(|(short, _)| short);
        let mut shorts: Vec<u64> = mine.filter(|short| !theirs.contains(short)).collect();
        shorts.sort_unstable();
        let mut next = Some(Selection::Shorts { prefix: prefix.clone(), key, shorts });
        while let Some(selection) = next {
            let (changes, rest, _) = read_bytes(&store, selection, 2_000);
            assert!(!changes.is_empty());
            for stored in changes {
                assert!(found.insert(stored.key.change), "{:?} came twice", stored.key);
            }
            next = rest;
        }
    }
    let lacked: BTreeSet<ChangeId> = lacked.iter().map(|stored| stored.key.change).collect();
    assert_eq!(found, lacked);
}

/// Shows that the overview of a scope names its widest non-empty prefixes and nothing outside.
#[test]
fn the_overview_is_of_the_scope_alone() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.town);
    write(
        &store,
        &world.town,
        vec![
            put(home(Category::TICKET, VILLAGE, 1), "a", "x"),
            put(home(Category::TICKET, OTHER_VILLAGE, 1), "a", "x"),
            put(home(PRIVATE, VILLAGE, 1), "a", "x"),
        ],
    );
    let scope = store.authority().read_scope(&world.village.author.serial);
    let StoreReply::Overview { tops, .. } = store.serve(StoreRequest::Overview { scope }).unwrap()
    else {
        panic!("another reply")
    };
    let counts: Vec<(Category, u64)> =
        tops.iter().map(|(prefix, summary)| (prefix.of_category(), summary.count)).collect();
    assert_eq!(counts, [(Category::TICKET, 1), (PRIVATE, 1)]);
}

/// Shows that reading in batches gives every change once, in key order, within the limits of a
/// batch, and that a large first change does not stop the reading.
#[test]
fn reading_goes_on_where_a_batch_ended() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let mut writes: Vec<_> = (0..250)
        .map(|document| put(home(Category::TICKET, VILLAGE, document), "a", &"x".repeat(10_000)))
        .collect();
    writes.push(put(home(Category::TICKET, VILLAGE, 255), "a", &"x".repeat(255 << 10)));
    write(&store, &world.village, writes);
    let prefix = KeyPrefix::category(Category::TICKET);
    let mut next = Some(Selection::Prefix { prefix: prefix.clone(), after: Vec::new() });
    let mut read_ids = Vec::new();
    let mut batches = 0;
    while let Some(selection) = next {
        let (changes, rest, _) = read(&store, selection);
        let bytes: usize = changes.iter().map(|stored| stored.carried.bytes.len()).sum();
        assert!(!changes.is_empty() && bytes <= limits::BATCH_BYTES);
        assert!(changes.windows(2).all(|pair| pair[0].key < pair[1].key));
        read_ids.extend(changes.into_iter().map(|stored| stored.key.change));
        batches += 1;
        next = rest;
    }
    assert!(batches >= 5);
    assert_eq!(read_ids.len(), 251);
    let mut wanted: Vec<ChangeId> = read_ids.iter().copied().step_by(2).collect();
    wanted.push(ChangeId([7; 32]));
    wanted.sort_unstable();
    let mut next = Some(Selection::Ids { prefix, ids: wanted });
    let mut found = BTreeSet::new();
    while let Some(selection) = next {
        let (changes, rest, _) = read(&store, selection);
        found.extend(changes.into_iter().map(|stored| stored.key.change));
        next = rest;
    }
    assert_eq!(found, read_ids.into_iter().step_by(2).collect());
}

/// Shows that reading by rows gives what came after a row, in the order it became durable, only
/// what the receiver may see and nothing it sent itself.
#[test]
fn reading_by_rows_follows_the_log() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let mine = home(Category::TICKET, VILLAGE, 1);
    write(&village, &world.village, vec![put(mine, "a", "mine")]);
    send_all(&village, &world.village, &town);
    let theirs = home(Category::TICKET, OTHER_VILLAGE, 2);
    let answer = home(Category::ANSWER, VILLAGE, 3);
    write(&town, &world.town, vec![put(theirs, "a", "x")]);
    write(&town, &world.town, vec![put(answer, "a", "x"), put(mine, "a", "edited")]);
    let scope = town.authority().read_scope(&world.village.author.serial);
    let rows = |after, except: Serial| {
        let selection = Selection::Rows { after, scope: scope.clone(), except };
        let (changes, rest, through_row) = read(&town, selection);
        assert_eq!((rest, through_row), (None, 4));
        changes.into_iter().map(|stored| (stored.row, stored.key.home)).collect::<Vec<_>>()
    };
    let own = world.village.author.serial;
    let mut new = rows(0, own);
    assert!(new.iter().all(|(row, _)| *row > 2));
    new.sort_unstable_by_key(|(_, home)| *home);
    assert_eq!(new.iter().map(|(_, home)| *home).collect::<Vec<_>>(), [mine, answer]);
    assert_eq!(rows(0, world.other_village.author.serial).len(), 3);
    assert_eq!(rows(4, own), []);
}

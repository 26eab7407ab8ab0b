//! Reading the set: overview, children, ids and selections.

use std::collections::BTreeSet;

use cunlian_protocol::category::Category;
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest};
use tempfile::tempdir;

use crate::world::*;

const ADDRESSES: [&str; 6] = [
    COUNTY,
    TOWN,
    VILLAGE,
    "370322102310001",
    "37032210231000100007",
    "37032210231000100007010203",
];

/// Shows that below every prefix, from the category down to single keys, the children add up to
/// the summary of the prefix, and that what is listed by ids is the same set.
#[test]
fn children_add_up_to_their_parent_down_to_single_keys() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.county);
    let writes = ADDRESSES.iter().flat_map(|address| {
        (0..3).flat_map(|document| {
            let at = home(Category::TICKET, address, document);
            [put(at, "a", "x"), put(at, "a", "y")]
        })
    });
    write(&store, &world.county, writes.collect());
    let overview = store.serve(StoreRequest::Overview { scope: Scope::everything() }).unwrap();
    let StoreReply::Overview { tops, last_row } = overview else { panic!("another reply") };
    assert_eq!((tops.len(), last_row), (1, 36));
    let mut open = tops;
    let mut keys = 0;
    while let Some((prefix, summary)) = open.pop() {
        if prefix.is_key() {
            assert_eq!(summary.count, 1);
            keys += 1;
            continue;
        }
        let StoreReply::Ids(ids) =
            store.serve(StoreRequest::Ids { prefix: prefix.clone() }).unwrap()
        else {
            panic!("another reply")
        };
        let mut listed = Summary::default();
        for id in &ids {
            listed.add(id);
        }
        assert_eq!(listed, summary, "ids under {prefix:?}");
        let children = children(&store, &prefix);
        let mut sum = Summary::default();
        for (_, child) in &children {
            sum.merge(child);
        }
        assert_eq!(sum, summary, "children of {prefix:?}");
        assert!(children.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(children.iter().all(|(child, _)| prefix.contains(child.as_bytes())));
        open.extend(children);
    }
    assert_eq!(keys, 36);
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

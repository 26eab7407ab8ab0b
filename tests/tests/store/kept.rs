//! What is kept of whom: that the counts are those of a recount, whatever comes and goes.

use std::path::Path;

use cunlian_crdt::store::{Kept, KeptOfAll, Store, Unsent};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::public_key;
use tempfile::tempdir;

use super::world::*;

fn key_of(member: &Member) -> PublicKey {
    public_key(&member.author.key)
}

/// Changes and bytes from a member, counted in the log row by row, and documents by their first row.
fn recounted(store: &Store, from: Option<&Member>) -> Kept {
    let serial = from.map(|member| member.author.serial.0.to_vec());
    store
        .read(|connection| {
            let sql = "SELECT key, length(bytes), row FROM change LEFT JOIN author ON id = origin \
                       WHERE author.serial IS ?1";
            let mut select = connection.prepare(sql)?;
            let mut rows = select.query([serial.as_deref()])?;
            let mut kept = Kept::default();
            while let Some(row) = rows.next()? {
                kept.changes += 1;
                kept.bytes += row.get::<_, u64>(1)?;
                let key: Vec<u8> = row.get(0)?;
                let document = &key[..key.len() - 32];
                let sql = "SELECT min(row) FROM change WHERE substr(key, 1, length(key) - 32) = ?1";
                let first: i64 = connection.query_row(sql, [document], |row| row.get(0))?;
                kept.documents += u64::from(first == row.get::<_, i64>(2)?);
            }
            Ok(kept)
        })
        .unwrap()
}

/// The counts of the store are those of a recount, also when it is opened anew.
fn assert_counted(world: &World, dir: &Path, store: Store, what: &str) -> (Store, [Kept; 2]) {
    let members = [&world.village, &world.other_village];
    let expected = members.map(|member| recounted(&store, Some(member)));
    let others = recounted(&store, None);
    let mut opened = store;
    for _ in 0..2 {
        let KeptOfAll { by_peer, others: found } = opened.kept().unwrap();
        let found_of = members.map(|m| by_peer.get(&key_of(m)).copied().unwrap_or_default());
        assert_eq!((found_of, found), (expected, others), "{what}");
        assert_sound(&opened);
        drop(opened);
        opened = world.open(dir, &world.town);
    }
    (opened, expected)
}

/// Shows that what is kept of each village, and of all others, is what a recount of the log gives:
/// after batches of both that work on the same documents, an erasure, a dismissal that takes work
/// out of the log, its end, a purge, and after every one of these when the store is opened anew.
#[test]
fn counts_are_those_of_a_recount() {
    let world = World::new();
    let (dir, below, beside) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(below.path(), &world.village);
    let other = world.open(beside.path(), &world.other_village);
    let dismissed = World::person(20, &world.village);
    village.add_certificates(&dismissed.chain).unwrap();
    let at = |document| home(Category::TICKET, VILLAGE, document);
    write(&village, &world.village, (0..40).map(|n| put(at(n), "a", "of the village")).collect());
    write(&village, &dismissed, (30..60).map(|n| put(at(n), "b", "of a person")).collect());
    let there = |document| home(Category::TICKET, OTHER_VILLAGE, document);
    write(&other, &world.other_village, (0..25).map(|n| put(there(n), "a", "x")).collect());

    let store = world.open(dir.path(), &world.town);
    store.add_certificates(&dismissed.chain).unwrap();
    send_all(&village, &world.village, &store);
    send_all(&other, &world.other_village, &store);
    write(&store, &world.town, (0..10).map(|n| put(at(n), "c", "of the town")).collect());
    write(&store, &world.town, vec![put(home(Category::TICKET, TOWN, 1), "a", "of the town")]);
    let (store, [first, second]) = assert_counted(&world, dir.path(), store, "batches");
    assert_eq!((first.changes, first.documents), (70, 60));
    assert_eq!((second.changes, second.documents), (25, 25));

    store.erase(&world.town.author, &[at(1), at(2), there(3)], "本人要求", NOW_MS).unwrap();
    let (store, [erased, _]) = assert_counted(&world, dir.path(), store, "an erasure");
    assert_eq!((erased.changes, erased.documents), (first.changes, first.documents));
    assert!(erased.bytes < first.bytes);

    learn(&store, &[revocation(&dismissed, &world.village, 5, &[])]);
    let (store, [revoked, _]) = assert_counted(&world, dir.path(), store, "a dismissal");
    assert_eq!((revoked.changes, revoked.documents), (45, 40));

    let region = Region::subtree(AddressCode::parse(OTHER_VILLAGE).unwrap());
    let (categories, rights) = (CategorySet::all(), Rights::READ);
    let grant = Grant { region, document: None, categories, rights, delegable: Rights::NONE };
    let keep = Scope::of_grants(&[grant], Rights::READ);
    store.purge(&keep, Unsent::Discard).unwrap();
    let (_, [purged, kept]) = assert_counted(&world, dir.path(), store, "a purge");
    assert_eq!(purged, Kept::default());
    assert_eq!((kept.changes, kept.documents), (25, 25));
}

/// Shows that `verify` finds a count that is not that of the log, and that it is mended from the log.
#[test]
fn a_wrong_count_is_found_and_mended() {
    let world = World::new();
    let (dir, below) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(below.path(), &world.village);
    write(&village, &world.village, vec![put(home(Category::TICKET, VILLAGE, 1), "a", "x")]);
    let store = world.open(dir.path(), &world.town);
    send_all(&village, &world.village, &store);
    let spoil = |connection: &rusqlite::Connection| {
        connection.execute("UPDATE kept SET bytes = bytes + 1 WHERE changes > 0", [])
    };
    store.write_reference(spoil).unwrap();
    let found = store.verify().unwrap().wrong_counts;
    assert!(found.len() == 1 && found[0].starts_with("kept:"), "{found:?}");
    store.rebuild_summaries().unwrap();
    assert_sound(&store);
}

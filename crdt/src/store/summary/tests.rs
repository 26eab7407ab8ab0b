//! The kept summaries follow the set: any row of additions and removals leaves the table that a
//! naive count of the same set gives.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use proptest::prelude::*;

use super::super::reconcile;
use super::*;

/// A table of keys and one of summaries, as the store has them.
fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let sql = "CREATE TABLE change (row INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);
        CREATE TABLE summary (prefix BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE tally (category INTEGER PRIMARY KEY NOT NULL, documents INTEGER NOT NULL);";
    connection.execute_batch(sql).unwrap();
    connection
}

/// The rows that the rule asks for, by counting everything under every prefix.
fn naive(set: &BTreeSet<SetKey>) -> BTreeMap<Vec<u8>, Summary> {
    let mut rows = BTreeMap::new();
    let mut level: BTreeMap<KeyPrefix, Vec<&SetKey>> = BTreeMap::new();
    for key in set {
        level.entry(KeyPrefix::category(key.home.category)).or_default().push(key);
    }
    while !level.is_empty() {
        let mut next: BTreeMap<KeyPrefix, Vec<&SetKey>> = BTreeMap::new();
        for (prefix, keys) in level {
            let mut summary = Summary::default();
            for key in &keys {
                summary.add(&key.change);
            }
            rows.insert(prefix.as_bytes().to_vec(), summary);
            for key in keys.iter().filter(|_| keys.len() > 256) {
                let child = prefix.child_of(&key.to_bytes()).unwrap();
                next.entry(child).or_default().push(key);
            }
        }
        level = next;
    }
    rows
}

fn table(connection: &Connection) -> BTreeMap<Vec<u8>, Summary> {
    let mut select = connection.prepare("SELECT prefix, value FROM summary").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, summary_of(row, 1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// What one transaction does.
#[derive(Debug, Clone)]
enum Step {
    /// So many changes come in under a prefix of the pool, in documents that share so many bytes.
    Add { at: usize, many: u16, shared: u8, seed: u64 },
    /// All but every n-th change within a prefix goes.
    Purge { at: usize, keep_each: usize },
    /// Single changes here and there come and go.
    Scatter { seed: u64, many: u16 },
}

/// Addresses of all levels, some inside others.
const PLACES: [(u16, &str); 12] = [
    (0x10, ""),
    (0x10, "37"),
    (0x10, "370322"),
    (0x2000, "370322102"),
    (0x2000, "370322102310"),
    (0x2000, "370322102310001"),
    (0x2000, "37032210231000100012"),
    (0x2000, "3703221023100010001201"),
    (0x2000, "37032210231000100012010101"),
    (0x2000, "370322102311"),
    (0xffff, "37"),
    (0xffff, "370322103"),
];

fn mix(seed: u64) -> u64 {
    let hash = blake3::hash(&seed.to_le_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
}

fn key(at: usize, shared: u8, seed: u64) -> SetKey {
    let (category, address) = PLACES[at % PLACES.len()];
    let address = match address {
        "" => AddressCode::COUNTRY,
        address => AddressCode::parse(address).unwrap(),
    };
    let mut document = [0; 16];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut document);
    document[..usize::from(shared.min(16))].fill(7);
    let mut change = [0; 32];
    blake3::Hasher::new().update(b"c").update(&seed.to_le_bytes()).finalize_xof().fill(&mut change);
    let home = Home { category: Category(category), address, document: DocumentId(document) };
    SetKey { home, change: ChangeId(change) }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add =
        (0..PLACES.len(), 1..700_u16, prop_oneof![Just(0_u8), Just(16), 0..16_u8], any::<u64>())
            .prop_map(|(at, many, shared, seed)| Step::Add { at, many, shared, seed });
    let purge =
        (0..PLACES.len(), 1..400_usize).prop_map(|(at, keep_each)| Step::Purge { at, keep_each });
    let scatter = (any::<u64>(), 1..60_u16).prop_map(|(seed, many)| Step::Scatter { seed, many });
    proptest::collection::vec(prop_oneof![3 => add, 2 => purge, 1 => scatter], 1..9)
}

/// The changes that a step brings and takes.
fn effect(step: &Step, set: &BTreeSet<SetKey>) -> (Vec<SetKey>, Vec<SetKey>) {
    match step {
        Step::Add { at, many, shared, seed } => {
            let keys = (0..u64::from(*many)).map(|n| key(*at, *shared, seed.wrapping_add(n)));
            (keys.filter(|key| !set.contains(key)).collect(), Vec::new())
        }
        Step::Purge { at, keep_each } => {
            let (category, address) = PLACES[*at];
            let inside = |key: &&SetKey| {
                let home = &key.home;
                home.category.0 == category && home.address.as_str().starts_with(address)
            };
            let gone = set.iter().filter(inside).zip(1..).filter(|(_, n)| n % keep_each != 0);
            (Vec::new(), gone.map(|(key, _)| key.clone()).collect())
        }
        Step::Scatter { seed, many } => {
            let one = |n| key((mix(seed ^ n) >> 32) as usize, 0, mix(seed.wrapping_add(n)));
            let come: BTreeSet<SetKey> = (0..u64::from(*many)).map(one).collect();
            let go = set.iter().zip(seed % 7..).filter(|(_, n)| n % 97 == 0);
            let go = go.map(|(key, _)| key.clone()).collect();
            (come.into_iter().filter(|key| !set.contains(key)).collect(), go)
        }
    }
}

/// One transaction as the writer does it: the log first, then the summaries.
fn commit(connection: &Connection, come: &[SetKey], go: &[SetKey]) {
    let mut additions = Additions::default();
    let transaction = connection.unchecked_transaction().unwrap();
    let mut insert = transaction.prepare_cached("INSERT INTO change (key) VALUES (?1)").unwrap();
    let mut delete = transaction.prepare_cached("DELETE FROM change WHERE key = ?1").unwrap();
    for key in come {
        insert.execute([key.to_bytes()]).unwrap();
        additions.add(key);
    }
    for key in go {
        delete.execute([key.to_bytes()]).unwrap();
        additions.remove(key);
    }
    additions.save(&transaction).unwrap();
    drop((insert, delete));
    transaction.commit().unwrap();
}

fn run(steps: &[Step]) -> (Connection, BTreeSet<SetKey>) {
    let connection = empty();
    let mut set = BTreeSet::new();
    for step in steps {
        let (come, go) = effect(step, &set);
        commit(&connection, &come, &go);
        set.extend(come);
        for key in &go {
            assert!(set.remove(key));
        }
        assert_eq!(table(&connection), naive(&set), "after {step:?}");
    }
    (connection, set)
}

fn count(set: &BTreeSet<SetKey>, prefix: &KeyPrefix) -> Summary {
    let mut summary = Summary::default();
    let below = set.iter().filter(|key| prefix.contains(&key.to_bytes()));
    for key in below {
        summary.add(&key.change);
    }
    summary
}

/// Every prefix of some keys, and of one that is not there.
fn prefixes(set: &BTreeSet<SetKey>) -> Vec<KeyPrefix> {
    let some = set.iter().step_by(set.len() / 4 + 1).cloned();
    let mut prefixes = BTreeSet::new();
    for key in some.chain([key(4, 3, 99)]) {
        let bytes = key.to_bytes();
        let mut prefix = KeyPrefix::category(key.home.category);
        while let Some(child) = prefix.child_of(&bytes) {
            prefixes.insert(std::mem::replace(&mut prefix, child));
        }
        prefixes.insert(prefix);
    }
    prefixes.into_iter().collect()
}

fn assert_partition(set: &BTreeSet<SetKey>, parts: &[(KeyPrefix, Summary)]) {
    for key in set {
        let bytes = key.to_bytes();
        let covering = parts.iter().filter(|(prefix, _)| prefix.contains(&bytes));
        assert_eq!(covering.count(), 1, "{key:?}");
    }
    assert!(parts.is_sorted_by(|(one, _), (other, _)| one < other));
    for (prefix, summary) in parts {
        assert_eq!(*summary, count(set, prefix), "{prefix:?}");
        assert!(summary.count > 0, "{prefix:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Shows that after every transaction the table is the one that the set alone asks for, and
    /// that the recount by which `verify` judges says the same.
    #[test]
    fn the_table_follows_the_set(steps in steps()) {
        let (connection, set) = run(&steps);
        let mut due = BTreeMap::new();
        trie::each_due(&connection, |prefix, summary| {
            due.insert(prefix.to_vec(), *summary);
            Ok(())
        }).unwrap();
        prop_assert_eq!(due, naive(&set));
        trie::rebuild(&connection).unwrap();
        prop_assert_eq!(table(&connection), naive(&set));
    }

    /// Shows that any prefix has the summary of what is below it and the children that its keys
    /// have, kept or not, and that a frontier of any size is a partition.
    #[test]
    fn every_prefix_is_summed_up_rightly(steps in steps(), nodes in 1..600_usize) {
        let (connection, set) = run(&steps);
        for prefix in prefixes(&set) {
            let expected = count(&set, &prefix);
            prop_assert_eq!(of_prefix(&connection, &prefix).unwrap(), expected);
            let below: BTreeSet<SetKey> =
                set.iter().filter(|key| prefix.contains(&key.to_bytes())).cloned().collect();
            let frontier = reconcile::frontier(&connection, vec![prefix.clone()], nodes).unwrap();
            assert_partition(&below, &frontier);
            prop_assert!(frontier.len() <= (nodes + nodes / 4).max(1));
            if !prefix.is_key() {
                let children = children(&connection, &prefix, &expected).unwrap();
                assert_partition(&below, &children);
            }
        }
    }

    /// Shows that against the frontier of any other set each own change is either in the own
    /// summary of one of its prefixes or in what none of them covers, never in both.
    #[test]
    fn the_own_side_of_a_frontier_is_complete(
        ours in steps(), theirs in steps(), nodes in 1..600_usize,
    ) {
        let (connection, set) = run(&ours);
        let (their_connection, _) = run(&theirs);
        let everything: Vec<KeyPrefix> =
            [0x10, 0x2000, 0xffff].map(|n| KeyPrefix::category(Category(n))).to_vec();
        let frontier =
            reconcile::frontier(&their_connection, everything.clone(), nodes).unwrap();
        let theirs: Vec<KeyPrefix> = frontier.into_iter().map(|(prefix, _)| prefix).collect();
        let (mine, alone) = reconcile::against(&connection, &everything, &theirs).unwrap();
        let both = theirs.iter().cloned().zip(mine).filter(|(_, summary)| summary.count > 0);
        let mut parts: Vec<_> = both.chain(alone.iter().cloned()).collect();
        parts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        assert_partition(&set, &parts);
        for (prefix, _) in &alone {
            let in_touch = |other: &&KeyPrefix| {
                other.contains(prefix.as_bytes()) || prefix.contains(other.as_bytes())
            };
            prop_assert_eq!(theirs.iter().find(in_touch), None);
        }
    }
}

/// Shows that thousands of changes of one document make a deep trie, which is gone when they are.
#[test]
fn one_long_document_makes_a_deep_trie() {
    let connection = empty();
    let document = key(4, 16, 1).home;
    let of_document = |n| SetKey { home: document, change: key(4, 16, n).change };
    let keys: Vec<SetKey> = (0..3_000).map(of_document).collect();
    for part in keys.chunks(100) {
        commit(&connection, part, &[]);
    }
    let set: BTreeSet<SetKey> = keys.iter().cloned().collect();
    assert_eq!(table(&connection), naive(&set));
    let deepest = table(&connection).into_keys().map(|prefix| prefix.len()).max();
    // Category, village, end of the address, document, one byte of the ids.
    assert_eq!(deepest, Some(2 + 12 + 1 + 16 + 1));
    for part in keys.chunks(700) {
        commit(&connection, &[], part);
    }
    assert_eq!(table(&connection), BTreeMap::new());
}

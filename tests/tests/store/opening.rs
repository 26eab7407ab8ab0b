//! Opening: again, twice, by older and newer programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{OpenError, Store, StoreOptions, VERSION};
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::actor;
use cunlian_protocol::signing::public_key;
use cunlian_protocol::sync::Fate;
use cunlian_tests::measured::growth_kib;
use cunlian_tests::unfolding::Puts;
use tempfile::tempdir;

use super::world::*;

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn open(world: &World, dir: &Path) -> Result<Store, OpenError> {
    let identity = world.identity(&world.village);
    Store::open(dir, Arc::new(Fields { version: 1 }), identity, StoreOptions::default())
}

/// Shows that a store opened again has everything, goes on numbering, and is sound.
#[test]
fn a_store_opened_again_goes_on() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let at = home(Category::TICKET, VILLAGE, 1);
    let store = world.open(dir.path(), &world.village);
    write(&store, &world.village, vec![put(at, "a", "one")]);
    let before = dump(&store);
    drop(store);
    let store = world.open(dir.path(), &world.village);
    assert_eq!(dump(&store), before);
    assert!(store.authority().get(&world.other_village.author.serial).is_some());
    write(&store, &world.village, vec![put(at, "a", "two")]);
    let field = &store.view(&at).unwrap().unwrap().fields["a"];
    assert_eq!((field.current.text.as_str(), field.current.writer.seq), ("two", 2));
    assert_sound(&store);
}

/// Shows that a data directory in use is refused by name, and free again when the store is closed.
#[test]
fn two_processes_cannot_open_one_store() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = open(&world, dir.path()).unwrap();
    match open(&world, dir.path()) {
        Err(OpenError::InUse { dir: named }) => assert_eq!(named, dir.path()),
        other => panic!("{other:?}"),
    }
    drop(store);
    open(&world, dir.path()).unwrap();
}

/// Shows that a store of a newer version is refused with both versions and without touching a
/// byte, whether the version is in the database file or still in the write-ahead log.
#[test]
fn a_newer_store_is_left_untouched() {
    let world = World::new();
    for checkpointed in [true, false] {
        let dir = tempdir().unwrap();
        drop(open(&world, dir.path()).unwrap());
        let copy = tempdir().unwrap();
        let path = dir.path().join("store.sqlite");
        let newer = rusqlite::Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", VERSION + 1).unwrap();
        if !checkpointed {
            for (name, bytes) in files(dir.path()) {
                fs::write(copy.path().join(name), bytes).unwrap();
            }
        }
        drop(newer);
        let dir = if checkpointed { dir } else { copy };
        let before = files(dir.path());
        assert_eq!(before.contains_key("store.sqlite-wal"), !checkpointed);
        match open(&world, dir.path()) {
            Err(OpenError::NewerVersion { found, supported }) => {
                assert_eq!((found, supported), (VERSION + 1, VERSION));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(files(dir.path()), before);
    }
}

/// Shows that a file written by version 1 opens, is sound and says what it said then.
#[test]
fn a_store_of_version_1_opens() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/store-v1.sqlite");
    fs::copy(old, dir.path().join("store.sqlite")).unwrap();
    let store = open(&world, dir.path()).unwrap();
    assert_sound(&store);
    let view = store.view(&home(Category::TICKET, VILLAGE, 1)).unwrap().unwrap();
    assert_eq!(view.fields["title"].current.text, "路灯不亮");
    assert_eq!(view.operations[0].body, "{\"step\":\"report\"}");
    assert_eq!(store.counts().unwrap().total.changes, 3);
}

/// What the committed file of version 2 was made of: a document with a long history, many short
/// ones, work that was revoked, and a document that was erased.
fn fill_as_version_2(world: &World, store: &Store) {
    let dismissed = World::person(20, &world.village);
    store.add_certificates(&dismissed.chain).unwrap();
    let long = home(Category::TICKET, VILLAGE, 1);
    let mut writes = vec![put(long, "title", "路灯不亮")];
    writes.extend((0..150).map(|n| append(long, &n.to_string())));
    writes.extend((2..152).map(|n| put(home(Category::TICKET, VILLAGE, n), "a", "b")));
    write(store, &world.village, writes);
    let at = |document| home(Category::ALERT, OTHER_VILLAGE, document);
    write(store, &dismissed, vec![put(home(Category::ALERT, VILLAGE, 1), "a", "x")]);
    let other = vec![put(at(1), "a", "x"), put(at(2), "a", "secret")];
    write(store, &world.other_village, other);
    store.erase(&world.town.author, &[at(2)], "本人要求", NOW_MS).unwrap();
    learn(store, &[revocation(&dismissed, &world.village, 0, &[])]);
}

/// The committed file of a version; written if there is none and it is asked for, which must be
/// done before the code goes over to the next version.
fn committed(version: u32, fill: impl FnOnce(&World, &Store)) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/store-v{version}.sqlite"));
    if !path.exists() && version == VERSION && std::env::var_os("CUNLIAN_WRITE_GOLDEN").is_some() {
        let world = World::new();
        let dir = tempdir().unwrap();
        let store = world.open(dir.path(), &world.village);
        fill(&world, &store);
        drop(store);
        fs::copy(dir.path().join("store.sqlite"), &path).unwrap();
    }
    path
}

/// The rows of the projection in a file, as it is.
fn rows(path: &Path) -> Vec<(String, String, String)> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT address, name, text FROM field ORDER BY category, address, document, name";
    let mut select = connection.prepare(sql).unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Shows that a file written by version 2 opens, is sound and says what it said then.
#[test]
fn a_store_of_version_2_opens() {
    let world = World::new();
    let dir = tempdir().unwrap();
    fs::copy(committed(2, fill_as_version_2), dir.path().join("store.sqlite")).unwrap();
    let store = open(&world, dir.path()).unwrap();
    assert_sound(&store);
    let view = store.view(&home(Category::TICKET, VILLAGE, 1)).unwrap().unwrap();
    assert_eq!(view.fields["title"].current.text, "路灯不亮");
    assert_eq!(view.operations[149].body, "149");
    let erased = store.view(&home(Category::ALERT, OTHER_VILLAGE, 2)).unwrap().unwrap();
    assert_eq!(erased.erased.unwrap().reason, "本人要求");
    let counts = store.counts().unwrap();
    assert_eq!((counts.total.changes, counts.total.documents), (304, 153));
    assert_eq!(counts.quarantined, 1);
}

/// Shows that a file written by version 3, that of 0.1.0, opens, is sound, says what it said then
/// and shows the same rows.
#[test]
fn a_store_of_version_3_opens() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    fs::copy(committed(3, fill_as_version_2), &path).unwrap();
    let then = rows(&path);
    assert!(then.len() > 150, "{}", then.len());
    let store = open(&world, dir.path()).unwrap();
    assert_sound(&store);
    let view = store.view(&home(Category::TICKET, VILLAGE, 1)).unwrap().unwrap();
    assert_eq!(
        (view.fields["title"].current.text.as_str(), view.operations.len()),
        ("路灯不亮", 150)
    );
    assert_eq!(store.counts().unwrap().total.changes, 304);
    assert_eq!(rows(&path), then);
}

/// What the committed file of version 4 was made of, beside that of version 2: changes that unfold to
/// what no change may hold any more, a field with very many concurrent values, and photos that
/// several documents name, one of them at another address.
fn fill_as_version_4(world: &World, store: &Store) {
    fill_as_version_2(world, store);
    let session = |by: &Member, session| Author { session, ..by.author.clone() };
    let unfolding = |document, number, (puts, predecessors)| {
        let author = session(&world.village, number);
        let actor = actor(&author.serial, number);
        let (field, text) = ("a".to_owned(), String::new());
        let payload = Puts { actor, field, puts, predecessors, text }.to_bytes();
        let by = Member { author, chain: Vec::new() };
        signed(&by, home(Category::TICKET, VILLAGE, document), number, &payload)
    };
    let mut batch: Vec<_> = (1000..1020).map(|n| unfolding(1, n, (65_536, 0))).collect();
    batch.push(unfolding(200, 1020, (1, 65_536)));
    batch.extend((1100..1200).map(|n| unfolding(201, n, (1, 0))));
    for fate in ingest(store, &world.village, batch) {
        assert_eq!(fate, Fate::Accepted);
    }
    let photo =
        |byte: u8| (0..200_000_u32).map(|at| at.to_le_bytes()[0] ^ byte).collect::<Vec<_>>();
    let named = |content: &[u8], address, document| {
        let text = BlobReference::of(content, "image/jpeg").unwrap().to_string();
        put(home(Category::TICKET, address, document), "photo", &text)
    };
    let writes = vec![named(&photo(1), VILLAGE, 210), named(&photo(2), VILLAGE, 211)];
    let contents = vec![photo(1), photo(2)];
    store.write_with_blobs(&world.village.author, writes, contents, NOW_MS).unwrap();
    let writes = vec![named(&photo(2), OTHER_VILLAGE, 212), named(&photo(3), OTHER_VILLAGE, 213)];
    write(store, &world.other_village, writes);
}

/// Shows that a file written by version 4, which held changes that unfold to what none may hold any
/// more, opens in bounded memory, shows everything else, and says of which documents it does not
/// count everything; and that what several places named of one photo is still with each.
#[test]
fn a_store_of_version_4_opens() {
    let test = concat!(module_path!(), "::a_store_of_version_4_opens");
    let grown = growth_kib(test, || {
        let world = World::new();
        let dir = tempdir().unwrap();
        let path = dir.path().join("store.sqlite");
        fs::copy(committed(4, fill_as_version_4), &path).unwrap();
        let store = open(&world, dir.path()).unwrap();
        assert_sound(&store);
        let at = |document| home(Category::TICKET, VILLAGE, document);
        let long = store.view(&at(1)).unwrap().unwrap();
        assert_eq!((long.fields["title"].current.text.as_str(), long.waiting), ("路灯不亮", 20));
        assert_eq!(store.view(&at(200)).unwrap().unwrap().waiting, 1);
        assert_eq!(store.view(&at(201)).unwrap().unwrap().fields["a"].others.len(), 63);
        let said = store.verify().unwrap().beyond_bounds;
        assert!(said.len() == 2 && said[0].contains("20 changes"), "{said:?}");
        assert_eq!(store.counts().unwrap().total.beyond, 2);
        // The same as when everything is made anew.
        let before = dump(&store);
        store.rebuild_projections().unwrap();
        assert_eq!(dump(&store), before);
        // A backup of it is what it is.
        let restored = tempdir().unwrap();
        store.copy_to(&restored.path().join("store.sqlite")).unwrap();
        drop(store);
        let restored = open(&world, restored.path()).unwrap();
        assert_eq!(dump(&restored), before);
        assert_sound(&restored);
    });
    assert!(grown < 96 << 10, "{} MiB", grown >> 10);
}

/// Shows that a file of version 5, which did not note what it keeps of whom, opens, is sound, and says
/// it as a recount of its log does. The file was made by version 5 out of that of version 4.
#[test]
fn a_store_of_version_5_opens() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/store-v5.sqlite");
    fs::copy(old, dir.path().join("store.sqlite")).unwrap();
    let store = open(&world, dir.path()).unwrap();
    assert_sound(&store);
    let kept = store.kept().unwrap();
    let key = public_key(&world.village.author.key);
    let sent = kept.by_peer[&key];
    assert_eq!((sent.changes, sent.bytes, sent.documents), (121, 23_889, 2));
    let others = kept.others;
    assert_eq!((others.changes, others.bytes, others.documents), (308, 70_693, 157));
}

/// Shows that another version of the projector makes all rows anew at the next start.
#[test]
fn another_projector_makes_the_rows_anew() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let writes = (0..50).map(|n| put(home(Category::TICKET, VILLAGE, n), "a", "x")).collect();
    write(&store, &world.village, writes);
    drop(store);
    let store = world.open_with(dir.path(), &world.village, 2, StoreOptions::default());
    let versions: Vec<(String, i64)> = store
        .read(|connection| {
            let mut select =
                connection.prepare("SELECT version, count(*) FROM field GROUP BY version")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .unwrap();
    assert_eq!(versions, [("2".to_owned(), 50)]);
    assert_sound(&store);
}

//! Data of later versions in stores of today: kept, passed on, and understood after an update.

use std::sync::Arc;

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::capability::{Attachments, Capability, Kind, Sensitivity, Spot};
use cunlian_governance::generator::Scene;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::{ChangeKind, Header, VERSION};
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use cunlian_tests::member::{Member, key};
use cunlian_tests::world::{OTHER_VILLAGE, TOWN, VILLAGE, one_of_each, open_with, other_village};
use rusqlite::types::Value;

use super::later;
use super::world::{World, home, put};

const POPULATION: Category = Category::library(0, 0);
/// Of no kind that exists today. Who is certified by a program that has it may read it.
const LATER: Category = Category(0x2abc);

/// What a later version keeps.
struct Later;

impl Capability for Later {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind {
            first: LATER,
            last: LATER,
            name: "later",
            zh: "以后的数据",
            en: "data of later",
            sensitivity: Sensitivity::Open,
            attachments: Attachments::None,
        }]
    }

    fn sample(&self, _: u64, _: &Spot) -> Vec<Scene> {
        Vec::new()
    }
}

fn header(member: &Member, document: u32, seq: u64) -> Header {
    Header {
        version: VERSION,
        kind: ChangeKind::EDIT,
        home: home(POPULATION, VILLAGE, document),
        author: member.serial(),
        session: 9,
        seq,
        recorded_at_ms: super::world::START_MS,
    }
}

fn take_in(store: &Store, from: &Member, changes: &[Vec<u8>]) -> Vec<Fate> {
    let scope = store.authority().read_scope(&from.serial());
    let carried = |bytes: &Vec<u8>| Carried { bytes: bytes.clone(), reached: 0 };
    let request = StoreRequest::Ingest {
        from: from.serial(),
        scope,
        changes: changes.iter().map(carried).collect(),
        sender_tiers: 0,
        at_ms: super::world::START_MS,
    };
    match store.serve(request).unwrap() {
        StoreReply::Ingested { fates, .. } => fates.into_iter().map(|(_, fate)| fate).collect(),
        other => panic!("{other:?}"),
    }
}

/// Shows that changes of a later version, of an unknown kind and in an unknown category go from a
/// village through a town to the county byte for byte, although none of them understands them,
/// with their signatures and scopes checked; that documents beside them are shown as ever; and that
/// the document they belong to says that something in it waits.
#[test]
fn what_nobody_understands_is_passed_on() {
    let kinds = Kinds::built_in().with(&Later).unwrap();
    let county = Member::county_with(2, &kinds);
    let town = county.certify_with(3, Tier::Town, (TOWN, "高城镇"), &kinds);
    let village = town.certify_with(4, Tier::Village, (VILLAGE, "苑兴村"), &kinds);
    let mut world = World::new(1);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key()]);
    let author = village.author(1);
    world.write(
        at_village,
        &author,
        vec![
            put(POPULATION, VILLAGE, 1, "王建国"),
            put(POPULATION, VILLAGE, 2, "李四"),
            put(LATER, VILLAGE, 3, "of a category that is not there yet"),
        ],
    );
    let secret = key(4);
    let later_version = later::change(&header(&village, 1, 900), 7, 0, b"what this is", &secret);
    let later_kind = later::change(&header(&village, 5, 901), 1, 9, b"nobody knows", &secret);
    let both = later::change(&header(&village, 6, 902), 200, 99, &[0; 300], &secret);
    let changes = [later_version, later_kind, both];
    let store = world.nodes[at_village].store.clone();
    assert!(take_in(&store, &village, &changes).iter().all(|fate| *fate == Fate::Accepted));
    world.run(60_000);
    world.assert_equal(at_village, at_town);
    world.assert_equal(at_town, at_county);
    for at in [at_county, at_town, at_village] {
        let store = &world.nodes[at].store;
        let held = store
            .read(|connection| {
                let mut select = connection.prepare("SELECT bytes FROM change")?;
                let rows = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
                rows.collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
        assert!(changes.iter().all(|change| held.contains(change)), "at node {at}");
        let first = store.view(&home(POPULATION, VILLAGE, 1)).unwrap().unwrap();
        assert_eq!((first.fields["name"].current.text.as_str(), first.waiting), ("王建国", 1));
        let unread = store.view(&home(POPULATION, VILLAGE, 6)).unwrap().unwrap();
        assert!(unread.fields.is_empty() && unread.waiting == 1);
        let found = store.verify().unwrap();
        assert!(found.is_sound(), "{found:?}");
    }
}

/// Shows that what is not understood is no way around the checks: a broken signature, an author
/// without the right, and a home outside of the sender's scope are refused.
#[test]
fn what_is_not_understood_is_checked_all_the_same() {
    let [_, town, village] = one_of_each();
    let neighbour = other_village(&town);
    let mut world = World::new(1);
    let at = world.add(&town, &[]);
    let store = &world.nodes[at].store;
    for member in [&village, &neighbour] {
        assert_eq!(store.add_certificates(&member.identity.chain).unwrap(), Vec::<String>::new());
    }
    let good = header(&village, 1, 1);
    let mut broken = later::change(&good, 7, 0, b"x", &key(4));
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let by_neighbour = later::change(&header(&neighbour, 1, 1), 7, 0, b"x", &key(5));
    let elsewhere = Header { home: home(POPULATION, OTHER_VILLAGE, 1), ..header(&neighbour, 1, 2) };
    let elsewhere = later::change(&elsewhere, 7, 0, b"x", &key(5));
    let fates = take_in(store, &village, &[broken, by_neighbour, elsewhere]);
    let refused = |fate: &Fate| matches!(fate, Fate::Refused { .. });
    assert!(fates.iter().all(refused), "{fates:?}");
}

/// Shows that an erasure takes the payload of what is not understood away with the rest: it may be
/// personal data.
#[test]
fn an_erasure_takes_what_is_not_understood() {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let mut world = World::new(1);
    let at = world.add(&town, &[]);
    let home = home(POPULATION, VILLAGE, 1);
    world.write(at, &town.author(1), vec![put(POPULATION, VILLAGE, 1, "王建国")]);
    let store = &world.nodes[at].store;
    let later = later::change(&header(&town, 1, 900), 7, 0, b"canary of a person", &key(3));
    assert_eq!(take_in(store, &town, &[later]), [Fate::Accepted]);
    store.erase(&town.author(2), &[home], "asked for", super::world::START_MS).unwrap();
    let payloads = store
        .read(|connection| {
            let mut select = connection.prepare("SELECT bytes FROM change")?;
            let rows = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        })
        .unwrap();
    assert_eq!(payloads.len(), 3);
    assert!(!payloads.concat().windows(6).any(|bytes| bytes == b"canary"));
    let found = store.verify().unwrap();
    assert!(found.is_sound(), "{found:?}");
}

/// Shows steps that it knows, and counts those that it does not. A later version knows more.
struct Steps {
    version: u32,
    known: &'static [&'static str],
}

impl TableSet for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS step (
             category INTEGER, address TEXT, document BLOB, known INTEGER, unknown INTEGER,
             PRIMARY KEY (category, address, document)
         ) WITHOUT ROWID;"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["step"]
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        let known = |body: &str| self.known.contains(&body);
        let (known, unknown): (Vec<_>, Vec<_>) =
            view.operations.iter().partition(|operation| known(&operation.body));
        let values = vec![
            Value::from(i64::from(view.home.category.0)),
            Value::from(view.home.address.as_str().to_owned()),
            Value::from(view.home.document.0.to_vec()),
            Value::from(i64::try_from(known.len()).unwrap()),
            Value::from(i64::try_from(unknown.len()).unwrap()),
        ];
        vec![Row { table: "step", values }]
    }
}

/// Shows that an operation which a program does not know is kept, and understood after the update
/// of the program: its projections are made anew from the log.
#[test]
fn what_was_kept_is_understood_after_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let county = Member::county(2);
    let open = |version, known| {
        let projector = Arc::new(Steps { version, known });
        open_with(dir.path(), &county, projector, StoreOptions::default())
    };
    let counted = |store: &Store| {
        let sql = "SELECT known, unknown FROM step";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?));
        store.read(|connection| connection.query_row(sql, [], read)).unwrap()
    };
    let store = open(1, &["report"]);
    let edits = ["report", "hover"].map(|body| Edit::Append { body: body.to_owned() }).to_vec();
    let home = home(Category::TICKET, VILLAGE, 1);
    let write = Write { home, edits, source: "later".to_owned(), task: String::new() };
    store.write(&county.author(1), vec![write], super::world::START_MS).unwrap();
    assert_eq!(counted(&store), (1, 1));
    drop(store);
    let store = open(2, &["report", "hover"]);
    assert_eq!(counted(&store), (2, 0));
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that a program which interprets later changes than the one before it looks again at what
/// waits and makes its projections anew: it finds a store that the older one had left, with a
/// document counted as waiting and no rows of it.
#[test]
fn a_later_program_looks_again_at_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let county = Member::county(2);
    let open = || {
        let projector = Arc::new(Steps { version: 1, known: &["report"] });
        open_with(dir.path(), &county, projector, StoreOptions::default())
    };
    let store = open();
    let edits = vec![Edit::Append { body: "report".to_owned() }];
    let home = home(Category::TICKET, VILLAGE, 1);
    let write = Write { home, edits, source: "later".to_owned(), task: String::new() };
    store.write(&county.author(1), vec![write], super::world::START_MS).unwrap();
    let as_before = |connection: &rusqlite::Connection| {
        let older = vec![VERSION - 1];
        connection.execute("UPDATE meta SET value = ?1 WHERE name = 'understood'", [older])?;
        connection.execute("UPDATE document SET waiting = 1", [])?;
        connection.execute("DELETE FROM step", [])
    };
    store.write_reference(as_before).unwrap();
    drop(store);
    let store = open();
    let rows = |sql: &'static str| {
        store.read(|connection| connection.query_row(sql, [], |row| row.get::<_, u32>(0))).unwrap()
    };
    assert_eq!(rows("SELECT waiting FROM document"), 0);
    assert_eq!(rows("SELECT known FROM step"), 1);
    assert!(store.verify().unwrap().is_sound());
}

//! The domain on the real store: generated libraries, tickets signed by several authors, concurrent
//! edits, and tables that are equal wherever the documents are.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::projector::Projector as _;
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::catalogue::Catalogue;
use cunlian_governance::generator::{Generator, Role, STORY_VILLAGE};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_governance::query::{self, ticket::Filter};
use cunlian_governance::record::{self, Fields, Origin, Place};
use cunlian_governance::ticket::{self, Action, Assignee, State, Verb};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use rusqlite::types::Value;

const NOW_MS: i64 = 1_783_735_200_000;

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The certificate of an author under the root key 1.
fn certificate(seed: u8, name: &str, tier: Tier, region: &str, rights: Rights) -> Vec<u8> {
    let body = CertificateBody {
        subject: public_key(&key(seed)),
        name: name.to_owned(),
        kind: AuthorKind::Node,
        tier,
        grants: vec![Grant {
            region: Region::subtree(code(region)),
            document: None,
            categories: CategorySet::all(),
            rights,
            delegable: Rights::NONE,
        }],
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: None,
    };
    Certificate::issue(&body, &key(1))
}

/// A store of the town or the village, both knowing both certificates.
struct Node {
    store: Store,
    author: Author,
    _dir: tempfile::TempDir,
}

const TOWN: u8 = 2;
const VILLAGE: u8 = 3;

fn node(seed: u8) -> Node {
    let read_write = Rights::READ.with(Rights::WRITE);
    let town_rights = read_write.with(Rights::ASSIGN);
    let town = certificate(TOWN, "高城镇", Tier::Town, "370322102", town_rights);
    let village = certificate(VILLAGE, "苑兴村", Tier::Village, STORY_VILLAGE, read_write);
    let own = Serial::of(if seed == TOWN { &town } else { &village });
    let dir = tempfile::tempdir().unwrap();
    let chain = vec![if seed == TOWN { town.clone() } else { village.clone() }];
    let identity = StoreIdentity { root: public_key(&key(1)), own: Some(own), chain };
    let options = StoreOptions::default();
    let store = Store::open(dir.path(), Arc::new(GovernanceProjector), identity, options).unwrap();
    assert_eq!(store.add_certificates(&[town, village]).unwrap(), Vec::<String>::new());
    let author = Author { serial: own, key: key(seed), session: u64::from(seed) };
    Node { store, author, _dir: dir }
}

impl Node {
    fn write(&self, writes: Vec<Write>, at_ms: i64) {
        self.store.write(&self.author, writes, at_ms).unwrap();
    }

    /// Brings all changes of these documents to `other`, the last first.
    fn send(&self, homes: &BTreeSet<Home>, other: &Self) {
        let mut changes: Vec<Carried> = Vec::new();
        for home in homes {
            for change in self.store.changes_of(home).unwrap() {
                changes.push(Carried { bytes: change.bytes().to_vec(), reached: 0 });
            }
        }
        changes.reverse();
        let request = StoreRequest::Ingest {
            from: self.author.serial,
            scope: Scope::everything(),
            changes,
            sender_tiers: 0,
        };
        let StoreReply::Ingested { fates } = other.store.serve(request).unwrap() else {
            panic!("an ingest is answered by fates")
        };
        for (_, fate) in fates {
            assert!(matches!(fate, Fate::Accepted | Fate::Known), "{fate:?}");
        }
    }

    /// Every row of every projection table.
    fn tables(&self) -> Vec<Vec<Vec<Value>>> {
        let dump = |table: &&str| {
            self.store
                .read(|connection| {
                    let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3, 4");
                    let mut statement = connection.prepare(&sql)?;
                    let columns = statement.column_count();
                    let rows = statement
                        .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
                    rows.collect()
                })
                .unwrap()
        };
        GovernanceProjector.tables().iter().map(dump).collect()
    }
}

fn homes(writes: &[Write]) -> BTreeSet<Home> {
    writes.iter().map(|write| write.home).collect()
}

/// Shows that a generated library, directory and tickets pass the store's checks, are counted
/// exactly, give the same tables after a rebuild, and the same again at a node that got the
/// changes in another order.
#[test]
fn equal_documents_give_equal_tables() {
    let (town, village) = (node(TOWN), node(VILLAGE));
    let generator = Generator::new(11);
    let mut writes: Vec<Write> = generator.records(code(STORY_VILLAGE), 600).flatten().collect();
    writes.extend(generator.directory(code(STORY_VILLAGE)));
    let mut sent = homes(&writes);
    village.write(writes, NOW_MS);
    for case in generator.story(NOW_MS) {
        for scene in case.scenes {
            sent.insert(scene.write.home);
            let signer = if scene.role == Role::Dispatcher { &town } else { &village };
            let home = BTreeSet::from([scene.write.home]);
            signer.write(vec![scene.write], scene.at_ms);
            village.send(&home, &town);
            town.send(&home, &village);
        }
    }
    village.send(&sent, &town);
    let counts = village
        .store
        .read(|connection| query::region::counts_by_class(connection, code("370322102")))
        .unwrap();
    assert_eq!(counts.iter().map(|class| class.documents).sum::<u64>(), 600);
    let queue = village
        .store
        .read(|connection| query::ticket::list(connection, &Filter::open(code("370322102"))))
        .unwrap();
    let groups = query::ticket::grouped(queue);
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [3], "the three families");
    let before = village.tables();
    village.store.rebuild_projections().unwrap();
    assert_eq!(village.tables(), before);
    assert_eq!(town.tables(), before);
}

/// Shows that one field edited on both sides of a cut line keeps both values at both nodes with
/// who wrote them, that the rest of the record is merged, and that a resolution settles it.
#[test]
fn concurrent_edits_keep_both_values() {
    let (town, village) = (node(TOWN), node(VILLAGE));
    let catalogue = Catalogue::built_in();
    let class = catalogue.class("population").unwrap();
    let place = Place { address: code(STORY_VILLAGE), record: DocumentId([5; 16]) };
    let origin = Origin { source: "form".to_owned(), task: String::new() };
    let fields = |pairs: &[(&str, &str)]| -> Fields {
        pairs.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect()
    };
    let first = fields(&[("name", "苑丽"), ("sex", "女"), ("residence", "常住")]);
    let writes = record::register(&catalogue, "population", place, &first, &origin).unwrap();
    let home = homes(&writes);
    village.write(writes, NOW_MS);
    village.send(&home, &town);
    let edit = |pairs: &[(&str, &str)]| {
        record::edit(&catalogue, "population", place, &first, &fields(pairs), &origin).unwrap()
    };
    village.write(edit(&[("residence", "外出")]), NOW_MS + 1);
    town.write(edit(&[("residence", "空挂户"), ("education", "高中")]), NOW_MS + 2);
    village.send(&home, &town);
    town.send(&home, &village);
    let read = |node: &Node| {
        let found = node.store.read(|connection| query::record::record(connection, class, place));
        found.unwrap().unwrap()
    };
    let seen = read(&village);
    assert_eq!(seen, read(&town));
    assert_eq!(seen.fields().get("education").map(String::as_str), Some("高中"));
    let conflicts = &seen.parts.first().unwrap().conflicts;
    let values: BTreeSet<(&str, &str)> = conflicts
        .iter()
        .flat_map(|conflict| &conflict.options)
        .map(|option| (option.text.as_str(), option.author.as_str()))
        .collect();
    assert_eq!(values, BTreeSet::from([("外出", "苑兴村"), ("空挂户", "高城镇")]));
    let settled =
        record::resolve(&catalogue, "population", place, "residence", "外出", &origin).unwrap();
    village.write(settled, NOW_MS + 3);
    village.send(&home, &town);
    for node in [&village, &town] {
        let seen = read(node);
        assert_eq!(seen.fields().get("residence").map(String::as_str), Some("外出"));
        assert!(seen.parts.iter().all(|part| part.conflicts.is_empty()));
    }
}

/// Shows that an assignment signed by the village, which may not assign, is stored and shown at
/// the town and changes nothing there.
#[test]
fn an_assignment_without_the_right_is_not_taken() {
    let (town, village) = (node(TOWN), node(VILLAGE));
    let case = Generator::new(2).story(NOW_MS).into_iter().nth(1).unwrap();
    let home = case.scenes.first().unwrap().write.home;
    for scene in case.scenes {
        village.write(vec![scene.write], scene.at_ms);
    }
    let act = |action: &Action| {
        let view = village.store.view(&home).unwrap().unwrap();
        let ticket = ticket::fold(&view, &village.store.authority());
        village.write(vec![ticket.act(action, "terminal").unwrap()], NOW_MS);
    };
    act(&Action::Accept { kind: ticket::Kind::Policy });
    let to = Assignee { name: "自己".to_owned(), address: home.address };
    act(&Action::Assign { to });
    village.send(&BTreeSet::from([home]), &town);
    let row = town.store.read(|connection| query::ticket::one(connection, case.document));
    let row = row.unwrap().unwrap();
    assert_eq!((row.state, row.assignee), (State::Accepted, None));
    let trace = town.store.read(|connection| query::ticket::trace(connection, &home)).unwrap();
    let last = trace.last().unwrap();
    assert_eq!((last.handler.as_str(), last.outcome.as_str()), ("苑兴村", "no_right"));
    let view = town.store.view(&home).unwrap().unwrap();
    assert!(ticket::fold(&view, &town.store.authority()).allows(Verb::Assign));
}

//! The domain on the real store: generated libraries, tickets signed by several authors, concurrent
//! edits, and tables that are equal wherever the documents are.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::projector::Projector as _;
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::access::reader::Reader;
use cunlian_governance::generator::{Generator, Role, STORY_VILLAGE};
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_governance::library::{Fields, Origin, Place, query as records, record, relocation};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_governance::query;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_governance::ticket::{self, Action, Assignee, Body, State, Ticket, Verb};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::public_key;
use cunlian_protocol::sync::Carried;
use cunlian_tests::member::key;
use cunlian_tests::world::take;
use rusqlite::types::Value;

const NOW_MS: i64 = 1_783_735_200_000;

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
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
const LEADER: u8 = 4;

fn node(seed: u8) -> Node {
    let read_write = Rights::READ.with(Rights::WRITE);
    let town_rights = read_write.with(Rights::ASSIGN);
    let town = certificate(TOWN, "高城镇", Tier::Town, "370322102", town_rights);
    let village = certificate(VILLAGE, "苑兴村", Tier::Village, STORY_VILLAGE, read_write);
    let leader = leader();
    let chain = vec![match seed {
        TOWN => town.clone(),
        LEADER => leader.clone(),
        _ => village.clone(),
    }];
    let own = Serial::of(chain.first().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { root: public_key(&key(1)), own: Some(own), chain };
    let options = StoreOptions::default();
    let store = Store::open(dir.path(), Arc::new(GovernanceProjector), identity, options).unwrap();
    assert_eq!(store.add_certificates(&[town, village, leader]).unwrap(), Vec::<String>::new());
    let author = Author { serial: own, key: key(seed), session: u64::from(seed) };
    Node { store, author, _dir: dir }
}

impl Node {
    fn write(&self, writes: Vec<Write>, at_ms: i64) {
        self.store.write(&self.author, writes, at_ms).unwrap();
    }

    /// Brings all changes of these documents to `other`, the last first.
    fn send(&self, homes: &BTreeSet<Home>, other: &Self) {
        let mut changes = self.changes(homes);
        changes.reverse();
        other.take(self.author.serial, changes);
    }

    fn changes(&self, homes: &BTreeSet<Home>) -> Vec<Carried> {
        let mut changes: Vec<Carried> = Vec::new();
        for home in homes {
            for change in self.store.changes_of(home).unwrap() {
                changes.push(Carried { bytes: change.bytes().to_vec(), reached: 0 });
            }
        }
        changes
    }

    /// Takes in changes in this order.
    fn take(&self, from: Serial, changes: Vec<Carried>) {
        take(&self.store, from, changes);
    }

    fn ticket(&self, home: &Home) -> Ticket {
        let view = self.store.view(home).unwrap().unwrap();
        ticket::fold(&view, &self.store.authority())
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
        .read(|connection| {
            query::region::counts_by_class(connection, &Reader::everything(), code("370322102"))
        })
        .unwrap();
    assert_eq!(counts.iter().map(|class| class.documents).sum::<u64>(), 600);
    let queue = village
        .store
        .read(|connection| {
            tickets::list(connection, &Reader::everything(), &Filter::open(code("370322102")))
        })
        .unwrap();
    let groups = tickets::grouped(queue);
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
        let found = node.store.read(|connection| records::record(connection, class, place));
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
    let row = town.store.read(|connection| tickets::one(connection, case.document));
    let row = row.unwrap().unwrap();
    assert_eq!((row.state, row.assignee), (State::Accepted, None));
    let trace = town.store.read(|connection| tickets::trace(connection, &home)).unwrap();
    let last = trace.last().unwrap();
    assert_eq!((last.handler.as_str(), last.outcome.as_str()), ("苑兴村", "no_right"));
    let view = town.store.view(&home).unwrap().unwrap();
    assert!(ticket::fold(&view, &town.store.authority()).allows(Verb::Assign));
}

/// One move in a random story of a ticket.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// The node with this number does the thing with this number.
    Act(usize, u8),
    /// One node tells another all it knows.
    Tell(usize, usize),
}

/// What a leader had before them when they signed: the steps that counted, and the fields with
/// the changes that wrote them.
type Read = (Vec<ChangeId>, BTreeMap<String, Vec<(String, ChangeId)>>);

fn read(node: &Node, home: &Home) -> Read {
    let counts = |body: &Body| match body {
        Body::Known(action) => !matches!(action.verb(), Verb::Rate | Verb::Note | Verb::SignOff),
        Body::Unknown(_) => false,
    };
    let ticket = node.ticket(home);
    let steps = ticket.trace.iter().filter(|step| step.outcome.as_str() == "taken");
    let steps = steps.filter(|step| counts(&step.body)).map(|step| step.change).collect();
    let view = node.store.view(home).unwrap().unwrap();
    let fields = view.fields.into_iter().map(|(name, field)| {
        let values = std::iter::once(field.current).chain(field.others);
        (name, values.map(|value| (value.text, value.writer.change)).collect())
    });
    (steps, fields.collect())
}

/// Does the thing with this number, if the ticket as this node knows it allows it; one in three
/// of those it does not allow is written all the same, as a faulty program would.
fn play(node: &Node, home: &Home, what: u8, at_ms: i64) -> Option<(ChangeId, Read)> {
    let text = || format!("第 {at_ms} 步");
    let ticket = node.ticket(home);
    let action = match what % 12 {
        0 | 1 => Action::Accept { kind: ticket::Kind::Service },
        2 => {
            let to = Assignee { name: "村委会".to_owned(), address: home.address };
            Action::Assign { to }
        }
        3 => Action::Handle { text: text() },
        4 | 5 => Action::Feedback { text: text(), photos: Vec::new() },
        6 => Action::AskMore { text: text() },
        7 => Action::Return { reason: text() },
        8 => Action::Rate { stars: 4, text: String::new() },
        9 => Action::Note { text: text() },
        _ => ticket.signing(""),
    };
    if what == 35 {
        let edit = Edit::Put { field: "remark".to_owned(), text: text() };
        let write =
            Write { home: *home, edits: vec![edit], source: String::new(), task: String::new() };
        node.write(vec![write], at_ms);
        return None;
    }
    let is_signing = action.verb() == Verb::SignOff;
    let seen = read(node, home);
    let write = match ticket.act(&action, "test") {
        Ok(write) => write,
        Err(_) if what.is_multiple_of(3) && !is_signing => action.write(*home, "test"),
        Err(_) => return None,
    };
    let ids = node.store.write(&node.author, vec![write], at_ms).unwrap();
    let by_leader = node.author.serial == Serial::of(&leader());
    (is_signing && by_leader).then(|| (*ids.first().unwrap(), seen))
}

fn leader() -> Vec<u8> {
    let signing = Rights::READ.with(Rights::WRITE).with(Rights::SIGN_OFF);
    certificate(LEADER, "孙镇长", Tier::Town, "370322102", signing)
}

/// Shows, for stories of three offices that act and tell each other in any order: every node that
/// has all of it comes to the same ticket and the same tables in whatever order it came, and a
/// sign-off stands exactly when the steps that count and the fields are those that were signed.
#[test]
fn sign_offs_are_the_same_at_every_node() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let moves = prop_oneof![
        3 => (0_usize..3, 0_u8..36).prop_map(|(node, what)| Move::Act(node, what)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(from, to)| Move::Tell(from, to)),
    ];
    let stories =
        (proptest::collection::vec(moves, 8..40), proptest::collection::vec(any::<u64>(), 64));
    let seen = std::cell::Cell::new((0, 0));
    // The same stories each time: at the end some sign-offs must have stood and some not.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::with_cases(48), rng);
    let outcome = runner.run(&stories, |(moves, order)| {
        let nodes = [node(TOWN), node(VILLAGE), node(LEADER)];
        let [_, village, _] = &nodes;
        let case = Generator::new(2).story(NOW_MS).into_iter().nth(1).unwrap();
        let home = case.scenes.first().unwrap().write.home;
        let homes = BTreeSet::from([home]);
        let first = case.scenes.into_iter().next().unwrap();
        village.write(vec![first.write], first.at_ms);
        for other in &nodes {
            village.send(&homes, other);
        }
        let mut signed: BTreeMap<ChangeId, Read> = BTreeMap::new();
        for (minute, step) in (1..).zip(moves) {
            match step {
                Move::Act(by, what) => {
                    let node = nodes.get(by).unwrap();
                    signed.extend(play(node, &home, what, NOW_MS + minute * 60_000));
                }
                Move::Tell(from, to) => {
                    nodes.get(from).unwrap().send(&homes, nodes.get(to).unwrap());
                }
            }
        }
        let mut all: BTreeMap<Vec<u8>, Carried> = BTreeMap::new();
        for node in &nodes {
            let changes = node.changes(&homes);
            all.extend(changes.into_iter().map(|change| (change.bytes.clone(), change)));
        }
        let mut changes: Vec<Carried> = all.into_values().collect();
        let late = node(VILLAGE);
        late.take(village.author.serial, changes.clone());
        for (at, swap) in (0..changes.len()).zip(&order) {
            let other = usize::try_from(swap % 1_000).unwrap() % changes.len();
            changes.swap(at, other);
        }
        let other = node(TOWN);
        for change in changes {
            other.take(village.author.serial, vec![change]);
        }
        let ticket = late.ticket(&home);
        prop_assert_eq!(&other.ticket(&home), &ticket);
        prop_assert_eq!(other.tables(), late.tables());
        let now = read(&late, &home);
        prop_assert_eq!(ticket.sign_offs.len(), signed.len(), "each is kept and shown");
        for sign_off in &ticket.sign_offs {
            let stands = sign_off.standing.stands();
            prop_assert_eq!(stands, signed.get(&sign_off.change) == Some(&now));
            let (standing, void) = seen.get();
            seen.set((standing + u32::from(stands), void + u32::from(!stands)));
        }
        Ok(())
    });
    outcome.unwrap();
    let (standing, void) = seen.get();
    assert!(standing > 0 && void > 0, "{standing} sign-offs stood, {void} were voided");
}

/// Shows that a move is saved as a whole or not at all: where one of its documents may not be
/// written, nothing of it is there, also after a restart.
#[test]
fn a_move_is_all_or_nothing() {
    let village = node(VILLAGE);
    let catalogue = Catalogue::built_in();
    let class = catalogue.class("population").unwrap();
    let from = Place { address: code(STORY_VILLAGE), record: DocumentId([5; 16]) };
    let fields: Fields = [("name", "苑丽"), ("sex", "女"), ("phone", "13800138000")]
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .into();
    let origin = Origin::default();
    let writes = record::register(&catalogue, "population", from, &fields, &origin).unwrap();
    village.write(writes, NOW_MS);
    let before = village.tables();
    let homes = [Part::Base, Part::Contact].map(|part| class.home(part, from.address, from.record));
    let views = homes.map(|home| village.store.view(&home).unwrap().unwrap());
    let [base, contact] = &views;
    let parts = [(Part::Base, base), (Part::Contact, contact)];
    let to = code("370322102203");
    let (_, writes) = relocation::relocate(class, from, to, &parts, &origin).unwrap();
    assert_eq!(writes.len(), 4);
    village.store.write(&village.author, writes.clone(), NOW_MS).unwrap_err();
    let mut turned = writes;
    turned.reverse();
    village.store.write(&village.author, turned, NOW_MS).unwrap_err();
    assert_eq!(village.tables(), before);
    village.store.rebuild_projections().unwrap();
    assert_eq!(village.tables(), before);
}

//! A capability that lives here alone: tools that a village lends out, with who has them as a part
//! that only some may read. It is registered from outside, without a line in any other crate, and is
//! granted, refused, written, projected, searched, in conflict, reviewed, erased, bundled and played
//! by the simulator like those of the program.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use cunlian_crdt::document::{Author, DocumentView, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Fault, Store, StoreIdentity, StoreOptions, WriteError};
use cunlian_governance::access::preset;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::capabilities::{Capabilities, Kinds};
use cunlian_governance::capability::{
    Attachments, Capability, Kind, Sensitivity, Spot, Subject, Whole, sample,
};
use cunlian_governance::generator::{Role, Scene};
use cunlian_governance::language::Language;
use cunlian_governance::query;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{Authority, Refusal};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_tests::member::Member;
use cunlian_tests::sim;
use cunlian_tests::world::place::{NOW_MS, Place};
use cunlian_tests::world::{TOWN, VILLAGE};
use rusqlite::types::Value;

const TOOL: Category = Category(0x4000);
const HOLDER: Category = Category(0x4001);

const fn kind(
    category: Category,
    name: &'static str,
    zh: &'static str,
    en: &'static str,
    sensitivity: Sensitivity,
) -> Kind {
    let attachments = Attachments::None;
    Kind { first: category, last: category, name, zh, en, sensitivity, attachments }
}

static KINDS: [Kind; 2] = [
    kind(TOOL, "tool", "公用工具", "tools to lend", Sensitivity::Open),
    kind(HOLDER, "tool.holder", "工具借用人", "who has a tool", Sensitivity::Closed),
];

struct Tools;

impl Capability for Tools {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&ToolTables]
    }

    fn whole(&self, store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
        let Some(tool) = tool_of(store, home)? else { return Ok(None) };
        let mut whole = Whole::default();
        for home in [tool, holder_of(&tool)] {
            match store.view(&home)?.filter(|view| view.erased.is_none()) {
                Some(_) => whole.homes.push(home),
                None => whole.missing.push(home.category),
            }
        }
        Ok(Some(whole))
    }

    fn subject(&self, store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
        let Some(tool) = tool_of(store, home)? else { return Ok(None) };
        let view = store.view(&tool)?;
        let title = view.and_then(|view| self.title(&view)).unwrap_or_default();
        Ok(Some(Subject { home: tool, title }))
    }

    fn title(&self, view: &DocumentView) -> Option<String> {
        view.fields.get("name").map(|field| field.current.text.clone())
    }

    fn titled(&self) -> CategorySet {
        CategorySet::of([TOOL, HOLDER])
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        let names = ["水泵", "梯子", "喷雾器"];
        let tools = sample::lines(seed, spot, Role::Village, TOOL, "name", &names);
        let lent = |tool: Scene| {
            let holder = holder_of(&tool.write.home).document;
            let holder = sample::fields(spot, Role::Village, HOLDER, holder, &[("name", "苑大明")]);
            [tool, holder]
        };
        tools.into_iter().flat_map(lent).collect()
    }
}

/// Who has a tool is in a document whose id is made from that of the tool.
fn holder_of(tool: &Home) -> Home {
    Home { category: HOLDER, document: tool.document.part(HOLDER), ..*tool }
}

fn tool_of(store: &Store, home: &Home) -> Result<Option<Home>, Fault> {
    let prefix = KeyPrefix::region(TOOL, &Region::exact(home.address));
    let tools = store.documents(&prefix, 1_000)?;
    Ok(tools.into_iter().find(|tool| tool == home || holder_of(tool) == *home))
}

struct ToolTables;

impl TableSet for ToolTables {
    fn name(&self) -> &'static str {
        "tool"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS tool (category INTEGER NOT NULL, address TEXT NOT NULL,
            document BLOB NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (category, address, document)) WITHOUT ROWID;"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["tool"]
    }

    fn takes(&self, category: Category) -> bool {
        category == TOOL
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        let Some(name) = view.fields.get("name") else { return Vec::new() };
        let values = vec![
            Value::from(i64::from(view.home.category.0)),
            Value::from(view.home.address.as_str().to_owned()),
            Value::from(view.home.document.0.to_vec()),
            Value::from(name.current.text.clone()),
        ];
        vec![Row { table: "tool", values }]
    }
}

fn village_of() -> AddressCode {
    AddressCode::parse(VILLAGE).unwrap()
}

fn home(category: Category, number: u8) -> Home {
    Home { category, address: village_of(), document: DocumentId([number; 16]) }
}

/// A certificate under the root key 1.
fn certificate(seed: u8, tier: Tier, grants: Vec<Grant>) -> Vec<u8> {
    let body = CertificateBody {
        subject: public_key(&SigningKey::from_bytes(&[seed; 32])),
        name: format!("节点{seed}"),
        kind: AuthorKind::Node,
        tier,
        grants,
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: None,
    };
    Certificate::issue(&body, &SigningKey::from_bytes(&[1; 32]))
}

fn author(seed: u8, certificate: &[u8]) -> Author {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Author { serial: Serial::of(certificate), key, session: u64::from(seed) }
}

fn put(home: Home, field: &str, text: &str) -> Write {
    let edits = vec![Edit::Put { field: field.to_owned(), text: text.to_owned() }];
    Write { home, edits, source: "test".to_owned(), task: String::new() }
}

/// Shows that a kind from outside has names and grants like the others: its own village works on
/// it, a county reads what is open of it and not what is closed, and a program without it grants
/// none of it.
#[test]
fn kinds_from_outside_are_named_and_granted() {
    let kinds = Kinds::built_in().with(&Tools).unwrap();
    assert_eq!(kinds.text(HOLDER, Language::Chinese), "工具借用人");
    assert!(kinds.clone().with(&Tools).is_err(), "not twice");
    let county = AddressCode::parse("370322").unwrap();
    let may = |kinds: &Kinds, tier, region, category, rights| {
        let grants = preset::grants(kinds, tier, region);
        grants.iter().any(|grant| {
            grant.categories.contains(category)
                && grant.rights.contains(rights)
                && grant.region.contains_address(&village_of())
        })
    };
    for (tier, region, open, closed) in
        [(Tier::Village, village_of(), true, true), (Tier::County, county, true, false)]
    {
        assert_eq!(may(&kinds, tier, region, TOOL, Rights::READ), open, "{tier:?}");
        assert_eq!(may(&kinds, tier, region, HOLDER, Rights::READ), closed, "{tier:?}");
        assert!(!may(&Kinds::built_in(), tier, region, TOOL, Rights::READ), "{tier:?}");
    }
}

/// Shows that its documents are written by who was granted them and refused from who was not, are
/// in its tables and in those over all kinds, are erased with a trace, and verify.
#[test]
fn documents_from_outside_are_written_projected_and_erased() {
    let kinds = Kinds::built_in().with(&Tools).unwrap();
    let granted =
        certificate(2, Tier::Village, preset::grants(&kinds, Tier::Village, village_of()));
    let older = preset::grants(&Kinds::built_in(), Tier::Village, village_of());
    let without = certificate(3, Tier::Village, older);
    let dir = tempfile::tempdir().unwrap();
    let identity = StoreIdentity {
        root: public_key(&SigningKey::from_bytes(&[1; 32])),
        own: Some(Serial::of(&granted)),
        chain: vec![granted.clone()],
    };
    let projector = Arc::new(Capabilities::built_in().with(&Tools).unwrap());
    let store = Store::open(dir.path(), projector, identity, StoreOptions::default()).unwrap();
    store.add_certificates(&[granted.clone(), without.clone()]).unwrap();
    let (clerk, stranger) = (author(2, &granted), author(3, &without));
    let names = || -> Vec<String> {
        let read = |connection: &rusqlite::Connection| {
            let mut select = connection.prepare("SELECT name FROM tool ORDER BY name")?;
            let rows = select.query_map([], |row| row.get(0))?;
            rows.collect()
        };
        store.read(read).unwrap()
    };
    let writes = vec![
        put(home(TOOL, 1), "name", "水泵"),
        put(home(TOOL, 2), "name", "梯子"),
        put(home(HOLDER, 1), "name", "苑大明"),
    ];
    store.write(&clerk, writes, NOW_MS).unwrap();
    assert_eq!(names(), ["梯子", "水泵"]);
    let refused = store.write(&stranger, vec![put(home(TOOL, 3), "name", "锯")], NOW_MS);
    assert!(matches!(refused, Err(WriteError::Refused(Refusal::NoGrant { .. }))), "{refused:?}");
    store.erase(&clerk, &[home(TOOL, 1)], "已报废", NOW_MS).unwrap();
    assert_eq!(names(), ["梯子"]);
    let erased = "SELECT reason FROM erasure";
    let reason: String =
        store.read(|connection| connection.query_row(erased, [], |row| row.get(0))).unwrap();
    assert_eq!(reason, "已报废");
    assert!(store.verify().unwrap().is_sound());
}

/// What a program with this capability can do.
fn capabilities() -> Capabilities {
    Capabilities::built_in().with(&Tools).unwrap()
}

/// A node of a program with this capability, and its store.
fn desk(member: &Member, known: &[&Member]) -> Place {
    let place = Place::open_with(member, Arc::new(capabilities()), StoreOptions::default());
    for other in known {
        place.knows(other);
    }
    place
}

fn reader(at: &Place, of: &Member) -> Reader {
    Reader::of(&at.store.authority(), &of.serial())
}

/// A bundle with all that `to` may read, taken in there.
fn bundle(from: &Place, to: &Place) {
    to.import(&from.bundle_for(to)).unwrap();
}

/// County, town and village, each with a program that has this capability.
fn offices() -> [Place; 3] {
    let capabilities = capabilities();
    let kinds = capabilities.kinds();
    let county = Member::county_with(2, kinds);
    let town = county.certify_with(3, Tier::Town, (TOWN, "高城镇"), kinds);
    let village = town.certify_with(4, Tier::Village, (VILLAGE, "苑兴村"), kinds);
    let known = [&county, &town, &village];
    known.map(|member| desk(member, &known))
}

/// Shows that tools are found by name, pinyin and initials, who has them by those alone who may
/// read it, and that a bundle carries of both what its receiver may read.
#[test]
fn it_is_bundled_and_found_by_who_may_read_it() {
    let [county, town, village] = offices();
    let tool = home(TOOL, 1);
    village.save(vec![
        put(tool, "name", "水泵"),
        put(holder_of(&tool), "name", "苑大明"),
        put(home(TOOL, 2), "name", "梯子"),
    ]);
    bundle(&village, &county);
    bundle(&village, &town);
    let found = |at: &Place, who: &Member, text: &str| -> Vec<(Category, String)> {
        let reader = reader(at, who);
        let hits = at
            .store
            .read(|connection| query::title::search(connection, &reader, village_of(), text, 10));
        hits.unwrap().into_iter().map(|hit| (hit.home.category, hit.title)).collect()
    };
    let pump = vec![(TOOL, "水泵".to_owned())];
    for text in ["水泵", "泵", "shuib", "sb"] {
        assert_eq!(found(&town, &town.member, text), pump, "{text}");
        assert_eq!(found(&county, &county.member, text), pump, "{text}");
    }
    let holder = vec![(HOLDER, "苑大明".to_owned())];
    assert_eq!(found(&town, &town.member, "yuand"), holder);
    assert_eq!(found(&town, &county.member, "yuand"), [], "the county reads nothing closed");
    assert_eq!(county.store.view(&holder_of(&tool)).unwrap(), None);
    assert_eq!(found(&town, &town.member, "").len(), 3);
    for desk in [&county, &town, &village] {
        assert!(desk.store.verify().unwrap().is_sound());
    }
}

/// Shows that two who wrote who has a tool are in the inbox of who may read it, under the tool, and
/// that settling it empties the inbox.
#[test]
fn its_conflicts_are_in_the_inbox() {
    let [county, town, village] = offices();
    let (tool, holder) = (home(TOOL, 1), holder_of(&home(TOOL, 1)));
    village.save(vec![put(tool, "name", "水泵"), put(holder, "name", "苑大明")]);
    bundle(&village, &town);
    village.save(vec![put(holder, "name", "苑丽")]);
    town.save(vec![put(holder, "name", "苑强")]);
    bundle(&village, &town);
    let inbox = |who: &Member| {
        let reader = reader(&town, who);
        town.store
            .read(|connection| query::conflict::list(connection, &reader, village_of(), 10))
            .unwrap()
    };
    let conflicts = inbox(&town.member);
    let [conflict] = conflicts.as_slice() else { panic!("one conflict: {conflicts:?}") };
    let texts: BTreeSet<&str> = conflict.options.iter().map(|o| o.text.as_str()).collect();
    assert_eq!((conflict.home, texts), (holder, BTreeSet::from(["苑丽", "苑强"])));
    let subject = capabilities().subject(&town.store, &conflict.home).unwrap().unwrap();
    assert_eq!(subject, Subject { home: tool, title: "水泵".to_owned() });
    assert_eq!(inbox(&county.member), []);
    town.save(vec![put(holder, "name", "苑丽")]);
    assert_eq!(inbox(&town.member), []);
}

/// Shows that what somebody wrote who was revoked is to be reviewed under the tool it is of, and
/// that a decision ends it.
#[test]
fn it_is_reviewed_after_a_revocation() {
    let [_, town, village] = offices();
    let (clerk, chain) = village.member.operator(9, "借用管理员");
    village.store.add_certificates(&chain).unwrap();
    let (tool, holder) = (home(TOOL, 1), holder_of(&home(TOOL, 1)));
    village.save(vec![put(tool, "name", "水泵")]);
    let fallen = village.store.write(&clerk, vec![put(holder, "name", "苑大明")], NOW_MS).unwrap();
    let [fallen] = fallen.as_slice() else { panic!("one change: {fallen:?}") };
    village.save(vec![put(holder, "note", "周五归还")]);
    let body = RevocationBody {
        own: Standing { serial: clerk.serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "离岗".to_owned(),
        issuer: Some(village.member.serial()),
    };
    let revocation = body.sign(&village.member.identity.key);
    assert_eq!(village.store.add_revocations(&[revocation]).unwrap(), Vec::<String>::new());
    let entries = village.store.to_review(None, 10).unwrap();
    let [entry] = entries.as_slice() else { panic!("one change: {entries:?}") };
    assert_eq!((entry.home, entry.tainted.writer.change), (holder, *fallen));
    let subject = capabilities().subject(&village.store, &entry.home).unwrap().unwrap();
    assert_eq!((subject.home, subject.title.as_str()), (tool, "水泵"));
    let edits = vec![Edit::Review { change: *fallen, keep: true }];
    village.save(vec![Write { edits, ..put(holder, "", "") }]);
    assert_eq!(village.store.to_review(None, 10).unwrap(), []);
    assert!(village.store.verify().unwrap().is_sound() && town.store.verify().unwrap().is_sound());
}

/// Shows that a person's right to deletion takes tool and holder together, from either of them, and
/// says what of it is not here.
#[test]
fn it_is_erased_as_a_whole() {
    let [_, _, village] = offices();
    let (tool, holder) = (home(TOOL, 1), holder_of(&home(TOOL, 1)));
    village.save(vec![put(tool, "name", "水泵"), put(holder, "name", "苑大明")]);
    village.save(vec![put(home(TOOL, 2), "name", "梯子")]);
    let whole = |home: &Home| capabilities().whole(&village.store, home).unwrap();
    let both = Whole { homes: vec![tool, holder], missing: Vec::new() };
    assert_eq!((whole(&tool), whole(&holder)), (Some(both.clone()), Some(both)));
    let alone = Whole { homes: vec![home(TOOL, 2)], missing: vec![HOLDER] };
    assert_eq!(whole(&home(TOOL, 2)), Some(alone));
    assert_eq!(whole(&home(HOLDER, 9)), None);
    let homes = whole(&holder).unwrap().homes;
    village.store.erase(&village.member.author(1), &homes, "本人要求", NOW_MS).unwrap();
    let gone = Whole { homes: Vec::new(), missing: vec![TOOL, HOLDER] };
    assert_eq!(whole(&tool), Some(gone));
    assert!(village.store.verify().unwrap().is_sound());
}

/// Shows that the simulator plays it: in counties that have it, villages write tools and who has
/// them through all faults, nothing of it goes where it must not, all comes to rest, and each run is
/// the same twice; and that a county without it has none.
#[test]
fn it_is_played_by_the_simulator() {
    let capabilities = capabilities();
    let mut made = BTreeSet::new();
    for seed in [2, 5] {
        let run = || {
            let report = sim::run_extended(seed, sim::SHORT, &capabilities);
            report.unwrap_or_else(|failure| panic!("{failure}"))
        };
        let report = run();
        assert_eq!(run().hash, report.hash);
        made.extend(report.made.into_keys());
        let without = sim::run(seed, sim::SHORT).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(!without.made.contains_key(&TOOL));
    }
    assert!(made.contains(&TOOL) && made.contains(&HOLDER), "{made:?}");
}

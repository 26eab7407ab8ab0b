//! A capability that lives here alone: tools that a village lends out, with who has them as a part
//! that only some may read. It is registered from outside, without a line in any other crate, and is
//! granted, refused, written, projected and erased like those of the program.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use cunlian_crdt::document::{Author, DocumentView, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions, WriteError};
use cunlian_governance::access::preset;
use cunlian_governance::capability::{
    Attachments, Capabilities, Capability, Kind, Kinds, Sensitivity, Spot, sample,
};
use cunlian_governance::catalogue::Language;
use cunlian_governance::generator::{Role, Scene};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{Authority, Refusal};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use rusqlite::types::Value;

const TOOL: Category = Category(0x4000);
const HOLDER: Category = Category(0x4001);
const VILLAGE: &str = "370322102310";
const NOW_MS: i64 = 1_783_735_200_000;

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

    fn sample(&self, _: u64, spot: &Spot) -> Vec<Scene> {
        let tool = DocumentId([1; 16]);
        vec![sample::fields(spot, Role::Village, TOOL, tool, &[("name", "水泵")])]
    }
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

fn village() -> AddressCode {
    AddressCode::parse(VILLAGE).unwrap()
}

fn home(category: Category, number: u8) -> Home {
    Home { category, address: village(), document: DocumentId([number; 16]) }
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
                && grant.region.contains_address(&village())
        })
    };
    for (tier, region, open, closed) in
        [(Tier::Village, village(), true, true), (Tier::County, county, true, false)]
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
    let granted = certificate(2, Tier::Village, preset::grants(&kinds, Tier::Village, village()));
    let older = preset::grants(&Kinds::built_in(), Tier::Village, village());
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

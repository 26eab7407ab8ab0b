//! A small federation for the tests of the store: certificates, authors, a projector, and the
//! ways to move changes between stores.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::document::{Author, DocumentView, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::{Header, Home, SignedChange, VERSION};
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{self, SigningKey};
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::{Carried, Fate, Selection, StoreReply, StoreRequest, Stored};
use cunlian_tests::world::{ingest_within, take};
use rusqlite::types::Value;

pub(crate) use cunlian_tests::member::key;
pub(crate) use cunlian_tests::world::{
    COUNTY, OTHER_VILLAGE, TOWN, VILLAGE, all, assert_sound, carried, put, under,
};

/// A category that villages and the town read and the county does not.
pub(crate) const PRIVATE: Category = Category::library(0, 1);
pub(crate) const NOW_MS: i64 = 1_790_000_000_000;

/// A certified node that also authors.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) author: Author,
    pub(crate) chain: Vec<Vec<u8>>,
}

/// The nodes of the federation.
pub(crate) struct World {
    pub(crate) root: SigningKey,
    pub(crate) county: Member,
    pub(crate) town: Member,
    pub(crate) village: Member,
    pub(crate) other_village: Member,
}

fn grant(address: &str, categories: CategorySet, rights: Rights) -> Grant {
    let region = Region::subtree(AddressCode::parse(address).unwrap());
    Grant { region, document: None, categories, rights, delegable: Rights::ALL }
}

/// Reads and writes everything; of private data the county may only pass the rights on.
fn grants(address: &str, tier: Tier) -> Vec<Grant> {
    let below = CategorySet::range(Category(0), Category(PRIVATE.0 - 1));
    let above = CategorySet::range(Category(PRIVATE.0 + 1), Category(u16::MAX));
    let private = if tier == Tier::County { Rights::NONE } else { Rights::ALL };
    vec![
        grant(address, below.union(&above), Rights::ALL),
        grant(address, CategorySet::of([PRIVATE]), private),
    ]
}

fn member(byte: u8, address: &str, tier: Tier, issuer: (&SigningKey, &[Vec<u8>])) -> Member {
    let body = CertificateBody {
        subject: signing::public_key(&key(byte)),
        name: format!("{} {address}", tier.name()),
        kind: AuthorKind::Node,
        tier,
        grants: grants(address, tier),
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: issuer.1.last().map(|bytes| Serial::of(bytes)),
    };
    let bytes = Certificate::issue(&body, issuer.0);
    let author = Author { serial: Serial::of(&bytes), key: key(byte), session: u64::from(byte) };
    Member { author, chain: [issuer.1, &[bytes]].concat() }
}

impl World {
    /// County under the root, the town below, two villages below the town.
    pub(crate) fn new() -> Self {
        let root = key(1);
        let county = member(2, COUNTY, Tier::County, (&root, &[]));
        let town = member(4, TOWN, Tier::Town, (&county.author.key, &county.chain));
        let above = (&town.author.key, town.chain.as_slice());
        let village = member(5, VILLAGE, Tier::Village, above);
        let other_village = member(6, OTHER_VILLAGE, Tier::Village, above);
        Self { root, county, town, village, other_village }
    }

    /// A person certified by a node, with all rights that it may pass on.
    pub(crate) fn person(byte: u8, node: &Member) -> Member {
        let issuer = (&node.author.key, node.chain.as_slice());
        member(byte, VILLAGE, Tier::Village, issuer)
    }

    pub(crate) fn open(&self, dir: &Path, member: &Member) -> Store {
        self.open_with(dir, member, 1, StoreOptions::default())
    }

    pub(crate) fn open_with(
        &self,
        dir: &Path,
        member: &Member,
        projector_version: u32,
        options: StoreOptions,
    ) -> Store {
        let projector = Arc::new(Fields { version: projector_version });
        let store = Store::open(dir, projector, self.identity(member), options).unwrap();
        let members = [&self.county, &self.town, &self.village, &self.other_village];
        for member in members {
            assert_eq!(store.add_certificates(&member.chain).unwrap(), Vec::<String>::new());
        }
        store
    }

    pub(crate) fn identity(&self, member: &Member) -> StoreIdentity {
        StoreIdentity {
            root: signing::public_key(&self.root),
            own: Some(member.author.serial),
            chain: member.chain.clone(),
        }
    }
}

/// A field on which the projector panics, unless it has the version below.
pub(crate) const PANIC: &str = "panic";
pub(crate) const CARELESS: u32 = 9;

/// One row for each field, one for each operation.
pub(crate) struct Fields {
    pub(crate) version: u32,
}

impl TableSet for Fields {
    fn name(&self) -> &'static str {
        "fields"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS field (
             category INTEGER, address TEXT, document BLOB, name TEXT, text TEXT, author TEXT,
             others INTEGER, version TEXT, PRIMARY KEY (category, address, document, name)
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS step (
             category INTEGER, address TEXT, document BLOB, position INTEGER, body TEXT,
             PRIMARY KEY (category, address, document, position)
         ) WITHOUT ROWID;"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["field", "step"]
    }

    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        assert!(self.version == CARELESS || !view.fields.contains_key(PANIC), "asked to");
        let home = || {
            vec![
                Value::from(i64::from(view.home.category.0)),
                Value::from(view.home.address.as_str().to_owned()),
                Value::from(view.home.document.0.to_vec()),
            ]
        };
        let fields = view.fields.iter().map(|(name, field)| {
            let mut values = home();
            values.extend([
                Value::from(name.clone()),
                Value::from(field.current.text.clone()),
                Value::from(authority.name(&field.current.writer.author)),
                Value::from(i64::try_from(field.others.len()).unwrap()),
                Value::from(self.version.to_string()),
            ]);
            Row { table: "field", values }
        });
        let steps = view.operations.iter().zip(0_i64..).map(|(operation, position)| {
            let mut values = home();
            values.extend([Value::from(position), Value::from(operation.body.clone())]);
            Row { table: "step", values }
        });
        fields.chain(steps).collect()
    }
}

pub(crate) fn home(category: Category, address: &str, document: u8) -> Home {
    let address = AddressCode::parse(address).unwrap();
    Home { category, address, document: DocumentId([document; 16]) }
}

pub(crate) fn append(home: Home, body: &str) -> Write {
    let edits = vec![Edit::Append { body: body.to_owned() }];
    Write { home, edits, source: "terminal".to_owned(), task: String::new() }
}

pub(crate) fn write(store: &Store, member: &Member, writes: Vec<Write>) -> Vec<ChangeId> {
    store.write(&member.author, writes, NOW_MS).unwrap()
}

/// A revocation of `member`, signed by `by`, that leaves it changes up to a number.
pub(crate) fn revocation(
    member: &Member,
    by: &Member,
    through_seq: u64,
    tags: &[ChangeId],
) -> Vec<u8> {
    let tag = |id: &ChangeId| *id.0.first_chunk().unwrap();
    let tags = tags.iter().map(tag).collect();
    let body = RevocationBody {
        own: Standing { serial: member.author.serial, through_seq, tags },
        successor: None,
        descendants: Vec::new(),
        reason: "dismissed".to_owned(),
        issuer: Some(by.author.serial),
    };
    body.sign(&by.author.key)
}

pub(crate) fn learn(store: &Store, revocations: &[Vec<u8>]) {
    assert_eq!(store.add_revocations(revocations).unwrap(), Vec::<String>::new());
}

/// Changes that are in the log and do not stand, with what was decided about each.
pub(crate) fn tainted(store: &Store, home: &Home) -> Vec<(ChangeId, Option<bool>)> {
    let tainted = store.view(home).unwrap().map(|view| view.tainted).unwrap_or_default();
    tainted.into_iter().map(|t| (t.writer.change, t.review.map(|review| review.keep))).collect()
}

pub(crate) fn read(store: &Store, selection: Selection) -> (Vec<Stored>, Option<Selection>, i64) {
    read_bytes(store, selection, limits::BATCH_BYTES)
}

/// Reads so many bytes of changes at most, or one change.
pub(crate) fn read_bytes(
    store: &Store,
    selection: Selection,
    bytes: usize,
) -> (Vec<Stored>, Option<Selection>, i64) {
    let request = StoreRequest::Read { selection, bytes };
    match store.serve(request).unwrap() {
        StoreReply::Read { changes, rest, through_row } => (changes, rest, through_row),
        other => panic!("{other:?} is of another kind"),
    }
}

/// Takes changes in as from a peer below that may send everything.
pub(crate) fn ingest(store: &Store, from: &Member, changes: Vec<Carried>) -> Vec<Fate> {
    ingest_from(store, from, changes, Scope::everything(), 0)
}

pub(crate) fn ingest_from(
    store: &Store,
    from: &Member,
    changes: Vec<Carried>,
    scope: Scope,
    sender_tiers: u8,
) -> Vec<Fate> {
    ingest_within(store, from.author.serial, changes, scope, sender_tiers)
}

/// Copies everything that `to` lacks.
pub(crate) fn send_all(from: &Store, sender: &Member, to: &Store) {
    take(to, sender.author.serial, carried(&all(from)));
}

/// A frontier of about so many prefixes over everything under one.
pub(crate) fn frontier(
    store: &Store,
    prefix: &KeyPrefix,
    nodes: usize,
) -> Vec<(KeyPrefix, Summary)> {
    let prefixes = vec![prefix.clone()];
    match store.serve(StoreRequest::Frontier { prefixes, nodes }).unwrap() {
        StoreReply::Frontier(frontier) => frontier,
        other => panic!("{other:?} is of another kind"),
    }
}

/// All rows of the tables that must not depend on the order of arrival, without who brought them.
pub(crate) fn dump(store: &Store) -> Vec<Vec<Value>> {
    let document = "(SELECT prefix, changes, waiting, conflicted, bytes, beyond FROM document)";
    let tables = ["field", "step", document, "summary", "tainted"];
    store
        .read(|connection| {
            let mut dump = Vec::new();
            for table in tables {
                let mut select = connection.prepare(&format!("SELECT * FROM {table}"))?;
                let columns = select.column_count();
                let mut rows = select.query([])?;
                while let Some(row) = rows.next()? {
                    let values = (0..columns).map(|column| row.get(column));
                    dump.push(values.collect::<Result<_, _>>()?);
                }
            }
            Ok(dump)
        })
        .unwrap()
}

/// A change signed by `member` with any payload, header and number.
pub(crate) fn signed(member: &Member, home: Home, seq: u64, payload: &[u8]) -> Carried {
    let header = Header {
        version: VERSION,
        kind: cunlian_protocol::change::ChangeKind::EDIT,
        home,
        author: member.author.serial,
        session: member.author.session,
        seq,
        recorded_at_ms: NOW_MS,
    };
    let change = SignedChange::sign(&header, payload, &member.author.key).unwrap();
    Carried { bytes: change.bytes().to_vec(), reached: 0 }
}

/// The payload of a change of the log.
pub(crate) fn payload_of(stored: &Stored) -> Vec<u8> {
    let change = SignedChange::from_log(stored.carried.bytes.clone()).unwrap();
    change.payload().unwrap().to_vec()
}

pub(crate) fn keys(stored: &[Stored]) -> Vec<SetKey> {
    stored.iter().map(|stored| stored.key.clone()).collect()
}

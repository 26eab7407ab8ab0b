//! Numbered writes: what each holds follows from its number, so that somebody who knows the last
//! number acknowledged can tell what a store has lost.
//!
//! Write `n` makes one to eight documents of its own, and appends to a document that it shares
//! with its neighbours, so that there are changes with causes. All go in one call, which the store
//! keeps whole or not at all.

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Store, StoreIdentity};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use rusqlite::types::Value;

/// Writes that append to one shared document.
const NEIGHBOURS: u32 = 50;
/// Most documents of one write.
const PARTS: u32 = 8;

/// Key of the federation root and of the node: fixed, they protect nothing.
fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A federation of one village node.
pub fn identity() -> StoreIdentity {
    let village = AddressCode::parse("370322102310").expect("the code of a village");
    let body = CertificateBody {
        subject: public_key(&key(2)),
        name: "苑兴村".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::Village,
        grants: vec![Grant {
            region: Region::subtree(village),
            document: None,
            categories: CategorySet::all(),
            rights: Rights::READ.with(Rights::WRITE),
            delegable: Rights::NONE,
        }],
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: None,
    };
    let certificate = Certificate::issue(&body, &key(1));
    let own = Some(Serial::of(&certificate));
    StoreIdentity { root: public_key(&key(1)), own, chain: vec![certificate] }
}

/// The village node as an author, in a session of its own.
pub fn author(session: u64) -> Author {
    let serial = identity().own.expect("the node has a certificate");
    Author { serial, key: key(2), session }
}

/// What write `number` consists of.
pub fn writes(number: u32) -> Vec<Write> {
    let write =
        |home, edits| Write { home, edits, source: "numbered".to_owned(), task: String::new() };
    let mut writes: Vec<Write> = (0..parts(number))
        .map(|part| {
            let text = payload(number, part);
            write(home(number, part), vec![Edit::Put { field: "payload".to_owned(), text }])
        })
        .collect();
    writes.push(write(shared_home(number), vec![Edit::Append { body: number.to_string() }]));
    writes
}

/// The number of the last write that is there, given that all before it are there too, each whole
/// and unaltered, and that the store is sound. Says what is wrong otherwise.
pub fn last_complete(store: &Store) -> Result<u32, String> {
    let verification = store.verify().map_err(|error| error.to_string())?;
    if !verification.is_sound() {
        return Err(format!("{verification:?}"));
    }
    let mut last = 0;
    while is_complete(store, last + 1)? {
        last += 1;
    }
    let expected: u64 = (1..=last).map(|number| u64::from(parts(number)) + 1).sum();
    if verification.changes != expected {
        let found = verification.changes;
        return Err(format!(
            "write {last} is the last whole one, but there are {found} changes, \
                            not {expected}: a later one is torn or there without its elders"
        ));
    }
    Ok(last)
}

fn is_complete(store: &Store, number: u32) -> Result<bool, String> {
    for part in 0..parts(number) {
        let view = store.view(&home(number, part)).map_err(|error| error.to_string())?;
        let Some(view) = view else { return Ok(false) };
        let text = view.fields.get("payload").map(|field| field.current.text.as_str());
        if text != Some(payload(number, part).as_str()) {
            return Err(format!("part {part} of write {number} is not what was written"));
        }
    }
    let shared = store.view(&shared_home(number)).map_err(|error| error.to_string())?;
    let body = number.to_string();
    Ok(shared.is_some_and(|view| view.operations.iter().any(|operation| operation.body == body)))
}

fn parts(number: u32) -> u32 {
    1 + number % PARTS
}

/// Between a line and two pages of hexadecimal digits.
fn payload(number: u32, part: u32) -> String {
    let digest = digest(b"payload", number, part);
    digest.to_hex().repeat(1 + (number * 31 + part * 7) as usize % 60)
}

fn home(number: u32, part: u32) -> Home {
    home_of(&digest(b"document", number, part))
}

fn shared_home(number: u32) -> Home {
    home_of(&digest(b"shared", number / NEIGHBOURS, 0))
}

fn home_of(digest: &blake3::Hash) -> Home {
    let bytes = digest.as_bytes().first_chunk().expect("a digest is longer than an id");
    Home {
        category: Category::library(0, 0),
        address: AddressCode::parse("370322102310001").expect("the code of a grid"),
        document: DocumentId(*bytes),
    }
}

fn digest(label: &[u8], number: u32, part: u32) -> blake3::Hash {
    blake3::Hasher::new()
        .update(label)
        .update(&number.to_be_bytes())
        .update(&part.to_be_bytes())
        .finalize()
}

/// One row for each document, so that projections are part of what must survive.
#[derive(Debug, Clone, Copy)]
pub struct NumberedProjector;

impl TableSet for NumberedProjector {
    fn name(&self) -> &'static str {
        "numbered"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS numbered (
            category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
            fields INTEGER NOT NULL, operations INTEGER NOT NULL,
            PRIMARY KEY (category, address, document)) WITHOUT ROWID;"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["numbered"]
    }

    fn rows(
        &self,
        view: &cunlian_crdt::document::DocumentView,
        _authority: &Authority,
    ) -> Vec<Row> {
        let count = |length: usize| Value::Integer(i64::try_from(length).unwrap_or(i64::MAX));
        let values = vec![
            Value::Integer(i64::from(view.home.category.0)),
            Value::Text(view.home.address.to_string()),
            Value::Blob(view.home.document.0.to_vec()),
            count(view.fields.len()),
            count(view.operations.len()),
        ];
        vec![Row { table: "numbered", values }]
    }
}

//! How long a revocation of an author with many changes takes: `revocation [CHANGES]`.
//!
//! Half of the documents have a change by a colleague on top, so that half of what falls stays
//! tainted and half goes. Prints one JSON object.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made has nothing to say")]

use std::sync::Arc;
use std::time::Instant;

use cunlian_crdt::document::{Author, DocumentView, Edit, Write};
use cunlian_crdt::projector::{Projector, Row};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use rusqlite::types::Value;

struct Fields;

impl Projector for Fields {
    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS field (category INTEGER, address TEXT, document BLOB, \
         name TEXT, text TEXT, PRIMARY KEY (category, address, document, name)) WITHOUT ROWID;"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["field"]
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        let row = |(name, text): (&String, &str)| {
            let Home { category, address, document } = view.home;
            let values = vec![
                Value::from(i64::from(category.0)),
                Value::from(address.as_str().to_owned()),
                Value::from(document.0.to_vec()),
                Value::from(name.clone()),
                Value::from(text.to_owned()),
            ];
            Row { table: "field", values }
        };
        view.fields.iter().map(|(name, field)| row((name, &field.current.text))).collect()
    }
}

fn main() {
    let changes: u32 = std::env::args().nth(1).map_or(10_000, |text| text.parse().unwrap());
    let root = SigningKey::from_bytes(&[1; 32]);
    let village = AddressCode::parse("370322102310").unwrap();
    let person = |byte: u8| {
        let key = SigningKey::from_bytes(&[byte; 32]);
        let grant = Grant {
            region: Region::subtree(village),
            document: None,
            categories: CategorySet::all(),
            rights: Rights::ALL,
            delegable: Rights::NONE,
        };
        let body = CertificateBody {
            subject: public_key(&key),
            name: format!("person {byte}"),
            kind: AuthorKind::Operator,
            tier: Tier::Village,
            grants: vec![grant],
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let bytes = Certificate::issue(&body, &root);
        (Author { serial: Serial::of(&bytes), key, session: 1 }, bytes)
    };
    let (dismissed, colleague) = (person(2), person(3));
    let dir = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { root: public_key(&root), own: None, chain: Vec::new() };
    let store =
        Store::open(dir.path(), Arc::new(Fields), identity, StoreOptions::default()).unwrap();
    store.add_certificates(&[dismissed.1, colleague.1]).unwrap();
    let write = |number: u32, field: &str| {
        let mut document = [0; 16];
        document.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        Write {
            home: Home {
                category: Category::TICKET,
                address: village,
                document: DocumentId(document),
            },
            edits: vec![Edit::Put { field: field.to_owned(), text: "x".repeat(100) }],
            source: "bench".to_owned(),
            task: String::new(),
        }
    };
    store.write(&dismissed.0, (0..changes).map(|n| write(n, "a")).collect(), 1).unwrap();
    let on_top = (0..changes).filter(|number| number % 2 == 0);
    store.write(&colleague.0, on_top.map(|n| write(n, "b")).collect(), 2).unwrap();
    let body = RevocationBody {
        own: Standing { serial: dismissed.0.serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "bench".to_owned(),
        issuer: None,
    };
    let started = Instant::now();
    assert!(store.add_revocations(&[body.sign(&root)]).unwrap().is_empty());
    let seconds = started.elapsed().as_secs_f64();
    let left = store.counts().unwrap();
    assert_eq!(left.total.changes, u64::from(changes.div_ceil(2)) * 2);
    println!(
        "{{\"changes\": {changes}, \"seconds\": {seconds:.3}, \"kept\": {}, \"withheld\": {}}}",
        left.total.changes, left.quarantined
    );
}

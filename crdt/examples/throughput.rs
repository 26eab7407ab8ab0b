//! How fast the store loads and takes in documents on this machine.
//!
//! `cargo run --release -p cunlian-crdt --example throughput -- [DOCUMENTS]` writes that many new
//! documents of eight fields into one store, copies them into a second one in batches as a
//! session would while a person writes there, then edits one in a hundred and copies again. Figures
//! go to stdout.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cunlian_crdt::document::{Author, DocumentView, Edit, Write};
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits::BATCH_BYTES;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{self, SigningKey};
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest};
use rusqlite::types::Value;

/// Three rows for a document: itself, and two that are searched by.
struct Records;

impl TableSet for Records {
    fn name(&self) -> &'static str {
        "records"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE IF NOT EXISTS record (category INTEGER, address TEXT, document BLOB,
             name TEXT, body TEXT, PRIMARY KEY (category, address, document)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS term (category INTEGER, address TEXT, document BLOB,
             term TEXT, PRIMARY KEY (category, address, document, term)) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS term_by_term ON term (term);"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["record", "term"]
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        let text =
            |name: &str| Value::from(view.fields.get(name).map(|field| field.current.text.clone()));
        let row = |table, values: Vec<Value>| {
            let home = [
                Value::from(i64::from(view.home.category.0)),
                Value::from(view.home.address.as_str().to_owned()),
                Value::from(view.home.document.0.to_vec()),
            ];
            Row { table, values: home.into_iter().chain(values).collect() }
        };
        vec![
            row("record", vec![text("name"), text("note")]),
            row("term", vec![text("name")]),
            row("term", vec![text("phone")]),
        ]
    }
}

fn open(dir: &Path, root: &SigningKey, certificate: &[u8]) -> Store {
    let identity = StoreIdentity {
        root: signing::public_key(root),
        own: Some(Serial::of(certificate)),
        chain: vec![certificate.to_vec()],
    };
    Store::open(dir, Arc::new(Records), identity, StoreOptions::default()).expect("a fresh store")
}

fn document(number: u32) -> Write {
    let address = format!("3703221023{:02}0{:02}", 10 + number % 42, number % 5 + 1);
    let id = blake3::hash(&number.to_be_bytes());
    let home = Home {
        category: Category::library(0, 0),
        address: AddressCode::parse(&address).expect("an address of 15 digits"),
        document: DocumentId::from_slice(id.as_bytes().split_at(16).0).expect("16 bytes"),
    };
    let put = |field: &str, text: String| Edit::Put { field: field.to_owned(), text };
    let edits = vec![
        put("name", format!("张{}{}", number % 97, number % 89)),
        put("sex", "女".to_owned()),
        put("birth_date", format!("19{:02}-0{}-1{}", number % 100, number % 9 + 1, number % 10)),
        put("household", format!("{:06}", number / 3)),
        put("relation", "户主".to_owned()),
        put("phone", format!("138{number:08}")),
        put("residence", "常住".to_owned()),
        put("note", "2026 年秋季走访核实".to_owned()),
    ];
    Write { home, edits, source: "import".to_owned(), task: String::new() }
}

fn copy(source: &Store, destination: &Store, from: Serial, first: Selection) -> u64 {
    let (sender, batches) = mpsc::sync_channel(2);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = Some(first);
            while let Some(selection) = next {
                let reply = source
                    .serve(StoreRequest::Read { selection, bytes: BATCH_BYTES })
                    .expect("a read");
                let StoreReply::Read { changes, rest, .. } = reply else { return };
                if sender.send(changes).is_err() {
                    return;
                }
                next = rest;
            }
        });
        let batches = Arc::new(std::sync::Mutex::new(batches));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let batches = Arc::clone(&batches);
                scope.spawn(move || {
                    let mut copied = 0;
                    loop {
                        let batch = batches.lock().expect("no panic").recv();
                        let Ok(batch) = batch else { return copied };
                        let changes: Vec<_> = batch.into_iter().map(|s| s.carried).collect();
                        copied += changes.len() as u64;
                        let scope = Scope::everything();
                        let (sender_tiers, at_ms) = (0, 0);
                        let request =
                            StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms };
                        destination.serve(request).expect("an intake");
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    })
}

/// Milliseconds that each write of a person took, one every 20 ms.
fn save_until(store: &Store, author: &Author, from: u32, stop: &AtomicBool) -> Vec<f64> {
    let mut saved = Vec::new();
    for number in from.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let started = Instant::now();
        store.write(author, vec![document(number)], 0).expect("a write");
        saved.push(started.elapsed().as_secs_f64() * 1e3);
        thread::sleep(Duration::from_millis(20));
    }
    saved
}

fn print_waits(mut saved: Vec<f64>) {
    saved.sort_by(f64::total_cmp);
    for share in [50, 99, 100] {
        let at = (saved.len() * share).div_ceil(100).saturating_sub(1);
        let took = saved.get(at).copied().unwrap_or_default();
        println!("  a local write meanwhile, {share} % of {} within: {took:.1} ms", saved.len());
    }
}

/// Who writes it all.
fn author(root: &SigningKey) -> (Vec<u8>, Author) {
    let author_key = SigningKey::from_bytes(&[2; 32]);
    let body = CertificateBody {
        subject: signing::public_key(&author_key),
        name: "throughput".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::Town,
        grants: vec![Grant {
            region: Region::EVERYWHERE,
            document: None,
            categories: CategorySet::all(),
            rights: Rights::ALL,
            delegable: Rights::ALL,
        }],
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: None,
    };
    let certificate = Certificate::issue(&body, root);
    let serial = Serial::of(&certificate);
    (certificate, Author { serial, key: author_key, session: 7 })
}

fn main() {
    let documents: u32 =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let root = SigningKey::from_bytes(&[1; 32]);
    let (certificate, author) = author(&root);
    let serial = author.serial;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let source = open(&dir.path().join("a"), &root, &certificate);
    let destination = open(&dir.path().join("b"), &root, &certificate);
    let rate = |label: &str, count: u64, started: Instant| {
        let seconds = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = count as f64 / seconds;
        println!("{label}: {count} in {seconds:.2} s, {rate:.0}/s");
    };

    let started = Instant::now();
    for first in (0..documents).step_by(5_000) {
        let writes = (first..documents.min(first + 5_000)).map(document).collect();
        source.write(&author, writes, 0).expect("a write");
    }
    rate("load", documents.into(), started);

    let everything = KeyPrefix::category(Category::library(0, 0));
    let started = Instant::now();
    let all = Selection::Prefix { prefix: everything, after: Vec::new() };
    let stop = AtomicBool::new(false);
    let (copied, saved) = thread::scope(|scope| {
        let person = scope.spawn(|| save_until(&destination, &author, documents, &stop));
        let copied = copy(&source, &destination, serial, all);
        stop.store(true, Ordering::Release);
        (copied, person.join().expect("no panic"))
    });
    rate("copy", copied, started);
    print_waits(saved);

    let started = Instant::now();
    let edits: Vec<Write> = (0..documents)
        .step_by(100)
        .map(|number| Write {
            edits: vec![Edit::Put { field: "phone".to_owned(), text: format!("139{number:08}") }],
            ..document(number)
        })
        .collect();
    let edited = edits.len() as u64;
    source.write(&author, edits, 1).expect("a write");
    rate("edit", edited, started);

    let started = Instant::now();
    let new = Selection::Rows {
        after: i64::from(documents),
        scope: Scope::everything(),
        except: Serial([0; 16]),
    };
    let copied = copy(&source, &destination, serial, new);
    rate("copy of edits", copied, started);

    let started = Instant::now();
    let report = destination.verify().expect("a verification");
    rate("verify", report.changes, started);
    assert!(report.is_sound(), "{report:?}");
    let bytes = std::fs::metadata(dir.path().join("b/store.sqlite")).map_or(0, |m| m.len());
    println!("file: {} bytes per document", bytes / u64::from(documents.max(1)));
}

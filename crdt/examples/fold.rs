//! What building an Automerge document of each record costs, beside reading its change only.
//!
//! `cargo run --release -p cunlian-crdt --example fold`: N documents of one change with eight
//! texts, as a first copy brings them. Evidence for `docs/decisions/0004-fold.md`.

use std::time::Instant;

use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId, Automerge, Change, ROOT, ReadDoc as _};

const DOCUMENTS: usize = 20_000;
const FIELDS: [&str; 8] =
    ["name", "sex", "birth", "ethnic", "household", "relation", "residence", "education"];

fn main() {
    let changes: Vec<Vec<u8>> = (0..DOCUMENTS).map(made).collect();
    let started = Instant::now();
    let texts: usize = changes.iter().map(|bytes| built(bytes)).sum();
    let building = started.elapsed();
    let started = Instant::now();
    let operations: usize = changes.iter().map(|bytes| decoded(bytes)).sum();
    let decoding = started.elapsed();
    assert_eq!(texts, operations, "each text is one operation");
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / 20_000.0;
    println!("document built and read: {:.1} µs each", each(building));
    println!("change decoded and expanded: {:.1} µs each", each(decoding));
}

fn made(number: usize) -> Vec<u8> {
    let actor = number.to_be_bytes().repeat(2);
    let mut document = Automerge::new().with_actor(ActorId::from(actor));
    let mut transaction = document.transaction();
    for field in FIELDS {
        transaction.put(ROOT, field, format!("{field} {number}")).expect("the root is a map");
    }
    transaction.commit_with(CommitOptions::default().with_time(0));
    document.get_last_local_change().expect("a change was committed").raw_bytes().to_vec()
}

fn built(bytes: &[u8]) -> usize {
    let change = Change::from_bytes(bytes.to_vec()).expect("we made it");
    let mut document = Automerge::new();
    document.apply_changes([change]).expect("it has no dependency");
    document.map_range(ROOT, ..).count()
}

fn decoded(bytes: &[u8]) -> usize {
    Change::from_bytes(bytes.to_vec()).expect("we made it").decode().operations.len()
}

//! How fast a store of millions of changes answers the questions of a comparison.
//!
//! `cargo run --release -p cunlian-crdt --example frontier -- [CHANGES]` fills the log with that
//! many made-up keys of a county (without documents or signatures, which a comparison does not
//! look at) and times each request. Figures go to stdout, in milliseconds.

use std::sync::Arc;
use std::time::Instant;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Projector, Row};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{self, SigningKey};
use cunlian_protocol::sketch::ShortKey;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::{StoreReply, StoreRequest};

struct Nothing;

impl Projector for Nothing {
    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        ""
    }

    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn rows(&self, _: &DocumentView, _: &Authority) -> Vec<Row> {
        Vec::new()
    }
}

/// Part and class of the library, town, village and grid of the n-th change of a county.
fn key(number: u64) -> SetKey {
    let hash = blake3::hash(&number.to_le_bytes());
    let (document, _) = hash.as_bytes().split_at(16);
    let [class, part, town, village, grid, ..] = *hash.as_bytes();
    let (part, class) = (part % 3, class % 8);
    let (town, village, grid) =
        (100 + u32::from(town % 9), 200 + u32::from(village % 40), grid % 6);
    let address = format!("370322{town:03}{village:03}{:03}", grid + 1);
    let home = Home {
        category: Category::library(class, part),
        address: AddressCode::parse(&address).expect("an address of 15 digits"),
        document: DocumentId::from_slice(document).expect("16 bytes"),
    };
    SetKey { home, change: ChangeId(*blake3::hash(hash.as_bytes()).as_bytes()) }
}

fn fill(store: &Store, changes: u64) {
    let mut keys: Vec<Vec<u8>> = (0..changes).map(|number| key(number).to_bytes()).collect();
    keys.sort_unstable();
    for (part, row) in keys.chunks(50_000).map(<[_]>::to_vec).zip((0..).step_by(50_000)) {
        let work = move |connection: &rusqlite::Connection| {
            connection
                .execute("INSERT OR IGNORE INTO author (id, serial) VALUES (1, x'00')", [])?;
            let sql = "INSERT INTO change (row, key, author, seq, origin, bytes) \
                       VALUES (?1, ?2, 1, ?1, 0, x'00')";
            let mut insert = connection.prepare_cached(sql)?;
            for (key, row) in part.into_iter().zip(row + 1_i64..) {
                insert.execute((row, key))?;
            }
            Ok(())
        };
        store.write_reference(work).expect("space");
    }
}

fn timed<T>(label: &str, work: impl Fn() -> T) -> T {
    let mut result = work();
    let started = Instant::now();
    for _ in 0..10 {
        result = work();
    }
    println!("{label}: {:.2} ms", started.elapsed().as_secs_f64() * 100.0);
    result
}

fn serve(store: &Store, request: &StoreRequest) -> StoreReply {
    store.serve(request.clone()).expect("a reply")
}

fn main() {
    let changes = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = signing::public_key(&SigningKey::from_bytes(&[1; 32]));
    let identity = StoreIdentity { root, own: None, chain: Vec::new() };
    let store = Store::open(dir.path(), Arc::new(Nothing), identity, StoreOptions::default());
    let store = store.expect("a fresh store");
    fill(&store, changes);
    let started = Instant::now();
    store.rebuild_summaries().expect("summaries");
    println!("summaries made anew: {:.1} s", started.elapsed().as_secs_f64());
    let rows: u64 = store
        .read(|connection| connection.query_row("SELECT count(*) FROM summary", [], |r| r.get(0)))
        .expect("a count");
    println!("kept summaries: {rows}");

    let overview =
        timed("overview", || serve(&store, &StoreRequest::Overview { scope: Scope::everything() }));
    let StoreReply::Overview { tops, .. } = overview else { return };
    let prefixes: Vec<KeyPrefix> = tops.into_iter().map(|(prefix, _)| prefix).collect();
    let nodes = limits::FRONTIER_NODES;
    let within = prefixes.clone();
    let frontier = timed("frontier of 400", || {
        serve(&store, &StoreRequest::Frontier { prefixes: prefixes.clone(), nodes })
    });
    let StoreReply::Frontier(frontier) = frontier else { return };
    println!("  {} prefixes", frontier.len());
    let theirs: Vec<KeyPrefix> = frontier.iter().map(|(prefix, _)| prefix.clone()).collect();
    let own = timed("the own side of it", || {
        let (within, theirs) = (within.clone(), theirs.clone());
        serve(&store, &StoreRequest::Against { within, theirs })
    });
    let StoreReply::Against { mine, alone } = own else { return };
    let theirs: Vec<Summary> = frontier.iter().map(|(_, summary)| *summary).collect();
    assert!(mine == theirs && alone.is_empty(), "a store equals itself");
    let largest = frontier.iter().max_by_key(|(_, summary)| summary.count);
    let Some((prefix, summary)) = largest.cloned() else { return };
    let key = ShortKey::derive(&[1; 32], 1);
    let label = format!("short ids of {}", summary.count);
    timed(&label, || serve(&store, &StoreRequest::Shorts { prefix: prefix.clone(), key }));
}

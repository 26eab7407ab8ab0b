//! Millions of changes in a store within seconds, for comparing them.
//!
//! What a comparison sees of a change is its key. So the rows are made here, with keys as those of
//! a county have them and a byte for the rest, and put into the log directly. They cannot be sent.
//!
//! | share | category | where | changes of a document |
//! |---|---|---|---|
//! | 1 % | directory | villages | 2 |
//! | 9 % | tickets | villages | 6 |
//! | 60 % | class 0 of the library | buildings | 1 |
//! | 20 % | class 1 | grids | 1 |
//! | 7 % | class 2 | grids | 2 |
//! | 3 % | class 3 | villages | 3 |

use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use cunlian_protocol::key::SetKey;

use crate::failure::Failure;

/// Villages of the county.
pub(super) const VILLAGES: usize = TOWNS * VILLAGES_OF_TOWN;
const TOWNS: usize = 10;
const VILLAGES_OF_TOWN: usize = 40;
const GRIDS: usize = 5;
const BUILDINGS: usize = 12;
/// Rows of one transaction.
const ROWS: usize = 100_000;

/// How deep the documents of a category lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Village,
    Grid,
    Building,
}

/// Category, hundredths of all changes, where, changes of a document; in the order of keys.
const SHAPE: [(Category, u64, Depth, usize); 6] = [
    (Category::DIRECTORY, 1, Depth::Village, 2),
    (Category::TICKET, 9, Depth::Village, 6),
    (Category::library(0, 0), 60, Depth::Building, 1),
    (Category::library(1, 0), 20, Depth::Grid, 1),
    (Category::library(2, 0), 7, Depth::Grid, 2),
    (Category::library(3, 0), 3, Depth::Village, 3),
];

/// A village of the county, by number.
pub(super) fn village(number: usize) -> Result<AddressCode, Failure> {
    let (town, village) = (100 + number / VILLAGES_OF_TOWN, 201 + number % VILLAGES_OF_TOWN);
    Ok(AddressCode::parse(&format!("370322{town}{village}"))?)
}

/// Puts `items` changes into the log of an empty store; the store must be opened anew for anything
/// else. `progress` gets those that are there.
pub(super) fn fill(
    store: &Store,
    items: u64,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let author = [7_u8; 16];
    store.write_reference(move |connection| {
        connection.execute("INSERT OR IGNORE INTO author (serial) VALUES (?1)", [author])
    })?;
    let mut random = blake3::Hasher::new_derive_key("cunlian 2026 benchmark of reconciliation");
    random.update(&seed.to_be_bytes());
    let mut random = random.finalize_xof();
    let (mut rows, mut filled) = (Vec::with_capacity(ROWS), 0);
    let mut made = 0;
    for (position, (category, share, depth, changes)) in SHAPE.into_iter().enumerate() {
        // The last one takes what rounding left over.
        let last = position + 1 == SHAPE.len();
        let count = if last { items - made } else { items * share / 100 };
        made += count;
        let addresses = addresses(depth)?;
        let places = addresses.len() as u64;
        for (at, address) in (0..).zip(addresses) {
            let here = count * (at + 1) / places - count * at / places;
            rows.extend(keys(category, address, here, changes, &mut random));
            if rows.len() >= ROWS {
                filled = put(store, std::mem::take(&mut rows), filled)?;
                progress(filled);
            }
        }
    }
    put(store, rows, filled)?;
    progress(items);
    store.rebuild_summaries()?;
    Ok(())
}

/// All addresses of a depth, ascending.
fn addresses(depth: Depth) -> Result<Vec<AddressCode>, Failure> {
    let mut addresses = Vec::new();
    for number in 0..VILLAGES {
        let village = village(number)?;
        if depth == Depth::Village {
            addresses.push(village);
            continue;
        }
        for grid in 1..=GRIDS {
            let grid = format!("{village}{grid:03}");
            if depth == Depth::Grid {
                addresses.push(AddressCode::parse(&grid)?);
                continue;
            }
            for building in 1..=BUILDINGS {
                addresses.push(AddressCode::parse(&format!("{grid}{building:05}"))?);
            }
        }
    }
    Ok(addresses)
}

/// Keys of `count` changes at one address, ascending.
fn keys(
    category: Category,
    address: AddressCode,
    count: u64,
    changes: usize,
    random: &mut blake3::OutputReader,
) -> Vec<Vec<u8>> {
    let mut document = [0; DocumentId::LENGTH];
    let mut left_of_document = 0;
    let mut keys: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            if left_of_document == 0 {
                random.fill(&mut document);
                left_of_document = changes;
            }
            left_of_document -= 1;
            let mut change = [0; ChangeId::LENGTH];
            random.fill(&mut change);
            let home = Home { category, address, document: DocumentId(document) };
            SetKey { home, change: ChangeId(change) }.to_bytes()
        })
        .collect();
    keys.sort_unstable();
    keys
}

/// Adds rows after those that are there; gives how many there are then.
fn put(store: &Store, keys: Vec<Vec<u8>>, before: u64) -> Result<u64, Failure> {
    let after = before + keys.len() as u64;
    store.write_reference(move |connection| {
        let mut insert = connection.prepare(
            "INSERT INTO change (row, key, author, seq, origin, bytes) \
             VALUES (?1, ?2, (SELECT min(id) FROM author), ?1, 0, x'00')",
        )?;
        for (row, key) in (before + 1..).zip(keys) {
            insert.execute((row, key))?;
        }
        Ok(())
    })?;
    Ok(after)
}

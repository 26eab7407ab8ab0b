//! A town that loses a village: what the suite of the store and the `purger` it kills share.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::limits;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest};

use crate::member::Member;

const TOWN: &str = "370322102";
const LOST_VILLAGE: &str = "370322102310";
const KEPT_VILLAGE: &str = "370322102311";
/// Records of the village that is lost.
const LOST: u32 = 3_000;
/// Records of the village that stays.
pub const KEPT: u64 = 600;

/// The town 高城镇 under the county.
pub fn town() -> Member {
    Member::county(2).certify(3, Tier::Town, TOWN, "高城镇")
}

/// What the town may keep.
pub fn keep() -> Scope {
    let prefix = AddressCode::parse(KEPT_VILLAGE).expect("a real code");
    let grant = Grant {
        region: Region::subtree(prefix),
        document: None,
        categories: CategorySet::all(),
        rights: Rights::READ,
        delegable: Rights::NONE,
    };
    Scope::of_grants([&grant], Rights::READ)
}

/// Opens the store of the town.
///
/// # Panics
/// When it does not open.
pub fn open(dir: &Path) -> Store {
    let projector = Arc::new(GovernanceProjector);
    Store::open(dir, projector, town().store_identity(), StoreOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A record of a household, whose name is a canary.
pub fn record(address: &str, number: u32) -> Write {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    id[12..].copy_from_slice(&number.to_be_bytes());
    let home = Home {
        category: Category::library(0, 0),
        address: AddressCode::parse(address).expect("a real code"),
        document: DocumentId(id),
    };
    let text = if address == LOST_VILLAGE { "canary" } else { "kept" };
    let edits = vec![Edit::Put { field: "name".to_owned(), text: format!("{text} {number}") }];
    Write { home, edits, source: "terminal".to_owned(), task: String::new() }
}

/// Fills a new store with records of two villages, all of them held by the county; gives their
/// keys and what is to be kept.
///
/// # Panics
/// When the store fails.
pub fn fill(dir: &Path) -> (Vec<SetKey>, Scope) {
    let store = open(dir);
    let author = town().author(1);
    let lost = (0..LOST).map(|number| record(LOST_VILLAGE, number));
    let kept = (0..).take(usize::try_from(KEPT).expect("small"));
    let writes = lost.chain(kept.map(|number| record(KEPT_VILLAGE, LOST + number))).collect();
    store.write(&author, writes, 1).expect("the store takes records");
    let keys = keys(&store);
    let reached = keys.iter().map(|key| (key.clone(), Tier::County.bit())).collect();
    let marked = store.serve(StoreRequest::MarkReached { reached, receipt: None });
    marked.expect("the store marks what is above");
    (keys, keep())
}

/// The keys of all records of a store.
fn keys(store: &Store) -> Vec<SetKey> {
    let prefix = cunlian_protocol::key::KeyPrefix::category(Category::library(0, 0));
    let mut next = Some(Selection::Prefix { prefix, after: Vec::new() });
    let mut keys = Vec::new();
    while let Some(selection) = next.take() {
        let reply = store.serve(StoreRequest::Read { selection, bytes: limits::BATCH_BYTES });
        if let Ok(StoreReply::Read { changes, rest, .. }) = reply {
            keys.extend(changes.into_iter().map(|stored| stored.key));
            next = rest;
        }
    }
    keys
}

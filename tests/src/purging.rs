//! A town that loses a village: what the suite of the store and the `purger` it kills share.

use std::path::Path;

use cunlian_crdt::document::Write;
use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::key::SetKey;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::StoreRequest;

use crate::member::Member;
use crate::world::{self, OTHER_VILLAGE, VILLAGE};

const LOST_VILLAGE: &str = VILLAGE;
const KEPT_VILLAGE: &str = OTHER_VILLAGE;
/// Records of the village that is lost.
const LOST: u32 = 3_000;
/// Records of the village that stays.
pub const KEPT: u64 = 600;

/// The town 高城镇 under the county.
pub fn town() -> Member {
    let [_, town, _] = world::one_of_each();
    town
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
    world::open(dir, &town())
}

/// A record of a household, whose name is a canary.
pub fn record(address: &str, number: u32) -> Write {
    let home = world::home(Category::library(0, 0), address, number);
    let text = if address == LOST_VILLAGE { "canary" } else { "kept" };
    world::put(home, "name", &format!("{text} {number}"))
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
    world::under(store, &prefix).into_iter().map(|stored| stored.key).collect()
}

//! One small federation for all suites that need no process: 高青县, its town 高城镇, the villages
//! 苑兴村 and 邻村 of that.
//!
//! | module | is |
//! |---|---|
//! | [`nodes`] | nodes with stores and hubs, joined by wires in memory, in virtual time |
//! | [`place`] | a node with its store alone, and bundles between such |
//!
//! Here are who there is, how a store of theirs is opened, documents by number, and changes taken
//! from one store into another without a session. Certificates are those of [`crate::member`]: keys
//! from small numbers, grants from the presets that real nodes get.
//!
//! What it is not: [`crate::sim`], where people work and things break by themselves; and
//! [`crate::federation`], whose nodes are processes.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::projector::Projector;
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, Fate, Selection, StoreReply, StoreRequest, Stored};

use crate::member::Member;

pub mod nodes;
pub mod place;

/// 高青县.
pub const COUNTY: &str = "370322";
/// 高城镇.
pub const TOWN: &str = "370322102";
/// 苑兴村 in 高城镇.
pub const VILLAGE: &str = "370322102310";
/// 邻村 in 高城镇.
pub const OTHER_VILLAGE: &str = "370322102311";

/// The nodes of county, town and village.
pub fn one_of_each() -> [Member; 3] {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let village = town.certify(4, Tier::Village, VILLAGE, "苑兴村");
    [county, town, village]
}

/// The node of the other village of the town.
pub fn other_village(town: &Member) -> Member {
    town.certify(5, Tier::Village, OTHER_VILLAGE, "邻村")
}

/// Opens a node's store in a directory, with the tables of the domain.
///
/// # Panics
/// When it does not open.
pub fn open(dir: &Path, member: &Member) -> Store {
    open_with(dir, member, Arc::new(GovernanceProjector), StoreOptions::default())
}

/// The same with other tables, or in another way.
///
/// # Panics
/// When it does not open.
pub fn open_with(
    dir: &Path,
    member: &Member,
    projector: Arc<dyn Projector>,
    options: StoreOptions,
) -> Store {
    let opened = Store::open(dir, projector, member.store_identity(), options);
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// A store learns certificates.
///
/// # Panics
/// When it refuses one.
pub fn learn(store: &Store, certificates: &[Vec<u8>]) {
    let refused = store.add_certificates(certificates).expect("the store writes");
    assert_eq!(refused, Vec::<String>::new());
}

/// Where a document of this number is. Ids are spread as random ones are.
///
/// # Panics
/// When the address is none.
pub fn home(category: Category, address: &str, document: u32) -> Home {
    let spread = document.wrapping_mul(0x9e37_79b1);
    let document = u128::from(spread) << 96 | u128::from(document);
    let document = DocumentId(document.to_be_bytes());
    let address = AddressCode::parse(address).expect("the suites name real codes");
    Home { category, address, document }
}

/// A write of one field.
pub fn put(home: Home, field: &str, text: &str) -> Write {
    let edits = vec![Edit::Put { field: field.to_owned(), text: text.to_owned() }];
    Write { home, edits, source: "terminal".to_owned(), task: String::new() }
}

/// The changes of a store under a prefix, in key order.
///
/// # Panics
/// When the store fails.
pub fn under(store: &Store, prefix: &KeyPrefix) -> Vec<Stored> {
    let mut next = Some(Selection::Prefix { prefix: prefix.clone(), after: Vec::new() });
    let mut all = Vec::new();
    while let Some(selection) = next {
        let request = StoreRequest::Read { selection, bytes: limits::BATCH_BYTES };
        let reply = store.serve(request).expect("the store reads");
        let StoreReply::Read { changes, rest, .. } = reply else {
            panic!("{reply:?} is of another kind")
        };
        all.extend(changes);
        next = rest;
    }
    all
}

/// All changes of a store, in key order.
///
/// # Panics
/// When the store fails.
pub fn all(store: &Store) -> Vec<Stored> {
    let request = StoreRequest::Overview { scope: Scope::everything() };
    let reply = store.serve(request).expect("the store reads");
    let StoreReply::Overview { tops, .. } = reply else { panic!("{reply:?} is of another kind") };
    tops.into_iter().flat_map(|(prefix, _)| under(store, &prefix)).collect()
}

/// Changes as a batch carries them.
pub fn carried(stored: &[Stored]) -> Vec<Carried> {
    stored.iter().map(|stored| stored.carried.clone()).collect()
}

/// Takes changes in as from a peer that may send everything; gives what became of each.
///
/// # Panics
/// When the store fails.
pub fn ingest(store: &Store, from: Serial, changes: Vec<Carried>) -> Vec<Fate> {
    ingest_within(store, from, changes, Scope::everything(), 0)
}

/// The same from a peer that may send what is in a scope, and has it from these tiers.
///
/// # Panics
/// When the store fails.
pub fn ingest_within(
    store: &Store,
    from: Serial,
    changes: Vec<Carried>,
    scope: Scope,
    sender_tiers: u8,
) -> Vec<Fate> {
    let request = StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms: 0 };
    let reply = store.serve(request).expect("the store takes changes in");
    let StoreReply::Ingested { fates, .. } = reply else { panic!("{reply:?} is of another kind") };
    fates.into_iter().map(|(_, fate)| fate).collect()
}

/// Takes in what must be taken.
///
/// # Panics
/// When any of it is refused.
pub fn take(store: &Store, from: Serial, changes: Vec<Carried>) {
    for fate in ingest(store, from, changes) {
        assert!(matches!(fate, Fate::Accepted | Fate::Known), "{fate:?}");
    }
}

/// Fails when a store says that something in it is not as it should be.
///
/// # Panics
/// Then.
pub fn assert_sound(store: &Store) {
    let report = store.verify().expect("the store reads");
    assert!(report.is_sound(), "{report:?}");
}

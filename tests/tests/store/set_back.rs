//! A store that lacks what its own node has made: it was set back, or is one of two.

use std::fs;
use std::path::Path;

use cunlian_crdt::store::{Store, Unsent};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, StoreReply, StoreRequest};
use tempfile::tempdir;

use super::world::*;

/// Takes changes in from a town; gives whether the store found that it was set back.
fn finds_out(store: &Store, world: &World, changes: Vec<Carried>) -> bool {
    let (from, scope) = (world.town.author.serial, Scope::everything());
    let sender_tiers = Tier::Town.bit();
    let request = StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms: 0 };
    match store.serve(request).unwrap() {
        StoreReply::Ingested { set_back, .. } => set_back,
        other => panic!("{other:?} is of another kind"),
    }
}

fn earlier_state(of: &Store, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    of.copy_to(&dir.join("store.sqlite")).unwrap();
}

/// Shows that a store notices changes that its node made under numbers that it has not given, or
/// has given to others; not what it knows, not what others made, and not what it had and purged.
#[test]
fn what_was_made_here_and_is_unknown_is_noticed() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(&dir.path().join("now"), &world.village);
    let at = |document| home(Category::TICKET, VILLAGE, document);
    write(&store, &world.village, vec![put(at(1), "a", "x")]);
    for name in ["idle", "busy"] {
        earlier_state(&store, &dir.path().join(name));
    }
    write(&store, &world.village, vec![put(at(2), "a", "y")]);
    let town = world.open(&dir.path().join("town"), &world.town);
    write(&town, &world.town, vec![put(at(3), "a", "z")]);
    let (own, other) = (carried(&all(&store)), carried(&all(&town)));

    assert!(!finds_out(&store, &world, own.clone()), "all of it is known");
    assert!(!finds_out(&store, &world, other.clone()));
    assert!(!finds_out(&town, &world, own.clone()), "the town did not make them");
    store.purge(&Scope::default(), Unsent::Discard).unwrap();
    assert!(!finds_out(&store, &world, own.clone()), "its numbers are known");

    let idle = world.open(&dir.path().join("idle"), &world.village);
    assert!(finds_out(&idle, &world, own.clone()), "number 2 was not given here");
    assert!(!finds_out(&idle, &world, own.clone()), "now it is known");
    let busy = world.open(&dir.path().join("busy"), &world.village);
    write(&busy, &world.village, vec![put(at(4), "a", "w")]);
    assert!(finds_out(&busy, &world, own), "number 2 was given to another");
    assert_eq!(busy.counts().unwrap().equivocations, 1);
}

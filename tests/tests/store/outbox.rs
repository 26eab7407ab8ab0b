//! Honest status: what is known to have reached which tier.

use cunlian_crdt::store::{Reached, Store, StoreIdentity, StoreOptions};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::durability::{self, Answer, Question, Questions};
use cunlian_protocol::key::SetKey;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_protocol::wire::Bounded;
use tempfile::tempdir;

use super::world::*;

const BOTH: u8 = Tier::County.bit() | Tier::Town.bit();

fn waiting(store: &Store) -> Vec<(SetKey, u8)> {
    match store.serve(StoreRequest::Waiting { after: 0 }).unwrap() {
        StoreReply::Waiting { waiting, rest } => {
            assert_eq!(rest, None);
            waiting
        }
        other => panic!("{other:?} is of another kind"),
    }
}

fn mark(store: &Store, reached: Vec<(SetKey, u8)>) -> Vec<(SetKey, u8)> {
    let receipt = Some(b"receipt".to_vec());
    match store.serve(StoreRequest::MarkReached { reached, receipt }).unwrap() {
        StoreReply::MarkReached { news } => news,
        other => panic!("{other:?} is of another kind"),
    }
}

fn held(store: &Store, keys: &[SetKey], own: u8) -> Vec<u8> {
    let list = keys.iter().cloned().map(Question::Change).collect();
    let questions = Questions { tiers: u8::MAX, list: Bounded(list) };
    let answers = answers(store, questions, own).into_iter().map(|answer| match answer {
        Answer::Change { held } => held,
        other => panic!("{other:?} is of another kind"),
    });
    answers.collect()
}

fn answers(store: &Store, questions: Questions, own: u8) -> Vec<Answer> {
    let request = durability::Request::Answer { questions, own };
    match store.serve(StoreRequest::Durability(request)).unwrap() {
        StoreReply::Durability(durability::Reply::Answer(answers)) => answers,
        other => panic!("{other:?} is of another kind"),
    }
}

/// Shows the way of a ticket and of a private record up: the ticket waits for town and county,
/// the record, which the county may not read, for the town alone; each receipt is news once.
#[test]
fn a_change_waits_for_the_tiers_that_may_read_it() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let ticket = home(Category::TICKET, VILLAGE, 1);
    let private = home(PRIVATE, VILLAGE, 2);
    write(&store, &world.village, vec![put(ticket, "a", "x"), put(private, "a", "x")]);
    let keys = keys(&all(&store));
    let (ticket_key, private_key) = (keys[0].clone(), keys[1].clone());
    let town = Tier::Town.bit();
    assert_eq!(waiting(&store), [(ticket_key.clone(), BOTH), (private_key.clone(), town)]);
    let nothing = Reached { awaited: BOTH, ..Reached::default() };
    assert_eq!(store.reached(&ticket).unwrap(), nothing);
    let backlog = store.outbox_totals().unwrap();
    assert_eq!((backlog[&Tier::Town].changes, backlog[&Tier::County].changes), (2, 1));
    assert_eq!(backlog[&Tier::Town].oldest_recorded_at_ms, Some(NOW_MS));

    let both_at_town = vec![(ticket_key.clone(), town), (private_key.clone(), town)];
    assert_eq!(mark(&store, both_at_town.clone()), both_at_town);
    assert_eq!(mark(&store, both_at_town), []);
    let at_town = Reached { awaited: Tier::County.bit(), reached: town, ..Reached::default() };
    assert_eq!(store.reached(&ticket).unwrap(), at_town);
    assert_eq!(store.reached(&private).unwrap().awaited, 0);
    assert_eq!(all(&store)[0].carried.reached, town);

    let county = Tier::County.bit();
    assert_eq!(mark(&store, vec![(ticket_key.clone(), BOTH)]), [(ticket_key.clone(), county)]);
    assert_eq!(store.reached(&ticket).unwrap().reached, BOTH);
    assert_eq!(waiting(&store), []);
    let own = Tier::Village.bit();
    assert_eq!(held(&store, &[ticket_key, private_key], own), [own | BOTH, own | town]);
    assert!(store.outbox_totals().unwrap().is_empty());
}

/// Shows that what a parent sends does not wait for it, that it settles what waited here, and
/// that a child's word about tiers above is not taken.
#[test]
fn only_a_parent_tells_what_is_above() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let at = home(Category::TICKET, VILLAGE, 1);
    write(&village, &world.village, vec![put(at, "a", "x")]);
    let mut changes = carried(&all(&village));
    changes[0].reached = Tier::County.bit();
    ingest(&town, &world.village, changes.clone());
    assert_eq!(town.reached(&at).unwrap().awaited, Tier::County.bit());
    // The town sends it back, having had it from elsewhere; then the county is known to have it.
    ingest_from(&village, &world.town, changes, Scope::everything(), Tier::Town.bit());
    assert_eq!(village.reached(&at).unwrap().reached, BOTH);
    let down = home(Category::TICKET, VILLAGE, 2);
    write(&town, &world.town, vec![put(down, "a", "x")]);
    let new: Vec<_> = all(&town).into_iter().filter(|s| s.key.home == down).collect();
    ingest_from(&village, &world.town, carried(&new), Scope::everything(), Tier::Town.bit());
    assert_eq!(village.reached(&down).unwrap().awaited, Tier::County.bit());
}

/// Shows that a refusal by a peer is shown with the document until the tier holds it after all.
#[test]
fn a_refusal_is_shown() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let at = home(Category::TICKET, VILLAGE, 1);
    write(&store, &world.village, vec![put(at, "a", "x")]);
    let key = keys(&all(&store)).remove(0);
    let refused = vec![(key.clone(), "no right".to_owned())];
    let by = world.town.author.serial;
    store.serve(StoreRequest::MarkRefused { by, refused }).unwrap();
    assert_eq!(store.reached(&at).unwrap().refused.as_deref(), Some("no right"));
    mark(&store, vec![(key, BOTH)]);
    assert_eq!(store.reached(&at).unwrap().refused, None);
}

/// Shows that what was written before the node joined waits for the tiers it has joined.
#[test]
fn what_was_written_before_joining_waits_too() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let at = home(Category::TICKET, VILLAGE, 1);
    let alone = StoreIdentity { own: None, ..world.identity(&world.village) };
    let projector = std::sync::Arc::new(Fields { version: 1 });
    let store = Store::open(dir.path(), projector, alone, StoreOptions::default()).unwrap();
    write(&store, &world.village, vec![put(at, "a", "x")]);
    assert_eq!(store.reached(&at).unwrap(), Reached::default());
    drop(store);
    let store = world.open(dir.path(), &world.village);
    assert_eq!(store.reached(&at).unwrap().awaited, BOTH);
    let key = keys(&all(&store)).remove(0);
    mark(&store, vec![(key, Tier::Town.bit())]);
    drop(store);
    let store = world.open(dir.path(), &world.village);
    assert_eq!(store.reached(&at).unwrap().awaited, Tier::County.bit());
}

//! Following a store: what is told, in which order, how often, and what it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::{Fault, Follower, News, Start, Store, StoreOptions, Unsent};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::StoreRequest;
use proptest::prelude::*;
use tempfile::tempdir;

use super::world::*;

fn ticket(document: u8) -> Home {
    home(Category::TICKET, VILLAGE, document)
}

fn follow(store: &Store, start: Start) -> Follower {
    store.follow("test", CategorySet::all(), start).unwrap()
}

fn homes(news: &News) -> Vec<Home> {
    news.documents.iter().map(|touched| touched.home).collect()
}

/// All that is new, confirmed.
fn drain(follower: &Follower) -> Vec<Home> {
    let mut all = Vec::new();
    while let Some(news) = follower.news().unwrap() {
        all.extend(homes(&news));
        follower.confirm(&news).unwrap();
    }
    all
}

/// The files of a store as they lie on the disk while it runs, as after a power cut.
fn crashed(of: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        fs::copy(of.join(name), to.join(name)).unwrap();
    }
}

fn scope_of(address: &str) -> Scope {
    let region = Region::subtree(AddressCode::parse(address).unwrap());
    let categories = CategorySet::all();
    Scope::of_grants(
        &[Grant {
            region,
            document: None,
            categories,
            rights: Rights::READ,
            delegable: Rights::NONE,
        }],
        Rights::READ,
    )
}

/// Shows that what was committed is told in order with its changes, the same again until it is
/// confirmed, in this process and after a crash between, and after that not again.
#[test]
fn what_is_not_confirmed_is_told_again() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(&dir.path().join("now"), &world.village);
    let before = write(&store, &world.village, vec![put(ticket(9), "a", "x")]);
    let follower = follow(&store, Start::Beginning);
    let first = write(&store, &world.village, vec![put(ticket(2), "a", "x")]);
    let more =
        write(&store, &world.village, vec![put(ticket(1), "a", "x"), put(ticket(2), "b", "x")]);
    let news = follower.news().unwrap().unwrap();
    let told: Vec<_> = news.documents.iter().map(|t| (t.home, t.changes.clone())).collect();
    let expected =
        [(ticket(9), before), (ticket(1), vec![more[0]]), (ticket(2), vec![first[0], more[1]])];
    assert_eq!(told, expected);
    assert!(news.documents.is_sorted_by_key(|touched| touched.row) && !news.again);
    assert_eq!(follower.news().unwrap().as_ref(), Some(&news));

    crashed(&dir.path().join("now"), &dir.path().join("crashed"));
    let other = world.open(&dir.path().join("crashed"), &world.village);
    assert_eq!(follow(&other, Start::Now).news().unwrap().as_ref(), Some(&news));

    follower.confirm(&news).unwrap();
    assert_eq!(follower.news().unwrap(), None);
    drop((store, follower));
    let store = world.open(&dir.path().join("now"), &world.village);
    let follower = follow(&store, Start::Beginning);
    assert_eq!(follower.news().unwrap(), None);
    write(&store, &world.village, vec![put(ticket(3), "a", "x")]);
    assert_eq!(drain(&follower), [ticket(3)]);
}

/// Shows that one who begins now is not told of what was, that each has a place of its own, and
/// that one who was forgotten begins anew.
#[test]
fn followers_have_places_of_their_own() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    write(&store, &world.village, vec![put(ticket(1), "a", "x")]);
    let all = CategorySet::all();
    let late = store.follow("late", all.clone(), Start::Now).unwrap();
    let early = store.follow("early", all.clone(), Start::Beginning).unwrap();
    write(&store, &world.village, vec![put(ticket(2), "a", "x")]);
    assert_eq!(drain(&early), [ticket(1), ticket(2)]);
    let lag = |name: &str| {
        let lags = store.followers().unwrap();
        lags.into_iter().find(|lag| lag.name == name).map(|lag| lag.rows)
    };
    assert_eq!((lag("early"), lag("late")), (Some(0), Some(1)));
    assert_eq!(drain(&late), [ticket(2)]);
    assert!(store.unfollow("late").unwrap() && !store.unfollow("late").unwrap());
    assert_eq!(lag("late"), None);
    let anew = store.follow("late", all, Start::Beginning).unwrap();
    assert_eq!(drain(&anew), [ticket(1), ticket(2)]);
}

/// Shows that who waits is woken by a commit, that nothing is told of other categories nor kept on
/// the disk for them, and that closing the store sends away who waits.
#[test]
fn who_waits_is_woken_by_a_commit() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let alerts = CategorySet::of([Category::ALERT]);
    let follower = store.follow("alerts", alerts, Start::Now).unwrap();
    let alert = home(Category::ALERT, VILLAGE, 1);
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let follower = &follower;
        scope.spawn(move || {
            loop {
                if let Err(fault) = follower.wait() {
                    assert_eq!((fault, follower.news()), (Fault::Stopped, Err(Fault::Stopped)));
                    return;
                }
                while let Some(news) = follower.news().unwrap() {
                    follower.confirm(&news).unwrap();
                    told.send(homes(&news)).unwrap();
                }
            }
        });
        write(&store, &world.village, vec![put(ticket(1), "a", "x")]);
        write(&store, &world.village, vec![put(alert, "a", "x")]);
        assert_eq!(hears.recv_timeout(Duration::from_mins(1)).unwrap(), [alert]);
        let kept = store.followers().unwrap()[0].rows;
        write(&store, &world.village, (0..40).map(|n| put(ticket(n), "b", "x")).collect());
        assert_eq!(store.followers().unwrap()[0].rows, kept + 40, "no transaction for others");
        drop(store);
    });
}

/// Shows that a follower that lags far behind is given bounded parts that together are everything
/// in order, each document once in each, and that the writer goes on meanwhile.
#[test]
fn what_is_told_is_bounded() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let follower = follow(&store, Start::Now);
    let home = |n: u16| Home {
        document: DocumentId([n.to_be_bytes(); 8].concat().try_into().unwrap()),
        ..ticket(0)
    };
    let writes = (0..2_000).flat_map(|n| [put(home(n), "a", "x"), put(home(n / 2), "b", "x")]);
    write(&store, &world.village, writes.collect());
    let late = self::home(Category::ALERT, VILLAGE, 1);
    let (mut seen, mut last, mut parts) = (BTreeSet::new(), 0, 0);
    while let Some(news) = follower.news().unwrap() {
        assert!(news.documents.len() <= 256, "{}", news.documents.len());
        assert!(news.documents.iter().all(|touched| touched.row > last));
        let of_part: BTreeSet<Home> = homes(&news).into_iter().collect();
        assert_eq!(of_part.len(), news.documents.len());
        last = news.documents.last().unwrap().row;
        seen.extend(of_part);
        follower.confirm(&news).unwrap();
        parts += 1;
        if parts == 2 {
            write(&store, &world.village, vec![put(late, "a", "x")]);
        }
    }
    assert_eq!((seen.len(), seen.contains(&late)), (2_001, true));
}

/// Shows that an erasure and a revocation are told with the document, whether something of it is
/// left or not, and that another rebuild of the tables tells nothing.
#[test]
fn erasures_and_revocations_are_told() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let dismissed = World::person(20, &world.village);
    store.add_certificates(&dismissed.chain).unwrap();
    write(&store, &dismissed, (1..4).map(|n| put(ticket(n), "a", "x")).collect());
    write(&store, &world.village, vec![put(ticket(1), "b", "y"), put(ticket(4), "b", "y")]);
    let follower = follow(&store, Start::Now);
    let erasure = store.erase(&world.village.author, &[ticket(4)], "本人要求", NOW_MS).unwrap();
    let news = follower.news().unwrap().unwrap();
    assert_eq!((homes(&news), &news.documents[0].changes), (vec![ticket(4)], &erasure));
    follower.confirm(&news).unwrap();
    learn(&store, &[revocation(&dismissed, &world.village, 0, &[])]);
    let news = follower.news().unwrap().unwrap();
    assert_eq!(homes(&news), [ticket(1), ticket(2), ticket(3)]);
    assert!(news.documents.iter().all(|touched| touched.changes.is_empty()) && !news.again);
    assert!(store.view(&ticket(2)).unwrap().is_none());
    follower.confirm(&news).unwrap();
    store.rebuild_projections().unwrap();
    store.rebuild_summaries().unwrap();
    assert_eq!(follower.news().unwrap(), None);
}

/// Shows that a purge tells everybody to look at all they have, names no document that went, and
/// leaves no note of one, not even for a follower that never comes back.
#[test]
fn a_purge_names_nothing_that_went() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    drop(town.follow("never again", CategorySet::all(), Start::Beginning).unwrap());
    let dismissed = World::person(20, &world.village);
    town.add_certificates(&dismissed.chain).unwrap();
    write(&town, &dismissed, vec![put(ticket(1), "a", "x"), put(ticket(2), "a", "x")]);
    write(&town, &world.town, vec![put(ticket(2), "b", "x")]);
    let stays = home(Category::TICKET, OTHER_VILLAGE, 3);
    write(&town, &world.town, vec![put(stays, "b", "x")]);
    learn(&town, &[revocation(&dismissed, &world.village, 0, &[])]);
    let follower = follow(&town, Start::Now);
    let keys: Vec<SetKey> = keys(&all(&town));
    let reached = keys.into_iter().map(|key| (key, Tier::County.bit())).collect();
    town.serve(StoreRequest::MarkReached { reached, receipt: None }).unwrap();
    town.purge(&scope_of(OTHER_VILLAGE), Unsent::Keep).unwrap();
    let news = follower.news().unwrap().unwrap();
    assert!(news.again && news.documents.is_empty(), "{news:?}");
    follower.confirm(&news).unwrap();
    assert_eq!(follower.news().unwrap(), None);
    let notes = |connection: &rusqlite::Connection| {
        connection.query_row("SELECT count(*) FROM touched", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(town.read(notes).unwrap(), 0);
    let anew = town.follow("anew", CategorySet::all(), Start::Beginning).unwrap();
    assert_eq!(drain(&anew), [stays]);
    // No number was given twice.
    write(&town, &world.town, vec![put(stays, "b", "y")]);
    assert_eq!(drain(&follower), [stays]);
}

/// Shows that a follower of a store that came back from a copy goes on from where it was in the
/// copy, and is told to look at all it has; and likewise where the files were put back by hand, as
/// soon as that is noticed.
#[test]
fn a_restored_store_tells_its_followers() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = world.open(&at("now"), &world.village);
    let follower = follow(&store, Start::Beginning);
    write(&store, &world.village, vec![put(ticket(1), "a", "x")]);
    assert_eq!(drain(&follower), [ticket(1)]);
    fs::create_dir(at("copy")).unwrap();
    store.copy_to(&at("copy").join("store.sqlite")).unwrap();
    crashed(&at("now"), &at("by hand"));
    write(&store, &world.village, vec![put(ticket(2), "a", "x")]);
    assert_eq!(drain(&follower), [ticket(2)]);
    let lost = carried(&all(&store));

    let restored = world.open(&at("copy"), &world.village);
    let follower = follow(&restored, Start::Beginning);
    let news = follower.news().unwrap().unwrap();
    assert!(news.again && news.documents.is_empty(), "{news:?}");
    assert_eq!(follower.news().unwrap(), Some(news.clone()));
    follower.confirm(&news).unwrap();
    ingest(&restored, &world.town, lost.clone());
    let news = follower.news().unwrap().unwrap();
    assert_eq!(homes(&news), [ticket(2)]);
    follower.confirm(&news).unwrap();
    drop((restored, follower));
    let restored = world.open(&at("copy"), &world.village);
    assert_eq!(follow(&restored, Start::Beginning).news().unwrap(), None, "it is told once");

    let by_hand = world.open(&at("by hand"), &world.village);
    let follower = follow(&by_hand, Start::Beginning);
    assert_eq!(follower.news().unwrap(), None);
    ingest(&by_hand, &world.town, lost);
    let news = follower.news().unwrap().unwrap();
    assert_eq!((homes(&news), news.again), (vec![ticket(2)], true));
}

/// Shows that a follower whose place lies beyond the store, which only damage brings about, is
/// told everything again.
#[test]
fn a_place_beyond_the_store_begins_anew() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    write(&store, &world.village, vec![put(ticket(1), "a", "x")]);
    drop(follow(&store, Start::Now));
    let damage = |connection: &rusqlite::Connection| {
        connection.execute("UPDATE follower SET row = 1000", [])
    };
    assert_eq!(store.write_reference(damage).unwrap(), 1);
    let follower = follow(&store, Start::Now);
    let news = follower.news().unwrap().unwrap();
    assert_eq!((homes(&news), news.again), (vec![ticket(1)], true));
    follower.confirm(&news).unwrap();
    assert_eq!(follower.news().unwrap(), None);
}

/// What happens to a town's store and to one who follows it.
#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    ByDismissed(u8),
    FromBelow(u8),
    Erase(u8),
    Dismiss,
    Purge,
    Copy,
    Restore,
    Follow,
    FollowAndForget,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let document = || 1..12_u8;
    let step = prop_oneof![
        4 => document().prop_map(Step::Write),
        4 => document().prop_map(Step::ByDismissed),
        3 => document().prop_map(Step::FromBelow),
        1 => document().prop_map(Step::Erase),
        1 => Just(Step::Dismiss),
        1 => Just(Step::Purge),
        1 => Just(Step::Copy),
        1 => Just(Step::Restore),
        4 => Just(Step::Follow),
        2 => Just(Step::FollowAndForget),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// One who keeps a picture of all documents, and so of what it was told.
#[derive(Default)]
struct Mirror(BTreeMap<Home, DocumentView>);

impl Mirror {
    /// Looks at what it is told of until nothing is new; confirms all but the last part if it dies.
    fn follow(&mut self, store: &Store, dies: bool) {
        let follower = follow(store, Start::Beginning);
        while let Some(news) = follower.news().unwrap() {
            let named = homes(&news).into_iter();
            let known: Vec<Home> = self.0.keys().copied().filter(|_| news.again).collect();
            for home in named.chain(known) {
                match store.view(&home).unwrap() {
                    Some(view) => drop(self.0.insert(home, view)),
                    None => drop(self.0.remove(&home)),
                }
            }
            match (dies, news.again) {
                (true, _) => return,
                (false, true) => follower.begin_anew(&news).unwrap(),
                (false, false) => follower.confirm(&news).unwrap(),
            }
        }
    }
}

/// Everything there is in a store.
fn documents(store: &Store) -> BTreeMap<Home, DocumentView> {
    let homes: BTreeSet<Home> = keys(&all(store)).into_iter().map(|key| key.home).collect();
    homes.into_iter().map(|home| (home, store.view(&home).unwrap().unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Shows that whoever reads each document it is told of, and all it has when it is told to,
    /// knows at the end exactly what the store holds, whatever was written, erased, revoked,
    /// purged and restored, and however often it died before it confirmed.
    #[test]
    fn who_follows_knows_what_there_is(steps in steps()) {
        let world = World::new();
        let dir = tempdir().unwrap();
        let (now, copy) = (dir.path().join("now"), dir.path().join("copy"));
        let mut store = world.open(&now, &world.town);
        let below = world.open(&dir.path().join("below"), &world.village);
        let dismissed = World::person(20, &world.village);
        for store in [&store, &below] {
            store.add_certificates(&dismissed.chain).unwrap();
        }
        let mut mirror = Mirror::default();
        let at = |document: u8| {
            let village = if document.is_multiple_of(3) { OTHER_VILLAGE } else { VILLAGE };
            home(Category::TICKET, village, document)
        };
        for step in steps {
            // What is refused by now is not the matter here.
            match step {
                Step::Write(n) => {
                    let _ = store.write(&world.town.author, vec![put(at(n), "a", "t")], NOW_MS);
                }
                Step::ByDismissed(n) => {
                    let text = format!("{n}");
                    let _ = store.write(&dismissed.author, vec![put(at(n), "b", &text)], NOW_MS);
                }
                Step::FromBelow(n) => {
                    let edits = vec![put(ticket(n), "c", "b"), append(ticket(n), "step")];
                    let _ = below.write(&world.village.author, edits, NOW_MS);
                    ingest(&store, &world.village, carried(&all(&below)));
                }
                Step::Erase(n) => {
                    let _ = store.erase(&world.town.author, &[at(n)], "本人要求", NOW_MS);
                }
                Step::Dismiss => learn(&store, &[revocation(&dismissed, &world.village, 1, &[])]),
                Step::Purge => {
                    let keep = scope_of(VILLAGE);
                    store.purge(&keep, Unsent::Discard).unwrap();
                    store.purge_accounted().unwrap();
                }
                Step::Copy => {
                    let _ = fs::remove_dir_all(&copy);
                    fs::create_dir(&copy).unwrap();
                    store.copy_to(&copy.join("store.sqlite")).unwrap();
                }
                Step::Restore if copy.exists() => {
                    drop(store);
                    fs::remove_dir_all(&now).unwrap();
                    fs::rename(&copy, &now).unwrap();
                    store = world.open(&now, &world.town);
                }
                Step::Restore => {}
                Step::Follow => mirror.follow(&store, false),
                Step::FollowAndForget => mirror.follow(&store, true),
                Step::Reopen => {
                    drop(store);
                    let options = StoreOptions::default();
                    store = world.open_with(&now, &world.town, 1, options);
                }
            }
        }
        mirror.follow(&store, false);
        let there = documents(&store);
        prop_assert_eq!(mirror.0, there);
        assert_sound(&store);
    }
}

//! Writes, deliveries, revocations and erasures in any order end in the same stores.

use std::collections::BTreeSet;

use cunlian_crdt::store::{Store, WriteError};
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::sync::Carried;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::world::*;

const STORES: usize = 3;

#[derive(Debug, Clone)]
enum Event {
    /// The person of a store writes to a document.
    Write(usize, u8, u8),
    /// Some of what one store has reaches another, backwards if `true`.
    Send(usize, usize, Vec<prop::sample::Index>, bool),
    /// A person is revoked, through a number, and one store learns it.
    Revoke(usize, usize, u64, bool),
    /// The person of a store erases a document.
    Erase(usize, u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let store = || 0..STORES;
    let some = prop::collection::vec(any::<prop::sample::Index>(), 1..6);
    let event = prop_oneof![
        8 => (store(), 1..4_u8, 0..3_u8).prop_map(|(s, d, f)| Event::Write(s, d, f)),
        6 => (store(), store(), some, any::<bool>())
            .prop_map(|(a, b, i, r)| Event::Send(a, b, i, r)),
        2 => (store(), store(), 0..4_u64, any::<bool>())
            .prop_map(|(a, s, t, g)| Event::Revoke(a, s, t, g)),
        1 => (store(), 1..4_u8).prop_map(|(s, d)| Event::Erase(s, d)),
    ];
    prop::collection::vec(event, 1..30)
}

/// One change as it was made.
struct Made {
    by: usize,
    seq: u64,
    home: Home,
    id: ChangeId,
}

/// What happens to three stores with one person each.
struct Story {
    world: World,
    people: Vec<Member>,
    stores: Vec<Store>,
    made: Vec<Made>,
    erased: BTreeSet<Home>,
    revocations: Vec<Vec<u8>>,
    _dirs: Vec<TempDir>,
}

fn at(document: u8) -> Home {
    home(Category::TICKET, VILLAGE, document)
}

fn ids(store: &Store) -> BTreeSet<ChangeId> {
    all(store).into_iter().map(|stored| stored.key.change).collect()
}

impl Story {
    fn new() -> Self {
        let world = World::new();
        let nodes = [&world.village, &world.town, &world.county];
        let people: Vec<Member> =
            (0..3_u8).map(|byte| World::person(20 + byte, nodes[usize::from(byte % 2)])).collect();
        let dirs: Vec<_> = nodes.iter().map(|_| tempdir().unwrap()).collect();
        let stores = nodes.iter().zip(&dirs).map(|(node, dir)| {
            let store = world.open(dir.path(), node);
            for person in &people {
                store.add_certificates(&person.chain).unwrap();
            }
            store
        });
        let stores = stores.collect();
        let (made, revocations, erased) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { world, people, stores, made, erased, revocations, _dirs: dirs }
    }

    fn happen(&mut self, step: usize, event: Event) {
        match event {
            Event::Write(place, document, field) => {
                let text = format!("text {step}");
                let write = match field {
                    0 => append(at(document), &text),
                    field => put(at(document), &format!("f{field}"), &text),
                };
                let author = &self.people[place].author;
                let written = self.stores[place].write(author, vec![write], NOW_MS);
                self.note(place, at(document), written);
            }
            Event::Erase(place, document) => {
                let author = &self.people[place].author;
                let erased = self.stores[place].erase(author, &[at(document)], "asked", NOW_MS);
                if erased.is_ok() {
                    self.erased.insert(at(document));
                }
                self.note(place, at(document), erased);
            }
            Event::Send(from, to, some, backwards) => {
                let all = carried(&all(&self.stores[from]));
                let some = some.iter().filter(|_| !all.is_empty());
                let mut batch: Vec<Carried> =
                    some.map(|index| all[index.index(all.len())].clone()).collect();
                if backwards {
                    batch.reverse();
                }
                ingest(&self.stores[to], &self.world.town, batch);
            }
            Event::Revoke(by, place, through, tagged) => self.revoke(by, place, through, tagged),
        }
    }

    fn note(&mut self, by: usize, home: Home, outcome: Result<Vec<ChangeId>, WriteError>) {
        match outcome {
            Ok(ids) => {
                let seq = self.stores[by].last_seq(&self.people[by].author.serial).unwrap();
                self.made.push(Made { by, seq, home, id: ids[0] });
            }
            Err(
                WriteError::Refused(Refusal::Revoked { .. })
                | WriteError::Erased { .. }
                | WriteError::NoDocument { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// With tags of all changes that stand, or with none.
    fn revoke(&mut self, by: usize, place: usize, through: u64, tagged: bool) {
        let own = self.made.iter().filter(|made| made.by == by && made.seq <= through);
        let tags: Vec<ChangeId> = own.map(|made| made.id).collect();
        let tags = if tagged && tags.len() as u64 == through { tags } else { Vec::new() };
        let bytes = revocation(&self.people[by], &self.world.county, through, &tags);
        learn(&self.stores[place], std::slice::from_ref(&bytes));
        self.revocations.push(bytes);
    }

    /// Some exchange while some revocations are known at some stores, then all of all.
    fn end(&self) {
        let (some, _) = self.revocations.split_at(self.revocations.len() / 2);
        learn(&self.stores[1], some);
        for from in &self.stores {
            for to in &self.stores {
                ingest(to, &self.world.town, carried(&all(from)));
            }
        }
        for store in &self.stores {
            learn(store, &self.revocations);
        }
        for _ in 0..8 {
            if self.exchange() {
                return;
            }
        }
        panic!("the stores do not come to agree");
    }

    /// Sends what the other lacks; gives whether there was nothing.
    fn exchange(&self) -> bool {
        let mut equal = true;
        for from in &self.stores {
            for to in &self.stores {
                let known = ids(to);
                let mut missing = all(from);
                missing.retain(|stored| !known.contains(&stored.key.change));
                equal &= missing.is_empty();
                ingest(to, &self.world.town, carried(&missing));
            }
        }
        equal
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Shows with real stores that writes, deliveries of any part in any order, erasures and
    /// revocations learned at any moment end, once all has been exchanged, with equal logs, marks
    /// and tables everywhere, and that every change that stands is there, save in documents whose
    /// every copy was erased by somebody who was revoked for it.
    #[test]
    fn every_order_ends_in_the_same_stores(events in events()) {
        let mut story = Story::new();
        for (step, event) in events.into_iter().enumerate() {
            story.happen(step, event);
        }
        story.end();
        let authority = story.stores[0].authority();
        let kept = ids(&story.stores[0]);
        for Made { by, seq, home, id } in &story.made {
            let serial = story.people[*by].author.serial;
            let stands = authority.stands(&serial, *seq, Some(id)).is_ok();
            if stands && !story.erased.contains(home) {
                prop_assert!(kept.contains(id), "a change that stands was lost");
            }
        }
        for store in &story.stores {
            prop_assert_eq!(&ids(store), &kept);
            prop_assert_eq!(dump(store), dump(&story.stores[0]));
            assert_sound(store);
        }
    }
}

//! What a comparison costs, in round trips and bytes: for few differences among many changes, for
//! many, and for sets that have nothing in common; and that it finds what differs wherever it is.

use cunlian_crdt::document::Write;
use cunlian_protocol::category::Category;
use cunlian_protocol::sketch::{Difference, Symbol, symbols, symbols_for};
use cunlian_protocol::wire::{self, Frame, Message};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

const POPULATION: Category = Category::library(0, 0);

/// Bytes and messages of comparing, hello and changes left aside.
#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    bytes: usize,
    questions: usize,
}

impl Cost {
    fn of(tape: &[(usize, Vec<u8>)]) -> Self {
        let mut cost = Self::default();
        for (_, frame) in tape {
            match wire::decode(&frame[4..]).unwrap() {
                Frame::Message(Message::Root { .. } | Message::Query(_)) => {
                    cost.bytes += frame.len();
                    cost.questions += 1;
                }
                Frame::Message(
                    Message::Equal | Message::Tops(_) | Message::Answer(_) | Message::Want { .. },
                ) => cost.bytes += frame.len(),
                Frame::Message(_) | Frame::Batch { .. } => {}
            }
        }
        cost
    }
}

/// A town and a village with `common` records, then apart; each writes its own; then together.
struct Story {
    world: World,
    town: usize,
    village: usize,
}

impl Story {
    fn of(mut common: Vec<Write>) -> Self {
        common.push(put(POPULATION, VILLAGE, u32::MAX, "李秀英"));
        let (mut world, town, village) = town_and_village();
        let secretary = world.nodes[village].member.author(1);
        world.write(village, &secretary, common);
        world.run(60_000);
        world.assert_equal(town, village);
        world.cut(town, village);
        world.run(1_000);
        Self { world, town, village }
    }

    fn differ(&mut self, at_town: Vec<Write>, at_village: Vec<Write>) {
        for (at, writes) in [(self.town, at_town), (self.village, at_village)] {
            let author = self.world.nodes[at].member.author(2);
            if !writes.is_empty() {
                self.world.write(at, &author, writes);
            }
        }
    }

    /// Brings them together; what the first comparison cost, before the one that confirms it.
    fn meet(&mut self) -> Cost {
        self.world.heal(self.town, self.village);
        self.world.tape.clear();
        self.world.run(40_000);
        self.world.assert_equal(self.town, self.village);
        assert!(self.world.report(self.village, "高城镇").synced);
        let second_root = self
            .world
            .tape
            .iter()
            .enumerate()
            .filter(|(_, (_, frame))| {
                matches!(wire::decode(&frame[4..]), Ok(Frame::Message(Message::Root { .. })))
            })
            .map(|(at, _)| at)
            .nth(1);
        Cost::of(&self.world.tape[..second_root.unwrap_or(self.world.tape.len())])
    }
}

fn records(numbers: impl IntoIterator<Item = u32>) -> Vec<Write> {
    let grid = |number: u32| format!("{VILLAGE}{:03}", number % 7);
    numbers.into_iter().map(|n| put(POPULATION, &grid(n), n, "王建国")).collect()
}

/// Shows that one change more among 8,000 is found by two questions and a few kilobytes.
#[test]
fn one_difference_is_found_by_two_questions() {
    let mut story = Story::of(records(0..8_000));
    story.differ(records([10_000]), Vec::new());
    let cost = story.meet();
    assert_eq!(cost.questions, 2, "{cost:?}");
    assert!(cost.bytes < 4_000, "{cost:?}");
}

/// Shows that many differences cost bytes by their number: 5 % of 8,000 on each side, for at most
/// 1.43 × 32 bytes each.
#[test]
fn many_differences_cost_by_their_number() {
    let mut story = Story::of(records(0..8_000));
    story.differ(records(10_000..10_400), records(20_000..20_400));
    let cost = story.meet();
    assert!(cost.bytes < 800 * 45, "{cost:?}");
}

/// Shows that sets with nothing in common are streamed, not described: less than 8 bytes of
/// comparison for each change.
#[test]
fn sets_with_nothing_in_common_are_streamed() {
    let mut story = Story::of(Vec::new());
    story.differ(records(0..5_000), records(10_000..14_000));
    let cost = story.meet();
    assert!(cost.bytes < 9_000 * 8, "{cost:?}");
}

/// Shows that whatever differs is found: random sets over categories, places of every level and
/// documents with several changes, in stories that each go a few rounds.
#[test]
fn whatever_differs_is_found() {
    let mut differed = 0;
    for seed in 0..12 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut story = Story::of(random_records(&mut rng));
        for _ in 0..3 {
            let (at_town, at_village) = (random_records(&mut rng), random_records(&mut rng));
            differed += at_town.len() + at_village.len();
            story.differ(at_town, at_village);
            story.meet();
            story.world.cut(story.town, story.village);
            story.world.run(1_000);
        }
    }
    assert!(differed > 500, "{differed}");
}

/// Some changes, most of them in one corner.
fn random_records(rng: &mut StdRng) -> Vec<Write> {
    let count = *[0, 1, 3, 40, 400].choose(rng).unwrap();
    let places = ["", "001", "00100001", "0010000101", "00100001010003", "002", "002"];
    let corner = *places.choose(rng).unwrap();
    let mut list = Vec::new();
    for _ in 0..count {
        let place = if rng.random_bool(0.7) { corner } else { places.choose(rng).unwrap() };
        let category =
            *[POPULATION, Category::library(1, 0), Category::TICKET].choose(rng).unwrap();
        let document = rng.next_u32() % 2_000;
        list.push(put(category, &format!("{VILLAGE}{place}"), document, "王建国"));
    }
    // One document is written once in a transaction.
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|write| seen.insert(write.home));
    list
}

/// Shows that a place with more children than a frontier may have, and more changes than a sketch
/// may tell apart, is split and not sent as a whole: 34,000 buildings in one grid, one more here,
/// one more there.
#[test]
fn a_wide_place_is_split() {
    let building =
        |number: u32| put(POPULATION, &format!("{VILLAGE}001{number:05}"), number, "王建国");
    let mut story = Story::of((0..34_000).map(building).collect());
    story.differ(vec![building(40_000)], vec![building(50_000)]);
    let sent = |story: &Story| story.world.report(story.village, "高城镇").sent;
    let before = sent(&story);
    story.meet();
    assert_eq!(sent(&story) - before, 1);
}

/// A symbol as a hostile peer makes it: mostly one that seems to hold a single id.
fn any_symbol() -> impl Strategy<Value = Symbol> {
    let counts = prop_oneof![Just(1), Just(-1), Just(i64::MIN), Just(i64::MAX), any::<i64>()];
    (any::<u64>(), any::<[u8; 4]>(), any::<bool>(), counts).prop_map(
        |(sum, other, sound, count)| {
            let whole = symbols([sum].into_iter(), 0, 1)[0];
            let check = if sound { whole.check } else { other };
            Symbol { sum: sum.to_le_bytes(), check, count }
        },
    )
}

proptest! {
    /// Shows that symbols with any counts, sums and checks, in any pieces, and any number of ids
    /// end without panic, and that nothing is found more often than there are symbols.
    #[test]
    fn any_symbols_come_to_an_end(
        told in prop::collection::vec(any_symbol(), 0..200),
        items: usize,
        mine in prop::collection::vec(any::<u64>(), 0..20),
        difference: u64,
    ) {
        let mut known = Difference::default();
        for part in told.chunks(37) {
            known.extend(part, items, mine.iter().copied());
        }
        let (theirs, own) = known.sides();
        prop_assert!(theirs.len() + own.len() <= told.len());
        prop_assert!(symbols_for(difference) >= difference);
    }
}

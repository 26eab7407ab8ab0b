//! When to dial again: pauses grow, end, and differ from node to node.

use cunlian_protocol::hub::{Effect, Event, Hub, TargetId};
use cunlian_tests::member::{Member, root};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::sync::Arc;

use super::agreement::town_and_village;
use super::world::START_MS;

/// The pauses between attempts of a node that never gets through.
fn pauses(seed: u64, attempts: usize) -> Vec<i64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let county = Member::county(2);
    let authority = cunlian_protocol::authority::Authority::new(root());
    let mut hub = Hub::new(county.identity, Arc::new(authority), vec![root()]);
    let mut now_ms = START_MS;
    let mut pauses = Vec::new();
    for _ in 0..attempts {
        let mut effects = Vec::new();
        hub.handle(now_ms, &mut rng, Event::Tick, &mut effects);
        assert_eq!(effects, [Effect::Dial(TargetId(0))]);
        assert_eq!(hub.next_deadline_ms(), None, "one attempt at a time");
        effects.clear();
        let event = Event::DialFailed { target: TargetId(0), reason: "no answer".to_owned() };
        hub.handle(now_ms, &mut rng, event, &mut effects);
        assert_eq!(effects, []);
        let next_ms = hub.next_deadline_ms().unwrap();
        hub.handle(next_ms - 1, &mut rng, Event::Tick, &mut effects);
        assert_eq!(effects, [], "not before its time");
        pauses.push(next_ms - now_ms);
        now_ms = next_ms;
    }
    pauses
}

/// Shows that pauses double up to half a minute, half of each at random, so that neither a parent
/// is drowned nor 500 children come back in one instant.
#[test]
fn pauses_grow_and_have_jitter() {
    let one = pauses(1, 20);
    for (attempt, pause) in one.iter().enumerate() {
        let full = (500_i64 << attempt.min(10)).min(30_000);
        assert!((full / 2..=full).contains(pause), "attempt {attempt}: {pause} ms of {full}");
    }
    assert!(one.last().unwrap() >= &15_000);
    let spread: std::collections::BTreeSet<i64> =
        (0..200).map(|seed| *pauses(seed, 12).last().unwrap()).collect();
    assert!(spread.len() > 150, "200 nodes share {} instants", spread.len());
}

/// Shows that a success forgets the pauses: after an hour of failures and one session, a node
/// that is cut off dials again within a second.
#[test]
fn a_session_resets_the_pause() {
    let (mut world, town, village) = town_and_village();
    world.cut(town, village);
    world.run(3_600_000);
    let before = world.nodes[village].hub.next_deadline_ms().unwrap() - world.now_ms;
    assert!(before <= 30_000);
    world.heal(town, village);
    world.run(30_000);
    assert!(world.peer(village, "高城镇").connected);
    world.cut(town, village);
    world.run(1);
    let pause = world.nodes[village].hub.next_deadline_ms().unwrap() - world.now_ms;
    assert!(pause <= 1_000, "{pause} ms");
    assert!(!world.peer(village, "高城镇").connected);
}

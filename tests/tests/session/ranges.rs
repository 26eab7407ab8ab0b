//! Durability by ranges: what it costs, and that it never claims too much.

use std::collections::BTreeSet;

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::limits;
use cunlian_protocol::wire::{self, Bounded, Frame, Message};
use cunlian_tests::world::one_of_each;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::agreement::VILLAGE;
use super::durability::three_tiers;
use super::world::*;

const POPULATION: Category = Category::library(0, 0);
/// Records in the story of a library: enough that they are in many ranges.
const RECORDS: u32 = 5_000;

/// Bytes of the questions, answers and news about durability on the line.
fn durability_bytes(world: &World) -> usize {
    let about = |frame: &[u8]| match wire::decode(&frame[4..]) {
        Ok(Frame::Message(message)) => matches!(
            message,
            Message::AskHeld(_) | Message::Holding { .. } | Message::Held(_) | Message::AskAgain
        ),
        _ => false,
    };
    world.tape.iter().filter(|(_, frame)| about(frame)).map(|(_, frame)| frame.len()).sum()
}

fn waiting(world: &World, at: usize) -> u64 {
    let totals = world.nodes[at].store.outbox_totals().unwrap();
    totals.values().map(|tier| tier.changes).sum()
}

/// Keys of the changes of a node, each with the tiers (bits) it is not known to have reached.
fn claims(world: &World, at: usize) -> Vec<(Vec<u8>, u8)> {
    let read = world.nodes[at].store.read(|connection| {
        let mut select = connection
            .prepare("SELECT key, coalesce(awaited, 0) FROM change LEFT JOIN outbox USING (row)")?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    });
    read.unwrap()
}

/// Fails if a node says that a tier above holds what it does not hold.
fn assert_true(world: &World, at: usize, above: &[(usize, u8)]) {
    for (holder, tier) in above {
        let held: BTreeSet<Vec<u8>> =
            claims(world, *holder).into_iter().map(|(key, _)| key).collect();
        for (key, awaited) in claims(world, at) {
            assert!(
                awaited & tier != 0 || held.contains(&key),
                "node {at} says that tier {tier:#b} holds {key:?}, which does not"
            );
        }
    }
}

fn assert_sound(world: &World) {
    for node in &world.nodes {
        let report = node.store.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

/// Shows that a village with thousands of records at its town learns in a few kilobytes that they
/// have reached the county, and in a few kilobytes after it was away, although the names of all
/// these changes alone take hundreds of times as much.
#[test]
fn a_library_that_reaches_the_county_costs_few_bytes_below() {
    for away in [false, true] {
        let (mut world, [county, town, village]) = three_tiers();
        world.run(1_000);
        world.cut(county, town);
        let secretary = world.nodes[village].member.author(1);
        let writes = (0..RECORDS).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
        world.write(village, &secretary, writes);
        world.run(300_000);
        world.assert_equal(town, village);
        assert_eq!(waiting(&world, village), u64::from(RECORDS));
        if away {
            world.cut(town, village);
        }
        world.tape.clear();
        world.heal(county, town);
        world.run(120_000);
        world.assert_equal(county, town);
        if away {
            world.heal(town, village);
            world.run(60_000);
        }
        assert_eq!(waiting(&world, village), 0, "away: {away}");
        let bytes = durability_bytes(&world);
        let keys: Vec<(SetKey, u8)> = claims(&world, village)
            .iter()
            .map(|(k, _)| (SetKey::from_bytes(k).unwrap(), 4))
            .collect();
        let named = keys
            .chunks(limits::HELD_KEYS)
            .map(|part| wire::encode(&Message::Held(Bounded(part.to_vec()))).len());
        let named: usize = named.sum();
        println!("away {away}: {bytes} bytes; naming them once: {named} bytes");
        assert!(bytes < 4_000 && named > 60 * usize::try_from(RECORDS).unwrap(), "{bytes} {named}");
        assert_true(&world, village, &[(town, Tier::Town.bit()), (county, Tier::County.bit())]);
        assert_sound(&world);
    }
}

/// Shows that of a library of which the county has a part, the village learns of that part, and
/// says so of nothing else: the county and the town are cut in the middle of the copy.
#[test]
fn a_part_that_reached_the_county_is_told_from_the_rest() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    world.cut(town, village);
    world.run(1);
    let secretary = world.nodes[village].member.author(1);
    let writes = (0..RECORDS).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    world.heal(town, village);
    world.run(300_000);
    world.assert_equal(town, village);
    world.cut(town, village);
    world.run(1);
    // The copy to the county ends before all of it is there.
    world.heal(county, town);
    while waiting(&world, town) > 2_000 {
        world.run_events(1);
    }
    world.cut(county, town);
    world.run(1_000);
    let not_known = waiting(&world, town);
    assert!((1..=2_000).contains(&not_known), "{not_known} are not known to be at the county");
    world.heal(town, village);
    world.run(300_000);
    assert_eq!(waiting(&world, village), not_known, "what the town knows is known below");
    assert_true(&world, village, &[(town, Tier::Town.bit()), (county, Tier::County.bit())]);
    assert_sound(&world);
}

/// Shows that a small part that reached the county while the village was away is learned of soon,
/// whether more follows it to the county, which is told by name, or nothing does.
#[test]
fn a_small_part_is_learned_of_without_more_news() {
    for healed in [false, true] {
        let (mut world, [county, town, village]) = three_tiers();
        world.run(1_000);
        world.cut(county, town);
        let secretary = world.nodes[village].member.author(1);
        let write = |world: &mut World, numbers: std::ops::Range<u32>| {
            let writes = numbers.map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
            world.write(village, &secretary, writes);
        };
        write(&mut world, 0..20);
        world.run(10_000);
        world.cut(town, village);
        world.heal(county, town);
        world.run(60_000);
        world.cut(county, town);
        write(&mut world, 20..120);
        world.heal(town, village);
        world.run(35_000);
        assert_eq!((waiting(&world, town), waiting(&world, village)), (100, 120));
        if healed {
            world.heal(county, town);
        }
        world.run(60_000);
        let left = if healed { 0 } else { 100 };
        assert_eq!((waiting(&world, town), waiting(&world, village)), (left, left));
        assert_true(&world, village, &[(town, Tier::Town.bit()), (county, Tier::County.bit())]);
    }
}

/// Shows that a town that came back from an older copy is not shown as holding what it lost: the
/// village, which had been told that all of it is there, sends it again and says until then that
/// it waits; and the town's word about the rest is still taken.
#[test]
fn what_a_town_has_lost_waits_for_it_again() {
    let [_, town, village] = one_of_each();
    let mut world = World::new(7);
    let at_town = world.add(&town, &[]);
    let at_village = world.add(&village, &[town.public_key()]);
    let secretary = world.nodes[at_village].member.author(1);
    let record = |n| vec![put(POPULATION, VILLAGE, n, "王建国")];
    for n in 0..300 {
        world.write(at_village, &secretary, record(n));
    }
    world.run(10_000);
    let waits_for_town = |world: &World| {
        let totals = world.nodes[at_village].store.outbox_totals().unwrap();
        totals.get(&Tier::Town).map_or(0, |backlog| backlog.changes)
    };
    assert_eq!(waits_for_town(&world), 0);
    // An empty store in the place of the old one, as after a fire; the lineage token is the last.
    world.cut(at_town, at_village);
    world.run(1);
    let lost = world.replace(at_town);
    world.heal(at_town, at_village);
    world.frames_until_cut = Some(12);
    world.run(600);
    assert_true(&world, at_village, &[(lost, Tier::Town.bit())]);
    world.run(60_000);
    world.assert_equal(lost, at_village);
    assert_eq!(waits_for_town(&world), 0);
    assert_sound(&world);
}

/// Shows in many random stories of three tiers, with writes at every tier between any two events,
/// cut lines and short spans of time, that at no moment a node says of a change that a tier above
/// holds it which does not; and that in the end, with the lines healed, everything is known to be
/// where it is.
#[test]
fn at_no_moment_too_much_is_claimed() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut world, [county, town, village]) = three_tiers();
        let tiers = [(town, Tier::Town.bit()), (county, Tier::County.bit())];
        let mut document = 0;
        for _ in 0..50 {
            let at = [county, town, village][rng.random_range(0..3)];
            match rng.random_range(0..10) {
                0..4 => {
                    let author = world.nodes[at].member.author(u64::from(document) + 1);
                    let count = if rng.random_bool(0.2) { 200 } else { 3 };
                    let writes = (0..count).map(|_| {
                        document += 1;
                        put(POPULATION, VILLAGE, document % 900, "王建国")
                    });
                    world.write(at, &author, writes.collect());
                }
                4 => world.cut(county, town),
                5 => world.heal(county, town),
                6 => world.cut(town, village),
                7 => world.heal(town, village),
                8 => world.run(rng.random_range(0..90_000)),
                _ => {}
            }
            world.run_events(rng.random_range(0..40));
            assert_true(&world, village, &tiers);
            assert_true(&world, town, &tiers[1..]);
        }
        world.heal(county, town);
        world.heal(town, village);
        world.run(180_000);
        for at in [town, village] {
            assert_eq!(waiting(&world, at), 0, "seed {seed}, node {at}");
        }
        assert_sound(&world);
    }
}

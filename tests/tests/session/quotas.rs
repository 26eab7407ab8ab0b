//! Bounds on what a node takes from a child: seen at both ends, and nothing lost.

use cunlian_crdt::store::Quota;
use cunlian_protocol::category::Category;

use crate::agreement::{VILLAGE, town_and_village};
use crate::world::*;

const POPULATION: Category = Category::library(0, 0);

/// So many changes in all, and so many in one day.
fn bounds(changes: u64, day_changes: u64) -> Quota {
    Quota { changes, day_changes, ..Quota::default() }
}

fn held(world: &World, at: usize, category: Category) -> usize {
    let category = category.0.to_be_bytes();
    let everything = cunlian_protocol::scope::Scope::everything();
    world.ids(at, &everything).iter().filter(|key| key.starts_with(&category)).count()
}

/// Shows that of 900 records a town takes the 300 it may, that the village says so with what can be
/// done and sends little in vain, that an alert comes through all the same, and that everything
/// comes when the bound is raised, without a restart.
#[test]
fn beyond_the_bound_changes_wait_for_a_higher_one() {
    let (mut world, town, village) = town_and_village();
    let key = world.nodes[village].member.public_key();
    world.nodes[town].store.set_quota(&key, Some(bounds(300, 5_000))).unwrap();
    let secretary = world.nodes[village].member.author(1);
    let writes = (0..900).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    world.run(10_000);
    assert_eq!(held(&world, town, POPULATION), 300);
    let report = world.report(village, "高城镇");
    let reason = report.postponed.expect("the village knows why");
    assert!(reason.contains("300 changes in all") && reason.contains("node quota"), "{reason}");
    assert!(!report.synced);
    assert!(world.nodes[town].notices.iter().any(|notice| notice.contains("postponed")));
    let refused_home = home(POPULATION, VILLAGE, 899);
    let reached = world.nodes[village].store.reached(&refused_home).unwrap();
    assert_ne!(reached.awaited, 0, "what waits is shown as waiting");
    world.tape.clear();
    world.run(600_000);
    let batches: usize = world.tape.iter().filter(|(_, frame)| frame[4] == 2).count();
    assert!((1..=25).contains(&batches), "{batches} batches in ten minutes");
    world.write(village, &secretary, vec![put(Category::ALERT, VILLAGE, 5_000, "河水上涨")]);
    world.run(1_000);
    assert_eq!(held(&world, town, Category::ALERT), 1);
    world.nodes[town].store.set_quota(&key, None).unwrap();
    world.run(120_000);
    world.assert_equal(town, village);
    let report = world.report(village, "高城镇");
    assert!(report.synced && report.postponed.is_none(), "{report:?}");
    let reached = world.nodes[village].store.reached(&refused_home).unwrap();
    assert_eq!(reached.refused, None, "the reason is gone with what it was for");
}

/// Shows that a bound for one day is one for that day, and that a new session does not get around
/// it.
#[test]
fn what_is_too_much_for_a_day_comes_the_next() {
    let (mut world, town, village) = town_and_village();
    let key = world.nodes[village].member.public_key();
    world.nodes[town].store.set_quota(&key, Some(bounds(5_000, 200))).unwrap();
    let secretary = world.nodes[village].member.author(1);
    let writes = (0..350).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    world.run(10_000);
    world.restart(village);
    world.run(200_000);
    assert_eq!(held(&world, town, POPULATION), 200);
    world.pass(24 * 3_600_000);
    world.run(120_000);
    world.assert_equal(town, village);
}

/// Shows that what a town sends down is not counted against it.
#[test]
fn nodes_above_have_no_bound() {
    let (mut world, town, village) = town_and_village();
    let key = world.nodes[town].member.public_key();
    world.nodes[village].store.set_quota(&key, Some(bounds(10, 10))).unwrap();
    let dispatcher = world.nodes[town].member.author(1);
    let writes = (0..50).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(town, &dispatcher, writes);
    world.run(10_000);
    world.assert_equal(town, village);
}

//! Bounds on what a node takes from a child: seen at both ends, and nothing lost.

use cunlian_crdt::store::Quota;
use cunlian_protocol::category::Category;

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

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
    assert_eq!((reached.refused, reached.postponed), (None, Some(reason)));
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
    assert_eq!((reached.refused, reached.postponed), (None, None));
    assert!(world.nodes[village].store.postponed().unwrap().is_empty());
}

/// Shows that what was never sent, because what was sent before it was postponed, says why it waits
/// as well, without a row for each; that what is more urgent does not say so; that the reason
/// outlives the session; and that nothing says so any more when the bound is raised, also not what
/// is written then while the line is away.
#[test]
fn what_was_not_sent_says_why_it_waits() {
    let (mut world, town, village) = town_and_village();
    let key = world.nodes[village].member.public_key();
    world.nodes[town].store.set_quota(&key, Some(bounds(50, 5_000))).unwrap();
    let secretary = world.nodes[village].member.author(1);
    let records = |range: std::ops::Range<u32>| {
        range.map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect::<Vec<_>>()
    };
    world.write(village, &secretary, records(0..20));
    world.run(10_000);
    assert!(world.report(village, "高城镇").synced);
    world.write(village, &secretary, records(20..60));
    world.run(1_000);
    assert!(!world.report(village, "高城镇").synced, "found equal before, and not any more");
    world.tape.clear();
    world.write(village, &secretary, records(100..400));
    world.write(village, &secretary, vec![put(Category::TICKET, VILLAGE, 1, "路灯坏了")]);
    let why = |world: &World, category: Category, document: u32| {
        let home = home(category, VILLAGE, document);
        world.nodes[village].store.reached(&home).unwrap().postponed
    };
    let not_sent =
        |world: &World| world.tape.iter().all(|(from, frame)| *from != village || frame[4] != 2);
    assert!(not_sent(&world));
    for document in 100..400 {
        let reason = why(&world, POPULATION, document).expect("it waits for room");
        assert!(reason.contains("50 changes in all"), "{reason}");
    }
    assert_eq!(why(&world, Category::TICKET, 1), None);
    let refused: u64 = world.nodes[village]
        .store
        .read(|connection| {
            let sql = "SELECT count(*) FROM outbox WHERE refusal IS NOT NULL";
            connection.query_row(sql, [], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(refused, 0, "one note is enough for all of them");

    world.cut(town, village);
    world.restart(village);
    world.run(1_000);
    assert!(why(&world, POPULATION, 399).is_some(), "with the line away");
    world.nodes[town].store.set_quota(&key, None).unwrap();
    world.heal(town, village);
    world.run(120_000);
    world.assert_equal(town, village);
    world.cut(town, village);
    world.write(village, &secretary, records(500..501));
    assert_eq!(why(&world, POPULATION, 500), None);
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

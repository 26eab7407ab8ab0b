//! Machines whose clock is wrong: they go by what the node above says, and say so.

use cunlian_host::clock::{Doubt, Judgement};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_tests::member::Member;

use super::agreement::{TOWN, VILLAGE};
use super::world::*;

const DAY_MS: i64 = 86_400_000;
const TEN_YEARS_MS: i64 = 3_652 * DAY_MS;
const POPULATION: Category = Category::library(0, 0);

/// A town, and a village whose machine's clock is wrong, certified for a year around now.
fn town_and_village_off(error_ms: i64) -> (World, usize, usize) {
    let town = Member::county(2).certify(3, Tier::Town, TOWN, "高城镇");
    let year = START_MS - 100 * DAY_MS..START_MS + 265 * DAY_MS;
    let village = town.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), year);
    let mut world = World::new(1);
    let at_town = world.add(&town, &[]);
    let at_village = world.add_with_clock(&village, &[town.public_key()], error_ms);
    (world, at_town, at_village)
}

/// Shows that a village whose machine woke up in 1970, and one that is ten years ahead, come into
/// step with their town all the same, date what they write by the town's time, and know how wrong
/// their clock is.
#[test]
fn a_village_in_1970_and_one_ten_years_ahead_work_by_the_time_of_their_town() {
    for error_ms in [-START_MS, 3_652 * DAY_MS] {
        let (mut world, town, village) = town_and_village_off(error_ms);
        world.run(5_000);
        assert_eq!(world.trusted_ms(village), world.now_ms);
        let wrong = Judgement::Wrong { doubt: Doubt::Parent, ahead_ms: error_ms };
        assert_eq!(world.judgement(village), wrong);
        let author = world.nodes[village].member.author(1);
        world.write(village, &author, vec![put(POPULATION, VILLAGE, 1, "王建国")]);
        world.run(5_000);
        world.assert_equal(town, village);
        let report = world.report(village, "高城镇");
        assert!(report.synced && !report.renewing, "{report:?}");
        let view = world.nodes[town].store.view(&home(POPULATION, VILLAGE, 1)).unwrap().unwrap();
        let written_ms = view.fields["name"].current.writer.recorded_at_ms;
        assert!((START_MS..world.now_ms).contains(&written_ms), "{written_ms}");
    }
}

/// Shows that a clock that jumps while the session is open ends nothing and changes no time that
/// is written, neither at the village nor at the town.
#[test]
fn a_clock_that_jumps_ends_no_session() {
    let (mut world, town, village) = town_and_village_off(0);
    world.run(5_000);
    for (at, error_ms) in [(village, 4_000 * DAY_MS), (town, -9_000 * DAY_MS)] {
        world.set_clock(at, error_ms);
        world.run(120_000);
        assert!(world.peer(village, "高城镇").connected);
        assert_eq!(world.trusted_ms(at), world.now_ms);
        assert!(matches!(world.judgement(at), Judgement::Wrong { .. }));
    }
    assert!(world.nodes[village].closed.is_empty(), "{:?}", world.nodes[village].closed);
}

/// Shows that a village that was without its town for long, with a clock set back by a year, is
/// judged by the town's time: its certificate has ended, and it gets the next.
#[test]
fn expiry_is_by_trusted_time() {
    let (mut world, town, village) = town_and_village_off(0);
    world.run(5_000);
    world.cut(town, village);
    world.pass(300 * DAY_MS);
    world.set_clock(village, -365 * DAY_MS);
    world.heal(town, village);
    world.run(120_000);
    let body = world.nodes[village].member.identity.certificate.body();
    assert!(body.not_after_ms > world.now_ms, "{body:?}");
    assert_eq!(world.trusted_ms(village), world.now_ms);
    assert!(world.report(village, "高城镇").synced);
}

/// A town, and a village whose certificate ends soon; the clocks of both are wrong by so much.
fn soon_ending(town_ms: i64, village_ms: i64) -> (World, usize, usize) {
    let town = Member::county(2).certify(3, Tier::Town, TOWN, "高城镇");
    let month = START_MS - 21 * DAY_MS..START_MS + 9 * DAY_MS;
    let village = town.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), month);
    let mut world = World::new(1);
    let at_town = world.add_with_clock(&town, &[], town_ms);
    let at_village = world.add_with_clock(&village, &[town.public_key()], village_ms);
    (world, at_town, at_village)
}

/// What is written at the village is at the town soon, and nothing else is to be done.
fn assert_works(world: &mut World, town: usize, village: usize) {
    let author = world.nodes[village].member.author(1);
    world.write(village, &author, vec![put(POPULATION, VILLAGE, 1, "王建国")]);
    world.run(5_000);
    let report = world.report(village, "高城镇");
    assert!(report.synced && !report.renewing, "{report:?}");
    world.assert_equal(town, village);
}

/// Shows that a village is certified anew whichever of both clocks was wrong when they met, before
/// the village went by that of its town: what the town gives is judged by the town's time, once.
#[test]
fn a_certificate_is_judged_by_the_time_of_who_gives_it() {
    let (mut world, town, village) = soon_ending(TEN_YEARS_MS, 0);
    world.run(60_000);
    assert_eq!(world.trusted_ms(village), world.now_ms + TEN_YEARS_MS);
    let not_after_ms =
        |world: &World, at: usize| world.nodes[at].member.identity.certificate.body().not_after_ms;
    let notices = &world.nodes[village].notices;
    assert!(not_after_ms(&world, village) > START_MS + TEN_YEARS_MS, "{notices:?}");
    assert_works(&mut world, town, village);

    for error_ms in [-START_MS, -TEN_YEARS_MS, TEN_YEARS_MS] {
        let (mut world, town, village) = soon_ending(0, error_ms);
        world.run(60_000);
        let notices = &world.nodes[village].notices;
        assert!(not_after_ms(&world, village) > START_MS + 29 * DAY_MS, "{error_ms}: {notices:?}");
        assert_works(&mut world, town, village);
    }
}

/// Shows that a village that holds a certificate of its town for one that has ended, because the
/// clock of the town was put right since they met, asks for the time again and goes on by it.
#[test]
fn a_village_follows_a_town_whose_clock_was_put_right() {
    let (mut world, town, village) = soon_ending(TEN_YEARS_MS, 0);
    world.run(60_000);
    assert_eq!(world.trusted_ms(village), world.now_ms + TEN_YEARS_MS);
    world.set_clock(town, 0);
    world.believe_clock(town);
    world.run(60_000);
    assert_eq!(world.trusted_ms(village), world.now_ms + TEN_YEARS_MS, "nobody has told it");
    world.pass(21 * DAY_MS);
    world.run(120_000);
    assert_eq!(world.trusted_ms(village), world.now_ms, "{:?}", world.nodes[village].closed);
    assert_works(&mut world, town, village);
}

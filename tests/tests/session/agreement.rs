//! How two sets come together: equal ones, different ones, cut ones, and those that cannot.

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_tests::member::key;
use cunlian_tests::world::one_of_each;

use super::durability::three_tiers;
use super::world::*;

pub(crate) use cunlian_tests::world::{TOWN, VILLAGE};

const POPULATION: Category = Category::library(0, 0);
const IDENTITY: Category = Category::library(0, 1);

/// The town 高城镇 and the village 苑兴村 that dials it.
pub(crate) fn town_and_village() -> (World, usize, usize) {
    let [_, town, village] = one_of_each();
    let mut world = World::new(1);
    let at_town = world.add(&town, &[]);
    let at_village = world.add(&village, &[town.public_key()]);
    (world, at_town, at_village)
}

/// Shows that sets that are equal already are found so in one round trip and under 2 KB: all
/// three tiers come into step, two restart, and connect again.
#[test]
fn equal_sets_cost_one_round_trip() {
    let (mut world, [county, town, village]) = three_tiers();
    let author = world.nodes[village].member.author(1);
    let writes = (0..300).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &author, writes);
    world.run(10_000);
    world.assert_equal(town, village);
    world.cut(county, town);
    world.restart(village);
    world.restart(town);
    world.tape.clear();
    world.run(10_000);
    let report = world.report(village, "高城镇");
    assert!(report.synced, "{report:?}");
    assert_eq!((report.rounds, report.sent, report.received), (1, 0, 0), "{report:?}");
    let bytes: usize = world.tape.iter().map(|(_, frame)| frame.len()).sum();
    assert!(bytes < 2_048, "{bytes} bytes in {} frames", world.tape.len());
}

/// Shows that what differs moves both ways, only what differs, and only what both may see: the
/// village lacks the town's records of it, the town the village's, among 2,000 that both have.
#[test]
fn differences_move_both_ways() {
    let (mut world, town, village) = town_and_village();
    let secretary = world.nodes[village].member.author(1);
    let dispatcher = world.nodes[town].member.author(1);
    let writes = (0..2_000).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    world.run(10_000);
    world.cut(town, village);
    world.run(1_000);
    let at_village = (3_000..3_040).map(|n| put(IDENTITY, VILLAGE, n, "34052419800101001X"));
    world.write(village, &secretary, at_village.collect());
    let at_town = (4_000..4_030).map(|n| put(POPULATION, VILLAGE, n, "李秀英"));
    world.write(town, &dispatcher, at_town.collect());
    let elsewhere = (5_000..5_050).map(|n| put(IDENTITY, "370322102200", n, "外村人"));
    let elsewhere = world.write(town, &dispatcher, elsewhere.collect());
    let (sent, received) = {
        let report = world.report(village, "高城镇");
        (report.sent, report.received)
    };
    world.heal(town, village);
    world.run(60_000);
    let report = world.report(village, "高城镇");
    assert!(report.synced, "{report:?}");
    assert_eq!((report.sent - sent, report.received - received), (40, 30));
    world.assert_equal(town, village);
    let everything = cunlian_protocol::scope::Scope::everything();
    let held = world.ids(village, &everything);
    let leaked = elsewhere.iter().filter(|id| held.iter().any(|key| key.ends_with(&id.0))).count();
    assert_eq!(leaked, 0);
}

/// Shows that a place with more children than a page holds is compared page by page: 4,500
/// buildings in one grid, of which both sides miss some of the other's, first, last and between.
#[test]
fn thousands_of_buildings_in_one_grid_are_compared() {
    let (mut world, town, village) = town_and_village();
    let building = |number: u32| format!("{VILLAGE}001{number:05}");
    let at = |number: u32| put(POPULATION, &building(number), number, "王建国");
    let secretary = world.nodes[village].member.author(1);
    let dispatcher = world.nodes[town].member.author(1);
    world.write(village, &secretary, (100..4_600).map(at).collect());
    world.run(20_000);
    world.assert_equal(town, village);
    world.cut(town, village);
    world.run(1_000);
    world.write(village, &secretary, [1, 2_000, 9_000, 9_001].map(at).to_vec());
    world.write(town, &dispatcher, [2, 4_700, 9_500].map(at).to_vec());
    let (sent, received) = {
        let report = world.report(village, "高城镇");
        (report.sent, report.received)
    };
    world.heal(town, village);
    world.run(60_000);
    let report = world.report(village, "高城镇");
    assert!(report.synced, "{report:?}");
    assert_eq!((report.sent - sent, report.received - received), (4, 3), "only what differs moves");
    world.assert_equal(town, village);
}

/// Shows that a copy cut again and again goes on from what was persisted: the line breaks after
/// every few frames, what was in flight is lost, and in the end each change has arrived once.
#[test]
fn a_cut_copy_goes_on_where_it_was() {
    const RECORDS: u32 = 6_000;
    let (mut world, town, village) = town_and_village();
    let secretary = world.nodes[village].member.author(1);
    let writes = (0..RECORDS).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    let mut held = Vec::new();
    for frames in 4..16 {
        world.frames_until_cut = Some(frames);
        world.run(2_000);
        let scope = world.common_scope(town, village);
        held.push(world.ids(town, &scope).len());
        world.frames_until_cut = None;
        world.cut(town, village);
        world.run(1);
        world.heal(town, village);
    }
    let partly = held.iter().filter(|count| (1..RECORDS as usize).contains(*count)).count();
    assert!(partly > 2, "the cuts came before or after everything: {held:?}");
    assert!(held.is_sorted(), "something was lost: {held:?}");
    world.run(120_000);
    world.assert_equal(town, village);
    let report = world.report(town, "苑兴村");
    assert_eq!(report.received, u64::from(RECORDS), "what had arrived was sent again");
}

/// Shows that changes one side refuses do not keep both from agreeing and are not sent for ever:
/// an operator is revoked after changes of hers are in one store and before they reach the other,
/// which learns of the revocation first.
#[test]
fn refused_changes_are_not_sent_for_ever() {
    for keeper in [Tier::Village, Tier::Town] {
        let (mut world, town, village) = town_and_village();
        let member = world.nodes[town].member.clone();
        let (operator, chain) = member.operator(9, "前调度员");
        assert!(member.identity.certificate.body().grants[0].rights.contains(Rights::WRITE));
        let (holds, refuses) = if keeper == Tier::Town { (town, village) } else { (village, town) };
        world.nodes[holds].store.add_certificates(&chain).unwrap();
        let own = world.nodes[holds].member.author(1);
        // Homes of their own as well as one that the other side has too.
        let shared = (0..20).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
        world.write(holds, &own, shared);
        world.run(5_000);
        world.cut(town, village);
        world.run(1);
        world.write(holds, &operator, vec![put(POPULATION, VILLAGE, 5, "改名")]);
        world.write(holds, &operator, vec![put(IDENTITY, VILLAGE, 99, "11010519491231002X")]);
        world.nodes[refuses].store.add_certificates(&chain).unwrap();
        let revocation = RevocationBody {
            own: Standing { serial: operator.serial, through_seq: 0, tags: Vec::new() },
            successor: None,
            descendants: Vec::new(),
            reason: "调离".to_owned(),
            issuer: Some(member.serial()),
        };
        let revocation = revocation.sign(&key(3));
        let problems = world.nodes[refuses].store.add_revocations(&[revocation]).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        world.restart(refuses);
        world.heal(town, village);
        world.run(60_000);
        let agreed = world.report(village, "高城镇");
        assert!(agreed.synced, "kept by {keeper:?}: {agreed:?}");
        let keeper_name = if keeper == Tier::Town { "高城镇" } else { "苑兴村" };
        let before = world.report(refuses, keeper_name);
        assert!(before.refused <= 2, "kept by {keeper:?}: {before:?}");
        world.run(3_600_000);
        let later = world.report(village, "高城镇");
        assert!(later.synced, "kept by {keeper:?}: {later:?}");
        let moved = |report: &cunlian_protocol::session::Report| (report.sent, report.received);
        assert_eq!(moved(&later), moved(&agreed), "kept by {keeper:?}");
        let again = world.report(refuses, keeper_name);
        assert_eq!(again.refused, before.refused, "kept by {keeper:?}: sent again and again");
    }
}

//! Who holds what: receipts, and what travels over three tiers.

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::scope::Scope;
use cunlian_tests::world::one_of_each;

use super::agreement::VILLAGE;
use super::world::*;

const POPULATION: Category = Category::library(0, 0);
const IDENTITY: Category = Category::library(0, 1);

/// 高青县, 高城镇 and 苑兴村, each dialling the one above.
pub(crate) fn three_tiers() -> (World, [usize; 3]) {
    let [county, town, village] = one_of_each();
    let mut world = World::new(2);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key()]);
    (world, [at_county, at_town, at_village])
}

/// Shows that the status of a record follows the receipts, tier by tier, and never runs ahead:
/// with both links cut it is here only, then at the town, then at the county; an identity number
/// is not awaited at the county, which may not read it.
#[test]
fn a_record_is_said_to_be_where_it_is_known_to_be() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    world.cut(town, village);
    world.run(1);
    let secretary = world.nodes[village].member.author(1);
    let (base, identity) =
        (put(POPULATION, VILLAGE, 1, "王建国"), put(IDENTITY, VILLAGE, 1, "11010519491231002X"));
    let homes = [base.home, identity.home];
    world.write(village, &secretary, vec![base, identity]);
    let reached = |world: &World| {
        homes.map(|home| {
            let reached = world.nodes[village].store.reached(&home).unwrap();
            (reached.reached, reached.awaited)
        })
    };
    let (at_county, at_town) = (Tier::County.bit(), Tier::Town.bit());
    assert_eq!(reached(&world), [(0, at_county | at_town), (0, at_town)]);
    world.run(30_000);
    assert_eq!(reached(&world), [(0, at_county | at_town), (0, at_town)]);
    world.heal(town, village);
    world.run(60_000);
    assert_eq!(reached(&world), [(at_town, at_county), (at_town, 0)]);
    world.heal(county, town);
    world.run(60_000);
    assert_eq!(reached(&world), [(at_county | at_town, 0), (at_town, 0)]);
}

/// Shows that what the county publishes reaches the village through the town, live, and that
/// nothing of the village's identity numbers reaches the county on the way.
#[test]
fn the_town_relays_what_the_county_publishes() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    let analyst = world.nodes[county].member.author(1);
    let secretary = world.nodes[village].member.author(1);
    let notice = put(Category::NOTICE, "370322", 7, "危房改造补助");
    let home = notice.home;
    world.write(county, &analyst, vec![notice]);
    world.write(village, &secretary, vec![put(IDENTITY, VILLAGE, 1, "11010519491231002X")]);
    world.run(1_000);
    for at in [county, town, village] {
        let view = world.nodes[at].store.view(&home).unwrap();
        assert!(view.is_some_and(|view| view.fields["name"].current.text == "危房改造补助"));
    }
    let of_county = world.ids(county, &Scope::everything());
    assert_eq!(of_county.len(), 1);
    assert_eq!(world.ids(town, &Scope::everything()).len(), 2);
    assert_eq!(world.report(village, "高城镇").rounds, 1, "it was pushed, not found by comparing");
}

/// Shows that a parent is believed only for its own tier and those above it: after the town alone
/// has a record, what the county holds is still open at the village, and at the town.
#[test]
fn the_town_does_not_speak_for_a_county_that_has_nothing() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let secretary = world.nodes[village].member.author(1);
    let base = put(POPULATION, VILLAGE, 1, "王建国");
    let home = base.home;
    world.write(village, &secretary, vec![base]);
    world.run(3_600_000);
    for at in [town, village] {
        let reached = world.nodes[at].store.reached(&home).unwrap();
        assert_eq!(reached.awaited, Tier::County.bit(), "node {at}");
    }
}

/// Shows that a county that is away for long does not cost the villages their line: nothing moves
/// in half an hour but the comparisons of equal sets, although 2,000 records wait for the county,
/// and when it is back the village learns that it holds them without asking.
#[test]
fn what_waits_for_the_county_is_not_asked_for_all_the_time() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let secretary = world.nodes[village].member.author(1);
    let writes = (0..2_000).map(|n| put(POPULATION, VILLAGE, n, "王建国")).collect();
    world.write(village, &secretary, writes);
    world.run(120_000);
    world.assert_equal(town, village);
    world.tape.clear();
    world.run(1_800_000);
    let bytes: usize = world.tape.iter().map(|(_, frame)| frame.len()).sum();
    assert!((100..8_000).contains(&bytes), "{bytes} bytes in half an hour");
    world.heal(county, town);
    world.run(60_000);
    let waiting = |world: &World| {
        let totals = world.nodes[village].store.outbox_totals().unwrap();
        totals.values().map(|tier| tier.changes).sum::<u64>()
    };
    assert_eq!(waiting(&world), 0);
}

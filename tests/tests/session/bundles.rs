//! Bundles between nodes that run: what a bundle says about tiers above is passed on by the lines.

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;

use super::agreement::VILLAGE;
use super::durability::three_tiers;
use super::world::*;

const POPULATION: Category = Category::library(0, 0);

/// Shows that a village hears within seconds that the county holds its record, when its town has
/// learned that from a bundle of the county, the line between town and county being down.
#[test]
fn what_a_bundle_says_of_the_county_reaches_the_village() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let secretary = world.nodes[village].member.author(1);
    let record = put(POPULATION, VILLAGE, 1, "王建国");
    let home = record.home;
    world.write(village, &secretary, vec![record]);
    world.run(120_000);
    let awaited = |world: &World| world.nodes[village].store.reached(&home).unwrap().awaited;
    assert_eq!(awaited(&world), Tier::County.bit());
    world.carry(town, county);
    world.carry(county, town);
    world.run(10_000);
    assert_eq!(awaited(&world), 0);
}

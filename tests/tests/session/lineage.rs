//! Who stands below whom: chains that hang together, and nodes that dial past their parent.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{CertificateError, Tier};
use cunlian_protocol::limits::BETWEEN_SILENT_MS;
use cunlian_tests::member::{Member, root};
use cunlian_tests::world::one_of_each;

use super::agreement::{TOWN, VILLAGE};
use super::world::*;

const POPULATION: Category = Category::library(0, 0);
const NOTICE: Category = Category::NOTICE;

/// A county with a town, and a village that dials both, or only one above.
fn dialling(both: bool) -> (World, [usize; 3]) {
    let [county, town, village] = one_of_each();
    let mut world = World::new(3);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let above = [town.public_key(), county.public_key()];
    let at_village = world.add(&village, if both { &above } else { &above[..1] });
    (world, [at_county, at_town, at_village])
}

/// Writes one record in the village's name at a node; gives its key.
fn write_one(world: &mut World, at: usize, document: u32) -> Vec<u8> {
    let author = world.nodes[at].member.author(u64::from(document));
    let everything = world.nodes[at].store.authority().read_scope(&author.serial);
    let before = world.ids(at, &everything);
    world.write(at, &author, vec![put(POPULATION, VILLAGE, document, "王建国")]);
    world.ids(at, &everything).difference(&before).next().unwrap().clone()
}

fn has(world: &World, at: usize, key: &[u8]) -> bool {
    let serial = world.nodes[at].member.serial();
    let everything = world.nodes[at].store.authority().read_scope(&serial);
    world.ids(at, &everything).contains(key)
}

/// Shows that in a chain each was certified by the one above it, whatever else is put in between
/// and whether or not it is known here, and that an honest chain goes on to hold.
#[test]
fn a_chain_hangs_together() {
    let county = Member::county(2);
    let towns = [(3, TOWN, "高城镇"), (5, "370322103", "黑里寨镇")]
        .map(|(seed, region, name)| county.certify(seed, Tier::Town, region, name));
    let village = towns[0].certify(4, Tier::Village, VILLAGE, "苑兴村");
    let direct = county.certify(6, Tier::Village, VILLAGE, "西关村");
    let last = |member: &Member| member.identity.chain.last().unwrap().clone();
    let [first, second] = [last(&towns[0]), last(&towns[1])];
    let top = last(&county);
    let wrong = [
        vec![top.clone(), first.clone(), top.clone(), last(&direct)],
        vec![top.clone(), first.clone(), second.clone(), last(&village)],
        vec![top.clone(), second.clone(), first.clone(), last(&village)],
        vec![top.clone(), top.clone(), first.clone(), last(&village)],
        vec![top.clone(), last(&direct), first.clone()],
        vec![first.clone(), last(&village)],
    ];
    let mut knowing = Authority::new(root());
    let honest = [&village.identity.chain, &towns[1].identity.chain, &direct.identity.chain];
    for bytes in honest.into_iter().flatten() {
        knowing.insert(bytes).unwrap();
    }
    for authority in [Authority::new(root()), knowing] {
        for chain in &wrong {
            let outcome = authority.verify_chain(chain);
            assert!(matches!(outcome, Err(CertificateError::Detached { .. })), "{outcome:?}");
        }
        for chain in honest {
            authority.verify_chain(chain).unwrap();
        }
    }
}

/// Shows that a copy of a village that dials the county, with all that the village was ever given,
/// brings nothing in as long as its town is heard, and is told what the county publishes.
#[test]
fn a_copy_that_dials_past_the_town_only_reads() {
    let (mut world, [county, town, village]) = dialling(false);
    world.run(30_000);
    let (above, member) =
        (world.nodes[county].member.public_key(), world.nodes[village].member.clone());
    let copy = world.add(&member, &[above]);
    world.nodes[copy].lines = world.nodes[village].lines.clone();
    world.restart(copy);
    let forged = write_one(&mut world, copy, 1);
    let publisher = world.nodes[county].member.author(1);
    world.write(county, &publisher, vec![put(NOTICE, VILLAGE, 2, "通知")]);
    let honest = write_one(&mut world, village, 3);
    world.run(600_000);
    assert!(!has(&world, county, &forged) && !has(&world, town, &forged));
    assert!(has(&world, county, &honest) && has(&world, copy, &honest));
    let scope = world.common_scope(county, copy);
    let missing: Vec<_> =
        world.ids(county, &scope).difference(&world.ids(copy, &scope)).cloned().collect();
    assert!(missing.is_empty());
    assert!(world.report(copy, "高青县").postponed.is_some());
}

/// Shows that a village hands up to the county when its town has been silent for long, not before,
/// and stays welcome; that a second machine with its identity, which then comes to the county too,
/// only reads; and that the town's return changes nothing for the village.
#[test]
fn the_county_stands_in_for_a_town_that_is_silent() {
    let (mut world, [county, town, village]) = dialling(true);
    world.run(30_000);
    let before = write_one(&mut world, village, 1);
    world.run(120_000);
    assert!(has(&world, county, &before), "through the town");
    assert_eq!(world.report(village, "高青县").postponed, None);
    for other in [county, village] {
        world.cut(town, other);
    }
    let later = write_one(&mut world, village, 2);
    world.run(BETWEEN_SILENT_MS / 2);
    assert!(!has(&world, county, &later));
    world.run(BETWEEN_SILENT_MS / 2 + 180_000);
    assert!(has(&world, county, &later));
    let reached = world.nodes[village].store.reached(&home(POPULATION, VILLAGE, 2)).unwrap();
    assert_ne!(reached.reached & Tier::County.bit(), 0);

    let old = world.nodes[village].lines.clone();
    for other in [county, county] {
        world.cut(village, other);
        world.run(10_000);
        world.heal(village, other);
        world.run(120_000);
    }
    let again = write_one(&mut world, village, 3);
    world.run(180_000);
    assert!(has(&world, county, &again), "it comes back by its line");
    world.cut(village, county);
    let (above, member) =
        (world.nodes[county].member.public_key(), world.nodes[village].member.clone());
    let copy = world.add(&member, &[above]);
    world.nodes[copy].lines = old;
    world.restart(copy);
    let forged = write_one(&mut world, copy, 4);
    world.run(300_000);
    assert!(!has(&world, county, &forged), "{:?}", world.nodes[county].notices);
    assert!(has(&world, copy, &again), "{:?}", world.nodes[copy].closed);
    world.cut(copy, county);
    for (one, other) in [(town, county), (town, village), (village, county)] {
        world.heal(one, other);
    }
    let last = write_one(&mut world, village, 5);
    world.run(300_000);
    assert!(has(&world, county, &last) && has(&world, town, &last));
    assert!(!world.nodes[village].suspended);
}

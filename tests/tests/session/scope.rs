//! Scopes that grow and shrink while a node works: what comes, what goes, what is left alone.

use cunlian_crdt::store::UnsentLeft;
use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, CertificateBody, Tier};
use cunlian_protocol::scope::Scope;
use cunlian_tests::member::key;
use cunlian_tests::world::OTHER_VILLAGE;

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

const POPULATION: Category = Category::library(0, 0);
const IDENTITY: Category = Category::library(0, 1);
/// Seed of the town's key in [`town_and_village`].
const TOWN_SEED: u8 = 3;

/// The town certifies the village anew, for these villages; the village goes on as that.
fn certify_for(world: &mut World, town: usize, village: usize, regions: &[&str]) {
    let before = world.nodes[village].member.identity.clone();
    let grants = regions
        .iter()
        .flat_map(|region| preset::grants(Tier::Village, AddressCode::parse(region).unwrap()));
    let body = CertificateBody {
        grants: grants.collect(),
        issued_at_ms: world.now_ms,
        ..before.certificate.body().clone()
    };
    let mut identity = before;
    identity.chain.clone_from(&world.nodes[town].member.identity.chain);
    identity.chain.push(Certificate::issue(&body, &key(TOWN_SEED)));
    identity.certificate =
        world.nodes[town].store.authority().verify_chain(&identity.chain).unwrap();
    world.become_other(village, identity);
}

/// Records of both villages at the town, with identity numbers.
fn write_records(world: &mut World, town: usize) {
    let dispatcher = world.nodes[town].member.author(1);
    let writes = [VILLAGE, OTHER_VILLAGE].into_iter().zip([0, 1_000]).flat_map(|(at, first)| {
        (first..first + 300).flat_map(move |n| {
            [put(POPULATION, at, n, "王建国"), put(IDENTITY, at, n, "11010519491231002X")]
        })
    });
    world.write(town, &dispatcher, writes.collect());
}

fn count(world: &World, at: usize) -> usize {
    world.ids(at, &Scope::everything()).len()
}

/// Shows that a village that is certified for a second one gets all there is of it, written long
/// before, from the comparison alone, while nothing it has is sent again; and that what is
/// written there from then on comes as it does for its own.
#[test]
fn what_a_grant_newly_covers_is_filled_in() {
    let (mut world, town, village) = town_and_village();
    write_records(&mut world, town);
    world.run(20_000);
    assert_eq!(count(&world, village), 600);
    certify_for(&mut world, town, village, &[VILLAGE, OTHER_VILLAGE]);
    world.run(30_000);
    assert_eq!(count(&world, village), 1_200);
    world.assert_equal(town, village);
    let report = world.report(village, "高城镇");
    assert_eq!((report.received, report.sent), (600, 0), "{report:?}");

    let dispatcher = world.nodes[town].member.author(2);
    world.write(town, &dispatcher, vec![put(POPULATION, OTHER_VILLAGE, 5_000, "李四")]);
    world.run(10_000);
    assert_eq!(count(&world, village), 1_201);
}

/// Shows the way of a lost scope: what the village has not handed up stays until it has been, the
/// rest goes, the account agrees with what the town holds of that village, the village's own
/// records are untouched, and what is written there from then on does not come; and that all of
/// it comes back when the scope is given back.
#[test]
fn what_a_certificate_no_longer_covers_goes_and_can_come_back() {
    let (mut world, town, village) = town_and_village();
    certify_for(&mut world, town, village, &[VILLAGE, OTHER_VILLAGE]);
    write_records(&mut world, town);
    world.run(20_000);
    assert_eq!(count(&world, village), 1_200);
    world.cut(town, village);
    let secretary = world.nodes[village].member.author(1);
    world.write(village, &secretary, vec![put(POPULATION, OTHER_VILLAGE, 6_000, "unsent")]);
    certify_for(&mut world, town, village, &[VILLAGE]);

    let own = world.nodes[village].member.serial();
    let purged = world.nodes[village].store.purge_lost(&own).unwrap().unwrap();
    assert_eq!((purged.changes, purged.documents), (600, 600));
    assert_eq!(purged.unsent, UnsentLeft { documents: 1, changes: 1 });
    assert_eq!(count(&world, village), 601);
    let authority = world.nodes[village].store.authority();
    let keep = authority.read_scope(&own);
    for (part, summary) in &purged.parts {
        assert_eq!(world.nodes[town].store.outside(part, &keep).unwrap(), *summary, "{part:?}");
    }
    world.nodes[village].store.purge_accounted().unwrap();

    let dispatcher = world.nodes[town].member.author(2);
    world.write(town, &dispatcher, vec![put(POPULATION, OTHER_VILLAGE, 5_000, "李四")]);
    world.heal(town, village);
    world.run(60_000);
    assert_eq!(count(&world, village), 601);
    world.assert_equal(town, village);

    certify_for(&mut world, town, village, &[VILLAGE, OTHER_VILLAGE]);
    world.run(30_000);
    assert_eq!(count(&world, village), 1_202);
    world.assert_equal(town, village);
    assert!(world.nodes[village].store.verify().unwrap().is_sound());
}

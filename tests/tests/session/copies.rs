//! Two machines with one identity, and machines that come back from a copy.

use cunlian_crdt::store::Suspension;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use cunlian_protocol::wire::FaultCode;

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

const POPULATION: Category = Category::library(0, 0);

fn write_one(world: &mut World, at: usize, document: u32) {
    let author = world.nodes[at].member.author(u64::from(document));
    world.write(at, &author, vec![put(POPULATION, VILLAGE, document, "王建国")]);
}

fn may_write(world: &World, at: usize) -> bool {
    let author = world.nodes[at].member.author(77);
    let write = put(POPULATION, VILLAGE, 7_777, "王建国");
    world.nodes[at].store.write(&author, vec![write], world.now_ms).is_ok()
}

/// Shows that a village that comes back from a copy is certified anew by its town before it writes
/// anything, gets what it had written before, and that its old certificate is replaced.
#[test]
fn a_restored_village_becomes_another_author() {
    let (mut world, town, village) = town_and_village();
    write_one(&mut world, village, 1);
    world.run(10_000);
    let old = world.nodes[village].member.clone();
    let restored = world.copy(village);
    world.nodes[village].hub = dead(&world, village);
    world.cut(town, village);
    world.nodes[restored].suspended = true;
    world.nodes[restored].store.suspend(Suspension::Restored);
    assert!(!may_write(&world, restored));
    world.restart(restored);
    world.run(60_000);
    assert_ne!(world.nodes[restored].member.serial(), old.serial());
    assert_eq!(world.nodes[restored].member.public_key(), old.public_key());
    write_one(&mut world, restored, 2);
    world.run(10_000);
    world.assert_equal(town, restored);
    let authority = world.nodes[town].store.authority();
    let refusal = authority.valid_at(&old.identity.certificate, world.now_ms).unwrap_err();
    assert!(matches!(refusal, Refusal::Replaced { .. }), "{refusal}");
    authority.stands(&old.serial(), 1, None).unwrap();
}

/// Shows that two machines with one identity are noticed when both have been on line, that both
/// are told and neither writes; that the town lists the child; and that after a person has
/// released it the one that is left on is certified anew, and the other stays out.
#[test]
fn two_machines_with_one_identity_stop_until_one_is_released() {
    let (mut world, town, first) = town_and_village();
    world.run(10_000);
    let old = world.nodes[first].member.serial();
    let second = world.copy(first);
    world.run(180_000);
    for at in [first, second] {
        let told = world.nodes[at].closed.iter().any(|(code, _)| *code == FaultCode::Cloned);
        assert!(told, "{at}: {:?}", world.nodes[at].closed);
        assert!(world.nodes[at].suspended && !may_write(&world, at), "{at}");
        assert_eq!(world.nodes[at].member.serial(), old);
    }
    let key = world.nodes[first].member.public_key();
    assert_eq!(world.nodes[town].store.forked().unwrap(), [key]);

    world.cut(town, second);
    assert!(world.nodes[town].store.release(&key).unwrap());
    world.run(60_000);
    assert_ne!(world.nodes[first].member.serial(), old);
    write_one(&mut world, first, 1);
    world.run(10_000);
    world.assert_equal(town, first);
    let chosen = world.nodes[first].member.serial();
    world.heal(town, second);
    world.run(180_000);
    assert_eq!(world.nodes[second].member.serial(), old);
    assert!(!may_write(&world, second));
    assert_eq!(world.nodes[first].member.serial(), chosen);
    assert!(may_write(&world, first) && world.nodes[town].store.forked().unwrap().is_empty());
}

/// A hub that does nothing: the machine has burned.
fn dead(world: &World, at: usize) -> cunlian_protocol::hub::Hub {
    let node = &world.nodes[at];
    let identity = node.member.identity.clone();
    cunlian_protocol::hub::Hub::new(identity, node.store.authority(), Vec::new())
}

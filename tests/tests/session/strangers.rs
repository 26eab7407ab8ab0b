//! Authors whom one of two nodes does not know yet.

use cunlian_protocol::category::Category;

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

/// Shows that a change is sent with the certificate of its author although the session reads it
/// before it hears of the certificate, whoever dialled, and is held by both soon after.
///
/// This is the story of seed 900272 of the simulator on commit 90599f7: a village came in and
/// brought an alert by an author who was new. The town's session with the county read it in the
/// instant before it heard of the new certificate, and sent it without. The county refused it, as by
/// an unknown author. What was refused is not sent again in a session, and the session stayed open
/// for ever.
#[test]
fn a_change_is_not_sent_before_its_author() {
    let (mut world, town, village) = town_and_village();
    world.run(30_000);
    for (at, other, document) in [(town, village, 1), (village, town, 2), (town, village, 3)] {
        let seed = 40 + u8::try_from(document).unwrap();
        let (author, chain) = world.nodes[at].member.operator(seed, "王");
        let store = &world.nodes[at].store;
        assert!(store.add_certificates(&chain).unwrap().is_empty());
        let alert = put(Category::ALERT, VILLAGE, document, "水位");
        store.write(&author, vec![alert], world.now_ms).unwrap();
        world.commit_before_authority(at);
        world.run(5_000);
        world.assert_equal(at, other);
        let scope = world.common_scope(at, other);
        assert_eq!(world.ids(other, &scope).len(), usize::try_from(document).unwrap());
        assert!(world.nodes[other].notices.is_empty(), "{:?}", world.nodes[other].notices);
    }
}

/// Shows that a change that was refused because its author was unknown is offered again in the
/// session in which it was refused, which may stay open for months: within the hour by a node that
/// hears of nothing, and at once by one that hears of new certificates.
#[test]
fn what_was_refused_is_offered_again() {
    for hears in [false, true] {
        let (mut world, town, village) = town_and_village();
        world.run(30_000);
        let (author, chain) = world.nodes[village].member.operator(41, "王");
        assert!(world.nodes[village].store.add_certificates(&chain).unwrap().is_empty());
        world.loses_certificates = true;
        world.write(village, &author, vec![put(Category::ALERT, VILLAGE, 1, "水位")]);
        world.run(5_000);
        world.loses_certificates = false;
        assert!(
            world.nodes[town].notices[0].contains("unknown"),
            "{:?}",
            world.nodes[town].notices
        );
        assert!(world.nodes[town].store.add_certificates(&chain).unwrap().is_empty());
        if hears {
            let (_, chain) = world.nodes[village].member.operator(42, "李");
            assert!(world.nodes[village].store.add_certificates(&chain).unwrap().is_empty());
            world.write(village, &author, vec![put(Category::TICKET, VILLAGE, 2, "路灯")]);
        }
        world.run(if hears { 130_000 } else { 3_900_000 });
        world.assert_equal(town, village);
    }
}

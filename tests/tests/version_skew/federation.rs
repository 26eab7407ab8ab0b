//! Nodes of two versions of the protocol in one federation.

use std::sync::Arc;

use cunlian_protocol::category::Category;
use cunlian_protocol::dialect::{Dialect, Skew};
use cunlian_protocol::hub::Hub;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Frame, Message};
use cunlian_tests::member::key;
use cunlian_tests::world::{VILLAGE, one_of_each};

use super::world::{World, home, put};

const POPULATION: Category = Category::library(0, 0);

fn dialect(versions: &[u16]) -> Dialect {
    let two = versions.contains(&2);
    Dialect {
        versions: versions.to_vec(),
        more: if two { vec![2, 0, 2, 6] } else { Vec::new() },
        remark: two.then(|| "version 1 ends with this year".to_owned()),
    }
}

/// A county, a town below it and a village below that, and what each speaks.
struct Three {
    world: World,
    at: [usize; 3],
    parents: [Vec<PublicKey>; 3],
}

impl Three {
    fn speaking(versions: [&[u16]; 3]) -> Self {
        let [county, town, village] = one_of_each();
        let mut world = World::new(1);
        let parents = [Vec::new(), vec![county.public_key()], vec![town.public_key()]];
        let at = [
            world.add(&county, &parents[0]),
            world.add(&town, &parents[1]),
            world.add(&village, &parents[2]),
        ];
        let mut three = Self { world, at, parents };
        for (tier, versions) in versions.into_iter().enumerate() {
            three.update(tier, versions);
        }
        three
    }

    /// The program of a node is exchanged for one that speaks these versions, and starts.
    fn update(&mut self, tier: usize, versions: &[u16]) {
        let at = self.at[tier];
        self.world.restart(at);
        let node = &mut self.world.nodes[at];
        let (identity, authority) = (node.member.identity.clone(), node.store.authority());
        let hub = Hub::new(identity, Arc::clone(&authority), self.parents[tier].clone());
        let hub = hub.with_lineage_tokens(node.lines.clone(), node.suspended);
        node.hub = hub.speaking(dialect(versions));
    }

    fn write(&mut self, tier: usize, document: u32) {
        let author = self.world.nodes[self.at[tier]].member.author(u64::from(document));
        let write = put(POPULATION, VILLAGE, document, "王建国");
        self.world.write(self.at[tier], &author, vec![write]);
    }

    fn has(&self, tier: usize, document: u32) -> bool {
        let store = &self.world.nodes[self.at[tier]].store;
        store.view(&home(POPULATION, VILLAGE, document)).unwrap().is_some()
    }

    /// The versions that a node agreed on with its peer of this name.
    fn agreed(&self, tier: usize, peer: &str) -> Option<u16> {
        self.world.report(self.at[tier], peer).version
    }
}

/// Shows that each pair of a federation of two versions takes the greatest that both speak, that
/// what is new in version 2 passes between those who speak it and is never sent to who does not,
/// that hellos of version 2 are taken by version 1, and that data goes through all of them.
#[test]
fn two_versions_side_by_side() {
    let mut three = Three::speaking([&[2, 1], &[2, 1], &[1]]);
    three.write(2, 1);
    three.world.run(10_000);
    assert!([0, 1, 2].iter().all(|tier| three.has(*tier, 1)));
    assert_eq!(three.agreed(1, "高青县"), Some(2));
    assert_eq!(three.agreed(0, "高城镇"), Some(2));
    assert_eq!(three.agreed(1, "苑兴村"), Some(1));
    assert_eq!(three.agreed(2, "高城镇"), Some(1));
    let remarked = |tier: usize| {
        let notices = &three.world.nodes[three.at[tier]].notices;
        notices.iter().filter(|notice| notice.contains("version 1 ends")).count()
    };
    assert_eq!([0, 1, 2].map(remarked), [1, 1, 0]);

    three.update(2, &[2, 1]);
    three.write(0, 2);
    three.world.run(10_000);
    assert_eq!(three.agreed(2, "高城镇"), Some(2));
    assert!(three.has(2, 2));
    three.update(1, &[1]);
    three.write(2, 3);
    three.world.run(60_000);
    assert_eq!((three.agreed(2, "高城镇"), three.agreed(0, "高城镇")), (Some(1), Some(1)));
    assert!(three.has(0, 3), "a node that went back to version 1 still passes data on");
}

/// Shows that a node which is too old for its parent is told so, which version is lacking where
/// and which program has to be updated, on both sides; that both go on serving their own people;
/// and that everything comes together as soon as the old one is updated.
#[test]
fn who_is_too_old_is_told_on_both_sides() {
    let mut three = Three::speaking([&[2], &[2, 1], &[1]]);
    three.world.run(10_000);
    three.update(1, &[2]);
    three.write(2, 1);
    three.write(1, 2);
    three.world.run(60_000);
    assert!(three.has(0, 2) && !three.has(1, 1) && !three.has(2, 2));
    let seen = |tier: usize, name: &str| three.world.peer(three.at[tier], name);
    let below = seen(2, "高城镇");
    let skew = below.session.clone().and_then(|session| session.skew).unwrap();
    assert_eq!(skew, Skew { own: vec![1], peer: vec![2] });
    assert!(skew.is_own_older() && below.refused && !below.connected);
    let above = seen(1, "苑兴村");
    let skew = above.session.clone().and_then(|session| session.skew).unwrap();
    assert_eq!(skew, Skew { own: vec![2], peer: vec![1] });
    assert!(!skew.is_own_older() && above.refused && !above.connected);
    for problem in [below.problem, above.problem] {
        let problem = problem.unwrap();
        assert!(problem.contains("update \"苑兴村\""), "{problem}");
    }

    three.update(2, &[3, 2]);
    three.world.run(60_000);
    assert!(three.has(0, 1) && three.has(2, 2));
    for (tier, name) in [(2, "高城镇"), (1, "苑兴村")] {
        let report = three.world.peer(three.at[tier], name);
        assert!(report.connected && report.session.unwrap().skew.is_none());
    }
}

/// Shows that the newer side learns which of both is older when it is the one that dials.
#[test]
fn a_parent_that_is_too_old_is_named() {
    let mut three = Three::speaking([&[1], &[1], &[3]]);
    three.world.run(10_000);
    let below = three.world.peer(three.at[2], "高城镇");
    let skew = below.session.and_then(|session| session.skew).unwrap();
    assert!(!skew.is_own_older() && below.refused);
    assert!(below.problem.unwrap().contains("update \"高城镇\""));
}

/// Shows that a message of version 2 in a session of version 1 ends the session, whatever it says.
#[test]
fn a_message_of_a_later_version_is_a_fault() {
    let mut three = Three::speaking([&[2, 1], &[1], &[1]]);
    three.world.run(10_000);
    let town = three.at[1];
    let (connection, _) = three.world.knock(town, cunlian_protocol::signing::public_key(&key(77)));
    let frame = wire::encode(&Message::Remark(wire::bounded_text("hello")));
    three.world.give(town, connection, &frame);
    let (code, reason) = three.world.nodes[town].closed.last().unwrap();
    assert_eq!(*code, FaultCode::Malformed);
    assert!(reason.contains("version 2") && reason.contains("version 1"), "{reason}");
}

/// Shows that who is not certified is not remembered for speaking other versions: strangers cannot
/// fill the list of peers.
#[test]
fn strangers_of_other_versions_are_not_remembered() {
    let mut three = Three::speaking([&[1], &[1], &[1]]);
    three.world.run(10_000);
    let county = three.at[0];
    let before = three.world.nodes[county].hub.reports().len();
    let hello = three.world.tape.iter().find_map(|(_, frame)| match wire::decode(&frame[4..]) {
        Ok(Frame::Message(Message::Hello(hello))) => Some(hello),
        _ => None,
    });
    for seed in 0..20 {
        let stranger = cunlian_protocol::signing::public_key(&key(100 + seed));
        let (connection, _) = three.world.knock(county, stranger);
        let mut hello = hello.clone().unwrap();
        hello.versions = Bounded(vec![9]);
        three.world.give(county, connection, &wire::encode(&Message::Hello(hello)));
        let (code, _) = three.world.nodes[county].closed.last().unwrap();
        assert_eq!(*code, FaultCode::Version);
    }
    three.world.run(1_000);
    assert_eq!(three.world.nodes[county].hub.reports().len(), before);
}

//! Who is let in: silence, impostors, replays, and a node that comes twice.

use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, Tier};
use cunlian_protocol::hub::{ConnectionId, Event, TargetId};
use cunlian_protocol::session::{Channel, Effect, Identity, Role, Session};
use cunlian_protocol::signing::public_key;
use cunlian_protocol::wire::{self, FaultCode, Frame, LineageToken, Message};
use cunlian_tests::member::{Member, key};

use super::agreement::{VILLAGE, town_and_village};
use super::world::*;

fn codes(world: &World, at: usize) -> Vec<FaultCode> {
    world.nodes[at].closed.iter().map(|(code, _)| *code).collect()
}

/// The hello that the village sent to the town.
fn hello_of(world: &World, at: usize) -> Vec<u8> {
    let is_hello =
        |frame: &[u8]| matches!(wire::decode(&frame[4..]), Ok(Frame::Message(Message::Hello(_))));
    let found = world.tape.iter().find(|(from, frame)| *from == at && is_hello(frame));
    found.unwrap().1.clone()
}

/// Shows that a peer that connects and says nothing is shown the door after half a minute, not
/// before, and leaves nothing behind.
#[test]
fn a_silent_peer_is_closed_after_half_a_minute() {
    let (mut world, town, village) = town_and_village();
    world.cut(town, village);
    let (connection, _) = world.knock(town, public_key(&key(77)));
    world.run(29_000);
    assert_eq!(codes(&world, town), []);
    assert!(world.nodes[town].hub.wants_frames(connection));
    world.run(2_000);
    assert_eq!(codes(&world, town), [FaultCode::Timeout]);
    assert!(!world.nodes[town].hub.wants_frames(connection));
    assert_eq!(world.nodes[town].hub.next_deadline_ms(), None, "nothing waits for it any more");
}

/// Shows that a listener that never answers does not hold the dialler for ever: it gives up after
/// half a minute and dials again.
#[test]
fn a_silent_parent_is_given_up_and_dialled_again() {
    let (mut world, town, village) = town_and_village();
    world.cut(town, village);
    let connection = ConnectionId(9_999);
    let peer_key = world.nodes[town].member.public_key();
    let channel = Channel { exporter: [5; 32], peer_key };
    let mut effects = Vec::new();
    let event = Event::Dialled { target: TargetId(0), connection, channel };
    let now_ms = world.now_ms;
    world.nodes[village].hub.handle(now_ms, &mut rand::rng(), event, &mut effects);
    assert_eq!(effects.len(), 1, "one hello: {effects:?}");
    world.run(31_000);
    assert_eq!(codes(&world, village), [FaultCode::Timeout]);
    world.heal(town, village);
    world.run(60_000);
    assert!(world.peer(village, "高城镇").connected);
}

/// Shows that a dialler that reaches another certified node than the one it dialled refuses it,
/// although that node is honest and under the same root.
#[test]
fn another_node_in_the_place_of_the_parent_is_refused() {
    let (mut world, town, village) = town_and_village();
    let parent = world.nodes[town].member.clone();
    let other = world.add(&parent.certify(8, Tier::Village, "370322102200", "西关村"), &[]);
    world.cut(town, village);
    world.connect(village, TargetId(0), other);
    world.run(20);
    assert_eq!(codes(&world, village), [FaultCode::WrongPeer]);
    assert_eq!(world.nodes[other].store.counts().unwrap().total.changes, 0);
}

/// Shows that a hello taken from one connection is worthless on another: its signature covers the
/// exporter of the TLS session. The listener holds the right key in both cases.
#[test]
fn a_replayed_hello_is_refused() {
    let (mut world, town, village) = town_and_village();
    world.run(1_000);
    let hello = hello_of(&world, village);
    let peer_key = world.nodes[village].member.public_key();
    let (connection, _) = world.knock(town, peer_key);
    world.give(town, connection, &hello);
    assert_eq!(codes(&world, town), [FaultCode::Signature]);
    assert!(world.peer(town, "苑兴村").connected, "the real session is not disturbed");
}

/// Shows that the chain of another node, which anybody may know, does not make one that node: the
/// key of the TLS connection must be the one the certificate names.
#[test]
fn a_borrowed_chain_is_refused() {
    let (mut world, town, village) = town_and_village();
    world.run(1_000);
    let hello = hello_of(&world, village);
    let (connection, _) = world.knock(town, public_key(&key(66)));
    world.give(town, connection, &hello);
    assert_eq!(codes(&world, town), [FaultCode::WrongPeer]);
}

/// Shows that a node of another federation, with a sound chain under another root, is refused.
#[test]
fn another_federation_is_refused() {
    let (mut world, town, village) = town_and_village();
    world.cut(town, village);
    let stranger = Member::county(40).identity;
    let chain = vec![Certificate::issue(stranger.certificate.body(), &key(200))];
    let stranger = Identity { chain, ..stranger };
    let (connection, channel) = world.knock(town, public_key(&stranger.key));
    let expected = world.nodes[town].member.public_key();
    let role = Role::Dialler { expected, lineage: LineageToken::default(), renewing: false };
    let channel = Channel { peer_key: expected, ..channel };
    let authority = Arc::new(Authority::new(public_key(&key(200))));
    let mut session = Session::new(Arc::new(stranger), authority, role, channel, world.now_ms, 0);
    let effects = session.start(world.now_ms);
    let [Effect::Send(hello)] = effects.as_slice() else { panic!("{effects:?}") };
    world.give(town, connection, hello);
    assert_eq!(codes(&world, town), [FaultCode::Certificate]);
}

/// Shows that a node that comes back while its old connection is still thought to stand takes
/// over: the older session is closed as replaced, the newer one works.
#[test]
fn the_newer_of_two_sessions_of_one_node_stays() {
    let (mut world, town, village) = town_and_village();
    world.run(1_000);
    world.connect(village, TargetId(0), town);
    world.run(1_000);
    assert!(codes(&world, town).contains(&FaultCode::Replaced), "{:?}", world.nodes[town].closed);
    let connected = world.nodes[town].hub.reports();
    assert_eq!(connected.iter().filter(|report| report.connected).count(), 1);
    let author = world.nodes[village].member.author(1);
    let write = put(Category::TICKET, VILLAGE, 1, "路灯坏了");
    world.write(village, &author, vec![write]);
    world.run(5_000);
    world.assert_equal(town, village);
}

//! Revocations on their way to a peer.

use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::session::{Channel, Effect, Role, Session};
use cunlian_protocol::wire::{self, Bounded, FaultCode, Frame, LineageToken, Message};
use cunlian_tests::member::{Member, root};

use super::agreement::TOWN;
use super::world::*;

/// What a county knows that has taken back the certificates of this many nodes at length.
fn taken_back(county: &Member, count: u8, bytes: usize) -> Authority {
    let mut authority = Authority::new(root());
    let mut serials = Vec::new();
    for chain in &county.identity.chain {
        authority.insert(chain).unwrap();
    }
    for number in 0..count {
        let body = CertificateBody {
            subject: PublicKey([number; 32]),
            name: "换下".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Town,
            grants: Vec::new(),
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: Some(county.serial()),
        };
        let certificate = Certificate::issue(&body, &county.identity.key);
        serials.push(authority.insert(&certificate).unwrap());
    }
    for serial in serials {
        let listed = (0..bytes / 27).map(|number| {
            let mut serial = [0; 16];
            serial[..8].copy_from_slice(&number.to_be_bytes());
            Standing { through_seq: u64::MAX, serial: Serial(serial), tags: Vec::new() }
        });
        let body = RevocationBody {
            own: Standing { serial, through_seq: 0, tags: Vec::new() },
            successor: None,
            descendants: listed.collect(),
            reason: "闭站".to_owned(),
            issuer: Some(county.serial()),
        };
        assert!(authority.revoke(&body.sign(&county.identity.key)).unwrap());
    }
    authority
}

/// Shows that a town that knows none of its county's revocations is sent them as fast as it reads,
/// with little under way at a time, and to the last: the session is not ended because the line is
/// thin.
#[test]
fn revocations_go_as_fast_as_they_are_read() {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let (count, bytes) = (60, 100_000);
    let authority = Arc::new(taken_back(&county, count, bytes));
    let exporter = [7; 32];
    let channel = |peer: &Member| Channel { exporter, peer_key: peer.public_key() };
    let identity = |member: &Member| Arc::new(member.identity.clone());
    let expected = county.public_key();
    let role = Role::Dialler { expected, lineage: LineageToken::default(), renewing: false };
    let empty = Arc::new(Authority::new(root()));
    let mut below = Session::new(identity(&town), empty, role, channel(&county), START_MS, 0);
    let mut above = Session::new(
        identity(&county),
        Arc::clone(&authority),
        Role::Listener,
        channel(&town),
        START_MS,
        0,
    );
    let hello = below.start(START_MS);
    let [Effect::Send(hello)] = hello.as_slice() else { panic!("{hello:?}") };
    above.handle_frame(START_MS, &hello[4..]);
    let admitted = cunlian_protocol::sync::StoreReply::Admit(cunlian_protocol::sync::Verdict::Open);
    let mut effects = above.handle_stored(START_MS, 1, Ok(admitted));
    let nothing = wire::encode(&Message::KnownRevocations(Bounded(Vec::new())));
    effects.extend(above.handle_frame(START_MS, &nothing[4..]));
    let (mut told, mut most, mut unsent) = (0, 0, Vec::new());
    loop {
        for effect in std::mem::take(&mut effects) {
            assert!(!matches!(effect, Effect::Close { .. }), "{effect:?}");
            let Effect::Send(frame) = effect else { continue };
            if let Ok(Frame::Message(Message::Revocations(list))) = wire::decode(&frame[4..]) {
                told += list.0.len();
            }
            unsent.push(frame.len());
        }
        most = most.max(unsent.iter().sum::<usize>());
        if unsent.is_empty() {
            break;
        }
        effects = above.handle_sent(START_MS, unsent.remove(0));
    }
    assert_eq!(told, usize::from(count));
    let bound = limits::REVOCATIONS_UNSENT_BYTES + limits::REVOCATION_BYTES + 60_000;
    assert!(most <= bound, "{most} bytes under way");
    assert!(usize::from(count) * bytes > 4 * bound);
    let outcome = above.close(START_MS, FaultCode::Stopping, "done");
    assert!(matches!(outcome.last(), Some(Effect::Close { .. })));
}

/// Shows that a town that learns of a revocation between its hello and the welcome tells its county,
/// which has found no difference: it said so when the town knew as little as it does.
#[test]
fn what_is_learned_after_the_hello_is_told() {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let exporter = [7; 32];
    let channel = |peer: &Member| Channel { exporter, peer_key: peer.public_key() };
    let identity = |member: &Member| Arc::new(member.identity.clone());
    let expected = county.public_key();
    let role = Role::Dialler { expected, lineage: LineageToken::default(), renewing: false };
    let known = |count| Arc::new(taken_back(&county, count, 0));
    let mut below = Session::new(identity(&town), known(0), role, channel(&county), START_MS, 0);
    let (role, other) = (Role::Listener, channel(&town));
    let mut above = Session::new(identity(&county), known(0), role, other, START_MS, 0);
    let mut up = below.start(START_MS);
    below.handle_authority(START_MS, known(1));
    let mut told = 0;
    while !up.is_empty() {
        let mut down = Vec::new();
        for effect in up.drain(..) {
            let Effect::Send(frame) = effect else { continue };
            if let Ok(Frame::Message(Message::Revocations(list))) = wire::decode(&frame[4..]) {
                told += list.0.len();
            }
            let is_hello =
                matches!(wire::decode(&frame[4..]), Ok(Frame::Message(Message::Hello(_))));
            down.extend(above.handle_frame(START_MS, &frame[4..]));
            if is_hello {
                let verdict = cunlian_protocol::sync::Verdict::Open;
                let admitted = cunlian_protocol::sync::StoreReply::Admit(verdict);
                down.extend(above.handle_stored(START_MS, 1, Ok(admitted)));
            }
        }
        for effect in down {
            let Effect::Send(frame) = effect else { continue };
            up.extend(below.handle_frame(START_MS, &frame[4..]));
        }
    }
    assert_eq!(told, 1);
}

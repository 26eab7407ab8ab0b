//! Certificates, chains, revocations and sessions.

use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateBody, CertificateError};
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::revocation::{Revocation, RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::public_key;
use cunlian_protocol::wire::FaultCode;
use cunlian_tests::measured::growth_kib;
use cunlian_tests::member::{Member, key, root};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn county_body() -> CertificateBody {
    Member::county(2).identity.certificate.body().clone()
}

/// Shows that a certificate with a longer name, or more grants, than it may have is refused.
#[test]
fn certificates_end_at_their_bounds() {
    let body = county_body();
    let grant = body.grants[0].clone();
    let issue = |name: usize, grants: usize| {
        let (name, grants) = ("n".repeat(name), vec![grant.clone(); grants]);
        let bytes = Certificate::issue(&CertificateBody { name, grants, ..body.clone() }, &key(1));
        Authority::new(root()).insert(&bytes).map(|_| ())
    };
    assert_eq!(issue(limits::NAME_BYTES, limits::CERTIFICATE_GRANTS), Ok(()));
    let breaks = |result| matches!(result, Err(CertificateError::Limit { .. }));
    assert!(breaks(issue(limits::NAME_BYTES + 1, 1)));
    assert!(breaks(issue(1, limits::CERTIFICATE_GRANTS + 1)));
}

/// Shows that a chain longer than it may be is refused, each of its links being sound.
#[test]
fn chains_end_at_their_length() {
    let mut authority = Authority::new(root());
    let mut body = county_body();
    for grant in &mut body.grants {
        grant.delegable = Rights::ALL;
        grant.rights = Rights::ALL;
    }
    let mut chain = Vec::new();
    for number in 1..=limits::CHAIN_CERTIFICATES + 1 {
        let seed = u8::try_from(number).unwrap();
        body.subject = public_key(&key(seed + 1));
        body.issuer = chain.last().map(|bytes: &Vec<u8>| Serial::of(bytes));
        chain.push(Certificate::issue(&body, &key(seed)));
        let inserted = authority.insert(chain.last().unwrap());
        assert_eq!(inserted.is_ok(), number <= limits::CHAIN_CERTIFICATES, "{number}");
    }
    assert!(authority.verify_chain(&chain).is_err());
}

fn revocation(serial: Serial, number: usize, tags: usize) -> Vec<u8> {
    let body = RevocationBody {
        own: Standing { serial, through_seq: u64::MAX, tags: vec![[7; 8]; tags] },
        successor: None,
        descendants: Vec::new(),
        reason: number.to_string(),
        issuer: None,
    };
    body.sign(&key(1))
}

/// Shows that a revocation with more tags than it may have is refused.
#[test]
fn revocations_end_at_their_tags() {
    let serial = Member::county(2).identity.certificate.serial();
    let read = |tags| Revocation::peek(&revocation(serial, 1, tags)).map(|_| ());
    assert!(read(limits::REVOCATION_TAGS).is_ok());
    assert!(read(limits::REVOCATION_TAGS + 1).is_err());
}

/// Shows that of many revocations of one certificate few are kept, the same whatever their order.
#[test]
fn revocations_of_one_certificate_are_few() {
    let county = Member::county(2);
    let serial = county.identity.certificate.serial();
    let mut all: Vec<Vec<u8>> = (0..100).map(|number| revocation(serial, number, 3)).collect();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut authority = Authority::new(root());
        authority.insert(&county.identity.chain[0]).unwrap();
        for revocation in &all {
            // Those for which there is no room are refused.
            let _ = authority.revoke(revocation);
        }
        kept.push(authority.revocations().map(Revocation::id).collect::<Vec<_>>());
        all.reverse();
    }
    assert_eq!(kept[0].len(), limits::REVOCATION_ROOM[0].of_one);
    assert_eq!(kept[0], kept[1]);
}

/// Shows that a node has so many sessions and no more, in bounded memory, and says so to the next.
#[test]
fn sessions_end_at_their_number() {
    let test = concat!(module_path!(), "::sessions_end_at_their_number");
    let grown = growth_kib(test, || {
        let county = Member::county(2);
        let mut authority = Authority::new(root());
        authority.insert(&county.identity.chain[0]).unwrap();
        let mut hub = Hub::new(county.identity, Arc::new(authority), Vec::new());
        let mut rng = StdRng::seed_from_u64(1);
        let mut closed = Vec::new();
        for number in 0..=limits::SESSIONS as u64 {
            let mut peer_key = [0; 32];
            peer_key[..8].copy_from_slice(&number.to_be_bytes());
            let channel = Channel { exporter: [9; 32], peer_key: PublicKey(peer_key) };
            let connection = ConnectionId(number);
            let mut effects = Vec::new();
            hub.handle(1, &mut rng, Event::Accepted { connection, channel }, &mut effects);
            closed.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Close { connection, code, .. } => Some((connection.0, code)),
                _ => None,
            }));
        }
        assert_eq!(closed, [(limits::SESSIONS as u64, FaultCode::Busy)]);
    });
    assert!(grown < 32 << 10, "{} MiB", grown >> 10);
}

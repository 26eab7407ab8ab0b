//! What a hostile node sends: changes that do not stand, frames that are none, greetings that lie.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::change::{Header, Home, SignedChange, VERSION};
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Hello, Message};

use super::attempt::{Closed, Findings, Refused};
use super::scene::{IDENTITY, POPULATION, Scene};
use super::{Hostile, Line};
use crate::member::key;

/// A change, why it must be refused, and what it is called here.
type Forged = (&'static str, Vec<u8>, &'static str);

/// All forged changes in one batch, with one sound change among them that the town has already:
/// it is acknowledged, the others are refused, each with its own reason.
pub async fn send_changes(scene: &Scene, own: &[Vec<u8>], found: &mut Findings) {
    let (forged, canaries) = forge(scene, own);
    found.canaries.extend(canaries);
    let mut batch = vec![Carried { bytes: own[0].clone(), reached: u8::MAX }];
    batch.extend(forged.iter().map(|(_, bytes, _)| Carried { bytes: bytes.clone(), reached: 0 }));
    let mut line = scene.thief.enter(scene.town).await;
    line.send(&wire::encode_batch(1, &batch)).await;
    let refused = line.acknowledged(1).await;
    let places: Vec<usize> = refused.iter().map(|(at, _)| *at as usize).collect();
    assert_eq!(places, (1..=forged.len()).collect::<Vec<_>>(), "{refused:#?}");
    for ((name, bytes, expected), (_, reason)) in forged.into_iter().zip(refused) {
        assert!(reason.contains(expected), "{name}: {reason}");
        let id = SignedChange::decode(bytes.clone());
        let id = id.map_or_else(|_| ChangeId::of(&bytes), |change| change.id());
        found.refused.push(Refused { name, id, bytes, reason });
    }
}

fn forge(scene: &Scene, own: &[Vec<u8>]) -> (Vec<Forged>, Vec<String>) {
    let canaries: Vec<String> = (0..8).map(|n| format!("canary-of-the-thief-{n}")).collect();
    let author = scene.thief.serial();
    let town = Serial::of(scene.town_chain.last().unwrap());
    let sign = |category, address, author, canary: usize| {
        let header = header(category, address, author, 1);
        let payload = canaries[canary].as_bytes();
        SignedChange::sign(&header, payload, &scene.thief.key).unwrap().bytes().to_vec()
    };
    let mut broken = sign(POPULATION, scene.own, author, 5);
    *broken.last_mut().unwrap() ^= 1;
    let mut short = sign(POPULATION, scene.own, author, 6);
    short.pop();
    let stolen = SignedChange::from_log(own[0].clone()).unwrap();
    let session = stolen.header().session.wrapping_add(1);
    let other_actor = Header { author, session, seq: 1 << 40, ..*stolen.header() };
    let payload = stolen.payload().unwrap();
    let other_actor = SignedChange::sign(&other_actor, payload, &scene.thief.key).unwrap();
    let claims = |home: Home| retold(&own[0], home);
    let own_home = stolen.header().home;
    let moved = claims(Home { document: DocumentId([0x67; 16]), ..own_home });
    let disguised = claims(Home { category: POPULATION, ..own_home });
    let mut huge = canaries[7].clone().into_bytes();
    huge.resize(limits::CHANGE_BYTES + 1, 0);
    let outside = "outside of what this peer may send";
    let unsigned = "the signature does not hold";
    let forged = vec![
        ("for a neighbour", sign(POPULATION, scene.other, author, 0), outside),
        ("for a neighbour's identities", sign(IDENTITY, scene.other, author, 0), outside),
        ("for the town", sign(Category::TICKET, scene.town_code, author, 1), outside),
        ("for the catalogue", sign(Category::CATALOGUE, scene.county_code, author, 2), "no right"),
        ("in the town's name", sign(POPULATION, scene.own, town, 3), unsigned),
        ("by nobody", sign(POPULATION, scene.own, Serial([9; 16]), 4), "is unknown"),
        ("with a broken signature", broken, unsigned),
        ("cut short", short, "cut short"),
        ("a sound one that claims another home", moved, unsigned),
        ("a sound one that claims another category", disguised, unsigned),
        ("with garbage", sign(POPULATION, scene.own, author, 5), "payload"),
        ("by another actor", other_actor.bytes().to_vec(), "another actor"),
        ("too large", huge, "at most"),
    ];
    (forged, canaries)
}

/// The bytes of a sound change with another home of the same address written over its own.
fn retold(change: &[u8], home: Home) -> Vec<u8> {
    let own = SignedChange::from_log(change.to_vec()).unwrap().header().home;
    let mut bytes = change.to_vec();
    bytes[2..4].copy_from_slice(&home.category.0.to_be_bytes());
    let document = 5 + own.address.as_str().len();
    bytes[document..document + DocumentId::LENGTH].copy_from_slice(&home.document.0);
    bytes
}

fn header(category: Category, address: AddressCode, author: Serial, session: u64) -> Header {
    let home = Home { category, address, document: DocumentId([0x66; 16]) };
    Header {
        version: VERSION,
        kind: cunlian_protocol::change::ChangeKind::EDIT,
        home,
        author,
        session,
        seq: 1 << 40,
        recorded_at_ms: 0,
    }
}

/// Frames that are too large, unpack to too much, or are none; messages at the wrong moment.
pub async fn send_frames(scene: &Scene, found: &mut Findings) {
    let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
    assert!(bomb.len() < limits::FRAME_BYTES);
    let mut two_mebibytes = (2_u32 << 20).to_be_bytes().to_vec();
    two_mebibytes.resize(2 << 20, 1);
    let batch = wire::encode_batch(2, &[]);
    let frames: Vec<(&str, Vec<u8>, FaultCode)> = vec![
        ("announces 1 GiB", (1_u32 << 30).to_be_bytes().to_vec(), FaultCode::TooLarge),
        ("announces 4 GiB", vec![0xff; 4], FaultCode::TooLarge),
        ("sends 2 MiB", two_mebibytes, FaultCode::TooLarge),
        ("sends an empty frame", vec![0; 4], FaultCode::TooLarge),
        ("sends a frame of no kind", vec![0, 0, 0, 1, 7], FaultCode::Malformed),
        ("sends noise", [&[0, 0, 1, 0, 1][..], &[0xa5; 255]].concat(), FaultCode::Malformed),
        ("unpacks to 100 MiB", packed(100 << 20, &bomb), FaultCode::Malformed),
        ("unpacks to more than said", packed(600 << 10, &bomb), FaultCode::Malformed),
        ("sends batch 2 first", batch, FaultCode::Unexpected),
        ("answers what was not asked", wire::encode(&Message::Equal), FaultCode::Unexpected),
    ];
    for (name, bytes, code) in frames {
        let mut line = scene.thief.enter(scene.town).await;
        line.send(&bytes).await;
        ended(&mut line, name, code, found).await;
    }
}

/// A batch of one change that says it unpacks to `raw` bytes.
fn packed(raw: u32, bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![2];
    body.extend_from_slice(&1_u64.to_be_bytes());
    body.extend_from_slice(&1_u32.to_be_bytes());
    body.extend_from_slice(&raw.to_be_bytes());
    body.extend_from_slice(bytes);
    let length = u32::try_from(body.len()).unwrap();
    [length.to_be_bytes().as_slice(), &body].concat()
}

/// Greetings of who he is not.
pub async fn greet(scene: &Scene, found: &mut Findings) {
    let thief = &scene.thief;
    let impostor = Hostile::new(key(99), thief.chain.clone());
    let own_certificate = &scene.certificate;
    let body = own_certificate.body();
    let issue = |body: CertificateBody, issuer: &SigningKey, above: &[Vec<u8>]| {
        let certificate = Certificate::issue(&body, issuer);
        Hostile::new(key(98), [above, &[certificate]].concat())
    };
    let person = CertificateBody {
        subject: public_key(&key(98)),
        kind: AuthorKind::Operator,
        issuer: Some(own_certificate.serial()),
        ..body.clone()
    };
    let person = issue(person, &thief.key, &thief.chain);
    let wider = CertificateBody {
        subject: public_key(&key(98)),
        tier: Tier::Village,
        grants: cunlian_host::preset::grants(Tier::Village, scene.other),
        issuer: Some(own_certificate.serial()),
        ..body.clone()
    };
    let wider = issue(wider, &thief.key, &thief.chain);
    let self_made = CertificateBody {
        subject: public_key(&key(98)),
        grants: cunlian_host::preset::grants(Tier::County, scene.county_code),
        issuer: None,
        ..body.clone()
    };
    let self_made = issue(self_made, &key(97), &[]);
    for (name, who, code) in [
        ("borrows a chain", &impostor, FaultCode::WrongPeer),
        ("greets as a person", &person, FaultCode::Certificate),
        ("certifies himself for a neighbour", &wider, FaultCode::Certificate),
        ("founds his own federation", &self_made, FaultCode::Certificate),
    ] {
        let mut line = who.dial(scene.town).await;
        let hello = who.hello(&line);
        line.say(&Message::Hello(hello)).await;
        ended(&mut line, name, code, found).await;
    }
    replay(scene, found).await;
    let mut line = thief.dial(scene.town).await;
    let versions = Bounded(vec![99]);
    let hello = Hello { versions, ..thief.hello(&line) };
    let hello = thief.sign(hello, line.channel());
    line.say(&Message::Hello(hello)).await;
    ended(&mut line, "speaks another version", FaultCode::Version, found).await;
    let mut line = thief.dial(scene.town).await;
    line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
    ended(&mut line, "asks before greeting", FaultCode::Unexpected, found).await;
    let mut line = thief.dial(scene.town).await;
    line.send(&wire::encode_batch(1, &[])).await;
    ended(&mut line, "sends before greeting", FaultCode::Unexpected, found).await;
}

/// A greeting that was good on one connection is said again on another.
async fn replay(scene: &Scene, found: &mut Findings) {
    let mut first = scene.thief.dial(scene.town).await;
    let hello = Message::Hello(scene.thief.hello(&first));
    first.say(&hello).await;
    first.hear().await.unwrap();
    let mut second = scene.thief.dial(scene.town).await;
    second.say(&hello).await;
    ended(&mut second, "replays a greeting", FaultCode::Signature, found).await;
}

async fn ended(line: &mut Line, name: &str, code: FaultCode, found: &mut Findings) {
    let ending = line.ending().await;
    assert_eq!(ending.code, code, "{name}: {ending:?}");
    assert!(!ending.reason.is_empty(), "{name}");
    found.closed.push(Closed { name: name.to_owned(), ending });
}

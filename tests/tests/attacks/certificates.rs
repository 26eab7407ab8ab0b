//! Certificates and revocations without end, sound and otherwise.

use cunlian_protocol::limits;
use cunlian_protocol::wire::{Bounded, Message};
use cunlian_tests::hostile::Hostile;
use rand::Rng as _;
use tokio::task::JoinSet;

use super::made::{certificate, revocation};
use super::*;

/// Machines that attack at the same time.
const MACHINES: u16 = 4;

/// Shows that a tree of thousands of certificates of some kilobytes each, which a village and the issuers
/// below it certified, keeps nobody from the town.
#[test]
fn a_tree_of_certificates() {
    let mut siege = Siege::begin();
    siege.withstands("certificates", |target| async move {
        let mut machines = JoinSet::new();
        for number in 0..MACHINES {
            let target = target.clone();
            machines.spawn(async move {
                let own = target.below(number);
                let (issuer, like) = (own.certificate.serial(), own.certificate.body().clone());
                let many = target.times(1_600);
                let made: Vec<Vec<u8>> = (0..many)
                    .map(|at| certificate((issuer, &own.hostile.key), &like, &own.hostile.key, at))
                    .collect();
                assert!(made[0].len() > 1_500, "{}", made[0].len());
                say(&target, &own.hostile, made).await;
            });
        }
        machines.join_all().await;
    });
    siege.end();
}

/// Shows the same for certificates that are noise, and for such as nobody issued.
#[test]
fn certificates_that_are_none() {
    let mut siege = Siege::begin();
    siege.withstands("noise for certificates", |target| async move {
        let mut machines = JoinSet::new();
        for number in 0..MACHINES {
            let target = target.clone();
            machines.spawn(async move {
                let own = target.below(number);
                let (issuer, like) = (own.certificate.serial(), own.certificate.body().clone());
                let stranger = target.below(number + 100).hostile.key;
                let many = target.times(1_600);
                let made = (0..many).map(|at| {
                    let mut bytes = certificate((issuer, &stranger), &like, &stranger, at);
                    if at % 2 == 0 {
                        bytes.resize(limits::CERTIFICATE_BYTES, 0);
                        rand::rng().fill_bytes(&mut bytes);
                    }
                    bytes
                });
                let made = made.collect();
                say(&target, &own.hostile, made).await;
            });
        }
        machines.join_all().await;
    });
    siege.end();
}

/// Says these certificates; some machines greet anew in between, as often as they like.
async fn say(target: &Target, by: &Hostile, made: Vec<Vec<u8>>) {
    let mut line = by.enter(target.listen()).await;
    for part in made.chunks(limits::FRAME_CERTIFICATES) {
        let list = part.iter().cloned().map(Bounded).collect();
        line.say(&Message::Certificates(Bounded(list))).await;
    }
    // They have been read when what was said after them is answered.
    line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
    line.until(|message| matches!(message, Message::Tops(_)).then_some(())).await;
}

/// Shows that revocations of 256 KiB, many of each certificate, and small ones by the thousand, of
/// which half are signed by nobody who may, keep nobody from the town.
#[test]
fn revocations_without_end() {
    let mut siege = Siege::begin();
    siege.withstands("revocations", |target| async move {
        let mut machines = JoinSet::new();
        for number in 0..MACHINES {
            let target = target.clone();
            machines.spawn(async move { revoke(target, number).await });
        }
        machines.join_all().await;
    });
    siege.end();
}

async fn revoke(target: Target, number: u16) {
    let own = target.below(number);
    let by = (own.certificate.serial(), &own.hostile.key);
    let model = own.certificate.body().clone();
    let people: Vec<Vec<u8>> =
        (0..20).map(|at| certificate(by, &model, &own.hostile.key, at)).collect();
    let mut line = own.hostile.enter(target.listen()).await;
    line.say(&Message::Certificates(Bounded(people.iter().cloned().map(Bounded).collect()))).await;
    let stranger = target.below(number + 100);
    for round in 0..target.times(16) {
        let mut list = Vec::new();
        let (bytes, count) = if round % 2 == 0 { (250_000, 3) } else { (2_000, 200) };
        for at in 0..count {
            let of = cunlian_protocol::id::Serial::of(&people[(round + at) % people.len()]);
            let key = if at % 2 == 0 { &own.hostile.key } else { &stranger.hostile.key };
            // Each leaves less than the one before, and so takes its place.
            let number = u64::MAX / 2 - (round * 1_000 + at) as u64;
            list.push(Bounded(revocation((by.0, key), of, number, bytes)));
        }
        line.say(&Message::Revocations(Bounded(list))).await;
    }
    line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
    line.until(|message| matches!(message, Message::Tops(_)).then_some(())).await;
}

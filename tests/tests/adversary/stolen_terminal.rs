//! A terminal that was stolen with everything in it, and then revoked.

use std::net::SocketAddr;

use cunlian_node::demo::layout::Node;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody};
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::signing::public_key;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Frame, Message};
use cunlian_tests::authored::authored;
use cunlian_tests::hostile::attempt::{Closed, Findings};
use cunlian_tests::hostile::{Hostile, Stolen, snooping};
use cunlian_tests::member::key;
use cunlian_tests::program::run_well;
use cunlian_tests::traces::files_with;
use tokio::runtime::Runtime;

use super::stage::{CLOSED, Figures, OPEN, Stage, assert_logged_and_counted, canaries, home};

/// Shows that a revocation ends the open session of the stolen machine at once and keeps it out,
/// whatever it says; that nothing it wrote later is accepted, neither under new numbers nor under
/// numbers it had used, neither from itself nor through a friend of the same village who may send
/// such things; nor what an operator wrote whom it certifies with a date of last year. What it had
/// written before stands.
#[test]
fn a_revoked_machine_gets_nothing_and_brings_nothing_in() {
    let stage = Stage::running();
    let town = stage.town().clone();
    let (thief, friend) = (stage.insider(41), stage.insider(43));
    let home = home(stage.own(), Category::TICKET);
    let before = authored(&thief, &[(home, "written before the theft")]);
    let after = authored(&thief, &[(home, "x"), (home, "written after the theft")]);
    let back_dated = authored(&thief, &[(home, "signed under a used number")]);
    let minted = minted(&thief);
    let by_minted = authored(&minted, &[(home, "by an operator of last year")]);
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        let mut open = thief.hostile.enter(town.listen).await;
        open.send(&batch(1, &before[..1])).await;
        assert_eq!(open.acknowledged(1).await, []);
        let mut line = friend.hostile.enter(town.listen).await;
        revoke(&town, &thief);
        let ending = open.ending().await;
        assert_eq!(ending.code, FaultCode::Revoked, "{ending:?}");
        found.closed.push(Closed { name: "has a session open".to_owned(), ending });
        for _ in 0..3 {
            let mut again = thief.hostile.dial(town.listen).await;
            let hello = thief.hostile.hello(&again);
            again.say(&Message::Hello(hello)).await;
            let ending = again.ending().await;
            assert_eq!(ending.code, FaultCode::Revoked, "{ending:?}");
            let secrets = canaries(stage.own(), &[OPEN.as_slice(), &CLOSED].concat());
            snooping::assert_heard_nothing_of(&again, &secrets);
            found.closed.push(Closed { name: "comes again".to_owned(), ending });
        }
        let chain = minted.hostile.chain.iter().cloned().map(Bounded).collect();
        line.say(&Message::Certificates(Bounded(chain))).await;
        let forged = [after[1].clone(), back_dated[0].clone(), by_minted[0].clone()];
        line.send(&batch(1, &forged)).await;
        let refused = line.acknowledged(1).await;
        assert_eq!(refused.len(), forged.len(), "{refused:?}");
        for (_, reason) in &refused {
            assert!(reason.contains("revoked") || reason.contains("unknown"), "{reason}");
        }
        line.send(&batch(2, &before[..1])).await;
        assert_eq!(line.acknowledged(2).await, [], "what stands is known");
        stage.assert_serves(42).await;
    });
    assert_logged_and_counted(&town, &found);
    let refused = Figures::of(&town).sum("cunlian_changes_refused_total");
    assert_eq!(refused, 3);
    stage.settle();
    let county = &stage.county().dir;
    assert!(!files_with(county, "written before the theft").is_empty());
    for text in ["written after the theft", "signed under a used number", "operator of last year"] {
        assert!(files_with(county, text).is_empty(), "{text} is at the county");
    }
}

/// Shows that a thief who has the town certify a key of his own before the theft is noticed gains
/// nothing by it: the revocation of the certificate that was stolen takes the one that followed
/// it as well. Asking for another's certificate ends the session.
#[test]
fn a_thief_who_changed_the_key_is_revoked_all_the_same() {
    let stage = Stage::running();
    let town = stage.town().clone();
    let thief = stage.insider(41);
    let neighbour = Hostile::thief_of(&stage.other().dir);
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        let mut line = thief.hostile.enter(town.listen).await;
        let foreign = Renewal::sign(neighbour.serial(), &key(83));
        line.say(&Message::Renew { request: Bounded(foreign) }).await;
        let ending = line.ending().await;
        assert_eq!(ending.code, FaultCode::Signature, "{ending:?}");
        found.closed.push(Closed { name: "asks for another's certificate".to_owned(), ending });
        let chain = renewed(&thief, town.listen).await;
        let followed = Hostile::new(key(82), chain);
        let mut open = followed.enter(town.listen).await;
        revoke(&town, &thief);
        let ending = open.ending().await;
        assert_eq!(ending.code, FaultCode::Revoked, "{ending:?}");
        found.closed.push(Closed { name: "has a session with a new key".to_owned(), ending });
        for who in [&followed, &thief.hostile] {
            let mut again = who.dial(town.listen).await;
            let hello = who.hello(&again);
            again.say(&Message::Hello(hello)).await;
            let ending = again.ending().await;
            assert_eq!(ending.code, FaultCode::Revoked, "{ending:?}");
            found.closed.push(Closed { name: "comes again".to_owned(), ending });
        }
        stage.assert_serves(42).await;
    });
    let log = Stage::log(&town);
    for closed in &found.closed {
        assert!(log.contains(&closed.ending.reason), "{}: {:?}", closed.name, closed.ending);
    }
}

/// The chain of a certificate for a key of the thief's own, which he asks for until he has it: the
/// session in which he asks ends when his certificate is replaced.
async fn renewed(thief: &Stolen, town: SocketAddr) -> Vec<Vec<u8>> {
    loop {
        let mut line = thief.hostile.enter(town).await;
        let request = Renewal::sign(thief.certificate.serial(), &key(82));
        line.say(&Message::Renew { request: Bounded(request) }).await;
        while let Ok(frame) = line.hear().await {
            if let Frame::Message(Message::Issued(chain)) = frame {
                return chain.0.into_iter().map(|bytes| bytes.0).collect();
            }
        }
    }
}

fn batch(number: u64, changes: &[Vec<u8>]) -> Vec<u8> {
    let carried = |bytes: &Vec<u8>| Carried { bytes: bytes.clone(), reached: 0 };
    wire::encode_batch(number, &changes.iter().map(carried).collect::<Vec<_>>())
}

/// An operator whom the stolen machine certifies, valid since long ago.
fn minted(thief: &Stolen) -> Stolen {
    let own = thief.certificate.body();
    let body = CertificateBody {
        subject: public_key(&key(81)),
        name: "a clerk of last year".to_owned(),
        kind: AuthorKind::Operator,
        issuer: Some(thief.certificate.serial()),
        ..own.clone()
    };
    let bytes = Certificate::issue(&body, &thief.hostile.key);
    let chain = [thief.hostile.chain.clone(), vec![bytes]].concat();
    Stolen::new(Hostile::new(key(81), chain), thief.root)
}

/// What the administrator of the town does.
fn revoke(town: &Node, thief: &Stolen) {
    let (dir, serial) = (town.dir.display().to_string(), thief.certificate.serial().to_string());
    run_well(["revoke", &serial, "--reason", "stolen", "--data-dir", &dir]);
}

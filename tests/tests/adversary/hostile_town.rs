//! A town with all its keys in the hands of somebody who wants what lies outside of it, or to speak
//! in the name of those below and above.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, CertificateBody, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::public_key;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Message};
use cunlian_tests::authored::{authored, signed_as, unwritten};
use cunlian_tests::federation::well;
use cunlian_tests::hostile::attempt::{Closed, Findings};
use cunlian_tests::hostile::{Hostile, Stolen, snooping, stolen};
use cunlian_tests::member::key;
use tokio::runtime::Runtime;

use super::stage::{CLOSED, Figures, OPEN, Stage, assert_logged_and_counted, canaries, home};

/// 青城镇, the neighbour of the town.
const NEIGHBOUR: &str = "370322101";

/// Shows what a compromised town cannot do at its county: read beyond its own region, write there,
/// certify anybody for more than it has, revoke its neighbour or its county, or have anything of
/// all that made to stand.
#[test]
fn a_town_reaches_no_further_than_its_region() {
    let mut stage = Stage::running();
    let county = stage.county().clone();
    well(stage.fleet.kill(stage.town().index).map_err(Into::into));
    let town = stolen(&stage.town().dir);
    let neighbour = NEIGHBOUR.parse().unwrap();
    let honest = Hostile::insider(&county.dir, 71, Tier::Town, neighbour);
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        let mut line = honest.hostile.enter(county.listen).await;
        line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
        line.until(|message| matches!(message, Message::Tops(_)).then_some(())).await;
        for region in [Region::subtree(neighbour), Region::subtree(county.region)] {
            let mut line = town.hostile.enter(county.listen).await;
            line.say(&snooping::want(KeyPrefix::region(Category::TICKET, &region))).await;
            let ending = line.ending().await;
            assert_eq!(ending.code, FaultCode::OutOfScope, "{ending:?}");
            found.closed.push(Closed { name: "asks for others".to_owned(), ending });
        }
        let wider = wider(&town, neighbour);
        let mut line = wider.dial(county.listen).await;
        let hello = wider.hello(&line);
        line.say(&Message::Hello(hello)).await;
        let ending = line.ending().await;
        assert_eq!(ending.code, FaultCode::Certificate, "{ending:?}");
        found.closed.push(Closed { name: "certifies for a neighbour".to_owned(), ending });
        let sideways = revocation(honest.certificate.serial(), &town);
        let upwards = revocation(Serial::of(&town.hostile.chain[0]), &town);
        let mut line = town.hostile.enter(county.listen).await;
        line.say(&Message::Revocations(Bounded(vec![sideways, upwards]))).await;
        let carried = Carried { bytes: unwritten(&town, home_in(neighbour)), reached: 0 };
        line.send(&wire::encode_batch(1, &[carried])).await;
        let refused = line.acknowledged(1).await;
        assert!(refused[0].1.contains("outside of what this peer may send"), "{refused:?}");
        // Whom the town wanted to revoke is welcome as before.
        drop(honest.hostile.enter(county.listen).await);
    });
    assert_logged_and_counted(&county, &found);
    let figures = Figures::of(&county);
    assert_eq!(figures.get("cunlian_certificates_refused_total"), 2);
    assert_eq!(figures.get("cunlian_changes_refused_total{reason=\"scope\"}"), 1);
}

/// Shows what a compromised town cannot do at its village: write in the village's name, or in
/// the name of its people; alter what the village wrote; or bring it to hold another village's
/// data.
#[test]
fn a_town_does_not_speak_for_its_village() {
    let mut stage = Stage::running();
    let village = stage.own().clone();
    well(stage.fleet.kill(stage.town().index).map_err(Into::into));
    let town = stolen(&stage.town().dir);
    let name = Serial::of(Hostile::thief_of(&village.dir).chain.last().unwrap());
    let home_here = home(&village, Category::TICKET);
    let forged = signed_as(&town, name, home_here, "forged");
    let abroad = authored(&town, &[(home(stage.other(), Category::TICKET), "of another village")]);
    Runtime::new().unwrap().block_on(async {
        let mut line = town.hostile.enter(village.listen).await;
        let batch = [forged, abroad[0].clone()].map(|bytes| Carried { bytes, reached: 0 });
        line.send(&wire::encode_batch(1, &batch)).await;
        let refused = line.acknowledged(1).await;
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].1.contains("the signature does not hold"), "{refused:?}");
        assert!(refused[1].1.contains("outside of what this peer may send"), "{refused:?}");
        let others = canaries(stage.other(), &[OPEN.as_slice(), &CLOSED].concat());
        snooping::assert_heard_nothing_of(&line, &others);
    });
    let figures = Figures::of(&village);
    assert_eq!(figures.get("cunlian_changes_refused_total{reason=\"signature\"}"), 1);
    assert_eq!(figures.get("cunlian_changes_refused_total{reason=\"scope\"}"), 1);
}

fn home_in(region: AddressCode) -> Home {
    Home { category: Category::TICKET, address: region, document: DocumentId([0xab; 16]) }
}

/// A node that the town certified for its neighbour's region.
fn wider(town: &Stolen, neighbour: AddressCode) -> Hostile {
    let body = CertificateBody {
        subject: public_key(&key(72)),
        grants: cunlian_host::preset::grants(Tier::Town, neighbour),
        issuer: Some(town.certificate.serial()),
        ..town.certificate.body().clone()
    };
    let certificate = Certificate::issue(&body, &town.hostile.key);
    Hostile::new(key(72), [town.hostile.chain.clone(), vec![certificate]].concat())
}

/// A revocation by the town, which lets nothing stand.
fn revocation(serial: Serial, by: &Stolen) -> wire::RevocationBytes {
    let body = RevocationBody {
        own: Standing { serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "a test".to_owned(),
        issuer: Some(by.certificate.serial()),
    };
    Bounded(body.sign(&by.hostile.key))
}

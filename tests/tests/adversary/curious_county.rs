//! A county that wants to read what villages and towns keep to themselves.

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::signing::public_key;
use cunlian_protocol::wire::FaultCode;
use cunlian_tests::federation::well;
use cunlian_tests::hostile::attempt::{Closed, Findings};
use cunlian_tests::hostile::{Hostile, snooping, stolen};
use cunlian_tests::member::key;
use cunlian_tests::program::{run_well, wait_for};
use cunlian_tests::traces::contains;
use tokio::runtime::Runtime;

use super::stage::{
    CLOSED, OPEN, Stage, assert_all_of, assert_logged_and_counted, assert_nothing_of, canaries,
    canary, read,
};

/// Shows that a county holds no byte of a category that it may not read, in step with its town:
/// not in its store with its indexes, nor in its logs and backups. What it may read is there, so
/// whoever looks finds.
#[test]
fn a_county_has_no_byte_of_what_it_may_not_read() {
    let stage = Stage::running();
    let county = stage.county();
    let to = stage.beside("backups");
    run_well(["backup", to.to_str().unwrap(), "--data-dir", county.dir.to_str().unwrap()]);
    for village in [stage.own(), stage.other()] {
        for dir in [&county.dir, &to] {
            assert_all_of(&canaries(village, &OPEN), dir);
            assert_nothing_of(&canaries(village, &CLOSED), dir);
        }
        assert_all_of(&canaries(village, &CLOSED), &stage.town().dir);
    }
}

/// Shows that a county that asks its town for sensitive categories in so many words is refused,
/// category by category, and hears nothing of them in the plaintext of frames.
#[test]
fn a_county_that_asks_is_refused() {
    let mut stage = Stage::running();
    // The town would notice two machines with one identity.
    well(stage.fleet.kill(stage.county().index).map_err(Into::into));
    let county = Hostile::thief_of(&stage.county().dir);
    let mut found = Findings::default();
    let secrets = canaries(stage.own(), &CLOSED);
    Runtime::new().unwrap().block_on(async {
        let mut line = county.enter(stage.town().listen).await;
        for category in OPEN {
            read(&mut line, stage.own(), category).await;
            let heard = canary(stage.own(), category);
            assert!(contains(&line.heard, heard.as_bytes()), "{heard} was not heard");
        }
        snooping::assert_heard_nothing_of(&line, &secrets);
        for category in CLOSED {
            for prefix in [
                KeyPrefix::category(category),
                KeyPrefix::region(category, &Region::subtree(stage.county().region)),
                KeyPrefix::region(category, &Region::subtree(stage.own().region)),
            ] {
                let mut line = county.enter(stage.town().listen).await;
                line.say(&snooping::want(prefix)).await;
                let ending = line.ending().await;
                assert_eq!(ending.code, FaultCode::OutOfScope, "{category}: {ending:?}");
                snooping::assert_heard_nothing_of(&line, &secrets);
                found.closed.push(Closed { name: format!("asks for {category}"), ending });
            }
        }
        stage.assert_serves(42).await;
    });
    assert_logged_and_counted(stage.town(), &found);
}

/// Shows the limit of this: a county may certify others for what it may not read itself, and so a
/// node that reads it. That cannot be hidden, for the node has to show its certificate, and the
/// town's status names it.
#[test]
fn a_reader_that_a_county_certifies_for_itself_is_seen() {
    let stage = Stage::running();
    let town = stage.town();
    let county = stolen(&stage.county().dir);
    let seed = 61;
    let body = CertificateBody {
        subject: public_key(&key(seed)),
        name: "another town".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::Town,
        grants: cunlian_host::preset::grants(Tier::Town, town.region),
        issuer: Some(county.certificate.serial()),
        ..county.certificate.body().clone()
    };
    let certificate = Certificate::issue(&body, &county.hostile.key);
    let reader = Hostile::new(key(seed), [county.hostile.chain, vec![certificate]].concat());
    Runtime::new().unwrap().block_on(async {
        let mut line = reader.enter(town.listen).await;
        read(&mut line, stage.own(), Category::library(0, 1)).await;
        let identity = canary(stage.own(), Category::library(0, 1));
        assert!(contains(&line.heard, identity.as_bytes()));
        wait_for("the status of the town", || {
            well(stage.fleet.status(town.index)).to_string().contains("another town")
        });
    });
}

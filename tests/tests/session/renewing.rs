//! Certificates that end, that are followed, and keys that change: over sessions, in virtual time.

use std::ops::Range;

use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Certificate, CertificateBody, Tier};
use cunlian_protocol::signing::public_key;
use cunlian_protocol::succession::SuccessionBody;
use cunlian_protocol::wire::{self, Frame, Message};
use cunlian_tests::member::{Member, key};

use super::agreement::{TOWN, VILLAGE};
use super::durability::three_tiers;
use super::world::*;

const DAY_MS: i64 = 86_400_000;
const POPULATION: Category = Category::library(0, 0);
/// Of a village that was certified 21 days ago, for 30.
const TWO_THIRDS_GONE: Range<i64> = START_MS - 21 * DAY_MS..START_MS + 9 * DAY_MS;

/// A town, and a village below it that is certified for this time.
fn town_and_village_for(time_ms: Range<i64>) -> (World, usize, usize) {
    let town = Member::county(2).certify(3, Tier::Town, TOWN, "高城镇");
    let village = town.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), time_ms);
    let mut world = World::new(1);
    let at_town = world.add(&town, &[]);
    let at_village = world.add(&village, &[town.public_key()]);
    (world, at_town, at_village)
}

fn body(world: &World, at: usize) -> CertificateBody {
    world.nodes[at].member.identity.certificate.body().clone()
}

/// Writes one record at a node in its own name and lets it arrive.
fn write_one(world: &mut World, at: usize, document: u32) {
    let author = world.nodes[at].member.author(u64::from(document));
    world.write(at, &author, vec![put(POPULATION, VILLAGE, document, "王建国")]);
    world.run(5_000);
}

/// Messages of a node, as they were sent.
fn messages(world: &World, at: usize) -> Vec<Option<Message>> {
    let sent = world.tape.iter().filter(|(from, _)| *from == at);
    sent.map(|(_, frame)| match wire::decode(&frame[4..]).unwrap() {
        Frame::Message(message) => Some(message),
        Frame::Batch { .. } => None,
    })
    .collect()
}

/// Shows that a village whose certificate has less than a third of its time left is certified anew
/// by its town without anybody doing anything, for the same and for as long; that its new work is
/// by the new certificate; and that the old one was not revoked, for nothing was taken away.
#[test]
fn a_certificate_is_followed_before_it_ends() {
    let (mut world, town, village) = town_and_village_for(TWO_THIRDS_GONE);
    let before = world.nodes[village].member.clone();
    write_one(&mut world, village, 1);
    let after = body(&world, village);
    assert_eq!(after.grants, before.identity.certificate.body().grants);
    assert_eq!(after.not_after_ms, after.issued_at_ms + 30 * DAY_MS);
    assert!((START_MS..=world.now_ms).contains(&after.issued_at_ms));
    write_one(&mut world, village, 2);
    world.assert_equal(town, village);
    assert_eq!(world.nodes[town].store.authority().revocations().count(), 0);
    let renewals = |m: &Option<Message>| matches!(m, Some(Message::Renew { .. }));
    assert_eq!(messages(&world, village).iter().filter(|m| renewals(m)).count(), 1);
}

/// Shows that a village whose certificate has ended while the line was cut hands up what it wrote
/// in time, is sent nothing before it has a new certificate, gets one, and then all it lacks.
#[test]
fn an_expired_village_hands_up_its_work_and_is_certified_anew() {
    let (mut world, town, village) = town_and_village_for(START_MS - DAY_MS..START_MS + DAY_MS);
    world.run(1_000);
    world.cut(town, village);
    let (secretary, dispatcher) =
        (world.nodes[village].member.author(1), world.nodes[town].member.author(1));
    let records = |range: Range<u32>| range.map(|n| put(POPULATION, VILLAGE, n, "王")).collect();
    world.write(village, &secretary, records(0..40));
    world.write(town, &dispatcher, records(100..140));
    world.pass(3 * DAY_MS);
    world.tape.clear();
    world.heal(town, village);
    world.run(120_000);
    world.assert_equal(town, village);
    assert!(body(&world, village).not_after_ms > world.now_ms);
    let sent = messages(&world, town);
    let issued = sent.iter().position(|m| matches!(m, Some(Message::Issued(_)))).unwrap();
    assert!(!sent[..issued].contains(&None), "changes were sent to a node without certificate");
    write_one(&mut world, village, 41);
    world.assert_equal(town, village);
}

/// Shows that a village whose certificate has ended, and whose town cannot certify it for a moment,
/// asks again within two minutes and is certified then, for until then nobody can write there; and
/// that a town which always refuses is asked no more than some thirty times a day.
#[test]
fn who_was_refused_a_certificate_asks_again_soon_and_then_rarely() {
    let expired = || {
        let (mut world, town, village) = town_and_village_for(START_MS - DAY_MS..START_MS + DAY_MS);
        world.run(1_000);
        world.cut(town, village);
        world.pass(3 * DAY_MS);
        world.tape.clear();
        (world, town, village)
    };
    let (mut world, town, village) = expired();
    world.refuses = Some((town, 1));
    world.heal(town, village);
    world.run(125_000);
    assert_eq!(world.refuses, Some((town, 0)));
    assert!(body(&world, village).not_after_ms > world.now_ms);
    write_one(&mut world, village, 1);
    world.assert_equal(town, village);

    let (mut world, town, village) = expired();
    world.refuses = Some((town, u32::MAX));
    world.heal(town, village);
    world.run(DAY_MS);
    let renewals = |m: &&Option<Message>| matches!(m, Some(Message::Renew { .. }));
    let asked = messages(&world, village).iter().filter(renewals).count();
    assert!((24..=34).contains(&asked), "{asked}");
}

/// Shows that the children of a node with a newer certificate follow it, down two tiers, and that
/// nothing they wrote before is lost on the way.
#[test]
fn children_follow_the_new_certificate_of_their_parent() {
    let (mut world, [county, town, village]) = three_tiers();
    write_one(&mut world, village, 1);
    let serials = [town, village].map(|at| world.nodes[at].member.serial());
    let renewed = CertificateBody { issued_at_ms: START_MS, ..body(&world, county) };
    let mut identity = world.nodes[county].member.identity.clone();
    identity.chain = vec![Certificate::issue(&renewed, &key(1))];
    identity.certificate =
        world.nodes[county].store.authority().verify_chain(&identity.chain).unwrap();
    world.become_other(county, identity);
    world.run(120_000);
    let issuer = |at: usize| body(&world, at).issuer;
    assert_eq!(issuer(town), Some(world.nodes[county].member.serial()));
    assert_eq!(issuer(village), Some(world.nodes[town].member.serial()));
    assert!(serials.iter().all(|old| *old != world.nodes[town].member.serial()));
    write_one(&mut world, village, 2);
    world.run(60_000);
    world.assert_equal(town, village);
    world.assert_equal(county, town);
}

/// Shows that a town that changes its key is known again by its village, which has only the old
/// key written down, and by its county; that the village is certified under the new key; and that
/// the old key gets no certificate any more.
#[test]
fn a_new_key_of_a_town_is_followed_by_those_who_know_the_old() {
    let (mut world, [county, town, village]) = three_tiers();
    write_one(&mut world, village, 1);
    let old = world.nodes[town].member.clone();
    let identity =
        cunlian_protocol::session::Identity { next_key: Some(key(33)), ..old.identity.clone() };
    world.nodes[town].member = Member { identity };
    world.restart(town);
    world.run(180_000);
    assert_eq!(world.nodes[town].member.public_key(), public_key(&key(33)));
    assert_eq!(body(&world, village).issuer, Some(world.nodes[town].member.serial()));
    assert!(world.nodes[village].lines.contains_key(&public_key(&key(33))));
    write_one(&mut world, village, 2);
    world.run(60_000);
    world.assert_equal(town, village);
    world.assert_equal(county, town);
    let authority = world.nodes[county].store.authority();
    let refusal = authority.valid_at(&old.identity.certificate, world.now_ms).unwrap_err();
    assert!(matches!(refusal, Refusal::Replaced { .. }), "{refusal}");

    let thief = world.add(&old, &[world.nodes[county].member.public_key()]);
    world.nodes[thief].lines = world.nodes[town].lines.clone();
    world.restart(thief);
    world.run(60_000);
    assert_eq!(world.nodes[thief].member.serial(), old.serial(), "{:?}", world.nodes[thief].closed);
    assert_eq!(world.nodes[thief].store.counts().unwrap().total.changes, 0);
}

/// Shows that a certificate that waits for a village reaches it at once: less than before, after
/// which the old one is replaced and the village's work stands; then more than before.
#[test]
fn a_certificate_that_waits_is_taken_over() {
    let (mut world, town, village) = town_and_village_for(0..i64::MAX);
    write_one(&mut world, village, 1);
    let full = world.nodes[village].member.clone();
    let mut less = body(&world, village);
    less.grants.retain(|grant| grant.categories.contains(POPULATION));
    for wanted in [less.grants.clone(), full.identity.certificate.body().grants.clone()] {
        let parent = &world.nodes[town].member.identity;
        let issued_at_ms = world.now_ms;
        let decided = CertificateBody { grants: wanted.clone(), issued_at_ms, ..less.clone() };
        let bytes = Certificate::issue(&decided, &parent.key);
        let subject = full.public_key();
        let waits = move |connection: &rusqlite::Connection| {
            let sql = "INSERT INTO pending_certificate VALUES (?1, ?2)";
            connection.execute(sql, (subject.0, bytes))
        };
        world.nodes[town].store.write_reference(waits).unwrap();
        world.restart(village);
        world.run(60_000);
        assert_eq!(body(&world, village).grants, wanted);
        let document = u32::try_from(wanted.len()).unwrap() + 10;
        write_one(&mut world, village, document);
        world.assert_equal(town, village);
    }
    let authority = world.nodes[town].store.authority();
    let outcome = authority.valid_at(&full.identity.certificate, world.now_ms);
    assert!(matches!(outcome, Err(Refusal::Replaced { .. })), "{outcome:?}");
    authority.stands(&full.serial(), 1, None).unwrap();
}

/// Shows that a town that may do less than before passes on no more than that: its village gets
/// what is left, and writes go on within it.
#[test]
fn a_narrowed_town_narrows_its_village() {
    let (mut world, [county, town, village]) = three_tiers();
    write_one(&mut world, village, 1);
    let mut grants = preset::grants(Tier::Town, AddressCode::parse(TOWN).unwrap());
    for grant in &mut grants {
        grant.categories =
            grant.categories.intersection(&CategorySet::range(Category(0), Category(0x30ff)));
    }
    grants.retain(|grant| !grant.categories.is_empty());
    let parent = &world.nodes[county].member.identity;
    let decided = CertificateBody { grants, ..body(&world, town) };
    let bytes = Certificate::issue(&decided, &parent.key);
    let subject = world.nodes[town].member.public_key();
    let waits = move |connection: &rusqlite::Connection| {
        let sql = "INSERT INTO pending_certificate VALUES (?1, ?2)";
        connection.execute(sql, (subject.0, bytes))
    };
    world.nodes[county].store.write_reference(waits).unwrap();
    world.restart(town);
    world.run(180_000);
    let sensitive = Category::library(0, 1);
    let may = |at: usize| {
        body(&world, at).grants.iter().any(|grant| grant.categories.contains(sensitive))
    };
    assert!(!may(town) && !may(village));
    write_one(&mut world, village, 2);
    world.run(60_000);
    world.assert_equal(town, village);
}

/// Shows that a new root reaches every node with the hello of the founder, that the founder's
/// children are certified under it, and that work from before stands on all of them.
#[test]
fn a_new_root_is_followed_down_the_tree() {
    let (mut world, [county, town, village]) = three_tiers();
    write_one(&mut world, village, 1);
    let (old, new) = (key(1), key(99));
    let stands = vec![world.nodes[county].member.serial()];
    let succession = SuccessionBody { old: public_key(&old), new: public_key(&new), stands };
    let founder = &world.nodes[county];
    assert!(founder.store.add_successions(&[succession.sign(&old, &new)]).unwrap().is_empty());
    let renewed = CertificateBody { issued_at_ms: START_MS, ..body(&world, county) };
    let mut identity = founder.member.identity.clone();
    identity.chain = vec![Certificate::issue(&renewed, &new)];
    identity.certificate = founder.store.authority().verify_chain(&identity.chain).unwrap();
    world.become_other(county, identity);
    world.run(180_000);
    for at in [county, town, village] {
        let node = &world.nodes[at];
        assert_eq!(node.store.authority().current_root(), public_key(&new));
        assert_eq!(node.member.identity.certificate.root(), public_key(&new), "{at}");
    }
    write_one(&mut world, village, 2);
    world.run(60_000);
    world.assert_equal(town, village);
    world.assert_equal(county, town);
    let forged = CertificateBody { name: "伪造".to_owned(), ..renewed };
    let serial = cunlian_protocol::id::Serial::of(&Certificate::issue(&forged, &old));
    let node = &world.nodes[town].store;
    node.add_certificates(&[Certificate::issue(&forged, &old)]).unwrap();
    let authority = node.authority();
    assert!(authority.stands(&serial, 1, None).is_err(), "what the old root signs later");
}

//! A town that is set back to an older state of itself: what it has forgotten comes back to it, and
//! nobody uses the moment.

use cunlian_crdt::store::Suspension;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::Serial;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::session::Identity;
use cunlian_protocol::wire::FaultCode;
use cunlian_tests::member::{Member, key};

use super::agreement::{TOWN, VILLAGE};
use super::world::*;

const DAY_MS: i64 = 86_400_000;
const POPULATION: Category = Category::library(0, 0);

/// County, town and village, which is certified for thirty days.
fn three_tiers() -> (World, [usize; 3]) {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let time_ms = START_MS..START_MS + 30 * DAY_MS;
    let village = town.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), time_ms);
    let mut world = World::new(3);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key()]);
    (world, [at_county, at_town, at_village])
}

fn write_one(world: &mut World, at: usize, document: u32) {
    let author = world.nodes[at].member.author(u64::from(document));
    world.write(at, &author, vec![put(POPULATION, VILLAGE, document, "王建国")]);
}

fn holds(world: &World, at: usize, document: u32) -> bool {
    let home = home(POPULATION, VILLAGE, document);
    world.nodes[at].store.view(&home).unwrap().is_some()
}

fn was_told(world: &World, at: usize, code: FaultCode) -> bool {
    world.nodes[at].closed.iter().any(|(told, _)| *told == code)
}

/// The village is certified anew and works on, while the town has no line to the county, which
/// therefore knows nothing of it; then the town goes back to the state before.
fn set_back_after_a_renewal(suspended: Option<Suspension>) -> (World, [usize; 3]) {
    let (mut world, nodes) = three_tiers();
    let [county, town, village] = nodes;
    world.run(10_000);
    let yesterday = world.back_up(town);
    world.cut(county, town);
    let before = world.nodes[village].member.serial();
    world.pass(21 * DAY_MS);
    world.run(120_000);
    assert_ne!(world.nodes[village].member.serial(), before);
    write_one(&mut world, village, 1);
    world.run(60_000);
    assert!(holds(&world, town, 1));
    world.cut(town, village);
    world.set_back(town, &yesterday, suspended);
    assert!(!holds(&world, town, 1));
    (world, nodes)
}

/// The village and its work are where they belong, with nobody having done anything at the town.
fn assert_in_order(world: &mut World, [county, town, village]: [usize; 3]) {
    assert!(!world.nodes[village].suspended);
    assert_eq!(world.nodes[town].store.forked().unwrap(), []);
    let own = |at: usize| world.nodes[at].member.identity.certificate.clone();
    assert_eq!(own(village).body().issuer, Some(own(town).serial()));
    world.nodes[county].store.authority().valid_at(&own(village), world.now_ms).unwrap();
    write_one(world, village, 2);
    world.run(60_000);
    world.assert_equal(town, village);
    world.assert_equal(county, town);
    assert!([1, 2].iter().all(|document| holds(world, county, *document)));
}

/// Shows that a town that was restored from a backup of before it certified its village anew takes
/// the village in again as soon as the county has confirmed it, and that what the village wrote
/// under a certificate that nobody else remembers stands everywhere.
#[test]
fn a_restored_town_knows_the_village_it_has_forgotten() {
    let (mut world, nodes) = set_back_after_a_renewal(Some(Suspension::Restored));
    let [county, town, village] = nodes;
    world.heal(county, town);
    world.run(60_000);
    assert!(!world.nodes[town].suspended);
    world.heal(town, village);
    world.run(120_000);
    assert_in_order(&mut world, nodes);
}

/// Shows the same of a town that does not know that it was set back, until the county says so: the
/// village comes in before, and is in order after.
#[test]
fn a_town_that_does_not_know_that_it_was_set_back_knows_its_village_too() {
    let (mut world, nodes) = set_back_after_a_renewal(None);
    let [county, town, village] = nodes;
    world.heal(town, village);
    world.run(60_000);
    assert!(holds(&world, town, 1), "{:?}", world.nodes[village].closed);
    assert!(!world.nodes[village].suspended);
    // As if it had been set back further than its last contact with the county.
    world.nodes[town].suspended = true;
    world.nodes[town].store.suspend(Suspension::Forked);
    world.restart(town);
    world.heal(county, town);
    world.run(180_000);
    assert_in_order(&mut world, nodes);
}

/// Shows that a restored town lets nobody in before the county has confirmed it, so that a village
/// that was revoked after the backup does not come back by that: neither while the county is away,
/// nor after.
#[test]
fn a_restored_town_has_not_forgotten_whom_it_revoked() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(60_000);
    let revoked = world.nodes[village].member.clone();
    let yesterday = world.back_up(town);
    let body = RevocationBody {
        own: Standing { serial: revoked.serial(), through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "stolen".to_owned(),
        issuer: Some(world.nodes[town].member.serial()),
    };
    let bytes = body.sign(&world.nodes[town].member.identity.key);
    assert!(world.nodes[town].store.add_revocations(&[bytes]).unwrap().is_empty());
    world.cut(town, village);
    world.restart(town);
    world.run(60_000);
    assert_eq!(world.nodes[county].store.authority().revocations().count(), 1);
    world.cut(county, town);
    world.set_back(town, &yesterday, Some(Suspension::Restored));
    world.heal(town, village);
    write_one(&mut world, village, 1);
    world.nodes[village].closed.clear();
    world.run(120_000);
    assert!(was_told(&world, village, FaultCode::Busy), "{:?}", world.nodes[village].closed);
    assert!(!holds(&world, town, 1));
    world.heal(county, town);
    world.run(180_000);
    assert!(!world.nodes[town].suspended);
    write_one(&mut world, town, 9);
    world.run(60_000);
    assert!(holds(&world, county, 9));
    assert!(was_told(&world, village, FaultCode::Revoked), "{:?}", world.nodes[village].closed);
    assert!(!holds(&world, town, 1) && !holds(&world, village, 9));
    assert_eq!(world.nodes[village].member.serial(), revoked.serial());
}

/// Shows that a village whose key was changed after the backup stays known by the new one, and that
/// a machine with the old key gets nowhere with it.
#[test]
fn a_key_that_a_restored_town_knew_last_is_not_used_again() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(60_000);
    let old = world.nodes[village].member.clone();
    let thief = world.copy(village);
    world.cut(town, thief);
    let yesterday = world.back_up(town);
    let identity = Identity { next_key: Some(key(44)), ..old.identity.clone() };
    world.nodes[village].member = Member { identity };
    world.restart(village);
    world.run(60_000);
    assert_ne!(world.nodes[village].member.public_key(), old.public_key());
    write_one(&mut world, village, 1);
    world.run(60_000);
    world.set_back(town, &yesterday, Some(Suspension::Restored));
    world.heal(town, thief);
    world.run(240_000);
    assert!(!world.nodes[town].suspended);
    let authority = world.nodes[town].store.authority();
    let refusal = authority.valid_at(&old.identity.certificate, world.now_ms).unwrap_err();
    assert!(matches!(refusal, Refusal::Replaced { .. }), "{refusal}");
    assert_eq!(world.nodes[thief].member.serial(), old.serial());
    assert!(!holds(&world, thief, 1));
    assert!(holds(&world, town, 1));
    write_one(&mut world, village, 2);
    world.run(60_000);
    assert!(holds(&world, county, 2));
}

/// Shows that two machines with the identity of a village are noticed at a town that was set back
/// and remembers neither.
#[test]
fn two_machines_are_noticed_at_a_town_that_was_set_back() {
    let (mut world, nodes) = set_back_after_a_renewal(Some(Suspension::Restored));
    let [county, town, village] = nodes;
    let second = world.copy(village);
    world.heal(county, town);
    world.run(60_000);
    world.heal(town, village);
    world.run(240_000);
    for at in [village, second] {
        assert!(was_told(&world, at, FaultCode::Cloned), "{at}: {:?}", world.nodes[at].closed);
        assert!(world.nodes[at].suspended, "{at}");
    }
    let key = world.nodes[village].member.public_key();
    assert_eq!(world.nodes[town].store.forked().unwrap(), [key]);
}

/// Shows that a town that was restored and is then allowed less cannot go on certifying under the
/// certificates it had before: those it certified stand, another one does not.
#[test]
fn who_is_allowed_less_does_not_certify_under_what_it_had() {
    let (mut world, nodes) = set_back_after_a_renewal(Some(Suspension::Restored));
    let [county, town, village] = nodes;
    let first = world.nodes[town].member.clone();
    world.heal(county, town);
    world.run(60_000);
    world.heal(town, village);
    world.run(120_000);
    let certify = |number: u8| {
        let body = CertificateBody {
            subject: cunlian_protocol::signing::public_key(&key(number)),
            name: "亲戚".to_owned(),
            kind: AuthorKind::Operator,
            issuer: Some(first.serial()),
            ..first.identity.certificate.body().clone()
        };
        Certificate::issue(&body, &first.identity.key)
    };
    let stands = |world: &World, bytes: &[u8]| {
        let store = &world.nodes[county].store;
        store.add_certificates(&[bytes.to_vec()]).unwrap();
        store.authority().stands(&Serial::of(bytes), 1, None).is_ok()
    };
    let earlier = certify(80);
    assert!(stands(&world, &earlier), "as it would under the new certificate");

    let mut less = world.nodes[town].member.identity.certificate.body().clone();
    less.grants.truncate(1);
    let decided = Certificate::issue(&less, &world.nodes[county].member.identity.key);
    let subject = less.subject.0;
    let waits = move |connection: &rusqlite::Connection| {
        let sql = "INSERT INTO pending_certificate VALUES (?1, ?2)";
        connection.execute(sql, (subject, decided))
    };
    world.nodes[county].store.write_reference(waits).unwrap();
    world.restart(town);
    world.run(120_000);
    assert_eq!(world.nodes[town].member.identity.certificate.body().grants.len(), 1);
    assert!(stands(&world, &earlier));
    assert!(!stands(&world, &certify(81)));
    assert!(holds(&world, county, 1), "what the village wrote between backup and restore");
}

/// Shows that a village that is set back between two connections, so that its lineage token is the
/// right one, finds out by what the town has of it; that it is certified anew by itself, gets back
/// what it had written, and gives no number twice.
#[test]
fn a_village_that_was_set_back_finds_its_own_changes() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(10_000);
    write_one(&mut world, village, 1);
    world.run(10_000);
    let earlier = world.back_up(village);
    let before = world.nodes[village].member.serial();
    for document in 2..5 {
        write_one(&mut world, village, document);
    }
    world.run(10_000);
    world.set_back(village, &earlier, None);
    assert!(!holds(&world, village, 4));
    world.run(60_000);
    assert!(!was_told(&world, village, FaultCode::Cloned), "the town has noticed nothing");
    assert!(holds(&world, village, 4) && !world.nodes[village].suspended);
    assert_ne!(world.nodes[village].member.serial(), before);
    write_one(&mut world, village, 5);
    world.run(60_000);
    world.assert_equal(town, village);
    world.assert_equal(county, town);
    for at in [county, town, village] {
        assert_eq!(world.nodes[at].store.counts().unwrap().equivocations, 0);
    }
}

/// Shows that a village that was set back and wrote on before it had the line sees that it gave
/// numbers twice, and does not go on doing so: both changes are kept, and the next is by another
/// certificate.
#[test]
fn a_village_that_gave_numbers_twice_does_not_go_on() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(10_000);
    let earlier = world.back_up(village);
    write_one(&mut world, village, 1);
    world.run(10_000);
    world.cut(town, village);
    world.set_back(village, &earlier, None);
    write_one(&mut world, village, 2);
    world.heal(town, village);
    world.run(120_000);
    assert!(!world.nodes[village].suspended);
    for document in 3..6 {
        write_one(&mut world, village, document);
    }
    world.run(60_000);
    world.assert_equal(county, town);
    world.assert_equal(town, village);
    assert!((1..6).all(|document| holds(&world, county, document)));
    assert_eq!(world.nodes[county].store.counts().unwrap().equivocations, 1);
}

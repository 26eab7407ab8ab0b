//! Whom a node follows to another key or certificate, and whom it does not.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::SuccessionBody;
use cunlian_protocol::wire::FaultCode;
use cunlian_tests::member::{Member, key, root};
use cunlian_tests::world::one_of_each;

use super::agreement::{TOWN, VILLAGE};
use super::world::*;

const NEW: u8 = 70;
const DAY_MS: i64 = 86_400_000;

fn revocation(by: &Member, whom: &Member, goes_on: &[Serial]) -> Vec<u8> {
    let body = RevocationBody {
        own: Standing { serial: whom.serial(), through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: goes_on.iter().copied().map(Standing::all).collect(),
        reason: "stolen".to_owned(),
        issuer: Some(by.serial()),
    };
    body.sign(&by.identity.key)
}

/// A node with the last of this chain, which says that its key follows that of `old`.
fn successor(old: &Member, new: &SigningKey, chain: Vec<Vec<u8>>) -> Member {
    let certificate = Authority::new(root()).verify_chain(&chain).unwrap();
    let body = SuccessionBody { old: old.public_key(), new: public_key(new), stands: Vec::new() };
    let successions = vec![body.sign(&old.identity.key, new)];
    let (key, next_key) = (new.clone(), None);
    let software = "thief".to_owned();
    Member { identity: Identity { certificate, chain, key, next_key, software, successions } }
}

/// A certificate like that of `like`, for the key of seed [`NEW`], below `by`.
fn certified(by: &Member, like: &Member, change: impl Fn(&mut CertificateBody)) -> Vec<Vec<u8>> {
    let mut body = CertificateBody {
        subject: public_key(&key(NEW)),
        issuer: Some(by.serial()),
        ..like.identity.certificate.body().clone()
    };
    change(&mut body);
    let mut chain = by.identity.chain.clone();
    chain.push(Certificate::issue(&body, &by.identity.key));
    chain
}

/// A village whose town is not there: what it dials is answered by `other`. Gives whether the
/// village has taken it for its town, and the key it would dial next.
fn answered_by(
    [town, village]: [&Member; 2],
    other: &Member,
    known: &[Vec<u8>],
) -> (bool, Vec<FaultCode>, World) {
    let mut world = World::new(5);
    let at_town = world.add(town, &[]);
    let at = world.add(village, &[town.public_key()]);
    let at_other = world.add(other, &[]);
    let store = &world.nodes[at].store;
    assert_eq!(store.add_revocations(known).unwrap(), Vec::<String>::new());
    world.restart(at);
    world.cut(at, at_town);
    world.redirect(town.public_key(), at_other);
    world.run(120_000);
    let codes = world.nodes[at].closed.iter().map(|(code, _)| *code).collect();
    let lines = &world.nodes[at].lines;
    let taken = lines.contains_key(&other.public_key());
    (taken, codes, world)
}

/// Shows that a succession counts only under the certificate that stands above the village and is
/// in force by what it knows, for the same tier and issuer and within the same regions: the key of
/// a town that was revoked, or has run out, names nobody.
#[test]
fn a_succession_counts_only_under_a_certificate_in_force() {
    type Case<'a> = (&'a str, Vec<Vec<u8>>, &'a [Vec<u8>], bool);
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let neighbour = county.certify(5, Tier::Town, "370322103", "黑里寨镇");
    let village = town.certify(4, Tier::Village, VILLAGE, "苑兴村");
    let same = certified(&county, &town, |_| {});
    let gone = [revocation(&county, &town, &[village.serial()])];
    let at_town = |change: fn(&mut CertificateBody)| certified(&county, &town, change);
    let cases: [Case<'_>; 7] = [
        ("an honest town", same.clone(), &[], true),
        ("a town that was revoked", same, &gone, false),
        ("a village of the town", certified(&town, &village, |_| {}), &[], false),
        ("a town within the town", certified(&town, &town, |_| {}), &[], false),
        ("another tier", at_town(|body| body.tier = Tier::County), &[], false),
        ("a neighbour", certified(&county, &neighbour, |_| {}), &[], false),
        ("a person", at_town(|body| body.kind = AuthorKind::Operator), &[], false),
    ];
    for (case, chain, known, follows) in cases {
        let other = successor(&town, &key(NEW), chain);
        let (taken, codes, _) = answered_by([&town, &village], &other, known);
        assert_eq!(taken, follows, "{case}: {codes:?}");
    }
    let short = county.certify_for(3, Tier::Town, (TOWN, "高城镇"), 0..START_MS - DAY_MS);
    let below = short.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), 0..START_MS - DAY_MS);
    let other = successor(&short, &key(NEW), certified(&county, &town, |_| {}));
    let (taken, codes, _) = answered_by([&short, &below], &other, &[]);
    assert!(!taken, "a town whose certificate has run out: {codes:?}");
}

/// Shows that the key of a town under a certificate for a higher tier, which the town can make for
/// itself, is not believed for that tier.
#[test]
fn a_key_is_believed_at_the_tier_it_is_known_at() {
    let [_, town, village] = one_of_each();
    let own = |body: &mut CertificateBody| {
        body.subject = public_key(&key(3));
        body.tier = Tier::County;
    };
    let chain = certified(&town, &town, own);
    let certificate = Authority::new(root()).verify_chain(&chain).unwrap();
    let identity = Identity { certificate, chain, ..town.identity.clone() };
    let mut world = World::new(6);
    let at_town = world.add(&Member { identity }, &[]);
    let at = world.add(&village, &[town.public_key()]);
    let author = world.nodes[at].member.author(1);
    world.write(at, &author, vec![put(Category::TICKET, VILLAGE, 1, "路灯")]);
    world.run(60_000);
    let reached = world.nodes[at].store.reached(&home(Category::TICKET, VILLAGE, 1)).unwrap();
    assert_eq!(reached.reached, 0, "at town {at_town}");
}

/// A village with a parent that answers its requests for certificates with this chain.
fn given(chain: impl Fn(&Member, &CertificateBody) -> Vec<Vec<u8>>, beside: bool) -> (bool, World) {
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let time_ms = START_MS - 21 * DAY_MS..START_MS + 9 * DAY_MS;
    let village = town.certify_for(4, Tier::Village, (VILLAGE, "苑兴村"), time_ms);
    let before = village.serial();
    let chain = chain(&town, village.identity.certificate.body());
    let mut world = World::new(7);
    let at_town = world.add(&town, &[]);
    let at = world.add(&village, &[town.public_key()]);
    world.gives = Some((at_town, chain.clone()));
    world.run(60_000);
    if beside {
        assert_eq!(world.nodes[at].member.serial(), before, "it waits for the revocation");
        let body = RevocationBody {
            own: Standing::all(before),
            successor: chain.last().map(|bytes| Serial::of(bytes)),
            descendants: Vec::new(),
            reason: "replaced".to_owned(),
            issuer: Some(town.serial()),
        };
        let store = &world.nodes[at_town].store;
        assert!(store.add_certificates(&chain).unwrap().is_empty());
        let signed = body.sign(&town.identity.key);
        assert_eq!(store.add_revocations(&[signed]).unwrap(), Vec::<String>::new());
        world.announce(at_town);
        world.run(60_000);
    }
    (world.nodes[at].member.serial() != before, world)
}

fn chain_of(by: &Member, body: &CertificateBody) -> Vec<Vec<u8>> {
    let mut chain = by.identity.chain.clone();
    chain.push(Certificate::issue(body, &by.identity.key));
    chain
}

/// Shows that a chain is taken over only if it was issued under the certificate of the parent, is
/// in force and for this node, and that one that gives less comes beside the revocation that says
/// so, and waits for it.
#[test]
fn a_chain_is_taken_over_from_the_parent_in_force() {
    type Change = fn(&mut CertificateBody);
    let renewed = |body: &CertificateBody, change: Change| {
        let mut next = CertificateBody {
            issued_at_ms: START_MS,
            not_after_ms: START_MS + 30 * DAY_MS,
            ..body.clone()
        };
        change(&mut next);
        next
    };
    let less: Change = |body| body.grants.truncate(1);
    let cases: [(&str, Change, bool, bool); 7] = [
        ("as before", |_| {}, false, true),
        ("less, beside nothing", less, false, false),
        ("less, beside the revocation", less, true, true),
        ("run out", |body| body.not_after_ms = START_MS - 1, false, false),
        ("of another tier", |body| body.tier = Tier::Grid, false, false),
        ("of a person", |body| body.kind = AuthorKind::Operator, false, false),
        ("of another", |body| body.subject = PublicKey([3; 32]), false, false),
    ];
    for (case, change, beside, taken) in cases {
        let chain = |town: &Member, body: &CertificateBody| chain_of(town, &renewed(body, change));
        assert_eq!(given(chain, beside).0, taken, "{case}");
    }
    let elsewhere = |town: &Member, body: &CertificateBody| {
        let other = Member::county(2).certify(8, Tier::Town, TOWN, "别的镇");
        assert_ne!(other.serial(), town.serial());
        let issuer = Some(other.serial());
        chain_of(&other, &CertificateBody { issuer, ..renewed(body, |_| {}) })
    };
    assert!(!given(elsewhere, false).0, "by another");
}

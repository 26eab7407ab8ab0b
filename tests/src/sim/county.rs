//! Who there is: a county, two towns, three villages, a person at each, and a thief.

use cunlian_crdt::document::Author;
use cunlian_governance::capabilities::Kinds;
use cunlian_protocol::certificate::{Certificate, Tier};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::public_key;

use super::START_MS;
use super::usurper::Former;
use crate::hostile::{Hostile, Stolen};
use crate::member::{Member, key, root};

const DAY_MS: i64 = 86_400_000;
/// Seed of the key of the town that was.
const FORMER: u8 = 70;
/// Of every certificate below the county.
pub(super) const VALID: std::ops::Range<i64> = START_MS - 100 * DAY_MS..START_MS + 265 * DAY_MS;

/// One node before it starts.
pub(super) struct Seat {
    pub(super) name: &'static str,
    pub(super) member: Member,
    /// The place of its parent.
    pub(super) parent: Option<usize>,
    /// Whom it dials.
    pub(super) targets: Vec<PublicKey>,
    /// A person who works there.
    pub(super) operator: Author,
    pub(super) operator_chain: Vec<Vec<u8>>,
}

/// Everybody, parents first, with programs that have these kinds of data. The first village also
/// dials the county when `fallback` says so, and always a town that is none any more.
pub(super) fn seats(fallback: bool, kinds: &Kinds) -> Vec<Seat> {
    let county = Member::county_with(2, kinds);
    let town = |seed, region, name| {
        county.certify_with_for(seed, Tier::Town, (region, name), kinds, VALID)
    };
    let towns = [town(3, "370322102", "高城镇"), town(4, "370322103", "黑里寨镇")];
    let [first, second] = &towns;
    let village = |of: &Member, seed, region, name| {
        of.certify_with_for(seed, Tier::Village, (region, name), kinds, VALID)
    };
    let villages = [
        village(first, 5, "370322102310", "苑兴村"),
        village(first, 6, "370322102311", "西关村"),
        village(second, 7, "370322103201", "小安定村"),
    ];
    let mut seats = vec![seat(20, "county", &county, None, Vec::new())];
    for (seed, (name, town)) in (21..).zip(["town-1", "town-2"].into_iter().zip(&towns)) {
        seats.push(seat(seed, name, town, Some(0), vec![county.public_key()]));
    }
    let names = ["village-1", "village-2", "village-3"];
    let below = names.into_iter().zip(&villages).zip([1, 1, 2]);
    for (seed, ((name, village), parent)) in (23..).zip(below) {
        let mut targets: Vec<PublicKey> =
            towns.get(parent - 1).map(Member::public_key).into_iter().collect();
        if fallback && name == "village-1" {
            targets.push(county.public_key());
        }
        if name == "village-1" {
            targets.push(public_key(&key(FORMER)));
        }
        seats.push(seat(seed, name, village, Some(parent), targets));
    }
    seats
}

fn seat(
    seed: u8,
    name: &'static str,
    member: &Member,
    parent: Option<usize>,
    targets: Vec<PublicKey>,
) -> Seat {
    let (operator, operator_chain) = member.operator(seed, name);
    Seat { name, member: member.clone(), parent, targets, operator, operator_chain }
}

/// The town that the first town came after, certified and revoked by the county.
pub(super) fn former(county: &Member) -> Former {
    let member = county.certify_for(FORMER, Tier::Town, ("370322102", "高城镇"), VALID);
    let body = RevocationBody {
        own: Standing { serial: member.serial(), through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "机器被盗".to_owned(),
        issuer: Some(county.serial()),
    };
    let revocation = body.sign(&county.identity.key);
    Former { member, revocation }
}

/// An insider: certified by the first town for the region of the first village.
pub(super) fn thief(town: &Member) -> Stolen {
    let member = town.certify_for(66, Tier::Village, ("370322102310", "内鬼"), VALID);
    let chain = member.identity.chain;
    debug_assert!(chain.last().is_some_and(|bytes| Certificate::peek(bytes).is_ok()));
    Stolen::new(Hostile::new(key(66), chain), root())
}

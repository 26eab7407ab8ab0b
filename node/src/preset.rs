//! What a node of a tier is granted: presets, cut to its region.
//!
//! The presets are the project's reading of who needs what (minimum necessary, PIPL art. 6):
//! a county reads cases and the base of every library class, but no identity number, phone,
//! health or welfare record and no reporter's contact; it may still certify towns for them.

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;

/// Last category of catalogue, policies and directories. The journals of nodes are among these
/// numbers, but are for those above only.
const PUBLIC_LAST: Category = Category(0x0fff);
/// Last base category of the library.
const BASE_LAST: Category = Category(0x30ff);
/// First sensitive category of the library.
const SENSITIVE_FIRST: Category = Category(0x3100);

/// The grants of a node of `tier` at `region`.
pub fn grants(tier: Tier, region: AddressCode) -> Vec<Grant> {
    let work = Rights::READ.with(Rights::WRITE).with(Rights::ASSIGN);
    let all = work.with(Rights::SIGN_OFF).with(Rights::ERASE);
    let own = Region { prefix: region, depth: Depth::Subtree };
    let grant = |region, categories, rights, delegable| Grant {
        region,
        document: None,
        categories,
        rights,
        delegable,
    };
    // What everybody in charge of the region works with, and what only who needs it may see.
    let open = CategorySet::range(Category(0), Category::TICKET)
        .union(&CategorySet::range(Category::TICKET_PHOTO, BASE_LAST));
    let closed = CategorySet::of([Category::TICKET_CONTACT])
        .union(&CategorySet::range(SENSITIVE_FIRST, Category::LIBRARY_LAST));
    let (rights, on_closed) = match tier {
        Tier::Province | Tier::City | Tier::County => (all, Rights::NONE),
        Tier::Town => (all, all),
        Tier::Village | Tier::Grid => (work.with(Rights::ERASE), work.with(Rights::ERASE)),
    };
    let delegable = if tier >= Tier::Village { rights } else { all };
    let mut grants =
        vec![grant(own, open, rights, delegable), grant(own, closed, on_closed, delegable)];
    grants.extend(published_above(region).map(|above| {
        let public = CategorySet::range(Category(0), Category(Category::JOURNAL.0 - 1))
            .union(&CategorySet::range(Category(Category::JOURNAL.0 + 1), PUBLIC_LAST));
        grant(above, public, Rights::READ, Rights::READ)
    }));
    grants
}

/// The exact addresses above a region whose catalogue, policies and directories it reads.
fn published_above(region: AddressCode) -> impl Iterator<Item = Region> {
    Level::ALL
        .into_iter()
        .filter(move |level| *level >= Level::County && *level < region.level())
        .filter_map(move |level| region.truncate(level))
        .map(|prefix| Region { prefix, depth: Depth::Exact })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that every preset can be issued by the tier above: nothing is wider than what is
    /// delegable there, or provisioning would fail in the field.
    #[test]
    fn each_tier_can_certify_the_next() {
        let tiers = [
            (Tier::County, "370322"),
            (Tier::Town, "370322102"),
            (Tier::Village, "370322102310"),
            (Tier::Grid, "370322102310001"),
        ];
        for pair in tiers.windows(2) {
            let [(upper, upper_region), (lower, lower_region)] = pair else { unreachable!() };
            let held = grants(*upper, AddressCode::parse(upper_region).unwrap());
            for wanted in grants(*lower, AddressCode::parse(lower_region).unwrap()) {
                assert!(held.iter().any(|h| h.may_issue(&wanted)), "{lower:?} {wanted:?}");
            }
        }
    }
}

//! What a node of a tier is granted: presets, cut to its region.
//!
//! The presets are the project's reading of who needs what (minimum necessary, PIPL art. 6), said
//! once for each kind of data by its [`Sensitivity`]:
//!
//! | tier | public, open | closed |
//! |---|---|---|
//! | province, city, county | all rights | none; may pass on all |
//! | town | all rights | all rights |
//! | village, grid | read, write, assign, erase | read, write, assign, erase |
//!
//! So a county reads cases and the base of every library class, but no identity number, phone,
//! health or welfare record and no reporter's contact. Every place reads what is public of those
//! above it.

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;

use crate::capabilities::Kinds;
use crate::capability::Sensitivity;

/// The grants of a node of `tier` at `region`, for the kinds of data there are.
pub fn grants(kinds: &Kinds, tier: Tier, region: AddressCode) -> Vec<Grant> {
    let work = Rights::READ.with(Rights::WRITE).with(Rights::ASSIGN);
    let all = work.with(Rights::SIGN_OFF).with(Rights::ERASE);
    let own = Region { prefix: region, depth: Depth::Subtree };
    let grant = |region, categories: &CategorySet, rights, delegable| Grant {
        region,
        document: None,
        categories: categories.clone(),
        rights,
        delegable,
    };
    let open = kinds.categories(&[Sensitivity::Public, Sensitivity::Open]);
    let closed = kinds.categories(&[Sensitivity::Closed]);
    let (rights, on_closed) = match tier {
        Tier::Province | Tier::City | Tier::County => (all, Rights::NONE),
        Tier::Town => (all, all),
        Tier::Village | Tier::Grid => (work.with(Rights::ERASE), work.with(Rights::ERASE)),
    };
    let delegable = if tier >= Tier::Village { rights } else { all };
    let mut grants =
        vec![grant(own, &open, rights, delegable), grant(own, &closed, on_closed, delegable)];
    let public = kinds.categories(&[Sensitivity::Public]);
    grants.extend(
        published_above(region).map(|above| grant(above, &public, Rights::READ, Rights::READ)),
    );
    grants.retain(|grant| !grant.categories.is_empty());
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

//! The rules of permission read naively: segments compared one by one, sets as lists of members,
//! rights bit by bit.

use cunlian_protocol::certificate::{AuthorKind, CertificateBody, Grant};
use cunlian_protocol::change::Home;
use cunlian_protocol::region::Depth;

/// Digits of each segment, from the province to the room.
const WIDTHS: [usize; 9] = [2, 2, 2, 3, 3, 3, 5, 2, 4];
const CHAIN_MOST: usize = 6;
const GRANTS_MOST: usize = 64;

/// The numbers at which sets of the recipes differ, and some between and beyond.
pub(crate) fn samples() -> impl Iterator<Item = u16> {
    (0..=26).chain([100, 40_000, u16::MAX])
}

/// Whether a certificate may follow `above` in a chain, or begin it.
pub(crate) fn may_follow(above: &[CertificateBody], body: &CertificateBody) -> bool {
    let well_formed = body.grants.len() <= GRANTS_MOST
        && body.grants.iter().all(|g| g.document.is_none() || g.region.depth == Depth::Exact);
    if !well_formed || body.not_after_ms <= body.issued_at_ms || above.len() >= CHAIN_MOST {
        return false;
    }
    let Some(issuer) = above.last() else { return true };
    issuer.kind == AuthorKind::Node
        && body.not_after_ms <= issuer.not_after_ms
        && body.grants.iter().all(|grant| issuer.grants.iter().any(|held| gives(held, grant)))
}

/// Whether who holds `held` may issue `grant`.
fn gives(held: &Grant, grant: &Grant) -> bool {
    let region = match (held.region.depth, grant.region.depth) {
        (Depth::Subtree, _) => is_within(held, grant.region.prefix.as_str()),
        (Depth::Exact, Depth::Exact) => held.region.prefix.as_str() == grant.region.prefix.as_str(),
        (Depth::Exact, Depth::Subtree) => false,
    };
    let categories = samples().all(|c| !has(grant, c) || has(held, c));
    let rights = (0..8).map(|bit| 1 << bit).all(|bit| {
        let wanted = grant.rights.0 & bit != 0 || grant.delegable.0 & bit != 0;
        !wanted || held.delegable.0 & bit != 0
    });
    let document = held.document.is_none() || held.document == grant.document;
    region && categories && rights && document
}

/// Whether one of the grants covers a document with all bits of `rights`, or may pass them on.
pub(crate) fn covers(grants: &[Grant], home: &Home, rights: u8, delegable: bool) -> bool {
    grants.iter().any(|grant| {
        let bits = if delegable { grant.delegable.0 } else { grant.rights.0 };
        let place = match grant.region.depth {
            Depth::Subtree => is_within(grant, home.address.as_str()),
            Depth::Exact => grant.region.prefix.as_str() == home.address.as_str(),
        };
        bits & rights == rights
            && place
            && has(grant, home.category.0)
            && (grant.document.is_none() || grant.document == Some(home.document))
    })
}

fn has(grant: &Grant, category: u16) -> bool {
    grant.categories.ranges().any(|(first, last)| first.0 <= category && category <= last.0)
}

fn is_within(grant: &Grant, address: &str) -> bool {
    let (outer, inner) = (segments(grant.region.prefix.as_str()), segments(address));
    outer.len() <= inner.len() && outer.iter().zip(&inner).all(|(a, b)| a == b)
}

fn segments(mut digits: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for width in WIDTHS {
        if digits.is_empty() {
            break;
        }
        let (segment, rest) = digits.split_at(width);
        segments.push(segment);
        digits = rest;
    }
    segments
}

//! The regions that a certificate makes a node responsible for.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::region::Depth;

/// The address a node stands for: of its grants, the first one that reaches below its address.
pub fn own_region(certificate: &Certificate) -> AddressCode {
    let own = certificate.body().grants.iter().find(|g| g.region.depth == Depth::Subtree);
    own.map_or(AddressCode::COUNTRY, |grant| grant.region.prefix)
}

/// Every region a node holds with all that is below it, the one it stands for first: after villages
/// were joined, the old one and the new one. None of them is inside another.
pub fn own_regions(certificate: &Certificate) -> Vec<AddressCode> {
    let mut regions = vec![own_region(certificate)];
    let grants = certificate.body().grants.iter();
    for grant in grants.filter(|g| g.region.depth == Depth::Subtree && g.document.is_none()) {
        let prefix = grant.region.prefix;
        if !regions.iter().any(|region| region.contains(&prefix)) {
            regions.retain(|region| !prefix.contains(region));
            regions.push(prefix);
        }
    }
    regions
}

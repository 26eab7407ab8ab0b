//! What a node of a tier is granted, for the kinds of data of this program: see
//! [`cunlian_governance::access::preset`], which takes the kinds as an argument.

use cunlian_governance::access::preset;
use cunlian_governance::capabilities::Kinds;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{Grant, Tier};

/// The grants of a node of `tier` at `region`.
pub fn grants(tier: Tier, region: AddressCode) -> Vec<Grant> {
    preset::grants(&Kinds::built_in(), tier, region)
}

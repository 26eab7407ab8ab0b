//! Where a hostile node is and whose data it is after.

use std::net::SocketAddr;

use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Certificate;

use super::{Hostile, Stolen};

/// Base records of people.
pub const POPULATION: Category = Category::library(0, 0);
/// Identity numbers of people.
pub const IDENTITY: Category = Category::library(0, 1);

/// A hostile village at its town.
pub struct Scene {
    /// Who does it.
    pub thief: Hostile,
    /// The certificate he shows last.
    pub certificate: Certificate,
    /// UDP address of the town.
    pub town: SocketAddr,
    /// The village he is certified for.
    pub own: AddressCode,
    /// A village that is none of his business.
    pub other: AddressCode,
    /// Code of the town.
    pub town_code: AddressCode,
    /// Code of the county.
    pub county_code: AddressCode,
    /// Chain of the town.
    pub town_chain: Vec<Vec<u8>>,
}

impl Scene {
    /// A hostile machine of the village `own` at the town of a layout.
    pub fn new(layout: &Layout, thief: Stolen, own: AddressCode, other: &Node) -> Self {
        let Stolen { hostile, certificate, .. } = thief;
        Self {
            thief: hostile,
            certificate,
            town: layout.town().listen,
            own,
            other: other.region,
            town_code: layout.town().region,
            county_code: layout.county().region,
            town_chain: Hostile::thief_of(&layout.town().dir).chain,
        }
    }
}

//! How much a node keeps and asks for, whatever others send it.
//!
//! | what | when |
//! |---|---|
//! | certificates below each certificate, by its tier | every new certificate |
//! | revocations of each certificate, and from one on down, by their size | every new revocation |
//! | questions for bytes of photos that wait for an answer, and the photos they are about | every frame |
//! | operations that count of a document | at rest |
//!
//! It is counted here anew, not asked of the product. The bounds are those of the product; one that
//! is narrower shows that what is there is counted ([`super::Sabotage`]).

use std::collections::{BTreeMap, BTreeSet};

use cunlian_crdt::store::Store;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::blob::BlobName;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits::{self, ByTier};

use super::fault::Fault;
use super::world::World;

/// The bounds that must hold.
pub(super) struct Bounds {
    /// Certificates below one.
    pub(super) certificates: ByTier,
    /// Of revocations of each size: most of one certificate, most from one on down.
    pub(super) revocations: Vec<(usize, ByTier)>,
    /// Operations and predecessors that count of a document.
    pub(super) operations: u64,
    /// Photos about which a node asks one peer at a time.
    pub(super) photos_at_once: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let rooms = limits::REVOCATION_ROOM.iter();
        Self {
            certificates: limits::CERTIFICATES_BELOW,
            revocations: rooms.map(|room| (room.of_one, room.below)).collect(),
            operations: limits::DOCUMENT_OPERATIONS as u64,
            photos_at_once: limits::BLOBS_AT_ONCE,
        }
    }
}

impl World {
    /// Looks at what a node keeps of certificates and revocations.
    pub(super) fn check_kept(&mut self, at: usize, authority: &Authority) {
        let thief = self.thief.stolen.certificate.serial();
        let below = self.check_certificates(at, authority);
        let of_thief = below.get(&thief).copied().unwrap_or_default();
        if of_thief >= limits::CERTIFICATES_OF_ISSUER {
            self.fired.count(Fault::SubIssuers);
        }
        let below = self.check_revocations(at, authority);
        let room = limits::REVOCATION_ROOM.first().map(|room| room.below.village);
        if below.get(&(0, thief)).copied() >= room {
            self.fired.count(Fault::RevocationFlood);
        }
    }

    /// How many certificates are below each.
    fn check_certificates(&self, at: usize, authority: &Authority) -> BTreeMap<Serial, usize> {
        let mut below: BTreeMap<Serial, usize> = BTreeMap::new();
        for certificate in authority.certificates() {
            for above in authority.chain(&certificate.serial()) {
                if above.serial() != certificate.serial() {
                    *below.entry(above.serial()).or_default() += 1;
                }
            }
        }
        for (serial, count) in &below {
            let Some(above) = authority.get(serial) else { continue };
            // There is always room for the chain of the node itself.
            let most = self.bounds.certificates.of(above.body().tier) + limits::CHAIN_CERTIFICATES;
            let (name, above) = (self.name(at), &above.body().name);
            assert!(*count <= most, "{name} keeps {count} certificates below {above:?}");
        }
        below
    }

    /// How many revocations of each size there are from each certificate on down.
    fn check_revocations(
        &self,
        at: usize,
        authority: &Authority,
    ) -> BTreeMap<(usize, Serial), usize> {
        let name = self.name(at);
        let mut below: BTreeMap<(usize, Serial), usize> = BTreeMap::new();
        let mut of_one: BTreeMap<(usize, Serial), usize> = BTreeMap::new();
        for revocation in authority.revocations() {
            let (serial, bytes) = (revocation.body().own.serial, revocation.bytes().len());
            let rooms = limits::REVOCATION_ROOM.iter();
            let size = rooms.take_while(|room| bytes > room.bytes).count();
            *of_one.entry((size, serial)).or_default() += 1;
            for above in authority.chain(&serial) {
                *below.entry((size, above.serial())).or_default() += 1;
            }
        }
        for ((size, serial), count) in &of_one {
            let most = self.bounds.revocations.get(*size).map_or(0, |(most, _)| *most);
            assert!(*count <= most, "{name} keeps {count} revocations of {serial}");
        }
        for ((size, serial), count) in &below {
            let Some(above) = authority.get(serial).map(Certificate::body) else { continue };
            let most = self.bounds.revocations.get(*size);
            let most = most.map_or(0, |(_, below)| below.of(above.tier));
            assert!(*count <= most, "{name} keeps {count} revocations below {:?}", above.name);
        }
        below
    }

    /// Looks at the questions for bytes of photos that wait at an end for their answers.
    pub(super) fn check_asked(&self, connection: ConnectionId, name: &str) {
        let Some(end) = self.network.ends.get(&connection) else { return };
        let photos: BTreeSet<BlobName> = end.asked.iter().map(|(blob, _)| *blob).collect();
        let (asked, photos) = (end.asked.len(), photos.len());
        assert!(
            asked <= limits::BLOB_QUESTIONS && photos <= self.bounds.photos_at_once,
            "{name} is asked {asked} questions about {photos} photos at a time"
        );
    }

    /// Of a document that the thief has filled only so much counts, at whatever node.
    pub(super) fn check_crowded(&self, at: usize, store: &Store) {
        let thief = self.thief.stolen.certificate.serial();
        for (home, weight) in &self.thief.crowded {
            let view = store.view(home).expect("a store can be read");
            let Some(view) = view.filter(|view| view.erased.is_none()) else { continue };
            let changes = store.changes_of(home).expect("a store can be read");
            let others = changes.iter().filter(|change| change.header().author != thief).count();
            let heavy = u64::from(view.changes).saturating_sub(others as u64);
            let (operations, name) = (heavy * weight, self.name(at));
            assert!(
                operations <= self.bounds.operations,
                "{name} counts {operations} operations of {home:?}"
            );
        }
    }
}

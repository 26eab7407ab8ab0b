//! How much is kept of what a node certifies and revokes: a function of the set, and of nothing
//! else.
//!
//! Below each certificate of a node there is room for so many others, by its tier
//! ([`limits::CERTIFICATES_BELOW`]). When more come, those that come first by a fixed order are kept
//! ([`Place`]). It begins with the latest time of issue in a chain, so that an issuer comes before
//! whom it certified, and what was there before a flood is not washed away by it. So every node keeps
//! the same, whatever the order in which it hears of them, although it forgets what it does not keep.
//!
//! Revocations are counted by their size ([`limits::REVOCATION_ROOM`]): so many of one certificate,
//! and so many of all that are below one. Those from further above come first, then those that
//! dismiss, then those that leave less ([`Rank`]): no number of others shuts out the word of a
//! higher tier.
//!
//! Room is a matter of laminar sets, the subtrees, so that letting the last one go of the smallest
//! set that is full is all that is ever to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Authority;
use crate::certificate::{Certificate, CertificateError, Tier};
use crate::id::Serial;
use crate::limits;
use crate::revocation::{Rank, Revocation, RevocationError};

/// Where a certificate stands among others: what comes first is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The latest of its chain: when it was issued, milliseconds since 1970-01-01 UTC.
    latest: (i64, Serial),
    depth: usize,
    serial: Serial,
}

/// Which revocations are counted together, those of one size, and below which certificate.
type Below = (usize, Serial);

/// What is below whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    certificates: BTreeMap<Serial, Arc<BTreeSet<Place>>>,
    revocations: BTreeMap<Below, Arc<BTreeSet<(Rank, Serial)>>>,
    /// Certificates that never go: the chain of this node.
    held: BTreeSet<Serial>,
    dropped: Dropped,
}

/// How much of the room below one certificate is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomTaken {
    /// Certificates below it.
    pub certificates: Taken,
    /// Revocations from it on down, by their size ([`limits::REVOCATION_ROOM`]).
    pub revocations: [Taken; limits::REVOCATION_ROOM.len()],
}

/// So many, of at most so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many there are.
    pub count: usize,
    /// Most that are kept.
    pub most: usize,
}

/// What was known and is kept no longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Certificates.
    pub certificates: Vec<Serial>,
    /// Exact bytes of revocations.
    pub revocations: Vec<Vec<u8>>,
}

impl Dropped {
    /// Whether all is still there.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.revocations.is_empty()
    }
}

impl Authority {
    /// What went since this was last asked.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.room.dropped)
    }

    /// Number of certificates below one.
    pub fn count_below(&self, serial: &Serial) -> usize {
        self.room.certificates.get(serial).map_or(0, |below| below.len())
    }

    /// How much of the room below a certificate is taken; `None` when it is not known. Nothing is
    /// counted for it, whatever there is.
    pub fn room_below(&self, serial: &Serial) -> Option<RoomTaken> {
        let tier = self.get(serial)?.body().tier;
        let certificates =
            Taken { count: self.count_below(serial), most: limits::CERTIFICATES_BELOW.of(tier) };
        let revocations = core::array::from_fn(|size| Taken {
            count: self.room.revocations.get(&(size, *serial)).map_or(0, |below| below.len()),
            most: limits::REVOCATION_ROOM.get(size).map_or(0, |room| room.below.of(tier)),
        });
        Some(RoomTaken { certificates, revocations })
    }

    /// Adds the chain of this node itself, root side first, for which there is always room.
    pub fn hold(&mut self, bytes: &[u8]) -> Result<Serial, CertificateError> {
        let serial = Serial::of(bytes);
        if self.get(&serial).is_none() {
            let certificate = self.verify(bytes, &BTreeMap::new())?;
            self.put(certificate);
        }
        self.room.held.insert(serial);
        Ok(serial)
    }

    /// Adds a certificate that was checked, if its issuer is known and there is room for it.
    pub(super) fn settle_in(&mut self, certificate: Certificate) -> Result<(), CertificateError> {
        let last = self.last_place(&certificate)?;
        if let Some(last) = last {
            self.remove(&last);
        }
        self.put(certificate);
        Ok(())
    }

    /// The certificate that has to go for this one; `None` when there is room for both.
    pub(super) fn last_place(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<Serial>, CertificateError> {
        let name = || certificate.body().name.clone();
        let Some(issuer) = certificate.body().issuer else { return Ok(None) };
        if self.get(&issuer).is_none() {
            return Err(CertificateError::UnknownIssuer { name: name(), issuer });
        }
        let full = self.upward(&issuer).find_map(|above| {
            let below = self.room.certificates.get(&above.serial())?;
            let most = limits::CERTIFICATES_BELOW.of(above.body().tier);
            (below.len() >= most).then_some((above, below, most))
        });
        let Some((above, below, most)) = full else { return Ok(None) };
        let last = below.iter().rev().find(|place| !self.room.held.contains(&place.serial));
        match last {
            Some(last) if self.place(certificate) < *last => Ok(Some(last.serial)),
            _ => {
                let above = above.body().name.clone();
                Err(CertificateError::Crowded { name: name(), above, most })
            }
        }
    }

    fn put(&mut self, certificate: Certificate) {
        let place = self.place(&certificate);
        if let Some(issuer) = certificate.body().issuer {
            let above: Vec<Serial> = self.upward(&issuer).map(Certificate::serial).collect();
            for serial in above {
                Arc::make_mut(self.room.certificates.entry(serial).or_default()).insert(place);
            }
        }
        self.certificates.insert(certificate.serial(), certificate);
    }

    /// Nobody is below it: they would come after it.
    fn remove(&mut self, serial: &Serial) {
        let Some(certificate) = self.get(serial).cloned() else { return };
        for rank in self.revocations_of(serial).iter().map(Revocation::rank).collect::<Vec<_>>() {
            self.drop_revocation(serial, &rank);
        }
        let place = self.place(&certificate);
        let above: Vec<Serial> = self.upward(serial).map(Certificate::serial).collect();
        for above in above {
            if let Some(below) = self.room.certificates.get_mut(&above) {
                Arc::make_mut(below).remove(&place);
            }
        }
        self.room.certificates.remove(serial);
        self.certificates.remove(serial);
        self.room.dropped.certificates.push(*serial);
    }

    fn place(&self, certificate: &Certificate) -> Place {
        let key = |known: &Certificate| (known.body().issued_at_ms, known.serial());
        let above = certificate.body().issuer.map(|issuer| self.upward(&issuer).map(key).max());
        let latest = above.flatten().max(Some(key(certificate))).unwrap_or(key(certificate));
        Place { latest, depth: certificate.depth(), serial: certificate.serial() }
    }

    /// Adds a revocation that was checked, if there is room for it.
    pub(super) fn put_revocation(&mut self, revocation: Revocation) -> Result<(), RevocationError> {
        let (serial, rank) = (revocation.body().own.serial, revocation.rank());
        let size = size_of(revocation.bytes().len());
        if let Some((of, last)) = self.last_revocation(&serial, &rank, size)? {
            self.drop_revocation(&of, &last);
        }
        let chain: Vec<Serial> = self.upward(&serial).map(Certificate::serial).collect();
        for above in chain {
            let below = self.room.revocations.entry((size, above)).or_default();
            Arc::make_mut(below).insert((rank, serial));
        }
        let known = self.revocations.entry(serial).or_default();
        let place = known.partition_point(|known| known.rank() < rank);
        known.insert(place, revocation);
        self.revocation_changes += 1;
        Ok(())
    }

    /// The revocation that has to go for this one; `None` when there is room for both.
    pub(super) fn last_revocation(
        &self,
        serial: &Serial,
        rank: &Rank,
        size: usize,
    ) -> Result<Option<(Serial, Rank)>, RevocationError> {
        let crowded = Err(RevocationError::Crowded { serial: *serial });
        let Some(room) = limits::REVOCATION_ROOM.get(size) else { return crowded };
        let same = |known: &&Revocation| size_of(known.bytes().len()) == size;
        let of_one: Vec<Rank> =
            self.revocations_of(serial).iter().filter(same).map(Revocation::rank).collect();
        let last = if of_one.len() >= room.of_one {
            of_one.last().map(|rank| (*serial, *rank))
        } else {
            self.upward(serial).find_map(|above| {
                let below = self.room.revocations.get(&(size, above.serial()))?;
                let full = below.len() >= room.below.of(above.body().tier);
                below.last().filter(|_| full).map(|(rank, serial)| (*serial, *rank))
            })
        };
        match last {
            Some((_, last)) if last < *rank => crowded,
            last => Ok(last),
        }
    }

    fn drop_revocation(&mut self, serial: &Serial, rank: &Rank) {
        let Some(known) = self.revocations.get_mut(serial) else { return };
        let Some(at) = known.iter().position(|known| known.rank() == *rank) else { return };
        let revocation = known.remove(at);
        if known.is_empty() {
            self.revocations.remove(serial);
        }
        let size = size_of(revocation.bytes().len());
        let chain: Vec<Serial> = self.upward(serial).map(Certificate::serial).collect();
        for above in chain {
            if let Some(below) = self.room.revocations.get_mut(&(size, above)) {
                Arc::make_mut(below).remove(&(*rank, *serial));
            }
        }
        self.room.dropped.revocations.push(revocation.bytes().to_vec());
        self.revocation_changes += 1;
    }
}

/// Which of the sizes of [`limits::REVOCATION_ROOM`] a revocation has.
pub(super) fn size_of(bytes: usize) -> usize {
    limits::REVOCATION_ROOM.iter().take_while(|room| bytes > room.bytes).count()
}

impl limits::ByTier {
    /// The number for this tier.
    pub const fn of(&self, tier: Tier) -> usize {
        match tier {
            Tier::Province | Tier::City | Tier::County => self.county,
            Tier::Town => self.town,
            Tier::Village | Tier::Grid => self.village,
        }
    }
}

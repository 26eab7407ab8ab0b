//! The faults of the simulator, and proof that each happened.

use std::collections::BTreeMap;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A line breaks, and both ends are told at once or find out when nothing comes any more.
    Cut,
    /// Nothing passes in one direction.
    OneWayPartition,
    /// Up to 5 s in one direction.
    Delay,
    /// Down to 8 kB/s in one direction.
    Bandwidth,
    /// A line breaks when a part of a frame has arrived.
    MidFrameCut,
    /// Who dials is not let in by the network.
    DialRefusal,
    /// A process dies between two effects; hub and store come back from the files.
    Crash,
    /// A machine goes back to an older copy of its files.
    RollBack,
    /// A system clock says 1970, ten years more, or something near.
    ClockScramble,
    /// A change whose signature does not hold.
    BadSignature,
    /// A change for a place that its sender has no right to.
    OutOfScopeWrite,
    /// A question about a place that its sender has no right to.
    OutOfScopeRead,
    /// Frames and greetings of an earlier connection are said again.
    Replay,
    /// Frames, changes and batches that are too large.
    Oversize,
    /// Two changes of one author under one number.
    Equivocation,
    /// A certificate is revoked while its holder's changes are under way.
    Revocation,
    /// A node takes no frames for a while, or a hostile one never reads what it asked for.
    Stall,
    /// A store takes its time with every answer.
    SlowStore,
    /// A peer that speaks only a version nobody speaks here.
    OldVersion,
    /// No space is left for a store.
    DiskFull,
    /// A parent takes no more of a child for a while.
    Quota,
    /// What a session would send comes in a bundle that somebody carries.
    Bundle,
    /// A bundle was cut, damaged, or pulled out while it was taken in.
    BundleCut,
    /// A bundle is taken in twice.
    BundleTwice,
    /// A bundle is cut into parts, which come one by one, in whatever order.
    BundleParts,
    /// A change whose few bytes stand for very many operations.
    Unfolding,
    /// Sound changes of one document that hold more operations in sum than count.
    Crowding,
    /// A tree of certificates below one that may certify.
    SubIssuers,
    /// Revocations without end of one's own people.
    RevocationFlood,
    /// Somebody answers in the place of a town that was revoked, whose key he stole, and says that
    /// his is the key after it.
    StolenSuccession,
    /// A photo of others is named by its hash in one's own document.
    PhotoByHash,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::Cut,
        Self::OneWayPartition,
        Self::Delay,
        Self::Bandwidth,
        Self::MidFrameCut,
        Self::DialRefusal,
        Self::Crash,
        Self::RollBack,
        Self::ClockScramble,
        Self::BadSignature,
        Self::OutOfScopeWrite,
        Self::OutOfScopeRead,
        Self::Replay,
        Self::Oversize,
        Self::Equivocation,
        Self::Revocation,
        Self::Stall,
        Self::SlowStore,
        Self::OldVersion,
        Self::DiskFull,
        Self::Quota,
        Self::Bundle,
        Self::BundleCut,
        Self::BundleTwice,
        Self::BundleParts,
        Self::Unfolding,
        Self::Crowding,
        Self::SubIssuers,
        Self::RevocationFlood,
        Self::StolenSuccession,
        Self::PhotoByHash,
    ];

    /// Whether it is something a hostile node does.
    pub fn is_hostile(self) -> bool {
        match self {
            Self::BadSignature
            | Self::OutOfScopeWrite
            | Self::OutOfScopeRead
            | Self::Replay
            | Self::Oversize
            | Self::Equivocation
            | Self::OldVersion
            | Self::Unfolding
            | Self::Crowding
            | Self::SubIssuers
            | Self::RevocationFlood
            | Self::StolenSuccession
            | Self::PhotoByHash => true,
            Self::Cut
            | Self::OneWayPartition
            | Self::Delay
            | Self::Bandwidth
            | Self::MidFrameCut
            | Self::DialRefusal
            | Self::Crash
            | Self::RollBack
            | Self::ClockScramble
            | Self::Revocation
            | Self::Stall
            | Self::SlowStore
            | Self::DiskFull
            | Self::Quota
            | Self::Bundle
            | Self::BundleCut
            | Self::BundleTwice
            | Self::BundleParts => false,
        }
    }

    /// Whether it costs a run so much that it is played in few of them, and once.
    pub(super) fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::Crowding | Self::SubIssuers | Self::RevocationFlood | Self::BundleParts
        )
    }
}

/// How often each fault had an effect. It counts when the effect is seen, not when it is planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fired(BTreeMap<Fault, u64>);

impl Fired {
    /// One more.
    pub(super) fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }

    /// How often a fault had an effect.
    pub fn times(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    /// Those that had none.
    pub fn missing(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| self.times(*fault) == 0).collect()
    }
}

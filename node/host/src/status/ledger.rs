//! Who fills this node: what is kept for each child, beside the bound on it.
//!
//! The figures that a bound is on are those that it is checked with: changes, bytes and photos that
//! were taken, certificates and revocations below, memory of the session. What is still here of the
//! changes, after what was purged, revoked and erased, stands beside them without a bound. Nothing is
//! counted for a look: the store and the authority keep all of it ([`cunlian_crdt::store::Kept`]).

use cunlian_crdt::store::{Kept, Quota, QuotaUse};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{Authority, RoomTaken, Taken};
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;
use cunlian_protocol::session::Report;
use serde::Serialize;
use utoipa::ToSchema;

use crate::regions::own_region;

/// A bound of which so much is taken is nearly reached: people should look at it.
pub const NEARLY_FULL_PERMILLE: u64 = 800;
/// Most children that are listed, the fullest ones.
pub const MOST_CHILDREN: usize = 200;

/// What is kept for each child, the fullest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Ledger {
    /// The children.
    pub children: Vec<ChildLedger>,
    /// Children that are not listed because there are more than may be.
    pub not_listed: u64,
    /// Changes that were written here, or came from others than children.
    pub other_changes: u64,
    /// Their bytes.
    pub other_bytes: u64,
    /// Documents that began with these.
    pub other_documents: u64,
}

/// What is kept for one child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChildLedger {
    /// Name in its certificate.
    pub name: String,
    /// Its own address.
    #[schema(value_type = String)]
    pub region: AddressCode,
    /// Serial of its certificate.
    #[schema(value_type = String)]
    pub serial: Serial,
    /// What there is, the fullest first; those without a bound come last.
    pub entries: Vec<LedgerEntry>,
}

/// So much of one kind, of at most so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerEntry {
    /// What is counted.
    pub what: LedgerItem,
    /// How much there is.
    pub used: u64,
    /// How much there may be; `None` when other bounds see to it.
    pub bound: Option<u64>,
}

/// What is counted of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerItem {
    /// Changes that were ever taken.
    ChangesTaken,
    /// Bytes of changes that were ever taken.
    BytesTaken,
    /// Changes that were taken today.
    ChangesToday,
    /// Bytes of changes that were taken today.
    BytesToday,
    /// Bytes of photos and files that are here.
    PhotoBytes,
    /// Certificates below its certificate.
    Certificates,
    /// Small revocations from its certificate on down.
    RevocationsSmall,
    /// Larger ones.
    RevocationsMiddle,
    /// The largest ones.
    RevocationsLarge,
    /// Ranges that it asked for in this session and was not sent.
    WantedRanges,
    /// Short ids in these.
    WantedIds,
    /// Bytes of its changes that are in memory until they are durable.
    MemoryBytes,
    /// Changes that are here.
    Changes,
    /// Bytes of changes that are here.
    Bytes,
    /// Documents here that it began.
    Documents,
    /// Photos and files that are here.
    Photos,
}

impl LedgerItem {
    /// Its name, as in JSON, metrics and the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChangesTaken => "changes-taken",
            Self::BytesTaken => "bytes-taken",
            Self::ChangesToday => "changes-today",
            Self::BytesToday => "bytes-today",
            Self::PhotoBytes => "photo-bytes",
            Self::Certificates => "certificates",
            Self::RevocationsSmall => "revocations-small",
            Self::RevocationsMiddle => "revocations-middle",
            Self::RevocationsLarge => "revocations-large",
            Self::WantedRanges => "wanted-ranges",
            Self::WantedIds => "wanted-ids",
            Self::MemoryBytes => "memory-bytes",
            Self::Changes => "changes",
            Self::Bytes => "bytes",
            Self::Documents => "documents",
            Self::Photos => "photos",
        }
    }

    /// Whether it is counted in bytes.
    pub const fn is_bytes(self) -> bool {
        matches!(
            self,
            Self::BytesTaken
                | Self::BytesToday
                | Self::PhotoBytes
                | Self::MemoryBytes
                | Self::Bytes
        )
    }
}

impl LedgerEntry {
    /// How full it is, in thousandths; `None` without a bound. A bound of nothing is full.
    pub fn permille(&self) -> Option<u64> {
        let permille = |bound: u64| match u128::from(bound) {
            0 => 1_000,
            bound => u64::try_from(u128::from(self.used) * 1_000 / bound).unwrap_or(u64::MAX),
        };
        self.bound.map(permille)
    }

    /// Whether somebody should look at it.
    pub fn is_nearly_full(&self) -> bool {
        self.permille().is_some_and(|permille| permille >= NEARLY_FULL_PERMILLE)
    }
}

impl ChildLedger {
    /// The fullest of what has a bound.
    pub fn fullest(&self) -> Option<&LedgerEntry> {
        self.entries.first().filter(|entry| entry.bound.is_some())
    }

    /// Of the child with this certificate.
    pub fn of(
        certificate: &Certificate,
        authority: &Authority,
        (kept, used, quota): (Kept, QuotaUse, Quota),
        session: Option<&Report>,
    ) -> Self {
        let bounded = |what, used, bound| LedgerEntry { what, used, bound: Some(bound) };
        let mut entries = vec![
            bounded(LedgerItem::ChangesTaken, used.changes, quota.changes),
            bounded(LedgerItem::BytesTaken, used.bytes, quota.bytes),
            bounded(LedgerItem::ChangesToday, used.day_changes, quota.day_changes),
            bounded(LedgerItem::BytesToday, used.day_bytes, quota.day_bytes),
            bounded(LedgerItem::PhotoBytes, kept.blob_bytes, quota.blob_bytes),
        ];
        if let Some(room) = authority.room_below(&certificate.serial()) {
            let RoomTaken { certificates, revocations } = room;
            let sizes = [
                LedgerItem::RevocationsSmall,
                LedgerItem::RevocationsMiddle,
                LedgerItem::RevocationsLarge,
            ];
            let of = |what, Taken { count, most }: Taken| bounded(what, whole(count), whole(most));
            entries.push(of(LedgerItem::Certificates, certificates));
            entries.extend(sizes.into_iter().zip(revocations).map(|(what, taken)| of(what, taken)));
        }
        let session = session.map(|report| (report.remembered, report.in_store_bytes));
        let (remembered, in_store_bytes) = session.unwrap_or_default();
        let wanted = [
            (LedgerItem::WantedRanges, remembered.ranges, limits::WANTED),
            (LedgerItem::WantedIds, remembered.ids, limits::WANTED_IDS),
        ];
        entries.extend(wanted.map(|(what, used, most)| bounded(what, whole(used), whole(most))));
        let most = whole(limits::UNPROCESSED_BYTES);
        entries.push(bounded(LedgerItem::MemoryBytes, in_store_bytes, most));
        let kept = [
            (LedgerItem::Changes, kept.changes),
            (LedgerItem::Bytes, kept.bytes),
            (LedgerItem::Documents, kept.documents),
            (LedgerItem::Photos, kept.blobs),
        ];
        entries.extend(kept.map(|(what, used)| LedgerEntry { what, used, bound: None }));
        entries.sort_by_key(|entry| (core::cmp::Reverse(entry.permille()), entry.what));
        Self {
            name: certificate.body().name.clone(),
            region: own_region(certificate),
            serial: certificate.serial(),
            entries,
        }
    }
}

impl Ledger {
    /// Of these children, and of others than children.
    pub fn of(mut children: Vec<ChildLedger>, others: Kept) -> Self {
        children.sort_by_key(|child| {
            let fullest = child.fullest().and_then(LedgerEntry::permille);
            (core::cmp::Reverse(fullest), child.region, child.name.clone())
        });
        let not_listed = children.len().saturating_sub(MOST_CHILDREN);
        children.truncate(MOST_CHILDREN);
        Self {
            children,
            not_listed: whole(not_listed),
            other_changes: others.changes,
            other_bytes: others.bytes,
            other_documents: others.documents,
        }
    }
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

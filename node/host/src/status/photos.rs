//! Photos and files that are on their way, as a status says it: of the whole node, and of one link.
//!
//! Pages, the command and the figures read these, and they are from one look into the store
//! ([`BlobTotals`]). Bytes are of whole photos, what has arrived of them already included.

use cunlian_crdt::store::{BlobBacklog, BlobTotals, NotTaken};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::PublicKey;
use serde::Serialize;
use utoipa::ToSchema;

/// Photos and files of a node that are on their way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Photos {
    /// Some document here names them, and they have not come in full.
    pub missing: u64,
    /// Their bytes.
    pub missing_bytes: u64,
    /// When that was recorded which has been missing longest, milliseconds since 1970-01-01 UTC.
    pub missing_since_ms: Option<i64>,
    /// They are here, and some tier above that may see them is not known to hold them.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When that was recorded which has waited longest, milliseconds since 1970-01-01 UTC.
    pub waiting_since_ms: Option<i64>,
    /// Why this node asks nobody for those that are missing, if it does not.
    pub none_taken: Option<String>,
}

/// Photos and files with regard to one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct LinkPhotos {
    /// Those that wait for the tier of a parent.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// When that was recorded which has waited longest, milliseconds since 1970-01-01 UTC.
    pub pending_since_ms: Option<i64>,
    /// Those of them that a parent does not take now; of a child, those that are not taken of it
    /// here.
    pub not_taken: u64,
    /// Their bytes.
    pub not_taken_bytes: u64,
    /// Why, in the words of who does not take them.
    pub not_taken_why: Option<String>,
}

impl From<&BlobTotals> for Photos {
    fn from(totals: &BlobTotals) -> Self {
        let BlobTotals { missing, awaited, why_none, .. } = totals;
        Self {
            missing: missing.blobs,
            missing_bytes: missing.bytes,
            missing_since_ms: missing.oldest_recorded_at_ms,
            waiting: awaited.blobs,
            waiting_bytes: awaited.bytes,
            waiting_since_ms: awaited.oldest_recorded_at_ms,
            none_taken: why_none.filter(|_| missing.blobs > 0).map(str::to_owned),
        }
    }
}

impl LinkPhotos {
    /// What waits for a parent of this tier.
    pub fn above(totals: &BlobTotals, tier: Tier) -> Self {
        let Some((backlog, not_taken)) = totals.above.get(&tier) else { return Self::default() };
        let BlobBacklog { blobs, bytes, oldest_recorded_at_ms } = *backlog;
        Self {
            pending: blobs,
            pending_bytes: bytes,
            pending_since_ms: oldest_recorded_at_ms,
            ..Self::without(not_taken)
        }
    }

    /// What is not taken of the child with this key.
    pub fn below(totals: &BlobTotals, child: &PublicKey) -> Self {
        totals.not_taken.get(child).map(Self::without).unwrap_or_default()
    }

    fn without(not_taken: &NotTaken) -> Self {
        let NotTaken { blobs, bytes, why } = not_taken;
        Self {
            not_taken: *blobs,
            not_taken_bytes: *bytes,
            not_taken_why: (*blobs > 0).then(|| why.clone()),
            ..Self::default()
        }
    }
}

//! What sessions say to each other about blobs, and what they ask of the store.
//!
//! | message | from | meaning |
//! |---|---|---|
//! | `WantOutline`, `Want` | who lacks | one question, answered by exactly one `Outline`, `Part` or `None`, in the order of the questions |
//! | `AskHeld` | descendant | which of these are held here, and above |
//! | `Held` | both | these are whole here; the answer to `AskHeld`, and said when it becomes so of a blob that was asked for |
//! | `Postponed`, `AllWanted` | who lacks | larger blobs than so are not asked for until further notice; and that all are |

use std::collections::BTreeSet;
use std::sync::Arc;

use blake3::hazmat::ChainingValue;
use serde::{Deserialize, Serialize};

use super::{BlobName, Chunk, Outline};
use crate::id::PublicKey;
use crate::key::KeyPrefix;
use crate::limits;
use crate::scope::Scope;
use crate::wire::Bounded;

/// A message about blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobMessage {
    /// Asks for the outline of a blob.
    WantOutline {
        /// A document, as the prefix of its changes, that names the blob.
        document: KeyPrefix,
        /// Which.
        blob: BlobName,
    },
    /// Asks for a part of a chunk.
    Want {
        /// A document, as the prefix of its changes, that names the blob.
        document: KeyPrefix,
        /// Which.
        blob: BlobName,
        /// Where in the blob the part begins.
        from: u32,
        /// How many bytes, at least one; the part does not go beyond its chunk.
        length: u32,
    },
    /// The outline asked for.
    Outline {
        /// One value for each chunk.
        values: Bounded<ChainingValue, { limits::BLOB_CHUNKS }>,
    },
    /// The part asked for.
    Part {
        /// The bytes.
        bytes: Bounded<u8, { limits::BLOB_CHUNK_BYTES as usize }>,
    },
    /// The blob is not here, not whole, or not for this peer.
    None,
    /// Asks which of these blobs, each with a document that names it, are whole here.
    AskHeld(Bounded<(KeyPrefix, BlobName), { limits::BLOB_NAMES }>),
    /// These are whole at the tiers (bits).
    Held(Bounded<(BlobName, u8), { limits::BLOB_NAMES }>),
    /// Of the blobs that the receiver has, these are not asked for until further notice. It takes
    /// the place of what was said before.
    Postponed {
        /// Those of more bytes than this, of which nothing has come.
        over_bytes: u32,
        /// Also those of which some has come, of whatever size.
        begun: bool,
        /// Why, for people.
        why: Bounded<u8, { limits::REASON_BYTES }>,
    },
    /// All that is lacked is asked for, again.
    AllWanted,
}

/// Blobs that a node does not ask a peer for at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// Those of more bytes than this, of which nothing has come.
    pub over_bytes: u32,
    /// Also those of which some has come, of whatever size.
    pub begun: bool,
    /// Why, for people.
    pub why: String,
}

/// What a session asks of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobRequest {
    /// Blobs that are not whole here and that a document in `scope` names, in key order: a part
    /// of them, after a place.
    Missing {
        /// What both sides may read.
        scope: Scope,
        /// Key of the peer that they would come from.
        from: PublicKey,
        /// Whether what comes from this peer is limited in sum.
        limited: bool,
        /// Numbers of the blobs that this peer is giving: not looked for, and counted as given.
        active: Vec<i64>,
        /// Blobs, by their numbers, that the peer does not give under these documents.
        without: BTreeSet<(i64, KeyPrefix)>,
        /// Where to go on after; `None` to begin.
        after: Option<BlobPlace>,
        /// The time of the hub: what another peer is just giving is not asked of this one.
        at_ms: i64,
    },
    /// The outline of a blob, if it is whole here and the document names it.
    Outline {
        /// The document.
        document: KeyPrefix,
        /// Which.
        blob: BlobName,
    },
    /// Bytes of a blob, if it is whole here and the document names it.
    Read {
        /// The document.
        document: KeyPrefix,
        /// Which.
        blob: BlobName,
        /// Where they begin.
        from: u32,
        /// How many; they lie in one chunk.
        length: u32,
    },
    /// Makes a chunk durable, if some document still names the blob.
    Keep {
        /// Where the chunk came.
        under: Under,
        /// The outline that the chunk was checked by; it is kept with the first chunk.
        outline: Arc<Outline>,
        /// The chunk.
        chunk: Chunk,
        /// Key of the peer it came from.
        from: PublicKey,
        /// Whether what comes from this peer is limited in sum.
        limited: bool,
        /// The time of the hub; `None` when the chunk comes in a file.
        at_ms: Option<i64>,
    },
    /// Whole blobs that a document in `scope` names and that a tier above is not known to hold.
    Unreached {
        /// What both sides may read.
        scope: Scope,
        /// Tier bits, one of which is not known to hold them.
        tier: u8,
        /// Document and blob to start after.
        after: Option<(KeyPrefix, BlobName)>,
    },
    /// Which of these are whole here and named by the document, and at which tiers.
    Held {
        /// Document and blob.
        asked: Vec<(KeyPrefix, BlobName)>,
        /// Tier bit of this node.
        own: u8,
    },
    /// Notes that tiers above hold blobs.
    MarkReached {
        /// Blobs and the tiers (bits).
        reached: Vec<(BlobName, u8)>,
    },
    /// Notes that an ancestor asks for a blob, and so does not hold it, whatever it said before.
    MarkLost {
        /// Which.
        name: BlobName,
        /// Tier bit of the ancestor.
        tier: u8,
    },
    /// Notes what an ancestor does not ask for at present.
    MarkPostponed {
        /// Tier bit of the ancestor.
        tier: u8,
        /// What it said last; `None` when it asks for everything.
        postponed: Option<Postponed>,
        /// Blobs of which it has asked for some.
        begun: Vec<BlobName>,
    },
}

/// The documents under which a chunk came: to these the peer has shown that it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Under {
    /// The one that was named in the question.
    Document(KeyPrefix),
    /// Those that a file names.
    Documents(Vec<KeyPrefix>),
    /// In a file that names none: those of which its exporter may send changes, if all of them are
    /// at one address and of one category. Of others nobody can tell whose it is.
    Scope(Scope),
}

/// A place among the blobs that are missing: a document, and the number of a blob that it names.
pub type BlobPlace = (KeyPrefix, i64);

impl BlobRequest {
    /// Whether carrying it out changes the store.
    pub const fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Keep { .. }
                | Self::MarkReached { .. }
                | Self::MarkLost { .. }
                | Self::MarkPostponed { .. }
        )
    }
}

/// A blob that is named here and not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// Its number in this store.
    pub number: i64,
    /// Which.
    pub name: BlobName,
    /// A document that names it and that the peer may read.
    pub document: KeyPrefix,
    /// Its outline, once known; that of a blob of one chunk always is.
    pub outline: Option<Outline>,
    /// Chunks that are not here, ascending.
    pub places: Vec<u32>,
}

/// A part of the blobs that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// At most [`limits::BLOBS_AT_ONCE`].
    pub blobs: Vec<MissingBlob>,
    /// Where to go on after; `None` at the end.
    pub rest: Option<BlobPlace>,
    /// What was passed over because no more of it is taken.
    pub postponed: Option<Postponed>,
    /// Whether a blob of any size would be taken.
    pub roomy: bool,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Durable; others are missing.
    Part,
    /// Durable, and another peer is giving the rest.
    Elsewhere,
    /// Durable, and with it the blob is whole.
    Whole,
    /// No document names the blob any more, or the peer has given as much as it may: not kept.
    Unwanted,
}

/// What the store answers; each variant to the request of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobReply {
    /// A part of what is missing.
    Missing(Missing),
    /// The outline.
    Outline(Option<Outline>),
    /// The bytes.
    Read(Option<Vec<u8>>),
    /// What became of the chunk.
    Keep(Kept),
    /// At most [`limits::BLOB_NAMES`], and where to go on.
    Unreached {
        /// A document that names it, and the blob.
        blobs: Vec<(KeyPrefix, BlobName)>,
        /// Where to go on after; `None` at the end.
        rest: Option<(KeyPrefix, BlobName)>,
    },
    /// Those that are whole, with the tiers (bits).
    Held(Vec<(BlobName, u8)>),
    /// Noted.
    MarkReached,
    /// Noted.
    MarkLost,
    /// Noted.
    MarkPostponed,
}

//! Bundles: what a session would send, in a file that somebody carries.
//!
//! What it is: the frames of [`cunlian_protocol::wire`] behind a cover and between stamps, written
//! from a store ([`export`]) and taken into one ([`import`]) with the checks of a session. A
//! bundle for a node is *sealed*: only that node can open it. What it is not: a copy of a store
//! (that is a backup); and a bundle for nobody is open to whoever has the file.
//!
//! A bundle is one file, or several *parts*, each of which can be taken in by itself:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 14 | `cunlian bundle`, ASCII |
//! | 14 | 2 | version of the layout, big-endian, 2 |
//! | 16 | … | frames: length of the rest as four bytes big-endian, kind, body |
//!
//! | kind | body |
//! |---|---|
//! | 64 | [`Cover`] in the postcard wire format; the first frame, and no other |
//! | 65 | stamp, see below |
//! | 68 | a frame of one of the kinds below, sealed, see `bundle/sealing.rs` |
//! | 69 | [`Head`] in the postcard wire format; the first frame after the cover, and no other |
//! | 70 | count: changes in this part so far, and in this part and those before it so far, each as eight bytes big-endian; right before each stamp |
//! | 1, 2 | message, batch of changes, as on the wire: `Certificates`, `Revocations` and batches only |
//! | 71, 66, 67 | what has a blob, the blob, and chunks of it, see `bundle/photos.rs` |
//!
//! In a sealed bundle there is nothing but cover, sealed frames and stamps; in an open one nothing
//! is sealed.
//!
//! | offset | bytes | field of a stamp |
//! |---|---|---|
//! | 0 | 4 | number of the stamp in its part, big-endian, from 1 |
//! | 4 | 1 | what follows: 0 more of this part, 1 another part, 2 nothing: the bundle is whole |
//! | 5 | 32 | BLAKE3 of all bytes of this part before the frame of the stamp |
//! | 37 | 64 | Ed25519 signature of the exporter over [`Context::Bundle`] and the 37 bytes before |
//!
//! A stamp stands right behind the head and then at least every [`SEGMENT_BYTES`]. What stands
//! between two stamps is kept in memory and used only when the second one holds, so nothing of a
//! damaged or cut file is used that its exporter did not sign, and of a stick that was pulled out
//! early everything up to the last stamp is good.
//!
//! What is signed is what stands in the file, so that whoever carries it can see whether it is
//! whole. Who puts another signature under sealed frames of somebody else has to change the cover,
//! and then they do not open: their key follows from the cover.
//!
//! Order: certificates and revocations, then batches by the first hexadecimal digit of the
//! category: catalogue and notices, alerts, cases, library; then blobs.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::CertificateBody;
use cunlian_protocol::id::{PublicKey, Signature};
use cunlian_protocol::limits;
use cunlian_protocol::region::Depth;
use cunlian_protocol::wire::{self, Bounded, CertificateBytes, SuccessionBytes};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use cunlian_protocol::signing::Context;

mod arrival;
mod exporting;
mod importing;
mod photos;
mod reading;
mod sealing;
mod writing;

pub use arrival::note_arrivals;
pub use exporting::{ExportError, Exported, Plan, export};
pub use importing::{ImportError, Imported, Owner, import};
pub use reading::{Flaw, Opened, Reader, Segment, Unreadable};
pub use writing::Output;

/// The version of the layout that this crate writes and reads.
pub const VERSION: u16 = 2;
/// Most bytes between two stamps, the second one left out.
pub const SEGMENT_BYTES: usize = 4 << 20;
/// Fewest bytes to which a part can be bound: head, certificates of authors and one batch.
pub const PART_BYTES_MIN: u64 = 4 << 20;

const MAGIC: &[u8; 14] = b"cunlian bundle";
/// Bytes of magic and version.
const PREFIX_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;
const KIND_COVER: u8 = 64;
const KIND_STAMP: u8 = 65;
const KIND_SEALED: u8 = 68;
const KIND_HEAD: u8 = 69;
const KIND_COUNT: u8 = 70;
/// Bytes of a stamp that are signed.
const STAMPED_BYTES: usize = 37;
const STAMP_BYTES: usize = STAMPED_BYTES + Signature::LENGTH;
/// Bytes of the frame of a stamp, its length included.
const STAMP_FRAME_BYTES: usize = LENGTH_BYTES + 1 + STAMP_BYTES;
/// Bytes by which a frame grows when it is sealed: its kind, and the tag.
const SEALING_BYTES: usize = 1 + sealing::TAG_BYTES;
const COUNT_BYTES: usize = 16;
/// Most bytes of the frame of a count, its length included.
const COUNT_FRAME_BYTES: usize = LENGTH_BYTES + 1 + COUNT_BYTES + SEALING_BYTES;
/// Most regions that a bundle can be cut down to.
const REGIONS: usize = 64;

const _: () = assert!(SEGMENT_BYTES >= 2 * limits::FRAME_BYTES, "a batch fits between stamps");
const _: () = assert!(PART_BYTES_MIN >= 2 * limits::FRAME_BYTES as u64);

/// What is in the clear at the beginning of each part, sealed or not, and nothing else is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Random number of the bundle, the same in all its parts.
    pub bundle: [u8; 16],
    /// Number of the part, from 1.
    pub part: u32,
    /// Who says that it exported it; the stamps are by this key.
    pub exporter: Party,
    /// The only node that can open it; open to everybody when there is none.
    pub receiver: Option<Receiver>,
    /// Trusted time at the exporter when it was begun, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: i64,
}

/// A node as it is named in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its key.
    pub key: PublicKey,
    /// The address it stands for.
    pub address: AddressCode,
    /// Name in its certificate.
    pub name: Bounded<u8, { limits::NAME_BYTES }>,
}

/// The node a bundle is sealed for: it has what both may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// X25519 key made for this bundle.
    pub ephemeral: [u8; 32],
    /// Who it is.
    pub node: Party,
}

/// What a bundle says about itself to who can open it, at the beginning of each part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// First root key of the federation.
    pub root: PublicKey,
    /// Successions of the root, and of the exporter's own key.
    pub successions: Bounded<SuccessionBytes, { limits::SUCCESSIONS }>,
    /// Certificates from the root side down to the exporter's own.
    pub chain: Bounded<CertificateBytes, { limits::CHAIN_CERTIFICATES }>,
    /// Regions it was cut down to; not cut when there is none.
    pub regions: Bounded<AddressCode, REGIONS>,
    /// Only what came to the exporter after this, milliseconds since 1970-01-01 UTC.
    pub since_ms: Option<i64>,
    /// About how many changes all parts have, for progress.
    pub changes: u64,
    /// Version of the program, for people.
    pub software: Bounded<u8, 40>,
}

/// What follows a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// More of this part.
    More,
    /// Another part.
    Part,
    /// Nothing: the bundle is whole.
    Nothing,
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its number in the part, from 1.
    pub number: u32,
    /// What follows.
    pub follows: Follows,
}

/// How many changes there are up to a stamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Changes in this part so far.
    pub changes: u64,
    /// Changes in this part and those before it so far.
    pub total: u64,
}

impl Party {
    /// The holder of a certificate.
    pub fn of(body: &CertificateBody) -> Self {
        let own = body.grants.iter().find(|grant| grant.region.depth == Depth::Subtree);
        Self {
            key: body.subject,
            address: own.map_or(AddressCode::COUNTRY, |grant| grant.region.prefix),
            name: wire::bounded_text(&body.name),
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.name.0).into_owned()
    }
}

impl Stamp {
    /// The bytes that are signed, for the BLAKE3 of what stands before.
    fn to_bytes(self, before: &blake3::Hash) -> [u8; STAMPED_BYTES] {
        let mut bytes = [0; STAMPED_BYTES];
        let follows = match self.follows {
            Follows::More => 0,
            Follows::Part => 1,
            Follows::Nothing => 2,
        };
        let fields = self.number.to_be_bytes().into_iter().chain([follows]);
        for (slot, byte) in bytes.iter_mut().zip(fields.chain(*before.as_bytes())) {
            *slot = byte;
        }
        bytes
    }

    /// Reads [`Stamp::to_bytes`] with the BLAKE3 in it.
    fn from_bytes(bytes: &[u8; STAMPED_BYTES]) -> Option<(Self, [u8; 32])> {
        let (number, rest) = bytes.split_first_chunk()?;
        let ([follows], rest) = rest.split_first_chunk()?;
        let follows = match follows {
            0 => Follows::More,
            1 => Follows::Part,
            2 => Follows::Nothing,
            _ => return None,
        };
        let stamp = Self { number: u32::from_be_bytes(*number), follows };
        Some((stamp, rest.try_into().ok()?))
    }
}

impl Count {
    /// Body of its frame.
    fn to_bytes(self) -> Vec<u8> {
        [self.changes.to_be_bytes(), self.total.to_be_bytes()].concat()
    }

    /// Reads a frame; `None` when it is no count.
    fn from_frame(frame: &[u8]) -> Option<Self> {
        let (&KIND_COUNT, body) = frame.split_first()? else { return None };
        let body: &[u8; COUNT_BYTES] = body.try_into().ok()?;
        let (changes, total) = body.split_first_chunk()?;
        let total = total.try_into().ok()?;
        Some(Self { changes: u64::from_be_bytes(*changes), total: u64::from_be_bytes(total) })
    }
}

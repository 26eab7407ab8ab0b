//! Bundles: what a session would send, in a file that somebody carries.
//!
//! What it is: the frames of [`cunlian_protocol::wire`] between a head and seals, written from a
//! store ([`export`]) and taken into one ([`import`]) with the checks of a session. What it is
//! not: a copy of a store (that is a backup), and not secret: whoever has the file can read it.
//!
//! A bundle is one file, or several *parts*, each of which can be taken in by itself:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 14 | `cunlian bundle`, ASCII |
//! | 14 | 2 | version of the layout, big-endian, 1 |
//! | 16 | … | frames: length of the rest as four bytes big-endian, kind, body |
//!
//! | kind | body |
//! |---|---|
//! | 1, 2 | message, batch of changes, as on the wire: `Certificates`, `Revocations` and batches only |
//! | 64 | [`Head`] in the postcard wire format; the first frame, and no other |
//! | 65 | seal, see below |
//! | 66, 67 | blob and chunk of it, see `bundle/photos.rs` |
//!
//! | offset | bytes | field of a seal |
//! |---|---|---|
//! | 0 | 4 | number of the seal in its part, big-endian, from 1 |
//! | 4 | 1 | what follows: 0 more of this part, 1 another part, 2 nothing: the bundle is whole |
//! | 5 | 8 | changes in this part so far, big-endian |
//! | 13 | 8 | changes in this part and those before it so far, big-endian |
//! | 21 | 32 | BLAKE3 of all bytes of this part before the frame of the seal |
//! | 53 | 64 | Ed25519 signature of the exporter over [`Context::Bundle`] and the 53 bytes before |
//!
//! A seal stands right behind the head and then at least every [`SEGMENT_BYTES`]. What stands
//! between two seals is kept in memory and used only when the second one holds, so nothing of a
//! damaged or cut file is used that its exporter did not sign, and of a stick that was pulled out
//! early everything up to the last seal is good.
//!
//! Order: certificates and revocations, then batches by the first hexadecimal digit of the
//! category: catalogue and notices, alerts, cases, library; then blobs.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::{PublicKey, Serial, Signature};
use cunlian_protocol::limits;
use cunlian_protocol::wire::{Bounded, CertificateBytes, SuccessionBytes};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use cunlian_protocol::signing::Context;

mod arrival;
mod exporting;
mod importing;
mod photos;
mod reading;
mod writing;

pub use arrival::note_arrivals;
pub use exporting::{ExportError, Exported, Plan, export};
pub use importing::{ImportError, Imported, Owner, import};
pub use reading::{Flaw, Reader, Segment, Unreadable};
pub use writing::Output;

/// The version of the layout that this crate writes and reads.
pub const VERSION: u16 = 1;
/// Most bytes between two seals, the second one left out.
pub const SEGMENT_BYTES: usize = 4 << 20;
/// Fewest bytes to which a part can be bound: head, certificates of authors and one batch.
pub const PART_BYTES_MIN: u64 = 4 << 20;

const MAGIC: &[u8; 14] = b"cunlian bundle";
/// Bytes of magic and version.
const PREFIX_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;
const KIND_HEAD: u8 = 64;
const KIND_SEAL: u8 = 65;
/// Bytes of a seal that are signed.
const SEALED_BYTES: usize = 53;
const SEAL_BYTES: usize = SEALED_BYTES + Signature::LENGTH;
/// Bytes of the frame of a seal, its length included.
const SEAL_FRAME_BYTES: usize = LENGTH_BYTES + 1 + SEAL_BYTES;
/// Most regions that a bundle can be cut down to.
const REGIONS: usize = 64;

const _: () = assert!(SEGMENT_BYTES >= 2 * limits::FRAME_BYTES, "a batch fits between seals");
const _: () = assert!(PART_BYTES_MIN >= 2 * limits::FRAME_BYTES as u64);

/// What a bundle says about itself, at the beginning of each part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Random number of the bundle, the same in all its parts.
    pub bundle: [u8; 16],
    /// Number of the part, from 1.
    pub part: u32,
    /// First root key of the federation.
    pub root: PublicKey,
    /// Successions of the root, and of the exporter's own key.
    pub successions: Bounded<SuccessionBytes, { limits::SUCCESSIONS }>,
    /// Certificates from the root side down to the exporter's own.
    pub chain: Bounded<CertificateBytes, { limits::CHAIN_CERTIFICATES }>,
    /// The node it is for: it has what both may read.
    pub recipient: Option<Recipient>,
    /// Regions it was cut down to; not cut when there is none.
    pub regions: Bounded<AddressCode, REGIONS>,
    /// Only what came to the exporter after this, milliseconds since 1970-01-01 UTC.
    pub since_ms: Option<i64>,
    /// Trusted time at the exporter when it was begun, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: i64,
    /// About how many changes all parts have, for progress.
    pub changes: u64,
    /// Version of the program, for people.
    pub software: Bounded<u8, 40>,
}

/// The node a bundle is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Its certificate.
    pub serial: Serial,
    /// Name in it.
    pub name: Bounded<u8, { limits::NAME_BYTES }>,
}

/// What follows a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// More of this part.
    More,
    /// Another part.
    Part,
    /// Nothing: the bundle is whole.
    Nothing,
}

/// What a seal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Its number in the part, from 1.
    pub number: u32,
    /// What follows.
    pub follows: Follows,
    /// Changes in this part so far.
    pub changes: u64,
    /// Changes in this part and those before it so far.
    pub total: u64,
}

impl Seal {
    /// The bytes that are signed, for the BLAKE3 of what stands before.
    fn to_bytes(self, before: &blake3::Hash) -> [u8; SEALED_BYTES] {
        let mut bytes = [0; SEALED_BYTES];
        let follows = match self.follows {
            Follows::More => 0,
            Follows::Part => 1,
            Follows::Nothing => 2,
        };
        let fields = self.number.to_be_bytes().into_iter().chain([follows]);
        let fields = fields.chain(self.changes.to_be_bytes()).chain(self.total.to_be_bytes());
        for (slot, byte) in bytes.iter_mut().zip(fields.chain(*before.as_bytes())) {
            *slot = byte;
        }
        bytes
    }

    /// Reads [`Seal::to_bytes`] with the BLAKE3 in it.
    fn from_bytes(bytes: &[u8; SEALED_BYTES]) -> Option<(Self, [u8; 32])> {
        let (number, rest) = bytes.split_first_chunk()?;
        let ([follows], rest) = rest.split_first_chunk()?;
        let (changes, rest) = rest.split_first_chunk()?;
        let (total, before) = rest.split_first_chunk()?;
        let follows = match follows {
            0 => Follows::More,
            1 => Follows::Part,
            2 => Follows::Nothing,
            _ => return None,
        };
        let seal = Self {
            number: u32::from_be_bytes(*number),
            follows,
            changes: u64::from_be_bytes(*changes),
            total: u64::from_be_bytes(*total),
        };
        Some((seal, before.try_into().ok()?))
    }
}

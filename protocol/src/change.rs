//! Signed changes: the unit of replication.
//!
//! A change is one Automerge change of one document, signed by its author, or the erasure of a
//! document. Its exact bytes are stored and relayed. All versions share the layout up to the
//! payload length and end with the signature, so that a node can keep and relay what it cannot
//! interpret.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | kind: 0 edit, 1 erasure; bit 7 set in a stub |
//! | 2 | 2 | category, big-endian |
//! | 4 | 1 | n, number of address digits |
//! | 5 | n | address digits, ASCII |
//! | 5+n | 16 | document |
//! | 21+n | 16 | author: serial of the author's certificate |
//! | 37+n | 8 | session nonce, big-endian |
//! | 45+n | 8 | seq, big-endian, from 1: the author numbers its changes |
//! | 53+n | 8 | `recorded_at`, big-endian signed milliseconds since 1970-01-01 UTC |
//! | 61+n | 4 | p, length of the payload, big-endian |
//! | 65+n | p | payload: the Automerge change, uncompressed; of an erasure the reason in UTF-8 |
//! | 65+n+p | 64 | Ed25519 signature over [`Context::Change`] and the signed bytes |
//!
//! The *signed bytes* are those before the payload, without the mark of a stub, and the BLAKE3 of
//! the payload; the id of a change is the BLAKE3 of its signed bytes and signature. So a change
//! whose payload was erased keeps its id and still proves its author: its *stub* has the 32 bytes
//! of that BLAKE3 where the payload was.
//!
//! An erasure takes a whole document away (PIPL art. 47): every other change of the document is
//! kept as a stub, at every node, and nothing can be added to it any more.

use std::borrow::Cow;

use crate::address::AddressCode;
use crate::category::Category;
pub use crate::home::Home;
use crate::id::{ChangeId, DocumentId, Serial, Signature};
use crate::key::SetKey;
use crate::limits;
use crate::rights::Rights;
use crate::signing::{self, Claim, Context, SigningKey};

/// The version this crate writes and interprets.
pub const VERSION: u8 = 1;

/// Set in the byte of the kind when the payload is gone.
const STUB: u8 = 0x80;
/// Bytes that stand for an erased payload.
const HASH_BYTES: usize = 32;

/// What a change does to its document; a number this version does not know is kept and relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeKind(pub u8);

impl ChangeKind {
    /// An Automerge change.
    pub const EDIT: Self = Self(0);
    /// The document is erased; the payload is the reason.
    pub const ERASE: Self = Self(1);

    /// What the author needs at the home of the document.
    pub const fn needs(self) -> Rights {
        if self.0 == Self::ERASE.0 { Rights::ERASE } else { Rights::WRITE }
    }
}

/// What is said about a change beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Layout version.
    pub version: u8,
    /// What it does.
    pub kind: ChangeKind,
    /// Document the change belongs to.
    pub home: Home,
    /// Who made it.
    pub author: Serial,
    /// Fresh number of the author's session, from which its Automerge actor is derived.
    pub session: u64,
    /// The author's own count of changes, from 1.
    pub seq: u64,
    /// When the author's device recorded it, in milliseconds since 1970-01-01 UTC.
    pub recorded_at_ms: i64,
}

impl Header {
    /// The Automerge actor that must have made the payload: BLAKE3 of author and session.
    pub fn actor(&self) -> [u8; 16] {
        actor(&self.author, self.session)
    }
}

/// The Automerge actor of one session of one author.
pub fn actor(author: &Serial, session: u64) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 automerge actor");
    hasher.update(&author.0);
    hasher.update(&session.to_be_bytes());
    let mut actor = [0; 16];
    hasher.finalize_xof().fill(&mut actor);
    actor
}

/// Bytes that are not a signed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Longer than [`limits::CHANGE_BYTES`].
    #[error("the change has {got} bytes, at most {} are allowed", limits::CHANGE_BYTES)]
    TooLarge {
        /// Bytes given.
        got: usize,
    },
    /// The bytes end early, or go on after the signature.
    #[error("the change is cut short or has bytes left over ({got} bytes)")]
    Length {
        /// Bytes given.
        got: usize,
    },
    /// The address is not one.
    #[error("the address of the change is not an address code")]
    Address,
    /// Version 0 or seq 0, which no author writes.
    #[error("the change has version 0 or number 0")]
    Zero,
}

/// A change as it came: its header can be read, its payload only after verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedChange {
    bytes: Vec<u8>,
    header: Header,
    payload_at: usize,
    payload_hash: [u8; HASH_BYTES],
    stub: bool,
    id: ChangeId,
}

/// A change whose signature has been checked against its author's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChange(SignedChange);

impl SignedChange {
    /// Signs a change of version [`VERSION`].
    pub fn sign(
        header: &Header,
        payload: &[u8],
        key: &SigningKey,
    ) -> Result<VerifiedChange, ChangeError> {
        let digits = header.home.address.as_str().as_bytes();
        let too_large = |_| ChangeError::TooLarge { got: payload.len() };
        let mut bytes = Vec::with_capacity(136 + digits.len() + payload.len());
        bytes.extend_from_slice(&[VERSION, header.kind.0 & !STUB]);
        bytes.extend_from_slice(&header.home.category.0.to_be_bytes());
        bytes.push(u8::try_from(digits.len()).map_err(too_large)?);
        bytes.extend_from_slice(digits);
        bytes.extend_from_slice(&header.home.document.0);
        bytes.extend_from_slice(&header.author.0);
        bytes.extend_from_slice(&header.session.to_be_bytes());
        bytes.extend_from_slice(&header.seq.to_be_bytes());
        bytes.extend_from_slice(&header.recorded_at_ms.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(payload.len()).map_err(too_large)?.to_be_bytes());
        let payload_at = bytes.len();
        let payload_hash = *blake3::hash(payload).as_bytes();
        let signed = [bytes.as_slice(), &payload_hash].concat();
        let signature = signing::sign(key, Context::Change, &signed);
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&signature.0);
        if bytes.len() > limits::CHANGE_BYTES {
            return Err(ChangeError::TooLarge { got: bytes.len() });
        }
        let header = Header { version: VERSION, ..*header };
        let id = id_of(&signed, &signature.0);
        Ok(VerifiedChange(Self { bytes, header, payload_at, payload_hash, stub: false, id }))
    }

    /// Reads the layout; the signature is not checked yet.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, ChangeError> {
        let got = bytes.len();
        if got > limits::CHANGE_BYTES {
            return Err(ChangeError::TooLarge { got });
        }
        let short = ChangeError::Length { got };
        let mut reader = Reader { rest: &bytes };
        let [version, kind] = reader.take().ok_or(short)?;
        let stub = kind & STUB != 0;
        let category = Category(u16::from_be_bytes(reader.take().ok_or(short)?));
        let [length] = reader.take().ok_or(short)?;
        let digits = reader.slice(usize::from(length)).ok_or(short)?;
        let document = DocumentId(reader.take().ok_or(short)?);
        let author = Serial(reader.take().ok_or(short)?);
        let session = u64::from_be_bytes(reader.take().ok_or(short)?);
        let seq = u64::from_be_bytes(reader.take().ok_or(short)?);
        let recorded_at_ms = i64::from_be_bytes(reader.take().ok_or(short)?);
        let payload = u32::from_be_bytes(reader.take().ok_or(short)?);
        let payload_at = got - reader.rest.len();
        let payload = usize::try_from(payload).map_err(|_| short)?;
        // A stub keeps the length of what it stands for, which was in bounds once.
        let there = if stub { HASH_BYTES } else { payload };
        let (payload_bytes, signature) =
            reader.rest.split_last_chunk::<{ Signature::LENGTH }>().ok_or(short)?;
        if payload_bytes.len() != there || payload > limits::CHANGE_BYTES {
            return Err(short);
        }
        let payload_hash = match <[u8; HASH_BYTES]>::try_from(payload_bytes) {
            Ok(hash) if stub => hash,
            _ => *blake3::hash(payload_bytes).as_bytes(),
        };
        if version == 0 || seq == 0 {
            return Err(ChangeError::Zero);
        }
        let address = match digits {
            [] => AddressCode::COUNTRY,
            digits => core::str::from_utf8(digits)
                .ok()
                .and_then(|text| AddressCode::parse(text).ok())
                .ok_or(ChangeError::Address)?,
        };
        let home = Home { category, address, document };
        let kind = ChangeKind(kind & !STUB);
        let signature = *signature;
        let header = Header { version, kind, home, author, session, seq, recorded_at_ms };
        let id = id_of(&signed_bytes(&bytes, payload_at, &payload_hash), &signature);
        Ok(Self { bytes, header, payload_at, payload_hash, stub, id })
    }

    /// What is said about the change.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The id of the change.
    pub fn id(&self) -> ChangeId {
        self.id
    }

    /// The key under which it is kept.
    pub fn key(&self) -> SetKey {
        SetKey { home: self.header.home, change: self.id }
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the payload is gone.
    pub fn is_stub(&self) -> bool {
        self.stub
    }

    /// What must be checked: the signed bytes were signed by the author's `key`.
    pub fn claim(&self, key: crate::id::PublicKey) -> Claim<'static> {
        let split = self.bytes.split_last_chunk::<{ Signature::LENGTH }>();
        let (_, signature) = split.expect("decode checked the length");
        let signed = signed_bytes(&self.bytes, self.payload_at, &self.payload_hash);
        Claim { key, bytes: Cow::Owned(signed), signature: Signature(*signature) }
    }

    /// Accepts the change on the strength of a check of [`SignedChange::claim`].
    pub fn verified(self, holds: bool) -> Result<VerifiedChange, signing::BadSignature> {
        if holds { Ok(VerifiedChange(self)) } else { Err(signing::BadSignature) }
    }

    /// Reads a change back from this node's own log, where only verified changes are.
    pub fn from_log(bytes: Vec<u8>) -> Result<VerifiedChange, ChangeError> {
        Self::decode(bytes).map(VerifiedChange)
    }
}

impl VerifiedChange {
    /// What is said about the change.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The id of the change.
    pub fn id(&self) -> ChangeId {
        self.0.id
    }

    /// The key under which it is kept.
    pub fn key(&self) -> SetKey {
        self.0.key()
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The Automerge change; `None` in a stub, in an erasure, and when a newer version wrote it.
    pub fn payload(&self) -> Option<&[u8]> {
        self.0.payload_of(ChangeKind::EDIT)
    }

    /// Why the document was erased, if this change erases it.
    pub fn erasure(&self) -> Option<Cow<'_, str>> {
        self.0.payload_of(ChangeKind::ERASE).map(String::from_utf8_lossy)
    }

    /// Whether the payload is gone.
    pub fn is_stub(&self) -> bool {
        self.0.stub
    }

    /// The same change without its payload.
    #[must_use]
    pub fn stub(&self) -> Self {
        let SignedChange { bytes, header, payload_at, payload_hash, id, .. } = &self.0;
        let mut short = signed_bytes(bytes, *payload_at, payload_hash);
        if let Some(kind) = short.get_mut(1) {
            *kind |= STUB;
        }
        if let Some(signature) = bytes.last_chunk::<{ Signature::LENGTH }>() {
            short.extend_from_slice(signature);
        }
        Self(SignedChange {
            bytes: short,
            header: *header,
            payload_at: *payload_at,
            payload_hash: *payload_hash,
            stub: true,
            id: *id,
        })
    }
}

impl SignedChange {
    fn payload_of(&self, kind: ChangeKind) -> Option<&[u8]> {
        let end = self.bytes.len().checked_sub(Signature::LENGTH)?;
        let readable = self.header.version == VERSION && self.header.kind == kind && !self.stub;
        readable.then(|| self.bytes.get(self.payload_at..end))?
    }
}

/// The bytes that the signature covers.
fn signed_bytes(bytes: &[u8], payload_at: usize, payload_hash: &[u8; HASH_BYTES]) -> Vec<u8> {
    let header = bytes.get(..payload_at).unwrap_or_default();
    let mut signed = [header, payload_hash].concat();
    if let Some(kind) = signed.get_mut(1) {
        *kind &= !STUB;
    }
    signed
}

fn id_of(signed: &[u8], signature: &[u8; Signature::LENGTH]) -> ChangeId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(signed).update(signature);
    ChangeId(*hasher.finalize().as_bytes())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn signed() -> VerifiedChange {
        let home = Home {
            category: Category::TICKET,
            address: AddressCode::parse("370322102310").unwrap(),
            document: DocumentId([3; 16]),
        };
        let header = Header {
            version: VERSION,
            kind: ChangeKind::EDIT,
            home,
            author: Serial([4; 16]),
            session: 5,
            seq: 6,
            recorded_at_ms: -7,
        };
        SignedChange::sign(&header, b"payload", &SigningKey::from_bytes(&[8; 32])).unwrap()
    }

    /// Shows that header and payload survive the bytes, and that the signature is over them all.
    #[test]
    fn a_signed_change_survives_its_bytes() {
        let change = signed();
        let decoded = SignedChange::decode(change.bytes().to_vec()).unwrap();
        assert_eq!(decoded.header(), change.header());
        let key = signing::public_key(&SigningKey::from_bytes(&[8; 32]));
        assert_eq!(signing::verify_all(Context::Change, &[decoded.claim(key)]), [true]);
        assert_eq!(decoded.verified(true).unwrap().payload(), Some(b"payload".as_slice()));
    }

    /// Shows that a stub has id and header of its change, still proves its author, and is refused
    /// when its hash, kind or number is another.
    #[test]
    fn a_stub_proves_its_author() {
        let change = signed();
        let stub = change.stub();
        assert_eq!((stub.id(), stub.header()), (change.id(), change.header()));
        assert!(!stub.bytes().windows(7).any(|window| window == b"payload"));
        let key = signing::public_key(&SigningKey::from_bytes(&[8; 32]));
        for bit in 0..stub.bytes().len() * 8 {
            let mut flipped = stub.bytes().to_vec();
            *flipped.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            if let Ok(forged) = SignedChange::decode(flipped) {
                assert_eq!(signing::verify_all(Context::Change, &[forged.claim(key)]), [false]);
            }
        }
        let read = SignedChange::decode(stub.bytes().to_vec()).unwrap();
        assert_eq!(signing::verify_all(Context::Change, &[read.claim(key)]), [true]);
        assert_eq!((read.is_stub(), read.verified(true).unwrap().payload()), (true, None));
    }

    /// Shows that no cut and no flipped bit of a change passes for it.
    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = signed().bytes().to_vec();
        let key = signing::public_key(&SigningKey::from_bytes(&[8; 32]));
        for length in 0..bytes.len() {
            assert!(SignedChange::decode(bytes.get(..length).unwrap().to_vec()).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            *flipped.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            if let Ok(change) = SignedChange::decode(flipped) {
                assert_eq!(signing::verify_all(Context::Change, &[change.claim(key)]), [false]);
            }
        }
    }
}

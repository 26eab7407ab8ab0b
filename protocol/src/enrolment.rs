//! Enrolment: how a machine without a certificate gets one from its parent.
//!
//! ```text
//!  parent                                  paper, phone                 new machine
//!    invite ── Token (QR, text) ───────────────▶ ─────────────────────────▶ join
//!    │                                                                       │ makes a key
//!    │◀──────────── QUIC, ALPN cunlian-join/1, pinned to the parent's key ───│
//!    │◀──────────── JoinRequest: id, secret, key, signature over exporter ───│
//!    │ binds the invitation to the key, durably                              │
//!    │───────────── JoinReply: chain, name, clock ──────────────────────────▶│ checks it up to
//!                                                                              the root key
//! ```
//!
//! One bidirectional stream carries one frame each way:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | n, length of the rest, big-endian, at most [`FRAME_BYTES`] |
//! | 4 | n | [`JoinRequest`] or [`JoinReply`] in the postcard wire format |
//!
//! The request shows the secret itself, and not a value computed from it: the connection is
//! encrypted and ends at the key that the token names, so nobody else sees it, and the parent need
//! keep no more than a hash. Whoever copies the parent's store finds nothing to enrol with.
//! The signature of the new key covers the exporter of the TLS connection and every field, so that
//! a request is worth nothing on another connection, for another key or with another invitation.
//!
//! What it is not: it does not decide who is invited, when and for what; that is the parent node.

use core::fmt;
use core::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::hexadecimal;
use crate::id::{PublicKey, Signature};
use crate::limits;
use crate::session::Channel;
use crate::signing::{self, Context, SigningKey, public_key};
use crate::wire::{Bounded, CertificateBytes, SuccessionBytes, bounded_text};

mod token;

pub use token::{ADDRESS_BYTES, ADDRESSES, PREFIX, Token, TokenError};

/// Name of the protocol in the TLS handshake.
pub const ALPN: &[u8] = b"cunlian-join/1";
/// Largest frame, header excluded.
pub const FRAME_BYTES: usize = 64 << 10;
/// Longest name of a software version.
const SOFTWARE_BYTES: usize = 40;

const _: () = assert!(
    limits::CHAIN_CERTIFICATES * limits::CERTIFICATE_BYTES
        + limits::SUCCESSIONS * limits::SUCCESSION_BYTES
        + limits::NAME_BYTES
        + 64
        < FRAME_BYTES,
    "a chain and the successions must fit a frame"
);

/// Names one invitation; random, shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InvitationId(pub [u8; 8]);

impl fmt::Display for InvitationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(&self.0, out)
    }
}

impl fmt::Debug for InvitationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(&self.0, out)
    }
}

/// Text that is not the id of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of an invitation has 16 hexadecimal digits")]
pub struct InvitationIdError;

impl FromStr for InvitationId {
    type Err = InvitationIdError;

    fn from_str(text: &str) -> Result<Self, InvitationIdError> {
        hexadecimal::read(text).map(Self).ok_or(InvitationIdError)
    }
}

/// What only the holder of a token knows: 128 random bits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub [u8; 16]);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(not shown)")
    }
}

impl Secret {
    /// What the parent keeps of the secret of an invitation; the secret does not follow from it.
    pub fn hash(&self, invitation: InvitationId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 invitation secret");
        hasher.update(&invitation.0);
        hasher.update(&self.0);
        *hasher.finalize().as_bytes()
    }

    /// Whether this is the secret that was kept as `hash`; takes the same time for every answer.
    pub fn matches(&self, invitation: InvitationId, hash: &[u8; 32]) -> bool {
        // Hashes of BLAKE3 are compared in constant time.
        blake3::Hash::from_bytes(self.hash(invitation)) == blake3::Hash::from_bytes(*hash)
    }
}

/// What the new machine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Which invitation it has.
    pub invitation: InvitationId,
    /// Proves that it has it.
    pub secret: Secret,
    /// The key to be certified.
    pub subject: PublicKey,
    /// Its time, milliseconds since 1970-01-01 UTC; for the parent's log only.
    pub clock_ms: i64,
    /// Software version, for people.
    pub software: Bounded<u8, SOFTWARE_BYTES>,
    /// By the new key over the exporter of this TLS connection and the fields above.
    pub signature: Signature,
}

/// What the parent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinReply {
    /// The certificate; the same again for the same key.
    Issued {
        /// Certificates from the root side down to the new one.
        chain: Bounded<CertificateBytes, { limits::CHAIN_CERTIFICATES }>,
        /// Successions of the root, from the root key that the token names.
        successions: Bounded<SuccessionBytes, { limits::SUCCESSIONS }>,
        /// The parent's time, milliseconds since 1970-01-01 UTC, by which validity is judged.
        clock_ms: i64,
    },
    /// No certificate.
    Refused {
        /// One of [`RefusalCode`].
        code: u16,
        /// For people.
        words: Bounded<u8, { limits::REASON_BYTES }>,
    },
}

/// Why a parent gives no certificate, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum RefusalCode {
    /// The request is not one, or is not signed by the key of the connection.
    Malformed = 1,
    /// There is no such invitation, or the secret is wrong; which of both is not told.
    Unknown = 2,
    /// Too many wrong secrets were tried with this invitation.
    Locked = 3,
    /// The time of the invitation is over.
    Expired = 4,
    /// The invitation was taken back.
    Cancelled = 5,
    /// Another machine has used the invitation.
    Used = 6,
    /// Too many requests at a time; to be tried again.
    Busy = 7,
    /// The parent cannot issue now.
    Unavailable = 8,
}

impl RefusalCode {
    /// Every code, in order of its number.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Unknown,
        Self::Locked,
        Self::Expired,
        Self::Cancelled,
        Self::Used,
        Self::Busy,
        Self::Unavailable,
    ];

    /// The code with this number, if this version knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u16 == number)
    }

    /// Lower-case English word, as in logs, counters and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Locked => "locked",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A frame that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It announces too many bytes.
    #[error("a frame of {got} bytes; at most {FRAME_BYTES} are read")]
    TooLong {
        /// Bytes announced.
        got: usize,
    },
    /// It is not the message expected.
    #[error("a frame of {got} bytes is not the message expected")]
    Malformed {
        /// Bytes given.
        got: usize,
    },
}

/// Why a request proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It asks for another key than that of the connection.
    #[error("the key asked for is not the key of the connection")]
    OtherKey,
    /// The signature does not hold for this connection and these fields.
    #[error("the request is not signed for this connection")]
    Signature,
}

impl JoinRequest {
    /// A request for `key` over the connection `channel`.
    pub fn new(
        key: &SigningKey,
        token: &Token,
        channel: &Channel,
        clock_ms: i64,
        software: &str,
    ) -> Self {
        let mut request = Self {
            invitation: token.invitation,
            secret: token.secret.clone(),
            subject: public_key(key),
            clock_ms,
            software: bounded_text(software),
            signature: Signature([0; 64]),
        };
        request.signature = signing::sign(key, Context::Enrolment, &request.signed(channel));
        request
    }

    /// Checks that the owner of the key has made this request on this very connection.
    pub fn verify(&self, channel: &Channel) -> Result<(), RequestError> {
        if self.subject != channel.peer_key {
            return Err(RequestError::OtherKey);
        }
        let signed = self.signed(channel);
        signing::verify(&self.subject, Context::Enrolment, &signed, &self.signature)
            .map_err(|_| RequestError::Signature)
    }

    fn signed(&self, channel: &Channel) -> Vec<u8> {
        let Self { invitation, secret, subject, clock_ms, software, signature: _ } = self;
        let fields = (channel.exporter, invitation, secret, subject, clock_ms, software);
        postcard::to_allocvec(&fields).expect("a request has only encodable types")
    }
}

/// A message as a frame with its header.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    let body = postcard::to_allocvec(message).expect("a message has only encodable types");
    let length = u32::try_from(body.len()).expect("a message is bounded");
    [&length.to_be_bytes()[..], &body].concat()
}

/// How many bytes follow a header.
pub fn frame_length(header: [u8; 4]) -> Result<usize, FrameError> {
    let got = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if got > FRAME_BYTES { Err(FrameError::TooLong { got }) } else { Ok(got) }
}

/// The message in the bytes after a header, all of which it must fill.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Malformed { got: bytes.len() }),
    }
}

#[cfg(test)]
mod tests;

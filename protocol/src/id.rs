//! Identifiers of fixed length: documents, changes, certificates, keys.
//!
//! | type | bytes | origin |
//! |---|---|---|
//! | [`DocumentId`] | 16 | random, or derived from a base record by [`DocumentId::part`] |
//! | [`ChangeId`] | 32 | BLAKE3 of the signed bytes of the change |
//! | [`BlobId`] | 32 | BLAKE3 of the content |
//! | [`Serial`] | 16 | first 16 bytes of BLAKE3 of the signed bytes of the certificate |
//! | [`PublicKey`] | 32 | Ed25519 public key, RFC 8032 |
//! | [`Signature`] | 64 | Ed25519 signature, RFC 8032 |
//!
//! All are shown as lower-case hexadecimal text and serialised as their raw bytes.

use core::fmt;
use core::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::category::Category;
use crate::hexadecimal;

/// Text that is not the hexadecimal form of an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits, got {got:?}")]
pub struct IdError {
    /// How many digits the identifier has.
    pub expected: usize,
    /// The text that was given.
    pub got: String,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// From a slice of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                hexadecimal::write(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                hexadecimal::write(&self.0, out)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                hexadecimal::read(text)
                    .map(Self)
                    .ok_or_else(|| IdError { expected: 2 * $length, got: text.chars().take(80).collect() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                let mut tuple = serializer.serialize_tuple($length)?;
                for byte in &self.0 {
                    tuple.serialize_element(byte)?;
                }
                tuple.end()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Bytes;
                impl<'de> Visitor<'de> for Bytes {
                    type Value = [u8; $length];

                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(out, "{} bytes", $length)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                        let mut bytes = [0; $length];
                        for (at, byte) in bytes.iter_mut().enumerate() {
                            *byte = seq
                                .next_element()?
                                .ok_or_else(|| A::Error::invalid_length(at, &self))?;
                        }
                        Ok(bytes)
                    }
                }
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    return text.parse().map_err(D::Error::custom);
                }
                deserializer.deserialize_tuple($length, Bytes).map(Self)
            }
        }
    };
}

identifier!(
    /// One document: a record, a case or a catalogue entry, unique within its home.
    DocumentId,
    16
);
identifier!(
    /// One signed change.
    ChangeId,
    32
);
identifier!(
    /// One certificate, and by it the author it names.
    Serial,
    16
);
identifier!(
    /// The content of one photo or file.
    BlobId,
    32
);
identifier!(
    /// An Ed25519 public key.
    PublicKey,
    32
);
identifier!(
    /// An Ed25519 signature.
    Signature,
    64
);

impl DocumentId {
    /// The document that holds the part `category` of the record `self`.
    ///
    /// A person's identity number, phone or health are documents of their own, so that they never
    /// travel to who may not read them. Deriving the id keeps the link without storing one.
    #[must_use]
    pub fn part(self, category: Category) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 document part");
        hasher.update(&self.0);
        hasher.update(&category.0.to_be_bytes());
        let mut id = [0; Self::LENGTH];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

impl Serial {
    /// The serial of the certificate with these signed bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut id = [0; Self::LENGTH];
        blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut id);
        Self(id)
    }
}

impl ChangeId {
    /// The id of the change with these signed bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// A number that a parent gives its child at each welcome and the child presents at the next: two
/// machines with one identity cannot both present the last one. All zero when there is none.
pub type LineageToken = [u8; 16];

//! The equation of Ed25519, for one signature and for many at once.
//!
//! A signature `(R, s)` by key `A` over a message `M` holds when, with `h = SHA-512(R ‖ A ‖ M)`,
//!
//! ```text
//! one:   8 (s B − h A − R) = 0
//! many:  8 (Σ zᵢsᵢ B − Σ zᵢhᵢ Aᵢ − Σ zᵢ Rᵢ) = 0       zᵢ of 128 bits, from a hash of all of them
//! ```
//!
//! The terms of one key are added up before they meet the curve, which saves nearly half of the
//! work for a batch by few authors, as batches are.
//!
//! Both are the forms with the cofactor 8. Without it (as in strict verification, and in the batch
//! of the library) a hostile signer can make signatures that hold in some batches and not in
//! others; nodes would then refuse and keep the same change for ever. With it the answer does not
//! depend on what a signature is checked together with. Keys of small order, under which one
//! signature fits many messages, are refused.

use std::collections::BTreeMap;
use std::iter::once;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul as _;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha512};

use crate::id::{PublicKey, Signature};

const RANDOMNESS: &str = "cunlian 2026 batch of signatures";

/// One signature to check.
pub(super) struct Term {
    key: PublicKey,
    commitment: CompressedEdwardsY,
    response: Scalar,
    challenge: Scalar,
}

impl Term {
    /// `None` when the signature is not in its canonical form and holds for nothing. The message
    /// comes in parts.
    pub(super) fn new(key: PublicKey, message: [&[u8]; 3], signature: &Signature) -> Option<Self> {
        let (commitment, response) = signature.0.split_first_chunk::<32>()?;
        let response = Scalar::from_canonical_bytes(*response.first_chunk()?).into_option()?;
        let mut hash = Sha512::new();
        hash.update(commitment);
        hash.update(key.0);
        for part in message {
            hash.update(part);
        }
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Self { key, commitment: CompressedEdwardsY(*commitment), response, challenge })
    }

    /// Whether this signature holds.
    pub(super) fn holds(&self) -> bool {
        let Some((key, commitment)) = point(&self.key).zip(self.commitment.decompress()) else {
            return false;
        };
        let (challenge, response) = (&self.challenge, &self.response);
        let expected =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(challenge, &-key, response);
        (expected - commitment).is_small_order()
    }
}

/// Whether all hold; `false` does not say which one does not.
pub(super) fn all_hold(terms: &[Term]) -> bool {
    let mut keys: BTreeMap<PublicKey, Scalar> = BTreeMap::new();
    let mut factors = Vec::with_capacity(terms.len());
    let mut base = Scalar::ZERO;
    let mut random = randomness(terms);
    for term in terms {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let factor = Scalar::from(u128::from_le_bytes(bytes));
        base -= factor * term.response;
        *keys.entry(term.key).or_default() += factor * term.challenge;
        factors.push(factor);
    }
    let points = once(Some(ED25519_BASEPOINT_POINT))
        .chain(keys.keys().map(point))
        .chain(terms.iter().map(|term| term.commitment.decompress()));
    let scalars = once(base).chain(keys.values().copied()).chain(factors);
    EdwardsPoint::optional_multiscalar_mul(scalars, points).is_some_and(|sum| sum.is_small_order())
}

/// The point of a key; `None` for what is none, or of small order.
fn point(key: &PublicKey) -> Option<EdwardsPoint> {
    let key = VerifyingKey::from_bytes(&key.0).ok().filter(|key| !key.is_weak())?;
    Some(key.to_edwards())
}

/// Nobody can choose a signature to fit its factor, because the factors follow from all of them.
fn randomness(terms: &[Term]) -> blake3::OutputReader {
    let mut hash = blake3::Hasher::new_derive_key(RANDOMNESS);
    for term in terms {
        // The challenge stands for key, commitment and message, from which it was hashed.
        hash.update(term.challenge.as_bytes());
        hash.update(term.response.as_bytes());
    }
    hash.finalize_xof()
}

//! Ed25519 signatures with domain separation, and the type that trust is.
//!
//! What is signed is `context ‖ 0x00 ‖ bytes`; the context names the format and its version, so
//! that a signature made for one purpose is worthless for another.
//!
//! Signatures are checked by the rules of ZIP 215 (the equation with the cofactor 8), in which a
//! signature that holds alone holds in every batch and the other way round. By strict rules a
//! hostile signer can make one that holds in some batches only; nodes would then refuse and keep
//! the same change for ever. Beyond these rules, keys of small order are refused.

use core::convert::Infallible;
use std::borrow::Cow;

use ed25519_dalek::{Signer as _, VerifyingKey};
use ed25519_zebra::VerificationKeyBytes;
use ed25519_zebra::batch::{self, Item};
use rand_core::{TryCryptoRng, TryRng};

pub use ed25519_dalek::SigningKey;

use crate::id::{PublicKey, Signature};

const RANDOMNESS: &str = "cunlian 2026 batch of signatures";

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A certificate.
    Certificate,
    /// A signed change.
    Change,
    /// A revocation.
    Revocation,
    /// A hello, over the exporter of its TLS connection.
    Hello,
    /// A receipt for changes made durable.
    Receipt,
    /// An answer about which tiers hold what.
    Durability,
    /// A request for a certificate.
    Request,
    /// A request for a certificate by invitation, over the exporter of its TLS connection.
    Enrolment,
    /// A key's word on which key comes after it.
    Succession,
    /// A part of a bundle, as far as it goes.
    Bundle,
}

impl Context {
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Certificate => b"cunlian certificate 1",
            Self::Change => b"cunlian change 1",
            Self::Revocation => b"cunlian revocation 1",
            Self::Hello => b"cunlian hello 1",
            Self::Receipt => b"cunlian receipt 1",
            Self::Durability => b"cunlian custody 1",
            Self::Request => b"cunlian request 1",
            Self::Enrolment => b"cunlian enrolment 1",
            Self::Succession => b"cunlian succession 1",
            Self::Bundle => b"cunlian bundle 2",
        }
    }
}

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// The public half of `key`.
pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}

/// What is really signed for `bytes` in `context`.
pub fn message(context: Context, bytes: &[u8]) -> Vec<u8> {
    [context.text(), &[0], bytes].concat()
}

/// Signs `bytes` for `context`.
pub fn sign(key: &SigningKey, context: Context, bytes: &[u8]) -> Signature {
    Signature(key.sign(&message(context, bytes)).to_bytes())
}

/// Checks one signature; keys of small order are refused.
pub fn verify(
    key: &PublicKey,
    context: Context,
    bytes: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let item = item(key, &message(context, bytes), signature).ok_or(BadSignature)?;
    item.verify_single().map_err(|_| BadSignature)
}

/// One signature to check together with others.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// The bytes, without context.
    pub bytes: Cow<'a, [u8]>,
    /// The signature.
    pub signature: Signature,
}

/// Checks many signatures of one context and tells for each whether it holds, which does not
/// depend on the others.
///
/// The fast way is one equation for all, in which the terms of a key are added up: a third of the
/// work of single checks when they are by few keys. If it fails, each is checked alone.
pub fn verify_all(context: Context, claims: &[Claim<'_>]) -> Vec<bool> {
    let mut all = batch::Verifier::new();
    let mut random = blake3::Hasher::new_derive_key(RANDOMNESS);
    let items: Vec<Option<Item>> = claims
        .iter()
        .map(|claim| {
            let message = message(context, &claim.bytes);
            random.update(&(message.len() as u64).to_be_bytes());
            for part in [claim.key.0.as_slice(), &claim.signature.0, &message] {
                random.update(part);
            }
            item(&claim.key, &message, &claim.signature)
        })
        .collect();
    items.iter().flatten().for_each(|item| all.queue(item.clone()));
    // Even an empty equation has its cost.
    let whole = items.iter().all(Option::is_some);
    if claims.is_empty() || (whole && all.verify(Factors(random.finalize_xof())).is_ok()) {
        return vec![true; claims.len()];
    }
    let holds = |item: Option<Item>| item.is_some_and(|item| item.verify_single().is_ok());
    items.into_iter().map(holds).collect()
}

/// `None` for a key of small order, under which one signature fits many messages, and for what is
/// no key.
fn item(key: &PublicKey, message: &[u8], signature: &Signature) -> Option<Item> {
    VerifyingKey::from_bytes(&key.0).ok().filter(|key| !key.is_weak())?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    Some(Item::from((VerificationKeyBytes::from(key.0), signature, message)))
}

/// The factors of a batch follow from all that is in it, so that nobody can choose a signature to
/// fit them.
struct Factors(blake3::OutputReader);

impl TryRng for Factors {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Factors {}

#[cfg(test)]
mod tests;

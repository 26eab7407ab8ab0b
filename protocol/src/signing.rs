//! Ed25519 signatures with domain separation, and the type that trust is.
//!
//! What is signed is `context ‖ 0x00 ‖ bytes`; the context names the format and its version, so
//! that a signature made for one purpose is worthless for another.

use std::borrow::Cow;

use ed25519_dalek::Signer as _;

pub use ed25519_dalek::SigningKey;

use crate::id::{PublicKey, Signature};

mod equation;

use equation::Term;

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
    Custody,
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
            Self::Custody => b"cunlian custody 1",
            Self::Request => b"cunlian request 1",
            Self::Enrolment => b"cunlian enrolment 1",
            Self::Succession => b"cunlian succession 1",
            Self::Bundle => b"cunlian bundle 1",
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
    let term = Term::new(*key, [context.text(), &[0], bytes], signature);
    if term.is_some_and(|term| term.holds()) { Ok(()) } else { Err(BadSignature) }
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
/// The fast way is one equation for all, a third of the work of single checks when they are by
/// few keys. If it fails, each is checked alone.
pub fn verify_all(context: Context, claims: &[Claim<'_>]) -> Vec<bool> {
    let term = |claim: &Claim<'_>| {
        Term::new(claim.key, [context.text(), &[0], &claim.bytes], &claim.signature)
    };
    let all: Option<Vec<Term>> = claims.iter().map(term).collect();
    // Even an empty equation has its cost.
    if claims.is_empty() || all.is_some_and(|terms| equation::all_hold(&terms)) {
        return vec![true; claims.len()];
    }
    claims.iter().map(|claim| term(claim).is_some_and(|term| term.holds())).collect()
}

#[cfg(test)]
mod tests;

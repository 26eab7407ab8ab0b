//! Ed25519 signatures with domain separation, and the type that trust is.
//!
//! What is signed is `context ‖ 0x00 ‖ bytes`; the context names the format and its version, so
//! that a signature made for one purpose is worthless for another.

use std::borrow::Cow;

use ed25519_dalek::{Signer as _, VerifyingKey};

pub use ed25519_dalek::SigningKey;

use crate::id::{PublicKey, Signature};

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
    /// A request for a certificate.
    Request,
    /// A request for a certificate by invitation, over the exporter of its TLS connection.
    Enrolment,
    /// A key's word on which key comes after it.
    Succession,
}

impl Context {
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Certificate => b"cunlian certificate 1",
            Self::Change => b"cunlian change 1",
            Self::Revocation => b"cunlian revocation 1",
            Self::Hello => b"cunlian hello 1",
            Self::Receipt => b"cunlian receipt 1",
            Self::Request => b"cunlian request 1",
            Self::Enrolment => b"cunlian enrolment 1",
            Self::Succession => b"cunlian succession 1",
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

/// Checks one signature; keys of small order are refused (strict verification).
pub fn verify(
    key: &PublicKey,
    context: Context,
    bytes: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(&key.0).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(&message(context, bytes), &signature).map_err(|_| BadSignature)
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

/// Checks many signatures of one context and tells for each whether it holds.
///
/// The fast way is one batch equation (about half the time of single checks). If it fails, or
/// for keys of small order, which a batch would let through, each is checked alone.
pub fn verify_all(context: Context, claims: &[Claim<'_>]) -> Vec<bool> {
    // Even an empty equation has its cost.
    if claims.is_empty() || batch_holds(context, claims) == Some(true) {
        return vec![true; claims.len()];
    }
    claims
        .iter()
        .map(|claim| verify(&claim.key, context, &claim.bytes, &claim.signature).is_ok())
        .collect()
}

fn batch_holds(context: Context, claims: &[Claim<'_>]) -> Option<bool> {
    let messages: Vec<Vec<u8>> = claims.iter().map(|c| message(context, &c.bytes)).collect();
    let message_slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let signatures: Vec<_> =
        claims.iter().map(|c| ed25519_dalek::Signature::from_bytes(&c.signature.0)).collect();
    let mut keys: Vec<VerifyingKey> = Vec::with_capacity(claims.len());
    let mut previous: Option<(PublicKey, VerifyingKey)> = None;
    for claim in claims {
        let key = match previous {
            Some((public, key)) if public == claim.key => key,
            _ => VerifyingKey::from_bytes(&claim.key.0).ok().filter(|key| !key.is_weak())?,
        };
        previous = Some((claim.key, key));
        keys.push(key);
    }
    Some(ed25519_dalek::verify_batch(&message_slices, &signatures, &keys).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a signature made in one context does not hold in another.
    #[test]
    fn contexts_are_separate() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = sign(&key, Context::Change, b"x");
        assert_eq!(verify(&public_key(&key), Context::Change, b"x", &signature), Ok(()));
        assert_eq!(
            verify(&public_key(&key), Context::Certificate, b"x", &signature),
            Err(BadSignature)
        );
    }

    /// Shows that one bad signature in a batch is found and does not condemn the others.
    #[test]
    fn a_bad_signature_in_a_batch_is_the_only_one_refused() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let claims: Vec<Claim<'_>> = [b"a", b"b", b"c"]
            .into_iter()
            .map(|bytes| Claim {
                key: public_key(&key),
                bytes: bytes.into(),
                signature: sign(&key, Context::Change, if bytes == b"b" { b"z" } else { bytes }),
            })
            .collect();
        assert_eq!(verify_all(Context::Change, &claims), [true, false, true]);
    }
}

//! Successions: a key names the key that comes after it.
//!
//! The root names its next root; a node that changes its key names the new one to those who know
//! it by the old. A succession is `version ‖ body ‖ signature of the old key ‖ signature of the
//! new key`:
//!
//! | part | bytes | content |
//! |---|---|---|
//! | version | 1 | 1 |
//! | body | n | [`SuccessionBody`] in the postcard wire format |
//! | old | 64 | Ed25519 of the old key over [`Context::Succession`], version and body |
//! | new | 64 | Ed25519 of the new key over the same |
//!
//! The second signature shows that the new key exists and its holder agrees.

use serde::{Deserialize, Serialize};

use crate::id::{PublicKey, Serial, Signature};
use crate::limits;
use crate::signing::{self, Context, SigningKey};

/// The version this crate writes and reads.
pub const VERSION: u8 = 1;

/// What a succession says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessionBody {
    /// The key that steps back.
    pub old: PublicKey,
    /// The key that takes its place.
    pub new: PublicKey,
    /// Of a root: the certificates signed by the old key that stand; no other does any more.
    pub stands: Vec<Serial>,
}

/// A succession whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    body: SuccessionBody,
    bytes: Vec<u8>,
}

/// Bytes that are not a succession, or one that its keys did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a succession, or not signed by the old and the new key")]
pub struct BadSuccession;

impl SuccessionBody {
    /// Signs the succession with both keys.
    pub fn sign(&self, old: &SigningKey, new: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(self).expect("a body has only encodable types"));
        let by_old = signing::sign(old, Context::Succession, &bytes);
        let by_new = signing::sign(new, Context::Succession, &bytes);
        bytes.extend_from_slice(&by_old.0);
        bytes.extend_from_slice(&by_new.0);
        bytes
    }
}

impl Succession {
    /// Checks both signatures.
    pub fn verify(bytes: &[u8]) -> Result<Self, BadSuccession> {
        if bytes.len() > limits::SUCCESSION_BYTES {
            return Err(BadSuccession);
        }
        let (rest, by_new) = bytes.split_last_chunk().ok_or(BadSuccession)?;
        let (signed, by_old) = rest.split_last_chunk().ok_or(BadSuccession)?;
        let Some((&VERSION, body)) = signed.split_first() else { return Err(BadSuccession) };
        let Ok((body, [])) = postcard::take_from_bytes::<SuccessionBody>(body) else {
            return Err(BadSuccession);
        };
        let check = |key, signature: &[u8; Signature::LENGTH]| {
            signing::verify(key, Context::Succession, signed, &Signature(*signature))
                .map_err(|_| BadSuccession)
        };
        check(&body.old, by_old)?;
        check(&body.new, by_new)?;
        Ok(Self { body, bytes: bytes.to_vec() })
    }

    /// What it says.
    pub fn body(&self) -> &SuccessionBody {
        &self.body
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether successions among `list` lead from `old` to `new`.
pub fn leads(list: &[Succession], old: &PublicKey, new: &PublicKey) -> bool {
    let mut at = *old;
    for _ in 0..=list.len() {
        if at == *new {
            return true;
        }
        match list.iter().find(|succession| succession.body.old == at) {
            Some(succession) => at = succession.body.new,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that both keys must have signed, and that successions lead step by step.
    #[test]
    fn both_keys_sign() {
        let keys: Vec<SigningKey> =
            (1..4).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
        let [a, b, c] = keys.as_slice() else { unreachable!() };
        let step = |old: &SigningKey, new: &SigningKey| SuccessionBody {
            old: signing::public_key(old),
            new: signing::public_key(new),
            stands: Vec::new(),
        };
        let first = Succession::verify(&step(a, b).sign(a, b)).unwrap();
        let second = Succession::verify(&step(b, c).sign(b, c)).unwrap();
        assert_eq!(Succession::verify(&step(a, b).sign(c, b)), Err(BadSuccession));
        assert_eq!(Succession::verify(&step(a, b).sign(a, c)), Err(BadSuccession));
        let [a, b, c] = [a, b, c].map(signing::public_key);
        assert!(leads(&[second.clone(), first.clone()], &a, &c));
        assert!(!leads(&[second], &a, &c));
        assert!(!leads(&[first], &b, &a));
    }
}

//! Renewals: a certified author asks its issuer for the next certificate.
//!
//! `version ‖ body ‖ signature`: version 1, the [`Renewal`] in the postcard wire format, and the
//! Ed25519 signature of the new key over [`Context::Request`]. It travels inside a session, which
//! shows who holds the old key; the signature shows that the new key exists and its holder agrees.

use serde::{Deserialize, Serialize};

use crate::id::{PublicKey, Serial, Signature};
use crate::signing::{self, Context, SigningKey, public_key};

/// The version this crate writes and reads.
pub const VERSION: u8 = 1;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The certificate that the new one follows.
    pub previous: Serial,
    /// Key of the new certificate; the old key unless it is changed.
    pub subject: PublicKey,
}

impl Renewal {
    /// Asks for a certificate for `key` after `previous`.
    pub fn sign(previous: Serial, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let body = Self { previous, subject: public_key(key) };
        bytes.extend(postcard::to_allocvec(&body).expect("a renewal has only encodable types"));
        let signature = signing::sign(key, Context::Request, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }

    /// Reads a request and checks that the new key signed it; `None` when it does not hold.
    pub fn verify(bytes: &[u8]) -> Option<Self> {
        let (signed, signature) = bytes.split_last_chunk()?;
        let body: Self = match signed.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
                Ok((body, [])) => body,
                _ => return None,
            },
            _ => return None,
        };
        let key = body.subject;
        signing::verify(&key, Context::Request, signed, &Signature(*signature)).ok()?;
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a renewal names the key that signed it, and that no flipped bit passes.
    #[test]
    fn a_renewal_is_signed_by_the_new_key() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let bytes = Renewal::sign(Serial([1; 16]), &key);
        let read = Renewal { previous: Serial([1; 16]), subject: public_key(&key) };
        assert_eq!(Renewal::verify(&bytes), Some(read));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            if let Some(byte) = flipped.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(Renewal::verify(&flipped), None, "bit {bit}");
        }
    }
}

//! Receipts: a node's signed word that it holds changes durably.
//!
//! A receipt is `version ‖ body ‖ signature` as a certificate is. It drives the status people see
//! (仅本机 / 已到镇 / 已到县), so it is given only after the transaction is on disk.

use serde::{Deserialize, Serialize};

use crate::id::{ChangeId, PublicKey, Serial, Signature};
use crate::signing::{self, Context, SigningKey};

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who holds the changes.
    pub holder: Serial,
    /// When they became durable there, milliseconds since 1970-01-01 UTC.
    pub accepted_at_ms: i64,
    /// How many changes.
    pub count: u64,
    /// BLAKE3 of their ids, in the order of the batch.
    pub digest: [u8; 32],
}

impl Receipt {
    /// For these changes.
    pub fn new<'a>(
        holder: Serial,
        accepted_at_ms: i64,
        ids: impl Iterator<Item = &'a ChangeId>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut count = 0;
        for id in ids {
            hasher.update(&id.0);
            count += 1;
        }
        Self { holder, accepted_at_ms, count, digest: *hasher.finalize().as_bytes() }
    }

    /// Signs it with the holder's key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![1];
        let body = postcard::to_allocvec(self).expect("a receipt has only encodable types");
        bytes.extend_from_slice(&body);
        let signature = signing::sign(key, Context::Receipt, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }

    /// Reads a receipt and checks that `key` signed it; `None` when it does not hold.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Option<Self> {
        let (signed, signature) = bytes.split_last_chunk()?;
        signing::verify(key, Context::Receipt, signed, &Signature(*signature)).ok()?;
        match signed.split_first() {
            Some((1, body)) => match postcard::take_from_bytes(body) {
                Ok((receipt, [])) => Some(receipt),
                _ => None,
            },
            _ => None,
        }
    }
}

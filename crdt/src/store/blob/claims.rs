//! Which peer is giving which blob, so that two do not give the same one at the same time.
//!
//! In memory only: a claim is worth nothing after a restart. One that is not renewed by a chunk
//! runs out, and another peer is asked for the rest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cunlian_protocol::id::PublicKey;

/// How long a claim stands without a chunk: on a line of 8 kB/s one takes eight seconds.
const CLAIM_MS: i64 = 30_000;
/// Most claims remembered; beyond it blobs may be given twice.
const CLAIMS: usize = 10_000;

/// The claims of all peers.
#[derive(Debug, Default)]
pub(in crate::store) struct Claims(Mutex<BTreeMap<i64, (PublicKey, i64)>>);

impl Claims {
    /// Whether another peer is giving this blob.
    pub(super) fn is_taken(&self, number: i64, from: &PublicKey, at_ms: i64) -> bool {
        let claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(&number).is_some_and(|(by, until_ms)| by != from && at_ms < *until_ms)
    }

    /// This peer is giving this blob; `false` when another one is.
    pub(super) fn take(&self, number: i64, from: PublicKey, at_ms: i64) -> bool {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken =
            claims.get(&number).is_some_and(|(by, until_ms)| *by != from && at_ms < *until_ms);
        if claims.len() >= CLAIMS {
            claims.retain(|_, (_, until_ms)| at_ms < *until_ms);
        }
        if !taken && claims.len() < CLAIMS {
            claims.insert(number, (from, at_ms + CLAIM_MS));
        }
        !taken
    }

    /// The blob is whole, or wanted no more.
    pub(super) fn drop(&self, number: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

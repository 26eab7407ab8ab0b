//! Which peer is giving which blob, and which blobs are not asked of a peer because no more is taken.
//!
//! Two peers do not give the same blob at the same time: a *claim* that is not renewed by a chunk
//! runs out, and another peer is asked for the rest. What was *passed over* is shown to people
//! beside the photo that does not come.
//!
//! In memory only: a claim is worth nothing after a restart, and sessions look again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cunlian_protocol::id::PublicKey;

/// How long a claim stands without a chunk: on a line of 8 kB/s one takes eight seconds.
const CLAIM_MS: i64 = 30_000;
/// Most claims remembered; beyond it blobs may be given twice.
const CLAIMS: usize = 10_000;
/// Most blobs remembered as passed over; those beyond are shown as on their way.
const PASSED_OVER: usize = 10_000;

/// The claims of all peers, and what was passed over, by the numbers of the blobs.
#[derive(Debug, Default)]
pub(in crate::store) struct Claims {
    taken: Mutex<BTreeMap<i64, (PublicKey, i64)>>,
    passed_over: Mutex<BTreeMap<i64, (PublicKey, Arc<str>)>>,
}

impl Claims {
    /// Whether another peer is giving this blob.
    pub(super) fn is_taken(&self, number: i64, from: &PublicKey, at_ms: i64) -> bool {
        let claims = lock(&self.taken);
        claims.get(&number).is_some_and(|(by, until_ms)| by != from && at_ms < *until_ms)
    }

    /// This peer is giving this blob; `false` when another one is.
    pub(super) fn take(&self, number: i64, from: PublicKey, at_ms: i64) -> bool {
        let mut claims = lock(&self.taken);
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
        lock(&self.taken).remove(&number);
        lock(&self.passed_over).remove(&number);
    }

    /// These blobs are not asked of this peer, for this reason; `asked` are.
    pub(super) fn pass_over(&self, from: PublicKey, (numbers, why): (&[i64], &str), asked: &[i64]) {
        let mut passed_over = lock(&self.passed_over);
        for number in asked {
            passed_over.remove(number);
        }
        let why: Arc<str> = Arc::from(why);
        for number in numbers {
            if passed_over.len() < PASSED_OVER || passed_over.contains_key(number) {
                passed_over.insert(*number, (from, Arc::clone(&why)));
            }
        }
    }

    /// Why this blob is not asked for, if it is not.
    pub(super) fn why(&self, number: i64) -> Option<String> {
        lock(&self.passed_over).get(&number).map(|(_, why)| why.as_ref().to_owned())
    }

    /// What was passed over, of which peer and why.
    pub(super) fn passed_over(&self) -> BTreeMap<i64, (PublicKey, Arc<str>)> {
        lock(&self.passed_over).clone()
    }

    /// The bounds for a peer are others now.
    pub(in crate::store) fn forget(&self, from: &PublicKey) {
        lock(&self.passed_over).retain(|_, (by, _)| by != from);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

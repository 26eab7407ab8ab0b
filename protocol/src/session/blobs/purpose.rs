//! Why the store is asked for what another node wants of a blob.

use crate::blob::BlobName;
use crate::key::KeyPrefix;

/// Why the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::session) enum Purpose {
    /// For a question, about this document and blob.
    Bytes(KeyPrefix, BlobName),
    /// For the question which of these are held.
    Held(Vec<(KeyPrefix, BlobName)>),
    /// How far these, which are owed, have got.
    Owed(Vec<(KeyPrefix, BlobName)>),
    /// What is to be asked of an ancestor, for these tiers.
    Unreached(u8),
    /// Nothing waits for it.
    Mark,
}

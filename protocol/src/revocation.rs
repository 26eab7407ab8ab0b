//! Revocations: a certificate that holds no longer, and what of its holder's work stands.
//!
//! A revocation is `version ‖ body ‖ signature`:
//!
//! | part | bytes | content |
//! |---|---|---|
//! | version | 1 | 1 |
//! | body | n | [`RevocationBody`] in the postcard wire format, fields in order of declaration |
//! | signature | 64 | Ed25519 over [`Context::Revocation`], version and body |
//!
//! It is signed by the issuer of the revoked certificate, by one further above it, or by the root,
//! and needs no clock: the holder numbers its changes, and those up to a number stand.
//!
//! A stolen key can sign changes under numbers that were used before. So a revocation also names
//! the last changes that stand, by the first bytes of their ids ([`Standing::tags`]): another
//! change under one of these numbers does not stand, whenever and from wherever it comes.
//!
//! Nothing stands that the holder of a revoked certificate certified, except what the revocation
//! lists ([`RevocationBody::descendants`]): a thief with a node's key could otherwise make itself
//! operators of last year. It may list the revoked certificate itself among them: that says what
//! stands of everybody below who is not listed. Who revokes cannot always know them all: a node
//! that was set back to an older state of itself has forgotten whom it certified since.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ChangeId, PublicKey, Serial, Signature};
use crate::limits;
use crate::signing::{self, Context, SigningKey};

/// The version this crate writes and reads.
pub const VERSION: u8 = 1;

/// The first bytes of a change's id; all zero when who revokes does not know the change.
pub type Tag = [u8; 8];

/// What of one author's work stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Certificate of the author.
    pub serial: Serial,
    /// Number of the last change that stands; `u64::MAX` when all do, later ones included.
    pub through_seq: u64,
    /// Tags of the last changes that stand, ending with number `through_seq`; may be empty.
    pub tags: Vec<Tag>,
}

impl Standing {
    /// Everything by this author, now and later.
    pub fn all(serial: Serial) -> Self {
        Self { serial, through_seq: u64::MAX, tags: Vec::new() }
    }

    /// Whether change number `seq` stands; its id is looked at if it is given.
    pub fn covers(&self, seq: u64, id: Option<&ChangeId>) -> bool {
        if seq > self.through_seq {
            return false;
        }
        let from_end = usize::try_from(self.through_seq - seq).unwrap_or(usize::MAX);
        let tag = self.tags.iter().rev().nth(from_end);
        match (tag, id) {
            (Some(tag), Some(id)) => *tag == [0; 8] || id.0.starts_with(tag),
            _ => true,
        }
    }
}

/// What a revocation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationBody {
    /// The revoked certificate, and what of its holder's own work stands.
    pub own: Standing,
    /// The certificate that takes its place, when it was replaced and its holder not dismissed.
    pub successor: Option<Serial>,
    /// Those below the revoked certificate whose work stands, in full or in part; of others
    /// nothing does, or what is said here under the serial of the revoked certificate itself.
    pub descendants: Vec<Standing>,
    /// Why, for people.
    pub reason: String,
    /// Who revokes; `None` for the root.
    pub issuer: Option<Serial>,
}

/// Why a revocation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The bytes are not a revocation.
    #[error("not a revocation ({got} bytes)")]
    Malformed {
        /// Bytes given.
        got: usize,
    },
    /// The certificate, or who revokes it, is unknown here.
    #[error("the revocation names the unknown certificate {serial}")]
    Unknown {
        /// The unknown serial.
        serial: Serial,
    },
    /// Only the issuer or an ancestor may revoke.
    #[error("who revoked {serial} is neither its issuer nor above it")]
    NotAbove {
        /// The certificate that was to be revoked.
        serial: Serial,
    },
    /// There is no room for it beside others that are more.
    #[error(
        "the revocation of {serial} does not count: there is no room beside those that go first"
    )]
    Crowded {
        /// The certificate that was to be revoked.
        serial: Serial,
    },
    /// The signature does not hold.
    #[error("the signature on the revocation of {serial} does not hold")]
    Signature {
        /// The certificate that was to be revoked.
        serial: Serial,
    },
}

/// Name of a revocation: the BLAKE3 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub [u8; 32]);

/// A revocation whose signature and place above the revoked certificate were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    id: RevocationId,
    body: Arc<RevocationBody>,
    bytes: Arc<[u8]>,
    /// Of the certificate of who signed it; 0 of the root.
    depth: usize,
}

/// Which of two revocations is kept when there is no room for both: the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Of who signed it: those further above come first.
    depth: usize,
    /// Who is dismissed comes before who was replaced.
    is_replaced: bool,
    /// What leaves less comes first.
    through_seq: u64,
    id: RevocationId,
}

impl Rank {
    /// Of a revocation signed by one with a certificate of this depth.
    pub(crate) fn of(body: &RevocationBody, depth: usize, id: RevocationId) -> Self {
        let (is_replaced, through_seq) = (body.successor.is_some(), body.own.through_seq);
        Self { depth, is_replaced, through_seq, id }
    }
}

impl Revocation {
    /// Reads a body without trusting anything, to find who has to have signed it.
    pub fn peek(bytes: &[u8]) -> Result<RevocationBody, RevocationError> {
        split(bytes).map(|(body, _, _)| body)
    }

    /// Checks `bytes` against the key of who revokes.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Self, RevocationError> {
        let (body, signed, signature) = split(bytes)?;
        signing::verify(key, Context::Revocation, signed, &signature)
            .map_err(|_| RevocationError::Signature { serial: body.own.serial })?;
        Ok(Self { id: Self::id_of(bytes), body: Arc::new(body), bytes: bytes.into(), depth: 0 })
    }

    /// The id of these bytes.
    pub fn id_of(bytes: &[u8]) -> RevocationId {
        RevocationId(*blake3::hash(bytes).as_bytes())
    }

    /// The same, signed by one with a certificate of this depth.
    #[must_use]
    pub(crate) fn signed_at(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Its place among others.
    pub(crate) fn rank(&self) -> Rank {
        Rank::of(&self.body, self.depth, self.id)
    }

    /// Its id.
    pub fn id(&self) -> RevocationId {
        self.id
    }

    /// What it says.
    pub fn body(&self) -> &RevocationBody {
        &self.body
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What stands of `author`, whose chain the revoked certificate is in; `None` for nothing.
    pub fn standing(&self, author: &Serial) -> Option<&Standing> {
        if self.body.own.serial == *author {
            return Some(&self.body.own);
        }
        let listed = |serial| self.body.descendants.iter().find(move |s| s.serial == serial);
        listed(*author).or_else(|| listed(self.body.own.serial))
    }

    /// Whether everybody below stands, known to who revoked or not.
    pub fn leaves_all(&self) -> bool {
        let all = Standing::all(self.body.own.serial);
        self.body.descendants.len() == 1 && self.body.descendants.contains(&all)
    }
}

impl RevocationBody {
    /// Signs the revocation with the issuer's key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let body = postcard::to_allocvec(self).expect("a body has only encodable types");
        bytes.extend_from_slice(&body);
        let signature = signing::sign(key, Context::Revocation, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }
}

fn split(bytes: &[u8]) -> Result<(RevocationBody, &[u8], Signature), RevocationError> {
    let malformed = RevocationError::Malformed { got: bytes.len() };
    let fits = bytes.len() <= limits::REVOCATION_BYTES;
    let Some((signed, signature)) = bytes.split_last_chunk().filter(|_| fits) else {
        return Err(malformed);
    };
    match signed.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((body, [])) if holds_few_tags(&body) => Ok((body, signed, Signature(*signature))),
            _ => Err(malformed),
        },
        _ => Err(malformed),
    }
}

fn holds_few_tags(body: &RevocationBody) -> bool {
    let listed = core::iter::once(&body.own).chain(&body.descendants);
    listed.map(|standing| standing.tags.len()).sum::<usize>() <= limits::REVOCATION_TAGS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that numbers beyond the last do not stand, and that under a tagged number only the
    /// tagged change does.
    #[test]
    fn another_change_under_a_used_number_does_not_stand() {
        let standing = Standing {
            serial: Serial([1; 16]),
            through_seq: 5,
            tags: vec![[0; 8], [4; 8], [5; 8]],
        };
        let id = |byte| ChangeId([byte; 32]);
        assert!(standing.covers(5, Some(&id(5))));
        assert!(!standing.covers(5, Some(&id(9))));
        assert!(standing.covers(4, Some(&id(4))));
        assert!(standing.covers(3, Some(&id(9))), "unknown to who revoked");
        assert!(standing.covers(1, Some(&id(9))), "before the tags");
        assert!(!standing.covers(6, None));
        assert!(Standing::all(Serial([1; 16])).covers(u64::MAX, Some(&id(9))));
    }
}

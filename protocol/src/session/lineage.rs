//! Lineage tokens: what a parent gives its child at each welcome, and knows again.
//!
//! | bytes | what |
//! |---|---|
//! | 6 | when it was given, milliseconds since 1970-01-01 UTC by the parent's trusted time, big-endian |
//! | 4 | first bytes of a hash of the exporter of the connection under the parent's key |
//! | 6 | first bytes of a hash of the ten before and of the child's key, under the parent's key |
//!
//! The child keeps it and presents it as it is. Only the parent can tell that it gave it, to whom,
//! and which of two it gave later. That is what shows a parent that was set back to an older state
//! of itself that it was: a child presents a token that it gave after all those it remembers. Any
//! other token that it does not expect is the child's trouble, see the store's `line`.

use super::Session;
use crate::id::PublicKey;
use crate::wire::LineageToken;

/// Bytes in front that say when a token was given: of two tokens of one parent the later has the
/// greater ones.
pub const GIVEN_AT_BYTES: usize = 6;
/// Bytes at the end that show who gave it, and to whom.
const PROOF_BYTES: usize = 6;

impl Session {
    /// Makes the token that this child is given on this connection.
    pub(super) fn make_lineage_token(&mut self, child: &PublicKey) {
        let at_ms = u64::try_from(self.wall_ms()).unwrap_or_default().to_be_bytes();
        let mut hasher = self.lineage_hasher("cunlian 2026-11 line token");
        let mut nonce = hasher.update(&self.channel.exporter).finalize_xof();
        let mut token = LineageToken::default();
        let (given_at, rest) = token.split_at_mut(GIVEN_AT_BYTES);
        given_at.copy_from_slice(at_ms.last_chunk::<GIVEN_AT_BYTES>().expect("six of eight"));
        nonce.fill(rest);
        let proof = self.lineage_proof(child, &token);
        *token.last_chunk_mut().expect("a token is longer than its proof") = proof;
        self.renewing.lineage = token;
    }

    /// Whether this node gave this child that token.
    pub(super) fn gave_lineage_token(&self, child: &PublicKey, token: &LineageToken) -> bool {
        token.ends_with(&self.lineage_proof(child, token))
    }

    /// The last bytes of a token, made from the ones before.
    fn lineage_proof(&self, child: &PublicKey, token: &LineageToken) -> [u8; PROOF_BYTES] {
        let (covered, _) = token.split_at(size_of::<LineageToken>() - PROOF_BYTES);
        let mut hasher = self.lineage_hasher("cunlian 2026-11 line token given");
        let mut proof = [0; PROOF_BYTES];
        hasher.update(covered).update(&child.0).finalize_xof().fill(&mut proof);
        proof
    }

    fn lineage_hasher(&self, purpose: &str) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(&self.identity.key.to_bytes());
        hasher
    }
}

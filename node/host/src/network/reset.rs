//! Saying at once that a connection is no more.
//!
//! A process that was killed has told nobody. When it is back, its peers still send into
//! connections that it does not know, and would notice only after the idle time. QUIC answers such
//! packets with a stateless reset (RFC 9000 section 10.3), whose token the new process can only
//! make if it follows from something that outlives the old one: here, from the node's key.

use std::sync::Arc;

use cunlian_protocol::signing::SigningKey;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use rand::Rng as _;

/// Random bytes of a connection id.
const ID_BYTES: usize = 8;
const TOKEN_BYTES: usize = 32;

/// Configuration of the endpoint of a node with this key.
pub fn configure(key: &SigningKey) -> EndpointConfig {
    let secret = blake3::derive_key("cunlian 2026-11 quic stateless reset", &key.to_bytes());
    let mut config = EndpointConfig::new(Arc::new(ResetKey(secret)));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

struct ResetKey([u8; 32]);

impl ResetKey {
    fn token(&self, data: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, data)
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(self.token(data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        TOKEN_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Hashes compare in constant time.
        let given = <[u8; TOKEN_BYTES]>::try_from(signature).map_err(|_| CryptoError)?;
        if self.token(data) == given { Ok(()) } else { Err(CryptoError) }
    }
}

/// Ids without structure: quinn's own carry a hash by which a new process would take those of the
/// old one for noise, and drop the packet instead of answering it.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; ID_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

//! Sealing: what only one node can open.
//!
//! Nodes have Ed25519 keys and no others. The X25519 key of a node is its Ed25519 key in
//! Montgomery form, and the secret for it the first half of the SHA-512 of its seed, clamped, as
//! other programs convert such keys.
//!
//! | value | how it is made |
//! |---|---|
//! | ephemeral key | X25519 key of 32 random bytes, for one bundle; the random bytes are forgotten |
//! | shared secret | X25519 of one's secret and the other's key, for the ephemeral key and that of the receiver; not zero |
//! | key of a part | BLAKE3 `derive_key` with the context `cunlian 2026 bundle 2 key of a part` over shared secret, ephemeral key, X25519 key of the receiver, and the BLAKE3 of all bytes of the part up to the end of the cover: 4 × 32 bytes |
//! | sealed frame | ChaCha20-Poly1305 (RFC 8439) of the frame, kind and body, under the key of the part; the tag of 16 bytes at its end; no associated data |
//! | nonce | three zero bytes; number of the sealed frame in its part from 0, eight bytes big-endian; 1 in the last sealed frame of the part and 0 in all others |
//!
//! Because the key of a part follows from the cover, sealed frames open only under the cover, the
//! exporter in it included, under which they were made; because the nonce is the number, only in
//! their order and with their end.
//!
//! What it is not: a proof of who made it. That is the signature in the stamps, over the sealed
//! frames as they stand in the file.

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::signing::SigningKey;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::IsIdentity as _;
use zeroize::Zeroizing;

/// Bytes of the tag of a sealed frame.
pub(super) const TAG_BYTES: usize = 16;

const CONTEXT: &str = "cunlian 2026 bundle 2 key of a part";

/// What exporter and receiver share, and nobody else has.
pub(super) struct Agreement {
    shared: Zeroizing<[u8; 32]>,
    ephemeral: [u8; 32],
    receiver: [u8; 32],
}

impl Agreement {
    /// At the exporter, who makes the ephemeral key of random bytes. `None` for what is no key
    /// or one of small order, under which everybody would agree on the same.
    pub(super) fn of_exporter(random: &[u8; 32], receiver: &PublicKey) -> Option<Self> {
        let receiver = CompressedEdwardsY(receiver.0).decompress();
        let receiver = receiver.filter(|point| !point.is_small_order())?.to_montgomery();
        let ephemeral = MontgomeryPoint::mul_base_clamped(*random);
        Self::new(receiver.mul_clamped(*random), ephemeral, receiver)
    }

    /// At the receiver. `None` for an ephemeral key of small order.
    pub(super) fn of_receiver(key: &SigningKey, ephemeral: [u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(key.to_scalar_bytes());
        let ephemeral = MontgomeryPoint(ephemeral);
        let receiver = MontgomeryPoint::mul_base_clamped(*secret);
        Self::new(ephemeral.mul_clamped(*secret), ephemeral, receiver)
    }

    fn new(
        shared: MontgomeryPoint,
        ephemeral: MontgomeryPoint,
        receiver: MontgomeryPoint,
    ) -> Option<Self> {
        let shared = Zeroizing::new(shared);
        (!shared.is_identity()).then(|| Self {
            shared: Zeroizing::new(shared.to_bytes()),
            ephemeral: ephemeral.to_bytes(),
            receiver: receiver.to_bytes(),
        })
    }

    /// The public half of what the exporter made.
    pub(super) fn ephemeral(&self) -> [u8; 32] {
        self.ephemeral
    }

    /// What seals and opens the frames of a part, for the BLAKE3 of it up to the end of its cover.
    pub(super) fn part(&self, cover: &blake3::Hash) -> Sealing {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(self.shared.as_slice()).update(&self.ephemeral);
        hasher.update(&self.receiver).update(cover.as_bytes());
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        Sealing { cipher: ChaCha20Poly1305::new(&Key::from(*key)), frames: 0 }
    }
}

/// The sealed frames of one part, one after the other.
pub(super) struct Sealing {
    cipher: ChaCha20Poly1305,
    /// Frames sealed or opened so far.
    frames: u64,
}

impl Sealing {
    /// Seals kind and body of a frame.
    pub(super) fn seal(&mut self, frame: &[u8], is_last: bool) -> Vec<u8> {
        let nonce = self.nonce(is_last);
        self.cipher.encrypt(&nonce, frame).expect("a frame is far below what can be sealed")
    }

    /// Opens what [`Sealing::seal`] gave for the same number; `None` when it is something else.
    pub(super) fn open(&mut self, sealed: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let nonce = self.nonce(is_last);
        self.cipher.decrypt(&nonce, sealed).ok()
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let number = self.frames.to_be_bytes();
        self.frames += 1;
        let mut nonce = [0; 12];
        let bytes = [0; 3].into_iter().chain(number).chain([u8::from(is_last)]);
        for (slot, byte) in nonce.iter_mut().zip(bytes) {
            *slot = byte;
        }
        Nonce::from(nonce)
    }
}

#[cfg(test)]
mod tests {
    use cunlian_protocol::signing::public_key;

    use super::*;

    /// Shows that keys are converted as elsewhere: this pair is in the tests of libsodium.
    #[test]
    fn keys_are_converted_as_elsewhere() {
        let seed = "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee";
        let expected = "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50";
        let seed: PublicKey = seed.parse().expect("64 digits");
        let key = SigningKey::from_bytes(&seed.0);
        let random = [7; 32];
        let there = Agreement::of_exporter(&random, &public_key(&key)).expect("a sound key");
        assert_eq!(PublicKey(there.receiver).to_string(), expected);
        let here = Agreement::of_receiver(&key, there.ephemeral()).expect("a sound key");
        assert_eq!(PublicKey(here.receiver).to_string(), expected);
        assert_eq!(*here.shared, *there.shared);
    }

    /// Shows that nothing is sealed for, or opened with, a key under which all would agree on the
    /// same secret.
    #[test]
    fn keys_of_small_order_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(Agreement::of_exporter(&[7; 32], &PublicKey(identity)).is_none());
        for small in [[0; 32], identity] {
            assert!(Agreement::of_receiver(&SigningKey::from_bytes(&[9; 32]), small).is_none());
        }
    }

    /// Shows that frames open in their order, with their end, under their cover, and not
    /// otherwise.
    #[test]
    fn frames_open_in_their_place_only() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let there = Agreement::of_exporter(&[7; 32], &public_key(&key)).expect("a sound key");
        let here = Agreement::of_receiver(&key, there.ephemeral()).expect("a sound key");
        let cover = blake3::hash(b"cover");
        let mut sealing = there.part(&cover);
        let first = sealing.seal(b"first", false);
        let last = sealing.seal(b"last", true);
        let open = |cover: &blake3::Hash, frames: &[(&[u8], bool)]| {
            let mut sealing = here.part(cover);
            let opened = frames.iter().map(|(sealed, is_last)| sealing.open(sealed, *is_last));
            opened.collect::<Option<Vec<_>>>().map(|list| list.concat())
        };
        let whole = [(first.as_slice(), false), (last.as_slice(), true)];
        assert_eq!(open(&cover, &whole), Some(b"firstlast".to_vec()));
        assert_eq!(open(&cover, &[(first.as_slice(), true)]), None, "cut");
        assert_eq!(open(&cover, &[(last.as_slice(), true)]), None, "the first one left out");
        assert_eq!(open(&cover, &[(first.as_slice(), false), (last.as_slice(), false)]), None);
        assert_eq!(open(&blake3::hash(b"another"), &whole), None, "another cover");
    }
}

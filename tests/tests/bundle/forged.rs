//! Bundles written and opened by the tables in the documentation, apart from the code that is
//! tested, and with anything in them.

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use cunlian_crdt::bundle::{Cover, Follows, Head, Party, Reader};
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::signing::{self, Context, SigningKey};
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use sha2::{Digest as _, Sha512};

pub(crate) const COVER: u8 = 64;
pub(crate) const STAMP: u8 = 65;
pub(crate) const SEALED: u8 = 68;
pub(crate) const HEAD: u8 = 69;
pub(crate) const COUNT: u8 = 70;
/// Bytes before the first frame.
pub(crate) const PREFIX_BYTES: usize = 16;

/// Kind and body of each frame of a part.
pub(crate) fn frames(part: &[u8]) -> Vec<&[u8]> {
    let mut rest = &part[PREFIX_BYTES..];
    let mut frames = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame);
        rest = after;
    }
    frames
}

/// A frame with its length.
pub(crate) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [length.to_be_bytes().as_slice(), &[kind], body].concat()
}

/// The sealed frames of a part, by the table.
pub(crate) struct Sealing {
    cipher: ChaCha20Poly1305,
    frames: u64,
}

impl Sealing {
    fn new(shared: MontgomeryPoint, keys: [[u8; 32]; 2], covered: &[u8]) -> Self {
        let [ephemeral, receiver] = keys;
        let covered = *blake3::hash(covered).as_bytes();
        let material = [shared.to_bytes(), ephemeral, receiver, covered].concat();
        let key = blake3::derive_key("cunlian 2026 bundle 2 key of a part", &material);
        Self { cipher: ChaCha20Poly1305::new(&Key::from(key)), frames: 0 }
    }

    /// For the bytes of the part up to the end of its cover.
    pub(crate) fn of_receiver(key: &SigningKey, ephemeral: [u8; 32], covered: &[u8]) -> Self {
        let hash = Sha512::digest(key.to_bytes());
        let secret: [u8; 32] = hash[..32].try_into().unwrap();
        let receiver = MontgomeryPoint::mul_base_clamped(secret).to_bytes();
        let shared = MontgomeryPoint(ephemeral).mul_clamped(secret);
        Self::new(shared, [ephemeral, receiver], covered)
    }

    /// The same at the exporter; with the ephemeral key.
    fn of_exporter(random: [u8; 32], receiver: &PublicKey, covered: &[u8]) -> Self {
        let receiver = CompressedEdwardsY(receiver.0).decompress().unwrap().to_montgomery();
        let ephemeral = ephemeral(random);
        Self::new(receiver.mul_clamped(random), [ephemeral, receiver.to_bytes()], covered)
    }

    fn seal(&mut self, frame: &[u8], is_last: bool) -> Vec<u8> {
        let nonce = self.nonce(is_last);
        self.cipher.encrypt(&nonce, frame).unwrap()
    }

    pub(crate) fn open(&mut self, sealed: &[u8], is_last: bool) -> Vec<u8> {
        let nonce = self.nonce(is_last);
        self.cipher.decrypt(&nonce, sealed).unwrap()
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.frames.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.frames += 1;
        Nonce::from(nonce)
    }
}

/// The public half of random bytes.
pub(crate) fn ephemeral(random: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(random).to_bytes()
}

/// A part of a bundle in which anything can be written.
pub(crate) struct Forged {
    bytes: Vec<u8>,
    key: SigningKey,
    stamps: u32,
    sealing: Option<Sealing>,
}

impl Forged {
    /// With this cover and nothing else; `key` signs.
    pub(crate) fn covered(cover: &Cover, key: &SigningKey) -> Self {
        let bytes = [b"cunlian bundle".as_slice(), &2_u16.to_be_bytes()].concat();
        let mut forged = Self { bytes, key: key.clone(), stamps: 0, sealing: None };
        forged.raw(&framed(COVER, &postcard::to_allocvec(cover).unwrap()));
        forged
    }

    /// With cover and head of a real bundle that is open.
    pub(crate) fn open(real: &[u8], key: &SigningKey) -> Self {
        Self::altered(real, key, |_| {})
    }

    /// The same, with a head that `change` has changed.
    pub(crate) fn altered(real: &[u8], key: &SigningKey, change: impl FnOnce(&mut Head)) -> Self {
        let reader = Reader::open(real, &[]).unwrap();
        let mut head = reader.opened().unwrap().head.clone();
        change(&mut head);
        let exporter = Certificate::peek(&head.chain.0.last().unwrap().0).unwrap();
        let cover = Cover { exporter: Party::of(&exporter), ..reader.cover().clone() };
        let mut forged = Self::covered(&cover, key);
        forged.head(&head);
        forged
    }

    /// What comes after the cover is sealed with this secret for this node.
    pub(crate) fn seal_for(&mut self, random: [u8; 32], receiver: &PublicKey) {
        self.sealing = Some(Sealing::of_exporter(random, receiver, &self.bytes));
    }

    pub(crate) fn head(&mut self, head: &Head) {
        self.write(&framed(HEAD, &postcard::to_allocvec(head).unwrap()));
        self.stamp(Follows::More);
    }

    /// Writes a frame, given as on the wire.
    pub(crate) fn write(&mut self, frame: &[u8]) {
        self.put(frame, false);
    }

    pub(crate) fn batch(&mut self, changes: &[Carried]) {
        self.write(&wire::encode_batch(1, changes));
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A count of nothing, and a stamp.
    pub(crate) fn stamp(&mut self, follows: Follows) {
        self.put(&framed(COUNT, &[0; 16]), follows != Follows::More);
        self.sign([0, 1, 2][follows as usize]);
    }

    /// A stamp that says what follows, and nothing before it.
    pub(crate) fn sign(&mut self, follows: u8) {
        self.stamps += 1;
        let mut stamped = self.stamps.to_be_bytes().to_vec();
        stamped.push(follows);
        stamped.extend(blake3::hash(&self.bytes).as_bytes());
        let signature = signing::sign(&self.key, Context::Bundle, &stamped);
        self.raw(&framed(STAMP, &[stamped.as_slice(), &signature.0].concat()));
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.stamp(Follows::Nothing);
        self.bytes
    }

    /// What there is, without an end.
    pub(crate) fn unended(self) -> Vec<u8> {
        self.bytes
    }

    fn put(&mut self, frame: &[u8], is_last: bool) {
        match &mut self.sealing {
            None => self.raw(frame),
            Some(sealing) => {
                let sealed = sealing.seal(&frame[4..], is_last);
                self.raw(&framed(SEALED, &sealed));
            }
        }
    }
}

//! The sealed file of one operator: layout, seal, and how it is replaced on disk.
//!
//! What it is not: who may have one and what their certificate says is decided in the parent
//! module, which also has the table of the layout.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::hexadecimal;
use super::narrowing::Narrowing;

const CONTEXT: &[u8] = b"cunlian operator 1";

// Argon2id for a village terminal: a used office computer or a small ARM board with 1–2 GB, on
// which people log in a few times a day. Measured on one core of a 2026 server (median of 7):
//
//   memory   passes   time
//    8 MiB     3      12 ms
//   19 MiB     2      14 ms   least that OWASP recommends
//   32 MiB     3      48 ms   taken
//   64 MiB     3     116 ms   second choice of RFC 9106 §4, there with 4 lanes
//
// A terminal is five to ten times slower, so a login takes up to half a second there, and the two
// that may run at a time take 64 MiB, which the smallest machine has. A guesser pays over three
// times the work of the recommended least, on top of the lock-out. One lane, because a login must
// not take all cores from synchronisation. The parameters are in each file: raising them here
// raises a file's when it is sealed next.
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// Most a file may ask for, so that a damaged file cannot take the machine down.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 8;

/// How the sealing key follows from the password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "hexadecimal")]
    salt: Vec<u8>,
}

/// Bytes as hexadecimal text in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hexadecimal(#[serde(with = "hexadecimal")] pub(super) Vec<u8>);

/// One operator's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) version: u8,
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) role: String,
    #[serde(default, skip_serializing_if = "Narrowing::is_empty")]
    pub(super) narrowing: Narrowing,
    #[serde(with = "hexadecimal")]
    pub(super) certificate: Vec<u8>,
    #[serde(default)]
    pub(super) by_hand: bool,
    #[serde(default)]
    pub(super) earlier: Vec<Hexadecimal>,
    #[serde(default)]
    pub(super) must_change: bool,
    #[serde(default)]
    pub(super) password_id: String,
    kdf: Kdf,
    #[serde(with = "hexadecimal")]
    nonce: Vec<u8>,
    #[serde(rename = "sealed_key", with = "hexadecimal")]
    key: Vec<u8>,
}

/// What a file says beside the sealed key.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) role: String,
    pub(super) narrowing: Narrowing,
    pub(super) certificate: Vec<u8>,
    pub(super) by_hand: bool,
    pub(super) earlier: Vec<Hexadecimal>,
    pub(super) must_change: bool,
    pub(super) password_id: String,
}

/// Why a seal does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Another password, or an altered file.
    Password,
    /// A field that no version writes.
    Field(&'static str),
}

impl Sealed {
    /// Seals `secret` under `password`, with a new salt and nonce and today's parameters.
    pub(super) fn new(
        open: Open,
        secret: &[u8; 32],
        password: &str,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut salt = vec![0; 16];
        rng.fill_bytes(&mut salt);
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        let kdf = Kdf { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt };
        let sealing = derive(password, &kdf).expect("our own parameters are in bounds");
        let aad = associated_data(&open.name, &open.certificate);
        let key = XChaCha20Poly1305::new(&Key::from(*sealing))
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad })
            .expect("32 bytes can be sealed");
        Self {
            version: super::VERSION,
            name: open.name,
            display_name: open.display_name,
            role: open.role,
            narrowing: open.narrowing,
            certificate: open.certificate,
            by_hand: open.by_hand,
            earlier: open.earlier,
            must_change: open.must_change,
            password_id: open.password_id,
            kdf,
            nonce: nonce.to_vec(),
            key,
        }
    }

    /// The secret key.
    pub(super) fn secret(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, Broken> {
        let sealing = derive(password, &self.kdf).ok_or(Broken::Field("kdf out of bounds"))?;
        let nonce: [u8; 24] = self
            .nonce
            .as_slice()
            .try_into()
            .map_err(|_| Broken::Field("the nonce is not 24 bytes"))?;
        let aad = associated_data(&self.name, &self.certificate);
        let payload = Payload { msg: &self.key, aad: &aad };
        let opened = XChaCha20Poly1305::new(&Key::from(*sealing))
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Broken::Password)?;
        let secret =
            opened.as_slice().try_into().map_err(|_| Broken::Field("the key is not 32 bytes"))?;
        Ok(Zeroizing::new(secret))
    }

    /// What the file says beside the key, to be sealed again.
    pub(super) fn open(&self) -> Open {
        Open {
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            role: self.role.clone(),
            narrowing: self.narrowing.clone(),
            certificate: self.certificate.clone(),
            by_hand: self.by_hand,
            earlier: self.earlier.clone(),
            must_change: self.must_change,
            password_id: self.password_id.clone(),
        }
    }
}

/// Does the work of opening a file that is not there, so that the time taken does not tell.
pub(super) fn work_for_nothing(password: &str) {
    let kdf = Kdf { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: vec![0; 16] };
    let _ = derive(password, &kdf);
}

/// How a file gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placing {
    /// Nothing may have the name yet.
    New,
    /// In the place of what has it.
    Over,
}

/// Writes beside and moves into place, so that a power cut leaves the old file or the new one,
/// and two commands cannot both make the same new one. Durable on return.
pub(super) fn write(path: &Path, bytes: &[u8], placing: Placing) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let result = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            match placing {
                Placing::New => fs::hard_link(&draft, path)?,
                Placing::Over => fs::rename(&draft, path)?,
            }
            fs::File::open(directory)?.sync_all()
        });
    // The draft has served, whether it got a name or not.
    let _ = fs::remove_file(&draft);
    result
}

/// Held while a file is read, changed and written back, by this process or another one.
pub(super) fn lock(directory: &Path) -> io::Result<fs::File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn derive(password: &str, kdf: &Kdf) -> Option<Zeroizing<[u8; 32]>> {
    if kdf.memory_kib > MEMORY_KIB_MAX || kdf.passes > PASSES_MAX || kdf.lanes > LANES_MAX {
        return None;
    }
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &kdf.salt, key.as_mut_slice())
        .ok()?;
    Some(key)
}

fn associated_data(name: &str, certificate: &[u8]) -> Vec<u8> {
    [CONTEXT, &[0], name.as_bytes(), &[0], certificate].concat()
}

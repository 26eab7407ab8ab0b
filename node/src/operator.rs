//! Operators: people with a key of their own.
//!
//! What it is: each person who works at a node has an Ed25519 key, sealed under their password in
//! a file of the node's data directory, and a certificate the node issued for it. Every staff
//! change is signed by the person's key, so the trace of a case names people, not machines.
//! Roles ([`Role`]) are data: named presets of grants, cut down to what the node may pass on.
//!
//! What it is not: sessions and cookies are `web::session`; a node's own key is not sealed,
//! because it must start unattended after a power cut.
//!
//! `DATA/operators/NAME.json`, mode 0600, UTF-8 JSON, binary values in lower-case hexadecimal:
//!
//! | field | value |
//! |---|---|
//! | `version` | 1 |
//! | `name` | login name, `[a-z0-9._-]`, 1–32 characters |
//! | `display_name` | name on pages and in the certificate |
//! | `role` | key of the role preset |
//! | `certificate` | certificate bytes |
//! | `kdf` | `{memory_kib, passes, lanes, salt}`: Argon2id version 0x13, 32 bytes out; salt 16 bytes |
//! | `nonce` | 24 bytes |
//! | `sealed_key` | XChaCha20-Poly1305 of the 32 secret bytes, tag at the end: 48 bytes |
//!
//! Associated data of the seal: `cunlian operator 1` ‖ 0x00 ‖ name ‖ 0x00 ‖ certificate bytes.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use cunlian_crdt::document::Author;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody};
use cunlian_protocol::id::Serial;
use cunlian_protocol::region::Region;
use cunlian_protocol::signing::{SigningKey, public_key};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

pub use self::role::{Role, RoleError, roles};

mod hexadecimal;
mod role;

/// Version of the file layout.
pub const VERSION: u8 = 1;
/// Fewest characters of a password.
pub const PASSWORD_CHARACTERS_MIN: usize = 8;
/// Longest password that is looked at, in bytes, so that a login request costs a bounded time.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Longest login name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 32;

const CONTEXT: &[u8] = b"cunlian operator 1";
const MEMORY_KIB: u32 = 32 * 1024;
/// Most a file may ask for, so that a damaged file cannot take the machine down.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES: u32 = 3;
const PASSES_MAX: u32 = 16;
const YEAR_MS: i64 = 365 * 86_400_000;

/// Why an operator cannot be made or unlocked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The login name has other characters or a wrong length.
    #[error(
        "the login name {name:?} must have 1 to {NAME_CHARACTERS_MAX} of the characters a-z 0-9 . _ -"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The password is too short or too long.
    #[error(
        "a password has at least {PASSWORD_CHARACTERS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
    )]
    Password,
    /// There is an operator of this name already.
    #[error("there is an operator {name:?} already")]
    Exists {
        /// The name.
        name: String,
    },
    /// No such operator, or not this password. The two are not told apart.
    #[error("the name or the password is wrong")]
    Refused,
    /// The role is unknown or empty at this node.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The file is not one of this version's.
    #[error("{path} is not an operator file: {reason}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// The node as an issuer of certificates.
#[derive(Debug)]
pub struct Issuer<'a> {
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// Its key.
    pub key: &'a SigningKey,
}

/// A person to be made an operator.
#[derive(Debug, Clone, Copy)]
pub struct NewOperator<'a> {
    /// Login name.
    pub name: &'a str,
    /// Name on pages.
    pub display_name: &'a str,
    /// Key of a role preset.
    pub role: &'a str,
    /// Where the role holds; the node's own region if absent.
    pub region: Option<Region>,
    /// Password.
    pub password: &'a str,
}

/// What a login gives: the person's key and who they are.
#[derive(Debug, Clone)]
pub struct Unlocked {
    /// Signs the person's changes.
    pub author: Author,
    /// Login name.
    pub name: String,
    /// Name on pages.
    pub display_name: String,
    /// Key of the role preset.
    pub role: String,
    /// Certificate bytes, to be known by the store before the first change.
    pub certificate: Vec<u8>,
}

/// The operators of one node: the directory `operators` in its data directory.
#[derive(Debug, Clone)]
pub struct Operators {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "hexadecimal")]
    salt: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u8,
    name: String,
    display_name: String,
    role: String,
    #[serde(with = "hexadecimal")]
    certificate: Vec<u8>,
    kdf: Kdf,
    #[serde(with = "hexadecimal")]
    nonce: Vec<u8>,
    #[serde(rename = "sealed_key", with = "hexadecimal")]
    key: Vec<u8>,
}

impl Operators {
    /// The operators under `data_dir`. Nothing is read yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("operators") }
    }

    /// Makes a key, certifies it with the node's key and seals it under the password. Gives the
    /// certificate bytes; the file is durable when this returns.
    pub fn create(
        &self,
        issuer: &Issuer<'_>,
        new: NewOperator<'_>,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, OperatorError> {
        check_name(new.name)?;
        let password = new.password;
        if password.chars().count() < PASSWORD_CHARACTERS_MIN || password.len() > PASSWORD_BYTES_MAX
        {
            return Err(OperatorError::Password);
        }
        let path = self.path(new.name);
        if path.exists() {
            return Err(OperatorError::Exists { name: new.name.to_owned() });
        }
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        let certificate = certify(issuer, &new, &SigningKey::from_bytes(&secret), now_ms)?;
        let sealed = seal(&new, certificate, &secret, rng);
        self.save(&path, &sealed)?;
        Ok(sealed.certificate)
    }

    /// Opens the key of `name`. `session` is a fresh random number for the author.
    ///
    /// Takes a tenth of a second and 32 MiB on purpose, also for a name that does not exist.
    pub fn unlock(
        &self,
        name: &str,
        password: &str,
        session: u64,
    ) -> Result<Unlocked, OperatorError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(OperatorError::Refused);
        }
        let Some(sealed) = self.load(name)? else {
            let kdf = Kdf { memory_kib: MEMORY_KIB, passes: PASSES, lanes: 1, salt: vec![0; 16] };
            // The same work as for a real name, so that the time taken does not tell.
            let _ = derive(password, &kdf);
            return Err(OperatorError::Refused);
        };
        let malformed = |reason: &str| OperatorError::Malformed {
            path: self.path(name),
            reason: reason.to_owned(),
        };
        let key = derive(password, &sealed.kdf).ok_or_else(|| malformed("kdf out of bounds"))?;
        let nonce: [u8; 24] =
            sealed.nonce.as_slice().try_into().map_err(|_| malformed("nonce is not 24 bytes"))?;
        let aad = associated_data(name, &sealed.certificate);
        let payload = Payload { msg: &sealed.key, aad: &aad };
        let opened = XChaCha20Poly1305::new(&Key::from(*key))
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| OperatorError::Refused)?;
        let mut secret: [u8; 32] =
            opened.as_slice().try_into().map_err(|_| malformed("the key is not 32 bytes"))?;
        let signing_key = SigningKey::from_bytes(&secret);
        secret.zeroize();
        let serial = Serial::of(&sealed.certificate);
        Ok(Unlocked {
            author: Author { serial, key: signing_key, session },
            name: sealed.name,
            display_name: sealed.display_name,
            role: sealed.role,
            certificate: sealed.certificate,
        })
    }

    /// Certificates of all operators, to be known by the store at start.
    pub fn certificates(&self) -> Result<Vec<Vec<u8>>, OperatorError> {
        let mut certificates = Vec::new();
        for name in self.names()? {
            if let Some(sealed) = self.load(&name)? {
                certificates.push(sealed.certificate);
            }
        }
        Ok(certificates)
    }

    /// Login names, in order.
    pub fn names(&self) -> Result<Vec<String>, OperatorError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.io(&self.directory, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(|source| self.io(&self.directory, source))?.file_name();
            if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".json"))
                && check_name(name).is_ok()
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    #[expect(clippy::unused_self, reason = "reads as one of the family where it is used")]
    fn io(&self, path: &Path, source: io::Error) -> OperatorError {
        OperatorError::Io { path: path.to_owned(), source }
    }

    fn load(&self, name: &str) -> Result<Option<Sealed>, OperatorError> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(&path, source)),
        };
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|error| {
            OperatorError::Malformed { path: path.clone(), reason: error.to_string() }
        })?;
        if sealed.version != VERSION || sealed.name != name {
            let reason = format!("version {} of {:?}", sealed.version, sealed.name);
            return Err(OperatorError::Malformed { path, reason });
        }
        Ok(Some(sealed))
    }

    /// Writes beside and links into place, so that a power cut leaves no half file and two
    /// commands cannot overwrite each other's operator.
    fn save(&self, path: &Path, sealed: &Sealed) -> Result<(), OperatorError> {
        let text = serde_json::to_vec_pretty(sealed).expect("the layout has only JSON types");
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let result =
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).and_then(
                |()| {
                    let mut file = fs::OpenOptions::new()
                        .write(true)
                        .create(true)
                        .truncate(true)
                        .mode(0o600)
                        .open(&draft)?;
                    file.write_all(&text)?;
                    file.sync_all()?;
                    fs::hard_link(&draft, path)?;
                    fs::File::open(&self.directory)?.sync_all()
                },
            );
        // The draft has served, whether it was linked or not.
        let _ = fs::remove_file(&draft);
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(OperatorError::Exists { name: sealed.name.clone() })
            }
            Err(source) => Err(self.io(path, source)),
        }
    }
}

fn check_name(name: &str) -> Result<(), OperatorError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
    if fits && name.chars().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    Err(OperatorError::Name { name: name.chars().take(80).collect() })
}

fn certify(
    issuer: &Issuer<'_>,
    new: &NewOperator<'_>,
    key: &SigningKey,
    now_ms: i64,
) -> Result<Vec<u8>, OperatorError> {
    let node = issuer.certificate.body();
    let role = role::find(new.role)?;
    let body = CertificateBody {
        subject: public_key(key),
        name: new.display_name.trim().to_owned(),
        kind: AuthorKind::Operator,
        tier: node.tier,
        grants: role.grants(&node.grants, new.region)?,
        issued_at_ms: now_ms,
        not_after_ms: node.not_after_ms.min(now_ms.saturating_add(5 * YEAR_MS)),
        issuer: Some(issuer.certificate.serial()),
    };
    Ok(Certificate::issue(&body, issuer.key))
}

fn seal(
    new: &NewOperator<'_>,
    certificate: Vec<u8>,
    secret: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> Sealed {
    let mut salt = vec![0; 16];
    rng.fill_bytes(&mut salt);
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let kdf = Kdf { memory_kib: MEMORY_KIB, passes: PASSES, lanes: 1, salt };
    let sealing = derive(new.password, &kdf).expect("our own parameters are in bounds");
    let aad = associated_data(new.name, &certificate);
    let key = XChaCha20Poly1305::new(&Key::from(*sealing))
        .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad })
        .expect("32 bytes can be sealed");
    Sealed {
        version: VERSION,
        name: new.name.to_owned(),
        display_name: new.display_name.trim().to_owned(),
        role: new.role.to_owned(),
        certificate,
        kdf,
        nonce: nonce.to_vec(),
        key,
    }
}

fn derive(password: &str, kdf: &Kdf) -> Option<Zeroizing<[u8; 32]>> {
    if kdf.memory_kib > MEMORY_KIB_MAX || kdf.passes > PASSES_MAX {
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

#[cfg(test)]
mod tests;

//! The node's own key and certificates on disk.
//!
//! The key is not sealed: a node starts unattended after a power cut. It is protected by the mode
//! of its file and by the machine; a stolen machine is answered by revocation.
//!
//! | file | mode | content |
//! |---|---|---|
//! | `node.key` | 0600 | `cunlian key 1`, newline, 64 hexadecimal digits (Ed25519 seed), newline |
//! | `root.key` | 0600 | same layout; only where a federation was founded, to be kept off line |
//! | `node.key.next` | 0600 | same layout; the key that the next certificate is asked for |
//! | `federation.root` | 0644 | 64 hexadecimal digits (first root public key), newline |
//! | `node.chain` | 0644 | per certificate, root side first, one line of hexadecimal digits |
//! | `successions` | 0644 | per succession, of the root or of the node's key, one line likewise |
//!
//! Files are written beside, synced and renamed, so a power cut leaves the old or the new one. A
//! new key is taken over in the order `successions`, `node.chain`, `node.key`: a chain for the
//! key in `node.key.next` says that the last step is left to do.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateError};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::limits;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::{Succession, SuccessionBody};
use rand::CryptoRng;

const KEY_HEADER: &str = "cunlian key 1";
/// File of the node's key.
pub const NODE_KEY: &str = "node.key";
/// File of the federation's root key, where it was founded.
pub const ROOT_KEY: &str = "root.key";
/// How often files that do not belong together are read again, and after how long.
const READS_DURING_CHANGE: usize = 5;
const CHANGE_OF_KEY: Duration = Duration::from_millis(20);
const ROOT_PUBLIC: &str = "federation.root";
const CHAIN: &str = "node.chain";
/// File of the key that is to follow.
pub const NEXT_KEY: &str = "node.key.next";
const SUCCESSIONS: &str = "successions";
/// A hello has room for so many beside those of the root.
const OWN_SUCCESSIONS: usize = limits::SUCCESSIONS / 2;

/// Why keys or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file is not there.
    #[error("{path} is missing")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// There is one already, and overwriting it would lose it.
    #[error("{path} exists already")]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error("{path} is not {expected}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// Others than the owner can read the key.
    #[error("{path} can be read by others (mode {mode:o}); the key must be 0600")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The chain does not verify.
    #[error("the certificates in {path} do not verify: {source}")]
    Chain {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// The certificate is for another key.
    #[error("the certificate in {path} is for another key than {NODE_KEY}")]
    OtherKey {
        /// Which file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Keys and certificates in one data directory.
#[derive(Debug, Clone)]
pub struct Keystore {
    directory: PathBuf,
}

impl Keystore {
    /// The keystore of a data directory; nothing is read yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { directory: data_dir.to_owned() }
    }

    /// Makes a new key in `file`, which must not exist.
    pub fn create_key(
        &self,
        file: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<SigningKey, KeystoreError> {
        let path = self.directory.join(file);
        if path.exists() {
            return Err(KeystoreError::Exists { path });
        }
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = SigningKey::from_bytes(&seed);
        let digits = PublicKey(seed).to_string();
        write(&path, format!("{KEY_HEADER}\n{digits}\n").as_bytes(), 0o600)?;
        Ok(key)
    }

    /// Reads the key in `file`.
    pub fn key(&self, file: &str) -> Result<SigningKey, KeystoreError> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.directory.join(file);
        let text = read(&path)?;
        let metadata = fs::metadata(&path).map_err(|source| io_error(&path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeystoreError::Mode { path, mode });
        }
        let seed = text.strip_prefix(KEY_HEADER).map(str::trim);
        let seed = seed.and_then(|digits| digits.parse::<PublicKey>().ok());
        let expected = "a key file of version 1";
        let seed = seed.ok_or(KeystoreError::Malformed { path, expected })?;
        Ok(SigningKey::from_bytes(&seed.0))
    }

    /// Whether this data directory has a node key.
    pub fn has_key(&self) -> bool {
        self.directory.join(NODE_KEY).exists()
    }

    /// Whether this data directory has a certified identity.
    pub fn has_chain(&self) -> bool {
        self.directory.join(CHAIN).exists()
    }

    /// Writes root key and chain (root side first) after checking them against the node's key.
    pub fn set_chain(&self, root: &PublicKey, chain: &[Vec<u8>]) -> Result<(), KeystoreError> {
        let path = self.directory.join(CHAIN);
        let key = self.key(NODE_KEY)?;
        let certificate = self.verify(root, chain)?;
        if certificate.body().subject != public_key(&key) {
            return Err(KeystoreError::OtherKey { path });
        }
        let root_path = self.directory.join(ROOT_PUBLIC);
        write(&root_path, format!("{root}\n").as_bytes(), 0o644)?;
        write_lines(&path, chain)
    }

    /// Takes over a chain that the issuer gave for this node's key or for its next one, which
    /// then becomes its key.
    pub fn renew(&self, chain: &[Vec<u8>]) -> Result<(), KeystoreError> {
        let root = self.root()?;
        let subject = self.verify(&root, chain)?.body().subject;
        let key = self.key(NODE_KEY)?;
        let path = self.directory.join(CHAIN);
        if subject == public_key(&key) {
            return write_lines(&path, chain);
        }
        let next = self.next_key()?.filter(|next| public_key(next) == subject);
        let next = next.ok_or(KeystoreError::OtherKey { path: path.clone() })?;
        let body = SuccessionBody { old: public_key(&key), new: subject, stands: Vec::new() };
        self.add_successions(&[body.sign(&key, &next)])?;
        write_lines(&path, chain)?;
        self.take_next_key()
    }

    /// The key that is to follow, when one was made.
    pub fn next_key(&self) -> Result<Option<SigningKey>, KeystoreError> {
        match self.key(NEXT_KEY) {
            Ok(key) => Ok(Some(key)),
            Err(KeystoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames a file of the keystore over another.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), KeystoreError> {
        let (from, to) = (self.directory.join(from), self.directory.join(to));
        let renamed =
            fs::rename(&from, &to).and_then(|()| fs::File::open(&self.directory)?.sync_all());
        renamed.map_err(|source| io_error(&from, source))
    }

    /// Successions of the root and of the node's own key, in the order they were learned.
    pub fn successions(&self) -> Result<Vec<Succession>, KeystoreError> {
        let path = self.directory.join(SUCCESSIONS);
        let expected = "a list of successions, one line of hexadecimal digits each";
        let malformed = || KeystoreError::Malformed { path: path.clone(), expected };
        let text = match read(&path) {
            Err(KeystoreError::Missing { .. }) => return Ok(Vec::new()),
            text => text?,
        };
        let lines = text.lines().map(|line| Succession::verify(&unhex(line)?).ok());
        lines.map(|succession| succession.ok_or_else(malformed)).collect()
    }

    /// Keeps successions that are not kept yet.
    pub fn add_successions(&self, successions: &[Vec<u8>]) -> Result<(), KeystoreError> {
        let mut kept: Vec<Vec<u8>> =
            self.successions()?.iter().map(|succession| succession.bytes().to_vec()).collect();
        let before = kept.len();
        for bytes in successions {
            let path = self.directory.join(SUCCESSIONS);
            let expected = "given a succession that its keys signed";
            Succession::verify(bytes).map_err(|_| KeystoreError::Malformed { path, expected })?;
            if !kept.contains(bytes) {
                kept.push(bytes.clone());
            }
        }
        if kept.len() == before {
            return Ok(());
        }
        write_lines(&self.directory.join(SUCCESSIONS), &kept)
    }

    /// The root key, and those that followed it as far as this keystore knows.
    pub fn authority(&self) -> Result<Authority, KeystoreError> {
        self.authority_under(&self.root()?)
    }

    /// The federation's root key.
    pub fn root(&self) -> Result<PublicKey, KeystoreError> {
        let path = self.directory.join(ROOT_PUBLIC);
        let expected = "a root public key of 64 hexadecimal digits";
        read(&path)?.trim().parse().map_err(|_| KeystoreError::Malformed { path, expected })
    }

    /// Who this node is: key, certificate and chain, checked.
    ///
    /// A command may look while the running node takes over a new key; files that do not belong
    /// together are therefore read again before that is told.
    pub fn identity(&self) -> Result<Identity, KeystoreError> {
        for _ in 0..READS_DURING_CHANGE {
            match self.read_identity() {
                Err(KeystoreError::OtherKey { .. } | KeystoreError::Missing { .. })
                    if self.has_chain() =>
                {
                    thread::sleep(CHANGE_OF_KEY);
                }
                known => return known,
            }
        }
        self.read_identity()
    }

    fn read_identity(&self) -> Result<Identity, KeystoreError> {
        let path = self.directory.join(CHAIN);
        let expected = "a list of certificates, one line of hexadecimal digits each";
        let text = read(&path)?;
        let chain: Option<Vec<Vec<u8>>> = text.lines().map(unhex).collect();
        let chain = chain.ok_or(KeystoreError::Malformed { path: path.clone(), expected })?;
        let certificate = self.verify(&self.root()?, &chain)?;
        let subject = certificate.body().subject;
        let mut next_key = self.next_key()?;
        let mut key = self.key(NODE_KEY)?;
        if subject != public_key(&key) {
            key = next_key
                .take_if(|next| public_key(next) == subject)
                .ok_or(KeystoreError::OtherKey { path })?;
            self.take_next_key()?;
        }
        let successions = own_successions(&self.successions()?, subject);
        let software = concat!("cunlian ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Identity { certificate, chain, key, next_key, software, successions })
    }

    /// The last step of a change of key.
    fn take_next_key(&self) -> Result<(), KeystoreError> {
        self.rename(NEXT_KEY, NODE_KEY)
    }

    fn authority_under(&self, root: &PublicKey) -> Result<Authority, KeystoreError> {
        let mut authority = Authority::new(*root);
        for succession in self.successions()? {
            // Its signatures hold; those of the node's own key are of no interest here.
            let _ = authority.succeed(succession.bytes());
        }
        Ok(authority)
    }

    fn verify(&self, root: &PublicKey, chain: &[Vec<u8>]) -> Result<Certificate, KeystoreError> {
        let path = self.directory.join(CHAIN);
        self.authority_under(root)?
            .verify_chain(chain)
            .map_err(|source| KeystoreError::Chain { path, source })
    }
}

/// The latest successions that lead to a key, the oldest first: peers that know the node by a key
/// from before these have to be told by hand.
fn own_successions(known: &[Succession], key: PublicKey) -> Vec<Vec<u8>> {
    let mut own = Vec::new();
    let mut at = key;
    while let Some(succession) = known.iter().rev().find(|s| s.body().new == at)
        && own.len() < OWN_SUCCESSIONS
    {
        at = succession.body().old;
        own.insert(0, succession.bytes().to_vec());
    }
    own
}

fn write_lines(path: &Path, list: &[Vec<u8>]) -> Result<(), KeystoreError> {
    let lines: String = list.iter().map(|bytes| hex(bytes) + "\n").collect();
    write(path, lines.as_bytes(), 0o644)
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes of hexadecimal digits of either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect())
}

fn read(path: &Path) -> Result<String, KeystoreError> {
    fs::read_to_string(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return KeystoreError::Missing { path: path.to_owned() };
        }
        io_error(path, error)
    })
}

/// Writes a file beside, syncs it and renames it into its place.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeystoreError> {
    let draft = path.with_extension("draft");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            match path.parent() {
                Some(parent) => fs::File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        });
    written.map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> KeystoreError {
    KeystoreError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that hexadecimal text survives both ways and that odd or foreign digits are refused.
    #[test]
    fn hexadecimal_survives() {
        let bytes = [0, 1, 0x7f, 0xff];
        assert_eq!(unhex(&hex(&bytes)).unwrap(), bytes);
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
    }
}

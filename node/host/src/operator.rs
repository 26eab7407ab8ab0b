//! Operators: people with a key of their own.
//!
//! What it is: each person who works at a node has an Ed25519 key, sealed under their password in
//! a file of the node's data directory, and a certificate the node issued for it. Every staff
//! change is signed by the person's key, so the trace of a case names people, not machines.
//! Roles ([`Role`]) are data: named presets of grants, cut down to what the node may pass on and
//! by what the administrator narrows ([`Narrowing`]).
//!
//! What it is not: sessions and cookies are `web::session`, how often somebody may try is
//! [`Attempts`]; a node's own key is not sealed, because it must start unattended after a power
//! cut. Dismissing a person is a revocation; removing the file here only ends the login.
//!
//! `DATA/operators/NAME.json`, mode 0600, UTF-8 JSON, binary values in lower-case hexadecimal:
//!
//! | field | value |
//! |---|---|
//! | `version` | 1 |
//! | `name` | login name, `[a-z0-9._-]`, 1–32 characters |
//! | `display_name` | name on pages and in the certificate |
//! | `role` | key of the role preset |
//! | `narrowing` | `{region, categories, rights, until_ms, unit}`, each only if asked for |
//! | `certificate` | certificate bytes |
//! | `by_hand` | whether an administrator gave the certificate other grants than the role's |
//! | `earlier` | certificates before it, oldest first: what they signed stays known |
//! | `must_change` | whether the password was given by somebody else and holds for one login |
//! | `password_id` | 8 random bytes, others with every password: sessions under an old one end |
//! | `kdf` | `{memory_kib, passes, lanes, salt}`: Argon2id version 0x13, 32 bytes out; salt 16 bytes |
//! | `nonce` | 24 bytes |
//! | `sealed_key` | XChaCha20-Poly1305 of the 32 secret bytes, tag at the end: 48 bytes |
//!
//! Associated data of the seal: `cunlian operator 1` ‖ 0x00 ‖ name ‖ 0x00 ‖ certificate bytes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use cunlian_crdt::document::Author;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::SigningKey;
use rand::CryptoRng;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use self::certification::{by_role, certify, grants_now, replaced};
use self::seal::{Broken, Open, Placing, Sealed};
use crate::keystore::hex;

pub use self::attempts::{Attempts, LOCK_AFTER, Origin};
pub use self::narrowing::{Narrowing, NarrowingError};
pub use self::role::is_by_assignment;
pub use self::role::{Role, RoleError, roles};

mod attempts;
mod certification;
mod hexadecimal;
mod narrowing;
mod role;
mod seal;

/// Version of the file layout.
pub const VERSION: u8 = 1;
/// Fewest characters of a password.
pub const PASSWORD_CHARACTERS_MIN: usize = 8;
/// Longest password that is looked at, in bytes, so that a login request costs a bounded time.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Longest login name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 32;

/// Why an operator cannot be made, changed or unlocked.
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
    /// The new password is the old one, or the login name.
    #[error("the new password must be neither the old one nor the login name")]
    SamePassword,
    /// There is an operator of this name already.
    #[error("there is an operator {name:?} already")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no operator of this name.
    #[error("there is no operator {name:?} at this node")]
    Missing {
        /// The name.
        name: String,
    },
    /// No such operator, or not this password. The two are not told apart.
    #[error("the name or the password is wrong")]
    Refused,
    /// The role is unknown or empty at this node.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// What was asked for is more than the role.
    #[error(transparent)]
    Narrowing(#[from] NarrowingError),
    /// A revoked certificate is not made again.
    #[error("the certificate of {name:?} was revoked")]
    Revoked {
        /// Login name.
        name: String,
    },
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
#[derive(Debug, Clone, Copy)]
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
    /// What the person gets less than the role.
    pub narrowing: Option<&'a Narrowing>,
    /// Password.
    pub password: &'a str,
    /// Whether somebody else chose the password, so that it must be changed at the first login.
    pub must_change: bool,
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
    /// Whether the person must choose another password first.
    pub must_change: bool,
    /// Which password it was.
    pub password_id: String,
}

/// What an operator's file says without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEntry {
    /// Login name.
    pub name: String,
    /// Name on pages.
    pub display_name: String,
    /// Key of the role preset.
    pub role: String,
    /// What the person gets less than the role.
    pub narrowing: Narrowing,
    /// Certificate bytes.
    pub certificate: Vec<u8>,
    /// Certificates before it, oldest first.
    pub earlier: Vec<Vec<u8>>,
    /// Whether the person must choose another password first.
    pub must_change: bool,
    /// Which password it is.
    pub password_id: String,
}

/// The operators of one node: the directory `operators` in its data directory.
#[derive(Debug, Clone)]
pub struct Operators {
    data_dir: PathBuf,
    directory: PathBuf,
}

impl Operators {
    /// The operators under `data_dir`. Nothing is read yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), directory: data_dir.join("operators") }
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
        check_password(new.name, new.password)?;
        let _turn = self.turn()?;
        if self.path(new.name).exists() {
            return Err(OperatorError::Exists { name: new.name.to_owned() });
        }
        let role = role::find(new.role)?;
        let narrowing = new.narrowing.cloned().unwrap_or_default();
        let held = &issuer.certificate.body().grants;
        narrowing.check(&role::grants(role, held, &Narrowing::default())?)?;
        let end_ms = narrowing.until_ms;
        let held_ms = issuer.certificate.body().not_after_ms;
        if end_ms.is_some_and(|end_ms| end_ms <= now_ms || end_ms > held_ms) {
            return Err(NarrowingError::Until.into());
        }
        let secret = new_secret(rng);
        let mut open = Open {
            name: new.name.to_owned(),
            display_name: new.display_name.trim().to_owned(),
            role: new.role.to_owned(),
            narrowing,
            certificate: Vec::new(),
            by_hand: false,
            earlier: Vec::new(),
            must_change: new.must_change,
            password_id: new_password_id(rng),
        };
        let key = SigningKey::from_bytes(&secret);
        open.certificate = certify(issuer, &open, by_role(issuer, &open)?, &key, now_ms)?;
        let sealed = Sealed::new(open, &secret, &prepared(new.password), rng);
        self.save(&sealed, Placing::New)?;
        Ok(sealed.certificate)
    }

    /// Opens the key of `name`. `session` is a fresh random number for the author.
    ///
    /// Takes a while and 32 MiB on purpose, also for a name that does not exist.
    pub fn unlock(
        &self,
        name: &str,
        password: &str,
        session: u64,
    ) -> Result<Unlocked, OperatorError> {
        let (sealed, secret) = self.open(name, password)?;
        Ok(Unlocked {
            author: Author {
                serial: Serial::of(&sealed.certificate),
                key: SigningKey::from_bytes(&secret),
                session,
            },
            name: sealed.name,
            display_name: sealed.display_name,
            role: sealed.role,
            certificate: sealed.certificate,
            must_change: sealed.must_change,
            password_id: sealed.password_id,
        })
    }

    /// Seals the key of `name` under a new password. Gives the number of that password.
    pub fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<String, OperatorError> {
        let _turn = self.turn()?;
        let (sealed, secret) = self.open(name, current)?;
        check_password(name, new)?;
        if prepared(current) == prepared(new) {
            return Err(OperatorError::SamePassword);
        }
        let mut open = sealed.open();
        open.must_change = false;
        let password_id = new_password_id(rng);
        open.password_id.clone_from(&password_id);
        self.save(&Sealed::new(open, &secret, &prepared(new), rng), Placing::Over)?;
        Ok(password_id)
    }

    /// Gives `name` a new key and a new certificate, sealed under a password that must be changed
    /// at the first login. The old key is gone with the old password; its certificate stays
    /// known, so that what it signed stays valid. Gives the new certificate.
    pub fn reset(
        &self,
        issuer: &Issuer<'_>,
        authority: &Authority,
        name: &str,
        password: &str,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, OperatorError> {
        check_password(name, password)?;
        let _turn = self.turn()?;
        let existing = self.existing(name)?.open();
        let secret = new_secret(rng);
        let key = SigningKey::from_bytes(&secret);
        let grants = grants_now(issuer, authority, &existing)?;
        let certificate = certify(issuer, &existing, grants, &key, now_ms)?;
        let mut open = replaced(existing, certificate);
        open.must_change = true;
        open.password_id = new_password_id(rng);
        let sealed = Sealed::new(open, &secret, &prepared(password), rng);
        self.save(&sealed, Placing::Over)?;
        Ok(sealed.certificate)
    }

    /// Deletes the sealed key of `name`: nobody can log in with it again. What the person signed
    /// stays, and so does the certificate until it is revoked or ends.
    pub fn remove(&self, name: &str) -> Result<(), OperatorError> {
        let _turn = self.turn()?;
        let path = self.path(&self.existing(name)?.name);
        let gone =
            fs::remove_file(&path).and_then(|()| fs::File::open(&self.directory)?.sync_all());
        gone.map_err(|source| io_error(&path, source))
    }

    /// Says for which unit `name` handles tickets. The seal holds on: it is of the key alone.
    pub fn set_unit(&self, name: &str, unit: Option<String>) -> Result<(), OperatorError> {
        let _turn = self.turn()?;
        let mut sealed = self.existing(name)?;
        sealed.narrowing.unit = unit;
        self.save(&sealed, Placing::Over)
    }

    /// How often somebody has tried to log in and failed.
    pub fn attempts(&self) -> Attempts {
        Attempts::new(&self.data_dir, &self.directory)
    }

    /// Certificates of all operators, earlier ones included, to be known by the store at start. A
    /// file that cannot be read is named in the log and keeps out nobody but its own person.
    pub fn certificates(&self) -> Result<Vec<Vec<u8>>, OperatorError> {
        let mut certificates = Vec::new();
        for name in self.names()? {
            match self.entry(&name) {
                Ok(Some(entry)) => {
                    certificates.extend(entry.earlier);
                    certificates.push(entry.certificate);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the file of a person cannot be read"),
            }
        }
        Ok(certificates)
    }

    /// What the files of all operators say, by login name.
    pub fn entries(&self) -> Result<Vec<OperatorEntry>, OperatorError> {
        let mut entries = Vec::new();
        for name in self.names()? {
            entries.extend(self.entry(&name)?);
        }
        Ok(entries)
    }

    /// What the file of an operator says; `None` if there is none.
    pub fn entry(&self, name: &str) -> Result<Option<OperatorEntry>, OperatorError> {
        Ok(self.load(name)?.map(|sealed| OperatorEntry {
            name: sealed.name,
            display_name: sealed.display_name,
            role: sealed.role,
            narrowing: sealed.narrowing,
            certificate: sealed.certificate,
            earlier: sealed.earlier.into_iter().map(|bytes| bytes.0).collect(),
            must_change: sealed.must_change,
            password_id: sealed.password_id,
        }))
    }

    /// Login names, in order.
    pub fn names(&self) -> Result<Vec<String>, OperatorError> {
        let failed = |source| io_error(&self.directory, source);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
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

    fn turn(&self) -> Result<fs::File, OperatorError> {
        seal::lock(&self.directory).map_err(|source| io_error(&self.directory, source))
    }

    fn open(
        &self,
        name: &str,
        password: &str,
    ) -> Result<(Sealed, Zeroizing<[u8; 32]>), OperatorError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(OperatorError::Refused);
        }
        let Some(sealed) = self.load(name)? else {
            seal::work_for_nothing(password);
            return Err(OperatorError::Refused);
        };
        let prepared = prepared(password);
        let opened = match sealed.secret(&prepared) {
            // Sealed before passwords were prepared, or by a program that does not.
            Err(Broken::Password) if prepared.as_str() != password => sealed.secret(password),
            opened => opened,
        };
        match opened {
            Ok(secret) => Ok((sealed, secret)),
            Err(Broken::Password) => Err(OperatorError::Refused),
            Err(Broken::Field(reason)) => {
                Err(OperatorError::Malformed { path: self.path(name), reason: reason.to_owned() })
            }
        }
    }

    fn existing(&self, name: &str) -> Result<Sealed, OperatorError> {
        let missing =
            || OperatorError::Missing { name: name.chars().take(NAME_CHARACTERS_MAX).collect() };
        self.load(name)?.ok_or_else(missing)
    }

    fn load(&self, name: &str) -> Result<Option<Sealed>, OperatorError> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(&path, source)),
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

    fn save(&self, sealed: &Sealed, placing: Placing) -> Result<(), OperatorError> {
        let text = serde_json::to_vec_pretty(sealed).expect("the layout has only JSON types");
        let path = self.path(&sealed.name);
        match seal::write(&path, &text, placing) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(OperatorError::Exists { name: sealed.name.clone() })
            }
            Err(source) => Err(io_error(&path, source)),
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> OperatorError {
    OperatorError::Io { path: path.to_owned(), source }
}

/// A login name as it was typed: in letters of any width and either case.
pub fn login_name(typed: &str) -> String {
    typed.nfkc().collect::<String>().trim().to_lowercase()
}

/// A password as it is compared: what a person sees as the same is the same, however the keyboard
/// composed it. Spaces of any width are one kind, and characters are composed (RFC 8265, section
/// 4.2, `OpaqueString`).
fn prepared(password: &str) -> Zeroizing<String> {
    let is_space = |c: char| c.is_whitespace() && !c.is_control();
    let spaced = password.chars().map(|c| if is_space(c) { ' ' } else { c });
    Zeroizing::new(spaced.nfc().collect())
}

fn check_name(name: &str) -> Result<(), OperatorError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
    if fits && name.chars().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    Err(OperatorError::Name { name: name.chars().take(80).collect() })
}

fn check_password(name: &str, password: &str) -> Result<(), OperatorError> {
    if password.chars().count() < PASSWORD_CHARACTERS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(OperatorError::Password);
    }
    if password.to_lowercase() == name { Err(OperatorError::SamePassword) } else { Ok(()) }
}

fn new_secret(rng: &mut impl CryptoRng) -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(secret.as_mut_slice());
    secret
}

fn new_password_id(rng: &mut impl CryptoRng) -> String {
    let mut bytes = [0; 8];
    rng.fill_bytes(&mut bytes);
    hex(&bytes)
}

#[cfg(test)]
mod tests;

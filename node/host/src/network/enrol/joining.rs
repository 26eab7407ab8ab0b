//! Joining, as seen from the data directory: what is written, and in which order.
//!
//! | order | file | why then |
//! |---|---|---|
//! | 1 | `node.key` | the invitation is bound to it: the same key must ask again after a cut |
//! | 2 | `join.invitation` | id of the invitation: whose interrupted join this is |
//! | 3 | `cunlian.toml` | with the parent as first peer |
//! | 4 | `clock.json` | the parent's time, by which everything after is judged |
//! | 5 | `federation.root`, `node.chain` | a directory with a chain is a member, and complete |
//!
//! A join that is interrupted anywhere is continued by running it again with the same token. A
//! directory that is a member already is not changed, unless it is asked to become another one
//! ([`join_anew`]): then key and certificate are new and everything else stays, so that what a
//! machine holds that must not go on under its old identity is still handed up.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cunlian_protocol::certificate::Tier;
use cunlian_protocol::enrolment::Token;
use cunlian_protocol::signing::SigningKey;

use super::asking::{AskError, Granted, ask};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Peer};
use crate::keystore::{self, Keystore, KeystoreError, NEXT_KEY, NODE_KEY};
use crate::regions::own_region;
use crate::suspension::{self, SuspensionError};

/// File with the id of the invitation this directory joined by.
pub const INVITATION: &str = "join.invitation";

/// What a person may choose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places {
    /// UDP address for other nodes.
    pub listen: Option<SocketAddr>,
    /// TCP address of the pages.
    pub http: Option<SocketAddr>,
}

/// Who the machine has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Name of the node.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Its address.
    pub region: cunlian_protocol::address::AddressCode,
    /// End of validity of its certificate, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Name of the parent.
    pub parent_name: String,
    /// The parent's time in its answer, milliseconds since 1970-01-01 UTC; `None` when the machine
    /// had joined by this invitation before and nobody was asked.
    pub parent_clock_ms: Option<i64>,
}

/// Why the machine has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The directory is a member already.
    #[error("{path} already belongs to {name}")]
    Member {
        /// The data directory.
        path: PathBuf,
        /// Name of the node that lives there.
        name: String,
    },
    /// Nothing came from the parent.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Keys or certificates.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The mark of a node that must not author.
    #[error(transparent)]
    Standing(#[from] SuspensionError),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
}

/// Joins by a token. `clock_ms` is what this machine takes for the time; nothing depends on it.
pub async fn join(
    data_dir: &Path,
    token: &Token,
    places: Places,
    clock_ms: i64,
) -> Result<Joined, JoinError> {
    let keystore = Keystore::new(data_dir);
    if keystore.has_chain() {
        return continued(data_dir, &keystore, token);
    }
    let key = prepare(data_dir, &keystore, token, places)?;
    let granted = ask(&key, token, clock_ms).await?;
    finish(data_dir, &keystore, token, &granted)
}

/// Joins once more, with a new key, as a machine that keeps its data: its old identity is used by
/// another one, or was revoked.
pub async fn join_anew(data_dir: &Path, token: &Token, clock_ms: i64) -> Result<Joined, JoinError> {
    let keystore = Keystore::new(data_dir);
    let identity = keystore.identity()?;
    let root = keystore.authority()?.current_root();
    if token.root != root {
        let name = identity.certificate.body().name.clone();
        return Err(JoinError::Member { path: data_dir.to_owned(), name });
    }
    let key = match keystore.next_key()? {
        Some(key) => key,
        None => keystore.create_key(NEXT_KEY, &mut rand::rng())?,
    };
    let granted = ask(&key, token, clock_ms).await?;
    note_invitation(data_dir, token)?;
    keystore.renew(&granted.chain)?;
    suspension::clear(data_dir)?;
    settle(data_dir, token, &granted)?;
    Ok(joined(&granted))
}

/// A directory that is a member: by this invitation, then all is well; or by another way.
fn continued(data_dir: &Path, keystore: &Keystore, token: &Token) -> Result<Joined, JoinError> {
    let identity = keystore.identity()?;
    let certificate = &identity.certificate;
    let name = certificate.body().name.clone();
    let by = fs::read_to_string(data_dir.join(INVITATION)).unwrap_or_default();
    if by.trim() != token.invitation.to_string() || keystore.root()? != token.root {
        return Err(JoinError::Member { path: data_dir.to_owned(), name });
    }
    Ok(Joined {
        name,
        tier: certificate.body().tier,
        region: own_region(certificate),
        not_after_ms: certificate.body().not_after_ms,
        parent_name: String::new(),
        parent_clock_ms: None,
    })
}

/// Steps 1 and 2, and the configuration as far as it is known.
fn prepare(
    data_dir: &Path,
    keystore: &Keystore,
    token: &Token,
    places: Places,
) -> Result<SigningKey, JoinError> {
    // Personal data will be kept here: for the user of the node only.
    let mut directory = fs::DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(data_dir);
    made.map_err(|source| JoinError::Io { path: data_dir.to_owned(), source })?;
    let key = if keystore.has_key() {
        keystore.key(NODE_KEY)?
    } else {
        keystore.create_key(NODE_KEY, &mut rand::rng())?
    };
    note_invitation(data_dir, token)?;
    // One that was half written when the power went is made anew: there is no identity yet.
    let mut config = Config::load(data_dir).unwrap_or_default();
    config.listen = places.listen.unwrap_or(config.listen);
    config.http = places.http.unwrap_or(config.http);
    config.save(data_dir)?;
    Ok(key)
}

/// Steps 3 to 5.
fn finish(
    data_dir: &Path,
    keystore: &Keystore,
    token: &Token,
    granted: &Granted,
) -> Result<Joined, JoinError> {
    settle(data_dir, token, granted)?;
    keystore.set_chain(&token.root, &granted.chain)?;
    Ok(joined(granted))
}

/// Steps 3 and 4.
fn settle(data_dir: &Path, token: &Token, granted: &Granted) -> Result<(), JoinError> {
    let mut config = Config::load(data_dir)?;
    config.peers.retain(|peer| peer.key != token.parent);
    config.peers.insert(0, Peer { address: granted.address.clone(), key: token.parent });
    config.save(data_dir)?;
    let path = data_dir.join(crate::config::FILE);
    let synced = fs::File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|source| JoinError::Io { path, source })?;
    Keystore::new(data_dir).add_successions(&granted.successions)?;
    // A machine that woke up in 1970 goes by this from its first session on.
    Clock::open(data_dir).beacon(granted.clock_ms);
    Ok(())
}

fn joined(granted: &Granted) -> Joined {
    let body = granted.certificate.body();
    Joined {
        name: body.name.clone(),
        tier: body.tier,
        region: own_region(&granted.certificate),
        not_after_ms: body.not_after_ms,
        parent_name: granted.parent_name.clone(),
        parent_clock_ms: Some(granted.clock_ms),
    }
}

fn note_invitation(data_dir: &Path, token: &Token) -> Result<(), KeystoreError> {
    let text = format!("{}\n", token.invitation);
    keystore::write(&data_dir.join(INVITATION), text.as_bytes(), 0o600)
}

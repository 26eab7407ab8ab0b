//! Administration: what the person in charge of a node may do to it and to the nodes below it.
//!
//! ```text
//!  command line ─┐ control socket          ┌─ admin::invitation   enrolment
//!  (node runs)   ├────────────▶ Request ───┤─ admin::certificate  show, tree, why, change
//!  command line ─┘ store opened            ├─ admin::revocation   revoke, who has it
//!  (node stopped)               directly   ├─ admin::review       what a revoked author left
//!  pages ─────────────────────▶ methods ───┴─ admin::erasure      a person's right
//! ```
//!
//! One [`Administration`] holds what the actions need. The command line reaches it through the
//! control socket while the node runs and opens the store itself when it does not
//! ([`crate::control::ask`]), so that every action exists once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::store::Store;
use cunlian_protocol::session::Identity;

use crate::clock::Clock;
use crate::opening::{OpeningError, open_store};
use crate::operator::Operators;
use crate::restart::Restart;

pub mod backup;
pub mod bundle;
pub mod certificate;
pub mod erasure;
pub mod invitation;
pub mod issuing;
pub mod naming;
pub mod nodes;
pub mod pending;
pub mod people;
pub mod renewal;
mod request;
pub mod review;
pub mod revocation;
pub mod rotation;

pub use request::Request;

/// What actions work on.
#[derive(Clone)]
pub struct Administration {
    /// The node's store.
    pub store: Store,
    /// Who the node is; it signs certificates and revocations.
    pub identity: Arc<Identity>,
    /// The people of the node.
    pub operators: Operators,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Trusted time, milliseconds since 1970-01-01 UTC.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Where trusted time comes from.
    pub clock: Clock,
    /// Asked when the node is another after what was done; does nothing when it does not run.
    pub restart: Restart,
}

/// Why an action was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl AdminError {
    /// With words only.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<OpeningError> for AdminError {
    fn from(error: OpeningError) -> Self {
        Self::new(error)
    }
}

impl From<cunlian_crdt::store::Fault> for AdminError {
    fn from(fault: cunlian_crdt::store::Fault) -> Self {
        Self::new(fault)
    }
}

impl Administration {
    /// Opens the store of a node that does not run.
    pub fn open(data_dir: &Path) -> Result<Self, OpeningError> {
        let (store, identity) = open_store(data_dir)?;
        let clock = Clock::open(data_dir);
        let told = clock.clone();
        Ok(Self {
            store,
            identity: Arc::new(identity),
            operators: Operators::new(data_dir),
            data_dir: data_dir.to_owned(),
            now_ms: Arc::new(move || told.now_ms()),
            clock,
            restart: Restart::default(),
        })
    }
}

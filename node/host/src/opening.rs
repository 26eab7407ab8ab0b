//! Opening the store of a data directory, by the program that runs there and by commands alike.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{Fault, OpenError, Store, StoreIdentity, StoreOptions};
use cunlian_governance::divisions;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::Level;
use cunlian_protocol::session::Identity;
use rand::Rng as _;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::keystore::{Keystore, KeystoreError};
use crate::operator::{OperatorError, Operators};
use crate::private;
use crate::regions::own_region;
use crate::suspension::{self, SuspensionError};

/// Why the store of a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// Keys or certificates.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store could not take the node's own certificates.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Operators.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Whether the node may author cannot be told.
    #[error(transparent)]
    Standing(#[from] SuspensionError),
}

/// Opens the store of a data directory for the node that lives there.
pub fn open_store(data_dir: &Path) -> Result<(Store, Identity), OpeningError> {
    open_store_at(data_dir, &Clock::open(data_dir))
}

/// The same by a clock that is open already.
pub fn open_store_at(data_dir: &Path, clock: &Clock) -> Result<(Store, Identity), OpeningError> {
    let keystore = Keystore::new(data_dir);
    // A key that others could read is refused; it may be theirs by now. The rest is closed.
    let identity = keystore.identity()?;
    private::tighten(data_dir);
    let store_identity = StoreIdentity {
        root: keystore.root()?,
        own: Some(identity.certificate.serial()),
        chain: identity.chain.clone(),
    };
    let body = identity.certificate.body();
    if body.issuer.is_some() {
        // What a founder signed for itself is by the same clock.
        clock.not_before(body.issued_at_ms);
    }
    let store = open_with(data_dir, &keystore, store_identity)?;
    store.add_certificates(&Operators::new(data_dir).certificates()?)?;
    if let Some(suspended) = suspension::check_in(data_dir, clock.now_ms())? {
        store.suspend(suspended.reason);
    }
    keep_names(&store, &identity);
    Ok((store, identity))
}

/// The names in the node's own certificates, so that its pages and plates have them before the
/// register has come down. Without them it shows codes; no node is kept from starting.
fn keep_names(store: &Store, identity: &Identity) {
    let authority = store.authority();
    let chain = authority.chain(&identity.certificate.serial()).into_iter();
    let places = chain.map(|certificate| (own_region(certificate), &certificate.body().name));
    let places: Vec<_> = places
        .filter(|(region, name)| region.level() >= Level::County && !name.trim().is_empty())
        .map(|(region, name)| (region, name.clone()))
        .collect();
    let unknown = match store.read(|connection| divisions::unknown_places(connection, &places)) {
        Ok(unknown) if unknown.is_empty() => return,
        Ok(unknown) => unknown,
        Err(error) => return tracing::warn!(%error, "names of places cannot be read"),
    };
    let kept =
        store.write_reference(move |connection| divisions::keep_own_names(connection, &unknown));
    if let Err(error) = kept {
        tracing::warn!(%error, "names of places cannot be kept");
    }
}

/// A node that joined after the root was changed knows the successions, and its store does not yet.
fn open_with(
    data_dir: &Path,
    keystore: &Keystore,
    identity: StoreIdentity,
) -> Result<Store, OpeningError> {
    let quota = Config::load_or_default(data_dir)?.quota;
    let open = |identity| {
        let projector = Arc::new(GovernanceProjector);
        let options = StoreOptions { quota, ..StoreOptions::default() };
        Store::open(data_dir, projector, identity, options)
    };
    match open(identity.clone()) {
        Err(OpenError::Chain(_)) => {
            let nobody = StoreIdentity { own: None, chain: Vec::new(), ..identity.clone() };
            let successions = keystore.successions()?;
            let successions = successions.iter().map(|succession| succession.bytes().to_vec());
            open(nobody)?.add_successions(&successions.collect::<Vec<_>>())?;
            Ok(open(identity)?)
        }
        outcome => Ok(outcome?),
    }
}

/// The node itself as an author, with a session of its own.
pub fn node_author(identity: &Identity) -> Author {
    Author {
        serial: identity.certificate.serial(),
        key: identity.key.clone(),
        session: rand::rng().next_u64(),
    }
}

//! Opening a store: version, lock, migration, authority, outbox, projections, writer.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::CertificateError;
use rusqlite::Connection;

use super::health::{Condition, Fault};
use super::outbox::{self, Ancestors};
use super::reading::Readers;
use super::writer::Writer;
use super::{
    Inner, Shared, StoreIdentity, StoreOptions, blob, bounds, follow, materialize, permission,
    purge, schema,
};
use crate::projector::Projector;

/// Size to which the write-ahead log is cut after a large transaction has enlarged it.
const LOG_BYTES_KEPT: u32 = 32 << 20;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory {} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer program wrote it; the files were not touched.
    #[error("the store has version {found}, this program knows versions up to {supported}")]
    NewerVersion {
        /// Version of the files.
        found: u32,
        /// Newest version this program knows.
        supported: u32,
    },
    /// The directory or a file in it cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The node's own chain does not verify under the root key.
    #[error("the certificates of this node do not verify: {0}")]
    Chain(#[from] CertificateError),
    /// SQLite could not open, migrate or fill the file.
    #[error(transparent)]
    Storage(#[from] Fault),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

pub(super) fn open(
    dir: &Path,
    projector: Arc<dyn Projector>,
    identity: StoreIdentity,
    options: StoreOptions,
) -> Result<Inner, OpenError> {
    let path = dir.join("store.sqlite");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let supported = schema::VERSION;
    if let Some(found) = schema::version_of_files(&path).map_err(at(&path))?
        && found > supported
    {
        return Err(OpenError::NewerVersion { found, supported });
    }
    // Personal data will be in it: for the user of the node only.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    let lock = lock(dir)?;
    let mut connection = connect(&path, &options)?;
    schema::migrate(&mut connection)?;
    if purge::is_compaction_due(&connection)? {
        connection = purge::compact_closed(connection, &path, || connect(&path, &options))?;
    }
    let transaction = connection.transaction()?;
    let own = identity.own;
    let (authority, fewer) = authority(&transaction, identity)?;
    let ancestors = Ancestors::of(&authority, own);
    if outbox::adapt(&transaction, &ancestors)? {
        blob::adapt(&transaction, &ancestors)?;
    }
    materialize::adapt(&transaction, &*projector, &authority)?;
    bounds::adapt(&transaction, &*projector, &authority, &ancestors)?;
    follow::adapt(&transaction)?;
    let latest = follow::Latest::new(super::rows::last_row(&transaction)?);
    transaction.commit()?;
    let shared = Arc::new(Shared {
        projector,
        own,
        authority: RwLock::new(Arc::new(authority)),
        ancestors,
        condition: Condition::default(),
        listeners: RwLock::default(),
        latest: Arc::new(latest),
        suspension: RwLock::default(),
    });
    let readers = Readers::new(&path, &options, Arc::clone(&shared));
    let writer = Writer::start(connection, Arc::clone(&shared)).map_err(at(dir))?;
    let inner = Inner {
        writer,
        readers,
        shared,
        dir: dir.to_owned(),
        options,
        blobs: blob::Claims::default(),
        _lock: lock,
    };
    if fewer {
        permission::settle_all(&inner)?;
    }
    Ok(inner)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("store.lock");
    let options = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = options.map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

fn connect(path: &Path, options: &StoreOptions) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    // What is deleted is overwritten at once; compacting gets the copies that moved pages leave.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(options.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(limit) = options.size_limit_bytes {
        let page_bytes: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update(None, "max_page_count", limit / page_bytes.max(1))?;
    }
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// What the file holds, and the node's own chain, which is kept with it.
fn authority(
    connection: &Connection,
    identity: StoreIdentity,
) -> Result<(Authority, bool), OpenError> {
    let (mut authority, fewer) = permission::load(connection, identity.root)?;
    for bytes in identity.chain {
        let serial = authority.hold(&bytes)?;
        permission::keep_certificate(connection, &serial, &bytes)?;
    }
    Ok((authority, fewer))
}

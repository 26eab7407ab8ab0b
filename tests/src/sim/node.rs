//! One machine: what is on its disk, and the process when one runs.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::{fs, io};

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{Store, StoreOptions, Suspension};
use cunlian_governance::capabilities::Capabilities;
use cunlian_host::clock::{Clock, Source};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::dialect::Dialect;
use cunlian_protocol::hub::{ConnectionId, Hub};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::sync::StoreRequest;
use cunlian_protocol::wire::LineageToken;

use super::county::Seat;
use super::model::Held;
use crate::member::Member;

/// Files of a data directory that are copied; the others are made anew by whoever opens it.
const FILES: [&str; 3] = ["store.sqlite", "store.sqlite-wal", "clock.json"];

/// What survives the process.
pub(super) struct Disk {
    /// Key and certificates.
    pub(super) member: Member,
    /// The lineage tokens that peers gave last.
    pub(super) lines: BTreeMap<PublicKey, LineageToken>,
    /// Whom it dials.
    pub(super) targets: Vec<PublicKey>,
    /// That it must not author.
    pub(super) suspended: Option<Suspension>,
}

impl Clone for Disk {
    fn clone(&self) -> Self {
        let Self { member, lines, targets, suspended } = self;
        let (member, lines, targets) = (member.clone(), lines.clone(), targets.clone());
        Self { member, lines, targets, suspended: *suspended }
    }
}

/// One machine.
pub(super) struct Machine {
    pub(super) name: &'static str,
    pub(super) parent: Option<usize>,
    pub(super) operator: Author,
    pub(super) operator_chain: Vec<Vec<u8>>,
    /// The versions of the protocol that its program speaks.
    pub(super) dialect: Dialect,
    pub(super) disk: Disk,
    pub(super) dir: PathBuf,
    pub(super) process: Option<Process>,
    /// What the system clock says, less what it is.
    pub(super) clock_error_ms: Arc<AtomicI64>,
    /// An older copy of the disk, and what was in it.
    pub(super) backup: Option<(Disk, PathBuf, Held)>,
    /// The process dies after so many more effects.
    pub(super) dies_after: Option<u32>,
    /// It takes no frames before this time.
    pub(super) stalled_until_ms: i64,
    /// Its store takes up to so long for each answer, until this time.
    pub(super) slow: Option<(i64, i64)>,
    /// Whether its disk has no room left.
    pub(super) full: bool,
    /// What its program can do.
    capabilities: Capabilities,
}

/// A queue of store requests of one connection.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) waiting: VecDeque<(u64, StoreRequest)>,
    pub(super) busy: bool,
}

/// A running process.
pub(super) struct Process {
    pub(super) store: Store,
    pub(super) hub: Hub,
    pub(super) clock: Clock,
    pub(super) authority: Arc<Authority>,
    pub(super) committed: Arc<AtomicBool>,
    pub(super) learned: Arc<AtomicBool>,
    /// Whether the hub is about to be told.
    pub(super) telling: bool,
    pub(super) offset_ms: i64,
    pub(super) wake_at_ms: Option<i64>,
    /// By connection, and whether the requests change the store.
    pub(super) lanes: BTreeMap<(ConnectionId, bool), Lane>,
    /// Nonce of what is authored by this process.
    pub(super) session: u64,
}

impl Machine {
    /// A machine that does not run yet.
    pub(super) fn new(seat: Seat, dir: PathBuf, capabilities: Capabilities) -> Self {
        let Seat { name, member, parent, targets, operator, operator_chain } = seat;
        let lines = BTreeMap::new();
        Self {
            name,
            parent,
            operator,
            operator_chain,
            dialect: Dialect::default(),
            disk: Disk { member, lines, targets, suspended: None },
            dir,
            process: None,
            clock_error_ms: Arc::new(AtomicI64::new(0)),
            backup: None,
            dies_after: None,
            stalled_until_ms: 0,
            slow: None,
            full: false,
            capabilities,
        }
    }

    /// Starts the process from what is on the disk.
    pub(super) fn start(&mut self, steady_ms: &Arc<AtomicI64>, session: u64) {
        assert!(self.process.is_none(), "one process for each machine");
        let identity = self.disk.member.store_identity();
        let options = StoreOptions {
            readers: 1,
            writer_cache_kib: 1 << 10,
            reader_cache_kib: 256,
            low_space_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(&self.dir, Arc::new(self.capabilities.clone()), identity, options);
        let store = store.unwrap_or_else(|error| panic!("{} does not open: {error}", self.name));
        if let Some(reason) = self.disk.suspended {
            store.suspend(reason);
        }
        let (committed, learned) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (flag, other) = (Arc::clone(&committed), Arc::clone(&learned));
        store.on_commit(move |notice| {
            flag.store(true, Ordering::SeqCst);
            other.fetch_or(notice.learned, Ordering::SeqCst);
        });
        let system = SystemClock(Arc::clone(steady_ms), Arc::clone(&self.clock_error_ms));
        let clock = Clock::with_source(&self.dir, system);
        let authority = store.authority();
        let identity = self.disk.member.identity.clone();
        let hub = Hub::new(identity, Arc::clone(&authority), self.disk.targets.clone())
            .with_lineage_tokens(self.disk.lines.clone(), self.disk.suspended.is_some())
            .speaking(self.dialect.clone());
        self.process = Some(Process {
            store,
            hub,
            clock,
            authority,
            committed,
            learned,
            telling: false,
            offset_ms: 0,
            wake_at_ms: None,
            lanes: BTreeMap::new(),
            session,
        });
    }

    /// The process dies as by `kill -9`: the files stay as they are at this moment.
    pub(super) fn kill(&mut self) {
        if self.process.is_none() {
            return;
        }
        let aside = self.dir.with_extension("killed");
        copy(&self.dir, &aside).expect("the files of a store can be copied");
        // Closing folds the log in, which a process that dies does not.
        self.process = None;
        copy(&aside, &self.dir).expect("the files of a store can be put back");
    }

    /// Keeps a copy of the disk as it is now.
    pub(super) fn back_up(&mut self, held: Held) {
        let to = self.dir.with_extension("backup");
        copy(&self.dir, &to).expect("the files of a store can be copied");
        self.backup = Some((self.disk.clone(), to, held));
    }

    /// Puts the copy in place of the disk; gives what is in it.
    pub(super) fn roll_back(&mut self) -> Option<Held> {
        let (disk, from, held) = self.backup.take()?;
        assert!(self.process.is_none(), "files are not changed under a process");
        copy(&from, &self.dir).expect("a copy can be put back");
        self.disk = disk;
        Some(held)
    }
}

/// Copies the files of one data directory over those of another.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for name in FILES {
        let target = to.join(name);
        match fs::copy(from.join(name), &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::remove_file(&target) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            other => drop(other?),
        }
    }
    // An index of another log would not fit.
    match fs::remove_file(to.join("store.sqlite-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A system clock that may be wrong.
struct SystemClock(Arc<AtomicI64>, Arc<AtomicI64>);

impl Source for SystemClock {
    fn system_ms(&self) -> i64 {
        self.steady_ms() + self.1.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

//! Keeps the node's status true: put together from the hub's reports and the store, published
//! when something changes and at least every second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cunlian_crdt::store::{self, BlobTotals, Store};
use cunlian_protocol::hub::PeerReport;
use cunlian_protocol::id::Serial;
use cunlian_protocol::session::Identity;
use tokio::sync::watch;

use cunlian_host::clock::{self, Judgement};
use cunlian_host::config::Config;
use cunlian_host::network::gate::Gate;
use cunlian_host::regions::own_region;
use cunlian_host::status::{
    Clock, Health, Ledger, LinkPhotos, LinkState, Meter, NodeStatus, Passed, PeerRole, Photos,
};

use self::ledger::Ledgers;
use self::peer::peer_status;

mod ledger;
mod peer;

const EVERY: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for a new look.
const PATIENCE: Duration = Duration::from_secs(3);
/// Changes come in bursts; the status need not follow each.
const PAUSE: Duration = Duration::from_millis(150);
/// How often a store that could not be written is tried.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// What is written to try: as much as the largest change.
const PROBE_BYTES: usize = cunlian_protocol::limits::CHANGE_BYTES;
/// Counting a large store takes a while; it may take this part of the time.
const COUNTING_SHARE: u32 = 20;

struct Watcher {
    store: Store,
    /// Set by every commit.
    changed: Arc<AtomicBool>,
    counted: Instant,
    counting_took: Duration,
    photos: Counted,
    ledgers: Ledgers,
    probed: Instant,
    gate: Gate,
    clock: clock::Clock,
    known: NodeStatus,
    addresses: Vec<String>,
    /// By certificate.
    watched: BTreeMap<Serial, Watched>,
}

/// Photos that are on their way, counted at every look unless that takes long. What a session does
/// not ask for is no commit.
#[derive(Default)]
struct Counted {
    totals: BlobTotals,
    at: Option<Instant>,
    took: Duration,
}

impl Counted {
    fn look(&mut self, store: &Store) -> &BlobTotals {
        if self.at.is_none_or(|at| at.elapsed() >= self.took * COUNTING_SHARE) {
            let started = Instant::now();
            // A store that cannot be read is said to be broken elsewhere.
            if let Ok(totals) = store.blob_totals() {
                self.totals = totals;
            }
            self.took = started.elapsed();
            self.at = Some(Instant::now());
        }
        &self.totals
    }
}

/// What is remembered of a peer from one look to the next.
#[derive(Debug, Clone, Default)]
struct Watched {
    meter: Meter,
    expected_since_ms: Option<i64>,
}

/// The status as it was looked up last, and a way to have it looked up now.
#[derive(Clone)]
pub(super) struct StatusPublisher {
    status: watch::Receiver<NodeStatus>,
    /// Number of the latest wish to look.
    asked: Arc<watch::Sender<u64>>,
    /// The latest wish that had been heard when the status was looked up.
    looked: watch::Receiver<u64>,
}

impl StatusPublisher {
    /// The status as it is now: whoever asks after having done something finds it in there. When
    /// the store is too busy to say, it is the last one.
    pub(super) async fn now(&self) -> NodeStatus {
        let mut own = 0;
        self.asked.send_modify(|number| {
            *number += 1;
            own = *number;
        });
        let mut looked = self.looked.clone();
        let _ = tokio::time::timeout(PATIENCE, looked.wait_for(|number| *number >= own)).await;
        self.status.borrow().clone()
    }

    /// The status as it was looked up last, at most about a second ago.
    pub(super) fn latest(&self) -> watch::Receiver<NodeStatus> {
        self.status.clone()
    }
}

/// Starts publishing; the first status is there at once.
pub(super) fn start(
    store: Store,
    identity: &Identity,
    config: &Config,
    gate: Gate,
    mut reports: watch::Receiver<Vec<PeerReport>>,
    clock: clock::Clock,
) -> (StatusPublisher, tokio::task::JoinHandle<()>) {
    let body = identity.certificate.body();
    let known = NodeStatus {
        name: body.name.clone(),
        tier: body.tier,
        region: own_region(&identity.certificate),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: clock.now_ms(),
        as_of_ms: clock.now_ms(),
        health: Health::Ok,
        clock: judged(&clock),
        suspended: store.suspension(),
        peers: Vec::new(),
        cut_links: gate.cut_links(),
        documents: 0,
        beyond_bounds: 0,
        changes: 0,
        waiting: 0,
        photos: Photos::default(),
        ledger: Ledger::default(),
    };
    let addresses = config.peers.iter().map(|peer| peer.address.to_string()).collect();
    let (publish, status) = watch::channel(known.clone());
    let changed = Arc::new(AtomicBool::new(true));
    let commits = Arc::clone(&changed);
    store.on_commit(move |_| commits.store(true, Ordering::Release));
    let ledgers = Ledgers::new(&store, identity);
    let mut watcher = Watcher {
        store,
        changed,
        counted: Instant::now(),
        counting_took: Duration::ZERO,
        photos: Counted::default(),
        ledgers,
        probed: Instant::now(),
        gate,
        clock,
        known,
        addresses,
        watched: BTreeMap::new(),
    };
    let (asked, mut wishes) = watch::channel(0);
    let (heard, looked) = watch::channel(0);
    let task = tokio::spawn(async move {
        loop {
            let wish = *wishes.borrow_and_update();
            let latest = reports.borrow_and_update().clone();
            let (again, made) = tokio::task::spawn_blocking(move || {
                let made = watcher.look(&latest);
                (watcher, made)
            })
            .await
            .expect("looking at the store does not panic");
            watcher = again;
            if publish.send(made).is_err() {
                return;
            }
            heard.send_replace(wish);
            tokio::time::sleep(PAUSE).await;
            // Something changed, somebody asks, or a second passed: each is a reason to look.
            tokio::select! {
                _ = reports.changed() => {}
                _ = wishes.changed() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
    (StatusPublisher { status, asked: Arc::new(asked), looked }, task)
}

impl Watcher {
    fn look(&mut self, reports: &[PeerReport]) -> NodeStatus {
        let health = self.store.health();
        let failing = !matches!(health, store::Health::Ok | store::Health::LowSpace { .. });
        if failing && self.probed.elapsed() >= PROBE_EVERY {
            self.probed = Instant::now();
            self.probe();
        }
        self.known.health = match self.store.health() {
            store::Health::Ok => Health::Ok,
            store::Health::LowSpace { free } => Health::LowSpace { free_bytes: free },
            store::Health::DiskFull => Health::DiskFull,
            store::Health::ReadOnly => Health::ReadOnly,
            store::Health::Corrupt { detail } => Health::Corrupt { detail },
            store::Health::Failing { detail } => Health::Failed { detail },
        };
        self.count();
        let authority = self.store.authority();
        let cut: Vec<String> = self.gate.cut_links().iter().map(ToString::to_string).collect();
        let backlog = self.store.outbox_totals().unwrap_or_default();
        let postponed = self.store.postponed().unwrap_or_default();
        let photos = self.photos.look(&self.store);
        self.known.photos = Photos::from(photos);
        let now_ms = self.clock.now_ms();
        self.known.waiting = backlog.values().map(|tier| tier.changes).sum();
        self.known.peers = reports
            .iter()
            .map(|report| {
                let mut peer = peer_status(report, &authority, &self.addresses, now_ms);
                let address = report.target.and_then(|target| self.addresses.get(target.0));
                if address.is_some_and(|address| cut.contains(address)) {
                    peer.state = LinkState::Down;
                    // The connection is not known to be gone yet, but nothing passes.
                    peer.activity = None;
                }
                let waiting = peer.tier.and_then(|tier| backlog.get(&tier));
                if let (PeerRole::Parent, Some(waiting)) = (peer.role, waiting) {
                    peer.pending_changes = waiting.changes;
                    peer.pending_bytes = waiting.bytes;
                    peer.pending_since_ms = waiting.oldest_recorded_at_ms;
                    // Between two attempts, and while the line is away, nothing else is known.
                    let known = peer.tier.and_then(|tier| postponed.get(&tier));
                    peer.postponed = peer.postponed.or_else(|| known.cloned());
                }
                let key = peer.serial.and_then(|serial| authority.get(&serial));
                peer.photos = match (peer.role, peer.tier, key) {
                    (PeerRole::Parent, Some(tier), _) => LinkPhotos::above(photos, tier),
                    (PeerRole::Child | PeerRole::Other, _, Some(certificate)) => {
                        LinkPhotos::below(photos, &certificate.body().subject)
                    }
                    (PeerRole::Parent | PeerRole::Child | PeerRole::Other, _, _) => {
                        LinkPhotos::default()
                    }
                };
                peer
            })
            .collect();
        self.measure(now_ms);
        self.known.ledger = self.ledgers.look(&self.store, &authority, reports, now_ms);
        self.known.clock = judged(&self.clock);
        self.known.cut_links = self.gate.cut_links();
        self.known.suspended = self.store.suspension();
        self.known.as_of_ms = now_ms;
        self.known.clone()
    }

    /// How fast changes pass each link, how long the rest takes, and since when some are expected.
    fn measure(&mut self, now_ms: i64) {
        let mut before = std::mem::take(&mut self.watched);
        for peer in &mut self.known.peers {
            let (Some(serial), Some(traffic)) = (peer.serial, peer.traffic) else { continue };
            let Watched { mut meter, expected_since_ms } =
                before.remove(&serial).unwrap_or_default();
            let changes = traffic.sent + traffic.received;
            let bytes = traffic.bytes_out + traffic.bytes_in;
            peer.rate = meter.look(now_ms, Passed { changes, bytes });
            let left = peer.pending_changes + peer.expected_changes;
            let rate = peer.rate.filter(|_| left > 0 && peer.state.is_up());
            peer.remaining_s = rate.and_then(|rate| rate.seconds_for(left));
            let since_ms = expected_since_ms.unwrap_or(now_ms);
            peer.expected_since_ms = (peer.expected_changes > 0).then_some(since_ms);
            let expected_since_ms = peer.expected_since_ms;
            self.watched.insert(serial, Watched { meter, expected_since_ms });
        }
    }

    /// Tries whether a large change could be stored again; the store notes the outcome. Nobody has to
    /// lose a form to find out that there is space again.
    fn probe(&self) {
        let tried = self.store.try_room(PROBE_BYTES);
        if let Err(fault) = tried {
            tracing::debug!(%fault, "the store still cannot be written");
        }
    }

    /// Counts anew if something was committed, but not so often that counting is all it does.
    fn count(&mut self) {
        if self.counted.elapsed() < self.counting_took * COUNTING_SHARE
            || !self.changed.swap(false, Ordering::AcqRel)
        {
            return;
        }
        self.counted = Instant::now();
        match self.store.counts() {
            Ok(counts) => {
                self.known.documents = counts.total.documents;
                self.known.beyond_bounds = counts.total.beyond;
                self.known.changes = counts.total.changes;
            }
            Err(fault) => self.known.health = Health::Failed { detail: fault.to_string() },
        }
        self.counting_took = self.counted.elapsed();
    }
}

fn judged(clock: &clock::Clock) -> Clock {
    match clock.check() {
        Judgement::Unknown => Clock::Unknown,
        Judgement::Sound => Clock::Ok,
        Judgement::Wrong { doubt, ahead_ms } => Clock::Off { ahead_ms, doubt },
    }
}

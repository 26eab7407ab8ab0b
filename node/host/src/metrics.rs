//! Figures about a node for those who watch it: what it refused, what it holds, how its links are.
//!
//! What it is: counters that the network, the pages and enrolment add to, and the text of
//! `/metrics` (`OpenMetrics` 1.0), made from them, from the [`NodeStatus`] and from a few counts of
//! the store. What is refused is also logged, but a line that is the same is logged once in a
//! minute ([`Repeats`]); it is always counted here.
//!
//! What it is not: no figure is about a person. Labels are words of this file and, for peers,
//! name and address code from the certificates of *nodes*; an operator never becomes a peer. Text
//! that a peer chose is never a label before its certificate was verified.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_protocol::wire::FaultCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::status::{Clock, Health, NodeStatus, Photos};

pub use self::refusal::RefusalClass;
pub use self::repeats::{Repeated, Repeats, Say};

mod ledger;
mod link;
mod refusal;
mod repeats;

/// Type of the text, for the header of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// File of the data directory with the token for those who ask from elsewhere.
const TOKEN_FILE: &str = "metrics.token";
/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 32;

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counted<const N: usize> = Family<Labels<N>, Counter>;

/// Why nobody was logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFailure {
    /// Name or password.
    Wrong,
    /// Too many attempts.
    Throttled,
    /// The account is locked, or may not be used any more.
    Locked,
}

/// Counts of the store that are quick to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreFigures {
    /// Changes in quarantine.
    pub quarantined: u64,
    /// Numbers that an author gave twice.
    pub equivocations: u64,
}

/// The counters of one node. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    token_file: PathBuf,
    changes_refused: Counted<1>,
    certificates_refused: Counter,
    sessions_ended: Counted<2>,
    connections: Counter,
    connections_failed: Counted<1>,
    enrolment_refused: Counted<1>,
    login_failed: Counted<1>,
}

impl Metrics {
    /// With all counters at zero, for the node of a data directory. Those of every reason are
    /// there from the start, so that the first refusal is seen as an increase.
    pub fn new(data_dir: &Path) -> Self {
        let token_file = data_dir.join(TOKEN_FILE);
        let metrics = Self(Arc::new(Counters { token_file, ..Counters::default() }));
        for class in RefusalClass::ALL {
            drop(metrics.0.changes_refused.get_or_create(&[("reason", class.name())]));
        }
        for failure in [LoginFailure::Wrong, LoginFailure::Throttled, LoginFailure::Locked] {
            drop(metrics.0.login_failed.get_or_create(&[("reason", failure.name())]));
        }
        metrics
    }

    /// Changes of a peer were refused.
    pub fn changes_refused(&self, class: RefusalClass, count: u64) {
        self.0.changes_refused.get_or_create(&[("reason", class.name())]).inc_by(count);
    }

    /// Certificates or revocations of a peer were refused.
    pub fn certificates_refused(&self, count: u64) {
        self.0.certificates_refused.inc_by(count);
    }

    /// A session, or the attempt at one, ended with this code, on this side or at the peer.
    pub fn session_ended(&self, code: FaultCode, by_peer: bool) {
        let by = if by_peer { "peer" } else { "node" };
        self.0.sessions_ended.get_or_create(&[("code", code_name(code)), ("by", by)]).inc();
    }

    /// Somebody connected and said the first thing.
    pub fn connected(&self) {
        self.0.connections.inc();
    }

    /// A connection ended before anything was said: `slow`, `handshake`, `key` or `busy`.
    pub fn connection_failed(&self, reason: &'static str) {
        self.0.connections_failed.get_or_create(&[("reason", reason)]).inc();
    }

    /// Somebody who wanted to join was refused; `reason` is one of a few fixed words.
    pub fn enrolment_refused(&self, reason: &'static str) {
        self.0.enrolment_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// Somebody who wanted to log in was refused.
    pub fn login_failed(&self, failure: LoginFailure) {
        self.0.login_failed.get_or_create(&[("reason", failure.name())]).inc();
    }

    /// Whether `token` is the one in the node's file; without such a file none is. The file is
    /// read, so that it can be changed while the node runs.
    pub fn opens(&self, token: &str) -> bool {
        let Ok(text) = std::fs::read_to_string(&self.0.token_file) else { return false };
        let expected = text.trim();
        // Hashes compare in constant time.
        expected.len() >= TOKEN_BYTES_MIN
            && blake3::hash(expected.as_bytes()) == blake3::hash(token.as_bytes())
    }

    /// Everything as text.
    pub fn text(&self, status: &NodeStatus, figures: StoreFigures) -> String {
        let mut registry = Registry::with_prefix("cunlian");
        self.register(&mut registry);
        register_node(&mut registry, status, figures);
        link::register(&mut registry, &status.peers);
        ledger::register(&mut registry, &status.ledger);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    fn register(&self, registry: &mut Registry) {
        let Counters {
            token_file: _,
            changes_refused,
            certificates_refused,
            sessions_ended,
            connections,
            connections_failed,
            enrolment_refused,
            login_failed,
        } = &*self.0;
        registry.register(
            "changes_refused",
            "Changes of peers that were refused, by reason",
            changes_refused.clone(),
        );
        registry.register(
            "certificates_refused",
            "Certificates and revocations of peers that were refused",
            certificates_refused.clone(),
        );
        registry.register(
            "sessions_ended",
            "Sessions ended with a code, by this node or by the peer",
            sessions_ended.clone(),
        );
        registry.register("connections", "Connections accepted", connections.clone());
        registry.register(
            "connections_failed",
            "Connections that ended before anything was said",
            connections_failed.clone(),
        );
        registry.register(
            "enrolment_refused",
            "Attempts to join that were refused, by reason",
            enrolment_refused.clone(),
        );
        registry.register(
            "login_failures",
            "Logins that were refused, by reason",
            login_failed.clone(),
        );
    }
}

impl LoginFailure {
    const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Throttled => "throttled",
            Self::Locked => "locked",
        }
    }
}

fn register_node(registry: &mut Registry, status: &NodeStatus, figures: StoreFigures) {
    let about = vec![
        ("name", status.name.clone()),
        ("tier", status.tier.name().to_owned()),
        ("region", status.region.as_str().to_owned()),
        ("version", status.version.clone()),
    ];
    registry.register("node", "The node", Info::new(about));
    let mut gauge = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(value));
    };
    gauge("documents", "Documents in the store", status.documents);
    gauge("changes", "Changes in the log", status.changes);
    gauge("changes_waiting", "Changes that a tier above is not known to hold", status.waiting);
    gauge("quarantine_changes", "Refused changes kept to be looked at", figures.quarantined);
    gauge("equivocations", "Numbers that an author gave to two changes", figures.equivocations);
    gauge("links_cut", "Links cut by hand", status.cut_links.len() as u64);
    register_photos(registry, &status.photos);
    let mut gauge = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(value));
    };
    let takes_writes = matches!(status.health, Health::Ok | Health::LowSpace { .. });
    gauge("store_takes_writes", "Whether the store takes writes", u64::from(takes_writes));
    let started_s = ConstGauge::new(status.started_at_ms / 1_000);
    registry.register("started_seconds", "When the node started, since 1970", started_s);
    if let Clock::Off { .. } | Clock::Ok = status.clock {
        let ahead_s = match status.clock {
            Clock::Off { ahead_ms, .. } => ahead_ms / 1_000,
            Clock::Ok | Clock::Unknown => 0,
        };
        let help = "How far the clock is ahead of the parent's when beyond the bound, else 0";
        registry.register("clock_ahead_seconds", help, ConstGauge::new(ahead_s));
    }
}

fn register_photos(registry: &mut Registry, photos: &Photos) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(value));
    };
    gauge("photos_missing", "Photos and files that have not come in full", photos.missing);
    gauge("photos_missing_bytes", "Their bytes, what is here included", photos.missing_bytes);
    let help = "Photos and files that a tier above is not known to hold";
    gauge("photos_waiting", help, photos.waiting);
    gauge("photos_waiting_bytes", "Their bytes", photos.waiting_bytes);
    let taken = u64::from(photos.none_taken.is_none());
    gauge("photos_taken", "Whether missing photos and files are asked for at all", taken);
    let since = [
        ("photos_missing_since_seconds", photos.missing_since_ms),
        ("photos_waiting_since_seconds", photos.waiting_since_ms),
    ];
    for (name, at_ms) in since {
        let Some(at_ms) = at_ms else { continue };
        let help = "When that was recorded which has been so longest, since 1970";
        registry.register(name, help, ConstGauge::new(at_ms / 1_000));
    }
}

/// The code as a word.
const fn code_name(code: FaultCode) -> &'static str {
    match code {
        FaultCode::Stopping => "stopping",
        FaultCode::Malformed => "malformed",
        FaultCode::TooLarge => "too_large",
        FaultCode::Unexpected => "unexpected",
        FaultCode::Version => "version",
        FaultCode::Certificate => "certificate",
        FaultCode::Revoked => "revoked",
        FaultCode::Expired => "expired",
        FaultCode::Signature => "signature",
        FaultCode::OutOfScope => "out_of_scope",
        FaultCode::Flow => "flow",
        FaultCode::WrongPeer => "wrong_peer",
        FaultCode::Replaced => "replaced",
        FaultCode::Busy => "busy",
        FaultCode::Timeout => "timeout",
        FaultCode::Store => "store",
        FaultCode::Cloned => "cloned",
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::certificate::Tier;

    use super::*;
    use crate::status::{Ledger, PeerStatus};

    pub(super) fn status(peers: Vec<PeerStatus>) -> NodeStatus {
        NodeStatus {
            name: "高\"城\"镇".to_owned(),
            tier: Tier::Town,
            region: AddressCode::parse("370322102").unwrap(),
            version: "0.1.0".to_owned(),
            started_at_ms: 5_000,
            as_of_ms: 6_000,
            health: Health::Ok,
            suspended: None,
            clock: Clock::Ok,
            peers,
            cut_links: Vec::new(),
            documents: 7,
            beyond_bounds: 0,
            changes: 9,
            waiting: 2,
            photos: Photos::default(),
            ledger: Ledger::default(),
        }
    }

    /// Shows that counters stand in the text with their reasons, from zero on, and that clones
    /// count together.
    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new(Path::new("/nowhere"));
        let text = metrics.text(&status(Vec::new()), StoreFigures::default());
        assert!(text.contains("cunlian_changes_refused_total{reason=\"scope\"} 0\n"), "{text}");
        metrics.clone().changes_refused(RefusalClass::Scope, 3);
        metrics.session_ended(FaultCode::OutOfScope, false);
        metrics.session_ended(FaultCode::OutOfScope, true);
        metrics.login_failed(LoginFailure::Wrong);
        let figures = StoreFigures { quarantined: 4, equivocations: 5 };
        let text = metrics.text(&status(Vec::new()), figures);
        for line in [
            "cunlian_changes_refused_total{reason=\"scope\"} 3",
            "cunlian_sessions_ended_total{code=\"out_of_scope\",by=\"node\"} 1",
            "cunlian_sessions_ended_total{code=\"out_of_scope\",by=\"peer\"} 1",
            "cunlian_login_failures_total{reason=\"wrong\"} 1",
            "cunlian_quarantine_changes 4",
            "cunlian_equivocations 5",
            "cunlian_changes 9",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    /// Shows that only the token of the file opens, that it may be changed, and that none opens
    /// when the file is missing, empty or too short to be a secret.
    #[test]
    fn only_the_token_of_the_file_opens() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new(dir.path());
        let write = |text: &str| std::fs::write(dir.path().join(TOKEN_FILE), text).unwrap();
        assert!(!metrics.opens(""));
        for short in ["", "\n", "0123456789"] {
            write(short);
            assert!(!metrics.opens(short) && !metrics.opens(short.trim()), "{short:?}");
        }
        let token = "0123456789abcdef0123456789abcdef";
        write(&format!("{token}\n"));
        assert!(metrics.opens(token) && !metrics.opens("") && !metrics.opens(&token[1..]));
        write(&token.replace('0', "1"));
        assert!(!metrics.opens(token));
    }
}

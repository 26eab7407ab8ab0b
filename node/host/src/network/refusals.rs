//! What was refused on the network: always counted, logged in full once a minute.
//!
//! Every end of a session with its code, every refused change with its reason, every connection
//! that came to nothing passes here. The log line of a thing that comes again within the minute
//! is left out; how often that was is said when the minute is over.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cunlian_protocol::id::ChangeId;
use cunlian_protocol::sync::{Fate, StoreReply};
use cunlian_protocol::wire::FaultCode;

use super::hub_clock::HubClock;
use crate::metrics::{Metrics, RefusalClass, Repeats, Say};

/// How a session says that the peer ended it.
const BY_PEER: &str = "the peer says: ";
/// Refused changes of one batch and reason that are named in the log; all are in quarantine.
const NAMED: usize = 16;

/// Counts and logs; clones do it together.
#[derive(Clone)]
pub(super) struct Refusals {
    metrics: Metrics,
    repeats: Arc<Mutex<Repeats>>,
    clock: HubClock,
}

impl Refusals {
    pub(super) fn new(metrics: Metrics, clock: HubClock) -> Self {
        Self { metrics, repeats: Arc::default(), clock }
    }

    /// A connection said the first thing.
    pub(super) fn connected(&self) {
        self.metrics.connected();
    }

    /// A connection came to nothing.
    pub(super) fn lost(&self, from: IpAddr, label: &'static str, reason: &str) {
        self.metrics.connection_failed(label);
        if self.is_news(&from.to_string(), reason) {
            tracing::warn!(%from, reason, "a connection came to nothing");
        }
    }

    /// A session ended.
    pub(super) fn closed(&self, peer: u64, from: Option<IpAddr>, code: FaultCode, reason: &str) {
        self.metrics.session_ended(code, reason.starts_with(BY_PEER));
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        if self.is_news(&from, &format!("{code:?} {reason}")) {
            tracing::warn!(peer, from, ?code, reason, "session closed");
        }
    }

    /// Somebody who wants to join was refused, or said nothing.
    pub(super) fn stranger(
        &self,
        from: IpAddr,
        invitation: &str,
        label: &'static str,
        words: &str,
    ) {
        self.metrics.enrolment_refused(label);
        if self.is_news(&from.to_string(), &format!("join {label} {invitation} {words}")) {
            tracing::warn!(%from, invitation, reason = label, words, "a request to join was refused");
        }
    }

    /// The hub has something for the log.
    pub(super) fn notice(&self, peer: &str, text: &str) {
        if self.is_news(peer, text) {
            tracing::warn!(peer, "{text}");
        }
    }

    /// The store has looked at what a peer sent.
    pub(super) fn stored(&self, peer: &str, reply: &StoreReply) {
        match reply {
            StoreReply::Ingested { fates, .. } => self.ingested(peer, fates),
            StoreReply::Certificates { refused }
            | StoreReply::Successions { refused }
            | StoreReply::Revocations { refused } => {
                self.metrics.certificates_refused(refused.len() as u64);
            }
            StoreReply::Overview { .. }
            | StoreReply::Frontier(_)
            | StoreReply::Against { .. }
            | StoreReply::Shorts(_)
            | StoreReply::Blob(_)
            | StoreReply::Read { .. }
            | StoreReply::Admit(_)
            | StoreReply::Waiting { .. }
            | StoreReply::Durability(_)
            | StoreReply::MarkReached { .. }
            | StoreReply::MarkRefused
            | StoreReply::MarkPostponed => {}
        }
    }

    fn ingested(&self, peer: &str, fates: &[(ChangeId, Fate)]) {
        let mut by_reason: BTreeMap<&str, Vec<&ChangeId>> = BTreeMap::new();
        for (id, fate) in fates {
            match fate {
                Fate::Refused { reason } | Fate::Postponed { reason } => {
                    by_reason.entry(reason).or_default().push(id);
                }
                Fate::Accepted | Fate::Known => {}
            }
        }
        for (reason, ids) in by_reason {
            self.metrics.changes_refused(RefusalClass::of(reason), ids.len() as u64);
            if self.is_news(peer, reason) {
                let first: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
                let (count, first) = (ids.len(), first.join(" "));
                tracing::warn!(peer, reason, count, changes = first, "changes were refused");
            }
        }
    }

    /// Says how often things came again, when it is time.
    pub(super) fn say_again(&self) {
        let due = self.lock().due(self.clock.now_ms());
        for again in due {
            let what = again.line.as_deref().unwrap_or("different refusals");
            tracing::warn!(peer = again.party, count = again.count, what, "refused again");
        }
    }

    fn is_news(&self, party: &str, line: &str) -> bool {
        self.lock().note(party, line) == Say::InFull
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! When to dial whom: pauses that grow while it leads to nothing, and what went wrong.

use rand_core::Rng;

use super::{ConnectionId, Effect, Hub, TargetId};
use crate::id::PublicKey;
use crate::session::Report;
use crate::wire::FaultCode;

/// First pause before dialling again.
const BACKOFF_FIRST_MS: i64 = 500;
/// Longest pause before dialling again.
const BACKOFF_LONGEST_MS: i64 = 30_000;
/// A session of this length was worth the dialling, even if nothing moved.
const WORTH_DIALLING_MS: i64 = 10_000;

/// A peer that this node dials.
pub(super) struct Target {
    pub(super) key: PublicKey,
    pub(super) connection: Option<ConnectionId>,
    pub(super) dialling: bool,
    pub(super) next_dial_ms: i64,
    pub(super) backoff_ms: i64,
    /// When the peer said welcome.
    pub(super) opened_at_ms: Option<i64>,
    /// The session ended because a store failed, here or there.
    pub(super) store_failed: bool,
}

impl Target {
    /// Dialled at the first tick.
    pub(super) fn new(key: PublicKey) -> Self {
        Self {
            key,
            connection: None,
            dialling: false,
            next_dial_ms: i64::MIN,
            backoff_ms: 0,
            opened_at_ms: None,
            store_failed: false,
        }
    }

    /// When to dial it; `None` while it is dialled or connected.
    pub(super) fn due_ms(&self) -> Option<i64> {
        (self.connection.is_none() && !self.dialling).then_some(self.next_dial_ms)
    }
}

impl Hub {
    pub(super) fn tick_dials(&mut self, now_ms: i64, effects: &mut Vec<Effect>) {
        for (at, target) in self.targets.iter_mut().enumerate() {
            if target.due_ms().is_some_and(|at_ms| now_ms >= at_ms) {
                target.dialling = true;
                effects.push(Effect::Dial(TargetId(at)));
            }
        }
    }

    pub(super) fn dial_later(&mut self, now_ms: i64, rng: &mut dyn Rng, target: TargetId) {
        let Some(entry) = self.targets.get_mut(target.0) else { return };
        entry.dialling = false;
        entry.connection = None;
        entry.store_failed = false;
        entry.backoff_ms = (2 * entry.backoff_ms).clamp(BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS);
        // Half fixed, half random: 500 children must not come back in the same instant.
        let jitter = i64::from(rng.next_u32()) % (entry.backoff_ms / 2);
        entry.next_dial_ms = now_ms + entry.backoff_ms / 2 + jitter;
    }

    /// After a session in which something moved, or that lasted, a target is dialled again soon;
    /// one that ends each session at once is dialled less and less often. A store that has no room
    /// for what comes after the comparison ends each session in which both were found equal.
    pub(super) fn note_worth(&mut self, now_ms: i64, target: Option<TargetId>, report: &Report) {
        let Some(entry) = target.and_then(|target| self.targets.get_mut(target.0)) else { return };
        let lasted_ms = entry.opened_at_ms.take().map_or(0, |at_ms| now_ms - at_ms);
        let agreed = report.synced_at_ms.is_some() && !entry.store_failed;
        let moved = report.sent > 0 || report.received > 0 || agreed;
        if moved || lasted_ms >= WORTH_DIALLING_MS {
            entry.backoff_ms = 0;
        }
    }

    pub(super) fn note_problem(&mut self, connection: ConnectionId, code: FaultCode, reason: &str) {
        if let Some(target) = self.target_of(connection) {
            if code.is_refusal() {
                self.refused.insert(target);
            }
            if code == FaultCode::Store
                && let Some(entry) = self.targets.get_mut(target.0)
            {
                entry.store_failed = true;
            }
            self.target_problems.insert(target, reason.to_owned());
        }
    }

    pub(super) fn target_of(&self, connection: ConnectionId) -> Option<TargetId> {
        self.targets.iter().position(|target| target.connection == Some(connection)).map(TargetId)
    }
}

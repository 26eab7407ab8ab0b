//! Whether those between this node and one further below are heard.

use super::{ConnectionId, Hub};
use crate::id::PublicKey;
use crate::limits;
use crate::session::Session;

impl Hub {
    /// Tells a session with one further below whether those between have been silent for long.
    pub(super) fn note_silence(&mut self, now_ms: i64, connection: ConnectionId) {
        let between = self.sessions.get(&connection).map(Session::between);
        let Some(between) = between.filter(|between| !between.is_empty()) else { return };
        let last_ms = between.iter().filter_map(|key| self.last_heard_ms(key)).max();
        // A hub that has just begun has heard nobody yet.
        let last_ms = last_ms.max(self.begun_ms).unwrap_or(now_ms);
        let silent = now_ms.saturating_sub(last_ms) >= limits::BETWEEN_SILENT_MS;
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.note_silence(silent);
        }
    }

    /// When the peer with this key was last heard, by the time of the hub.
    fn last_heard_ms(&self, key: &PublicKey) -> Option<i64> {
        let is_peer = |session: &&Session| session.peer().is_some_and(|p| p.body().subject == *key);
        let open = self.sessions.values().filter(is_peer).filter_map(Session::heard_at_ms).max();
        let past = self.past.get(key).and_then(|past| past.report.heard_at_ms);
        open.max(past).map(|at_ms| at_ms.saturating_sub(self.clock_offset_ms))
    }
}

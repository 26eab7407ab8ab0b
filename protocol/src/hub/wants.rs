//! What all peers together have asked for and not been sent.
//!
//! Each session remembers what its peer asked for, up to a bound of its own. Two thousand sessions at
//! that bound would fill any machine, so there is one for the node as well. When it is passed, the
//! session that holds most of what is too much gives way, as in a crowd: a peer that asks without end
//! and takes nothing is that session, and keeps out nobody but itself. An honest one that is cut off
//! dials again and asks for what is left.

use std::collections::BTreeMap;

use super::{ConnectionId, Effect, Hub};
use crate::limits;
use crate::session::Remembered;
use crate::wire::FaultCode;

/// Sums over all sessions, kept with each input.
#[derive(Debug, Default)]
pub(super) struct Wants {
    by_connection: BTreeMap<ConnectionId, Remembered>,
    ranges: usize,
    ids: usize,
}

impl Wants {
    /// A session remembers so much now.
    pub(super) fn note(&mut self, connection: ConnectionId, now: Remembered) {
        let before = if now == Remembered::default() {
            self.by_connection.remove(&connection)
        } else {
            self.by_connection.insert(connection, now)
        };
        let before = before.unwrap_or_default();
        self.ranges = self.ranges + now.ranges - before.ranges;
        self.ids = self.ids + now.ids - before.ids;
    }

    /// Who has to give way: of several with as much, the one that came last.
    fn too_much(&self) -> Option<ConnectionId> {
        let most = |of: fn(&Remembered) -> usize| {
            let most = self.by_connection.iter().max_by_key(|(at, wants)| (of(wants), **at));
            most.map(|(connection, _)| *connection)
        };
        if self.ranges > limits::NODE_WANTED {
            most(|wants| wants.ranges)
        } else if self.ids > limits::NODE_WANTED_IDS {
            most(|wants| wants.ids)
        } else {
            None
        }
    }
}

impl Hub {
    /// Ranges and short ids that all peers together have asked for and not been sent.
    pub fn remembered(&self) -> Remembered {
        Remembered { ranges: self.wants.ranges, ids: self.wants.ids }
    }

    /// Ends the sessions with most of what is too much.
    pub(super) fn bound_wants(&mut self, now_ms: i64, effects: &mut Vec<Effect>) {
        while let Some(connection) = self.wants.too_much() {
            let text = "this node can remember no more of what is asked for; come again";
            self.with(now_ms, connection, effects, |s| s.close(now_ms, FaultCode::Busy, text));
            self.wants.note(connection, Remembered::default());
        }
    }
}

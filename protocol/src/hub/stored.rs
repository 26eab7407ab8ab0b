//! What the store has answered, also to sessions that have ended meanwhile.

use super::{ConnectionId, Effect, Hub};
use crate::session::Session;
use crate::sync::StoreReply;

impl Hub {
    pub(super) fn on_stored(
        &mut self,
        now_ms: i64,
        (connection, number): (ConnectionId, u64),
        reply: Result<StoreReply, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.intake.done(connection, number);
        self.reads.done(connection, number);
        self.lookups.done(connection, number);
        // What a session has had noted is news for the others although it has ended: they would
        // hear of it from nobody else.
        let live = self.sessions.get(&connection).and_then(Session::next_deadline_ms).is_some();
        let late = reply.as_ref().ok().filter(|_| !live).map(StoreReply::news);
        self.with(now_ms, connection, effects, |s| s.handle_stored(now_ms, number, reply));
        if let Some(news) = late.filter(|news| !news.is_empty()) {
            self.spread(now_ms, &news, effects);
        }
    }
}

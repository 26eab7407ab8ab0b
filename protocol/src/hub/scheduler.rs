//! Whose turn it is: the store takes the work of many sessions, a little of each at a time.
//!
//! Batches to be made durable, and reads of changes to be sent, are given to the store a few at a
//! time for the whole node; the others wait here. Who has waited longest since the last turn comes
//! first, so that a child with a hundred batches waits for one with a single change, and not the
//! other way round. The turn belongs to the key of the peer: who connects anew is not new.
//!
//! What waits is counted in bytes. When there is too much of it, no session is to be read
//! ([`Scheduler::is_crowded`]), so what waits is bounded whatever the peers send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{ConnectionId, Effect, Hub};
use crate::id::PublicKey;
use crate::limits;
use crate::sync::StoreRequest;
use crate::wire;

/// Batches to be made durable: small ones share a transaction, of full ones there are as many as
/// keep both the cores and the disk at work.
pub(super) const INTAKE: Bounds = Bounds {
    requests: 64,
    bytes: 4 * limits::BATCH_BYTES,
    of_one: 2,
    waiting_bytes: limits::NODE_UNPROCESSED_BYTES,
};
/// Changes to be read, each read as large as the batch it is for.
pub(super) const READS: Bounds =
    Bounds { requests: 16, bytes: 8 * limits::BATCH_BYTES, of_one: 1, waiting_bytes: usize::MAX };

/// How much the store is given at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Requests of the whole node.
    pub(super) requests: usize,
    /// Bytes of the whole node, unless a single request has more.
    pub(super) bytes: usize,
    /// Requests of one connection.
    pub(super) of_one: usize,
    /// Waiting bytes at which nothing more is to be read.
    pub(super) waiting_bytes: usize,
}

/// One request that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) request: StoreRequest,
    pub(super) bytes: usize,
}

/// What waits of one connection.
#[derive(Debug)]
struct Line {
    peer: PublicKey,
    waiting: VecDeque<Waiting>,
    /// Requests that the store is at work on.
    at_work: usize,
    /// Its place among those that may have a turn, while it is one of them.
    place: Option<u64>,
}

/// Scheduler of one kind of work.
#[derive(Debug)]
pub(super) struct Scheduler {
    bounds: Bounds,
    lines: BTreeMap<ConnectionId, Line>,
    /// Those that may have a turn: by the number of the last turn of the peer.
    entitled: BTreeSet<(u64, ConnectionId)>,
    waiting_bytes: usize,
    /// Given to the store and not answered, with their bytes.
    at_work: BTreeMap<(ConnectionId, u64), usize>,
    at_work_bytes: usize,
    /// Number of the last turn of each peer that had one of late.
    last_turn: BTreeMap<PublicKey, u64>,
    turn: u64,
}

/// Peers whose last turn is remembered; who was served before all of them counts as new.
const REMEMBERED: usize = 4_096;

impl Scheduler {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            lines: BTreeMap::new(),
            entitled: BTreeSet::new(),
            waiting_bytes: 0,
            at_work: BTreeMap::new(),
            at_work_bytes: 0,
            last_turn: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A session has work for the store.
    pub(super) fn wait(&mut self, connection: ConnectionId, peer: PublicKey, work: Waiting) {
        self.waiting_bytes += work.bytes;
        let line = || Line { peer, waiting: VecDeque::new(), at_work: 0, place: None };
        self.lines.entry(connection).or_insert_with(line).waiting.push_back(work);
        self.queue(connection);
    }

    /// The store has answered a request, which may be one of another kind.
    pub(super) fn done(&mut self, connection: ConnectionId, number: u64) {
        let Some(bytes) = self.at_work.remove(&(connection, number)) else { return };
        self.at_work_bytes -= bytes;
        if let Some(line) = self.lines.get_mut(&connection) {
            line.at_work -= 1;
        }
        self.queue(connection);
    }

    /// A connection is gone: what waits of it is let go. What the store is at work on still counts
    /// until it has answered, so that connecting anew gives nobody more of the store.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        if let Some(line) = self.lines.remove(&connection) {
            self.waiting_bytes -= line.waiting.iter().map(|work| work.bytes).sum::<usize>();
            if let Some(place) = line.place {
                self.entitled.remove(&(place, connection));
            }
        }
    }

    /// What the store is to be given now, if it has room.
    pub(super) fn next(&mut self) -> Option<(ConnectionId, u64, StoreRequest)> {
        if self.at_work.len() >= self.bounds.requests {
            return None;
        }
        let (_, connection) = *self.entitled.first()?;
        let line = self.lines.get_mut(&connection)?;
        let bytes = line.waiting.front()?.bytes;
        // Others must not go before a large one for ever because they are small.
        if self.at_work_bytes + bytes > self.bounds.bytes && !self.at_work.is_empty() {
            return None;
        }
        self.entitled.pop_first();
        let Waiting { number, request, bytes } = line.waiting.pop_front()?;
        line.place = None;
        line.at_work += 1;
        let peer = line.peer;
        self.waiting_bytes -= bytes;
        self.at_work.insert((connection, number), bytes);
        self.at_work_bytes += bytes;
        self.note_turn(peer);
        self.queue(connection);
        Some((connection, number, request))
    }

    /// Whether so much waits that nothing more should be read.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting_bytes >= self.bounds.waiting_bytes
    }

    /// Bytes that wait or are at work.
    pub(super) fn bytes(&self) -> usize {
        self.waiting_bytes + self.at_work_bytes
    }

    /// Gives a connection its place among those that may have a turn, if it may.
    fn queue(&mut self, connection: ConnectionId) {
        let Some(line) = self.lines.get_mut(&connection) else { return };
        let may = !line.waiting.is_empty() && line.at_work < self.bounds.of_one;
        if may && line.place.is_none() {
            let place = self.last_turn.get(&line.peer).copied().unwrap_or(0);
            line.place = Some(place);
            self.entitled.insert((place, connection));
        } else if line.waiting.is_empty() && line.at_work == 0 {
            self.lines.remove(&connection);
        }
    }

    fn note_turn(&mut self, peer: PublicKey) {
        self.turn += 1;
        self.last_turn.insert(peer, self.turn);
        if self.last_turn.len() > REMEMBERED {
            let oldest = self.last_turn.iter().min_by_key(|(_, turn)| **turn);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.last_turn.remove(&oldest);
            }
        }
    }
}

impl Hub {
    /// Passes a request of a session on to the store, at once or when it is its turn.
    pub(super) fn ask_store(
        &mut self,
        connection: ConnectionId,
        number: u64,
        request: StoreRequest,
        effects: &mut Vec<Effect>,
    ) {
        let peer = self.subject(connection);
        let (turns, bytes) = match (&request, peer) {
            (StoreRequest::Ingest { changes, .. }, Some(_)) => {
                (&mut self.intake, wire::raw_bytes(changes))
            }
            (StoreRequest::Read { bytes, .. }, Some(_)) => (&mut self.reads, *bytes),
            _ => return effects.push(Effect::Store { connection, number, request }),
        };
        if let Some(peer) = peer {
            turns.wait(connection, peer, Waiting { number, request, bytes });
        }
    }

    /// Gives the store what it has room for.
    pub(super) fn give_turns(&mut self, effects: &mut Vec<Effect>) {
        for turns in [&mut self.intake, &mut self.reads] {
            while let Some((connection, number, request)) = turns.next() {
                effects.push(Effect::Store { connection, number, request });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Scope;

    const BOUNDS: Bounds = Bounds { requests: 3, bytes: 100, of_one: 2, waiting_bytes: 500 };

    fn wait(turns: &mut Scheduler, connection: u64, number: u64, bytes: usize) {
        let request = StoreRequest::Overview { scope: Scope::everything() };
        let peer = PublicKey([u8::try_from(connection % 100).unwrap_or(0); 32]);
        turns.wait(ConnectionId(connection), peer, Waiting { number, request, bytes });
    }

    fn wait_all(
        turns: &mut Scheduler,
        connection: u64,
        numbers: std::ops::Range<u64>,
        bytes: usize,
    ) {
        for number in numbers {
            wait(turns, connection, number, bytes);
        }
    }

    fn next(turns: &mut Scheduler) -> Option<(u64, u64)> {
        turns.next().map(|(connection, number, _)| (connection.0, number))
    }

    /// Shows that one with many full batches has a turn when everybody else has had one, and that
    /// connecting anew is no way around it.
    #[test]
    fn who_was_served_last_waits_for_the_others() {
        let mut turns = Scheduler::new(BOUNDS);
        wait_all(&mut turns, 1, 0..10, 30);
        assert_eq!(next(&mut turns), Some((1, 0)));
        for connection in 2..6 {
            wait(&mut turns, connection, 0, 1);
        }
        let mut served = Vec::new();
        turns.forget(ConnectionId(1));
        // The same peer by another connection.
        wait_all(&mut turns, 101, 0..10, 30);
        for _ in 0..6 {
            let turn = next(&mut turns);
            served.extend(turn);
            if let Some((connection, number)) = turn {
                turns.done(ConnectionId(connection), number);
            }
        }
        assert_eq!(served, [(2, 0), (3, 0), (4, 0), (5, 0), (101, 0), (101, 1)]);
    }

    /// Shows that the store is given no more than the bounds say, that a large batch is not passed
    /// for ever by small ones, and that answers make room.
    #[test]
    fn the_store_is_given_little_at_a_time() {
        let mut turns = Scheduler::new(BOUNDS);
        wait(&mut turns, 1, 0, 60);
        wait(&mut turns, 2, 0, 60);
        wait(&mut turns, 3, 0, 1);
        assert_eq!(next(&mut turns), Some((1, 0)));
        assert_eq!(next(&mut turns), None, "the second does not fit, the third waits for it");
        turns.done(ConnectionId(1), 0);
        assert_eq!((next(&mut turns), next(&mut turns)), (Some((2, 0)), Some((3, 0))));
        wait_all(&mut turns, 4, 1..9, 1);
        assert_eq!((next(&mut turns), next(&mut turns)), (Some((4, 1)), None));
        turns.done(ConnectionId(2), 0);
        turns.done(ConnectionId(3), 0);
        assert_eq!((next(&mut turns), next(&mut turns)), (Some((4, 2)), None), "two of one");
    }

    /// Shows that what waits is counted, and let go with its connection; what is at work is not.
    #[test]
    fn what_waits_is_counted() {
        let mut turns = Scheduler::new(BOUNDS);
        wait_all(&mut turns, 1, 0..10, 60);
        assert!(turns.is_crowded());
        assert_eq!(next(&mut turns), Some((1, 0)));
        turns.forget(ConnectionId(1));
        assert!(!turns.is_crowded());
        assert_eq!(turns.bytes(), 60);
        turns.done(ConnectionId(1), 0);
        assert_eq!(turns.bytes(), 0);
    }
}

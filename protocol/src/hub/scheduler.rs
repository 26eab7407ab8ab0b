//! Whose turn it is: the store takes the work of many sessions, a little of each at a time.
//!
//! What is to be made durable (batches, certificates, revocations), reads of changes to be sent, and
//! what is looked up to compare and to answer, are given to the store a few at a time for the whole
//! node; the others wait here. Who has waited longest since the last turn comes first, so that a child
//! with a hundred batches waits for one with a single change, and not the other way round. The turn
//! belongs to the child ([`Session::branch`]): who connects anew is not new, and who connects by
//! hundreds of machines that it certified has no more turns than who is alone.
//!
//! What waits is counted in bytes. When there is too much of it, no session is to be read
//! ([`Scheduler::is_crowded`]), so what waits is bounded whatever the peers send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{ConnectionId, Effect, Hub};
use crate::blob::BlobRequest;
use crate::durability;
use crate::id::PublicKey;
use crate::limits;
use crate::session::Session;
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
/// What is looked up to compare and to answer. It is a small part of what a question asks for that
/// waits with it, so these are counted by the size of the question.
pub(super) const LOOKUPS: Bounds = Bounds {
    requests: 16,
    bytes: 4 * limits::FRAME_BYTES,
    of_one: 4,
    waiting_bytes: limits::NODE_UNPROCESSED_BYTES,
};
/// Bytes of a request that names few things.
const LITTLE_BYTES: usize = 256;
/// Bytes of a key, or of a prefix with a summary, in a request.
const NAMED_BYTES: usize = 160;

/// How much the store is given at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Requests of the whole node.
    pub(super) requests: usize,
    /// Bytes of the whole node, unless a single request has more.
    pub(super) bytes: usize,
    /// Requests of one child, and all below it.
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
}

/// A child and all below it.
#[derive(Debug, Default)]
struct Together {
    /// Connections with something that waits, by turns.
    ready: VecDeque<ConnectionId>,
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
    together: BTreeMap<PublicKey, Together>,
    /// Those that may have a turn: by the number of their last turn.
    entitled: BTreeSet<(u64, PublicKey)>,
    waiting_bytes: usize,
    /// Given to the store and not answered, with whose they are and their bytes.
    at_work: BTreeMap<(ConnectionId, u64), (PublicKey, usize)>,
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
            together: BTreeMap::new(),
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
        let line = || Line { peer, waiting: VecDeque::new() };
        let line = self.lines.entry(connection).or_insert_with(line);
        line.waiting.push_back(work);
        if line.waiting.len() == 1 {
            self.together.entry(line.peer).or_default().ready.push_back(connection);
        }
        let peer = line.peer;
        self.queue(peer);
    }

    /// The store has answered a request, which may be one of another kind.
    pub(super) fn done(&mut self, connection: ConnectionId, number: u64) {
        let Some((peer, bytes)) = self.at_work.remove(&(connection, number)) else { return };
        self.at_work_bytes -= bytes;
        if let Some(together) = self.together.get_mut(&peer) {
            together.at_work -= 1;
        }
        self.queue(peer);
    }

    /// A connection is gone: what waits of it is let go. What the store is at work on still counts
    /// until it has answered, so that connecting anew gives nobody more of the store.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        let Some(line) = self.lines.remove(&connection) else { return };
        self.waiting_bytes -= line.waiting.iter().map(|work| work.bytes).sum::<usize>();
        if let Some(together) = self.together.get_mut(&line.peer) {
            together.ready.retain(|other| *other != connection);
        }
        self.queue(line.peer);
    }

    /// What the store is to be given now, if it has room.
    pub(super) fn next(&mut self) -> Option<(ConnectionId, u64, StoreRequest)> {
        if self.at_work.len() >= self.bounds.requests {
            return None;
        }
        let (_, peer) = *self.entitled.first()?;
        let together = self.together.get_mut(&peer)?;
        let connection = *together.ready.front()?;
        let line = self.lines.get_mut(&connection)?;
        let bytes = line.waiting.front()?.bytes;
        // Others must not go before a large one for ever because they are small.
        if self.at_work_bytes + bytes > self.bounds.bytes && !self.at_work.is_empty() {
            return None;
        }
        self.entitled.pop_first();
        let Waiting { number, request, bytes } = line.waiting.pop_front()?;
        together.ready.pop_front();
        if line.waiting.is_empty() {
            self.lines.remove(&connection);
        } else {
            together.ready.push_back(connection);
        }
        together.place = None;
        together.at_work += 1;
        self.waiting_bytes -= bytes;
        self.at_work.insert((connection, number), (peer, bytes));
        self.at_work_bytes += bytes;
        self.note_turn(peer);
        self.queue(peer);
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

    /// Gives a child its place among those that may have a turn, if it may, and takes it if not.
    fn queue(&mut self, peer: PublicKey) {
        let Some(together) = self.together.get_mut(&peer) else { return };
        let may = !together.ready.is_empty() && together.at_work < self.bounds.of_one;
        match together.place {
            None if may => {
                let place = self.last_turn.get(&peer).copied().unwrap_or(0);
                together.place = Some(place);
                self.entitled.insert((place, peer));
            }
            Some(place) if !may => {
                together.place = None;
                self.entitled.remove(&(place, peer));
            }
            None | Some(_) => {}
        }
        if together.ready.is_empty() && together.at_work == 0 {
            self.together.remove(&peer);
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
        let branch = self.sessions.get(&connection).and_then(Session::branch);
        let Some((branch, (kind, bytes))) = branch.zip(work(&request)) else {
            return effects.push(Effect::Store { connection, number, request });
        };
        let turns = match kind {
            Kind::Intake => &mut self.intake,
            Kind::Read => &mut self.reads,
            Kind::Lookup => &mut self.lookups,
        };
        turns.wait(connection, branch.key, Waiting { number, request, bytes });
    }

    /// Gives the store what it has room for.
    pub(super) fn give_turns(&mut self, effects: &mut Vec<Effect>) {
        for turns in [&mut self.intake, &mut self.reads, &mut self.lookups] {
            while let Some((connection, number, request)) = turns.next() {
                effects.push(Effect::Store { connection, number, request });
            }
        }
    }
}

/// Which turns a request has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Intake,
    Read,
    Lookup,
}

/// Which turns a request waits for, and how much of them it takes; `None` when it does not wait: who
/// is at the door, what a tier above has said, and photos, of which a session has few at a time.
fn work(request: &StoreRequest) -> Option<(Kind, usize)> {
    let total = |list: &[Vec<u8>]| list.iter().map(Vec::len).sum::<usize>() + LITTLE_BYTES;
    let named = |count: usize| count * NAMED_BYTES + LITTLE_BYTES;
    Some(match request {
        StoreRequest::Ingest { changes, .. } => (Kind::Intake, wire::raw_bytes(changes)),
        StoreRequest::Certificates { certificates: list }
        | StoreRequest::Revocations { revocations: list }
        | StoreRequest::Successions { successions: list } => (Kind::Intake, total(list)),
        StoreRequest::MarkRefused { refused, .. } => (Kind::Intake, named(refused.len())),
        StoreRequest::Read { bytes, .. } => (Kind::Read, *bytes),
        StoreRequest::Against { theirs, .. } => (Kind::Lookup, named(theirs.len())),
        StoreRequest::Frontier { prefixes, .. } => (Kind::Lookup, named(prefixes.len())),
        StoreRequest::Overview { .. }
        | StoreRequest::Shorts { .. }
        | StoreRequest::Waiting { .. }
        | StoreRequest::Durability(durability::Request::Unsettled { .. }) => {
            (Kind::Lookup, LITTLE_BYTES)
        }
        StoreRequest::Durability(durability::Request::Answer { questions, .. }) => {
            (Kind::Lookup, named(questions.list.0.len()))
        }
        StoreRequest::Blob(BlobRequest::Held { asked, .. }) => (Kind::Lookup, named(asked.len())),
        StoreRequest::Blob(_)
        | StoreRequest::Admit { .. }
        | StoreRequest::AdmitBelow { .. }
        | StoreRequest::Durability(
            durability::Request::Mark(_) | durability::Request::Lost { .. },
        )
        | StoreRequest::MarkReached { .. }
        | StoreRequest::MarkPostponed { .. } => return None,
    })
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

    /// Shows that two hundred connections of one child have one turn between two of another, however
    /// much each of them wants.
    #[test]
    fn one_child_is_one_place() {
        let bounds = Bounds { requests: 1, bytes: usize::MAX, of_one: 1, waiting_bytes: 1 << 20 };
        let mut turns = Scheduler::new(bounds);
        let ask = |turns: &mut Scheduler, connection: u64, child: u8| {
            let request = StoreRequest::Overview { scope: Scope::everything() };
            let work = Waiting { number: 0, request, bytes: 1 };
            turns.wait(ConnectionId(connection), PublicKey([child; 32]), work);
        };
        for connection in 0..200 {
            ask(&mut turns, connection, 1);
        }
        let mut waited = Vec::new();
        for connection in 1_000..1_010 {
            ask(&mut turns, connection, 2);
            let mut others = 0;
            while let Some((next, number)) = next(&mut turns) {
                turns.done(ConnectionId(next), number);
                if next == connection {
                    break;
                }
                others += 1;
            }
            waited.push(others);
        }
        assert!(waited.iter().all(|others| *others <= 1), "{waited:?}");
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

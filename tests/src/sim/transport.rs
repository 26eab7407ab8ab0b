//! Bytes on their way: what a connection of QUIC does for a hub, in virtual time.

use cunlian_protocol::hub::{ConnectionId, Event};

use super::fault::Fault;
use super::mischief::Mischief;
use super::network::Place;
use super::world::{Happening, World};

/// Without anything from the other side a connection is given up after so long, as the runtime of
/// the product does.
const IDLE_MS: i64 = 10_000;
/// From here on a delay was one.
const LONG_MS: i64 = 1_000;
/// Most bytes given to a connection and not written; see `UNSENT_BYTES` of the session.
const UNWRITTEN_BYTES: usize = 33 << 20;

impl World {
    /// Sends a frame from an end.
    pub(super) fn send(&mut self, connection: ConnectionId, frame: Vec<u8>) {
        let jitter_ms = self.luck.ms(0, 4);
        let Some(end) = self.network.ends.get(&connection).filter(|end| !end.closing) else {
            return;
        };
        let (from, to) = (end.place, end.other);
        let weather = self.network.weather(from, to);
        let length = i64::try_from(frame.len()).expect("a frame is small");
        let Some(end) = self.network.ends.get_mut(&connection) else { return };
        let starts_ms = end.written_ms.max(self.now_ms);
        let took_ms = length * 1_000 / weather.breadth;
        end.written_ms = starts_ms + took_ms;
        end.arrives_ms = end.arrives_ms.max(end.written_ms + weather.delay_ms + jitter_ms);
        end.unwritten += frame.len();
        assert!(end.unwritten < UNWRITTEN_BYTES, "a session does not notice who does not read");
        let (peer, written_ms, arrives_ms, bytes) =
            (end.peer, end.written_ms, end.arrives_ms, frame.len());
        if weather.delay_ms >= LONG_MS {
            self.fired.count(Fault::Delay);
        }
        if took_ms >= 50 {
            self.fired.count(Fault::Bandwidth);
        }
        self.at(written_ms, Happening::Written { end: connection, bytes });
        self.at(arrives_ms, Happening::Arrive { end: peer, bytes: frame });
        if self.schemes.tears(from, to) {
            let torn_ms = self.now_ms + (arrives_ms - self.now_ms) / 2;
            self.at(torn_ms, Happening::Mischief(Mischief::Tear(from, to)));
        }
    }

    pub(super) fn written(&mut self, connection: ConnectionId, bytes: usize) {
        let Some(end) = self.network.ends.get_mut(&connection) else { return };
        end.unwritten = end.unwritten.saturating_sub(bytes);
        if let Place::Node(at) = end.place {
            self.handle(at, Event::Sent { connection, bytes });
        }
    }

    pub(super) fn arrive(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(end) = self.network.ends.get(&connection) else { return };
        let (here, there) = (end.place, end.other);
        let blocked = self.network.weather(there, here).blocked;
        let one_way = blocked && !self.network.weather(here, there).blocked;
        let Some(end) = self.network.ends.get_mut(&connection) else { return };
        if blocked || !end.held.is_empty() {
            end.held.push_back(bytes);
            if one_way {
                self.fired.count(Fault::OneWayPartition);
            }
            return;
        }
        end.take_in(&bytes);
        self.look_at_end(connection);
    }

    /// What a partition held back arrives.
    pub(super) fn let_through(&mut self, from: Place, to: Place) {
        for connection in self.network.ends_at(to, Some(from)) {
            let Some(end) = self.network.ends.get_mut(&connection) else { continue };
            for bytes in std::mem::take(&mut end.held) {
                end.take_in(&bytes);
            }
            self.look_at_end(connection);
        }
    }

    /// Nothing passes from one place to another any more; if it stays so, those who wait for
    /// something give up.
    pub(super) fn block(&mut self, from: Place, to: Place) {
        self.network.weather_mut(from, to).blocked = true;
        for connection in self.network.ends_at(to, Some(from)) {
            self.after(IDLE_MS, Happening::Mischief(Mischief::Idle(connection)));
        }
    }

    /// A connection was silent for too long, if the line is still blocked.
    pub(super) fn give_up(&mut self, connection: ConnectionId) {
        let Some(end) = self.network.ends.get(&connection) else { return };
        let (here, there, peer) = (end.place, end.other, end.peer);
        if self.network.weather(there, here).blocked {
            self.lost(connection, "timed out");
            self.after(100, Happening::Lost { end: peer, reason: "timed out" });
        }
    }

    /// The connections between two places end; of each direction the frame that is under way
    /// arrives in part, if `torn` says so.
    pub(super) fn break_lines(&mut self, one: Place, other: Place, torn: bool) {
        let ends = self.network.ends_at(one, Some(other));
        for end in &ends {
            let Some(peer) = self.network.ends.get(end).map(|end| end.peer) else { continue };
            for connection in [*end, peer] {
                let under_way = self.take_under_way(connection);
                let Some(reached) = self.network.ends.get_mut(&connection) else { continue };
                if let Some(frame) = under_way.first().filter(|_| torn) {
                    let part = 1 + self.luck.place(frame.len() - 1);
                    reached.take_in(frame.get(..part).unwrap_or_default());
                    if reached.is_torn() {
                        self.fired.count(Fault::MidFrameCut);
                    }
                }
                self.lost(connection, "the line was cut");
            }
        }
    }

    /// A connection has ended, as seen from one end.
    pub(super) fn lost(&mut self, connection: ConnectionId, reason: &'static str) {
        let Some(end) = self.network.ends.remove(&connection) else { return };
        match end.place {
            Place::Node(at) => {
                self.handle(at, Event::Gone { connection, reason: reason.to_owned() });
            }
            Place::Thief => self.thief_is_out(connection),
        }
    }

    /// Has the next frame of every end of a node read, where its hub wants frames.
    pub(super) fn look_at_frames(&mut self, at: usize) {
        for connection in self.network.ends_at(Place::Node(at), None) {
            self.look_at_end(connection);
        }
    }

    fn look_at_end(&mut self, connection: ConnectionId) {
        let Some(end) = self.network.ends.get(&connection) else { return };
        if !end.has_frame() || end.reading {
            return;
        }
        let wait_ms = match end.place {
            Place::Thief => 0,
            Place::Node(at) => {
                let Some(machine) = self.machines.get(at) else { return };
                let hub = machine.process.as_ref().map(|process| &process.hub);
                if !hub.is_some_and(|hub| hub.wants_frames(connection)) {
                    return;
                }
                (machine.stalled_until_ms - self.now_ms).max(0)
            }
        };
        if wait_ms > 0 {
            self.fired.count(Fault::Stall);
        }
        if let Some(end) = self.network.ends.get_mut(&connection) {
            end.reading = true;
        }
        self.after(wait_ms, Happening::Read { end: connection });
    }

    pub(super) fn read(&mut self, connection: ConnectionId) {
        let Some(end) = self.network.ends.get_mut(&connection) else { return };
        end.reading = false;
        let place = end.place;
        let Some(frame) = end.next_frame() else { return };
        match (place, frame) {
            (Place::Thief, frame) => {
                if let Ok(frame) = frame {
                    self.thief_hears(connection, &frame);
                }
                self.look_at_end(connection);
            }
            (Place::Node(at), Ok(frame)) => {
                let bytes = frame.get(4..).unwrap_or_default().to_vec();
                self.handle(at, Event::Frame { connection, bytes });
            }
            (Place::Node(at), Err(error)) => self.handle(at, Event::Unframed { connection, error }),
        }
    }
}

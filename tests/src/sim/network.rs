//! The network between the machines: lines with a delay and a breadth, that hold back, break, or
//! let nobody through.
//!
//! A connection has two ends. What is sent from one is cut into nothing smaller than a frame, takes
//! its time to be written, and arrives whole and in order, except where a line breaks in the
//! middle: then the first bytes of a frame arrive, and the end of the connection after them. The
//! receiving end puts frames together from bytes, as the runtime of the product does.

use std::collections::{BTreeMap, VecDeque};

use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::wire::{self, WireError};

use super::photos::BlobRequest;

/// Who is at an end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The node of this number.
    Node(usize),
    /// The thief.
    Thief,
}

/// How one direction between two places is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Milliseconds on the way.
    pub(super) delay_ms: i64,
    /// Bytes a second.
    pub(super) breadth: i64,
    /// Nothing arrives.
    pub(super) blocked: bool,
}

/// Before and after the faults: a village line of 20 Mbit/s.
pub(super) const FAIR: Weather = Weather { delay_ms: 20, breadth: 2_500_000, blocked: false };

/// One end of a connection.
pub(super) struct End {
    pub(super) place: Place,
    /// Who is at the other end.
    pub(super) other: Place,
    pub(super) peer: ConnectionId,
    /// Batches sent from this end and not acknowledged.
    pub(super) batches: BTreeMap<u64, Vec<ChangeId>>,
    /// Questions for bytes of photos sent from this end and not answered.
    pub(super) asked: VecDeque<BlobRequest>,
    /// When the last frame is written.
    pub(super) written_ms: i64,
    /// When the last frame arrives.
    pub(super) arrives_ms: i64,
    /// What would have arrived but for a partition.
    pub(super) held: VecDeque<Vec<u8>>,
    /// Bytes given to this end and not written.
    pub(super) unwritten: usize,
    /// Whether the next frame is about to be read.
    pub(super) reading: bool,
    /// This end has said its last and waits for the end of the connection.
    pub(super) closing: bool,
    buffer: Vec<u8>,
    frames: VecDeque<Result<Vec<u8>, WireError>>,
}

impl End {
    fn new(place: Place, other: Place, peer: ConnectionId) -> Self {
        Self {
            place,
            other,
            peer,
            batches: BTreeMap::new(),
            asked: VecDeque::new(),
            written_ms: i64::MIN,
            arrives_ms: i64::MIN,
            held: VecDeque::new(),
            unwritten: 0,
            reading: false,
            closing: false,
            buffer: Vec::new(),
            frames: VecDeque::new(),
        }
    }

    /// Bytes have come.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Some(header) = self.buffer.first_chunk::<4>() {
            match wire::frame_length(*header) {
                Ok(length) if self.buffer.len() >= 4 + length => {
                    let rest = self.buffer.split_off(4 + length);
                    let frame = std::mem::replace(&mut self.buffer, rest);
                    self.frames.push_back(Ok(frame));
                }
                Ok(_) => return,
                Err(error) => {
                    self.frames.push_back(Err(error));
                    // Nothing is read after it.
                    self.buffer.clear();
                    return;
                }
            }
        }
    }

    /// The next whole frame, length included.
    pub(super) fn next_frame(&mut self) -> Option<Result<Vec<u8>, WireError>> {
        self.frames.pop_front()
    }

    /// Whether a whole frame is there.
    pub(super) fn has_frame(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Whether the beginning of a frame has come and not the rest.
    pub(super) fn is_torn(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// All connections, and the weather.
#[derive(Default)]
pub(super) struct Network {
    pub(super) ends: BTreeMap<ConnectionId, End>,
    weather: BTreeMap<(Place, Place), Weather>,
    last: u64,
}

impl Network {
    /// A new connection; gives the ends of who dialled and of who was dialled.
    pub(super) fn connect(&mut self, from: Place, to: Place) -> (ConnectionId, ConnectionId) {
        let (here, there) = (ConnectionId(self.last + 1), ConnectionId(self.last + 2));
        self.last += 2;
        self.ends.insert(here, End::new(from, to, there));
        self.ends.insert(there, End::new(to, from, here));
        (here, there)
    }

    /// How it is from one place to another.
    pub(super) fn weather(&self, from: Place, to: Place) -> Weather {
        self.weather.get(&(from, to)).copied().unwrap_or(FAIR)
    }

    /// The same, to change it.
    pub(super) fn weather_mut(&mut self, from: Place, to: Place) -> &mut Weather {
        self.weather.entry((from, to)).or_insert(FAIR)
    }

    /// Everything is fair again.
    pub(super) fn clear_up(&mut self) {
        self.weather.clear();
    }

    /// The ends at a place, of connections with another if it is given.
    pub(super) fn ends_at(&self, place: Place, other: Option<Place>) -> Vec<ConnectionId> {
        let with = |end: &End| end.place == place && other.is_none_or(|other| other == end.other);
        self.ends.iter().filter(|(_, end)| with(end)).map(|(id, _)| *id).collect()
    }
}

//! Reads the frames of one connection, as many as the hub wants.
//!
//! Three things are waited for, in this order. The session must have looked at the frame before and
//! have room for another ([`Flow`]); while it has not, nothing is read, and QUIC holds the peer back.
//! Then the frame must have one of the places of the node ([`Allowance`]), which are given in the
//! order in which they are asked for, so that a peer that sends without end does not crowd out the
//! others. Then the node must not be crowded. So what all peers together have in memory is bounded:
//! one frame for each connection that is being read, and what the places let in at once.

use std::sync::Arc;

use cunlian_protocol::hub::{ConnectionId, Event};
use cunlian_protocol::wire;
use quinn::RecvStream;
use tokio::sync::{Semaphore, mpsc, watch};

/// Frames that are on their way to the hub at a time.
const PLACES: usize = 32;

/// What the hub says to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// Whether the session has room for what another frame brings.
    room: bool,
    /// Frames the hub has looked at.
    handled: u64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { room: true, handled: 0 }
    }
}

impl Flow {
    /// Takes over how it is now; `true` when that is news.
    pub(super) fn note(&mut self, room: bool, handled_one: bool) -> bool {
        let before = *self;
        self.room = room;
        self.handled += u64::from(handled_one);
        *self != before
    }
}

/// What the connections of a node share.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    places: Arc<Semaphore>,
    crowded: watch::Receiver<bool>,
}

impl Allowance {
    /// All places are free; the sender says whether the node is crowded.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (say, crowded) = watch::channel(false);
        (say, Self { places: Arc::new(Semaphore::new(PLACES)), crowded })
    }
}

/// Reads until the connection or the node ends; `handed` frames have been given to the hub before.
/// Gives the reason of the end.
pub(super) async fn read(
    mut stream: RecvStream,
    connection: ConnectionId,
    events: mpsc::Sender<Event>,
    (mut flow, mut handed): (watch::Receiver<Flow>, u64),
    mut allowance: Allowance,
) -> String {
    let closed = || "this node closed the connection".to_owned();
    let stops = || "this node stops".to_owned();
    loop {
        if flow.wait_for(|flow| flow.room && flow.handled >= handed).await.is_err() {
            return closed();
        }
        let mut header = [0; 4];
        if let Err(error) = stream.read_exact(&mut header).await {
            return error.to_string();
        }
        let length = match wire::frame_length(header) {
            Ok(length) => length,
            Err(error) => {
                if events.send(Event::Unframed { connection, error }).await.is_err() {
                    return stops();
                }
                // The writer says goodbye and ends the connection.
                return std::future::pending().await;
            }
        };
        let mut bytes = vec![0; length];
        if let Err(error) = stream.read_exact(&mut bytes).await {
            return error.to_string();
        }
        let Ok(_place) = allowance.places.acquire().await else { return stops() };
        if allowance.crowded.wait_for(|crowded| !crowded).await.is_err()
            || events.send(Event::Frame { connection, bytes }).await.is_err()
        {
            return stops();
        }
        handed += 1;
        // The place is given back when the hub has counted what the frame brought.
        if flow.wait_for(|flow| flow.handled >= handed).await.is_err() {
            return closed();
        }
    }
}

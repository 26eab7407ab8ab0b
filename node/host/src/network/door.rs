//! The door: connections of others until they have said the first thing.
//!
//! ```text
//!  endpoint ─▶ crowded? ─▶ retry (proves its address) ─▶ handshake ─▶ stream ─▶ first frame ─▶ hub
//!                └─▶ somebody who waits makes room
//! ```
//!
//! Nobody has proved anything yet, so everything is bounded: how many wait ([`WAITING`]), how long
//! they may take, and how large the first frame may be. When the place is full, somebody gives way
//! ([`Crowd`]). A session of the hub begins with the first frame, so silent connections take no
//! session away.

use std::sync::Arc;

use cunlian_protocol::hub::Event;
use cunlian_protocol::limits;
use cunlian_protocol::wire::{self, FaultCode};
use quinn::{Connection, ConnectionError, Incoming, RecvStream, SendStream, VarInt};
use tokio::time::{Instant, timeout_at};

use super::connection::{Shared, serve};
use super::dialling::HANDSHAKE;
use super::origin::network;
use super::tls;
use crate::crowd::{Crowd, Place};

/// Connections between their first packet and their first frame.
pub(super) const WAITING: usize = 1_024;
/// With so many waiting, newcomers have to prove their address.
const CROWDED: usize = WAITING / 4;
/// Largest first frame: a hello with the longest chain, and room for what it may grow by.
const FIRST_FRAME_BYTES: usize = 64 << 10;

const _: () =
    assert!(limits::CHAIN_CERTIFICATES * limits::CERTIFICATE_BYTES * 2 < FIRST_FRAME_BYTES);

/// Why a connection ended before a session began.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the connection was not made: {0}")]
    Handshake(#[from] ConnectionError),
    #[error("nothing was said in time")]
    Slow,
    #[error("the first frame was not sent: {0}")]
    Cut(String),
    #[error("the first frame has {got} bytes, at most {FIRST_FRAME_BYTES} are allowed")]
    TooLarge { got: usize },
}

impl Lost {
    /// The value of the label in the figures.
    const fn label(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Slow => "slow",
            Self::Cut(_) => "cut",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// Lets connections in until the endpoint closes.
pub(super) async fn accept(shared: Shared) {
    let door = Arc::new(Crowd::new(WAITING));
    while let Some(incoming) = shared.endpoints.own.accept().await {
        let from = network(incoming.remote_address().ip());
        if door.count() >= CROWDED && !incoming.remote_address_validated() && incoming.may_retry() {
            // An error is only that it may not be asked, which was looked at.
            let _ = incoming.retry();
            continue;
        }
        if let Some(other) = door.make_room() {
            shared.refusals.lost(other, "crowded", "others wait who have fewer connections");
        }
        let place = Crowd::enter(&door, from);
        let number = place.number();
        let task = tokio::spawn(enter(shared.clone(), incoming, place));
        door.note(number, task.abort_handle());
    }
}

/// One connection from its first packet to its last.
async fn enter(shared: Shared, incoming: Incoming, place: Place) {
    let from = incoming.remote_address().ip();
    match meet(incoming).await {
        // The place is kept: who wants to join is a stranger to the end.
        Ok(Met::Enrolment(connection)) => {
            shared.enrolment.serve(connection, &shared.refusals).await;
        }
        Ok(Met::Peer(connection, streams, first)) => {
            drop(place);
            shared.refusals.connected();
            let begin = |connection, channel| Event::Accepted { connection, channel };
            serve(shared, connection, streams, Some(first), begin).await;
        }
        Err(lost) => shared.refusals.lost(from, lost.label(), &lost.to_string()),
    }
}

/// Who is at the door.
enum Met {
    /// A node, with its streams and its first frame.
    Peer(Connection, (SendStream, RecvStream), Vec<u8>),
    /// A machine that wants to join.
    Enrolment(Connection),
}

async fn meet(incoming: Incoming) -> Result<Met, Lost> {
    let deadline = Instant::now() + HANDSHAKE;
    let connection = timeout_at(deadline, incoming).await.map_err(|_| Lost::Slow)??;
    if tls::is_enrolment(&connection) {
        return Ok(Met::Enrolment(connection));
    }
    let said = async {
        let (send, mut receive) = connection.accept_bi().await?;
        let first = first_frame(&mut receive).await?;
        Ok::<_, Lost>(((send, receive), first))
    };
    let said = timeout_at(deadline, said).await.unwrap_or(Err(Lost::Slow));
    match said {
        Ok((streams, first)) => Ok(Met::Peer(connection, streams, first)),
        Err(lost) => {
            let code = match lost {
                Lost::TooLarge { .. } => FaultCode::TooLarge,
                Lost::Slow | Lost::Handshake(_) | Lost::Cut(_) => FaultCode::Timeout,
            };
            connection.close(VarInt::from_u32(code as u32), lost.to_string().as_bytes());
            Err(lost)
        }
    }
}

async fn first_frame(receive: &mut RecvStream) -> Result<Vec<u8>, Lost> {
    let cut = |error: quinn::ReadExactError| Lost::Cut(error.to_string());
    let mut header = [0; 4];
    receive.read_exact(&mut header).await.map_err(cut)?;
    let got = u32::from_be_bytes(header) as usize;
    let length = wire::frame_length(header).map_err(|_| Lost::TooLarge { got })?;
    if length > FIRST_FRAME_BYTES {
        return Err(Lost::TooLarge { got });
    }
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.map_err(cut)?;
    Ok(bytes)
}

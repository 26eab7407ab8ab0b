//! One connection from its first event to its last: streams on one side, the hub on the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cunlian_crdt::store::Store;
use cunlian_protocol::hub::{ConnectionId, Event, TargetId};
use cunlian_protocol::id::Serial;
use cunlian_protocol::session::Channel;
use cunlian_protocol::sync::StoreRequest;
use cunlian_protocol::wire::FaultCode;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::dialling::{Endpoints, HANDSHAKE, reach};
use super::enrol::Enrolment;
use super::reader::{self, Allowance, Flow};
use super::refusals::Refusals;
use super::{store_queue, tls};
use crate::config::Peer;

/// How long the last words of a connection may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// How long what was sent before may take; a peer that does not read is not waited for.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// One end of a connection as the hub's task sees it.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) outgoing: mpsc::UnboundedSender<Outgoing>,
    pub(super) flow: watch::Sender<Flow>,
    pub(super) changing: mpsc::UnboundedSender<(u64, StoreRequest)>,
    pub(super) reading: mpsc::UnboundedSender<(u64, StoreRequest)>,
    /// The peer, once it has sent changes.
    pub(super) sends_as: Option<Serial>,
}

/// What the writer of a connection is given.
pub(super) enum Outgoing {
    Frame(Vec<u8>),
    Close(FaultCode, String),
}

/// What every connection of the node has in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) endpoints: Endpoints,
    pub(super) refusals: Refusals,
    pub(super) enrolment: Arc<Enrolment>,
    pub(super) store: Store,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) next_connection: Arc<AtomicU64>,
    pub(super) allowance: Allowance,
    pub(super) links: mpsc::UnboundedSender<(ConnectionId, Link)>,
}

/// Connects to a target and runs the connection; says so when it cannot.
pub(super) async fn dial(shared: Shared, target: TargetId, peer: Peer) {
    let established = async {
        let connection = reach(&shared.endpoints, &peer).await?;
        let streams = timeout(HANDSHAKE, connection.open_bi()).await;
        let streams = streams.map_err(|_| "no answer".to_owned())?;
        Ok::<_, String>((connection, streams.map_err(|error| error.to_string())?))
    };
    let reason = match established.await {
        Ok((connection, streams)) => {
            return serve(shared, connection, streams, None, |connection, channel| {
                Event::Dialled { target, connection, channel }
            })
            .await;
        }
        Err(reason) => reason,
    };
    let _ = shared.events.send(Event::DialFailed { target, reason }).await;
}

/// Runs one connection from its first event to its last; `first` is a frame that has come already.
pub(super) async fn serve(
    shared: Shared,
    connection: Connection,
    (send, receive): (SendStream, RecvStream),
    first: Option<Vec<u8>>,
    begin: impl FnOnce(ConnectionId, Channel) -> Event,
) {
    let Some(channel) = tls::channel(&connection) else {
        connection.close(VarInt::from_u32(FaultCode::Certificate as u32), b"no Ed25519 key");
        return;
    };
    let id = ConnectionId(shared.next_connection.fetch_add(1, Ordering::Relaxed));
    let (outgoing, frames) = mpsc::unbounded_channel();
    let (flow, allowed) = watch::channel(Flow::default());
    let changing = store_queue::start(shared.store.clone(), shared.events.clone(), id);
    let reading = store_queue::start(shared.store.clone(), shared.events.clone(), id);
    let sends_as = None;
    let link = Link { connection: connection.clone(), outgoing, flow, changing, reading, sends_as };
    let events = shared.events.clone();
    if shared.links.send((id, link)).is_err() || events.send(begin(id, channel)).await.is_err() {
        return;
    }
    let handed = u64::from(first.is_some());
    if let Some(bytes) = first
        && events.send(Event::Frame { connection: id, bytes }).await.is_err()
    {
        return;
    }
    let reading =
        reader::read(receive, id, events.clone(), (allowed, handed), shared.allowance.clone());
    let (code, reason) = tokio::select! {
        reason = reading => (FaultCode::Stopping, reason),
        ending = write(send, id, events.clone(), frames) => ending,
    };
    // The streams only know that the connection is lost; the connection knows how.
    let reason = connection.close_reason().map_or(reason, |error| error.to_string());
    connection.close(VarInt::from_u32(code as u32), b"");
    let _ = events.send(Event::Gone { connection: id, reason }).await;
}

/// Ends a connection whose writer may be stuck behind what the peer does not read.
pub(super) async fn close_late(connection: Connection, code: FaultCode) {
    tokio::time::sleep(LAST_FRAMES).await;
    connection.close(VarInt::from_u32(code as u32), b"");
}

async fn write(
    mut stream: SendStream,
    connection: ConnectionId,
    events: mpsc::Sender<Event>,
    mut frames: mpsc::UnboundedReceiver<Outgoing>,
) -> (FaultCode, String) {
    while let Some(next) = frames.recv().await {
        match next {
            Outgoing::Frame(frame) => {
                let bytes = frame.len();
                if let Err(error) = stream.write_all(&frame).await {
                    return (FaultCode::Stopping, error.to_string());
                }
                if events.send(Event::Sent { connection, bytes }).await.is_err() {
                    break;
                }
            }
            Outgoing::Close(code, reason) => {
                // The peer should read the goodbye; one that does not is not waited for.
                let _ = stream.finish();
                let _ = timeout(FAREWELL, stream.stopped()).await;
                return (code, format!("{reason} ({code:?})"));
            }
        }
    }
    (FaultCode::Stopping, "this node closed the connection".to_owned())
}

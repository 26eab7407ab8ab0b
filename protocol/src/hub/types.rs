//! What goes into the hub and comes out of it: events and effects.

use std::sync::Arc;

use crate::authority::Authority;
use crate::id::{PublicKey, Serial};
use crate::renewal::Renewal;
use crate::session::Channel;
use crate::sync::{StoreReply, StoreRequest};
use crate::wire::{FaultCode, LineageToken, WireError};

/// One connection of this node, numbered by the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A peer this node dials, numbered from 0 in the order of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub usize);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A dialled connection stands.
    Dialled {
        /// Which target.
        target: TargetId,
        /// Its number.
        connection: ConnectionId,
        /// What TLS tells.
        channel: Channel,
    },
    /// Dialling failed.
    DialFailed {
        /// Which target.
        target: TargetId,
        /// Why, for people.
        reason: String,
    },
    /// Somebody connected.
    Accepted {
        /// Its number.
        connection: ConnectionId,
        /// What TLS tells.
        channel: Channel,
    },
    /// A frame has come, without its length.
    Frame {
        /// On which connection.
        connection: ConnectionId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// What has come is not a frame, or announces one that is too large; nothing more is read.
    Unframed {
        /// On which connection.
        connection: ConnectionId,
        /// What is wrong with it.
        error: WireError,
    },
    /// Frame bytes were written.
    Sent {
        /// On which connection.
        connection: ConnectionId,
        /// How many.
        bytes: usize,
    },
    /// The connection is gone.
    Gone {
        /// Which.
        connection: ConnectionId,
        /// Why, for people.
        reason: String,
    },
    /// The store has answered, also when the connection is gone by now: what it is at work on is
    /// counted.
    Stored {
        /// For which connection.
        connection: ConnectionId,
        /// Which request.
        number: u64,
        /// The answer, or what is wrong with the store.
        reply: Result<StoreReply, String>,
    },
    /// Changes became durable.
    Committed,
    /// What tiers above hold became known here otherwise than in a session, as by a bundle.
    Learned,
    /// Certificates or revocations changed.
    Authority(Arc<Authority>),
    /// Trusted time is this much ahead of the time of the hub.
    Clock {
        /// Milliseconds, negative when it is behind.
        offset_ms: i64,
    },
    /// What became of a renewal ([`Effect::Renew`]).
    Issued {
        /// For which connection.
        connection: ConnectionId,
        /// The new chain, root side first, or why there is none.
        outcome: Result<Vec<Vec<u8>>, String>,
    },
    /// Only time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Dial a target.
    Dial(TargetId),
    /// Write a frame.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// The frame, length included.
        frame: Vec<u8>,
    },
    /// Ask the store.
    Store {
        /// For which connection.
        connection: ConnectionId,
        /// Number to answer with.
        number: u64,
        /// What.
        request: StoreRequest,
    },
    /// Write what was sent, then close.
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// Why.
        code: FaultCode,
        /// Why, for people.
        reason: String,
    },
    /// A node above says what time it is, milliseconds since 1970-01-01 UTC.
    Beacon(i64),
    /// Keep a lineage token durably, to be presented to this peer at the next dial.
    Line {
        /// Key of the peer.
        peer: PublicKey,
        /// The token.
        token: LineageToken,
    },
    /// A peer that is dialled has a new key: keep it in place of the old one.
    Succeeded {
        /// The key it was known by.
        old: PublicKey,
        /// Its key now.
        new: PublicKey,
    },
    /// A child asks for a new certificate: decide, and answer with [`Event::Issued`].
    Renew {
        /// On which connection.
        connection: ConnectionId,
        /// Its certificate.
        child: Serial,
        /// What it asks for.
        renewal: Renewal,
        /// Whether the session is for renewal only: the certificate has run out or was replaced,
        /// another waits for the child, or the child came back from a copy.
        restricted: bool,
    },
    /// The issuer gave this node a new chain: check it and take it over.
    Issued(Vec<Vec<u8>>),
    /// A node above says that another machine uses this identity, or a peer has changes of this
    /// node that it does not know: author nothing more until the parent has certified it anew.
    Suspend {
        /// For people.
        reason: String,
    },
    /// For the log.
    Notice {
        /// Name of the peer, or the connection's number before its hello.
        peer: String,
        /// What.
        text: String,
    },
}

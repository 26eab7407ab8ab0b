//! What goes into a session and comes out of it: identity, channel, effects, figures.

use super::Session;
use crate::certificate::{Certificate, Tier};
use crate::dialect::Skew;
use crate::durability::News;
use crate::id::{PublicKey, Serial};
use crate::renewal::Renewal;
use crate::scope::Scope;
use crate::signing::SigningKey;
use crate::succession::{self, Succession};
use crate::sync::StoreRequest;
use crate::wire::{FaultCode, LineageToken};

/// Who this node is.
#[derive(Clone)]
pub struct Identity {
    /// The node's own certificate.
    pub certificate: Certificate,
    /// Bytes of the certificates from the root side down to the own one.
    pub chain: Vec<Vec<u8>>,
    /// The node's secret key.
    pub key: SigningKey,
    /// The key that the next certificate is to be for, when it is another one.
    pub next_key: Option<SigningKey>,
    /// Software version, told to peers.
    pub software: String,
    /// Successions of the own key, told to peers that may know this node by an older one.
    pub successions: Vec<Vec<u8>>,
}

impl Identity {
    /// Tier bit of this node.
    pub fn tier_bit(&self) -> u8 {
        self.certificate.body().tier.bit()
    }

    /// Whether a key is this node's, or was: those below may be certified under an older one.
    pub fn is_own_key(&self, key: &PublicKey) -> bool {
        let own = self.certificate.body().subject;
        let earlier = || {
            let read = |bytes: &Vec<u8>| Succession::verify(bytes).ok();
            let list: Vec<Succession> = self.successions.iter().filter_map(read).collect();
            succession::leads(&list, key, &own)
        };
        *key == own || (!self.successions.is_empty() && earlier())
    }
}

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opened the connection and expects this key at the other end.
    Dialler {
        /// Key of the peer.
        expected: PublicKey,
        /// The lineage token that the peer gave last.
        lineage: LineageToken,
        /// Whether this node came back from a copy, and asks to be certified anew.
        renewing: bool,
    },
    /// Accepted the connection.
    Listener,
}

/// What TLS tells about a connection.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Keying material exported from the TLS session, equal at both ends only.
    pub exporter: [u8; 32],
    /// Key of the peer's TLS certificate.
    pub peer_key: PublicKey,
}

/// Where the peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// In this node's own chain: its parent, or one above.
    Ancestor,
    /// Has this node in its chain.
    Descendant,
    /// Another certified node.
    Other,
}

/// Something the session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this frame (length included) to the peer.
    Send(Vec<u8>),
    /// Ask the store; the reply comes back with the number.
    Store {
        /// Number of the request within the session.
        number: u64,
        /// What to do.
        request: StoreRequest,
    },
    /// The peer is who it says; the session is open.
    Opened,
    /// The peer, a node above, says what time it is, milliseconds since 1970-01-01 UTC.
    Beacon(i64),
    /// The peer gave a lineage token: keep it durably and present it next time.
    Line(LineageToken),
    /// The peer has a new key; it is `new` from now on.
    Succeeded {
        /// The key it was known by.
        old: PublicKey,
        /// Its key now.
        new: PublicKey,
    },
    /// The peer, certified by this node, asks for a new certificate: decide, and tell the session
    /// ([`super::Session::handle_issued`]).
    Renew(Renewal),
    /// Two machines use the identity with this key: other sessions with it end too.
    Forked(PublicKey),
    /// This node was set back, or another machine uses its identity: author nothing more.
    SetBack(String),
    /// The issuer gave this node a new chain.
    Issued(Vec<Vec<u8>>),
    /// A tier above holds changes that it was not known to hold.
    News(News),
    /// Something a person should be able to find in the log.
    Notice(String),
    /// Close the connection.
    Close {
        /// Why, as on the wire.
        code: FaultCode,
        /// Why, for people.
        reason: String,
    },
}

/// The node next to this one on the way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Its key.
    pub key: PublicKey,
    /// Its tier, by its own certificate: what those below it say of themselves is their business.
    pub tier: Tier,
}

/// What is known about the peer after its hello.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(super) certificate: Certificate,
    pub(super) relation: Relation,
    /// What both may read; nothing in a session that is for renewal only.
    pub(super) scope: Scope,
    /// What the peer may send.
    pub(super) accepts: Scope,
    /// The key that this node knows it by: its own, or an older one of it.
    pub(super) issuer_key: PublicKey,
    /// Whether this node signed its certificate.
    pub(super) is_child: bool,
    /// The node next to this one on the way to the peer: see [`Session::branch`].
    pub(super) branch: Branch,
    /// How far its clock is ahead of the time of the hub, which this node's clock never moves.
    pub(super) clock_ahead_ms: i64,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Waiting for the first message of the peer.
    #[default]
    Greeting,
    /// Finding out what the other lacks.
    Comparing,
    /// Changes are coming.
    Receiving,
    /// Changes are on their way to the peer.
    Sending,
    /// Both hold the same, but for what one of them has refused.
    Agreed,
    /// Handing up what waits, for a new certificate and nothing else.
    HandingOver,
}

impl Session {
    /// Under whose name what the peer does is counted, once it has said hello: of a descendant the
    /// child of this node that it is, or is below; of others their own key. A child certifies as many
    /// machines as it likes, and these take no more together than it alone.
    pub fn branch(&self) -> Option<Branch> {
        self.peer().and(self.peer.as_ref()).map(|peer| peer.branch)
    }

    /// What the session is doing, by the figures of this moment.
    pub(super) fn activity(&self, report: &Report) -> Activity {
        if self.phase != super::Phase::Open {
            Activity::Greeting
        } else if report.renewing {
            Activity::HandingOver
        } else if report.synced {
            Activity::Agreed
        } else if report.to_receive == 0 && report.to_send == 0 {
            Activity::Comparing
        } else if report.to_receive >= report.to_send {
            Activity::Receiving
        } else {
            Activity::Sending
        }
    }
}

/// What is remembered of what peers have asked for and not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remembered {
    /// Ranges.
    pub ranges: usize,
    /// Short ids in these.
    pub ids: usize,
}

/// Figures about a session, for status and benchmarks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Certificate of the peer, once known.
    pub peer: Option<Serial>,
    /// Where the peer stands, once known.
    pub relation: Option<Relation>,
    /// Whether both sides held the same at `synced_at_ms` and nothing is under way.
    pub synced: bool,
    /// When both sides last held the same: when the peer was last heard while they did.
    pub synced_at_ms: Option<i64>,
    /// When the peer was last heard.
    pub heard_at_ms: Option<i64>,
    /// What the session is doing.
    pub activity: Activity,
    /// Changes that one of both has refused, which therefore stay different.
    pub disputed: u64,
    /// Changes read or queued for the peer and not acknowledged.
    pub to_send: u64,
    /// Changes the peer announced and has not sent.
    pub to_receive: u64,
    /// Changes acknowledged by the peer.
    pub sent: u64,
    /// Changes made durable here from the peer.
    pub received: u64,
    /// Changes of the peer that were refused.
    pub refused: u64,
    /// Questions of reconciliation asked by this side, one round trip each.
    pub rounds: u64,
    /// Frame bytes sent, before TLS.
    pub bytes_out: u64,
    /// Frame bytes received, before TLS.
    pub bytes_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Whether the session is for handing up what waits and a new certificate only.
    pub renewing: bool,
    /// How far the peer's clock is ahead of this node's.
    pub clock_offset_ms: i64,
    /// Bytes of changes of the peer that are in memory until they are durable.
    pub in_store_bytes: u64,
    /// What the peer has asked for and not been sent.
    pub remembered: Remembered,
    /// Bytes of changes, before compression, that the peer acknowledges in a second; 0 when it is
    /// not known.
    pub send_rate: u64,
    /// Why the peer has postponed changes, in its words; `None` when it takes them all.
    pub postponed: Option<String>,
    /// Version of the protocol that both agreed on.
    pub version: Option<u16>,
    /// Versions of both, when none of them is the same.
    pub skew: Option<Skew>,
    /// The program that the peer says it is.
    pub software: String,
}

impl Report {
    /// The same figures, counted on from those of an earlier connection.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        self.synced_at_ms = self.synced_at_ms.max(earlier.synced_at_ms);
        self.heard_at_ms = self.heard_at_ms.max(earlier.heard_at_ms);
        self.sent += earlier.sent;
        self.received += earlier.received;
        self.refused += earlier.refused;
        self.rounds += earlier.rounds;
        self.bytes_out += earlier.bytes_out;
        self.bytes_in += earlier.bytes_in;
        self.frames_out += earlier.frames_out;
        self.frames_in += earlier.frames_in;
        self
    }
}

//! What a node tells people about itself: a plain snapshot, published by the runtime.
//!
//! The runtime puts a new [`NodeStatus`] into a `tokio::sync::watch` channel whenever something
//! changes; pages, `/readyz` and `cunlian status` read the latest. Nothing here is looked up, so
//! a page about a broken store does not need the store.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use serde::Serialize;

use crate::clock::Doubt;

/// State of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Name from the node's certificate, such as `苑兴村`.
    pub name: String,
    /// Tier from the certificate.
    pub tier: Tier,
    /// The node's own address, such as `370322102310`.
    pub region: AddressCode,
    /// Version of the program.
    pub version: String,
    /// When the process started, milliseconds since 1970-01-01 UTC.
    pub started_at_ms: i64,
    /// When this snapshot was made, milliseconds since 1970-01-01 UTC.
    pub as_of_ms: i64,
    /// Whether the store takes writes, and why not.
    pub health: Health,
    /// Whether the machine's clock is right.
    pub clock: Clock,
    /// Why the node must not author; `None` when it may.
    pub suspended: Option<cunlian_crdt::store::Suspension>,
    /// Every peer configured or connected, parents first.
    pub peers: Vec<PeerStatus>,
    /// Peers whose link was cut at this node by hand.
    pub cut_links: Vec<std::net::SocketAddr>,
    /// Documents in the store.
    pub documents: u64,
    /// Changes in the log.
    pub changes: u64,
    /// Changes that some tier above may see and is not known to hold.
    pub waiting: u64,
}

/// Whether the store takes writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// It does.
    Ok,
    /// It does, but the disk is nearly full.
    LowSpace {
        /// Bytes left.
        free_bytes: u64,
    },
    /// The disk is full; what is stored is safe, nothing new is taken.
    DiskFull,
    /// The disk or the file is read-only.
    ReadOnly,
    /// A page of the file is damaged.
    Corrupt {
        /// What the database said.
        detail: String,
    },
    /// Anything else that stops writes.
    Failed {
        /// What happened.
        detail: String,
    },
}

impl Health {
    /// The state's name, as in JSON and in the keys of texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::LowSpace { .. } => "low-space",
            Self::DiskFull => "disk-full",
            Self::ReadOnly => "read-only",
            Self::Corrupt { .. } => "corrupt",
            Self::Failed { .. } => "failed",
        }
    }

    /// What the machine said about it; empty when there is nothing to add.
    pub fn detail(&self) -> &str {
        match self {
            Self::Ok | Self::LowSpace { .. } | Self::DiskFull | Self::ReadOnly => "",
            Self::Corrupt { detail } | Self::Failed { detail } => detail,
        }
    }
}

/// How the machine's clock compares with trusted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Clock {
    /// Nothing speaks against it; no node above has said the time.
    Unknown,
    /// Within the bound of what a node above says.
    Ok,
    /// Off by this much; the node goes by trusted time instead ([`crate::clock`]).
    Off {
        /// Milliseconds ahead of trusted time; negative when it is behind.
        ahead_ms: i64,
        /// Why it is not believed.
        doubt: Doubt,
    },
}

/// Which way a peer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerRole {
    /// This node dials it and reports to it.
    Parent,
    /// It dials this node.
    Child,
    /// Another node.
    Other,
}

/// State of the link to one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerStatus {
    /// Name from its certificate, or its address while that is unknown.
    pub name: String,
    /// Its tier, once known.
    pub tier: Option<Tier>,
    /// Its own address, once known.
    pub region: Option<AddressCode>,
    /// Serial of its certificate, once known.
    pub serial: Option<cunlian_protocol::id::Serial>,
    /// How far its trusted time was ahead of this node's when it said hello, milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// Which way it lies.
    pub role: PeerRole,
    /// What the link is doing.
    pub state: LinkState,
    /// When both last agreed to hold the same, milliseconds since 1970-01-01 UTC.
    pub last_success_ms: Option<i64>,
    /// Changes of this node's scope the peer has not acknowledged.
    pub pending_changes: u64,
    /// Their size in bytes.
    pub pending_bytes: u64,
    /// Why the last attempt failed, in words.
    pub error: Option<String>,
    /// What has passed over the current connection, or the last one.
    pub traffic: Option<Traffic>,
}

/// What has passed over one connection, counted in frames before TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Changes the peer announced that have not come.
    pub to_receive: u64,
    /// Changes the peer acknowledged.
    pub sent: u64,
    /// Changes of the peer made durable here.
    pub received: u64,
    /// Changes of the peer refused here.
    pub refused: u64,
    /// Questions of reconciliation asked, one round trip each.
    pub rounds: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames received.
    pub frames_in: u64,
}

/// What a link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// No connection.
    Down,
    /// Dialling or shaking hands.
    Connecting,
    /// Comparing or copying.
    Syncing,
    /// Connected and equal; new changes are pushed as they come.
    Live,
    /// The peer, or this node, refused the other.
    Refused,
}

impl LinkState {
    /// The state's name, as in JSON and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Connecting => "connecting",
            Self::Syncing => "syncing",
            Self::Live => "live",
            Self::Refused => "refused",
        }
    }

    /// Whether bytes can pass.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Syncing | Self::Live)
    }
}

impl NodeStatus {
    /// The parent this node reports to: the connected one, else the first.
    pub fn parent(&self) -> Option<&PeerStatus> {
        let mut parents = self.peers.iter().filter(|peer| peer.role == PeerRole::Parent);
        let first = parents.clone().next();
        parents.find(|peer| peer.state.is_up()).or(first)
    }
}

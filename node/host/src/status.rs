//! What a node tells people about itself: a plain snapshot, published by the runtime.
//!
//! The runtime puts a new [`NodeStatus`] into a `tokio::sync::watch` channel whenever something
//! changes; pages, `/readyz` and `cunlian status` read the latest. Nothing here is looked up, so
//! a page about a broken store does not need the store.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::session;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Doubt;

pub use self::ledger::{ChildLedger, Ledger, LedgerEntry, LedgerItem};
pub use self::photos::{LinkPhotos, Photos};
pub use self::rate::{Meter, Passed, Rate};

pub mod ledger;
mod photos;
mod rate;

/// State of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeStatus {
    /// Name from the node's certificate, such as `苑兴村`.
    pub name: String,
    /// Tier from the certificate.
    #[schema(value_type = String)]
    pub tier: Tier,
    /// The node's own address, such as `370322102310`.
    #[schema(value_type = String)]
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
    #[schema(value_type = Option<String>)]
    pub suspended: Option<cunlian_crdt::store::Suspension>,
    /// Every peer configured or connected, parents first.
    pub peers: Vec<PeerStatus>,
    /// Peers whose link was cut at this node by hand.
    #[schema(value_type = Vec<String>)]
    pub cut_links: Vec<std::net::SocketAddr>,
    /// Documents in the store.
    pub documents: u64,
    /// Documents of which not all changes count, because they hold more than may: `cunlian verify`
    /// names them.
    pub beyond_bounds: u64,
    /// Changes in the log.
    pub changes: u64,
    /// Changes that some tier above may see and is not known to hold.
    pub waiting: u64,
    /// Photos and files that are on their way.
    pub photos: Photos,
    /// What is kept for each child, beside the bound on it.
    pub ledger: Ledger,
}

/// Whether the store takes writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeerStatus {
    /// Name from its certificate, or its address while that is unknown.
    pub name: String,
    /// Its tier, once known.
    #[schema(value_type = Option<String>)]
    pub tier: Option<Tier>,
    /// Its own address, once known.
    #[schema(value_type = Option<String>)]
    pub region: Option<AddressCode>,
    /// Serial of its certificate, once known.
    #[schema(value_type = Option<String>)]
    pub serial: Option<cunlian_protocol::id::Serial>,
    /// How far its trusted time was ahead of this node's when it said hello, milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// Which way it lies.
    pub role: PeerRole,
    /// What the link is doing.
    pub state: LinkState,
    /// What the session is doing; `None` without one.
    pub activity: Option<Activity>,
    /// When the peer was last heard: everything here is as of then, milliseconds since 1970-01-01
    /// UTC.
    pub as_of_ms: Option<i64>,
    /// When both last agreed to hold the same, milliseconds since 1970-01-01 UTC.
    pub last_success_ms: Option<i64>,
    /// When the next attempt to connect is made, milliseconds since 1970-01-01 UTC.
    pub next_attempt_ms: Option<i64>,
    /// Changes the peer is to have and has not acknowledged: for a parent all that wait for its
    /// tier, for others what this session has queued.
    pub pending_changes: u64,
    /// Their size in bytes; estimated for others than parents.
    pub pending_bytes: u64,
    /// When that of them was recorded which has waited longest, milliseconds since 1970-01-01 UTC;
    /// known for parents.
    pub pending_since_ms: Option<i64>,
    /// Changes that the peer announced and that have not come.
    pub expected_changes: u64,
    /// Their size in bytes, estimated.
    pub expected_bytes: u64,
    /// Since when some have been expected, milliseconds since 1970-01-01 UTC.
    pub expected_since_ms: Option<i64>,
    /// How fast changes pass, when some have passed in the last ten seconds.
    pub rate: Option<Rate>,
    /// How long all that is pending and expected takes at this rate, seconds.
    pub remaining_s: Option<u64>,
    /// Changes that one of both has refused, which therefore stay different.
    pub disputed: u64,
    /// Why the peer has postponed changes, in its words.
    pub postponed: Option<String>,
    /// Photos and files that wait for it, or are not taken.
    pub photos: LinkPhotos,
    /// Why the last attempt failed, in words.
    pub error: Option<String>,
    /// Version of the protocol that both speak; `None` without a session.
    pub version: Option<u16>,
    /// Versions of both, when none of them is the same.
    pub skew: Option<VersionSkew>,
    /// The program that the peer says it is.
    pub software: Option<String>,
    /// What has passed over the current connection, or the last one.
    pub traffic: Option<Traffic>,
}

/// Two nodes that have no version of the protocol in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VersionSkew {
    /// Versions that this node speaks.
    pub own: Vec<u16>,
    /// Versions that the peer speaks.
    pub peer: Vec<u16>,
    /// Which of both has to be updated.
    pub update: ToUpdate,
}

/// Which of two nodes has to be updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToUpdate {
    /// This one.
    This,
    /// The peer.
    Peer,
}

impl ToUpdate {
    /// Its name, as in JSON and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Peer => "peer",
        }
    }
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// Waiting for the first message of the peer.
    Greeting,
    /// Finding out what the other lacks.
    Comparing,
    /// Changes are coming.
    Receiving,
    /// Changes are on their way to the peer.
    Sending,
    /// Both hold the same, but for what one of them has refused.
    Agreed,
    /// Handing up what waits, for a new certificate.
    HandingOver,
    /// The peer has not been heard for longer than two comparisons are apart.
    Silent,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Self; 7] = [
        Self::Greeting,
        Self::Comparing,
        Self::Receiving,
        Self::Sending,
        Self::Agreed,
        Self::HandingOver,
        Self::Silent,
    ];

    /// The activity's name, as in metrics and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Comparing => "comparing",
            Self::Receiving => "receiving",
            Self::Sending => "sending",
            Self::Agreed => "agreed",
            Self::HandingOver => "handing-over",
            Self::Silent => "silent",
        }
    }
}

impl From<session::Activity> for Activity {
    fn from(activity: session::Activity) -> Self {
        match activity {
            session::Activity::Greeting => Self::Greeting,
            session::Activity::Comparing => Self::Comparing,
            session::Activity::Receiving => Self::Receiving,
            session::Activity::Sending => Self::Sending,
            session::Activity::Agreed => Self::Agreed,
            session::Activity::HandingOver => Self::HandingOver,
        }
    }
}

/// What has passed over one connection, counted in frames before TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// A village that is being sent something, for tests of what is made of a status.
    pub(crate) fn peer(name: &str, region: Option<&str>) -> PeerStatus {
        PeerStatus {
            name: name.to_owned(),
            tier: region.map(|_| Tier::Village),
            region: region.map(|code| AddressCode::parse(code).unwrap()),
            serial: None,
            clock_ahead_ms: None,
            role: PeerRole::Child,
            state: LinkState::Syncing,
            activity: Some(Activity::Sending),
            as_of_ms: Some(5_000),
            last_success_ms: Some(4_000),
            next_attempt_ms: None,
            pending_changes: 3,
            pending_bytes: 4,
            pending_since_ms: None,
            expected_changes: 5,
            expected_bytes: 6,
            expected_since_ms: Some(1_000),
            rate: Some(Rate { milli_changes: 2_500, bytes: 700 }),
            remaining_s: Some(4),
            disputed: 0,
            postponed: None,
            photos: LinkPhotos::default(),
            error: Some("王建国 could not be reached".to_owned()),
            version: Some(1),
            skew: None,
            software: None,
            traffic: None,
        }
    }
}

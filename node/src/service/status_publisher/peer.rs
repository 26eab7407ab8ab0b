//! The status of one peer, from the hub's report.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::dialect::Skew;
use cunlian_protocol::hub::PeerReport;
use cunlian_protocol::session::{Relation, Report};

use cunlian_host::regions::own_region;
use cunlian_host::status::{
    Activity, LinkPhotos, LinkState, PeerRole, PeerStatus, ToUpdate, Traffic, VersionSkew,
};

/// After so long without a word the peer is not said to be in step any more. Sets are compared
/// every minute; a line that is dead is noticed by the transport much earlier.
const SILENT_AFTER_MS: i64 = 150_000;
/// Bytes of a change on the line before any has passed.
const TYPICAL_CHANGE_BYTES: u64 = 300;

/// How a peer is at this moment; what waits for a parent is filled in from the store.
pub(super) fn peer_status(
    report: &PeerReport,
    authority: &Authority,
    addresses: &[String],
    now_ms: i64,
) -> PeerStatus {
    let session = report.session.as_ref();
    let serial = session.and_then(|session| session.peer).or(report.peer);
    let certificate = serial.and_then(|serial| authority.get(&serial));
    let address = report.target.and_then(|target| addresses.get(target.0)).cloned();
    let open = session.filter(|_| report.connected);
    let is_silent = |heard_ms: &i64| now_ms.saturating_sub(*heard_ms) > SILENT_AFTER_MS;
    let silent = open.and_then(|session| session.heard_at_ms).is_some_and(|at| is_silent(&at));
    let pending_changes = open.map_or(0, |session| session.to_send);
    let expected_changes = open.map_or(0, |session| session.to_receive);
    let bytes = |changes: u64, passed: fn(&Report) -> (u64, u64)| {
        let (bytes, of) = session.map(passed).unwrap_or_default();
        let each = bytes.checked_div(of).unwrap_or(TYPICAL_CHANGE_BYTES);
        changes.saturating_mul(each)
    };
    PeerStatus {
        name: report.name.clone().or(address).unwrap_or_default(),
        tier: certificate.map(|certificate| certificate.body().tier),
        region: certificate.map(own_region),
        serial,
        clock_ahead_ms: session.map(|session| session.clock_offset_ms),
        role: role(report),
        state: if silent { LinkState::Syncing } else { state(report) },
        activity: open
            .map(|session| if silent { Activity::Silent } else { session.activity.into() }),
        as_of_ms: session.and_then(|session| session.heard_at_ms),
        last_success_ms: session.and_then(|session| session.synced_at_ms),
        next_attempt_ms: report.next_dial_ms,
        pending_changes,
        pending_bytes: bytes(pending_changes, |passed| (passed.bytes_out, passed.sent)),
        pending_since_ms: None,
        expected_changes,
        expected_bytes: bytes(expected_changes, |passed| (passed.bytes_in, passed.received)),
        expected_since_ms: None,
        rate: None,
        remaining_s: None,
        disputed: session.map_or(0, |session| session.disputed),
        postponed: open.and_then(|session| session.postponed.clone()),
        photos: LinkPhotos::default(),
        error: report.problem.clone(),
        version: open.and_then(|session| session.version),
        skew: session.and_then(|session| session.skew.as_ref()).map(skew),
        software: session.map(|session| session.software.clone()).filter(|text| !text.is_empty()),
        traffic: session.map(|session| Traffic {
            to_receive: expected_changes,
            sent: session.sent,
            received: session.received,
            refused: session.refused,
            rounds: session.rounds,
            bytes_out: session.bytes_out,
            bytes_in: session.bytes_in,
            frames_out: session.frames_out,
            frames_in: session.frames_in,
        }),
    }
}

fn skew(skew: &Skew) -> VersionSkew {
    let update = if skew.is_own_older() { ToUpdate::This } else { ToUpdate::Peer };
    VersionSkew { own: skew.own.clone(), peer: skew.peer.clone(), update }
}

fn role(report: &PeerReport) -> PeerRole {
    match report.session.as_ref().and_then(|session| session.relation) {
        Some(Relation::Ancestor) => PeerRole::Parent,
        Some(Relation::Descendant) => PeerRole::Child,
        None if report.target.is_some() => PeerRole::Parent,
        Some(Relation::Other) | None => PeerRole::Other,
    }
}

fn state(report: &PeerReport) -> LinkState {
    match (report.connected, &report.session) {
        (true, Some(session)) if session.synced => LinkState::Live,
        (true, _) => LinkState::Syncing,
        (false, _) if report.refused => LinkState::Refused,
        (false, _) if report.target.is_some() && report.next_dial_ms.is_none() => {
            LinkState::Connecting
        }
        (false, _) => LinkState::Down,
    }
}

//! Figures of the links to other nodes, from the same [`PeerStatus`] that pages and commands show.
//!
//! Every peer that gets labels of its own costs a line of each figure, so that only the first
//! [`MOST_PEERS`] do: parents, then those that are connected, then those with most to send. The
//! others are counted together.

use std::cmp::Reverse;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::status::{LinkPhotos, PeerRole, PeerStatus, Traffic};

/// Most peers with figures of their own.
const MOST_PEERS: usize = 500;

type PeerLabels = [(&'static str, String); 3];
type StateLabels = [(&'static str, String); 4];
type Measured<S> = Family<S, Gauge>;

pub(super) fn register(registry: &mut Registry, peers: &[PeerStatus]) {
    let mut chosen: Vec<(usize, &PeerStatus)> = peers.iter().enumerate().collect();
    chosen.sort_by_key(|(place, peer)| {
        let to_send = Reverse(peer.pending_changes);
        (peer.role != PeerRole::Parent, !peer.state.is_up(), to_send, *place)
    });
    let others = chosen.split_off(chosen.len().min(MOST_PEERS));
    let chosen: Vec<(PeerLabels, &PeerStatus)> =
        chosen.into_iter().map(|(place, peer)| (labels(place, peer), peer)).collect();
    state(registry, &chosen);
    lag(registry, &chosen);
    passed(registry, &chosen);
    let help = "Peers beyond those that have figures of their own";
    registry.register("links_not_listed", help, ConstGauge::new(others.len() as u64));
    let to_send: u64 = others.iter().map(|(_, peer)| peer.pending_changes).sum();
    let help = "Changes that these have not acknowledged";
    registry.register("links_not_listed_pending_changes", help, ConstGauge::new(to_send));
}

fn state(registry: &mut Registry, peers: &[(PeerLabels, &PeerStatus)]) {
    let words = peers.iter().map(|(labels, peer)| {
        let [name, region, role] = labels.clone();
        let word = peer.activity.map_or(peer.state.name(), |activity| activity.name());
        let labels: StateLabels = [name, region, role, ("state", word.to_owned())];
        (labels, 1)
    });
    registry.register("link_state", "What the link is doing", measured(words));
    let mut gauge = |name: &str, help: &str, of: fn(&PeerStatus) -> Option<i64>| {
        let values = peers.iter().filter_map(|(labels, peer)| Some((labels.clone(), of(peer)?)));
        registry.register(name, help, measured(values));
    };
    gauge("link_up", "Whether bytes can pass to the peer", |p| Some(i64::from(p.state.is_up())));
    gauge("link_in_step_seconds", "When both last held the same, since 1970", |peer| {
        peer.last_success_ms.map(|at_ms| at_ms / 1_000)
    });
    gauge("link_heard_seconds", "When the peer was last heard, since 1970", |peer| {
        peer.as_of_ms.map(|at_ms| at_ms / 1_000)
    });
    gauge("link_next_attempt_seconds", "When it is dialled next, since 1970", |peer| {
        peer.next_attempt_ms.map(|at_ms| (at_ms / 1_000).max(0))
    });
    gauge(
        "link_disputed_changes",
        "Changes that one side refused and that stay different",
        |peer| Some(whole(peer.disputed)),
    );
    gauge("link_postponed", "Whether the peer has postponed changes", |peer| {
        Some(i64::from(peer.postponed.is_some()))
    });
}

fn lag(registry: &mut Registry, peers: &[(PeerLabels, &PeerStatus)]) {
    let mut gauge = |name: &str, help: &str, of: fn(&PeerStatus) -> Option<i64>| {
        let values = peers.iter().filter_map(|(labels, peer)| Some((labels.clone(), of(peer)?)));
        registry.register(name, help, measured(values));
    };
    gauge("link_pending_changes", "Changes that the peer has not acknowledged", |peer| {
        Some(whole(peer.pending_changes))
    });
    gauge("link_pending_bytes", "Their bytes, estimated for others than parents", |peer| {
        Some(whole(peer.pending_bytes))
    });
    let help = "When that was recorded which has waited longest, since 1970";
    gauge("link_pending_since_seconds", help, |peer| {
        peer.pending_since_ms.map(|at_ms| at_ms / 1_000)
    });
    gauge("link_expected_changes", "Changes that the peer announced and has not sent", |peer| {
        Some(whole(peer.expected_changes))
    });
    gauge("link_expected_bytes", "Their bytes, estimated", |peer| Some(whole(peer.expected_bytes)));
    gauge("link_expected_since_seconds", "Since when some are expected, since 1970", |peer| {
        peer.expected_since_ms.map(|at_ms| at_ms / 1_000)
    });
    gauge("link_remaining_seconds", "How long the rest takes at the present rate", |peer| {
        peer.remaining_s.map(whole)
    });
    photos(registry, peers);
    let rates = Family::<PeerLabels, Gauge<f64, AtomicU64>>::default();
    let bytes = Measured::<PeerLabels>::default();
    for (labels, rate) in peers.iter().filter_map(|(labels, peer)| Some((labels, peer.rate?))) {
        let changes = f64::from(u32::try_from(rate.milli_changes).unwrap_or(u32::MAX)) / 1_000.0;
        rates.get_or_create(labels).set(changes);
        bytes.get_or_create(labels).set(whole(rate.bytes));
    }
    let help = "Changes in a second, both ways, over the last ten seconds";
    registry.register("link_rate_changes", help, rates);
    let help = "Frame bytes in a second, both ways, over the last ten seconds";
    registry.register("link_rate_bytes", help, bytes);
}

fn photos(registry: &mut Registry, peers: &[(PeerLabels, &PeerStatus)]) {
    let mut gauge = |name: &str, help: &str, of: fn(&LinkPhotos) -> Option<i64>| {
        let values =
            peers.iter().filter_map(|(labels, peer)| Some((labels.clone(), of(&peer.photos)?)));
        registry.register(name, help, measured(values));
    };
    gauge("link_photos_pending", "Photos and files that wait for a parent", |photos| {
        Some(whole(photos.pending))
    });
    gauge("link_photos_pending_bytes", "Their bytes", |photos| Some(whole(photos.pending_bytes)));
    let help = "When that was recorded which has waited longest, since 1970";
    gauge("link_photos_pending_since_seconds", help, |photos| {
        photos.pending_since_ms.map(|at_ms| at_ms / 1_000)
    });
    let help = "Photos and files that a parent does not take, or that are not taken of a child";
    gauge("link_photos_not_taken", help, |photos| Some(whole(photos.not_taken)));
    gauge("link_photos_not_taken_bytes", "Their bytes", |photos| {
        Some(whole(photos.not_taken_bytes))
    });
}

fn passed(registry: &mut Registry, peers: &[(PeerLabels, &PeerStatus)]) {
    let mut traffic = |name: &str, help: &str, of: fn(&Traffic) -> u64| {
        let values =
            peers.iter().filter_map(|(labels, peer)| Some((labels.clone(), of(&peer.traffic?))));
        registry.register(name, help, counted(values));
    };
    traffic("link_changes_sent", "Changes the peer acknowledged", |t| t.sent);
    traffic("link_changes_received", "Changes of the peer made durable", |t| t.received);
    traffic("link_changes_refused", "Changes of the peer that were refused", |t| t.refused);
    traffic("link_rounds", "Questions of reconciliation asked", |t| t.rounds);
    traffic("link_sent_bytes", "Frame bytes sent", |t| t.bytes_out);
    traffic("link_received_bytes", "Frame bytes received", |t| t.bytes_in);
}

/// Name, address code and direction of a peer. One that never proved who it is has only its place
/// in the configuration: no address, and no name of its own choosing.
fn labels(place: usize, peer: &PeerStatus) -> PeerLabels {
    let role = match peer.role {
        PeerRole::Parent => "parent",
        PeerRole::Child => "child",
        PeerRole::Other => "other",
    };
    let (name, region) = match (peer.tier, peer.region) {
        (Some(_), Some(region)) => (peer.name.clone(), region.as_str().to_owned()),
        _ => (format!("peer {}", place + 1), String::new()),
    };
    [("peer", name), ("region", region), ("role", role.to_owned())]
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn measured<S: EncodeLabelSet + Clone + std::hash::Hash + Eq>(
    values: impl IntoIterator<Item = (S, i64)>,
) -> Measured<S> {
    let family = Measured::<S>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    family
}

fn counted(values: impl IntoIterator<Item = (PeerLabels, u64)>) -> Family<PeerLabels, Counter> {
    let family = Family::<PeerLabels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    family
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::metrics::tests::status;
    use crate::metrics::{Metrics, StoreFigures};
    use crate::status::tests::peer;

    fn text(peers: Vec<PeerStatus>) -> String {
        Metrics::new(Path::new("/nowhere")).text(&status(peers), StoreFigures::default())
    }

    /// Shows that a peer appears by name and code once it has proved who it is, that one that
    /// has not appears without its address, and that quotation marks cannot break out of a label.
    #[test]
    fn peers_appear_by_what_they_proved() {
        let text = text(vec![peer("苑兴村", Some("370322102310")), peer("192.0.2.7:7320", None)]);
        let village = "{peer=\"苑兴村\",region=\"370322102310\",role=\"child\"";
        for line in [
            format!("cunlian_link_up{village}}} 1\n"),
            format!("cunlian_link_state{village},state=\"sending\"}} 1\n"),
            format!("cunlian_link_rate_changes{village}}} 2.5\n"),
            format!("cunlian_link_remaining_seconds{village}}} 4\n"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains("cunlian_link_up{peer=\"peer 2\",region=\"\",role=\"child\"} 1\n"));
        assert!(!text.contains("192.0.2.7") && !text.contains("王建国"), "{text}");
        assert!(text.contains("name=\"高\\\"城\\\"镇\""), "{text}");
    }

    /// Shows that the number of lines is bounded however many peers there are, and that the
    /// parent and those with most to send are among those listed.
    #[test]
    fn many_peers_are_counted_together() {
        let mut peers: Vec<PeerStatus> = (0..900_u64)
            .map(|n| PeerStatus {
                pending_changes: n,
                ..peer(&format!("village {n}"), Some("370322102310"))
            })
            .collect();
        peers.push(PeerStatus {
            role: PeerRole::Parent,
            pending_changes: 0,
            ..peer("高青县", Some("370322"))
        });
        let text = text(peers);
        assert_eq!(text.lines().filter(|line| line.starts_with("cunlian_link_up{")).count(), 500);
        assert!(text.contains("cunlian_link_up{peer=\"高青县\""));
        assert!(text.contains("peer=\"village 899\"") && !text.contains("peer=\"village 400\""));
        assert!(text.contains("cunlian_links_not_listed 401\n"), "{text}");
        let pending: u64 = (0..=400).sum();
        let line = format!("cunlian_links_not_listed_pending_changes {pending}\n");
        assert!(text.contains(&line), "{text}");
    }
}

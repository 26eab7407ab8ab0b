//! A link to another node in words: what it is doing, what has not passed yet, how long it takes.
//!
//! Everything is from the [`PeerStatus`] that the command and the figures show too.

use cunlian_host::status::{PeerRole, PeerStatus};

use crate::frame::clock::{ago, span};
use crate::frame::figure::grouped;
use crate::frame::reason::reason;
use crate::frame::text::Text;

/// What the link is doing, as of when, and when it is tried again.
pub(crate) fn doing(texts: Text, peer: &PeerStatus, now_ms: i64) -> String {
    match (peer.activity, peer.next_attempt_ms) {
        (Some(activity), _) => {
            let doing = texts.of("activity", activity.name());
            match peer.as_of_ms {
                Some(at_ms) => {
                    texts.t2("link-as-of", ("doing", doing), ("ago", ago(texts, at_ms, now_ms)))
                }
                None => doing,
            }
        }
        (None, Some(at_ms)) => {
            let seconds = (at_ms.saturating_sub(now_ms) + 999).max(1_000) / 1_000;
            texts.t1("link-next-attempt", "n", seconds)
        }
        (None, None) => String::new(),
    }
}

/// What has not passed yet, a line each; none when nothing is known to be left.
pub(crate) fn left(texts: Text, peer: &PeerStatus, now_ms: i64) -> Vec<String> {
    let mut lines = Vec::new();
    if peer.pending_changes > 0 {
        let key = match peer.role {
            PeerRole::Parent => "lag-up",
            PeerRole::Child | PeerRole::Other => "lag-down",
        };
        let mut line = texts.t1(key, "n", grouped(peer.pending_changes));
        if let Some(since_ms) = peer.pending_since_ms {
            line.push_str(&texts.t1("lag-oldest", "ago", ago(texts, since_ms, now_ms)));
        }
        if peer.expected_changes == 0 {
            line.push_str(&remaining(texts, peer));
        }
        lines.push(line);
    }
    if peer.expected_changes > 0 {
        let mut line = texts.t1("lag-expected", "n", grouped(peer.expected_changes));
        line.push_str(&remaining(texts, peer));
        lines.push(line);
    }
    // What would read as 0.0 is no rate to anybody.
    if let Some(rate) = peer.rate.filter(|rate| rate.milli_changes >= 100) {
        let changes = match rate.milli_changes {
            slow @ 0..10_000 => format!("{}.{}", slow / 1_000, slow % 1_000 / 100),
            fast => grouped(fast / 1_000),
        };
        lines.push(texts.t2("lag-rate", ("n", changes), ("size", bytes(rate.bytes))));
    }
    photos(texts, peer, now_ms, &mut lines);
    if peer.disputed > 0 {
        lines.push(texts.t1("lag-disputed", "n", grouped(peer.disputed)));
    }
    if let Some(why) = &peer.postponed {
        lines.push(texts.t1("lag-postponed", "why", reason(texts, why)));
    }
    lines
}

/// Photos and files that wait for a parent, and those that one side does not take.
fn photos(texts: Text, peer: &PeerStatus, now_ms: i64, lines: &mut Vec<String>) {
    let photos = &peer.photos;
    if photos.pending > 0 {
        let (n, size) = (grouped(photos.pending), bytes(photos.pending_bytes));
        let mut line = texts.t2("lag-photos", ("n", n), ("size", size));
        if let Some(since_ms) = photos.pending_since_ms {
            line.push_str(&texts.t1("lag-oldest", "ago", ago(texts, since_ms, now_ms)));
        }
        lines.push(line);
    }
    if let Some(why) = &photos.not_taken_why {
        let key = match peer.role {
            PeerRole::Parent => "lag-photos-postponed-above",
            PeerRole::Child | PeerRole::Other => "lag-photos-postponed-here",
        };
        let (n, size) = (grouped(photos.not_taken), bytes(photos.not_taken_bytes));
        let why = reason(texts, why);
        lines.push(texts.with(key, &[("n", &n), ("size", &size), ("why", &why)]));
    }
}

/// What went wrong with a link, in the reader's words where the transport's are known.
pub(crate) fn problem(texts: Text, said: &str) -> String {
    let key = match said {
        "timed out" | "no answer" => "problem-no-answer",
        "reset by peer" => "problem-restarted",
        "closed" => "problem-closed",
        _ => {
            let name = said.strip_prefix("the name ");
            let name = name.and_then(|rest| rest.strip_suffix(" was not found"));
            return name.map_or_else(
                || reason(texts, said),
                |name| texts.t1("problem-no-name", "name", name),
            );
        }
    };
    texts.t(key)
}

/// How much of it there is in bytes, after the number of changes.
pub(crate) fn pending_size(peer: &PeerStatus) -> Option<String> {
    (peer.pending_changes > 0).then(|| bytes(peer.pending_bytes))
}

fn remaining(texts: Text, peer: &PeerStatus) -> String {
    match peer.remaining_s {
        None => String::new(),
        Some(0..60) => texts.t("lag-soon"),
        Some(seconds) => {
            let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
            texts.t1("lag-about", "span", span(texts, ms))
        }
    }
}

/// A size for people: whole units of 1024.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}

/// A size beside a bound: with a tenth where whole units are coarse.
pub(crate) fn size(count: u64) -> String {
    let (unit, shift) = match count {
        0..1_048_576 => return bytes(count),
        1_048_576..1_073_741_824 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let tenths = (u128::from(count) * 10) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::text::Language;
    use cunlian_host::status::{LinkPhotos, LinkState, Rate};

    /// A parent that nothing has been said to.
    fn quiet_parent() -> PeerStatus {
        PeerStatus {
            name: "高城镇".to_owned(),
            tier: None,
            region: None,
            serial: None,
            clock_ahead_ms: None,
            role: PeerRole::Parent,
            state: LinkState::Syncing,
            activity: None,
            as_of_ms: None,
            last_success_ms: None,
            next_attempt_ms: None,
            pending_changes: 0,
            pending_bytes: 0,
            pending_since_ms: None,
            expected_changes: 0,
            expected_bytes: 0,
            expected_since_ms: None,
            rate: None,
            remaining_s: None,
            disputed: 0,
            postponed: None,
            photos: LinkPhotos::default(),
            error: None,
            version: None,
            skew: None,
            software: None,
            traffic: None,
        }
    }

    /// Shows that what the transport says of a silent peer is said in the reader's language, and
    /// that what nobody has words for is shown as it is.
    #[test]
    fn a_silent_peer_is_said_to_be_silent() {
        let chinese = Text::new(Language::Chinese);
        assert_eq!(problem(chinese, "timed out"), "对方没有应答，会自动再试");
        let english = Text::new(Language::English);
        assert_eq!(problem(english, "no answer"), "no answer; it is tried again by itself");
        assert_eq!(problem(english, "the tea is cold"), "the tea is cold");
    }

    /// Shows that the line that people read says how many wait, how old the oldest is and how
    /// long it takes, in both languages, and that nothing is estimated without a rate.
    #[test]
    fn the_lag_is_said_in_one_line() {
        let now_ms = 1_795_000_000_000;
        let mut parent = PeerStatus {
            pending_changes: 1_234,
            pending_since_ms: Some(now_ms - 3 * 3_600_000),
            rate: Some(Rate { milli_changes: 10_280, bytes: 3_000 }),
            remaining_s: Some(121),
            ..quiet_parent()
        };
        let said = |peer: &PeerStatus, language| left(Text::new(language), peer, now_ms);
        let line = "还有 1,234 条等着上报，最早的是 3 小时前，约 2 分钟";
        assert_eq!(said(&parent, Language::Chinese).first().map(String::as_str), Some(line));
        let line = "1,234 still to be reported, the oldest from 3 h ago, about 2 min";
        assert_eq!(said(&parent, Language::English).first().map(String::as_str), Some(line));
        parent.photos = LinkPhotos {
            pending: 3,
            pending_bytes: 5 << 20,
            pending_since_ms: Some(now_ms - 3 * 3_600_000),
            not_taken: 2,
            not_taken_bytes: 4 << 20,
            not_taken_why: Some("磁盘将满".to_owned()),
        };
        let lines = said(&parent, Language::Chinese);
        let expected = [
            "还有 3 张照片（5 MiB）等着上报，最早的是 3 小时前",
            "上级暂缓接收 2 张照片（4 MiB）：磁盘将满",
        ];
        assert!(expected.iter().all(|line| lines.iter().any(|texts| texts == line)), "{lines:?}");
        parent.photos = LinkPhotos::default();
        let slow = Rate { milli_changes: 99, bytes: 53 };
        let slow = PeerStatus { rate: Some(slow), remaining_s: None, ..parent.clone() };
        assert_eq!(said(&slow, Language::Chinese).len(), 1, "nothing passes at 0.0 per second");
        parent.rate = None;
        parent.remaining_s = None;
        let line = "还有 1,234 条等着上报，最早的是 3 小时前".to_owned();
        assert_eq!(said(&parent, Language::Chinese), [line]);
    }
}

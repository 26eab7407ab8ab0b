//! The status page, its fragments, and the probes `/healthz` and `/readyz`.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cunlian_host::status::{Clock, Health, NodeStatus, PeerRole, PeerStatus, Photos, VersionSkew};

use super::ledger::LedgerView;
use super::link::{self, bytes};
use crate::frame::clock::{ago, full, span};
use crate::frame::component::{Fact, Notice, PeerBadge, last_success};
use crate::frame::figure::grouped;
use crate::frame::layout::{Page, health_notice, html, link_badge};
use crate::frame::reason::reason;
use crate::frame::text::Text;
use crate::frame::visit::Visit;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "status/status.html")]
struct StatusPage {
    l: Text,
    page: Page,
    notices: Vec<Notice>,
    details: Option<Details>,
}

#[derive(Template)]
#[template(path = "status/status_list.html")]
struct StatusList {
    l: Text,
    notices: Vec<Notice>,
    details: Option<Details>,
}

/// What people who have logged in see; names of other nodes and counts are nobody else's.
struct Details {
    facts: Vec<Fact>,
    peers: Vec<PeerView>,
    ledger: Option<LedgerView>,
}

struct PeerView {
    name: String,
    role: String,
    link: PeerBadge,
    doing: String,
    error: Option<String>,
    last: String,
    pending: String,
    left: Vec<String>,
}

pub(super) async fn status(State(state): State<WebState>, visit: Visit) -> Response {
    let l = visit.l;
    let StatusList { notices, details, .. } = list(&state, &visit);
    let page = Page::new(&state, &visit, l.t("status-title"));
    html(&StatusPage { l, page, notices, details })
}

pub(super) async fn status_fragment(State(state): State<WebState>, visit: Visit) -> Response {
    html(&list(&state, &visit))
}

pub(super) async fn link_fragment(State(state): State<WebState>, visit: Visit) -> Response {
    html(&link_badge(&state, &visit))
}

fn list(state: &WebState, visit: &Visit) -> StatusList {
    let (status, now_ms, l) = (state.status(), state.now_ms(), visit.l);
    let mut notices = vec![health_notice(l, &status, visit.person.is_some())];
    if let Clock::Off { ahead_ms, doubt } = status.clock {
        let key = if ahead_ms > 0 { "clock-ahead" } else { "clock-behind" };
        let (off, meaning) =
            (l.t1(key, "span", span(l, ahead_ms)), l.of("clock-doubt", doubt.name()));
        notices.push(Notice { class: "warn", text: format!("{off} {meaning}") });
    }
    let details = visit.person.is_some().then(|| Details {
        facts: facts(l, &status, now_ms),
        peers: status.peers.iter().map(|peer| view(l, peer, now_ms)).collect(),
        ledger: LedgerView::of(l, &status.ledger),
    });
    StatusList { l, notices, details }
}

fn view(l: Text, peer: &PeerStatus, now_ms: i64) -> PeerView {
    PeerView {
        name: peer.name.clone(),
        role: match peer.role {
            PeerRole::Parent => l.t("peer-parent"),
            PeerRole::Child => l.t("peer-child"),
            PeerRole::Other => l.t("peer-other"),
        },
        link: PeerBadge::of(l, peer.state),
        error: problem(l, peer),
        last: last_success(l, peer, now_ms),
        doing: link::doing(l, peer, now_ms),
        pending: pending(l, peer),
        left: link::left(l, peer, now_ms),
    }
}

/// What went wrong last; of two programs that do not speak with each other, which is to be updated.
fn problem(l: Text, peer: &PeerStatus) -> Option<String> {
    let Some(VersionSkew { own, peer: theirs, update }) = &peer.skew else {
        return peer.error.as_deref().map(|said| link::problem(l, said));
    };
    let list = |versions: &[u16]| {
        let texts: Vec<String> = versions.iter().map(u16::to_string).collect();
        texts.join(" / ")
    };
    let versions = l.t2("skew-versions", ("own", list(own)), ("peer", list(theirs)));
    let key = if update.name() == "this" { "skew-this" } else { "skew-peer" };
    Some(format!("{} {versions}", l.t1(key, "name", &peer.name)))
}

fn facts(l: Text, status: &NodeStatus, now_ms: i64) -> Vec<Fact> {
    let fact = |label: String, text: String| Fact { label, text };
    let mut facts = vec![
        fact(l.t("status-name"), status.name.clone()),
        fact(l.t("status-tier"), l.of("tier", status.tier.name())),
        fact(l.t("status-code"), status.region.plate_text()),
        fact(l.t("status-documents"), status.documents.to_string()),
        fact(l.t("status-changes"), status.changes.to_string()),
        fact(l.t("status-photos"), photos(l, &status.photos, now_ms)),
    ];
    if let Health::LowSpace { free_bytes } = status.health {
        facts.push(fact(l.t("status-free"), bytes(free_bytes)));
    }
    facts.push(fact(l.t("status-time"), full(now_ms)));
    facts.push(fact(l.t("status-started"), full(status.started_at_ms)));
    facts.push(fact(l.t("status-version"), status.version.clone()));
    facts
}

/// Photos that are on their way, and since when.
fn photos(l: Text, photos: &Photos, now_ms: i64) -> String {
    let line = |key: &str, count: u64, size: u64, since_ms: Option<i64>| {
        let mut line = l.t2(key, ("n", grouped(count)), ("size", bytes(size)));
        if let Some(since_ms) = since_ms {
            line.push_str(&l.t1("lag-oldest", "ago", ago(l, since_ms, now_ms)));
        }
        (count > 0).then_some(line)
    };
    let Photos { missing, missing_bytes, missing_since_ms, .. } = *photos;
    let Photos { waiting, waiting_bytes, waiting_since_ms, .. } = *photos;
    let lines = [
        line("photos-missing", missing, missing_bytes, missing_since_ms),
        line("lag-photos", waiting, waiting_bytes, waiting_since_ms),
        photos.none_taken.as_ref().map(|why| l.t1("photos-none-taken", "why", reason(l, why))),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    if lines.is_empty() { l.t("photos-all-there") } else { lines.join(&l.t("photos-and")) }
}

/// How much the peer has not acknowledged. What is to be had by a node below that is not connected
/// comes out when it connects.
fn pending(l: Text, peer: &PeerStatus) -> String {
    match link::pending_size(peer) {
        Some(size) => l.t2("pending-some", ("n", grouped(peer.pending_changes)), ("size", size)),
        None if peer.role != PeerRole::Parent && !peer.state.is_up() => l.t("pending-unknown"),
        None => l.t("pending-none"),
    }
}

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The store takes writes.
pub(super) async fn readyz(
    State(state): State<WebState>,
) -> Result<&'static str, (StatusCode, String)> {
    let status = state.status();
    match status.health {
        Health::Ok | Health::LowSpace { .. } => Ok("ready\n"),
        Health::DiskFull | Health::ReadOnly | Health::Corrupt { .. } | Health::Failed { .. } => {
            Err((StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", status.health.name())))
        }
    }
}

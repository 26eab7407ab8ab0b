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
    texts: Text,
    page: Page,
    notices: Vec<Notice>,
    details: Option<Details>,
}

#[derive(Template)]
#[template(path = "status/status_list.html")]
struct StatusList {
    texts: Text,
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
    let texts = visit.texts;
    let StatusList { notices, details, .. } = list(&state, &visit);
    let page = Page::new(&state, &visit, texts.t("status-title"));
    html(&StatusPage { texts, page, notices, details })
}

pub(super) async fn status_fragment(State(state): State<WebState>, visit: Visit) -> Response {
    html(&list(&state, &visit))
}

pub(super) async fn link_fragment(State(state): State<WebState>, visit: Visit) -> Response {
    html(&link_badge(&state, &visit))
}

fn list(state: &WebState, visit: &Visit) -> StatusList {
    let (status, now_ms, texts) = (state.status(), state.now_ms(), visit.texts);
    let mut notices = vec![health_notice(texts, &status, visit.person.is_some())];
    if let Clock::Off { ahead_ms, doubt } = status.clock {
        let key = if ahead_ms > 0 { "clock-ahead" } else { "clock-behind" };
        let (off, meaning) =
            (texts.t1(key, "span", span(texts, ahead_ms)), texts.of("clock-doubt", doubt.name()));
        notices.push(Notice { class: "warn", text: format!("{off} {meaning}") });
    }
    let details = visit.person.is_some().then(|| Details {
        facts: facts(texts, &status, now_ms),
        peers: status.peers.iter().map(|peer| view(texts, peer, now_ms)).collect(),
        ledger: LedgerView::of(texts, &status.ledger),
    });
    StatusList { texts, notices, details }
}

fn view(texts: Text, peer: &PeerStatus, now_ms: i64) -> PeerView {
    PeerView {
        name: peer.name.clone(),
        role: match peer.role {
            PeerRole::Parent => texts.t("peer-parent"),
            PeerRole::Child => texts.t("peer-child"),
            PeerRole::Other => texts.t("peer-other"),
        },
        link: PeerBadge::of(texts, peer.state),
        error: problem(texts, peer),
        last: last_success(texts, peer, now_ms),
        doing: link::doing(texts, peer, now_ms),
        pending: pending(texts, peer),
        left: link::left(texts, peer, now_ms),
    }
}

/// What went wrong last; of two programs that do not speak with each other, which is to be updated.
fn problem(texts: Text, peer: &PeerStatus) -> Option<String> {
    let Some(VersionSkew { own, peer: theirs, update }) = &peer.skew else {
        return peer.error.as_deref().map(|said| link::problem(texts, said));
    };
    let list = |versions: &[u16]| {
        let texts: Vec<String> = versions.iter().map(u16::to_string).collect();
        texts.join(" / ")
    };
    let versions = texts.t2("skew-versions", ("own", list(own)), ("peer", list(theirs)));
    let key = if update.name() == "this" { "skew-this" } else { "skew-peer" };
    Some(format!("{} {versions}", texts.t1(key, "name", &peer.name)))
}

fn facts(texts: Text, status: &NodeStatus, now_ms: i64) -> Vec<Fact> {
    let fact = |label: String, text: String| Fact { label, text };
    let mut facts = vec![
        fact(texts.t("status-name"), status.name.clone()),
        fact(texts.t("status-tier"), texts.of("tier", status.tier.name())),
        fact(texts.t("status-code"), status.region.plate_text()),
        fact(texts.t("status-documents"), status.documents.to_string()),
        fact(texts.t("status-changes"), status.changes.to_string()),
        fact(texts.t("status-photos"), photos(texts, &status.photos, now_ms)),
    ];
    if let Health::LowSpace { free_bytes } = status.health {
        facts.push(fact(texts.t("status-free"), bytes(free_bytes)));
    }
    facts.push(fact(texts.t("status-time"), full(now_ms)));
    facts.push(fact(texts.t("status-started"), full(status.started_at_ms)));
    facts.push(fact(texts.t("status-version"), status.version.clone()));
    facts
}

/// Photos that are on their way, and since when.
fn photos(texts: Text, photos: &Photos, now_ms: i64) -> String {
    let line = |key: &str, count: u64, size: u64, since_ms: Option<i64>| {
        let mut line = texts.t2(key, ("n", grouped(count)), ("size", bytes(size)));
        if let Some(since_ms) = since_ms {
            line.push_str(&texts.t1("lag-oldest", "ago", ago(texts, since_ms, now_ms)));
        }
        (count > 0).then_some(line)
    };
    let Photos { missing, missing_bytes, missing_since_ms, .. } = *photos;
    let Photos { waiting, waiting_bytes, waiting_since_ms, .. } = *photos;
    let lines = [
        line("photos-missing", missing, missing_bytes, missing_since_ms),
        line("lag-photos", waiting, waiting_bytes, waiting_since_ms),
        photos
            .none_taken
            .as_ref()
            .map(|why| texts.t1("photos-none-taken", "why", reason(texts, why))),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    if lines.is_empty() { texts.t("photos-all-there") } else { lines.join(&texts.t("photos-and")) }
}

/// How much the peer has not acknowledged. What is to be had by a node below that is not connected
/// comes out when it connects.
fn pending(texts: Text, peer: &PeerStatus) -> String {
    match link::pending_size(peer) {
        Some(size) => {
            texts.t2("pending-some", ("n", grouped(peer.pending_changes)), ("size", size))
        }
        None if peer.role != PeerRole::Parent && !peer.state.is_up() => texts.t("pending-unknown"),
        None => texts.t("pending-none"),
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

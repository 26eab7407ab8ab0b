//! The nodes below this one, taking certificates back, and who knows of it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use cunlian_host::admin::certificate::Desk;
use cunlian_host::admin::nodes::{Child, NodesAction};
use cunlian_host::admin::revocation::{Listed, RevocationRequest, Revoked};
use cunlian_host::admin::{AdminError, Administration};
use cunlian_host::journal::Entry;
use cunlian_host::status::{Ledger, PeerStatus};
use cunlian_protocol::address::AddressCode;
use serde::Deserialize;

use super::{Candidate, candidates, note, words};
use crate::frame::administrator::{Admin, act, problem};
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::state::WebState;
use crate::status::{ledger, link};

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin/nodes", get(list))
        .route("/admin/nodes/{serial}/release", post(release))
        .route("/admin/revoke", post(revoke))
}

#[derive(Template)]
#[template(path = "admin/nodes.html")]
struct NodesPage {
    texts: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    rows: Vec<Row>,
    /// What a revocation would do, to be confirmed.
    draft: Option<Draft>,
    /// Several who may be meant.
    candidates: Vec<Candidate>,
    who: String,
    /// What the serial in `who` stands for.
    who_name: Option<String>,
    reason: String,
    with_children: bool,
    revocations: Vec<RevocationRow>,
}

struct Row {
    serial: String,
    name: String,
    place: String,
    state: String,
    class: &'static str,
    until: String,
    notes: Vec<String>,
    /// What its link is doing.
    link: Vec<String>,
    forked: bool,
}

struct Draft {
    who: String,
    about: String,
    serial: String,
    reason: String,
    with_children: bool,
    lines: Vec<String>,
}

struct RevocationRow {
    who: String,
    about: String,
    reason: String,
    by: String,
    stands: String,
    held: String,
    missing: String,
}

/// What a page says beside its lists.
#[derive(Default)]
struct Said {
    notice: Option<String>,
    error: Option<String>,
    draft: Option<Draft>,
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Chosen {
    /// Whom to revoke, from a link beside a name.
    #[serde(default)]
    who: String,
}

async fn list(
    State(state): State<WebState>,
    admin: Admin,
    Query(chosen): Query<Chosen>,
) -> Result<Response, Failure> {
    let typed = Posted([("who".to_owned(), chosen.who)].into());
    show(&state, &admin, &typed, Said::default()).await
}

async fn show(
    state: &WebState,
    admin: &Admin,
    typed: &Posted,
    said: Said,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let who = typed.text("who").to_owned();
    let (status, now_ms) = (state.status(), state.now_ms());
    let links = Links { peers: status.peers, ledger: status.ledger, now_ms };
    let read = act(state, move |administration| {
        let desk = administration.desk()?;
        let rows = administration.children()?;
        let rows: Vec<Row> = rows.iter().map(|child| row(&desk, texts, child, &links)).collect();
        let revocations = administration.revocations()?;
        let revocations = revocations.iter().map(|listed| revocation_row(&desk, texts, listed));
        let meant = desk.find(&who).ok();
        let who_name = meant.filter(|found| found.body().name != who).map(|found| {
            format!("{} · {}", found.body().name, words::holder(desk.store, texts, found))
        });
        Ok((rows, revocations.collect(), who_name))
    });
    let (rows, revocations, who_name) =
        read.await.map_err(|error: AdminError| Failure::Internal(error.message))?;
    let page = Page::staff(state, &admin.0, texts.t("admin-nodes-title"));
    let Said { notice, error, draft, candidates } = said;
    Ok(html(&NodesPage {
        texts,
        page,
        notice,
        error,
        draft,
        candidates,
        who: typed.text("who").to_owned(),
        who_name,
        reason: typed.text("reason").to_owned(),
        with_children: typed.text("with_children") == "yes",
        rows,
        revocations,
    }))
}

/// The links of this node at one moment.
struct Links {
    peers: Vec<PeerStatus>,
    ledger: Ledger,
    now_ms: i64,
}

impl Links {
    /// The link to a child in words: what it is doing, and what has not passed yet.
    fn of(&self, texts: Text, child: &Child) -> Vec<String> {
        let found = self.peers.iter().find(|peer| peer.serial == Some(child.serial));
        let Some(peer) = found else { return vec![texts.t("node-not-seen")] };
        let mut lines = vec![texts.of("peer", peer.state.name())];
        let doing = link::doing(texts, peer, self.now_ms);
        if !doing.is_empty() {
            lines = vec![doing];
        }
        lines.extend(link::left(texts, peer, self.now_ms));
        lines
    }
}

fn row(desk: &Desk<'_>, texts: Text, child: &Child, links: &Links) -> Row {
    let refusal = child.refusal.as_ref().and_then(|_| words::refusal(desk, texts, &child.serial));
    let (class, state) = match (refusal, child.forked) {
        (_, true) => ("bad", texts.t("node-forked")),
        (Some(reason), false) => ("bad", texts.t1("node-refused", "reason", reason)),
        (None, false) if child.waiting => ("info", texts.t("node-waiting")),
        (None, false) => ("good", texts.t("node-valid")),
    };
    let mut notes = alarms(desk, texts, &child.alarms);
    let filled = links.ledger.children.iter().find(|filled| filled.serial == child.serial);
    notes.extend(filled.and_then(|filled| ledger::warning(texts, filled)));
    if !child.lacks.is_empty() {
        notes.push(texts.t1("node-lacks", "n", child.lacks.len()));
    }
    if child.purges > 0 {
        notes.push(texts.t1("node-purges", "n", child.purges));
    }
    if child.purges_that_differ > 0 {
        notes.push(texts.t1("node-purges-differ", "n", child.purges_that_differ));
    }
    let region = AddressCode::parse(&child.region);
    let place = region.map(|region| words::place(desk.store, texts, &region));
    Row {
        serial: child.serial.to_string(),
        name: child.name.clone(),
        place: place.unwrap_or_else(|_| child.region.clone()),
        state,
        class,
        until: full(child.not_after_ms),
        notes,
        link: links.of(texts, child),
        forked: child.forked,
    }
}

/// Each alarm once, however often it was noted.
fn alarms(desk: &Desk<'_>, texts: Text, alarms: &[Entry]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for alarm in alarms {
        let line = match alarm {
            Entry::Equivocation { author, seq, .. } => {
                let serial = author.parse().ok();
                let author =
                    serial.map_or_else(|| author.clone(), |serial| desk.authority.name(&serial));
                texts.t2("alarm-equivocation", ("author", author), ("seq", seq))
            }
            Entry::Forked { name, .. } => texts.t1("alarm-forked", "name", name),
            Entry::Revocation { .. } | Entry::Purged { .. } => continue,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn revocation_row(desk: &Desk<'_>, texts: Text, listed: &Listed) -> RevocationRow {
    let stands = match (&listed.successor, listed.through_seq) {
        (Some(_), _) => texts.t("revocation-replaced"),
        (None, None) => texts.t("revocation-all-stands"),
        (None, Some(0)) => texts.t("revocation-nothing"),
        (None, Some(seq)) => texts.t1("revocation-stands", "seq", seq),
    };
    let certificate = desk.authority.get(&listed.who.serial);
    RevocationRow {
        who: listed.who.name.clone(),
        about: certificate.map(|found| words::holder(desk.store, texts, found)).unwrap_or_default(),
        reason: listed.reason.clone(),
        by: listed.by.as_ref().map_or_else(|| texts.t("revocation-root"), |by| by.name.clone()),
        stands,
        held: words::names(texts, &listed.held_by),
        missing: words::names(texts, &listed.not_held_by),
    }
}

async fn release(
    State(state): State<WebState>,
    admin: Admin,
    Path(serial): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let action = NodesAction::Release { name: serial.clone() };
    let said = match act(&state, move |administration| administration.nodes(&action)).await {
        Ok(_) => {
            note(&state, &admin, "release", &serial).await?;
            Said { notice: Some(texts.t("node-released")), ..Said::default() }
        }
        Err(error) => Said { error: Some(problem(texts, &error)), ..Said::default() },
    };
    show(&state, &admin, &Posted::default(), said).await
}

/// First tells what it would do; done is what has been confirmed.
async fn revoke(
    State(state): State<WebState>,
    admin: Admin,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let confirmed = posted.text("confirmed") == "yes";
    let wish = RevocationRequest {
        who: posted.text("who").to_owned(),
        reason: posted.text("reason").to_owned(),
        through_seq: None,
        with_children: posted.text("with_children") == "yes",
        dry_run: !confirmed,
    };
    if let Some(said) = doubts(&state, texts, &wish).await? {
        return show(&state, &admin, &posted, said).await;
    }
    let asked = wish.clone();
    let outcome = act(&state, move |administration| {
        let revoked = administration.revoke(&asked)?;
        let desk = administration.desk()?;
        let found = desk.authority.get(&revoked.who.serial);
        let about = found.map(|found| words::holder(desk.store, texts, found)).unwrap_or_default();
        Ok((revoked, about))
    });
    let said = match outcome.await {
        Ok((revoked, _)) if confirmed => {
            let name = revoked.who.name;
            note(&state, &admin, "revoke", &format!("{name} {}", revoked.who.serial)).await?;
            let notice = Some(texts.t1("revoke-done", "name", name));
            let said = Said { notice, ..Said::default() };
            return show(&state, &admin, &Posted::default(), said).await;
        }
        Ok((revoked, about)) => {
            Said { draft: Some(draft(texts, &revoked, about, &wish)), ..Said::default() }
        }
        Err(error) => Said { error: Some(problem(texts, &error)), ..Said::default() },
    };
    show(&state, &admin, &posted, said).await
}

/// What keeps a revocation from being drafted at all, said before the attempt.
async fn doubts(
    state: &WebState,
    texts: Text,
    wish: &RevocationRequest,
) -> Result<Option<Said>, Failure> {
    if wish.reason.trim().is_empty() {
        return Ok(Some(Said { error: Some(texts.t("revoke-no-reason")), ..Said::default() }));
    }
    let who = wish.who.clone();
    let meant = act(state, move |administration: &Administration| {
        let desk = administration.desk()?;
        let found = desk.find(&who).ok();
        Ok(found.map(|found| found.serial() == desk.own))
    });
    let error = match meant.await.map_err(|error| Failure::Internal(error.message))? {
        Some(false) => return Ok(None),
        Some(true) => texts.t("revoke-self"),
        None => {
            let candidates = candidates(state, texts, &wish.who).await?;
            let key = if candidates.is_empty() { "who-nobody" } else { "who-which" };
            let error = Some(texts.t1(key, "who", &wish.who));
            return Ok(Some(Said { error, candidates, ..Said::default() }));
        }
    };
    Ok(Some(Said { error: Some(error), ..Said::default() }))
}

fn draft(texts: Text, revoked: &Revoked, about: String, wish: &RevocationRequest) -> Draft {
    let names = |nodes: &[cunlian_host::admin::certificate::Named]| words::names(texts, nodes);
    let mut lines = vec![match revoked.through_seq {
        0 => texts.t("revoke-stands-nothing"),
        seq => texts.t1("revoke-stands", "seq", seq),
    }];
    if !revoked.people.is_empty() {
        lines.push(texts.t1("revoke-people", "names", names(&revoked.people)));
    }
    if !revoked.go_on.is_empty() {
        lines.push(texts.t1("revoke-go-on", "names", names(&revoked.go_on)));
    }
    if !revoked.revoked_with.is_empty() {
        lines.push(texts.t1("revoke-with", "names", names(&revoked.revoked_with)));
    }
    let effect = &revoked.effect;
    if effect.changes > 0 {
        lines.push(texts.t2("revoke-known", ("n", effect.changes), ("stand", effect.stand_after)));
    }
    if effect.tainted > 0 {
        lines.push(texts.t1("revoke-tainted", "n", effect.tainted));
    }
    if effect.removed > 0 {
        lines.push(texts.t2(
            "revoke-removed",
            ("n", effect.removed),
            ("documents", effect.documents),
        ));
    }
    Draft {
        who: revoked.who.name.clone(),
        about,
        serial: revoked.who.serial.to_string(),
        reason: wish.reason.clone(),
        with_children: wish.with_children,
        lines,
    }
}

//! The nodes below this one, taking certificates back, and who knows of it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use super::super::WebState;
use super::super::clock::full;
use super::super::failure::Failure;
use super::super::layout::{Page, html};
use super::super::posted::Posted;
use super::{Admin, act, note, problem};
use crate::admin::nodes::{Child, NodesAction};
use crate::admin::revocation::{Listed, Revoked, Wish};
use crate::admin::{AdminError, Administration};
use crate::service::journal::Entry;
use crate::text::Text;

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin/nodes", get(list))
        .route("/admin/nodes/{serial}/release", post(release))
        .route("/admin/revoke", post(revoke))
}

#[derive(Template)]
#[template(path = "admin_nodes.html")]
struct NodesPage {
    l: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    rows: Vec<Row>,
    /// What a revocation would do, to be confirmed.
    draft: Option<Draft>,
    who: String,
    reason: String,
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
    forked: bool,
}

struct Draft {
    who: String,
    serial: String,
    reason: String,
    with_children: bool,
    lines: Vec<String>,
}

struct RevocationRow {
    who: String,
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
}

async fn list(State(state): State<WebState>, admin: Admin) -> Result<Response, Failure> {
    show(&state, &admin, &Posted::default(), Said::default()).await
}

async fn show(
    state: &WebState,
    admin: &Admin,
    typed: &Posted,
    said: Said,
) -> Result<Response, Failure> {
    let l = admin.0.visit.l;
    let internal = |error: AdminError| Failure::Internal(error.message);
    let children = act(state, Administration::children).await.map_err(internal)?;
    let revocations = act(state, Administration::revocations).await.map_err(internal)?;
    let page = Page::staff(state, &admin.0, l.t("admin-nodes-title"));
    let Said { notice, error, draft } = said;
    Ok(html(&NodesPage {
        l,
        page,
        notice,
        error,
        draft,
        who: typed.text("who").to_owned(),
        reason: typed.text("reason").to_owned(),
        rows: children.iter().map(|child| row(l, child)).collect(),
        revocations: revocations.iter().map(|listed| revocation_row(l, listed)).collect(),
    }))
}

fn row(l: Text, child: &Child) -> Row {
    let (class, state) = match (&child.refusal, child.forked) {
        (_, true) => ("bad", l.t("node-forked")),
        (Some(reason), false) => ("bad", l.t1("node-refused", "reason", reason)),
        (None, false) if child.waiting => ("info", l.t("node-waiting")),
        (None, false) => ("good", l.t("node-valid")),
    };
    let mut notes: Vec<String> =
        child.alarms.iter().filter_map(|alarm| alarm_text(l, alarm)).collect();
    if !child.lacks.is_empty() {
        notes.push(l.t1("node-lacks", "n", child.lacks.len()));
    }
    if child.purges > 0 {
        notes.push(l.t1("node-purges", "n", child.purges));
    }
    if child.purges_that_differ > 0 {
        notes.push(l.t1("node-purges-differ", "n", child.purges_that_differ));
    }
    Row {
        serial: child.serial.to_string(),
        name: child.name.clone(),
        place: child.region.clone(),
        state,
        class,
        until: full(child.not_after_ms),
        notes,
        forked: child.forked,
    }
}

fn alarm_text(l: Text, alarm: &Entry) -> Option<String> {
    match alarm {
        Entry::Equivocation { author, seq, .. } => {
            Some(l.t2("alarm-equivocation", ("author", author), ("seq", seq)))
        }
        Entry::Forked { name, .. } => Some(l.t1("alarm-forked", "name", name)),
        Entry::Revocation { .. } | Entry::Purged { .. } => None,
    }
}

fn revocation_row(l: Text, listed: &Listed) -> RevocationRow {
    let names = |nodes: &[crate::admin::certificate::Named]| {
        nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join("、")
    };
    let stands = match (&listed.successor, listed.through_seq) {
        (Some(_), _) => l.t("revocation-replaced"),
        (None, None) => l.t("revocation-all-stands"),
        (None, Some(seq)) => l.t1("revocation-stands", "seq", seq),
    };
    RevocationRow {
        who: listed.who.name.clone(),
        reason: listed.reason.clone(),
        by: listed.by.as_ref().map_or_else(|| l.t("revocation-root"), |by| by.name.clone()),
        stands,
        held: names(&listed.held_by),
        missing: names(&listed.not_held_by),
    }
}

async fn release(
    State(state): State<WebState>,
    admin: Admin,
    Path(serial): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    let l = admin.0.visit.l;
    let action = NodesAction::Release { name: serial.clone() };
    let said = match act(&state, move |administration| administration.nodes(&action)).await {
        Ok(_) => {
            note(&state, &admin, "release", &serial).await?;
            Said { notice: Some(l.t("node-released")), ..Said::default() }
        }
        Err(error) => Said { error: Some(problem(l, &error)), ..Said::default() },
    };
    show(&state, &admin, &Posted::default(), said).await
}

/// First tells what it would do; done is what has been confirmed.
async fn revoke(
    State(state): State<WebState>,
    admin: Admin,
    posted: Posted,
) -> Result<Response, Failure> {
    let l = admin.0.visit.l;
    let confirmed = posted.text("confirmed") == "yes";
    let wish = Wish {
        who: posted.text("who").to_owned(),
        reason: posted.text("reason").to_owned(),
        through_seq: None,
        with_children: posted.text("with_children") == "yes",
        dry_run: !confirmed,
    };
    let asked = wish.clone();
    match act(&state, move |administration| administration.revoke(&asked)).await {
        Ok(revoked) if confirmed => {
            let name = revoked.who.name;
            note(&state, &admin, "revoke", &format!("{name} {}", revoked.who.serial)).await?;
            let notice = Some(l.t1("revoke-done", "name", name));
            show(&state, &admin, &Posted::default(), Said { notice, ..Said::default() }).await
        }
        Ok(revoked) => {
            let draft = Some(draft(l, &revoked, &wish));
            show(&state, &admin, &posted, Said { draft, ..Said::default() }).await
        }
        Err(error) => {
            let error = Some(problem(l, &error));
            show(&state, &admin, &posted, Said { error, ..Said::default() }).await
        }
    }
}

fn draft(l: Text, revoked: &Revoked, wish: &Wish) -> Draft {
    let names = |nodes: &[crate::admin::certificate::Named]| {
        nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join("、")
    };
    let mut lines = vec![l.t1("revoke-stands", "seq", revoked.through_seq)];
    if !revoked.people.is_empty() {
        lines.push(l.t1("revoke-people", "names", names(&revoked.people)));
    }
    if !revoked.go_on.is_empty() {
        lines.push(l.t1("revoke-go-on", "names", names(&revoked.go_on)));
    }
    if !revoked.revoked_with.is_empty() {
        lines.push(l.t1("revoke-with", "names", names(&revoked.revoked_with)));
    }
    Draft {
        who: revoked.who.name.clone(),
        serial: revoked.who.serial.to_string(),
        reason: wish.reason.clone(),
        with_children: wish.with_children,
        lines,
    }
}

//! What revoked authors left in documents that others went on with: to be kept, or taken back.

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
use super::super::visit::Staff;
use super::problem;
use crate::admin::review::{Done, Entry};
use crate::admin::{AdminError, Administration};
use crate::text::Text;

/// Most changes on the page.
const SHOWN: usize = 200;

pub(super) fn routes() -> Router<WebState> {
    Router::new().route("/admin/review", get(list)).route("/admin/review/{change}", post(decide))
}

#[derive(Template)]
#[template(path = "admin_review.html")]
struct ReviewPage {
    l: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    change: String,
    category: String,
    place: String,
    by: String,
    at: String,
    deeds: Vec<String>,
}

async fn list(State(state): State<WebState>, staff: Staff) -> Result<Response, Failure> {
    show(&state, &staff, None, None).await
}

async fn show(
    state: &WebState,
    staff: &Staff,
    notice: Option<String>,
    error: Option<String>,
) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let author = staff.person.author.serial;
    let entries =
        super::act(state, move |administration| administration.to_review_by(&author, SHOWN));
    let entries = entries.await.map_err(|error: AdminError| Failure::Internal(error.message))?;
    let page = Page::staff(state, staff, l.t("admin-review-title"));
    let rows = entries.into_iter().map(|entry| row(l, entry)).collect();
    Ok(html(&ReviewPage { l, page, notice, error, rows }))
}

fn row(l: Text, entry: Entry) -> Row {
    let deed = |deed: &Done| match deed {
        Done::Put { field, text } => l.t2("deed-put", ("field", field), ("text", text)),
        Done::Delete { field } => l.t1("deed-delete", "field", field),
        Done::Append { body } => l.t1("deed-step", "step", step_name(l, body)),
    };
    Row {
        deeds: entry.deeds.iter().map(deed).collect(),
        change: entry.change,
        category: entry.category,
        place: entry.address,
        by: entry.by.name,
        at: full(entry.at_ms),
    }
}

/// The step of a case in words; the text itself when it is none that is known here.
fn step_name(l: Text, body: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let step = parsed.as_ref().and_then(|value| value.get("op")).and_then(|op| op.as_str());
    match step {
        Some(step) if l.has(&format!("step-{step}")) => l.of("step", step),
        _ => body.chars().take(120).collect(),
    }
}

async fn decide(
    State(state): State<WebState>,
    staff: Staff,
    Path(change): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let keep = posted.text("keep") == "yes";
    let author = staff.person.author.clone();
    let decided = super::act(&state, move |administration: &Administration| {
        administration.decide(&author, &change, keep)
    });
    match decided.await {
        Ok(_) => {
            let key = if keep { "review-kept" } else { "review-reverted" };
            show(&state, &staff, Some(l.t(key)), None).await
        }
        Err(error) => show(&state, &staff, None, Some(problem(l, &error))).await,
    }
}

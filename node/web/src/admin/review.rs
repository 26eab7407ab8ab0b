//! What revoked authors left in documents that others went on with: to be kept, or taken back.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::capabilities::Capabilities;
use cunlian_governance::capability::Subject;
use cunlian_host::admin::certificate::Desk;
use cunlian_host::admin::naming::parse_category;
use cunlian_host::admin::review::{Done, Entry};
use cunlian_host::admin::{AdminError, Administration};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;

use super::words;
use crate::conflict::boxes::label_of;
use crate::frame::administrator::problem;
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::library::record::record_href;
use crate::state::WebState;
use crate::ticket::path::ticket_href;

/// Most changes on the page.
const SHOWN: usize = 200;
/// Most characters of what somebody said in a step; the page of the case has the rest.
const DEED_CHARACTERS: usize = 120;

pub(super) fn routes() -> Router<WebState> {
    Router::new().route("/admin/review", get(list)).route("/admin/review/{change}", post(decide))
}

#[derive(Template)]
#[template(path = "admin/review.html")]
struct ReviewPage {
    texts: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    rows: Vec<Row>,
    /// How many others there are that the reader may not see.
    unseen: usize,
}

struct Row {
    change: String,
    /// What the document is called: name of a person or thing, or title of a case.
    title: String,
    /// Where to read all of it, if the reader may.
    href: Option<String>,
    about: String,
    by: String,
    deeds: Vec<String>,
    may_decide: bool,
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
    let texts = staff.visit.texts;
    let (author, reader) = (staff.person.author.serial, staff.reader(state));
    let read = super::act(state, move |administration| {
        let desk = administration.desk()?;
        let entries = administration.to_review_by(&reader, SHOWN)?;
        let others = |home: &Home| !reader.may_read_of_all(home);
        let unseen = administration.store.to_review_where(others, SHOWN)?.len();
        let rows = entries.into_iter().map(|entry| row(&desk, texts, &author, entry));
        Ok((rows.collect::<Result<Vec<Row>, AdminError>>()?, unseen))
    });
    let (rows, unseen) =
        read.await.map_err(|error: AdminError| Failure::Internal(error.message))?;
    let page = Page::staff(state, staff, texts.t("admin-review-title"));
    Ok(html(&ReviewPage { texts, page, notice, error, rows, unseen }))
}

fn row(desk: &Desk<'_>, texts: Text, reader: &Serial, entry: Entry) -> Result<Row, AdminError> {
    let home = home_of(desk, &entry)?;
    let actor = Actor::new(Arc::clone(&desk.authority), *reader);
    let (href, title) = match subject(desk.store, texts, &home)? {
        Some((base, href, title)) if actor.reads(&base) => (Some(href), title),
        Some(_) | None => (None, words::category(texts, &desk.catalogue, &entry.category)),
    };
    let label = |field: &str| label_of(&desk.catalogue, &home, field, texts);
    let deed = |deed: &Done| match deed {
        Done::Put { field, text } => texts.t2("deed-put", ("field", label(field)), ("text", text)),
        Done::Delete { field } => texts.t1("deed-delete", "field", label(field)),
        Done::Append { body } => texts.t1("deed-step", "step", step_name(texts, body)),
    };
    let category = words::category(texts, &desk.catalogue, &entry.category);
    let place = words::place(desk.store, texts, &home.address);
    Ok(Row {
        deeds: entry.deeds.iter().map(deed).collect(),
        change: entry.change,
        title,
        href,
        about: format!("{category} · {place}"),
        by: texts.t2("review-by", ("name", &entry.by.name), ("time", full(entry.at_ms))),
        may_decide: actor.writes(&home),
    })
}

fn home_of(desk: &Desk<'_>, entry: &Entry) -> Result<Home, AdminError> {
    let category = parse_category(&entry.category, &desk.catalogue).map_err(AdminError::new)?;
    let address = AddressCode::parse(&entry.address).map_err(AdminError::new)?;
    let document = entry.document.parse().map_err(AdminError::new)?;
    Ok(Home { category, address, document })
}

/// The record or case that a document belongs to: its base, its page and its name. `None` for
/// documents without a page of their own.
fn subject(
    store: &Store,
    texts: Text,
    home: &Home,
) -> Result<Option<(Home, String, String)>, AdminError> {
    let Some(Subject { home: base, title }) = Capabilities::of_program().subject(store, home)?
    else {
        return Ok(None);
    };
    if base.category == Category::TICKET {
        let title = if title.is_empty() { texts.t("ticket-untitled") } else { title };
        return Ok(Some((base, ticket_href(&base), title)));
    }
    let is_record = base.category.class_and_part().is_some();
    Ok(is_record.then(|| (base, record_href(&base), title)))
}

/// The step of a case in words, with what was said; the text itself when it is no step known here.
fn step_name(texts: Text, body: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let said = |key: &str| parsed.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let shown = |text: &str| text.chars().take(DEED_CHARACTERS).collect::<String>();
    match said("op") {
        Some(step) if texts.has(&format!("step-{step}")) => {
            let step = texts.of("step", &step);
            match said("text").filter(|text| !text.is_empty()) {
                Some(text) => texts.t2("deed-step-said", ("step", step), ("text", shown(&text))),
                None => step,
            }
        }
        _ => shown(body),
    }
}

async fn decide(
    State(state): State<WebState>,
    staff: Staff,
    Path(change): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let keep = posted.text("keep") == "yes";
    let author = staff.person.author.clone();
    let decided = super::act(&state, move |administration: &Administration| {
        administration.decide(&author, &change, keep)
    });
    match decided.await {
        Ok(_) => {
            let key = if keep { "review-kept" } else { "review-reverted" };
            show(&state, &staff, Some(texts.t(key)), None).await
        }
        Err(error) => show(&state, &staff, None, Some(problem(texts, &error))).await,
    }
}

//! What became of a report, for whoever has its receipt: found by number, shown, rated.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::access::reader::Reader;
use cunlian_governance::refusal::Failed;
use cunlian_governance::ticket::{
    self as domain, Action, Body, Receipt, Rules, State as TicketState, Ticket, TraceStep, Verb,
    query as tickets,
};
use cunlian_protocol::id::DocumentId;
use serde::Deserialize;

use super::report::SOURCE;
use super::throttles::Throttles;
use crate::frame::clock::{full, machine};
use crate::frame::component::{Photos, SyncBadge, Trace, TraceRow};
use crate::frame::failure::Failure;
use crate::frame::form::saved_words;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::photo::stored::{self, Audience};
use crate::frame::place::name_of;
use crate::frame::posted::Posted;
use crate::frame::reading::{ask, height};
use crate::frame::text::Text;
use crate::frame::visit::Visit;
use crate::frame::writing::acting;
use crate::state::WebState;
use crate::ticket::page::{action_words, rating_words};

#[derive(Template)]
#[template(path = "villager/progress_form.html")]
struct FindPage {
    texts: Text,
    page: Page,
    receipt: String,
    error: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    receipt: String,
}

pub(super) async fn find(
    State(state): State<WebState>,
    visit: Visit,
    Query(typed): Query<Typed>,
) -> Response {
    let texts = visit.texts;
    let text = typed.receipt.trim();
    if text.is_empty() {
        return html(&find_page(&state, &visit, String::new(), None));
    }
    if let Ok(receipt) = Receipt::parse(text) {
        return Redirect::to(&format!("/t/{receipt}")).into_response();
    }
    let shown = text.chars().take(40).collect();
    let page = find_page(&state, &visit, shown, Some(texts.t("receipt-mistyped")));
    form_again(&page, StatusCode::UNPROCESSABLE_ENTITY)
}

fn find_page(state: &WebState, visit: &Visit, receipt: String, error: Option<String>) -> FindPage {
    let texts = visit.texts;
    let place = state.status().name;
    let page = Page::villager(state, visit, texts.t("progress-title"), place, "/t".to_owned());
    FindPage { texts, page, receipt, error }
}

struct Step {
    label: String,
    done: bool,
    current: bool,
}

struct Star {
    value: u8,
    label: String,
}

#[derive(Template)]
#[template(path = "villager/progress.html")]
struct ProgressPage {
    texts: Text,
    page: Page,
    fresh: Option<String>,
    receipt: String,
    sync: SyncBadge,
    title: String,
    text: String,
    photos: Photos,
    steps: Vec<Step>,
    promise: Option<String>,
    asked: Option<String>,
    result: Option<String>,
    result_title: String,
    result_photos: Photos,
    rating: Option<String>,
    may_rate: bool,
    error: Option<String>,
    stars: Vec<Star>,
    words: String,
    trace: Trace,
}

#[derive(Deserialize)]
pub(super) struct Fresh {
    #[serde(default)]
    new: String,
}

/// A ticket as who has its receipt may see it.
struct ReceiptLookup {
    ticket: Ticket,
    sync: SyncBadge,
    village: String,
    photos: Photos,
    result_photos: Photos,
}

/// The ticket behind a receipt. Guessing receipts is slowed down per client.
async fn by_receipt(
    state: &WebState,
    throttles: &Throttles,
    visit: &Visit,
    receipt: &str,
) -> Result<ReceiptLookup, Failure> {
    let receipt = Receipt::parse(receipt).map_err(|_| Failure::NotFound)?;
    let taken = throttles.lookup(visit.client, state.now_ms());
    taken.map_err(|wait_ms| Failure::TooMany { wait_ms })?;
    let texts = visit.texts;
    ask(state, move |store| {
        let row = store.read(|connection| tickets::by_receipt(connection, &receipt))?;
        let home = row.ok_or(Failure::NotFound)?.home;
        let view = store.view(&home)?.ok_or(Failure::NotFound)?;
        let ticket = domain::fold(&view, &store.authority());
        let village = store.read(|connection| Ok(name_of(connection, &home.address, 1)))?;
        let height = height(store, &home)?;
        let sync = SyncBadge::for_villager(texts, height);
        let href = |id: &DocumentId| format!("/t/{receipt}/photo/{id}");
        let photos = |ids: &[DocumentId]| {
            stored::photos(store, texts, Audience::Villager(height), &home, ids, href)
        };
        let (photos, result_photos) = (photos(&ticket.photos)?, photos(&ticket.result_photos)?);
        Ok::<_, Failure>(ReceiptLookup { ticket, sync, village, photos, result_photos })
    })
    .await
}

pub(super) async fn progress(
    State(state): State<WebState>,
    Extension(throttles): Extension<Arc<Throttles>>,
    visit: Visit,
    Path(receipt): Path<String>,
    Query(fresh): Query<Fresh>,
) -> Result<Response, Failure> {
    let found = match by_receipt(&state, &throttles, &visit, &receipt).await {
        Err(Failure::NotFound) => {
            let is_receipt = Receipt::parse(&receipt).is_ok();
            let why = if is_receipt { "receipt-unknown" } else { "receipt-mistyped" };
            let shown = receipt.chars().take(40).collect();
            let page = find_page(&state, &visit, shown, Some(visit.texts.t(why)));
            return Ok(form_again(&page, StatusCode::NOT_FOUND));
        }
        found => found?,
    };
    let fresh = saved_words(visit.texts, &fresh.new, "receipt-thanks");
    Ok(html(&progress_page(&state, &visit, found, fresh, None, String::new())))
}

fn progress_page(
    state: &WebState,
    visit: &Visit,
    found: ReceiptLookup,
    fresh: Option<String>,
    error: Option<String>,
    words: String,
) -> ProgressPage {
    let texts = visit.texts;
    let ReceiptLookup { ticket, sync, village, photos, result_photos } = found;
    let receipt = ticket.receipt.as_ref().map(ToString::to_string).unwrap_or_default();
    let home = format!("/p/{}", ticket.home.address);
    let star = |value: u8| Star { value, label: texts.of("stars", &value.to_string()) };
    let rejected = ticket.state == TicketState::Rejected;
    let taken = ticket.trace.iter().filter(|step| step.outcome == domain::Outcome::Taken);
    ProgressPage {
        texts,
        page: Page::villager(state, visit, texts.t("progress-title"), village, home),
        fresh,
        sync,
        title: if ticket.title.is_empty() {
            texts.t("ticket-untitled")
        } else {
            ticket.title.clone()
        },
        text: ticket.text.clone(),
        photos,
        steps: steps(texts, ticket.state),
        promise: promise(texts, &ticket),
        asked: ticket.asked.clone(),
        result: ticket.result.clone(),
        result_title: if rejected {
            texts.t("villager-rejected")
        } else {
            texts.t("ticket-result")
        },
        result_photos,
        rating: rating_words(texts, &ticket),
        may_rate: ticket.allows(Verb::Rate),
        error,
        stars: [5, 4, 3, 2, 1].map(star).into_iter().collect(),
        words,
        trace: Trace { texts, steps: taken.filter_map(|step| public_step(texts, step)).collect() },
        receipt,
    }
}

/// By when something happens, while the clock runs.
fn promise(texts: Text, ticket: &Ticket) -> Option<String> {
    if !ticket.state.is_open() {
        return None;
    }
    let clock = ticket.clock(Rules::built_in());
    Some(match clock {
        Some(clock) => texts.t1("villager-due", "time", full(clock.due_ms - 1)),
        None => texts.t("villager-waiting"),
    })
}

/// The five steps of the process, as far as the ticket has come.
fn steps(texts: Text, state: TicketState) -> Vec<Step> {
    let reached = match state {
        TicketState::Unreported | TicketState::Erased => 0,
        TicketState::Reported => 1,
        TicketState::Accepted => 2,
        TicketState::Assigned => 3,
        TicketState::Handling => 4,
        TicketState::Answered | TicketState::Closed | TicketState::Rejected => 5,
    };
    let verbs = [Verb::Report, Verb::Accept, Verb::Assign, Verb::Handle, Verb::Feedback];
    (1..)
        .zip(verbs)
        .map(|(number, verb)| Step {
            label: texts.of("step", verb.as_str()),
            done: number <= reached,
            current: number == reached,
        })
        .collect()
}

/// A step as the villager sees it: without names of staff, remarks and returns.
fn public_step(texts: Text, step: &TraceStep) -> Option<TraceRow> {
    let Body::Known(action) = &step.body else { return None };
    let said = match action {
        Action::Note { .. } | Action::Return { .. } | Action::SignOff { .. } => return None,
        Action::Report { .. } => String::new(),
        Action::Accept { .. }
        | Action::Reject { .. }
        | Action::AskMore { .. }
        | Action::Assign { .. }
        | Action::Handle { .. }
        | Action::Feedback { .. }
        | Action::Rate { .. } => action_words(texts, action),
    };
    Some(TraceRow {
        what: texts.of("step", action.verb().as_str()),
        who: String::new(),
        time: full(step.at_ms),
        machine_time: machine(step.at_ms),
        said,
        ignored: None,
        signature: String::new(),
    })
}

pub(super) async fn rate(
    State(state): State<WebState>,
    Extension(throttles): Extension<Arc<Throttles>>,
    visit: Visit,
    Path(receipt): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let found = by_receipt(&state, &throttles, &visit, &receipt).await?;
    let (home, fields) = (found.ticket.home, posted.0.clone());
    // Who has the receipt has reported it.
    let node = (state.0.config.node.clone(), Reader::everything(), SOURCE);
    let rated = acting(&state, node, move |acting| {
        domain::act(
            acting,
            &home,
            &domain::Step::named(Verb::Rate, &fields).map_err(Failed::Refused)?,
        )
    });
    match rated.await {
        Ok(_) => Ok(Redirect::to(&format!("/t/{receipt}")).into_response()),
        Err(failure) => {
            let status = failure.status();
            let (error, words) = (failure.words(&visit), posted.text("text").to_owned());
            let page = progress_page(&state, &visit, found, None, Some(error), words);
            Ok(form_again(&page, status))
        }
    }
}

/// A photo of the ticket, for whoever has its receipt.
pub(super) async fn ticket_photo(
    State(state): State<WebState>,
    Extension(throttles): Extension<Arc<Throttles>>,
    visit: Visit,
    Path((receipt, document)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let ReceiptLookup { ticket, .. } = by_receipt(&state, &throttles, &visit, &receipt).await?;
    let document: DocumentId = document.parse().map_err(|_| Failure::NotFound)?;
    if !ticket.photos.contains(&document) && !ticket.result_photos.contains(&document) {
        return Err(Failure::NotFound);
    }
    let home = domain::photo_home(&ticket.home, document);
    ask(&state, move |store| stored::load(store, &home)).await
}

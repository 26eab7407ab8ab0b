//! The pages behind the door plate, for whoever scanned it: no login, large type, few words.
//!
//! What is sent in is signed by the node's own key. Limits count by client, by plate and by
//! village, so that one angry phone cannot fill the town's queue.

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::Store;
use cunlian_governance::checks;
use cunlian_governance::directory::Contact;
use cunlian_governance::divisions::{self, Resolution};
use cunlian_governance::query;
use cunlian_governance::ticket::{
    self as domain, Action, Body, Channel, NewTicket, Receipt, Rules, State as TicketState, Ticket,
    TraceStep, Verb,
};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::Deserialize;

use super::WebState;
use super::clock::{full, machine, span};
use super::component::{FieldInput, Photos, SyncBadge, Trace, TraceRow};
use super::failure::Failure;
use super::form::{Submission, saved_words};
use super::layout::{Page, form_again, html};
use super::photo::stored::{self, Audience};
use super::photo::{self, UPLOAD_BYTES_MAX};
use super::plate::code_of;
use super::posted::{Posted, PostedPhoto};
use super::reading::{ask, contacts, domain_language, height, name_of};
use super::ticket::{action_of, action_words, rating_words};
use super::village::field_of;
use super::visit::Visit;
use super::writing::{new_document, save, save_with_blobs};
use crate::text::Text;

/// Where reports of villagers come from.
const SOURCE: &str = "plate";

pub(crate) fn routes() -> Router<WebState> {
    let upload = DefaultBodyLimit::max(UPLOAD_BYTES_MAX + super::FORM_BYTES_MAX);
    Router::new()
        .route("/p/{code}", get(village))
        .route("/p/{code}/report", get(form).post(report).layer(upload))
        .route("/t", get(find))
        .route("/t/{receipt}", get(progress))
        .route("/t/{receipt}/rate", post(rate))
        .route("/t/{receipt}/photo/{document}", get(ticket_photo))
}

/// What a plate's code stands for today.
struct Scanned {
    /// The code to go on with: a successor when the village was merged.
    code: AddressCode,
    village: AddressCode,
    name: String,
    path: String,
    /// The name of the village that was merged.
    merged: Option<String>,
}

async fn scanned(state: &WebState, text: &str) -> Result<Scanned, Failure> {
    let code = code_of(text).filter(|code| code.level() >= Level::Village);
    let code = code.ok_or(Failure::NotFound)?;
    let found =
        ask(state, move |store| store.read(|connection| Ok(resolve(connection, code)))).await?;
    found.ok_or(Failure::NotFound)
}

fn resolve(connection: &rusqlite::Connection, code: AddressCode) -> Option<Scanned> {
    // A damaged register must not take the page down: the code itself still says where it is.
    let (code, merged) = match divisions::resolve(connection, &code).ok()? {
        Resolution::Succeeded { from, to } => (to.first()?.code, Some(from.name)),
        Resolution::Ended(_) => return None,
        Resolution::Active(_) | Resolution::Unknown => (code, None),
    };
    let village = code.truncate(Level::Village)?;
    let name = name_of(connection, &village, 1);
    let path = name_of(connection, &code, 5);
    Some(Scanned { code, village, name, path, merged })
}

#[derive(Template)]
#[template(path = "village.html")]
struct VillagePage {
    l: Text,
    page: Page,
    code: String,
    path: String,
    plate: String,
    note: Option<String>,
    contacts: Vec<Contact>,
}

async fn village(
    State(state): State<WebState>,
    visit: Visit,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let l = visit.l;
    let scanned = scanned(&state, &code).await?;
    let village = scanned.village;
    let contacts = ask(&state, move |store| contacts(store, &village)).await?;
    Ok(html(&VillagePage {
        l,
        page: frame(&state, &visit, &scanned, scanned.name.clone()),
        code: scanned.code.to_string(),
        path: scanned.path,
        plate: scanned.code.plate_text(),
        note: scanned.merged.map(|name| l.t1("villager-merged", "name", name)),
        contacts,
    }))
}

fn frame(state: &WebState, visit: &Visit, scanned: &Scanned, title: String) -> Page {
    let home = format!("/p/{}", scanned.code);
    Page::villager(state, visit, title, scanned.name.clone(), home)
}

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    l: Text,
    page: Page,
    place: String,
    code: String,
    document: String,
    error: Option<String>,
    photo_error: Option<String>,
    fields: Vec<FieldInput>,
}

/// What is wrong with a report that was sent.
#[derive(Default)]
struct Wrong {
    error: Option<String>,
    photo: Option<String>,
    field: Option<(&'static str, String)>,
}

async fn form(
    State(state): State<WebState>,
    visit: Visit,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let scanned = scanned(&state, &code).await?;
    let posted = Posted::default();
    Ok(html(&report_page(&state, &visit, &scanned, &posted, new_document(), &Wrong::default())))
}

fn report_page(
    state: &WebState,
    visit: &Visit,
    scanned: &Scanned,
    posted: &Posted,
    document: DocumentId,
    wrong: &Wrong,
) -> ReportPage {
    let l = visit.l;
    let fill = |field: FieldInput, hint: String, required: bool| FieldInput {
        value: posted.text(&field.name).to_owned(),
        error: wrong
            .field
            .as_ref()
            .filter(|(name, _)| *name == field.name)
            .map(|(_, message)| message.clone()),
        hint,
        required,
        ..field
    };
    let name = FieldInput { max: 50, ..FieldInput::new(l, "name", l.t("report-name")) };
    let phone =
        FieldInput { kind: "tel", max: 30, ..FieldInput::new(l, "phone", l.t("report-phone")) };
    ReportPage {
        l,
        page: frame(state, visit, scanned, l.t("report-title")),
        place: scanned.path.clone(),
        code: scanned.code.to_string(),
        document: document.to_string(),
        error: wrong.error.clone(),
        photo_error: wrong.photo.clone(),
        fields: vec![
            fill(FieldInput::area(l, "text", l.t("report-text")), l.t("report-text-hint"), true),
            fill(name, l.t("report-optional"), false),
            fill(phone, l.t("report-phone-hint"), false),
        ],
    }
}

async fn report(
    State(state): State<WebState>,
    visit: Visit,
    Path(code): Path<String>,
    posted: PostedPhoto,
) -> Result<Response, Failure> {
    let scanned = scanned(&state, &code).await?;
    let PostedPhoto { form, photo } = posted;
    let page = scanned.code.to_string();
    let submission = Submission::of(&page, &form, photo.as_deref())?;
    let document = submission.document;
    let home = Home { category: Category::TICKET, address: scanned.village, document };
    let _turn = state.0.forms.turn().await;
    let known = ask(&state, move |store| receipt_of(store, &home)).await?;
    let taken = match known {
        Some(receipt) => Ok(receipt),
        None => take(&state, &visit, &scanned, &form, photo, (home, submission.photo())).await,
    };
    match taken {
        Ok(receipt) => {
            let new = submission.kept(&state);
            Ok(Redirect::to(&format!("/t/{receipt}?new={new}")).into_response())
        }
        Err((status, wrong)) => {
            let page = report_page(&state, &visit, &scanned, &form, submission.form, &wrong);
            Ok(form_again(&page, status))
        }
    }
}

fn receipt_of(store: &Store, home: &Home) -> Result<Option<Receipt>, Failure> {
    let view: Option<DocumentView> = store.view(home)?;
    Ok(view.and_then(|view| domain::fold(&view, &store.authority()).receipt))
}

/// Checks limits, words and photo, and saves all of it in one go.
async fn take(
    state: &WebState,
    visit: &Visit,
    scanned: &Scanned,
    form: &Posted,
    photo: Option<Vec<u8>>,
    (home, photo_id): (Home, DocumentId),
) -> Result<Receipt, (StatusCode, Wrong)> {
    let l = visit.l;
    let failed = |failure: Failure| {
        let error = Some(failure.words(visit));
        (failure.status(), Wrong { error, ..Wrong::default() })
    };
    let mut new = NewTicket {
        village: scanned.code,
        channel: Channel::Plate,
        title: String::new(),
        text: form.text("text").to_owned(),
        kind: None,
        photos: Vec::new(),
        name: form.text("name").chars().take(50).collect(),
        phone: form.text("phone").to_owned(),
        source: SOURCE.to_owned(),
    };
    let now_ms = state.now_ms();
    let refused = |error: domain::TicketError| {
        let field = Some((field_of(&error), error.message(domain_language(l))));
        (StatusCode::UNPROCESSABLE_ENTITY, Wrong { field, ..Wrong::default() })
    };
    // Words first: a mistyped phone number should not use up the limit.
    domain::report(&new, home.document, now_ms).map_err(refused)?;
    limits(state, visit, scanned, now_ms).map_err(|wait_ms| {
        let error = Some(l.t1("report-too-many", "wait", span(l, wait_ms + 59_999)));
        (StatusCode::TOO_MANY_REQUESTS, Wrong { error, ..Wrong::default() })
    })?;
    let (mut writes, mut contents) = (Vec::new(), Vec::new());
    if let Some(upload) = photo {
        let prepared = tokio::task::spawn_blocking(move || photo::prepare(&upload)).await;
        let prepared = prepared.map_err(|error| failed(Failure::Internal(error.to_string())))?;
        let jpeg = prepared.map_err(|error| {
            let photo = Some(l.of("photo-error", error.name()));
            (StatusCode::UNPROCESSABLE_ENTITY, Wrong { photo, ..Wrong::default() })
        })?;
        new.photos.push(photo_id);
        let picture = BlobReference::of(&jpeg, "image/jpeg")
            .map_err(|error| failed(Failure::Internal(error.to_string())))?;
        writes.push(domain::photo_write(&home, photo_id, &picture, SOURCE));
        contents.push(jpeg);
    }
    let (receipt, report) = domain::report(&new, home.document, now_ms).map_err(refused)?;
    writes.extend(report);
    let author = state.0.config.node.clone();
    save_with_blobs(state, author, writes, contents, now_ms).await.map_err(failed)?;
    Ok(receipt)
}

/// Takes from every limit of reports, the widest last.
fn limits(state: &WebState, visit: &Visit, scanned: &Scanned, now_ms: i64) -> Result<(), i64> {
    state.0.report_per_client.take(visit.client, now_ms)?;
    state.0.report_per_plate.take(scanned.code, now_ms)?;
    state.0.report_per_village.take(scanned.village, now_ms)
}

#[derive(Template)]
#[template(path = "progress_form.html")]
struct FindPage {
    l: Text,
    page: Page,
    receipt: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    receipt: String,
}

async fn find(State(state): State<WebState>, visit: Visit, Query(typed): Query<Typed>) -> Response {
    let l = visit.l;
    let text = typed.receipt.trim();
    if text.is_empty() {
        return html(&find_page(&state, &visit, String::new(), None));
    }
    if let Ok(receipt) = Receipt::parse(text) {
        return Redirect::to(&format!("/t/{receipt}")).into_response();
    }
    let shown = text.chars().take(40).collect();
    let page = find_page(&state, &visit, shown, Some(l.t("receipt-mistyped")));
    form_again(&page, StatusCode::UNPROCESSABLE_ENTITY)
}

fn find_page(state: &WebState, visit: &Visit, receipt: String, error: Option<String>) -> FindPage {
    let l = visit.l;
    let place = state.status().name;
    let page = Page::villager(state, visit, l.t("progress-title"), place, "/t".to_owned());
    FindPage { l, page, receipt, error }
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
#[template(path = "progress.html")]
struct ProgressPage {
    l: Text,
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
struct Fresh {
    #[serde(default)]
    new: String,
}

/// A ticket as who has its receipt may see it.
struct Found {
    ticket: Ticket,
    sync: SyncBadge,
    village: String,
    photos: Photos,
    result_photos: Photos,
}

/// The ticket behind a receipt. Guessing receipts is slowed down per client.
async fn by_receipt(state: &WebState, visit: &Visit, receipt: &str) -> Result<Found, Failure> {
    let receipt = Receipt::parse(receipt).map_err(|_| Failure::NotFound)?;
    let limit = &state.0.lookup_per_client;
    limit.take(visit.client, state.now_ms()).map_err(|wait_ms| Failure::TooMany { wait_ms })?;
    let l = visit.l;
    ask(state, move |store| {
        let row = store.read(|connection| query::ticket::by_receipt(connection, &receipt))?;
        let home = row.ok_or(Failure::NotFound)?.home;
        let view = store.view(&home)?.ok_or(Failure::NotFound)?;
        let ticket = domain::fold(&view, &store.authority());
        let village = store.read(|connection| Ok(name_of(connection, &home.address, 1)))?;
        let height = height(store, &home)?;
        let sync = SyncBadge::for_villager(l, height);
        let href = |id: &DocumentId| format!("/t/{receipt}/photo/{id}");
        let photos = |ids: &[DocumentId]| {
            stored::photos(store, l, Audience::Villager(height), &home, ids, href)
        };
        let (photos, result_photos) = (photos(&ticket.photos)?, photos(&ticket.result_photos)?);
        Ok::<_, Failure>(Found { ticket, sync, village, photos, result_photos })
    })
    .await
}

async fn progress(
    State(state): State<WebState>,
    visit: Visit,
    Path(receipt): Path<String>,
    Query(fresh): Query<Fresh>,
) -> Result<Response, Failure> {
    let found = by_receipt(&state, &visit, &receipt).await?;
    let fresh = saved_words(visit.l, &fresh.new, "receipt-thanks");
    Ok(html(&progress_page(&state, &visit, found, fresh, None, String::new())))
}

fn progress_page(
    state: &WebState,
    visit: &Visit,
    found: Found,
    fresh: Option<String>,
    error: Option<String>,
    words: String,
) -> ProgressPage {
    let l = visit.l;
    let Found { ticket, sync, village, photos, result_photos } = found;
    let receipt = ticket.receipt.as_ref().map(ToString::to_string).unwrap_or_default();
    let home = format!("/p/{}", ticket.home.address);
    let star = |value: u8| Star { value, label: l.of("stars", &value.to_string()) };
    let rejected = ticket.state == TicketState::Rejected;
    let taken = ticket.trace.iter().filter(|step| step.outcome == domain::Outcome::Taken);
    ProgressPage {
        l,
        page: Page::villager(state, visit, l.t("progress-title"), village, home),
        fresh,
        sync,
        title: if ticket.title.is_empty() { l.t("ticket-untitled") } else { ticket.title.clone() },
        text: ticket.text.clone(),
        photos,
        steps: steps(l, ticket.state),
        promise: promise(l, &ticket),
        asked: ticket.asked.clone(),
        result: ticket.result.clone(),
        result_title: if rejected { l.t("villager-rejected") } else { l.t("ticket-result") },
        result_photos,
        rating: rating_words(l, &ticket),
        may_rate: ticket.allows(Verb::Rate),
        error,
        stars: [5, 4, 3, 2, 1].map(star).into_iter().collect(),
        words,
        trace: Trace { l, steps: taken.filter_map(|step| public_step(l, step)).collect() },
        receipt,
    }
}

/// By when something happens, while the clock runs.
fn promise(l: Text, ticket: &Ticket) -> Option<String> {
    if !ticket.state.is_open() {
        return None;
    }
    let clock = ticket.clock(Rules::built_in());
    Some(match clock {
        Some(clock) => l.t1("villager-due", "time", full(clock.due_ms - 1)),
        None => l.t("villager-waiting"),
    })
}

/// The five steps of the process, as far as the ticket has come.
fn steps(l: Text, state: TicketState) -> Vec<Step> {
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
            label: l.of("step", verb.as_str()),
            done: number <= reached,
            current: number == reached,
        })
        .collect()
}

/// A step as the villager sees it: without names of staff, remarks and returns.
fn public_step(l: Text, step: &TraceStep) -> Option<TraceRow> {
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
        | Action::Rate { .. } => action_words(l, action),
    };
    Some(TraceRow {
        what: l.of("step", action.verb().as_str()),
        who: String::new(),
        time: full(step.at_ms),
        machine_time: machine(step.at_ms),
        said,
        ignored: None,
        signature: String::new(),
    })
}

async fn rate(
    State(state): State<WebState>,
    visit: Visit,
    Path(receipt): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let l = visit.l;
    let found = by_receipt(&state, &visit, &receipt).await?;
    let (words, _) = checks::mask_numbers(posted.text("text"));
    let mut fields = posted.0.clone();
    fields.insert("text".to_owned(), words);
    let action = action_of(Verb::Rate, &fields).map_err(|_| l.t("rate-choose"));
    let write = action.and_then(|action| {
        found.ticket.act(&action, SOURCE).map_err(|error| error.message(domain_language(l)))
    });
    let outcome = match write {
        Ok(write) => {
            let author = state.0.config.node.clone();
            let saved = save(&state, author, vec![write], state.now_ms()).await;
            saved.map_err(|failure| failure.words(&visit))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => Ok(Redirect::to(&format!("/t/{receipt}")).into_response()),
        Err(error) => {
            let words = posted.text("text").to_owned();
            let page = progress_page(&state, &visit, found, None, Some(error), words);
            Ok(form_again(&page, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

/// A photo of the ticket, for whoever has its receipt.
async fn ticket_photo(
    State(state): State<WebState>,
    visit: Visit,
    Path((receipt, document)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let Found { ticket, .. } = by_receipt(&state, &visit, &receipt).await?;
    let document: DocumentId = document.parse().map_err(|_| Failure::NotFound)?;
    if !ticket.photos.contains(&document) && !ticket.result_photos.contains(&document) {
        return Err(Failure::NotFound);
    }
    let home = domain::photo_home(&ticket.home, document);
    ask(&state, move |store| stored::load(store, &home)).await
}

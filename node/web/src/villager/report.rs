//! The page of a village and the report, for whoever scanned a door plate.
//!
//! What is sent in is signed by the node's own key. Limits count by client, by plate and by
//! village, so that one angry phone cannot fill the town's queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::access::actor::Actor;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::directory::Contact;
use cunlian_governance::divisions::{self, Resolution};
use cunlian_governance::refusal::Failed;
use cunlian_governance::ticket::{self as domain, Channel, NewTicket, Receipt};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use super::throttles::Throttles;
use crate::frame::clock::span;
use crate::frame::code::code_of;
use crate::frame::component::{FieldInput, Problems};
use crate::frame::failure::Failure;
use crate::frame::form::Submission;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::photo::{self, PhotoError};
use crate::frame::place::{name_of, villages_of};
use crate::frame::posted::{Posted, Uploaded};
use crate::frame::reading::{ask, contacts};
use crate::frame::text::Text;
use crate::frame::visit::Visit;
use crate::frame::writing::{acting, new_document};
use crate::limits::FORM_BYTES;
use crate::state::WebState;

/// Where reports of villagers come from.
pub(super) const SOURCE: &str = "plate";

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
    let found = found.ok_or(Failure::NotFound)?;
    // What is reported here is signed by this node, so it must be this node's village.
    let document = new_document();
    let home = Home { category: Category::TICKET, address: found.village, document };
    let node = Actor::new(state.store().authority(), state.0.config.node.serial);
    if node.writes(&home) { Ok(found) } else { Err(Failure::NotFound) }
}

fn resolve(connection: &rusqlite::Connection, code: AddressCode) -> Option<Scanned> {
    // A register that is damaged or not there yet must not take the page down: the code itself still says where it is.
    let (code, merged) = match divisions::resolve(connection, &code) {
        Ok(Resolution::Succeeded { from, to }) => (to.first()?.code, Some(from.name)),
        Ok(Resolution::Ended(_)) => return None,
        Ok(Resolution::Active(_) | Resolution::Unknown) | Err(_) => (code, None),
    };
    let village = code.truncate(Level::Village)?;
    // Where the villages of the town are registered, there is no other.
    let town = village.truncate(Level::Town)?;
    let is_registered = matches!(divisions::find(connection, &village), Ok(Some(_)) | Err(_));
    if !is_registered && !villages_of(connection, &town).is_empty() {
        return None;
    }
    let name = name_of(connection, &village, 1);
    let path = name_of(connection, &code, 5);
    Some(Scanned { code, village, name, path, merged })
}

#[derive(Template)]
#[template(path = "villager/village.html")]
struct VillagePage {
    texts: Text,
    page: Page,
    code: String,
    path: String,
    plate: String,
    note: Option<String>,
    contacts: Vec<Contact>,
}

pub(super) async fn village(
    State(state): State<WebState>,
    visit: Visit,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let texts = visit.texts;
    let scanned = scanned(&state, &code).await?;
    let village = scanned.village;
    let contacts = ask(&state, move |store| contacts(store, &village)).await?;
    Ok(html(&VillagePage {
        texts,
        page: frame(&state, &visit, &scanned, scanned.name.clone()),
        code: scanned.code.to_string(),
        path: scanned.path,
        plate: scanned.code.plate_text(),
        note: scanned.merged.map(|name| texts.t1("villager-merged", "name", name)),
        contacts,
    }))
}

fn frame(state: &WebState, visit: &Visit, scanned: &Scanned, title: String) -> Page {
    let home = format!("/p/{}", scanned.code);
    Page::villager(state, visit, title, scanned.name.clone(), home)
}

#[derive(Template)]
#[template(path = "villager/report.html")]
struct ReportPage {
    texts: Text,
    page: Page,
    place: String,
    code: String,
    document: String,
    problems: Option<Problems>,
    photo_error: Option<String>,
    fields: Vec<FieldInput>,
}

/// What is wrong with a report that was sent.
#[derive(Default)]
struct Wrong {
    error: Option<String>,
    photo: Option<String>,
    fields: BTreeMap<String, String>,
}

pub(super) async fn form(
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
    let texts = visit.texts;
    let fill = |field: FieldInput, hint: String, required: bool| FieldInput {
        value: posted.text(&field.name).to_owned(),
        error: wrong.fields.get(&field.name).cloned(),
        hint,
        required,
        ..field
    };
    let name = FieldInput { max: 50, ..FieldInput::new(texts, "name", texts.t("report-name")) };
    let phone = FieldInput {
        kind: "tel",
        max: 30,
        ..FieldInput::new(texts, "phone", texts.t("report-phone"))
    };
    let mut fields = vec![
        fill(
            FieldInput::area(texts, "text", texts.t("report-text")),
            texts.t("report-text-hint"),
            true,
        ),
        fill(name, texts.t("report-optional"), false),
        fill(phone, texts.t("report-phone-hint"), false),
    ];
    let mut photo = FieldInput {
        id: "photo".to_owned(),
        error: wrong.photo.clone(),
        ..FieldInput::new(texts, "photo", texts.t("report-photo"))
    };
    ReportPage {
        texts,
        page: frame(state, visit, scanned, texts.t("report-title")),
        place: scanned.path.clone(),
        code: scanned.code.to_string(),
        document: document.to_string(),
        problems: Problems::of(texts, wrong.error.clone(), fields.iter_mut().chain([&mut photo])),
        photo_error: wrong.photo.clone(),
        fields,
    }
}

pub(super) async fn report(
    State(state): State<WebState>,
    Extension(throttles): Extension<Arc<Throttles>>,
    visit: Visit,
    Expected(scanned): Expected,
    upload: Uploaded,
) -> Result<Response, Failure> {
    if let Some(wrong) = wrong_upload(visit.texts, &upload) {
        let id = upload.form.text("document").parse().unwrap_or_else(|_| new_document());
        let page = report_page(&state, &visit, &scanned, &upload.form, id, &wrong);
        return Ok(form_again(&page, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let Uploaded { form, photo, .. } = upload;
    let had_photo = photo.is_some();
    let page = scanned.code.to_string();
    let submission = Submission::of(&page, &form, photo.as_deref())?.unguessable(&state);
    let document = submission.document;
    let home = Home { category: Category::TICKET, address: scanned.village, document };
    // A form that was sent before takes from no limit.
    let known = ask(&state, move |store| domain::receipt_of(store, &home)).await?;
    let taken = match known {
        Some(receipt) => Ok(receipt),
        None => take(&state, &throttles, &visit, &scanned, (&form, submission), photo).await,
    };
    match taken {
        Ok(receipt) => {
            let new = submission.kept(&state);
            Ok(Redirect::to(&format!("/t/{receipt}?new={new}")).into_response())
        }
        Err((status, mut wrong)) => {
            if had_photo && wrong.photo.is_none() {
                // A browser does not keep a file for a form that it is sent again.
                wrong.photo = Some(visit.texts.t("photo-choose-again"));
            }
            let page = report_page(&state, &visit, &scanned, &form, submission.form, &wrong);
            Ok(form_again(&page, status))
        }
    }
}

/// What is wrong with a report before its words are looked at.
fn wrong_upload(texts: Text, upload: &Uploaded) -> Option<Wrong> {
    let photo = upload.is_too_large.then(|| texts.of("photo-error", PhotoError::TooLarge.name()));
    let again = || upload.photo.is_some().then(|| texts.t("photo-choose-again"));
    let error = upload.is_stale.then(|| texts.t("report-again"));
    (photo.is_some() || error.is_some()).then(|| Wrong {
        photo: photo.or_else(again),
        error,
        ..Wrong::default()
    })
}

/// The upload as it is kept, of one report at a time: a picture takes much memory while it is made
/// smaller. Nobody else's form waits for that.
async fn made_smaller(
    state: &WebState,
    visit: &Visit,
    upload: Vec<u8>,
) -> Result<Vec<u8>, (StatusCode, Wrong)> {
    let texts = visit.texts;
    let failed = |reason: String| {
        let failure = Failure::Internal(reason);
        let error = Some(failure.words(visit));
        (failure.status(), Wrong { error, ..Wrong::default() })
    };
    let _turn = state.0.photos.acquire().await.map_err(|error| failed(error.to_string()))?;
    let prepared = tokio::task::spawn_blocking(move || photo::prepare(&upload)).await;
    prepared.map_err(|error| failed(error.to_string()))?.map_err(|error| {
        let photo = Some(texts.of("photo-error", error.name()));
        (StatusCode::UNPROCESSABLE_ENTITY, Wrong { photo, ..Wrong::default() })
    })
}

/// Checks limits, words and photo, and saves all of it in one go.
async fn take(
    state: &WebState,
    throttles: &Throttles,
    visit: &Visit,
    scanned: &Scanned,
    (form, submission): (&Posted, Submission),
    photo: Option<Vec<u8>>,
) -> Result<Receipt, (StatusCode, Wrong)> {
    let texts = visit.texts;
    let failed = |failure: Failure| {
        let fields = failure.problems(texts);
        let error = fields.is_empty().then(|| failure.words(visit));
        (failure.status(), Wrong { error, fields, ..Wrong::default() })
    };
    let new = NewTicket {
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
    // Words first: a mistyped phone number should not use up the limit.
    domain::report(&new, submission.document, now_ms)
        .map_err(|error| failed(Failed::Refused(error).into()))?;
    let about = (scanned.village, scanned.code);
    throttles.report(visit.client, about, now_ms).map_err(|wait_ms| {
        let error = Some(texts.t1("report-too-many", "wait", span(texts, wait_ms + 59_999)));
        (StatusCode::TOO_MANY_REQUESTS, Wrong { error, ..Wrong::default() })
    })?;
    let picture = match photo {
        Some(upload) => Some(made_smaller(state, visit, upload).await?),
        None => None,
    };
    let _turn = state.0.forms.turn().await;
    let node = (state.0.config.node.clone(), Reader::everything(), SOURCE);
    let intended = submission.intended();
    let reported =
        acting(state, node, move |acting| domain::intake(acting, &new, intended, picture));
    Ok(reported.await.map_err(failed)?.receipt)
}

/// Looked at before a report is read: the plate is one of ours, and with a photo there is no use in
/// reading it when its network has sent too many.
pub(super) struct Expected(Scanned);

impl FromRequestParts<WebState> for Expected {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(code) = path.map_err(|_| Failure::NotFound)?;
        let scanned = scanned(state, &code).await?;
        let Ok(visit) = Visit::from_request_parts(parts, state).await;
        let throttles = parts.extensions.get::<Arc<Throttles>>();
        let throttles = throttles.ok_or_else(|| Failure::Internal("no throttles".to_owned()))?;
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let is_small = length
            .and_then(|length| length.parse::<usize>().ok())
            .is_some_and(|length| length <= FORM_BYTES);
        match throttles.report_wait_ms(visit.client, state.now_ms()) {
            Some(wait_ms) if !is_small => Err(Failure::TooMany { wait_ms }),
            Some(_) | None => Ok(Self(scanned)),
        }
    }
}

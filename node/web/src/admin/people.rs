//! The people of the node: who may log in, with which role, and forgotten passwords.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use cunlian_governance::ticket::query as tickets;
use cunlian_host::admin::AdminError;
use cunlian_host::admin::certificate::Desk;
use cunlian_host::admin::people::NewPerson;
use cunlian_host::operator::{is_by_assignment, roles};
use cunlian_protocol::id::Serial;
use serde_json::Value;

use super::{Pick, code_of, note, words};
use crate::frame::administrator::{Admin, act, problem};
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::text::{Language, Text};
use crate::state::WebState;

/// Most units to choose from.
const UNITS: u32 = 200;
/// Most characters of a login name.
const NAME_CHARACTERS: usize = 32;

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin/people", get(list).post(add))
        .route("/admin/people/{name}/reset", post(reset))
        .route("/admin/people/{name}/unlock", post(unlock))
        .route("/admin/people/{name}/unit", post(unit))
        .route("/admin/people/{name}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "admin/people.html")]
struct PeoplePage {
    texts: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    /// A one-time password to be handed over; shown once.
    password: Option<(String, String)>,
    name: String,
    display_name: String,
    region: String,
    unit: String,
    /// Units that tickets of this place have been assigned to, to choose from.
    units: Vec<String>,
    roles: Vec<Pick>,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    serial: String,
    own: bool,
    display_name: String,
    role: String,
    state: String,
    class: &'static str,
    /// Whether the certificate can be used.
    valid: bool,
    until: String,
    is_locked: bool,
    /// That the password is one that somebody else chose.
    must_change: Option<String>,
    /// The unit whose tickets they handle; `None` where the role reads those of all.
    unit: Option<String>,
}

/// What a page says beside its list.
#[derive(Default)]
struct Said {
    notice: Option<String>,
    error: Option<String>,
    password: Option<(String, String)>,
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
    let texts = admin.0.visit.texts;
    let own = admin.0.person.author.serial;
    let read = act(state, move |administration| {
        let desk = administration.desk()?;
        let listed = administration.operator_list()?;
        let entries = listed.get("operators").and_then(Value::as_array);
        let rows = entries.into_iter().flatten().map(|entry| row(&desk, texts, &own, entry));
        Ok(rows.collect())
    });
    let rows = read.await.map_err(|error| Failure::Internal(error.message))?;
    let regions = state.regions();
    let units = ask(state, move |store| {
        store.read(|connection| tickets::assignees_within(connection, &regions, UNITS))
    })
    .await?;
    let asked = typed.text("role");
    let choices = roles().iter().map(|role| Pick {
        value: role.key.clone(),
        label: role_name(texts, &role.key),
        selected: role.key == asked,
    });
    let page = Page::staff(state, &admin.0, texts.t("admin-people-title"));
    let Said { notice, error, password } = said;
    Ok(html(&PeoplePage {
        texts,
        page,
        notice,
        error,
        password,
        name: typed.text("name").to_owned(),
        display_name: typed.text("display_name").to_owned(),
        region: typed.text("region").to_owned(),
        unit: typed.text("unit").to_owned(),
        units,
        roles: choices.collect(),
        rows,
    }))
}

fn row(desk: &Desk<'_>, texts: Text, own: &Serial, entry: &Value) -> Row {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let serial: Option<Serial> = text("serial").parse().ok();
    let refusal = match (text("state").as_str(), &serial) {
        ("valid", _) => None,
        (_, Some(serial)) => words::refusal(desk, texts, serial),
        (reason, None) => Some(reason.to_owned()),
    };
    let is_locked = entry.get("locked_ms").and_then(Value::as_i64).is_some_and(|ms| ms > 0);
    let valid = refusal.is_none();
    let (class, state) = match (refusal, is_locked) {
        (None, false) => ("good", texts.t("person-valid")),
        (None, true) => ("warn", texts.t("person-locked")),
        (Some(reason), _) => ("bad", texts.t1("person-invalid", "reason", reason)),
    };
    Row {
        own: serial.as_ref() == Some(own),
        serial: text("serial"),
        name: text("name"),
        display_name: text("display_name"),
        role: role_name(texts, &text("role")),
        unit: is_by_assignment(&text("role")).then(|| text("unit")),
        state,
        class,
        valid,
        until: entry.get("not_after_ms").and_then(Value::as_i64).map(full).unwrap_or_default(),
        is_locked,
        must_change: entry
            .get("must_change")
            .and_then(Value::as_bool)
            .unwrap_or_default()
            .then(|| texts.t("admin-must-change")),
    }
}

fn role_name(texts: Text, key: &str) -> String {
    let role = roles().iter().find(|role| role.key == key);
    role.map_or(key, |role| match texts.language {
        Language::Chinese => &role.zh,
        Language::English => &role.en,
    })
    .to_owned()
}

async fn add(
    State(state): State<WebState>,
    admin: Admin,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let region = match checked(&state, texts, &posted) {
        Ok(region) => region,
        Err(error) => {
            let said = Said { error: Some(error), ..Said::default() };
            return show(&state, &admin, &posted, said).await;
        }
    };
    let person = NewPerson {
        name: posted.text("name").to_owned(),
        display_name: posted.text("display_name").to_owned(),
        role: posted.text("role").to_owned(),
        region,
        categories: Vec::new(),
        rights: None,
        until: None,
        unit: Some(posted.text("unit").to_owned()),
        password: None,
    };
    let name = person.name.clone();
    let outcome = act(&state, move |administration| administration.operator_add(&person)).await;
    answer(&state, &admin, &posted, "add_operator", &name, outcome).await
}

/// What people get wrong most; the digits of the region if one is given.
fn checked(state: &WebState, texts: Text, posted: &Posted) -> Result<Option<String>, String> {
    let name = posted.text("name");
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if name.is_empty() || name.len() > NAME_CHARACTERS || !name.bytes().all(allowed) {
        return Err(texts.t1("person-bad-name", "name", name));
    }
    if posted.text("display_name").is_empty() {
        return Err(texts.t("person-no-display-name"));
    }
    let operators = &state.administration().operators;
    if operators.entry(name).is_ok_and(|entry| entry.is_some()) {
        return Err(texts.t1("person-exists", "name", name));
    }
    let region = posted.text("region");
    if region.is_empty() {
        return Ok(None);
    }
    let code = code_of(region).ok_or_else(|| texts.t1("admin-bad-code", "code", region))?;
    let own = state.regions();
    if own.iter().any(|own| own.contains(&code)) {
        Ok(Some(code.as_str().to_owned()))
    } else {
        Err(texts.t1("admin-outside", "code", region))
    }
}

async fn reset(
    State(state): State<WebState>,
    admin: Admin,
    Path(name): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    let wanted = name.clone();
    let outcome = act(&state, move |administration| administration.operator_reset(&wanted)).await;
    answer(&state, &admin, &Posted::default(), "reset_operator", &name, outcome).await
}

async fn unlock(
    State(state): State<WebState>,
    admin: Admin,
    Path(name): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    let wanted = name.clone();
    let outcome = act(&state, move |administration| administration.operator_unlock(&wanted)).await;
    answer(&state, &admin, &Posted::default(), "unlock_operator", &name, outcome).await
}

async fn unit(
    State(state): State<WebState>,
    admin: Admin,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let (wanted, unit) = (name.clone(), posted.text("unit").to_owned());
    let outcome =
        act(&state, move |administration| administration.operator_unit(&wanted, &unit)).await;
    answer(&state, &admin, &Posted::default(), "set_unit", &name, outcome).await
}

async fn remove(
    State(state): State<WebState>,
    admin: Admin,
    Path(name): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    if name == admin.0.person.name {
        let said =
            Said { error: Some(admin.0.visit.texts.t("person-not-self")), ..Said::default() };
        return show(&state, &admin, &Posted::default(), said).await;
    }
    let wanted = name.clone();
    let outcome = act(&state, move |administration| administration.operator_remove(&wanted)).await;
    answer(&state, &admin, &Posted::default(), "remove_operator", &name, outcome).await
}

/// The list again, with what came of an act.
async fn answer(
    state: &WebState,
    admin: &Admin,
    typed: &Posted,
    what: &str,
    name: &str,
    outcome: Result<Value, AdminError>,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    match outcome {
        Ok(value) => {
            note(state, admin, what, name).await?;
            let password = value.get("password").and_then(Value::as_str);
            let password = password.map(|password| (name.to_owned(), password.to_owned()));
            let notice = Some(texts.t1("admin-done", "name", name));
            show(state, admin, &Posted::default(), Said { notice, error: None, password }).await
        }
        Err(error) => {
            let error = Some(problem(texts, &error));
            show(state, admin, typed, Said { error, ..Said::default() }).await
        }
    }
}

//! Logging in and out, the language, and the way from `/` to the page of one's tier.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use cunlian_protocol::certificate::Tier;
use rand::Rng as _;
use serde::Deserialize;

use super::WebState;
use super::failure::Failure;
use super::layout::{Page, form_again, html};
use super::posted::Posted;
use super::session::{LANGUAGE_COOKIE, Person, SESSION_COOKIE, set_cookie};
use super::visit::{Staff, Visit, add_cookie};
use crate::metrics::LoginFailure;
use crate::operator::{OperatorError, Unlocked};
use crate::text::{Language, Text};

/// The cookie outlives the session in the table, which is what ends it.
const SESSION_S: u32 = 12 * 3_600;
const LANGUAGE_S: u32 = 365 * 86_400;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/", get(home))
        .route("/login", get(form).post(log_in))
        .route("/logout", post(log_out))
        .route("/lang", get(choose_language))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    l: Text,
    page: Page,
    name: String,
    next: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    to: String,
    #[serde(default)]
    next: String,
}

async fn home(State(state): State<WebState>, visit: Visit) -> Redirect {
    if visit.person.is_none() {
        return Redirect::to("/login");
    }
    Redirect::to(first_page(state.place().1))
}

/// Where the people of a tier begin.
fn first_page(tier: Tier) -> &'static str {
    match tier {
        Tier::Village | Tier::Grid => "/today",
        Tier::Town => "/queue",
        Tier::County | Tier::City | Tier::Province => "/overview",
    }
}

async fn form(State(state): State<WebState>, visit: Visit, Query(query): Query<Next>) -> Response {
    let next = local(&query.next).to_owned();
    html(&login_page(&state, &visit, String::new(), next, None))
}

fn login_page(
    state: &WebState,
    visit: &Visit,
    name: String,
    next: String,
    error: Option<String>,
) -> LoginPage {
    let l = visit.l;
    LoginPage { l, page: Page::new(state, visit, l.t("login-title")), name, next, error }
}

async fn log_in(
    State(state): State<WebState>,
    visit: Visit,
    posted: Posted,
) -> Result<Response, Failure> {
    let name = posted.text("name").to_lowercase();
    let next = local(posted.text("next")).to_owned();
    let password = posted.0.get("password").cloned().unwrap_or_default();
    match authenticate(&state, &visit, &name, password).await {
        Ok(unlocked) => {
            let cookie = start(&state, unlocked);
            let target = if next.is_empty() { "/".to_owned() } else { next };
            let mut response = Redirect::to(&target).into_response();
            add_cookie(&mut response, &cookie);
            Ok(response)
        }
        Err(Refused::Wrong) => {
            let error = Some(visit.l.t("login-refused"));
            let page = login_page(&state, &visit, name, next, error);
            Ok(form_again(&page, StatusCode::UNAUTHORIZED))
        }
        Err(Refused::Failed(failure)) => Err(failure),
    }
}

/// Why nobody is logged in.
pub(crate) enum Refused {
    /// Name or password.
    Wrong,
    /// Something else.
    Failed(Failure),
}

/// Checks name and password, slowly and only so often.
pub(crate) async fn authenticate(
    state: &WebState,
    visit: &Visit,
    name: &str,
    password: String,
) -> Result<Unlocked, Refused> {
    let now_ms = state.now_ms();
    let key = (name.chars().take(40).collect::<String>(), visit.client);
    let metrics = &state.0.config.metrics;
    let throttled = |wait_ms| {
        metrics.login_failed(LoginFailure::Throttled);
        Refused::Failed(Failure::TooMany { wait_ms })
    };
    state.0.login_per_client.take(visit.client, now_ms).map_err(throttled)?;
    state.0.login_per_name.take(key.clone(), now_ms).map_err(throttled)?;
    let failed = |reason: String| Refused::Failed(Failure::Internal(reason));
    let _turn = state.0.logins.acquire().await.map_err(|error| failed(error.to_string()))?;
    let operators = state.0.config.operators.clone();
    let store = state.store().clone();
    let (name, session) = (name.to_owned(), rand::rng().next_u64());
    let work = move || {
        let unlocked = operators.unlock(&name, &password, session)?;
        // A change is taken only from an author whose certificate the store knows.
        let refused = store
            .add_certificates(std::slice::from_ref(&unlocked.certificate))
            .map_err(|fault| Unlock::Store(fault.to_string()))?;
        match refused.into_iter().next() {
            Some(reason) => Err(Unlock::Store(reason)),
            None => Ok(unlocked),
        }
    };
    let result = tokio::task::spawn_blocking(work).await;
    match result.map_err(|error| failed(error.to_string()))? {
        Ok(unlocked) => {
            state.0.login_per_name.forget(&key);
            Ok(unlocked)
        }
        Err(Unlock::Operator(OperatorError::Refused)) => {
            metrics.login_failed(LoginFailure::Wrong);
            Err(Refused::Wrong)
        }
        Err(Unlock::Operator(error)) => Err(failed(error.to_string())),
        Err(Unlock::Store(reason)) => Err(failed(reason)),
    }
}

enum Unlock {
    Operator(OperatorError),
    Store(String),
}

impl From<OperatorError> for Unlock {
    fn from(error: OperatorError) -> Self {
        Self::Operator(error)
    }
}

/// Starts a session and gives its `Set-Cookie` value.
pub(crate) fn start(state: &WebState, unlocked: Unlocked) -> String {
    set_cookie(SESSION_COOKIE, &start_session(state, unlocked), SESSION_S, state.secure_cookies())
}

/// Starts a session and gives the value of its cookie.
pub(crate) fn start_session(state: &WebState, unlocked: Unlocked) -> String {
    let Unlocked { author, display_name, role, .. } = unlocked;
    state.0.sessions.start(Person { author, display_name, role }, state.now_ms())
}

async fn log_out(State(state): State<WebState>, staff: Staff, _: Posted) -> Response {
    state.0.sessions.end(&staff.visit.session);
    let mut response = Redirect::to("/login").into_response();
    add_cookie(&mut response, &set_cookie(SESSION_COOKIE, "", 0, state.secure_cookies()));
    response
}

async fn choose_language(State(state): State<WebState>, Query(query): Query<Chosen>) -> Response {
    let language = Language::from_tag(&query.to).unwrap_or_default();
    let next = local(&query.next);
    let target = if next.is_empty() { "/" } else { next };
    let mut response = Redirect::to(target).into_response();
    let secure = state.secure_cookies();
    add_cookie(&mut response, &set_cookie(LANGUAGE_COOKIE, language.tag(), LANGUAGE_S, secure));
    response
}

/// A path on this node, or nothing: nobody is sent elsewhere by a link to the login page.
fn local(path: &str) -> &str {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n'])
        && path.len() <= 500;
    if plain { path } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a login link leads nowhere but to this node.
    #[test]
    fn only_local_paths_are_followed() {
        assert_eq!(local("/records?q=张"), "/records?q=张");
        for elsewhere in ["https://example.org/", "//example.org", "/\\example.org", "records"] {
            assert_eq!(local(elsewhere), "");
        }
    }
}

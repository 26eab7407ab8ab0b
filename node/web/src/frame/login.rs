//! Logging in and out, the language, and the way from `/` to the page of one's tier.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use cunlian_host::metrics::LoginFailure;
use cunlian_host::operator::{Unlocked, login_name};
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::frame::failure::Failure;
use crate::frame::kept::{Field, Kept};
use crate::frame::layout::{Page, form_again, html};
use crate::frame::posted::Posted;
use crate::frame::session::{Ended, LANGUAGE_COOKIE, Person, set_cookie};
use crate::frame::text::{Language, Text};
use crate::frame::url::local;
use crate::frame::visit::{Staff, Visit, add_cookie};
use crate::limits::LOGIN_PATIENCE;
use crate::state::WebState;

pub(super) use self::attempt::Attempt;

pub(crate) mod api;
mod attempt;
pub(crate) mod password_queue;

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
#[template(path = "frame/login.html")]
struct LoginPage {
    texts: Text,
    page: Page,
    name: String,
    next: String,
    error: Option<String>,
    /// A form that was sent without a session, to be sent again by who logs in.
    kept: Vec<Field>,
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
    Redirect::to(state.first_page())
}

async fn form(State(state): State<WebState>, visit: Visit, Query(query): Query<Next>) -> Response {
    let next = local(&query.next).to_owned();
    let why = visit.ended.map(|end| visit.texts.of("ended", end.name()));
    html(&login_page(&state, &visit, String::new(), next, why))
}

/// The login in the place of a form that came without a session, with what was typed in it.
pub(crate) fn keeping(state: &WebState, visit: &Visit, kept: Kept) -> Response {
    let texts = visit.texts;
    let end =
        visit.ended.map_or_else(|| texts.t("ended-unknown"), |end| texts.of("ended", end.name()));
    let error = Some(format!("{end} {}", texts.t("login-kept")));
    let page = login_page(state, visit, String::new(), String::new(), error);
    form_again(&LoginPage { kept: kept.into_fields(), ..page }, StatusCode::UNAUTHORIZED)
}

fn login_page(
    state: &WebState,
    visit: &Visit,
    name: String,
    next: String,
    error: Option<String>,
) -> LoginPage {
    let texts = visit.texts;
    let page = Page::new(state, visit, texts.t("login-title"));
    LoginPage { texts, page, name, next, error, kept: Vec::new() }
}

async fn log_in(
    State(state): State<WebState>,
    visit: Visit,
    posted: Posted,
) -> Result<Response, Failure> {
    let name = login_name(posted.text("name"));
    let next = local(posted.text("next")).to_owned();
    let password = posted.0.get("password").cloned().unwrap_or_default();
    let kept = Kept::of_login(&posted);
    match authenticate(&state, &visit, &name, password).await {
        Ok(unlocked) => {
            let must_change = unlocked.must_change;
            let session = start_session(&state, unlocked);
            let cookie = session_cookie(&state, &session);
            if let Some(kept) = kept.filter(|_| !must_change) {
                let visit = visit.in_session(&state, session);
                let mut response = kept.page(&state, &visit);
                add_cookie(&mut response, &cookie);
                return Ok(response);
            }
            let target = if next.is_empty() { "/".to_owned() } else { next };
            let mut response = Redirect::to(&target).into_response();
            add_cookie(&mut response, &cookie);
            Ok(response)
        }
        Err(Refused::Failed(failure)) => Err(failure),
        Err(refused) => {
            let error = Some(refused.words(visit.texts));
            let page = login_page(&state, &visit, name, next, error);
            let kept = kept.map(Kept::into_fields).unwrap_or_default();
            Ok(form_again(&LoginPage { kept, ..page }, refused.status()))
        }
    }
}

/// Why nobody is logged in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Name or password.
    Wrong,
    /// Too many failures; nobody is told whether the name exists.
    Locked {
        /// How long it takes until the next try, milliseconds.
        wait_ms: i64,
    },
    /// The password is right, but the person may no longer work here.
    Ended(Ended),
    /// Something else.
    Failed(Failure),
}

impl Refused {
    /// What to say above the form.
    pub(crate) fn words(&self, texts: Text) -> String {
        match self {
            Self::Wrong => texts.t("login-refused"),
            Self::Locked { wait_ms } => {
                texts.t1("login-locked", "wait", super::clock::span(texts, *wait_ms + 59_999))
            }
            Self::Ended(end) => texts.of("ended", end.name()),
            Self::Failed(failure) => failure.to_string(),
        }
    }

    /// The same for a program.
    pub(crate) fn failure(self, texts: Text) -> Failure {
        match self {
            Self::Wrong | Self::Ended(_) => Failure::Forbidden(self.words(texts)),
            Self::Locked { wait_ms } => Failure::TooMany { wait_ms },
            Self::Failed(failure) => failure,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::Locked { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Ended(_) => StatusCode::FORBIDDEN,
            Self::Failed(failure) => failure.status(),
        }
    }
}

/// Checks name and password, slowly and only so often.
pub(crate) async fn authenticate(
    state: &WebState,
    visit: &Visit,
    name: &str,
    password: String,
) -> Result<Unlocked, Refused> {
    let metrics = &state.0.config.metrics;
    let now_ms = state.now_ms();
    let attempt = Attempt {
        state: state.clone(),
        name: name.to_owned(),
        device: visit.device(),
        network: visit.elsewhere,
        now_ms,
    };
    // Who has logged in from here before waits for no stranger at the same address.
    let is_known = attempt.is_known();
    if !is_known {
        let turn = state.0.login_per_network.take(visit.client, now_ms);
        turn.map_err(|wait_ms| {
            metrics.login_failed(LoginFailure::Throttled);
            Refused::Failed(Failure::TooMany { wait_ms })
        })?;
    }
    let failed = |reason: String| Refused::Failed(Failure::Internal(reason));
    let turn = async {
        if is_known {
            state.0.logins.acquire().await.map(|turn| (turn, None))
        } else {
            let turn = state.0.logins_of_strangers.take(visit.client).await;
            turn.map(|(turn, own)| (turn, Some(own)))
        }
    };
    let Ok(turn) = timeout(LOGIN_PATIENCE, turn).await else {
        metrics.login_failed(LoginFailure::Throttled);
        let wait_ms = i64::try_from(LOGIN_PATIENCE.as_millis()).unwrap_or(i64::MAX);
        return Err(Refused::Failed(Failure::TooMany { wait_ms }));
    };
    let _turn = turn.map_err(|error| failed(error.to_string()))?;
    let work = move || attempt.log_in(&Zeroizing::new(password));
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.to_string()))?
}

/// Starts a session and gives the value of its cookie.
pub(crate) fn start_session(state: &WebState, unlocked: Unlocked) -> String {
    let Unlocked { author, name, display_name, role, must_change, password_id, .. } = unlocked;
    let person = Person { author, name, display_name, role, must_change, password_id };
    state.0.sessions.start(person, state.now_ms())
}

/// The `Set-Cookie` value of a session.
pub(super) fn session_cookie(state: &WebState, session: &str) -> String {
    set_cookie(&state.session_cookie(), session, SESSION_S, state.secure_cookies())
}

async fn log_out(State(state): State<WebState>, staff: Staff, _: Posted) -> Response {
    state.0.sessions.end(&staff.visit.session);
    let mut response = Redirect::to("/login").into_response();
    add_cookie(&mut response, &set_cookie(&state.session_cookie(), "", 0, state.secure_cookies()));
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

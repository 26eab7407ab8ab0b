//! One's own account: who one is here, until when, and the password.
//!
//! Here is also decided, at every request, whether a session still holds: the person's file is
//! read again, so that what an administrator does from the command line holds at once, and the
//! certificate is judged by the trusted time.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cunlian_host::operator::{OperatorError, PASSWORD_CHARACTERS_MIN};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::frame::clock;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::login::{Attempt, Refused, session_cookie};
use crate::frame::posted::Posted;
use crate::frame::session::{Ended, Person};
use crate::frame::text::Text;
use crate::frame::visit::{Staff, Visit, add_cookie};
use crate::state::WebState;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/account", get(show)).route("/account/password", post(change))
}

/// The answer to who must choose another password first and asks for something else.
pub(crate) fn password_first(state: &WebState, visit: &Visit) -> Option<Response> {
    const OPEN: [&str; 7] =
        ["/account", "/logout", "/login", "/lang", "/assets/", "/p/", "/api/v1/login"];
    visit.person.as_ref().filter(|person| person.must_change)?;
    if OPEN.iter().any(|path| visit.path.starts_with(path)) {
        return None;
    }
    if visit.is_api {
        let body = json!({
            "error": "password-change",
            "message": "the password was given by somebody else and must be changed first",
            "hint": visit.texts.t("account-must-change"),
        });
        return Some((StatusCode::FORBIDDEN, Json(body)).into_response());
    }
    if visit.is_fragment {
        let mut response = StatusCode::FORBIDDEN.into_response();
        let refresh = HeaderName::from_static("hx-refresh");
        response.headers_mut().insert(refresh, HeaderValue::from_static("true"));
        return Some(response);
    }
    tracing::debug!(path = visit.path, url = state.public_url(), "sent to the account page first");
    Some(Redirect::to("/account").into_response())
}

#[derive(Template)]
#[template(path = "frame/account.html")]
struct AccountPage {
    texts: Text,
    page: Page,
    name: String,
    until: Option<String>,
    must_change: bool,
    changed: bool,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ChangedFlag {
    #[serde(default)]
    changed: u8,
}

impl AccountPage {
    fn new(state: &WebState, staff: &Staff, changed: bool, error: Option<String>) -> Self {
        let texts = staff.visit.texts;
        let authority = state.store().authority();
        let certificate = authority.get(&staff.person.author.serial);
        Self {
            texts,
            page: Page::staff(state, staff, texts.t("account-title")),
            name: staff.person.name.clone(),
            until: certificate.map(|certificate| clock::full(certificate.body().not_after_ms)),
            must_change: staff.person.must_change,
            changed,
            error,
        }
    }
}

async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Query(asked): Query<ChangedFlag>,
) -> Response {
    html(&AccountPage::new(&state, &staff, asked.changed == 1, None))
}

async fn change(
    State(state): State<WebState>,
    staff: Staff,
    posted: Posted,
) -> Result<Response, Failure> {
    let field = |name| Zeroizing::new(posted.0.get(name).cloned().unwrap_or_default());
    let (current, new, again) = (field("current"), field("new"), field("again"));
    let texts = staff.visit.texts;
    let form =
        |status, error| form_again(&AccountPage::new(&state, &staff, false, Some(error)), status);
    if *new != *again {
        return Ok(form(StatusCode::UNPROCESSABLE_ENTITY, texts.t("account-differ")));
    }
    let attempt = Attempt {
        state: state.clone(),
        name: staff.person.name.clone(),
        device: staff.visit.device(),
        network: staff.visit.elsewhere,
        now_ms: state.now_ms(),
    };
    let internal = |error: String| Failure::Internal(error);
    let _turn = state.0.logins.acquire().await.map_err(|error| internal(error.to_string()))?;
    let work = tokio::task::spawn_blocking(move || attempt.change_password(&current, &new));
    match work.await.map_err(|error| internal(error.to_string()))? {
        Ok(password_id) => Ok(changed(&state, &staff, password_id)),
        Err(Unchanged::Refused(Refused::Failed(failure))) => Err(failure),
        Err(Unchanged::Refused(Refused::Wrong)) => {
            Ok(form(StatusCode::FORBIDDEN, texts.t("account-wrong")))
        }
        Err(Unchanged::Refused(refused)) => {
            Ok(form(StatusCode::TOO_MANY_REQUESTS, refused.words(texts)))
        }
        Err(Unchanged::New(OperatorError::SamePassword)) => {
            Ok(form(StatusCode::UNPROCESSABLE_ENTITY, texts.t("account-same")))
        }
        Err(Unchanged::New(_)) => {
            let error = texts.t1("account-too-short", "n", PASSWORD_CHARACTERS_MIN);
            Ok(form(StatusCode::UNPROCESSABLE_ENTITY, error))
        }
    }
}

/// All sessions of the person end; the one that asked goes on under a new cookie.
fn changed(state: &WebState, staff: &Staff, password_id: String) -> Response {
    let now_ms = state.now_ms();
    let person = Person {
        author: staff.person.author.clone(),
        name: staff.person.name.clone(),
        display_name: staff.person.display_name.clone(),
        role: staff.person.role.clone(),
        must_change: false,
        password_id,
    };
    state.0.sessions.end_all_of(&person.name, Ended::Password, now_ms);
    let session = state.0.sessions.start(person, now_ms);
    let mut response = Redirect::to("/account?changed=1").into_response();
    add_cookie(&mut response, &session_cookie(state, &session));
    response
}

enum Unchanged {
    Refused(Refused),
    New(OperatorError),
}

impl Attempt {
    /// Changes the password; gives the number of the new one.
    fn change_password(&self, current: &str, new: &str) -> Result<String, Unchanged> {
        self.check_lock().map_err(Unchanged::Refused)?;
        let operators = &self.state.0.config.operators;
        match operators.change_password(&self.name, current, new, &mut rand::rng()) {
            Ok(password_id) => {
                self.succeed();
                tracing::info!(operator = self.name, "password changed");
                Ok(password_id)
            }
            Err(OperatorError::Refused) => Err(Unchanged::Refused(self.fail())),
            Err(error @ (OperatorError::Password | OperatorError::SamePassword)) => {
                // The current password was right, or was not looked at.
                Err(Unchanged::New(error))
            }
            Err(error) => {
                let failure = Failure::Internal(error.to_string());
                Err(Unchanged::Refused(Refused::Failed(failure)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::text::Language;

    /// Shows that every end of a session can be explained in both languages.
    #[test]
    fn every_end_has_words() {
        let all = [
            Ended::Idle,
            Ended::Old,
            Ended::Crowded,
            Ended::Password,
            Ended::Removed,
            Ended::Revoked,
            Ended::Expired,
        ];
        for language in [Language::Chinese, Language::English] {
            for end in all {
                let key = format!("ended-{}", end.name());
                assert!(Text::new(language).has(&key), "{key}");
            }
        }
    }
}

//! `/api/v1`: the acts of the pages as JSON, for scripts and other programs.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST login` | `{name, password}` | session cookie, `{token, name, display_name, role, must_change}` |
//! | `GET status` | | the node's [`NodeStatus`](crate::status::NodeStatus) |
//! | `GET records?q=&class=&offset=&limit=` | | `{records, more, note}` |
//! | `POST records` | `{class, address, fields, document?}` | 201 `{category, address, document, changes}` |
//! | `GET records/CATEGORY/ADDRESS/DOCUMENT` | | `{class, fields, conflicts, hidden, erased, moved_to, moved_from, reached}` |
//! | `PUT records/CATEGORY/ADDRESS/DOCUMENT` | `{fields, seen?}` | `{…, changes}` |
//! | `POST records/CATEGORY/ADDRESS/DOCUMENT/move` | `{village}` | 201 `{category, address, document, parts, left_behind, changes}` |
//! | `GET conflicts` | | `{conflicts}` |
//! | `GET tickets?state=&offset=&limit=` | | `{tickets}` |
//! | `POST tickets` | `{village, channel, text, title?, kind?, name?, phone?, document?}` | 201 `{receipt, address, document, changes}` |
//! | `GET tickets/ADDRESS/DOCUMENT` | | the ticket with its trace |
//! | `POST tickets/ADDRESS/DOCUMENT/operations` | `{op, text?, kind?, to?, stars?, digest?}` | `{state, changes}` |
//!
//! Every answer of 2xx with `changes` (ids) is durable. Requests other than login and `GET` carry
//! the token of the login in the header `x-cunlian-token`. Errors are
//! `{error, message, hint, field?, fields?}`. A `document` (32 hexadecimal digits) chosen by the
//! caller makes a request safe to repeat: a second one answers 200 with no changes.

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Json, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::WebState;
use super::failure::Failure;
use super::login::{authenticate, start_session};
use super::session::{VISIT_COOKIE, set_cookie};
use super::visit::{Staff, Visit, add_cookie};
use crate::status::NodeStatus;

mod records;
mod tickets;

/// Header that carries the token.
const TOKEN_HEADER: &str = "x-cunlian-token";
const COOKIE_S: u32 = 12 * 3_600;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/v1/login", post(log_in))
        .route("/api/v1/status", get(status))
        .merge(records::routes())
        .merge(tickets::routes())
}

/// A person who calls with session and, where something is changed, with token.
struct Caller(Staff);

impl FromRequestParts<WebState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let staff = Staff::from_request_parts(parts, state).await?;
        let token = parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
        if parts.method != Method::GET && !staff.visit.holds(state, token.unwrap_or_default()) {
            return Err(Failure::Stale);
        }
        Ok(Self(staff))
    }
}

/// A JSON body whose problems are told as [`Failure::Malformed`].
struct Object<T>(T);

impl<T: DeserializeOwned> FromRequest<WebState> for Object<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(_)) => Err(Failure::TooLarge),
            Err(rejection) => Err(Failure::malformed(rejection.body_text())),
        }
    }
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

async fn log_in(
    State(state): State<WebState>,
    visit: Visit,
    Object(login): Object<Login>,
) -> Result<Response, Failure> {
    let name = login.name.trim().to_lowercase();
    let unlocked = match authenticate(&state, &visit, &name, login.password).await {
        Ok(unlocked) => unlocked,
        Err(refused) => return Err(refused.failure(visit.l)),
    };
    let body = json!({
        "name": unlocked.name,
        "display_name": unlocked.display_name,
        "role": unlocked.role,
        "must_change": unlocked.must_change,
    });
    let session = start_session(&state, unlocked);
    let token = Visit { session: session.clone(), ..visit.clone() }.token(&state);
    let mut body = body;
    if let Some(object) = body.as_object_mut() {
        object.insert("token".to_owned(), token.into());
    }
    let mut response = Json(body).into_response();
    let secure = state.secure_cookies();
    add_cookie(&mut response, &set_cookie(&state.session_cookie(), &session, COOKIE_S, secure));
    add_cookie(&mut response, &set_cookie(VISIT_COOKIE, &visit.id, COOKIE_S, secure));
    Ok(response)
}

/// Public, like the status page.
async fn status(State(state): State<WebState>) -> Json<NodeStatus> {
    Json(state.status())
}

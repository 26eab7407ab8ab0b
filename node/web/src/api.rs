//! `/api/v1`: the acts of the pages as JSON, for scripts and other programs.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST login` | `{name, password}` | session cookie, `{token, name, display_name, role, must_change}` |
//! | `GET status` | | the node's [`NodeStatus`](cunlian_host::status::NodeStatus); without login its name and health |
//! | `GET records?q=&class=&offset=&limit=` | | `{records, more, note}` |
//! | `POST records` | `{class, address, fields, document?}` | 201 `{category, address, document, changes}` |
//! | `GET records/CATEGORY/ADDRESS/DOCUMENT` | | `{class, fields, conflicts, hidden, erased, moved_to, moved_from, reached}` |
//! | `PUT records/CATEGORY/ADDRESS/DOCUMENT` | `{fields, seen?}` | `{…, changes}` |
//! | `POST records/CATEGORY/ADDRESS/DOCUMENT/move` | `{village}` | 201 `{category, address, document, parts, left_behind, changes}` |
//! | `GET conflicts` | | `{conflicts}` |
//! | `GET tickets?state=&channel=&offset=&limit=` | | `{tickets}` |
//! | `POST tickets` | `{village, channel, text, title?, kind?, name?, phone?, document?}` | 201 `{receipt, address, document, changes}` |
//! | `GET tickets/ADDRESS/DOCUMENT` | | the ticket with its trace |
//! | `POST tickets/ADDRESS/DOCUMENT/operations` | `{op, text?, kind?, to?, stars?, digest?}` | `{state, changes}` |
//!
//! All of it with every type, bound and refusal is in `/api/openapi.json`, which is made of the
//! types here ([`openapi`]).
//!
//! Every answer of 2xx with `changes` (ids) is durable. Requests other than login and `GET` carry
//! the token of the login in the header `x-cunlian-token`. What is refused is answered with a
//! [`Refusal`], whatever the reason. A `document` (32 hexadecimal digits) chosen
//! by the caller makes a request safe to repeat: a second one answers 200 with no changes.

use axum::Router;
use axum::extract::{Json, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cunlian_host::operator::login_name;
use cunlian_host::status::NodeStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::frame::api::extract::{Asked, Nothing, Object};
use crate::frame::api::refusal::{Always, Refusal};
use crate::frame::failure::Failure;
use crate::frame::login::{authenticate, start_session};
use crate::frame::session::{VISIT_COOKIE, set_cookie};
use crate::frame::visit::{Visit, add_cookie};
use crate::state::WebState;

pub(crate) mod openapi;

const COOKIE_S: u32 = 12 * 3_600;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/openapi.json", get(description))
        .route("/api/v1/login", post(log_in))
        .route("/api/v1/status", get(status))
        .merge(crate::library::api::routes())
        .merge(crate::conflict::api::routes())
        .merge(crate::ticket::api::routes())
}

/// What all of this is, for programs that write programs (`OpenAPI` 3.1).
async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi::description())
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// Login name.
    name: String,
    /// Password.
    #[schema(format = Password)]
    password: String,
}

/// Who has logged in.
#[derive(Serialize, ToSchema)]
struct LoggedIn {
    /// Login name.
    name: String,
    /// Name on pages.
    display_name: String,
    /// Key of the role.
    role: String,
    /// Whether nothing may be done before another password is chosen, on the page `/account`.
    must_change: bool,
    /// For the header `x-cunlian-token`.
    token: String,
}

/// Opens a session: the cookie of the answer goes with every call from here on, and `token` with
/// those that change something.
#[utoipa::path(post, path = "/api/v1/login", tag = "session", security(()), request_body = Login,
    responses(
        (status = 200, body = LoggedIn),
        (status = 403, body = Refusal, description = "Name or password is wrong, or the certificate of this person does not hold"),
        (status = 413, body = Refusal, description = "The body is larger than what is taken"),
        (status = 422, body = Refusal, description = "A body that makes no sense"),
        Always,
    ))]
async fn log_in(
    State(state): State<WebState>,
    visit: Visit,
    Asked(Nothing {}): Asked<Nothing>,
    Object(login): Object<Login>,
) -> Result<Response, Failure> {
    let name = login_name(&login.name);
    let unlocked = match authenticate(&state, &visit, &name, login.password).await {
        Ok(unlocked) => unlocked,
        Err(refused) => return Err(refused.failure(visit.l)),
    };
    let (name, role) = (unlocked.name.clone(), unlocked.role.clone());
    let (display_name, must_change) = (unlocked.display_name.clone(), unlocked.must_change);
    let session = start_session(&state, unlocked);
    let token = Visit { session: session.clone(), ..visit.clone() }.token(&state);
    let body = LoggedIn { name, display_name, role, must_change, token };
    let mut response = Json(body).into_response();
    let secure = state.secure_cookies();
    add_cookie(&mut response, &set_cookie(&state.session_cookie(), &session, COOKIE_S, secure));
    add_cookie(&mut response, &set_cookie(VISIT_COOKIE, &visit.id, COOKIE_S, secure));
    Ok(response)
}

/// How the node is: to people who have logged in with its links and counts, to everybody else by
/// name and health.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum StatusAnswer {
    /// For people who have logged in.
    Whole(Box<NodeStatus>),
    /// For everybody.
    Public(PublicStatus),
}

/// What everybody may know of a node.
#[derive(Serialize, ToSchema)]
struct PublicStatus {
    /// Its name.
    name: String,
    /// Whether it can save: `ok`, `low-space`, `disk-full`, `read-only`, `corrupt`, `failed`.
    health: String,
}

/// How the node and its links are; without login its name and health.
#[utoipa::path(get, path = "/api/v1/status", tag = "node", security((), ("session" = [])),
    responses(
        (status = 200, body = StatusAnswer),
        (status = 422, body = Refusal, description = "A query that makes no sense"),
        Always,
    ))]
async fn status(
    State(state): State<WebState>,
    visit: Visit,
    Asked(Nothing {}): Asked<Nothing>,
) -> Json<StatusAnswer> {
    let status = state.status();
    Json(match visit.person {
        Some(_) => StatusAnswer::Whole(Box::new(status)),
        None => StatusAnswer::Public(PublicStatus {
            health: status.health.name().to_owned(),
            name: status.name,
        }),
    })
}

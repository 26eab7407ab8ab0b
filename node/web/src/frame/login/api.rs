//! Logging in by a call.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST login` | `{name, password}` | session cookie, `{token, name, display_name, role, must_change}` |

use axum::Router;
use axum::extract::{Json, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use cunlian_host::operator::login_name;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::{authenticate, start_session};
use crate::frame::api::extract::{Nothing, Object, StrictQuery};
use crate::frame::api::refusal::{Always, Refusal};
use crate::frame::failure::Failure;
use crate::frame::session::{VISIT_COOKIE, set_cookie};
use crate::frame::visit::{Visit, add_cookie};
use crate::state::WebState;

const COOKIE_S: u32 = 12 * 3_600;

/// How this call is described.
#[derive(OpenApi)]
#[openapi(paths(log_in))]
pub(crate) struct Interface;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/api/v1/login", post(log_in))
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
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(login): Object<Login>,
) -> Result<Response, Failure> {
    let name = login_name(&login.name);
    let unlocked = match authenticate(&state, &visit, &name, login.password).await {
        Ok(unlocked) => unlocked,
        Err(refused) => return Err(refused.failure(visit.texts)),
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

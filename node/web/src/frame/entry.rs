//! The way in and out of every request: who asks is found, what fails is said.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::ALLOW;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::frame::failure::{Failed, Failure};
use crate::frame::kept::Kept;
use crate::frame::session::{VISIT_COOKIE, set_cookie};
use crate::frame::uploads::{Account, Cut};
use crate::frame::visit::{VISIT_S, Visit, add_cookie};
use crate::frame::waiting::Waiting;
use crate::frame::{account, login};
use crate::state::WebState;

/// When a request that had to give way to others may be sent again.
const BUSY_MS: i64 = 30_000;

/// Finds the visitor before the handler runs, gives new ones their cookie, and turns a failure
/// into a page or a JSON object for this visitor.
pub(crate) async fn layer(
    State(state): State<WebState>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    let (mut visit, is_new) = Visit::of(&state, request.uri(), request.headers(), client);
    visit.waiting = Waiting::of(&state, &visit).await;
    request.extensions_mut().insert(visit.clone());
    let (parts, body) = request.into_parts();
    let (account, body) = Account::open(&state.0.uploads, visit.client, body);
    let request = Request::from_parts(parts, body);
    let (request, kept) = match Kept::take(request).await {
        Ok(taken) => taken,
        Err(failure) => return cut(&account, failure).respond(&state, &visit),
    };
    let mut response = match account::password_first(&state, &visit) {
        Some(response) => response,
        None => next.run(request).await,
    };
    if let Some(Failed(failure)) = response.extensions_mut().remove::<Failed>() {
        let failure = cut(&account, failure);
        let allow = response.headers_mut().remove(ALLOW);
        response = match (&failure, kept) {
            (Failure::LoginRequired, Some(kept)) => login::keeping(&state, &visit, kept),
            (Failure::Stale, Some(kept)) if visit.person.is_some() => {
                let page = kept.page(&state, &visit);
                (failure.status(), page).into_response()
            }
            (failure, _) => failure.respond(&state, &visit),
        };
        response.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
    }
    if is_new && !visit.is_api && !visit.path.starts_with("/assets/") {
        let secure = state.secure_cookies();
        add_cookie(&mut response, &set_cookie(VISIT_COOKIE, &visit.id, VISIT_S, secure));
    }
    response
}

/// Of a request whose body was cut off, why that was.
fn cut(account: &Account, failure: Failure) -> Failure {
    match account.cut() {
        None => failure,
        Some(Cut::Slow) => Failure::malformed(Cut::Slow.to_string()),
        Some(Cut::Busy) => Failure::TooMany { wait_ms: BUSY_MS },
    }
}

/// The answer to a method that a path does not have.
pub(crate) async fn wrong_method() -> Failure {
    Failure::Method
}

/// The answer to a path that no page has.
pub(crate) async fn not_found() -> Failure {
    Failure::NotFound
}

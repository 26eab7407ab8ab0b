//! Larger type, for whoever asks for it at the foot of a page; the browser remembers it.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::WebState;
use super::login::local;
use super::session::{cookie, set_cookie};
use super::visit::add_cookie;

/// Name of the cookie.
const SIZE_COOKIE: &str = "cunlian_size";
/// Its value for larger type; any other is the usual size.
const LARGE: &str = "large";
/// It is kept this long, seconds.
const SIZE_S: u32 = 365 * 86_400;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/size", get(choose))
}

/// How large type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeSize {
    /// As the pages are made.
    Usual,
    /// For those who ask for more.
    Large,
}

impl TypeSize {
    /// What the browser remembers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if cookie(headers, SIZE_COOKIE) == Some(LARGE) { Self::Large } else { Self::Usual }
    }
}

#[derive(Deserialize)]
struct Chosen {
    to: String,
    #[serde(default)]
    next: String,
}

async fn choose(State(state): State<WebState>, Query(chosen): Query<Chosen>) -> Response {
    let next = local(&chosen.next);
    let mut response = Redirect::to(if next.is_empty() { "/" } else { next }).into_response();
    let size = if chosen.to == LARGE { LARGE } else { "normal" };
    let value = set_cookie(SIZE_COOKIE, size, SIZE_S, state.secure_cookies());
    add_cookie(&mut response, &value);
    response
}

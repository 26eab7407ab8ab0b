//! `/size`: the visitor chooses, and goes on where they were.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{LARGE, SIZE_COOKIE};
use crate::frame::session::set_cookie;
use crate::frame::url::local;
use crate::frame::visit::add_cookie;
use crate::state::WebState;

/// The choice is kept this long, seconds.
const SIZE_S: u32 = 365 * 86_400;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/size", get(choose))
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

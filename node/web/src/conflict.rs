//! The conflict inbox, and conflicts as other pages show them.

use axum::Router;
use axum::routing::{get, post};

use crate::state::WebState;

pub(crate) mod api;
pub(crate) mod boxes;
mod page;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/conflicts", get(page::show))
        .route("/conflicts/{category}/{address}/{document}", post(page::settle))
}

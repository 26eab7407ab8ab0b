//! How the node is: its page, what machines ask for, and its links in words.

use axum::Router;
use axum::routing::get;

use crate::state::WebState;

pub(crate) mod link;
mod metrics;
mod page;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/status", get(page::status))
        .route("/fragment/status", get(page::status_fragment))
        .route("/fragment/link", get(page::link_fragment))
        .route("/healthz", get(page::healthz))
        .route("/readyz", get(page::readyz))
        .route("/metrics", get(metrics::figures))
}

//! How the node is: its page, what machines ask for, and its links in words.

use axum::Router;
use axum::routing::get;
use utoipa::OpenApi as _;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::{Api, Room};
use crate::state::WebState;

mod api;
pub(crate) mod ledger;
pub(crate) mod link;
mod metrics;
mod page;

/// What the status of the node gives to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: Some(Api { routes: api::routes, description: api::Interface::openapi }),
    navigation: &[Entry {
        href: "/status",
        text: "nav-status",
        order: 60,
        shown: ShownTo::All,
        waiting: None,
    }],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/status", get(page::status))
        .route("/fragment/status", get(page::status_fragment))
        .route("/fragment/link", get(page::link_fragment))
        .route("/healthz", get(page::healthz))
        .route("/readyz", get(page::readyz))
        .route("/metrics", get(metrics::figures))
}

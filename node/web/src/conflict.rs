//! The conflict inbox, and conflicts as other pages show them.

use axum::Router;
use axum::routing::{get, post};
use utoipa::OpenApi as _;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::{Api, Room};
use crate::state::WebState;

mod api;
pub(crate) mod boxes;
mod page;

/// What conflicts give to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: Some(Api { routes: api::routes, description: api::Interface::openapi }),
    navigation: &[Entry {
        href: "/conflicts",
        text: "nav-conflicts",
        order: 40,
        shown: ShownTo::All,
        waiting: Some(page::waiting),
    }],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/conflicts", get(page::show))
        .route("/conflicts/{category}/{address}/{document}", post(page::settle))
}

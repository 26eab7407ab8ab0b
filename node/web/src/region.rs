//! Regions: figures by place with their definitions, and villages with their last contact.

use axum::Router;
use axum::routing::get;
use cunlian_protocol::certificate::Tier;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::Room;
use crate::state::WebState;

mod coverage;
mod overview;
mod villages;

/// What regions give to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: None,
    navigation: &[
        Entry {
            href: "/overview",
            text: "nav-overview",
            order: 10,
            shown: ShownTo::At(&[Tier::County, Tier::City, Tier::Province]),
            waiting: None,
        },
        Entry {
            href: "/villages",
            text: "nav-villages",
            order: 20,
            shown: ShownTo::At(&[Tier::Town]),
            waiting: None,
        },
    ],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/villages", get(villages::villages))
        .route("/overview", get(overview::overview))
        .route("/overview/{code}", get(overview::overview_of))
}

//! Door plates to print.

use axum::Router;
use axum::routing::get;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::Room;
use crate::state::WebState;

mod page;

/// What door plates give to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: None,
    navigation: &[Entry {
        href: "/plates",
        text: "nav-plates",
        order: 50,
        shown: ShownTo::All,
        waiting: None,
    }],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/plates", get(page::plates))
        .route("/plates/{code}", get(page::plates_of))
        .route("/plate/{file}", get(page::picture))
}

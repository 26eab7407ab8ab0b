//! Door plates to print.

use axum::Router;
use axum::routing::get;

use crate::state::WebState;

mod page;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/plates", get(page::plates))
        .route("/plates/{code}", get(page::plates_of))
        .route("/plate/{file}", get(page::picture))
}

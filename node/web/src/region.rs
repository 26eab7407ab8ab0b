//! Regions: figures by place with their definitions, and villages with their last contact.

use axum::Router;
use axum::routing::get;

use crate::state::WebState;

mod coverage;
mod overview;
mod villages;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/villages", get(villages::villages))
        .route("/overview", get(overview::overview))
        .route("/overview/{code}", get(overview::overview_of))
}

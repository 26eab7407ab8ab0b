//! The pages for villagers: no login, large type, few words. Whoever scanned a door plate finds its
//! village and reports; whoever has a receipt sees what became of it and says whether it helped.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Extension, Router};

use self::throttles::Throttles;
use crate::frame::room::Room;
use crate::limits::REPORT_BYTES;
use crate::state::WebState;

mod progress;
mod report;
mod throttles;

/// What the pages for villagers give to the whole.
pub(crate) const ROOM: Room = Room { routes, api: None, navigation: &[] };

fn routes() -> Router<WebState> {
    let upload = DefaultBodyLimit::max(REPORT_BYTES);
    Router::new()
        .route("/p/{code}", get(report::village))
        .route("/p/{code}/report", get(report::form).post(report::report).layer(upload))
        .route("/t", get(progress::find))
        .route("/t/{receipt}", get(progress::progress))
        .route("/t/{receipt}/rate", post(progress::rate))
        .route("/t/{receipt}/photo/{document}", get(progress::ticket_photo))
        .route_layer(Extension(Arc::new(Throttles::default())))
}

//! The status of the node as JSON.
//!
//! | request | answer |
//! |---|---|
//! | `GET status` | the node's [`NodeStatus`]; without login its name and health |

use axum::Router;
use axum::extract::{Json, State};
use axum::routing::get;
use cunlian_host::status::NodeStatus;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::frame::api::extract::{Nothing, StrictQuery};
use crate::frame::api::refusal::{Always, Refusal};
use crate::frame::visit::Visit;
use crate::state::WebState;

/// How this call is described.
#[derive(OpenApi)]
#[openapi(paths(status))]
pub(crate) struct Interface;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/api/v1/status", get(status))
}

/// How the node is: to people who have logged in with its links and counts, to everybody else by
/// name and health.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum StatusAnswer {
    /// For people who have logged in.
    Whole(Box<NodeStatus>),
    /// For everybody.
    Public(PublicStatus),
}

/// What everybody may know of a node.
#[derive(Serialize, ToSchema)]
struct PublicStatus {
    /// Its name.
    name: String,
    /// Whether it can save: `ok`, `low-space`, `disk-full`, `read-only`, `corrupt`, `failed`.
    health: String,
}

/// How the node and its links are; without login its name and health.
#[utoipa::path(get, path = "/api/v1/status", tag = "node", security((), ("session" = [])),
    responses(
        (status = 200, body = StatusAnswer),
        (status = 422, body = Refusal, description = "A query that makes no sense"),
        Always,
    ))]
async fn status(
    State(state): State<WebState>,
    visit: Visit,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
) -> Json<StatusAnswer> {
    let status = state.status();
    Json(match visit.person {
        Some(_) => StatusAnswer::Whole(Box::new(status)),
        None => StatusAnswer::Public(PublicStatus {
            health: status.health.name().to_owned(),
            name: status.name,
        }),
    })
}

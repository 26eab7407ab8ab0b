//! Conflicts as JSON.
//!
//! | request | answer |
//! |---|---|
//! | `GET conflicts` | `{conflicts}` |

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use cunlian_governance::projection::ConflictOption;
use cunlian_governance::query;
use cunlian_governance::query::conflict::Conflict;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::frame::api::extract::{Caller, Nothing, StrictQuery};
use crate::frame::api::names::{Address, CategoryNumber, Document};
use crate::frame::api::refusal::{Always, ToPeople};
use crate::frame::failure::Failure;
use crate::frame::reading::ask;
use crate::state::WebState;

/// Most conflicts in one answer.
const LIMIT_MAX: u32 = 1_000;

/// How these calls are described.
#[derive(OpenApi)]
#[openapi(paths(conflicts))]
pub(crate) struct Interface;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/api/v1/conflicts", get(conflicts))
}

/// Fields that people wrote at the same time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conflicts {
    /// At most a thousand, by address.
    pub(crate) conflicts: Vec<OpenConflict>,
}

/// One field with concurrent values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenConflict {
    /// Category of its document, 4 hexadecimal digits.
    #[schema(value_type = CategoryNumber)]
    pub(crate) category: String,
    /// Address code of its document.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// Key of the field.
    pub(crate) field: String,
    /// The values, the one that is shown first.
    #[schema(value_type = Vec<OneValue>)]
    pub(crate) options: Vec<ConflictOption>,
}

/// One of the values of a field.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) struct OneValue {
    /// The text.
    text: String,
    /// Name in the certificate of who wrote it.
    author: String,
    /// When, milliseconds since 1970-01-01 UTC.
    at_ms: i64,
    /// Where it came from, such as `terminal` or `api`.
    source: String,
    /// The signed change, 64 hexadecimal digits.
    change: String,
}

impl From<Conflict> for OpenConflict {
    fn from(Conflict { home, field, options }: Conflict) -> Self {
        let Home { category, address, document } = home;
        Self { category: category.to_string(), address, document, field, options }
    }
}

/// The fields of the node's region that people wrote at the same time, as far as the caller may
/// read them.
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "records",
    responses((status = 200, body = Conflicts), ToPeople, Always))]
async fn conflicts(
    State(state): State<WebState>,
    Caller(staff): Caller,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
) -> Result<Json<Conflicts>, Failure> {
    let regions = state.regions();
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let found = store.read(|connection| {
            query::conflict::list_within(connection, &reader, &regions, LIMIT_MAX)
        })?;
        let conflicts = found.into_iter().map(Into::into).collect();
        Ok::<_, Failure>(Json(Conflicts { conflicts }))
    })
    .await
}

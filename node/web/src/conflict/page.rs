//! The conflict inbox: fields two people wrote at the same time, with every value and who wrote
//! it. Choosing one is a signed change of its own; nothing is settled silently.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::conflict;
use cunlian_governance::query::conflict as inbox;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use rusqlite::Connection;
use serde::Deserialize;

use super::boxes::boxes;
use crate::frame::administrator::act;
use crate::frame::component::ConflictBox;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::navigation::Asking;
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::url::local;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Most conflicts on the page.
const SHOWN: u32 = 100;
/// Where a value that was chosen here comes from.
const SOURCE: &str = "conflict";

#[derive(Template)]
#[template(path = "conflict/conflicts.html")]
struct ConflictsPage {
    texts: Text,
    page: Page,
    saved: bool,
    conflicts: Vec<ConflictBox>,
    /// How many changes of revoked authors wait to be looked at.
    review: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SavedFlag {
    #[serde(default)]
    saved: String,
}

pub(super) async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Query(shown): Query<SavedFlag>,
) -> Result<Response, Failure> {
    let (texts, regions) = (staff.visit.texts, state.regions());
    let (actor, reader) = (staff.person.author.serial, staff.reader(&state));
    let reviewer = reader.clone();
    let token = staff.visit.token(&state);
    let conflicts = ask(&state, move |store| {
        let found =
            store.read(|connection| inbox::list_within(connection, &reader, &regions, SHOWN))?;
        boxes(store, &actor, found, texts, &token, "/conflicts")
    })
    .await?;
    let waiting = act(&state, move |administration| administration.to_review_by(&reviewer, 200));
    let waiting = waiting.await.map_err(|error| Failure::Internal(error.message))?.len();
    let review = (waiting > 0).then(|| texts.t1("conflicts-review", "n", waiting));
    let page = Page::staff(&state, &staff, texts.t("conflicts-title"));
    let saved = !shown.saved.is_empty();
    Ok(html(&ConflictsPage { texts, page, saved, conflicts, review }))
}

pub(super) async fn settle(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): Path<(String, String, String)>,
    posted: Posted,
) -> Result<Response, Failure> {
    let home = Home {
        category: u16::from_str_radix(&category, 16)
            .map(Category)
            .map_err(|_| Failure::NotFound)?,
        address: AddressCode::parse(&address).map_err(|_| Failure::NotFound)?,
        document: document.parse().map_err(|_| Failure::NotFound)?,
    };
    let field = posted.text("field").to_owned();
    let value = posted.0.get("value").cloned().unwrap_or_default();
    let settled =
        staff.act(&state, SOURCE, move |acting| conflict::settle(acting, &home, &field, &value));
    settled.await?;
    // A line break in it would be no header, and more than a path is for nobody.
    let back = match local(posted.text("back")) {
        back if back.starts_with("/records/") => back,
        _ => "/conflicts",
    };
    Ok(Redirect::to(&format!("{back}?saved=1")).into_response())
}

/// How many conflicts wait for a person.
pub(super) fn waiting(connection: &Connection, asking: &Asking<'_>) -> rusqlite::Result<u64> {
    inbox::count_within(connection, asking.reader, asking.regions)
}

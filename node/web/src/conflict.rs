//! The conflict inbox: fields two people wrote at the same time, with every value and who wrote
//! it. Choosing one is a signed change of its own; nothing is settled silently.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::capabilities::Capabilities;
use cunlian_governance::capability::Subject;
use cunlian_governance::conflict;
use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_governance::query::conflict::{self as inbox, Conflict};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use serde::Deserialize;

use crate::admin::act;
use crate::clock::full;
use crate::component::{ConflictBox, ConflictValue};
use crate::failure::Failure;
use crate::layout::{Page, html};
use crate::posted::Posted;
use crate::reading::{ask, name_of};
use crate::state::WebState;
use crate::text::{Text, domain_language};
use crate::url::local;
use crate::visit::Staff;

/// Most conflicts on the page.
const SHOWN: u32 = 100;
/// Where a value that was chosen here comes from.
const SOURCE: &str = "conflict";

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/conflicts", get(show))
        .route("/conflicts/{category}/{address}/{document}", post(settle))
}

#[derive(Template)]
#[template(path = "conflict/conflicts.html")]
struct ConflictsPage {
    l: Text,
    page: Page,
    saved: bool,
    conflicts: Vec<ConflictBox>,
    /// How many changes of revoked authors wait to be looked at.
    review: Option<String>,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    saved: String,
}

async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Query(shown): Query<Shown>,
) -> Result<Response, Failure> {
    let (l, regions) = (staff.visit.l, state.regions());
    let (actor, reader) = (staff.person.author.serial, staff.reader(&state));
    let reviewer = reader.clone();
    let token = staff.visit.token(&state);
    let conflicts = ask(&state, move |store| {
        let found =
            store.read(|connection| inbox::list_within(connection, &reader, &regions, SHOWN))?;
        boxes(store, &actor, found, l, &token, "/conflicts")
    })
    .await?;
    let waiting = act(&state, move |administration| administration.to_review_by(&reviewer, 200));
    let waiting = waiting.await.map_err(|error| Failure::Internal(error.message))?.len();
    let review = (waiting > 0).then(|| l.t1("conflicts-review", "n", waiting));
    let page = Page::staff(&state, &staff, l.t("conflicts-title"));
    let saved = !shown.saved.is_empty();
    Ok(html(&ConflictsPage { l, page, saved, conflicts, review }))
}

/// Conflicts that may be read as boxes; `actor` may settle those they may write.
pub(crate) fn boxes(
    store: &Store,
    actor: &Serial,
    conflicts: Vec<Conflict>,
    l: Text,
    token: &str,
    back: &str,
) -> Result<Vec<ConflictBox>, Failure> {
    let actor = Actor::new(store.authority(), *actor);
    let mut boxes = Vec::new();
    for conflict in conflicts {
        let home = conflict.home;
        let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
        let subject = Capabilities::of_program().subject(store, &home)?;
        let (href, name) = match subject {
            Some(Subject { home: base, .. }) if !actor.reads(&base) => {
                ("/conflicts".to_owned(), base.document.to_string())
            }
            Some(Subject { home: base, title }) if base.category.class_and_part().is_some() => {
                (super::record::record_href(&base), title)
            }
            Some(Subject { title, .. }) if !title.is_empty() => ("/conflicts".to_owned(), title),
            Some(_) | None => ("/conflicts".to_owned(), home.document.to_string()),
        };
        let place = store.read(|connection| Ok(name_of(connection, &home.address, 2)))?;
        let value = |option: cunlian_governance::projection::ConflictOption| ConflictValue {
            text: option.text,
            source: l.with(
                "written-by",
                &[
                    ("name", &option.author),
                    ("time", &full(option.at_ms)),
                    ("source", &super::record::source_name(l, &option.source)),
                ],
            ),
        };
        boxes.push(ConflictBox {
            l,
            token: token.to_owned(),
            action: format!("/conflicts/{}/{}/{}", home.category, home.address, home.document),
            back: back.to_owned(),
            href,
            record: format!("{name} · {place}"),
            label: label_of(&catalogue, &home, &conflict.field, l),
            before: store.common_ancestor(&home, &conflict.field)?.unwrap_or_default(),
            field: conflict.field,
            values: conflict.options.into_iter().map(value).collect(),
            may_resolve: actor.writes(&home),
        });
    }
    Ok(boxes)
}

/// The name of a field in the catalogue, or its key.
pub(crate) fn label_of(catalogue: &Catalogue, home: &Home, field: &str, l: Text) -> String {
    let class = home.category.class_and_part().and_then(|(class, _)| catalogue.by_number(class));
    class
        .and_then(|class| class.field(field))
        .map_or_else(|| field.to_owned(), |field| field.name(domain_language(l)).to_owned())
}

async fn settle(
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

//! Pages for administrators: invitations, people, nodes, what revoked authors left.
//!
//! For whoever may write the node's journal ([`Category::JOURNAL`] at the node's address): an act
//! here is done by the node with its key, and the journal names the person who had it done. The
//! acts themselves are `crate::admin`, as for the command line.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use cunlian_crdt::document::Edit;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::rights::Rights;
use serde_json::json;

use super::WebState;
use super::failure::Failure;
use super::layout::{Page, html};
use super::session::Person;
use super::visit::Staff;
use super::writing::save;
use crate::admin::{AdminError, Administration};
use crate::text::Text;

mod invitations;
mod nodes;
mod people;
mod review;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin", get(overview))
        .merge(invitations::routes())
        .merge(people::routes())
        .merge(nodes::routes())
        .merge(review::routes())
}

/// An administrator; anybody else is told that they are not one.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Staff);

impl FromRequestParts<WebState> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let staff = Staff::from_request_parts(parts, state).await?;
        if administers(state, &staff.person) {
            return Ok(Self(staff));
        }
        Err(Failure::Forbidden(staff.visit.l.t("admin-forbidden")))
    }
}

/// Whether the person may administer this node.
pub(crate) fn administers(state: &WebState, person: &Person) -> bool {
    let home = journal_of_people(state);
    state.store().authority().may(&person.author.serial, Rights::WRITE, &home).is_ok()
}

/// Where acts of administrators are written down: beside the node's own journal.
fn journal_of_people(state: &WebState) -> Home {
    Home {
        category: Category::JOURNAL,
        address: state.place().0,
        document: DocumentId(*b"administrators\0\0"),
    }
}

/// Does something that may take a while, away from the threads that answer requests.
pub(crate) async fn act<T: Send + 'static>(
    state: &WebState,
    work: impl FnOnce(&Administration) -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    let administration = state.administration().clone();
    match tokio::task::spawn_blocking(move || work(&administration)).await {
        Ok(outcome) => outcome,
        Err(error) => Err(AdminError::new(error)),
    }
}

/// Writes down, under the person's own signature, what they had done.
pub(crate) async fn note(
    state: &WebState,
    admin: &Admin,
    what: &str,
    subject: &str,
) -> Result<(), Failure> {
    let body = json!({ "journal": { "kind": "administration", "what": what, "subject": subject } });
    let write = cunlian_crdt::document::Write {
        home: journal_of_people(state),
        edits: vec![Edit::Append { body: body.to_string() }],
        source: "administration".to_owned(),
        task: String::new(),
    };
    save(state, admin.0.person.author.clone(), vec![write], state.now_ms()).await?;
    Ok(())
}

/// What went wrong, as a line above a form: the words of the program, and what to do.
pub(crate) fn problem(l: Text, error: &AdminError) -> String {
    let hint = error.hint.as_deref().unwrap_or_default();
    l.with("admin-problem", &[("reason", &error.message), ("hint", &hint.to_owned())])
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    l: Text,
    page: Page,
    cards: Vec<Card>,
}

/// An entry of a list to choose from.
pub(crate) struct Pick {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) selected: bool,
}

struct Card {
    href: &'static str,
    title: String,
    text: String,
}

async fn overview(State(state): State<WebState>, admin: Admin) -> Response {
    let l = admin.0.visit.l;
    let card = |href, key: &str| Card {
        href,
        title: l.t(&format!("admin-{key}-title")),
        text: l.t(&format!("admin-{key}-lead")),
    };
    let cards = vec![
        card("/admin/invitations", "invitations"),
        card("/admin/nodes", "nodes"),
        card("/admin/people", "people"),
        card("/admin/review", "review"),
    ];
    let page = Page::staff(&state, &admin.0, l.t("admin-title"));
    html(&AdminPage { l, page, cards })
}

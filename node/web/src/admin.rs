//! Pages for administrators: invitations, people, nodes, permissions, what revoked authors left.
//!
//! | module | page |
//! |---|---|
//! | `invitations` | `/admin/invitations`: a code for a new machine |
//! | `offline` | `/admin/issue`: a certificate for a machine without a line |
//! | `people` | `/admin/people`: who logs in here |
//! | `nodes` | `/admin/nodes`: children, revocations and who knows of them |
//! | `why` | `/admin/why`: may somebody do something, and why |
//! | `review` | `/admin/review`: for all who may read what is listed |
//! | `words` | names that people know |
//!
//! For whoever may write the node's journal (`Category::JOURNAL` at the node's address): an act
//! here is done by the node with its key, and the journal names the person who had it done. The
//! acts themselves are `cunlian_host::admin`, as for the command line.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use cunlian_crdt::document::Edit;
use cunlian_host::admin::certificate::read_address;
use cunlian_protocol::address::AddressCode;
use serde_json::json;

use crate::frame::administrator::{Admin, act, journal_of_people};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::Room;
use crate::frame::text::Text;
use crate::frame::writing::save;
use crate::state::WebState;

/// Most people and nodes offered when a name fits several.
const CANDIDATES: usize = 20;

mod invitations;
mod nodes;
mod offline;
mod people;
mod review;
pub mod sheet;
mod why;
mod words;

/// What administrators' pages give to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: None,
    navigation: &[Entry {
        href: "/admin",
        text: "nav-admin",
        order: 70,
        shown: ShownTo::Administrators,
        waiting: None,
    }],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin", get(overview))
        .merge(invitations::routes())
        .merge(people::routes())
        .merge(offline::routes())
        .merge(nodes::routes())
        .merge(why::routes())
        .merge(review::routes())
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

/// An address as people write it; digits that end inside of a segment are none.
pub(crate) fn code_of(text: &str) -> Option<AddressCode> {
    read_address(text).ok().filter(|code| !code.as_str().is_empty())
}

/// Somebody who may be meant by what was typed.
pub(crate) struct Candidate {
    pub(crate) serial: String,
    pub(crate) name: String,
    pub(crate) about: String,
}

/// Holders of certificates in whose name the text occurs, the first [`CANDIDATES`].
pub(crate) async fn candidates(
    state: &WebState,
    texts: Text,
    text: &str,
) -> Result<Vec<Candidate>, Failure> {
    let text = text.trim().to_owned();
    let found = act(state, move |administration| {
        let desk = administration.desk()?;
        let named = desk
            .authority
            .certificates()
            .filter(|certificate| !text.is_empty() && certificate.body().name.contains(&text));
        let newest = named.map(|certificate| desk.newest_of_key(certificate));
        let by_serial: BTreeMap<_, _> = newest.map(|found| (found.serial(), found)).collect();
        let candidates = by_serial.into_iter().take(CANDIDATES).map(|(serial, found)| Candidate {
            serial: serial.to_string(),
            name: found.body().name.clone(),
            about: words::holder(desk.store, texts, found),
        });
        Ok(candidates.collect())
    });
    found.await.map_err(|error| Failure::Internal(error.message))
}

#[derive(Template)]
#[template(path = "admin/home.html")]
struct AdminPage {
    texts: Text,
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
    let texts = admin.0.visit.texts;
    let card = |href, key: &str| Card {
        href,
        title: texts.t(&format!("admin-{key}-title")),
        text: texts.t(&format!("admin-{key}-lead")),
    };
    let cards = vec![
        card("/admin/invitations", "invitations"),
        card("/admin/nodes", "nodes"),
        card("/admin/people", "people"),
        card("/admin/why", "why"),
        card("/admin/review", "review"),
    ];
    let page = Page::staff(&state, &admin.0, texts.t("admin-title"));
    html(&AdminPage { texts, page, cards })
}

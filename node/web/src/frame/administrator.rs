//! Who may administer the node, and where what they do is written down.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use cunlian_governance::access::actor::Actor;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use crate::frame::failure::Failure;
use crate::frame::session::Person;
use crate::frame::visit::Staff;
use crate::state::WebState;

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
    Actor::new(state.store().authority(), person.author.serial).writes(&home)
}

/// Where acts of administrators are written down: beside the node's own journal.
pub(crate) fn journal_of_people(state: &WebState) -> Home {
    Home {
        category: Category::JOURNAL,
        address: state.place().0,
        document: DocumentId(*b"administrators\0\0"),
    }
}

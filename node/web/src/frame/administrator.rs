//! Who may administer the node, how they have it do something, and where that is written down.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use cunlian_governance::access::actor::Actor;
use cunlian_host::admin::{AdminError, Administration};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use crate::frame::failure::Failure;
use crate::frame::session::Person;
use crate::frame::text::Text;
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
        Err(Failure::Forbidden(staff.visit.texts.t("admin-forbidden")))
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

/// What went wrong, as a line above a form: the words of the program, and what to do. What people
/// often get wrong is checked before, and said in their language.
pub(crate) fn problem(texts: Text, error: &AdminError) -> String {
    let hint = error.hint.as_deref().unwrap_or_default();
    texts.with("admin-problem", &[("reason", &error.message), ("hint", &hint.to_owned())])
}

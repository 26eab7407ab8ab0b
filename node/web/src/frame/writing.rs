//! Doing and saving: one call for every page, durable when it returns.

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::WriteError;
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::refusal::{Failed, Refused};
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::id::{ChangeId, DocumentId};
use rand::Rng as _;

use crate::frame::failure::Failure;
use crate::frame::reading::ask;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Writes as `author`; the changes are on disk when this returns.
pub(crate) async fn save(
    state: &WebState,
    author: Author,
    writes: Vec<Write>,
    now_ms: i64,
) -> Result<Vec<ChangeId>, Failure> {
    ask(state, move |store| store.write(&author, writes, now_ms)).await
}

/// Does something as `author`, who reads what `reader` reads, off the asynchronous threads; what was
/// written is on disk when this returns.
pub(crate) async fn acting<T, E>(
    state: &WebState,
    (author, reader, source): (Author, Reader, &'static str),
    work: impl FnOnce(&Acting<'_>) -> Result<T, Failed<E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Refused + Send + 'static,
{
    let now_ms = state.now_ms();
    ask(state, move |store| {
        work(&Acting { store, author: &author, reader: &reader, source, now_ms })
    })
    .await
}

impl Staff {
    /// Does something as this person.
    pub(crate) async fn act<T, E>(
        &self,
        state: &WebState,
        source: &'static str,
        work: impl FnOnce(&Acting<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Refused + Send + 'static,
    {
        acting(state, (self.person.author.clone(), self.reader(state), source), work).await
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(Refusal::NoGrant { rights, home, .. }) => {
                Self::NoRight { rights, category: home.category }
            }
            WriteError::Refused(refusal) => Self::Forbidden(refusal.to_string()),
            WriteError::Storage(fault) => fault.into(),
            WriteError::Suspended(_) => Self::Unwritable(error.to_string()),
            WriteError::Nothing { .. }
            | WriteError::Erased { .. }
            | WriteError::NoDocument { .. }
            | WriteError::NotTainted { .. } => Self::Conflict(error.to_string()),
            WriteError::ChangeTooLarge { .. }
            | WriteError::DocumentTooLarge { .. }
            | WriteError::TooMany { .. } => Self::TooLarge,
            WriteError::ReservedField | WriteError::Reason => Self::malformed(error.to_string()),
            WriteError::Blob(_) | WriteError::BlobNotNamed { .. } => {
                Self::malformed(error.to_string())
            }
            WriteError::WrongKey | WriteError::Panicked => Self::Internal(error.to_string()),
        }
    }
}

/// An id for a new document. Forms carry it, so that a form sent twice makes one document.
pub(crate) fn new_document() -> DocumentId {
    let mut id = [0; DocumentId::LENGTH];
    rand::rng().fill_bytes(&mut id);
    DocumentId(id)
}

//! Saving: one call for every page, durable when it returns.

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::WriteError;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::id::{ChangeId, DocumentId};
use rand::Rng as _;

use crate::frame::failure::Failure;
use crate::frame::reading::ask;
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

/// As [`save`], with the content of what the writes name as blobs.
pub(crate) async fn save_with_blobs(
    state: &WebState,
    author: Author,
    writes: Vec<Write>,
    contents: Vec<Vec<u8>>,
    now_ms: i64,
) -> Result<Vec<ChangeId>, Failure> {
    ask(state, move |store| store.write_with_blobs(&author, writes, contents, now_ms)).await
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

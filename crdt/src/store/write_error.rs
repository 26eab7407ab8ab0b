//! Why a write was not done.

use cunlian_protocol::authority::Refusal;
use cunlian_protocol::blob::{BlobError, BlobName};
use cunlian_protocol::change::Home;
use cunlian_protocol::limits;

use super::health::Fault;
use super::suspension::Suspension;

/// Why a write was not done. None of the writes of the call was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// This store must not author now; taking in from peers goes on.
    #[error("{0}; nothing can be saved until it is released")]
    Suspended(Suspension),
    /// The author has no right to it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key is not the one in the author's certificate.
    #[error("the key of the author is not the one in the certificate")]
    WrongKey,
    /// The edits change nothing, such as taking away a field that is not there.
    #[error("the edits of {home:?} change nothing")]
    Nothing {
        /// The document.
        home: Home,
    },
    /// The document was erased; nothing can be added to it.
    #[error("{home:?} was erased; nothing can be added to it")]
    Erased {
        /// The document.
        home: Home,
    },
    /// What is to be erased is not here.
    #[error("{home:?} is not here, so it cannot be erased")]
    NoDocument {
        /// The document.
        home: Home,
    },
    /// An erasure says why, in 1 to 400 bytes.
    #[error("an erasure needs a reason of 1 to {} bytes", limits::REASON_BYTES)]
    Reason,
    /// What is reviewed is not a tainted change of the document.
    #[error("the change to be reviewed is not one of {home:?} that has to be")]
    NotTainted {
        /// The document.
        home: Home,
    },
    /// A field was named `operations`, which is the name of the list of operations, or has a name
    /// of more than 256 bytes.
    #[error("no field can be named \"operations\" or have a name of more than 256 bytes")]
    ReservedField,
    /// The change would be larger than [`limits::CHANGE_BYTES`].
    #[error("the change of {home:?} has {got} bytes, at most {} are allowed", limits::CHANGE_BYTES)]
    ChangeTooLarge {
        /// The document.
        home: Home,
        /// Bytes it would have.
        got: usize,
    },
    /// The document would be larger than [`limits::DOCUMENT_BYTES`].
    #[error("{home:?} would have {got} bytes, at most {} are allowed", limits::DOCUMENT_BYTES)]
    DocumentTooLarge {
        /// The document.
        home: Home,
        /// Bytes it would have.
        got: u64,
    },
    /// More operations, or values that they replace, than a change or a document may hold
    /// ([`limits::OPERATION_BYTES`], [`limits::DOCUMENT_OPERATIONS`]).
    #[error("the edits of {home:?} are too many for one change, or for the document")]
    TooMany {
        /// The document.
        home: Home,
    },
    /// Content that cannot be a blob.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Content was given that none of the writes names.
    #[error("{name:?} is not named by any of the documents written")]
    BlobNotNamed {
        /// The blob.
        name: BlobName,
    },
    /// The code of a projection panicked on the document.
    #[error("the document could not be worked out (panic)")]
    Panicked,
    /// The store could not do it.
    #[error(transparent)]
    Storage(#[from] Fault),
}

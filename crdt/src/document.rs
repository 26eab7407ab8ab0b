//! Documents as the rest of the system sees them: fields with provenance and concurrent values,
//! and workflow operations in order.
//!
//! A document is an Automerge document whose root map holds one scalar text per field, and the
//! list `operations` of JSON texts. Source and task of a write travel in the message of its
//! Automerge change, so that every value knows where it comes from.
//!
//! Some of a document may be the work of an author who was revoked before it: kept because others
//! built on it, and *tainted* until a person has looked at it ([`Tainted`], [`Edit::Review`]). A
//! document that was erased has no content any more, only the trace of it ([`Erasure`]).

use std::collections::BTreeMap;

use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::signing::SigningKey;

/// Who wrote a value, when, and on what occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Serial of the author's certificate.
    pub author: Serial,
    /// The author's number of the change.
    pub seq: u64,
    /// When the author's device recorded it, milliseconds since 1970-01-01 UTC.
    pub recorded_at_ms: i64,
    /// The change.
    pub change: ChangeId,
    /// Where the value comes from, such as `terminal` or `survey`.
    pub source: String,
    /// The task that asked for it; empty when none did.
    pub task: String,
    /// Whether the change does not stand and is kept only because others build on it.
    pub tainted: bool,
}

/// One value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldValue {
    /// The text.
    pub text: String,
    /// Its provenance.
    pub writer: Writer,
}

/// A field: the value every node shows first, and those written at the same time elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldView {
    /// The same choice at every node.
    pub current: FieldValue,
    /// Concurrent values, in a fixed order; not empty means conflict.
    pub others: Vec<FieldValue>,
}

/// One workflow operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// JSON text.
    pub body: String,
    /// Who appended it.
    pub writer: Writer,
    /// The change that took it back, when its own was tainted; it then has no effect.
    pub reverted_by: Option<ChangeId>,
}

/// A change that does not stand, kept because a change that stands builds on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tainted {
    /// Who made it, when, and which it is.
    pub writer: Writer,
    /// What it did.
    pub deeds: Vec<Deed>,
    /// What was decided about it; to take back outweighs to keep, whichever came first.
    pub review: Option<Review>,
}

/// One thing that a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Set a field.
    Put {
        /// Field name.
        field: String,
        /// Its text.
        text: String,
    },
    /// Took a field away.
    Delete {
        /// Field name.
        field: String,
    },
    /// Appended an operation.
    Append {
        /// JSON text.
        body: String,
    },
}

/// A person has looked at a tainted change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Whether it stays as it is; otherwise it was taken back.
    pub keep: bool,
    /// Who decided.
    pub writer: Writer,
}

/// That a document was erased, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The reason given.
    pub reason: String,
    /// Serial of who erased it.
    pub by: Serial,
    /// When that person's device recorded it, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// The change that erased it; of several the one recorded first.
    pub change: ChangeId,
}

/// A document as it stands here and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentView {
    /// Where it lives.
    pub home: Home,
    /// Fields by name.
    pub fields: BTreeMap<String, FieldView>,
    /// Operations: causes before effects, concurrent ones in an order equal at all nodes.
    pub operations: Vec<Operation>,
    /// Changes that are part of it.
    pub changes: u32,
    /// Changes whose dependencies have not arrived.
    pub waiting: u32,
    /// Changes in it that do not stand, in causal order.
    pub tainted: Vec<Tainted>,
    /// Present when the document was erased; it then has neither fields nor operations.
    pub erased: Option<Erasure>,
}

impl DocumentView {
    /// The operations that count, those of tainted changes that were taken back left out.
    pub fn effective(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.reverted_by.is_none())
    }
}

/// One edit of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Sets a field; over a conflicted field it resolves the conflict.
    Put {
        /// Field name.
        field: String,
        /// New text.
        text: String,
    },
    /// Takes a field away.
    Delete {
        /// Field name.
        field: String,
    },
    /// Appends a workflow operation.
    Append {
        /// JSON text.
        body: String,
    },
    /// Says what becomes of a tainted change. To take it back also gives the fields that it set
    /// the values that they have without it.
    Review {
        /// The tainted change.
        change: ChangeId,
        /// Whether it stays.
        keep: bool,
    },
}

/// Edits of one document that become one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which document; it is made if it does not exist.
    pub home: Home,
    /// What is edited.
    pub edits: Vec<Edit>,
    /// Where the values come from.
    pub source: String,
    /// The task that asked for them; may be empty.
    pub task: String,
}

/// Who writes: certificate, key and a fresh session nonce.
#[derive(Clone)]
pub struct Author {
    /// Serial of the certificate.
    pub serial: Serial,
    /// The secret key.
    pub key: SigningKey,
    /// Random number, new for each start of the process or login.
    pub session: u64,
}

impl std::fmt::Debug for Author {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Author").field("serial", &self.serial).finish_non_exhaustive()
    }
}

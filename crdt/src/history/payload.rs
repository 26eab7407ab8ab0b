//! The payload of a change: one Automerge change, cut down to what documents may hold.
//!
//! Anything else that Automerge could express (nested maps, counters, marks, removals from the
//! list) is refused on arrival, so that a certified but hostile author cannot make nodes disagree
//! or rewrite a workflow.
//!
//! A payload takes many times the memory of its bytes. Of a document that holds more than may count
//! of it, what is beyond that is kept *folded* ([`Reading`]): everything but the operations is
//! known, and these are read from the bytes when they count after all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use automerge::legacy::{self, ElementId, Key, ObjectId, OpType};
use automerge::{Change, ObjType, ScalarValue};
use cunlian_protocol::change::VerifiedChange;
use cunlian_protocol::limits;

use super::expansion::Unfolded;
use super::{OPERATIONS, OpId};
use crate::document::Writer;

/// Type byte of an uncompressed change in the header of an Automerge chunk, after magic and
/// checksum of 4 bytes each. A compressed one could unfold to any size.
const CHUNK_TYPE_AT: usize = 8;
const CHECKSUM_AT: std::ops::Range<usize> = 4..8;
const CHUNK_TYPE_CHANGE: u8 = 1;

/// Why a payload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("the payload is not an uncompressed Automerge change")]
    NotAChange,
    #[error("the payload cannot be decoded: {0}")]
    Malformed(String),
    #[error("the payload is not laid out as a change, or unfolds without end")]
    Unbounded,
    #[error("the payload unfolds to {operations} operations and {predecessors} predecessors")]
    Unfolds { bytes: usize, operations: u64, predecessors: u64 },
    #[error("Automerge panicked on the payload")]
    Panicked,
    #[error("the payload was made by another actor than author and session say")]
    WrongActor,
    #[error("operation {index} of the payload is not one that documents may hold")]
    Shape { index: usize },
}

/// One operation of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Put { field: Box<str>, text: Box<str>, replaced: Vec<OpId> },
    Delete { field: Box<str>, replaced: Vec<OpId> },
    MakeOperations,
    Append { list: OpId, body: Box<str> },
}

impl Step {
    /// The field it sets or takes away.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Put { field, .. } | Self::Delete { field, .. } => Some(field),
            Self::MakeOperations | Self::Append { .. } => None,
        }
    }
}

/// A decoded payload with its provenance.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) writer: Writer,
    pub(crate) hash: [u8; 32],
    pub(crate) actor: [u8; 16],
    pub(crate) actor_seq: u64,
    pub(crate) start_op: u64,
    pub(crate) dependencies: Vec<[u8; 32]>,
    /// Operations and their predecessors.
    pub(crate) weight: u64,
    operations: u64,
    content: Content,
}

/// What a payload does.
#[derive(Debug, Clone)]
enum Content {
    Steps(Arc<[Step]>),
    /// The bytes from which the steps can be read.
    Folded(Arc<[u8]>),
}

/// Reads the changes of one document, and keeps folded what would be too much.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Operations and predecessors that are still unfolded.
    left: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self { left: limits::DOCUMENT_OPERATIONS as u64 }
    }
}

impl Reading {
    /// The payload of a change that was checked when it came; `None` when this node does not
    /// interpret it, or it unfolds too far.
    pub(crate) fn read(&mut self, change: &VerifiedChange) -> Option<Payload> {
        let bytes = change.payload()?;
        let rest = Unfolded::of(bytes).and_then(|it| self.left.checked_sub(it.weight()));
        self.left = rest.unwrap_or(self.left);
        let read = || Payload::read(change, bytes, rest.is_none());
        let decoded = catch_unwind(AssertUnwindSafe(read));
        decoded.ok()?.ok()
    }
}

impl Payload {
    /// Decodes the payload of a change; `None` for a version this node does not interpret.
    pub(crate) fn decode(change: &VerifiedChange) -> Option<Result<Self, PayloadError>> {
        let bytes = change.payload()?;
        let decoded = catch_unwind(AssertUnwindSafe(|| Self::read(change, bytes, false)));
        Some(decoded.unwrap_or(Err(PayloadError::Panicked)))
    }

    /// Whether the payload of a change is not read because it unfolds too far. Stores may hold such
    /// changes that were taken in before there was a bound.
    pub(crate) fn unfolds_too_far(change: &VerifiedChange) -> bool {
        let unfolded = change.payload().map(Unfolded::of);
        unfolded.is_some_and(|it| it.is_none_or(|it| !it.is_within(change.bytes().len())))
    }

    /// Operations and predecessors of a change that has a payload, found without reading it.
    pub(crate) fn weight_of(change: &VerifiedChange) -> u64 {
        change.payload().and_then(Unfolded::of).map_or(0, |unfolded| unfolded.weight())
    }

    /// Operations with their ids; none while it is folded.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (OpId, &Step)> {
        let steps = match &self.content {
            Content::Steps(steps) => steps,
            Content::Folded(_) => [].as_slice(),
        };
        (self.start_op..).zip(steps).map(|(counter, step)| ((counter, self.actor), step))
    }

    /// Greatest operation counter of the change; `start_op - 1` when it has no operations.
    pub(crate) fn last_op(&self) -> u64 {
        self.start_op + self.operations - 1
    }

    /// Reads the steps if they were not.
    pub(super) fn unfold(&mut self) {
        if let Content::Folded(bytes) = &self.content {
            let read = || steps(&Change::try_from(&**bytes).ok()?).ok();
            let decoded = catch_unwind(AssertUnwindSafe(read));
            // Of a change that was checked when it came they can be.
            self.content = Content::Steps(decoded.ok().flatten().unwrap_or_default());
        }
    }

    /// Place among changes that do not know of each other, with an index carried along.
    pub(super) fn place(&self, index: usize) -> (u64, [u8; 16], [u8; 32], usize) {
        (self.start_op, self.actor, self.hash, index)
    }

    fn read(change: &VerifiedChange, bytes: &[u8], folded: bool) -> Result<Self, PayloadError> {
        if bytes.get(CHUNK_TYPE_AT) != Some(&CHUNK_TYPE_CHANGE) {
            return Err(PayloadError::NotAChange);
        }
        let unfolded = Unfolded::of(bytes).ok_or(PayloadError::Unbounded)?;
        if !unfolded.is_within(change.bytes().len()) {
            let Unfolded { operations, predecessors } = unfolded;
            let bytes = change.bytes().len();
            return Err(PayloadError::Unfolds { bytes, operations, predecessors });
        }
        let decoded =
            Change::try_from(bytes).map_err(|error| PayloadError::Malformed(error.to_string()))?;
        // Automerge reads a lone change without comparing its checksum, the first bytes of its hash.
        if bytes.get(CHECKSUM_AT) != decoded.hash().0.get(..CHECKSUM_AT.len()) {
            return Err(PayloadError::Malformed("the checksum is wrong".to_owned()));
        }
        let header = change.header();
        let actor = header.actor();
        if decoded.actor_id().to_bytes() != actor {
            return Err(PayloadError::WrongActor);
        }
        let (source, task) = provenance(decoded.message().unwrap_or_default());
        let writer = Writer {
            author: header.author,
            seq: header.seq,
            recorded_at_ms: header.recorded_at_ms,
            change: change.id(),
            source: source.to_owned(),
            task: task.to_owned(),
            tainted: false,
        };
        let content =
            if folded { Content::Folded(bytes.into()) } else { Content::Steps(steps(&decoded)?) };
        Ok(Self {
            writer,
            hash: decoded.hash().0,
            actor,
            actor_seq: decoded.seq(),
            start_op: decoded.start_op().get(),
            dependencies: decoded.deps().iter().map(|hash| hash.0).collect(),
            weight: unfolded.weight(),
            operations: decoded.len() as u64,
            content,
        })
    }
}

fn steps(change: &Change) -> Result<Arc<[Step]>, PayloadError> {
    let operations = change.decode().operations.into_iter().enumerate();
    operations
        .map(|(index, operation)| step(operation).ok_or(PayloadError::Shape { index }))
        .collect()
}

fn step(operation: legacy::Op) -> Option<Step> {
    let legacy::Op { action, obj, key, pred, insert } = operation;
    let replaced = || pred.iter().map(op_id).collect::<Option<Vec<_>>>();
    match (obj, key, action) {
        (ObjectId::Root, Key::Map(name), OpType::Make(ObjType::List))
            if name == OPERATIONS && pred.is_empty() && !insert =>
        {
            Some(Step::MakeOperations)
        }
        (ObjectId::Root, Key::Map(name), action)
            if name != OPERATIONS && name.len() <= limits::FIELD_NAME_BYTES && !insert =>
        {
            match action {
                OpType::Put(ScalarValue::Str(text)) => Some(Step::Put {
                    field: name.as_str().into(),
                    text: text.as_str().into(),
                    replaced: replaced()?,
                }),
                OpType::Delete => {
                    Some(Step::Delete { field: name.as_str().into(), replaced: replaced()? })
                }
                OpType::Put(_)
                | OpType::Make(_)
                | OpType::Increment(_)
                | OpType::MarkBegin(_)
                | OpType::MarkEnd(_) => None,
            }
        }
        (ObjectId::Id(list), Key::Seq(after), OpType::Put(ScalarValue::Str(text)))
            if insert && pred.is_empty() && is_place(&after) =>
        {
            Some(Step::Append { list: op_id(&list)?, body: text.as_str().into() })
        }
        _ => None,
    }
}

fn is_place(after: &ElementId) -> bool {
    match after {
        ElementId::Head => true,
        ElementId::Id(id) => op_id(id).is_some(),
    }
}

/// Actors of this system have 16 bytes.
fn op_id(id: &legacy::OpId) -> Option<OpId> {
    Some((id.counter(), id.actor().to_bytes().try_into().ok()?))
}

/// Source and task of a write as the message of its change.
pub(super) fn message(source: &str, task: &str) -> Option<String> {
    match (source, task) {
        ("", "") => None,
        (source, "") => Some(one_line(source)),
        (source, task) => Some(format!("{}\t{}", one_line(source), one_line(task))),
    }
}

fn one_line(text: &str) -> String {
    text.replace('\t', " ")
}

fn provenance(message: &str) -> (&str, &str) {
    message.split_once('\t').unwrap_or((message, ""))
}

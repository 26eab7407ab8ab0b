//! Making the Automerge change that carries out edits of a document.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

use automerge::legacy::{self, ElementId, Key, ObjectId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use cunlian_protocol::limits;

use super::payload::{Step, message};
use super::{History, OPERATIONS, OpId, review};
use crate::document::Edit;

/// Edits that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    #[error("the edits change nothing")]
    Nothing,
    #[error(
        "\"{OPERATIONS}\", or a name of more than {} bytes, cannot be a field",
        limits::FIELD_NAME_BYTES
    )]
    FieldName,
    #[error("the change is not one that has to be reviewed")]
    NotTainted,
}

impl History {
    /// The bytes of the Automerge change by `actor` that carries out `edits` on top of all that
    /// is applied here. Of several edits of one field the last counts.
    pub(crate) fn author(
        &self,
        actor: [u8; 16],
        edits: &[Edit],
        source: &str,
        task: &str,
    ) -> Result<Vec<u8>, EditError> {
        let operations = self.operations_for(actor, edits)?;
        let made = self.applied.iter().filter(|payload| payload.actor == actor);
        let change = ExpandedChange {
            operations,
            actor_id: ActorId::from(actor.as_slice()),
            hash: None,
            seq: made.map(|payload| payload.actor_seq).max().unwrap_or(0) + 1,
            start_op: NonZeroU64::new(self.last_op + 1).expect("one more than a count"),
            time: 0,
            message: message(source, task),
            deps: self.heads.iter().copied().map(ChangeHash).collect(),
            extra_bytes: Vec::new(),
            author: None,
        };
        Ok(Change::from(change).raw_bytes().to_vec())
    }

    fn operations_for(
        &self,
        actor: [u8; 16],
        edits: &[Edit],
    ) -> Result<Vec<legacy::Op>, EditError> {
        let mut next = Numbering { counter: self.last_op, actor };
        let mut operations = Vec::with_capacity(edits.len());
        let fields = if self.applied.is_empty() { BTreeMap::new() } else { self.fields() };
        for (name, text) in self.last_edits(edits)? {
            let replaced = fields.get(&*name).map(Vec::as_slice).unwrap_or_default();
            let action = match text {
                Some(text) => OpType::Put(ScalarValue::Str(text.as_ref().into())),
                None if replaced.is_empty() => continue,
                None => OpType::Delete,
            };
            next.take();
            operations.push(legacy::Op {
                action,
                obj: ObjectId::Root,
                key: Key::Map(name.as_ref().into()),
                pred: replaced.iter().map(|value| legacy_id(value.id)).collect(),
                insert: false,
            });
        }
        self.appends(edits, &mut next, &mut operations);
        if operations.is_empty() { Err(EditError::Nothing) } else { Ok(operations) }
    }

    fn appends(&self, edits: &[Edit], next: &mut Numbering, operations: &mut Vec<legacy::Op>) {
        let mut end: Option<(OpId, Option<OpId>)> = None;
        for edit in edits {
            let body = match edit {
                Edit::Append { body } => Cow::Borrowed(body.as_str()),
                Edit::Review { change, keep } => Cow::Owned(review::body(change, *keep)),
                Edit::Put { .. } | Edit::Delete { .. } => continue,
            };
            let (list, newest) = end.or_else(|| self.list_tail()).unwrap_or_else(|| {
                operations.push(legacy::Op {
                    action: OpType::Make(ObjType::List),
                    obj: ObjectId::Root,
                    key: Key::Map(OPERATIONS.into()),
                    pred: Vec::new().into(),
                    insert: false,
                });
                (next.take(), None)
            });
            let after = newest.map_or(ElementId::Head, |newest| ElementId::Id(legacy_id(newest)));
            operations.push(legacy::Op {
                action: OpType::Put(ScalarValue::Str(body.as_ref().into())),
                obj: ObjectId::Id(legacy_id(list)),
                key: Key::Seq(after),
                pred: Vec::new().into(),
                insert: true,
            });
            end = Some((list, Some(next.take())));
        }
    }

    fn last_edits<'a>(&self, edits: &'a [Edit]) -> Result<LastEdits<'a>, EditError> {
        let mut last = LastEdits::new();
        for edit in edits {
            match edit {
                Edit::Put { field, text } => {
                    last.insert(field.into(), Some(text.into()));
                }
                Edit::Delete { field } => {
                    last.insert(field.into(), None);
                }
                Edit::Review { change, keep } => {
                    let restored = self.restored(change)?;
                    let restored = restored.into_iter().filter(|_| !keep);
                    last.extend(restored.map(|(f, text)| (f.into(), text.map(Cow::from))));
                }
                Edit::Append { .. } => {}
            }
        }
        let too_long = |name: &Cow<'_, str>| name.len() > limits::FIELD_NAME_BYTES;
        let impossible = |name: &Cow<'_, str>| *name == OPERATIONS || too_long(name);
        if last.keys().any(impossible) { Err(EditError::FieldName) } else { Ok(last) }
    }

    /// The list to append to, the one Automerge shows if there are several, and its last element.
    fn list_tail(&self) -> Option<(OpId, Option<OpId>)> {
        let steps = || self.applied.iter().flat_map(super::Payload::steps);
        let made = steps().filter(|(_, step)| matches!(step, Step::MakeOperations));
        let list = made.map(|(id, _)| id).max()?;
        let elements = steps().filter(
            |(_, step)| matches!(step, Step::Append { list: within, .. } if *within == list),
        );
        Some((list, elements.map(|(id, _)| id).max()))
    }
}

/// The last edit of each field: its text, or `None` to take it away.
type LastEdits<'a> = BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>;

struct Numbering {
    counter: u64,
    actor: [u8; 16],
}

impl Numbering {
    fn take(&mut self) -> OpId {
        self.counter += 1;
        (self.counter, self.actor)
    }
}

fn legacy_id((counter, actor): OpId) -> legacy::OpId {
    legacy::OpId(counter, ActorId::from(actor.as_slice()))
}

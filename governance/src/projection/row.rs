//! What rows are made of.

use cunlian_crdt::document::{DocumentView, FieldView, Writer};
use cunlian_crdt::projector::Row;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use crate::library::masking;

/// One of the concurrent values of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictOption {
    /// The text.
    pub text: String,
    /// Name in the certificate of who wrote it.
    pub author: String,
    /// When its author's device recorded it, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Where it came from.
    pub source: String,
    /// The signed change.
    pub change: ChangeId,
}

/// A row of `table` at `home` with the remaining columns.
pub(crate) fn row(table: &'static str, home: &Home, rest: impl IntoIterator<Item = Value>) -> Row {
    let key = [
        Value::Integer(i64::from(home.category.0)),
        Value::Text(home.address.as_str().to_owned()),
        Value::Blob(home.document.as_bytes().to_vec()),
    ];
    Row { table, values: key.into_iter().chain(rest).collect() }
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Value {
    Value::Text(serde_json::to_string(value).expect("projected values serialise to JSON"))
}

/// The latest writer of any shown value, by time and then change, so that the choice is the same
/// everywhere.
pub(crate) fn latest(view: &DocumentView) -> Option<&Writer> {
    let fields = view.fields.values().map(|field| &field.current.writer);
    let operations = view.effective().map(|operation| &operation.writer);
    fields.chain(operations).max_by_key(|writer| (writer.recorded_at_ms, writer.change))
}

/// The fields with concurrent values that a person has to choose from. A mask follows its value:
/// it is chosen with it.
pub(crate) fn conflicted(view: &DocumentView) -> impl Iterator<Item = (&String, &FieldView)> {
    view.fields.iter().filter(|(name, field)| !field.others.is_empty() && !masking::is_mask(name))
}

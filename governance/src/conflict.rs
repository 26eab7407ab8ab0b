//! A field with concurrent values is settled: one value, chosen or new, stands for all of them.
//! Nothing is settled silently; the other values stay in the history.

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::Fault;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;

use crate::access::acting::Acting;
use crate::library::catalogue::{self, Catalogue};
use crate::library::record::{Problem, check};
use crate::library::{masking, whole};
use crate::refusal::{Failed, Refusal, RefusalKind, Refused, keys};

/// Why a conflict is not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There is no such field, or none that this person may read.
    #[error("there is no such field")]
    NotFound,
    /// Somebody has settled it.
    #[error("this has been settled already")]
    Gone,
    /// The value cannot stand in that field.
    #[error("{field} {problem}")]
    Value {
        /// The field.
        field: String,
        /// What is wrong with the value.
        problem: Problem,
    },
}

keys!(SettleError {
    Self::NotFound => "settle-not-found",
    Self::Gone => "settle-gone",
    Self::Value { .. } => "settle-value",
});

impl Refused for SettleError {
    fn refusal(&self) -> Refusal {
        let refusal = |class| Refusal::new(class, self.key(), self);
        match self {
            Self::NotFound => refusal(RefusalKind::NotFound),
            Self::Gone => refusal(RefusalKind::Conflict),
            Self::Value { field, problem } => refusal(RefusalKind::Malformed)
                .about_each([(field.clone(), problem.refusal())].into()),
        }
    }
}

/// Settles the conflict of `field` in the document at `home` with `value`. The mask of a sensitive
/// value in the base of its record is kept in step.
pub fn settle(
    acting: &Acting<'_>,
    home: &Home,
    field: &str,
    value: &str,
) -> Result<Vec<ChangeId>, Failed<SettleError>> {
    let refused = Failed::Refused;
    let store = acting.store;
    let view = if acting.reader.may_read_of_all(home) { store.view(home)? } else { None };
    let view = view.ok_or(refused(SettleError::NotFound))?;
    let known = view.fields.get(field).ok_or(refused(SettleError::NotFound))?;
    if known.others.is_empty() {
        return Err(refused(SettleError::Gone));
    }
    let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
    let class = home.category.class_and_part().and_then(|(class, _)| catalogue.by_number(class));
    let text = match class.and_then(|class| class.field(field)) {
        Some(definition) => check(definition, value)
            .map_err(|problem| refused(SettleError::Value { field: field.to_owned(), problem }))?,
        None => value.to_owned(),
    };
    let masked = masked(acting, &catalogue, home, field, &text)?;
    let field = field.to_owned();
    let edit = if text.is_empty() { Edit::Delete { field } } else { Edit::Put { field, text } };
    let write = |home, edit| Write {
        home,
        edits: vec![edit],
        source: acting.source.to_owned(),
        task: String::new(),
    };
    let mut writes = vec![write(*home, edit)];
    writes.extend(masked.map(|(base, edit)| write(base, edit)));
    Ok(acting.write(writes)?)
}

/// The edit of the base record that keeps the mask of a sensitive value in step with `text`.
fn masked(
    acting: &Acting<'_>,
    catalogue: &Catalogue,
    home: &Home,
    field: &str,
    text: &str,
) -> Result<Option<(Home, Edit)>, Fault> {
    let class = home.category.class_and_part().and_then(|(class, _)| catalogue.by_number(class));
    let field = class.and_then(|class| Some((class, class.field(field)?)));
    let Some((class, field)) = field else { return Ok(None) };
    let Some(base) = whole::base_of(acting.store, class, home)? else { return Ok(None) };
    let Some(view) = acting.store.view(&base)? else { return Ok(None) };
    // What is in conflict is written again, also where the mask looks the same.
    let settled = view.fields.iter().filter(|(_, field)| field.others.is_empty());
    let known = settled.map(|(key, field)| (key.clone(), field.current.text.clone())).collect();
    Ok(masking::mask_edit(class, field, text, &known).map(|edit| (base, edit)))
}

//! Tainted changes of a document, what people decided about them, and how one is taken back.
//!
//! A decision is an operation of the document with a body of exactly this form, which no workflow
//! uses; 64 hexadecimal digits, lower case:
//!
//! ```text
//! {"review":{"change":"0123…cdef","keep":true}}
//! ```
//!
//! It counts when its own change stands and the one it is about is tainted: nobody can take back
//! what stands. Of several the first that takes back counts, else the first.
//!
//! To take a change back means that the document is as if it had never been: its operations have
//! no effect, and each field it touched gets the value that it would have had. The fields are
//! worked out without all that was taken back so far and without what was put back for it, so
//! that several changes of one field can be taken back in any order.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::id::ChangeId;

use super::payload::{Payload, Step};
use super::{EditError, History};
use crate::document::{Deed, Review, Tainted};

/// The body of the operation that reviews a change.
pub(super) fn body(change: &ChangeId, keep: bool) -> String {
    format!("{{\"review\":{{\"change\":\"{change}\",\"keep\":{keep}}}}}")
}

/// The change that an operation reviews, and whether it stays; `None` for any other operation.
pub(super) fn read(body: &str) -> Option<(ChangeId, bool)> {
    let rest = body.strip_prefix("{\"review\":{\"change\":\"")?;
    let (change, rest) = rest.split_once("\",\"keep\":")?;
    let keep = match rest {
        "true}}" => true,
        "false}}" => false,
        _ => return None,
    };
    Some((change.parse().ok()?, keep))
}

impl History {
    /// The tainted changes with what was decided about them.
    pub(super) fn tainted(&self) -> Vec<Tainted> {
        let reviews = self.reviews();
        let tainted = self.applied.iter().filter(|payload| payload.writer.tainted);
        tainted
            .map(|payload| Tainted {
                writer: payload.writer.clone(),
                deeds: payload.steps().filter_map(|(_, step)| deed(step)).collect(),
                review: reviews.get(&payload.writer.change).cloned(),
            })
            .collect()
    }

    /// The decisions that count, by the change that they are about.
    pub(super) fn reviews(&self) -> BTreeMap<ChangeId, Review> {
        let tainted: BTreeSet<ChangeId> = self
            .applied
            .iter()
            .filter(|payload| payload.writer.tainted)
            .map(|payload| payload.writer.change)
            .collect();
        let mut reviews: BTreeMap<ChangeId, Review> = BTreeMap::new();
        if tainted.is_empty() {
            return reviews;
        }
        for payload in self.applied.iter().filter(|payload| !payload.writer.tainted) {
            for (change, keep) in decisions(payload).filter(|(change, _)| tainted.contains(change))
            {
                let outweighed = reviews.get(&change).is_none_or(|known| known.keep && !keep);
                if outweighed {
                    reviews.insert(change, Review { keep, writer: payload.writer.clone() });
                }
            }
        }
        reviews
    }

    /// Fields that have to be put back, with their texts, when `change` is taken back now; `None`
    /// takes a field away.
    pub(super) fn restored(
        &self,
        change: &ChangeId,
    ) -> Result<Vec<(String, Option<String>)>, EditError> {
        let is_it = |payload: &&Payload| payload.writer.change == *change;
        if !self.applied.iter().filter(is_it).any(|payload| payload.writer.tainted) {
            return Err(EditError::NotTainted);
        }
        let reviews = self.reviews();
        let mut taken_back: BTreeSet<ChangeId> =
            reviews.iter().filter(|(_, review)| !review.keep).map(|(change, _)| *change).collect();
        taken_back.insert(*change);
        let is_taken_back = |payload: &Payload| taken_back.contains(&payload.writer.change);
        let touched: BTreeSet<&str> = self
            .applied
            .iter()
            .filter(|payload| is_taken_back(payload))
            .flat_map(|payload| payload.steps().filter_map(|(_, step)| step.field()))
            .collect();
        let decides = |payload: &Payload| {
            !payload.writer.tainted && decisions(payload).any(|(_, keep)| !keep)
        };
        let now = self.fields();
        let without = self.fields_where(|payload, step| {
            let put_back = step.field().is_some_and(|field| touched.contains(field));
            !(is_taken_back(payload) || put_back && decides(payload))
        });
        let mut restored = Vec::new();
        for field in touched {
            let values = now.get(field).map(Vec::as_slice).unwrap_or_default();
            let shown = values.first().map(|value| value.text);
            let wanted = without.get(field).and_then(|values| values.first());
            let wanted = wanted.map(|value| value.text);
            let soiled = values.iter().any(|value| is_taken_back(value.payload));
            if soiled || shown != wanted {
                restored.push((field.to_owned(), wanted.map(str::to_owned)));
            }
        }
        Ok(restored)
    }
}

fn decisions(payload: &Payload) -> impl Iterator<Item = (ChangeId, bool)> {
    payload.steps().filter_map(|(_, step)| match step {
        Step::Append { body, .. } => read(body),
        Step::Put { .. } | Step::Delete { .. } | Step::MakeOperations => None,
    })
}

fn deed(step: &Step) -> Option<Deed> {
    match step {
        Step::Put { field, text, .. } => {
            Some(Deed::Put { field: field.to_string(), text: text.to_string() })
        }
        Step::Delete { field, .. } => Some(Deed::Delete { field: field.to_string() }),
        Step::Append { body, .. } => Some(Deed::Append { body: body.to_string() }),
        Step::MakeOperations => None,
    }
}

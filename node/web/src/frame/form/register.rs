//! The forms that made documents since the node was started, and whose turn it is to make one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use cunlian_protocol::id::DocumentId;
use tokio::sync::MutexGuard;

/// Forms whose first document is remembered, to say that another one was made. Documents do not
/// depend on it: a form older than this is saved as well, and nothing is said.
const FORMS_MAX: usize = 4_096;

/// The forms that made documents since the node was started.
#[derive(Default)]
pub(crate) struct Forms {
    turn: tokio::sync::Mutex<()>,
    first: Mutex<First>,
}

#[derive(Default)]
struct First {
    documents: BTreeMap<DocumentId, DocumentId>,
    order: VecDeque<DocumentId>,
}

impl Forms {
    /// One form is looked for and saved at a time: clicks at the same moment are one document.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The first document that `form` made.
    pub(crate) fn first(&self, form: &DocumentId) -> Option<DocumentId> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.documents.get(form).copied()
    }

    /// Keeps in mind that `form` made `document`, if it is the first.
    pub(crate) fn keep(&self, form: DocumentId, document: DocumentId) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.documents.contains_key(&form) {
            return;
        }
        if first.order.len() >= FORMS_MAX
            && let Some(oldest) = first.order.pop_front()
        {
            first.documents.remove(&oldest);
        }
        first.order.push_back(form);
        first.documents.insert(form, document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that the memory of forms is bounded and keeps the first document of each.
    #[test]
    fn forms_are_remembered_within_bounds() {
        let forms = Forms::default();
        let number = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            DocumentId(id)
        };
        for n in 0..=FORMS_MAX {
            forms.keep(number(n), number(0));
            forms.keep(number(n), number(1));
        }
        assert_eq!(forms.first(&number(0)), None, "the oldest made room");
        assert_eq!(forms.first(&number(FORMS_MAX)), Some(number(0)));
    }
}

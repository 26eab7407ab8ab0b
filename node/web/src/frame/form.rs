//! One way for forms: a form that is sent makes one document for each content it was sent with.
//!
//! | part of an id | from |
//! |---|---|
//! | form | 16 random bytes, hidden in the form when it is shown |
//! | document | the first 16 bytes of BLAKE3 over form, page, every field by name, and the photo |
//!
//! The document of a villager's report follows from that one by a key of the node: its receipt is what
//! the report is asked for by, so nobody can choose it.
//!
//! The same content sent again, by a nervous thumb or a slow line, finds its document. Other
//! content under the same form comes from the browser's Back: it is a document of its own, and
//! harmless when sent twice for the same reason. Nothing that was typed is taken for a replay.
//! What this is not: a store of drafts; a form that was never sent leaves nothing here.

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_protocol::id::DocumentId;

use crate::frame::failure::Failure;
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::state::WebState;

pub(crate) mod register;

const CONTEXT: &str = "cunlian 2026 form content";

/// A form that was sent, and the document that its content makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submission {
    /// The id in the form.
    pub(crate) form: DocumentId,
    /// The id of the document.
    pub(crate) document: DocumentId,
}

impl Submission {
    /// The submission of `posted` on `page`, with its photo.
    pub(crate) fn of(page: &str, posted: &Posted, photo: Option<&[u8]>) -> Result<Self, Failure> {
        let form = posted.text("document").parse();
        let form: DocumentId = form.map_err(|_| Failure::malformed("document"))?;
        let fields = posted.0.iter().map(|(name, text)| (name.as_str(), text.trim()));
        let fields = fields.filter(|(name, text)| *name != "document" && !text.is_empty());
        Ok(Self { form, document: derived(&form, page, fields, photo) })
    }

    /// The same with a document that nobody who sends the form can choose: its receipt is what a
    /// villager proves a report with.
    pub(crate) fn unguessable(self, state: &WebState) -> Self {
        Self { document: state.0.tokens.own_id(&self.document), ..self }
    }

    /// The id of the photo that belongs to it.
    pub(crate) fn photo(&self) -> DocumentId {
        derived(&self.document, "photo", std::iter::empty(), None)
    }

    /// Says that it is saved, and how that is to be told: `1`, or `2` when the same form has made
    /// a document with other content before.
    pub(crate) fn kept(&self, state: &WebState) -> u8 {
        let forms = &state.0.forms;
        forms.keep(self.form, self.document);
        if forms.first(&self.form) == Some(self.document) { 1 } else { 2 }
    }
}

/// The document that a program's writes make: under the id it gave, unless that holds other content,
/// which it then finds under a derived id. `make` gives the writes for an id, base document first.
///
/// The program is told the id, and that `changes` is empty where all of it was here before. Content
/// is compared with what stands here, so a retry after somebody's later edit is a new document.
pub(crate) fn placed<E>(
    store: &Store,
    given: DocumentId,
    make: impl Fn(DocumentId) -> Result<Vec<Write>, E>,
) -> Result<Result<Placed, E>, Failure> {
    let writes = match make(given) {
        Ok(writes) => writes,
        Err(error) => return Ok(Err(error)),
    };
    match standing(store, &writes)? {
        Standing::Absent => return Ok(Ok(Placed { document: given, writes, is_here: false })),
        Standing::Same => return Ok(Ok(Placed { document: given, writes, is_here: true })),
        Standing::Other => {}
    }
    let content = format!("{:?}", writes.iter().map(|write| &write.edits).collect::<Vec<_>>());
    let document = derived(&given, "api", [("", content.as_str())].into_iter(), None);
    let writes = match make(document) {
        Ok(writes) => writes,
        Err(error) => return Ok(Err(error)),
    };
    let is_here = !matches!(standing(store, &writes)?, Standing::Absent);
    Ok(Ok(Placed { document, writes, is_here }))
}

/// What a program wants written, and where.
pub(crate) struct Placed {
    /// The id of the document.
    pub(crate) document: DocumentId,
    /// The writes that make it.
    pub(crate) writes: Vec<Write>,
    /// Whether it stands here already.
    pub(crate) is_here: bool,
}

enum Standing {
    Absent,
    Same,
    Other,
}

fn standing(store: &Store, writes: &[Write]) -> Result<Standing, Failure> {
    let Some(base) = writes.first() else { return Ok(Standing::Absent) };
    if store.view(&base.home)?.is_none() {
        return Ok(Standing::Absent);
    }
    for write in writes {
        let Some(view) = store.view(&write.home)? else { return Ok(Standing::Other) };
        // What was erased is not written anew by a retry.
        if view.erased.is_none() && !write.edits.iter().all(|edit| holds(&view, edit)) {
            return Ok(Standing::Other);
        }
        let puts = write.edits.iter().filter(|edit| matches!(edit, Edit::Put { .. })).count();
        if view.erased.is_none() && puts != view.fields.len() {
            return Ok(Standing::Other);
        }
    }
    Ok(Standing::Same)
}

fn holds(view: &DocumentView, edit: &Edit) -> bool {
    match edit {
        Edit::Put { field, text } => {
            view.fields.get(field).is_some_and(|value| value.current.text == *text)
        }
        Edit::Delete { field } => !view.fields.contains_key(field),
        Edit::Append { body } => view.operations.iter().any(|done| done.body == *body),
        Edit::Review { .. } => false,
    }
}

/// The document that content makes under the id of a form.
pub(crate) fn derived<'a>(
    form: &DocumentId,
    page: &str,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
    photo: Option<&[u8]>,
) -> DocumentId {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    let mut part = |bytes: &[u8]| {
        // Lengths before contents: no two forms run together to the same bytes.
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(bytes);
    };
    part(form.as_bytes());
    part(page.as_bytes());
    part(photo.unwrap_or_default());
    for (name, text) in fields {
        part(name.as_bytes());
        part(text.as_bytes());
    }
    let mut id = [0; DocumentId::LENGTH];
    hasher.finalize_xof().fill(&mut id);
    DocumentId(id)
}

/// What a page says after a form was saved: `usual`, or that it was sent before with other content.
pub(crate) fn saved_words(l: Text, saved: &str, usual: &str) -> Option<String> {
    match saved {
        "" => None,
        "2" => Some(l.t("form-other")),
        _ => Some(l.t(usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(fields: &[(&str, &str)], photo: Option<&[u8]>) -> DocumentId {
        derived(&DocumentId([1; 16]), "/p/1", fields.iter().copied(), photo)
    }

    /// Shows that the same content gives the same document, and any other one another.
    #[test]
    fn a_document_stands_for_its_content() {
        let text = id(&[("text", "灯坏了")], None);
        assert_eq!(text, id(&[("text", "灯坏了")], None));
        let others = [
            id(&[("text", "水管漏了")], None),
            id(&[("text", "灯坏了")], Some(b"photo")),
            id(&[("text灯", "坏了")], None),
            derived(&DocumentId([2; 16]), "/p/1", [("text", "灯坏了")].into_iter(), None),
            derived(&DocumentId([1; 16]), "/p/2", [("text", "灯坏了")].into_iter(), None),
        ];
        assert!(!others.contains(&text));
    }
}

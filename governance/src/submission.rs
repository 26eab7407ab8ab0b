//! What is sent twice and made once: the document that something new becomes.
//!
//! | what sends | id | the same again |
//! |---|---|---|
//! | a form | derived of the form and its content | finds its document |
//! | a program | the one it has chosen | finds its document; other content makes another one |
//!
//! | part of a derived id | from |
//! |---|---|
//! | form | 16 random bytes, hidden in the form when it is shown |
//! | document | the first 16 bytes of BLAKE3 over form, page, every field by name, and the photo |
//!
//! Other content under the same form comes from the browser's Back: it is a document of its own,
//! and harmless when sent twice for the same reason. Nothing that was typed is taken for a replay.

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::id::DocumentId;

const CONTEXT: &str = "cunlian 2026 form content";

/// The document that something new is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intended {
    /// The id stands for the content: what is here under it was sent before.
    Derived(DocumentId),
    /// Somebody has chosen the id, and may give it to other content as well.
    Chosen(DocumentId),
}

/// What is to be written, and where.
pub(crate) struct Placed {
    /// The id of the document.
    pub(crate) document: DocumentId,
    /// The writes that make it, base document first.
    pub(crate) writes: Vec<Write>,
    /// Whether it stands here already.
    pub(crate) is_here: bool,
}

/// The document of a submission: under the id it has, unless that was chosen and holds other
/// content, which is then found under a derived id. `make` gives the writes for an id, base document
/// first.
///
/// Content is compared with what stands here, so a retry after somebody's later edit is a new
/// document where the id was chosen.
pub(crate) fn placed<E>(
    store: &Store,
    intended: Intended,
    make: impl Fn(DocumentId) -> Result<Vec<Write>, E>,
) -> Result<Result<Placed, E>, Fault> {
    let (Intended::Derived(document) | Intended::Chosen(document)) = intended;
    let writes = match make(document) {
        Ok(writes) => writes,
        Err(error) => return Ok(Err(error)),
    };
    let found = found(store, &writes)?;
    let is_same = match intended {
        Intended::Derived(_) => !matches!(found, Existing::Nothing),
        Intended::Chosen(_) => matches!(found, Existing::Same),
    };
    if is_same || matches!(found, Existing::Nothing) {
        return Ok(Ok(Placed { document, writes, is_here: is_same }));
    }
    let content = format!("{:?}", writes.iter().map(|write| &write.edits).collect::<Vec<_>>());
    let document = derived(&document, "api", [("", content.as_str())].into_iter(), None);
    let writes = match make(document) {
        Ok(writes) => writes,
        Err(error) => return Ok(Err(error)),
    };
    let is_here = !matches!(self::found(store, &writes)?, Existing::Nothing);
    Ok(Ok(Placed { document, writes, is_here }))
}

/// The document that content makes under the id of a form.
pub fn derived<'a>(
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

enum Existing {
    Nothing,
    Same,
    Other,
}

fn found(store: &Store, writes: &[Write]) -> Result<Existing, Fault> {
    let Some(base) = writes.first() else { return Ok(Existing::Nothing) };
    if store.view(&base.home)?.is_none() {
        return Ok(Existing::Nothing);
    }
    for write in writes {
        let Some(view) = store.view(&write.home)? else { return Ok(Existing::Other) };
        // What was erased is not written anew by a retry.
        if view.erased.is_none() && !write.edits.iter().all(|edit| holds(&view, edit)) {
            return Ok(Existing::Other);
        }
        let puts = write.edits.iter().filter(|edit| matches!(edit, Edit::Put { .. })).count();
        if view.erased.is_none() && puts != view.fields.len() {
            return Ok(Existing::Other);
        }
    }
    Ok(Existing::Same)
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

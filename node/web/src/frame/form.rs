//! One way for forms: a form that is sent makes one document for each content it was sent with
//! ([`cunlian_governance::submission`]).
//!
//! The document of a villager's report follows from that one by a key of the node: its receipt is what
//! the report is asked for by, so nobody can choose it.
//!
//! What this is not: a store of drafts; a form that was never sent leaves nothing here.

use cunlian_governance::submission::{Intended, derived};
use cunlian_protocol::id::DocumentId;

use crate::frame::failure::Failure;
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::state::WebState;

pub(crate) mod register;

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

    /// The document that it makes.
    pub(crate) const fn intended(&self) -> Intended {
        Intended::Derived(self.document)
    }

    /// Says that it is saved, and how that is to be told: `1`, or `2` when the same form has made
    /// a document with other content before.
    pub(crate) fn kept(&self, state: &WebState) -> u8 {
        let forms = &state.0.forms;
        forms.keep(self.form, self.document);
        if forms.first(&self.form) == Some(self.document) { 1 } else { 2 }
    }
}

/// What a page says after a form was saved: `usual`, or that it was sent before with other content.
pub(crate) fn saved_words(texts: Text, saved: &str, usual: &str) -> Option<String> {
    match saved {
        "" => None,
        "2" => Some(texts.t("form-other")),
        _ => Some(texts.t(usual)),
    }
}

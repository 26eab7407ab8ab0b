//! The forms of what a person may do with a ticket.

use cunlian_governance::ticket::{self as domain, Kind, Ticket, Verb};

use crate::frame::component::{Choice, FieldInput};
use crate::frame::posted::Posted;
use crate::frame::text::Text;

/// One action and its form.
pub(super) struct ActionForm {
    pub(super) verb: &'static str,
    pub(super) open: bool,
    pub(super) fields: Vec<FieldInput>,
}

/// A form that was sent and refused: which, with what, and why.
pub(super) struct Resubmission {
    pub(super) verb: Verb,
    pub(super) posted: Posted,
    pub(super) error: String,
}

/// The forms of the possible actions; the first next step of the process is open.
pub(super) fn forms(
    texts: Text,
    ticket: &Ticket,
    may: &[Verb],
    assignees: &[Choice],
    again: Option<&Resubmission>,
) -> Vec<ActionForm> {
    // The usual next step first.
    let rank = |verb: &Verb| match verb {
        Verb::Feedback if ticket.state == domain::State::Handling => 0,
        Verb::Accept => 1,
        Verb::Assign if ticket.state == domain::State::Accepted => 1,
        Verb::Handle => 2,
        Verb::Feedback | Verb::SignOff => 3,
        Verb::Assign => 4,
        Verb::Note => 5,
        Verb::AskMore => 6,
        Verb::Return => 7,
        Verb::Reject => 8,
        Verb::Report | Verb::Rate => 9,
    };
    let mut verbs = may.to_vec();
    verbs.sort_by_key(rank);
    let open = again.map(|again| again.verb).or_else(|| verbs.first().copied());
    verbs
        .into_iter()
        .map(|verb| {
            let typed = again.filter(|again| again.verb == verb).map(|again| &again.posted);
            ActionForm {
                verb: verb.as_str(),
                open: open == Some(verb),
                fields: action_fields(texts, ticket, verb, assignees, typed),
            }
        })
        .collect()
}

fn action_fields(
    texts: Text,
    ticket: &Ticket,
    verb: Verb,
    assignees: &[Choice],
    typed: Option<&Posted>,
) -> Vec<FieldInput> {
    let typed_text = |name| typed.map_or_else(String::new, |posted| posted.text(name).to_owned());
    let id = |name| format!("{}-{name}", verb.as_str());
    match verb {
        Verb::Accept => {
            let kinds = Kind::ALL.into_iter().map(|kind| Choice {
                value: kind.as_str().to_owned(),
                label: format!(
                    "{} · {}",
                    texts.of("kind", kind.as_str()),
                    texts.of("kind-limit", kind.as_str())
                ),
            });
            let value = ticket.kind.map_or_else(|| typed_text("kind"), |k| k.as_str().to_owned());
            let field = FieldInput::choice(texts, "kind", texts.t("fact-kind"), kinds.collect());
            vec![FieldInput { id: id("kind"), value, required: true, ..field }]
        }
        Verb::Assign => {
            let field =
                FieldInput::choice(texts, "to", texts.t("fact-assignee"), assignees.to_vec());
            vec![FieldInput { id: id("to"), value: typed_text("to"), required: true, ..field }]
        }
        Verb::Report | Verb::Rate => Vec::new(),
        Verb::Reject
        | Verb::AskMore
        | Verb::Return
        | Verb::Handle
        | Verb::Feedback
        | Verb::Note
        | Verb::SignOff => {
            let field = FieldInput::area(texts, "text", texts.of("verb-text", verb.as_str()));
            let required = !matches!(verb, Verb::Handle | Verb::SignOff);
            vec![FieldInput { id: id("text"), value: typed_text("text"), required, ..field }]
        }
    }
}

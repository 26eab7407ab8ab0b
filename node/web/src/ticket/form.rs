//! The forms of what a person may do with a ticket, and the actions they make.

use std::collections::BTreeMap;

use cunlian_governance::signoff::Signed;
use cunlian_governance::ticket::{self as domain, Action, Assignee, Kind, Ticket, Verb};
use cunlian_protocol::address::AddressCode;

use crate::frame::component::{Choice, FieldInput};
use crate::frame::failure::Failure;
use crate::frame::posted::Posted;
use crate::frame::text::Text;

/// One action and its form.
pub(super) struct ActionForm {
    pub(super) verb: &'static str,
    pub(super) open: bool,
    pub(super) fields: Vec<FieldInput>,
}

/// A form that was sent and refused: which, with what, and why.
pub(super) struct Again {
    pub(super) verb: Verb,
    pub(super) posted: Posted,
    pub(super) error: String,
}

/// The forms of the possible actions; the first next step of the process is open.
pub(super) fn forms(
    l: Text,
    ticket: &Ticket,
    may: &[Verb],
    assignees: &[Choice],
    again: Option<&Again>,
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
                fields: action_fields(l, ticket, verb, assignees, typed),
            }
        })
        .collect()
}

fn action_fields(
    l: Text,
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
                    l.of("kind", kind.as_str()),
                    l.of("kind-limit", kind.as_str())
                ),
            });
            let value = ticket.kind.map_or_else(|| typed_text("kind"), |k| k.as_str().to_owned());
            let field = FieldInput::choice(l, "kind", l.t("fact-kind"), kinds.collect());
            vec![FieldInput { id: id("kind"), value, required: true, ..field }]
        }
        Verb::Assign => {
            let field = FieldInput::choice(l, "to", l.t("fact-assignee"), assignees.to_vec());
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
            let field = FieldInput::area(l, "text", l.of("verb-text", verb.as_str()));
            let required = !matches!(verb, Verb::Handle | Verb::SignOff);
            vec![FieldInput { id: id("text"), value: typed_text("text"), required, ..field }]
        }
    }
}

/// The action a form or an API call asks for on this ticket. Who signs says with `digest` what
/// they have read.
pub(crate) fn action_on(
    ticket: &Ticket,
    verb: Verb,
    fields: &BTreeMap<String, String>,
) -> Result<Action, Failure> {
    if verb != Verb::SignOff {
        return action_of(verb, fields);
    }
    let read = fields.get("digest").filter(|digest| !digest.is_empty());
    let digest = read.cloned().ok_or_else(|| Failure::Malformed {
        reason: "digest is missing: it says what was read and is signed".to_owned(),
        field: Some("digest".to_owned()),
    })?;
    let text = fields.get("text").map_or("", |text| text.trim()).to_owned();
    let signed = Signed { digest, covers: ticket.matter.covers.clone() };
    Ok(Action::SignOff { signed, text })
}

/// The action a form or an API call asks for, but for a sign-off.
pub(crate) fn action_of(verb: Verb, fields: &BTreeMap<String, String>) -> Result<Action, Failure> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let missing = |field: &str| Failure::Malformed {
        reason: format!("{field} is missing or unknown"),
        field: Some(field.to_owned()),
    };
    Ok(match verb {
        Verb::Accept => {
            Action::Accept { kind: Kind::from_name(&text("kind")).ok_or_else(|| missing("kind"))? }
        }
        Verb::Assign => {
            let to = text("to");
            let (address, name) = to.split_once(' ').ok_or_else(|| missing("to"))?;
            let address = AddressCode::parse(address).map_err(|_| missing("to"))?;
            Action::Assign { to: Assignee { name: name.to_owned(), address } }
        }
        Verb::Rate => {
            let stars = text("stars").parse().map_err(|_| missing("stars"))?;
            Action::Rate { stars, text: text("text") }
        }
        Verb::Reject => Action::Reject { reason: text("text") },
        Verb::AskMore => Action::AskMore { text: text("text") },
        Verb::Return => Action::Return { reason: text("text") },
        Verb::Handle => Action::Handle { text: text("text") },
        Verb::Feedback => Action::Feedback { text: text("text"), photos: Vec::new() },
        Verb::Note => Action::Note { text: text("text") },
        Verb::Report | Verb::SignOff => return Err(missing("op")),
    })
}

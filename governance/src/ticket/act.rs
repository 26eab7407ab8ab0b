//! A step of a ticket is taken: by staff on a page or through the API, by a villager who rates.

use std::collections::BTreeMap;

use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;

use super::action::{Action, Assignee, Kind, Verb};
use super::command::TicketError;
use super::fold::fold;
use super::{State, Ticket, right};
use crate::access::acting::Acting;
use crate::access::actor::Actor;
use crate::access::reader::Reader;
use crate::checks;
use crate::refusal::Failed;
use crate::signoff::Signed;

/// A step as somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Any step but a report and a sign-off.
    Take(Action),
    /// A sign-off of what they have read, which its digest names.
    SignOff {
        /// The digest of the ticket as they saw it.
        digest: String,
        /// Their opinion; may be empty.
        text: String,
    },
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// Where the ticket stands after it.
    pub state: State,
    /// What was written.
    pub changes: Vec<ChangeId>,
    /// Whether who acted still reads the ticket: they may have handed it on.
    pub is_theirs: bool,
}

impl Step {
    /// The step that a form or a call names, with its fields by name.
    ///
    /// | step | fields |
    /// |---|---|
    /// | accept | `kind` |
    /// | assign | `to`: address code, a blank, name |
    /// | rate | `stars`, `text` |
    /// | sign off | `digest`, `text` |
    /// | any other but report | `text` |
    pub fn named(verb: Verb, fields: &BTreeMap<String, String>) -> Result<Self, TicketError> {
        let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
        let choice = |field| TicketError::Choice { field };
        Ok(Self::Take(match verb {
            Verb::Accept => {
                let kind = Kind::from_name(&text("kind"));
                Action::Accept { kind: kind.ok_or(choice("kind"))? }
            }
            Verb::Assign => {
                let to = text("to");
                let (address, name) = to.split_once(' ').ok_or(choice("to"))?;
                let address = AddressCode::parse(address).map_err(|_| choice("to"))?;
                Action::Assign { to: Assignee { name: name.to_owned(), address } }
            }
            Verb::Rate => {
                let stars = text("stars").parse().map_err(|_| choice("stars"))?;
                Action::Rate { stars, text: text("text") }
            }
            Verb::Reject => Action::Reject { reason: text("text") },
            Verb::AskMore => Action::AskMore { text: text("text") },
            Verb::Return => Action::Return { reason: text("text") },
            Verb::Handle => Action::Handle { text: text("text") },
            Verb::Feedback => Action::Feedback { text: text("text"), photos: Vec::new() },
            Verb::Note => Action::Note { text: text("text") },
            Verb::Report => return Err(choice("op")),
            Verb::SignOff => {
                let digest = text("digest");
                if digest.is_empty() {
                    return Err(choice("digest"));
                }
                return Ok(Self::SignOff { digest, text: text("text") });
            }
        }))
    }

    /// The action it is on this ticket.
    fn on(&self, ticket: &Ticket) -> Action {
        match self {
            Self::SignOff { digest, text } => {
                let covers = ticket.matter.covers.clone();
                let signed = Signed { digest: digest.clone(), covers };
                Action::SignOff { signed, text: text.clone() }
            }
            // Everybody in charge reads what is said with the stars.
            Self::Take(Action::Rate { stars, text }) => {
                Action::Rate { stars: *stars, text: checks::mask_numbers(text).0 }
            }
            Self::Take(action) => action.clone(),
        }
    }
}

/// Takes a step of a ticket, if who acts reads it, the words are in order and it fits the state.
pub fn act(acting: &Acting<'_>, home: &Home, step: &Step) -> Result<Acted, Failed<TicketError>> {
    let store = acting.store;
    let ticket = read(store, acting.reader, home)?.ok_or(Failed::Refused(TicketError::NotFound))?;
    let write = ticket.act(&step.on(&ticket), acting.source).map_err(Failed::Refused)?;
    let changes = acting.write(vec![write])?;
    let after = whoever(store, home)?.unwrap_or(ticket);
    Ok(Acted { state: after.state, changes, is_theirs: is_readable(acting.reader, &after) })
}

/// The ticket, if `reader` may read it.
pub fn read(store: &Store, reader: &Reader, home: &Home) -> Result<Option<Ticket>, Fault> {
    Ok(whoever(store, home)?.filter(|ticket| is_readable(reader, ticket)))
}

/// What `actor` may do with the ticket now, by state and by right, but for what villagers do.
pub fn possible(actor: &Actor, ticket: &Ticket) -> Vec<Verb> {
    ticket
        .actions()
        .filter(|verb| !matches!(verb, Verb::Report | Verb::Rate))
        .filter(|verb| actor.has(right(*verb), &ticket.home))
        .collect()
}

/// The ticket, whoever asks.
fn whoever(store: &Store, home: &Home) -> Result<Option<Ticket>, Fault> {
    let view = store.view(home)?;
    Ok(view.map(|view| fold(&view, &store.authority())))
}

fn is_readable(reader: &Reader, ticket: &Ticket) -> bool {
    let assignee = ticket.assignee.as_ref().map(|assignee| assignee.name.as_str());
    reader.may_read_ticket(&ticket.home, assignee)
}

//! Commands of people on tickets: each checks its words and the ticket as it stands here, and
//! returns what to write.
//!
//! The store checks the author's right again when it writes, and every node when it folds: a
//! command that was right here may turn out as not taken where a concurrent one came first.

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use super::action::{Action, Channel, Kind, Verb};
use super::receipt::Receipt;
use super::{State, Ticket, contact_home};
use crate::checks::{self, CheckError};
use crate::refusal::{Refusal, RefusalKind, Refused, keys};

/// Longest title, in characters. A longer one is cut.
pub const TITLE_CHARACTERS: usize = 40;
/// Longest text of one action, in characters.
pub const TEXT_CHARACTERS: usize = 2_000;

/// What a villager or a clerk reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// The village it belongs to.
    pub village: AddressCode,
    /// How it came in.
    pub channel: Channel,
    /// One line; when empty, the beginning of the text.
    pub title: String,
    /// The words.
    pub text: String,
    /// What the reporter thinks it is.
    pub kind: Option<Kind>,
    /// Photo documents.
    pub photos: Vec<DocumentId>,
    /// The villager's name; may be empty.
    pub name: String,
    /// The villager's phone; may be empty.
    pub phone: String,
    /// Source of the writes, such as `plate` or `terminal`.
    pub source: String,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// There is no such ticket, or none that this person may read.
    #[error("there is no such ticket")]
    NotFound,
    /// Something must be chosen, or said in another way.
    #[error("{field} is missing or unknown")]
    Choice {
        /// Which.
        field: &'static str,
    },
    /// The action does not fit the state.
    #[error("{} is not possible: the ticket is {}", .verb.as_str(), .state.as_str())]
    NotNow {
        /// What was tried.
        verb: Verb,
        /// Where the ticket stands.
        state: State,
    },
    /// Something must be written.
    #[error("{field} must be filled in")]
    Empty {
        /// Which text.
        field: &'static str,
    },
    /// The text is too long.
    #[error("the text has {got} characters; at most {most} are kept")]
    TooLong {
        /// How many it has.
        got: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A text with a character that cannot be seen.
    #[error(
        "{field} holds a hidden character (U+{code:04X}) at position {position}: type the text anew instead of pasting it"
    )]
    Hidden {
        /// Which text.
        field: &'static str,
        /// Counted from 1.
        position: usize,
        /// Its Unicode code point.
        code: u32,
    },
    /// The phone is not one.
    #[error("the phone {0}")]
    Phone(CheckError),
    /// A rating outside of 1–5.
    #[error("{got} stars; 1 to 5 can be given")]
    Stars {
        /// What was given.
        got: u8,
    },
    /// The address is not that of a village or below.
    #[error("{address} is not in a village: a ticket belongs to one")]
    Address {
        /// The address.
        address: AddressCode,
    },
    /// What was to be signed has changed since it was read.
    #[error("the ticket has changed since you read it; read it again before you sign")]
    Changed,
}

keys!(TicketError {
    Self::NotFound => "ticket-not-found",
    Self::NotNow { .. } => "ticket-not-now",
    Self::Changed => "ticket-changed",
    Self::Choice { field: "stars" } => "ticket-stars-missing",
    Self::Choice { .. } => "ticket-choice-missing",
    Self::Empty { .. } => "ticket-empty",
    Self::TooLong { .. } => "ticket-too-long",
    Self::Hidden { .. } => "ticket-hidden",
    Self::Phone(_) => "ticket-phone",
    Self::Stars { .. } => "ticket-stars",
    Self::Address { .. } => "ticket-address",
});

impl Refused for TicketError {
    fn refusal(&self) -> Refusal {
        let refusal = |class| Refusal::new(class, self.key(), self);
        let malformed = |field: &str| refusal(RefusalKind::Malformed).about(field);
        match self {
            Self::NotFound => refusal(RefusalKind::NotFound),
            Self::NotNow { state, .. } => refusal(RefusalKind::Conflict)
                .with_key("state", format!("state-{}", state.as_str())),
            Self::Changed => refusal(RefusalKind::Conflict),
            Self::Choice { field } | Self::Empty { field } => malformed(field),
            Self::TooLong { got, most } => malformed("text").with("got", got).with("most", most),
            Self::Hidden { field, position, code } => {
                malformed(field).with("position", position).with("code", &format!("U+{code:04X}"))
            }
            Self::Phone(_) => malformed("phone"),
            Self::Stars { got } => malformed("stars").with("got", got),
            Self::Address { address } => malformed("village").with("address", address),
        }
    }
}

/// Reports a ticket: its receipt and the writes of base and contact documents.
///
/// Name and phone go to the contact document alone. Phone and identity numbers inside the words
/// are masked there where everybody in charge reads them, and kept in full beside the phone.
/// `now_ms` must be the time the writes are stored with, because the receipt contains the day.
pub fn report(
    new: &NewTicket,
    document: DocumentId,
    now_ms: i64,
) -> Result<(Receipt, Vec<Write>), TicketError> {
    let village = new.village.truncate(Level::Village);
    let address = village.ok_or(TicketError::Address { address: new.village })?;
    let words = length_checked("text", &new.text)?;
    visible("title", &new.title)?;
    let name = visible("name", new.name.trim())?;
    let phone = match new.phone.trim() {
        "" => String::new(),
        phone => checks::phone(phone).map_err(TicketError::Phone)?,
    };
    let heading = if new.title.trim().is_empty() { words } else { new.title.trim() };
    let (text, masked_text) = checks::mask_numbers(words);
    let (title, _) = checks::mask_numbers(heading);
    let home = Home { category: Category::TICKET, address, document };
    let contact = contact_home(&home);
    let full = if masked_text { words } else { "" };
    let contact_edits: Vec<Edit> = [("name", name), ("phone", phone.as_str()), ("text", full)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, text)| Edit::Put { field: field.to_owned(), text: text.to_owned() })
        .collect();
    let action = Action::Report {
        channel: new.channel,
        title: first_line(&title),
        text,
        kind: new.kind,
        reporter: (!contact_edits.is_empty()).then_some(contact.document),
        photos: new.photos.clone(),
    };
    let mut writes = vec![action.write(home, &new.source)];
    if !contact_edits.is_empty() {
        writes.push(Write {
            home: contact,
            edits: contact_edits,
            source: new.source.clone(),
            task: String::new(),
        });
    }
    Ok((Receipt::of(&document, now_ms), writes))
}

impl Ticket {
    /// The write of `action` on this ticket, if its words are in order and it fits the state.
    pub fn act(&self, action: &Action, source: &str) -> Result<Write, TicketError> {
        let verb = action.verb();
        if !self.allows(verb) {
            return Err(TicketError::NotNow { verb, state: self.state });
        }
        if let Action::SignOff { signed, .. } = action
            && *signed != self.matter
        {
            return Err(TicketError::Changed);
        }
        let action = checked(action)?;
        Ok(action.write(self.home, source))
    }

    /// The actions that fit the state, in the order of the process.
    pub fn actions(&self) -> impl Iterator<Item = Verb> + '_ {
        Verb::ALL.into_iter().filter(|&verb| self.allows(verb))
    }
}

/// The action with its words trimmed, if they are in order.
fn checked(action: &Action) -> Result<Action, TicketError> {
    let required = |field, text: &str| length_checked(field, text).map(str::to_owned);
    let optional = |text: &str| match text.trim() {
        "" => Ok(String::new()),
        text => length_checked("text", text).map(str::to_owned),
    };
    Ok(match action {
        Action::Report { .. } | Action::Accept { .. } => action.clone(),
        Action::Reject { reason } => Action::Reject { reason: required("reason", reason)? },
        Action::AskMore { text } => Action::AskMore { text: required("text", text)? },
        Action::Assign { to } => {
            let mut to = to.clone();
            to.name = required("assignee", &to.name)?;
            Action::Assign { to }
        }
        Action::Return { reason } => Action::Return { reason: required("reason", reason)? },
        Action::Handle { text } => Action::Handle { text: optional(text)? },
        Action::Feedback { text, photos } => {
            Action::Feedback { text: required("text", text)?, photos: photos.clone() }
        }
        Action::Rate { stars, text } => {
            if !(1..=5).contains(stars) {
                return Err(TicketError::Stars { got: *stars });
            }
            Action::Rate { stars: *stars, text: optional(text)? }
        }
        Action::Note { text } => Action::Note { text: required("text", text)? },
        Action::SignOff { signed, text } => {
            Action::SignOff { signed: signed.clone(), text: optional(text)? }
        }
    })
}

fn length_checked<'a>(field: &'static str, text: &'a str) -> Result<&'a str, TicketError> {
    let text = text.trim();
    let got = text.chars().count();
    if got == 0 {
        return Err(TicketError::Empty { field });
    }
    if got > TEXT_CHARACTERS {
        return Err(TicketError::TooLong { got, most: TEXT_CHARACTERS });
    }
    visible(field, text)
}

fn visible<'a>(field: &'static str, text: &'a str) -> Result<&'a str, TicketError> {
    let hidden = |(position, code)| TicketError::Hidden { field, position, code };
    checks::first_hidden(text).map_or(Ok(text), |found| Err(hidden(found)))
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(TITLE_CHARACTERS).collect()
}

//! Tickets (工单): one standard and one process for every channel (双同一).
//!
//! A ticket is a document of [`Category::TICKET`] homed at its village whose operations are
//! [`Action`]s. Its state is a fold over them: every node that has the same operations, in the
//! order the document gives them, computes the same ticket. An action whose author lacked the
//! right, that does not fit the state, or that this version does not know changes nothing and
//! stays in the trace with the reason.
//!
//! ```text
//!            ┌─────── Reject ──────────────► Rejected
//! Report ► Reported ─ Accept ► Accepted ─ Assign ► Assigned ─ Handle ► Handling
//!                                 ▲  └─ Handle/Feedback (own case) ─┐     │
//!                                 └───────── Return ────────────────┼─────┤
//!                                                      Answered ◄───┴─ Feedback
//!                                                         └─ Rate ► Closed
//! ```
//!
//! A step whose author was revoked before it is kept where others built on it, is marked, and has
//! no effect once somebody has taken it back. Of a ticket that was erased the fold makes one in
//! the state `Erased`, with who did it, when and why, and nothing else.
//!
//! | document | category | holds |
//! |---|---|---|
//! | base | `TICKET` | the actions; no name, phone or identity number of a villager |
//! | part | `TICKET_CONTACT` | fields `name`, `phone`, and `text` where numbers were masked |
//! | photos | `TICKET_PHOTO` | named by id in `Report` and `Feedback`; each names a blob |
//!
//! Who may: `Assign` asks for [`Rights::ASSIGN`], `SignOff` for [`Rights::SIGN_OFF`], everything
//! else for [`Rights::WRITE`], all on the home of the ticket.
//!
//! A leader signs off a result ([`crate::signoff`]): the steps that were taken, but for ratings,
//! notes and sign-offs, which say something about it and do not change it. A step that is shown
//! and ignored voids nothing; one that was taken does, wherever in the order it arrives.

mod act;
mod action;
mod calendar;
mod command;
mod fold;
mod intake;
pub mod kinds;
mod limit;
mod photo;
pub(crate) mod projection;
pub mod query;
mod receipt;
pub(crate) mod rollup;
pub(crate) mod sample;
pub mod statistics;
mod whole;

use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::rights::Rights;
use serde::{Deserialize, Serialize};

use crate::signoff::{SignOffStatus, Signed};

pub use act::{Acted, Step, act, possible, read};
pub use action::{Action, Assignee, Body, Channel, Kind, Verb};
pub use calendar::{Calendar, CalendarError, day_start_ms, local_date, local_datetime};
pub use command::{NewTicket, TEXT_CHARACTERS, TITLE_CHARACTERS, TicketError, report};
pub use fold::{Judge, fold, fold_with};
pub use intake::{Reported, intake, receipt_of};
pub use limit::{Card, Clock, Goal, Limit, Rules, Span, Yellow};
pub use photo::{Picture, photo_home, photo_write, picture};
pub use receipt::{Receipt, ReceiptError};

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No report has been taken: nothing but actions without right, or none yet.
    Unreported,
    /// 上报: waits for a dispatcher.
    Reported,
    /// 受理: classified, the clock runs, waits for assignment.
    Accepted,
    /// 指派: waits for the assignee to begin.
    Assigned,
    /// 处置: under way.
    Handling,
    /// 反馈: the result is known, waits for the villager's rating.
    Answered,
    /// Rated.
    Closed,
    /// Refused with a reason.
    Rejected,
    /// Erased by law or request: nothing of it is left but that and why.
    Erased,
}

impl State {
    /// All states, in the order of the process.
    pub const ALL: [Self; 9] = [
        Self::Unreported,
        Self::Reported,
        Self::Accepted,
        Self::Assigned,
        Self::Handling,
        Self::Answered,
        Self::Closed,
        Self::Rejected,
        Self::Erased,
    ];

    /// Stable name, as stored in projections and used in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreported => "unreported",
            Self::Reported => "reported",
            Self::Accepted => "accepted",
            Self::Assigned => "assigned",
            Self::Handling => "handling",
            Self::Answered => "answered",
            Self::Closed => "closed",
            Self::Rejected => "rejected",
            Self::Erased => "erased",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether somebody in office still has to do something.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Reported | Self::Accepted | Self::Assigned | Self::Handling => true,
            Self::Unreported | Self::Answered | Self::Closed | Self::Rejected | Self::Erased => {
                false
            }
        }
    }

    /// Whether an action of this kind fits this state.
    pub const fn allows(self, verb: Verb) -> bool {
        match verb {
            Verb::Report => matches!(self, Self::Unreported),
            Verb::Accept => matches!(self, Self::Reported),
            Verb::Reject => matches!(self, Self::Reported | Self::Accepted),
            Verb::AskMore => self.is_open(),
            Verb::Assign => matches!(self, Self::Accepted | Self::Assigned | Self::Handling),
            Verb::Return => matches!(self, Self::Assigned | Self::Handling),
            Verb::Handle | Verb::Feedback => {
                matches!(self, Self::Accepted | Self::Assigned | Self::Handling)
            }
            Verb::Rate => matches!(self, Self::Answered),
            Verb::Note => !matches!(self, Self::Unreported | Self::Erased),
            Verb::SignOff => matches!(self, Self::Answered | Self::Closed | Self::Rejected),
        }
    }
}

/// The villager's judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rating {
    /// 1 (bad) to 5 (good).
    pub stars: u8,
    /// Words; may be empty.
    pub text: String,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It stands.
    Taken,
    /// Its author lacked the right; the text says which.
    NoRight(String),
    /// It did not fit the state the ticket was in.
    NotNow(State),
    /// Its content is outside what an action may hold.
    Invalid(String),
    /// This version does not know it.
    Unknown,
    /// Its author was revoked before it, and a person who looked at it took it back.
    Reverted,
}

impl Outcome {
    /// Stable name, as stored in projections and used in texts.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::NoRight(_) => "no_right",
            Self::NotNow(_) => "not_now",
            Self::Invalid(_) => "invalid",
            Self::Unknown => "unknown",
            Self::Reverted => "reverted",
        }
    }

    /// Why it was not taken; empty when it was.
    pub fn reason(&self) -> String {
        match self {
            Self::Taken | Self::Unknown | Self::Reverted => String::new(),
            Self::NoRight(reason) | Self::Invalid(reason) => reason.clone(),
            Self::NotNow(state) => state.as_str().to_owned(),
        }
    }
}

/// One step of the trace (过程追溯).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// When its author's device recorded it.
    pub at_ms: i64,
    /// The author's certificate.
    pub author: Serial,
    /// The name in it.
    pub handler: String,
    /// The signed change: the signature to verify.
    pub change: ChangeId,
    /// What was done.
    pub body: Body,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether its author was revoked before it: it was kept because others built on it.
    pub tainted: bool,
    /// The state after it.
    pub state: State,
}

/// A sign-off by somebody who had the right to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOff {
    /// The signed change: the signature to verify.
    pub change: ChangeId,
    /// The author's certificate.
    pub author: Serial,
    /// The name in it.
    pub handler: String,
    /// When its author's device recorded it.
    pub at_ms: i64,
    /// Their opinion; may be empty.
    pub text: String,
    /// What they signed.
    pub signed: Signed,
    /// What has become of it.
    pub standing: SignOffStatus,
    /// The name of who made the change that voids it; empty when it stands, or when something
    /// that was signed is no longer there.
    pub voided_by: String,
}

/// A ticket as its actions make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its base document.
    pub home: Home,
    /// What the villager keeps; `None` while unreported.
    pub receipt: Option<Receipt>,
    /// Where it stands.
    pub state: State,
    /// One line.
    pub title: String,
    /// The villager's words, numbers masked.
    pub text: String,
    /// How it came in.
    pub channel: Option<Channel>,
    /// The contact document of who reported it; `None` when anonymous.
    pub reporter: Option<DocumentId>,
    /// Photos of the report.
    pub photos: Vec<DocumentId>,
    /// Limit class: suggested by the report, fixed by the acceptance.
    pub kind: Option<Kind>,
    /// Who is to handle it.
    pub assignee: Option<Assignee>,
    /// What was asked of the villager and not yet supplied.
    pub asked: Option<String>,
    /// The result, or the reason of a rejection.
    pub result: Option<String>,
    /// Photos of the result.
    pub result_photos: Vec<DocumentId>,
    /// The villager's judgement.
    pub rating: Option<Rating>,
    /// Time of the report.
    pub reported_ms: Option<i64>,
    /// Time of the acceptance: the clock runs from here.
    pub accepted_ms: Option<i64>,
    /// Time of the latest assignment.
    pub assigned_ms: Option<i64>,
    /// First time the villager was told something: handling with text, result or rejection.
    pub replied_ms: Option<i64>,
    /// Time of the result or the rejection.
    pub completed_ms: Option<i64>,
    /// Time of the rating or the rejection.
    pub closed_ms: Option<i64>,
    /// Time of the latest action that was taken.
    pub updated_ms: i64,
    /// How often it was returned.
    pub returns: u32,
    /// Every action, also those not taken, in order.
    pub trace: Vec<TraceStep>,
    /// Sign-offs that were taken, in order, with what has become of each.
    pub sign_offs: Vec<SignOff>,
    /// What a sign-off of the ticket as it is here carries.
    pub matter: Signed,
    /// That it was erased, and why; everything else is then empty.
    pub erased: Option<Erased>,
}

/// Who erased a ticket, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The reason given.
    pub reason: String,
    /// The certificate of who did it.
    pub author: Serial,
    /// The name in it.
    pub handler: String,
    /// When their device recorded it.
    pub at_ms: i64,
    /// The signed change.
    pub change: ChangeId,
}

impl Ticket {
    /// Whether an action of this kind fits the state. What is signed off is not signed again
    /// before it has changed.
    pub fn allows(&self, verb: Verb) -> bool {
        let signed = || self.sign_off().is_some_and(|sign_off| sign_off.standing.stands());
        self.state.allows(verb) && (verb != Verb::SignOff || !signed())
    }

    /// The sign-off that counts: one that stands, else the latest; `None` when there is none.
    pub fn sign_off(&self) -> Option<&SignOff> {
        let stands = self.sign_offs.iter().rfind(|sign_off| sign_off.standing.stands());
        stands.or(self.sign_offs.last())
    }

    /// The action that signs off the ticket as it is here.
    pub fn signing(&self, text: &str) -> Action {
        Action::SignOff { signed: self.matter.clone(), text: text.to_owned() }
    }

    /// The running or stopped clock; `None` before the acceptance.
    pub fn clock(&self, rules: &Rules) -> Option<Clock> {
        let limit = rules.limit(self.kind?)?;
        let stopped_ms = match limit.goal {
            Goal::Answered => self.replied_ms,
            Goal::Solved => self.completed_ms,
        };
        limit.clock(self.accepted_ms?, stopped_ms, &rules.calendar)
    }

    /// The home of the contact document.
    pub fn contact_home(&self) -> Home {
        contact_home(&self.home)
    }
}

/// The home of a ticket's contact document.
pub fn contact_home(ticket: &Home) -> Home {
    let category = Category::TICKET_CONTACT;
    Home { category, address: ticket.address, document: ticket.document.part(category) }
}

/// The right an action of this kind asks for on the home of the ticket.
pub const fn right(verb: Verb) -> Rights {
    match verb {
        Verb::Assign => Rights::ASSIGN,
        Verb::SignOff => Rights::SIGN_OFF,
        Verb::Report
        | Verb::Accept
        | Verb::Reject
        | Verb::AskMore
        | Verb::Return
        | Verb::Handle
        | Verb::Feedback
        | Verb::Rate
        | Verb::Note => Rights::WRITE,
    }
}

#[cfg(test)]
mod tests;

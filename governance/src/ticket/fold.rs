//! The fold: from the operations of a document to the ticket they make.
//!
//! The order of operations is the document's: causes before effects, concurrent ones in an order
//! equal at all nodes. The fold adds nothing of its own, so equal documents and equal authority
//! give equal tickets. Of two concurrent actions that exclude each other, the first in that order
//! is taken and the other stays in the trace as not fitting.

use cunlian_crdt::document::{DocumentView, Operation, Writer};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;

use super::action::{Action, Body};
use super::receipt::Receipt;
use super::{Erased, Outcome, Rating, SignOff, State, Ticket, TraceStep, right};
use crate::signoff::{Matter, SignOffStatus, Signed};
use crate::ticket::action::Verb;

/// What the fold has to know about authors.
pub trait Judge {
    /// Whether `writer` may do this on the ticket `home`; the reason if not.
    fn may(&self, writer: &Writer, verb: Verb, home: &Home) -> Result<(), String>;

    /// The name of `author` in its certificate.
    fn name_of(&self, author: &Serial) -> String;

    /// The name of `writer` in its certificate.
    fn name(&self, writer: &Writer) -> String {
        self.name_of(&writer.author)
    }
}

impl Judge for Authority {
    fn may(&self, writer: &Writer, verb: Verb, home: &Home) -> Result<(), String> {
        Authority::may(self, &writer.author, right(verb), home)
            .map_err(|refusal| refusal.to_string())
    }

    fn name_of(&self, author: &Serial) -> String {
        Authority::name(self, author)
    }
}

/// The ticket in `view`, with authors judged by `authority`.
pub fn fold(view: &DocumentView, authority: &Authority) -> Ticket {
    fold_with(view, authority)
}

/// The ticket in `view`, with authors judged by `judge`.
pub fn fold_with(view: &DocumentView, judge: &impl Judge) -> Ticket {
    let mut ticket = empty(view.home);
    let mut matter = Matter::new(view.home, &view.fields);
    for operation in &view.operations {
        step(&mut ticket, operation, judge, &mut matter);
    }
    for sign_off in &mut ticket.sign_offs {
        sign_off.standing = matter.status(&sign_off.signed);
        if let SignOffStatus::Void { since: Some(writer) } = &sign_off.standing {
            sign_off.voided_by = judge.name(writer);
        }
    }
    ticket.matter = matter.signed();
    if let Some(erasure) = &view.erased {
        ticket.state = State::Erased;
        ticket.updated_ms = erasure.at_ms;
        ticket.erased = Some(Erased {
            reason: erasure.reason.clone(),
            author: erasure.by,
            handler: judge.name_of(&erasure.by),
            at_ms: erasure.at_ms,
            change: erasure.change,
        });
    }
    ticket
}

fn empty(home: Home) -> Ticket {
    Ticket {
        home,
        receipt: None,
        state: State::Unreported,
        title: String::new(),
        text: String::new(),
        channel: None,
        reporter: None,
        photos: Vec::new(),
        kind: None,
        assignee: None,
        asked: None,
        result: None,
        result_photos: Vec::new(),
        rating: None,
        reported_ms: None,
        accepted_ms: None,
        assigned_ms: None,
        replied_ms: None,
        completed_ms: None,
        closed_ms: None,
        updated_ms: 0,
        returns: 0,
        trace: Vec::new(),
        sign_offs: Vec::new(),
        matter: Signed { digest: String::new(), covers: Vec::new() },
        erased: None,
    }
}

fn step<'a>(
    ticket: &mut Ticket,
    operation: &'a Operation,
    judge: &impl Judge,
    matter: &mut Matter<'a>,
) {
    let writer = &operation.writer;
    let body = Body::decode(&operation.body);
    let outcome = match &body {
        _ if operation.reverted_by.is_some() => Outcome::Reverted,
        Body::Unknown(_) => Outcome::Unknown,
        Body::Known(action) => {
            let outcome = judge_action(ticket, action, writer, judge, matter);
            if outcome == Outcome::Taken {
                ticket.updated_ms = ticket.updated_ms.max(writer.recorded_at_ms);
                if let Action::SignOff { signed, text } = action {
                    ticket.sign_offs.push(sign_off(writer, judge, signed, text));
                } else {
                    take(ticket, action, writer.recorded_at_ms);
                    if is_signed(action.verb()) {
                        matter.push(writer);
                    }
                }
            }
            outcome
        }
    };
    ticket.trace.push(TraceStep {
        at_ms: writer.recorded_at_ms,
        author: writer.author,
        handler: judge.name(writer),
        change: writer.change,
        body,
        outcome,
        tainted: writer.tainted,
        state: ticket.state,
    });
}

/// Whether a step of this kind is part of what a leader signs.
const fn is_signed(verb: Verb) -> bool {
    !matches!(verb, Verb::Rate | Verb::Note | Verb::SignOff)
}

/// A sign-off as it was made; what has become of it is known after the last step.
fn sign_off(writer: &Writer, judge: &impl Judge, signed: &Signed, text: &str) -> SignOff {
    SignOff {
        change: writer.change,
        author: writer.author,
        handler: judge.name(writer),
        at_ms: writer.recorded_at_ms,
        text: text.to_owned(),
        signed: signed.clone(),
        standing: SignOffStatus::Stands,
        voided_by: String::new(),
    }
}

fn judge_action(
    ticket: &Ticket,
    action: &Action,
    writer: &Writer,
    judge: &impl Judge,
    matter: &Matter<'_>,
) -> Outcome {
    let verb = action.verb();
    if let Err(reason) = judge.may(writer, verb, &ticket.home) {
        return Outcome::NoRight(reason);
    }
    // A result that was signed may have been overtaken by a step that sorts before it: such a
    // sign-off is kept, to be shown as void. Signing what has no result is not possible.
    if let Action::SignOff { signed, .. } = action {
        let unfinished = !ticket.state.allows(verb) && matter.status(signed).stands();
        return if unfinished { Outcome::NotNow(ticket.state) } else { Outcome::Taken };
    }
    if !ticket.state.allows(verb) {
        return Outcome::NotNow(ticket.state);
    }
    match action {
        Action::Rate { stars, .. } if !(1..=5).contains(stars) => {
            Outcome::Invalid(format!("{stars} stars; 1 to 5 can be given"))
        }
        Action::Report { .. }
        | Action::Accept { .. }
        | Action::Reject { .. }
        | Action::AskMore { .. }
        | Action::Assign { .. }
        | Action::Return { .. }
        | Action::Handle { .. }
        | Action::Feedback { .. }
        | Action::Rate { .. }
        | Action::Note { .. }
        | Action::SignOff { .. } => Outcome::Taken,
    }
}

/// Applies an action that was taken at `at_ms` of its author's clock.
fn take(ticket: &mut Ticket, action: &Action, at_ms: i64) {
    match action {
        Action::Report { channel, title, text, kind, reporter, photos } => {
            ticket.state = State::Reported;
            ticket.receipt = Some(Receipt::of(&ticket.home.document, at_ms));
            ticket.channel = Some(*channel);
            ticket.title.clone_from(title);
            ticket.text.clone_from(text);
            ticket.kind = *kind;
            ticket.reporter = *reporter;
            ticket.photos.clone_from(photos);
            ticket.reported_ms = Some(at_ms);
        }
        Action::Accept { kind } => {
            ticket.state = State::Accepted;
            ticket.kind = Some(*kind);
            ticket.accepted_ms = Some(at_ms);
        }
        Action::Reject { reason } => {
            ticket.state = State::Rejected;
            ticket.result = Some(reason.clone());
            ticket.replied_ms.get_or_insert(at_ms);
            ticket.completed_ms = Some(at_ms);
            ticket.closed_ms = Some(at_ms);
        }
        Action::AskMore { text } => ticket.asked = Some(text.clone()),
        Action::Assign { to } => {
            ticket.state = State::Assigned;
            ticket.assignee = Some(to.clone());
            ticket.assigned_ms = Some(at_ms);
        }
        Action::Return { .. } => {
            ticket.state = State::Accepted;
            ticket.assignee = None;
            ticket.returns += 1;
        }
        Action::Handle { text } => {
            ticket.state = State::Handling;
            if !text.is_empty() {
                ticket.replied_ms.get_or_insert(at_ms);
            }
        }
        Action::Feedback { text, photos } => {
            ticket.state = State::Answered;
            ticket.result = Some(text.clone());
            ticket.result_photos.clone_from(photos);
            ticket.replied_ms.get_or_insert(at_ms);
            ticket.completed_ms = Some(at_ms);
        }
        Action::Rate { stars, text } => {
            ticket.state = State::Closed;
            ticket.rating = Some(Rating { stars: *stars, text: text.clone() });
            ticket.closed_ms = Some(at_ms);
        }
        Action::Note { .. } => ticket.asked = None,
        Action::SignOff { .. } => {}
    }
}

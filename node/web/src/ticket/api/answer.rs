//! What calls about tickets are answered with.

use cunlian_governance::signoff::SignOffStatus;
use cunlian_governance::ticket::query::TicketRow;
use cunlian_governance::ticket::{Assignee, Body, Channel, Kind, Receipt, SignOff, Ticket};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::frame::api::names::{Address, Certificate, Change, Document};
use crate::frame::api::reached::Reached;
use crate::ticket::signing::signed_name;

/// Tickets of the node's region.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tickets {
    /// Running clocks first, by due time; then those not accepted, oldest first; then the rest.
    pub(crate) tickets: Vec<TicketSummary>,
}

/// A ticket as lists show it. Times in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketSummary {
    /// Address code of its village.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// What the villager keeps; empty while unreported.
    pub(crate) receipt: String,
    /// Where it stands.
    pub(crate) state: &'static str,
    /// One line.
    pub(crate) title: String,
    /// The villager's words, numbers masked.
    pub(crate) text: String,
    /// How it came in.
    #[schema(value_type = Option<ChannelName>)]
    pub(crate) channel: Option<Channel>,
    /// Limit class, suggested or fixed.
    #[schema(value_type = Option<KindName>)]
    pub(crate) kind: Option<Kind>,
    /// Who is to handle it.
    #[schema(value_type = Option<Officer>)]
    pub(crate) assignee: Option<Assignee>,
    /// Time of the report.
    pub(crate) reported_ms: Option<i64>,
    /// When it is due; nothing before the acceptance.
    pub(crate) due_ms: Option<i64>,
    /// The villager's stars.
    pub(crate) stars: Option<u8>,
    /// Whether its sign-off stands; nothing when nobody has signed.
    pub(crate) signed: Option<&'static str>,
    /// Why it was erased.
    pub(crate) erased: Option<String>,
    /// Time of the latest step.
    pub(crate) updated_ms: i64,
    /// How far up it has come.
    pub(crate) reached: Reached,
}

impl TicketSummary {
    pub(super) fn new(row: TicketRow, reached: Reached) -> Self {
        Self {
            address: row.home.address,
            document: row.home.document,
            receipt: row.receipt,
            state: row.state.as_str(),
            title: row.title,
            text: row.text,
            channel: row.channel,
            kind: row.kind,
            assignee: row.assignee,
            reported_ms: row.reported_ms,
            due_ms: row.clock.map(|clock| clock.due_ms),
            stars: row.stars,
            signed: row.signed.map(signed_name),
            erased: row.erased,
            updated_ms: row.updated_ms,
            reached,
        }
    }
}

/// Where a ticket stands, or `open` for every state in which somebody in office has to do something.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) enum StateName {
    /// Reported, accepted, assigned or handling.
    Open,
    /// The report itself has not come.
    Unreported,
    /// Waits for acceptance.
    Reported,
    /// Waits for assignment.
    Accepted,
    /// Waits for who is to handle it.
    Assigned,
    /// In work.
    Handling,
    /// The villager has the result and may rate it.
    Answered,
    /// Rated, or past the time for it.
    Closed,
    /// Not taken on, with a reason.
    Rejected,
    /// Erased.
    Erased,
}

/// How a ticket comes in.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) enum ChannelName {
    /// A villager scanned a door plate.
    Plate,
    /// County hotline.
    Hotline,
    /// City hotline 12345.
    CityHotline,
    /// Found by the village itself.
    OwnReport,
    /// Found by a grid worker.
    Grid,
    /// Somebody came to the office.
    WalkIn,
    /// Concern of an enterprise.
    Enterprise,
}

/// Limit class of a ticket.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) enum KindName {
    /// Emergency and epidemic.
    Emergency,
    /// Policy and farming advice.
    Policy,
    /// Public services and livelihood.
    Service,
    /// Everything else.
    Other,
}

/// The unit or person a ticket is assigned to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) struct Officer {
    /// Name of the unit or the person in office.
    name: String,
    /// Address code of where they work.
    address: String,
}

/// A ticket with its trace. Times in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WholeTicket {
    /// Address code of its village.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// What the villager keeps.
    pub(crate) receipt: Option<String>,
    /// Where it stands.
    pub(crate) state: &'static str,
    /// One line.
    pub(crate) title: String,
    /// The villager's words, numbers masked.
    pub(crate) text: String,
    /// How it came in.
    #[schema(value_type = Option<ChannelName>)]
    pub(crate) channel: Option<Channel>,
    /// Limit class, suggested or fixed.
    #[schema(value_type = Option<KindName>)]
    pub(crate) kind: Option<Kind>,
    /// Who is to handle it.
    #[schema(value_type = Option<Officer>)]
    pub(crate) assignee: Option<Assignee>,
    /// What the villager was told.
    pub(crate) result: Option<String>,
    /// Documents of the photos that came with the report.
    #[schema(value_type = Vec<Document>)]
    pub(crate) photos: Vec<DocumentId>,
    /// Time of the report.
    pub(crate) reported_ms: Option<i64>,
    /// Time of the acceptance.
    pub(crate) accepted_ms: Option<i64>,
    /// Every step, in order, also those that do not count.
    pub(crate) trace: Vec<Step>,
    /// What a sign-off would cover now; to be sent with it.
    pub(crate) digest: String,
    /// That it was erased.
    pub(crate) erased: Option<Trace>,
    /// Sign-offs, those that are void as well.
    pub(crate) sign_offs: Vec<Signature>,
    /// How far up it has come.
    pub(crate) reached: Reached,
    /// Why it has come no further, in the words of the tier above.
    pub(crate) reached_why: Option<String>,
}

/// One step of a ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// When its author's device recorded it.
    pub(crate) at_ms: i64,
    /// Certificate of its author, 32 hexadecimal digits.
    #[schema(value_type = Certificate)]
    pub(crate) author: Serial,
    /// The name in that certificate.
    pub(crate) handler: String,
    /// The signed change, 64 hexadecimal digits.
    #[schema(value_type = Change)]
    pub(crate) change: ChangeId,
    /// The step as it is signed: an object with `op`, or the text of one that is not known here.
    pub(crate) action: Value,
    /// `taken`, `no_right`, `not_now`, `invalid`, `unknown` or `reverted`.
    pub(crate) outcome: &'static str,
    /// Whether its author was revoked before it.
    pub(crate) tainted: bool,
    /// Why it does not count; empty when it does.
    pub(crate) reason: String,
    /// The state after it.
    pub(crate) state: &'static str,
}

/// Who did something, when, and the change that proves it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trace {
    /// Why; of erasures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Certificate, 32 hexadecimal digits.
    #[schema(value_type = Certificate)]
    pub(crate) author: Serial,
    /// The name in it.
    pub(crate) handler: String,
    /// When.
    pub(crate) at_ms: i64,
    /// The signed change, 64 hexadecimal digits.
    #[schema(value_type = Change)]
    pub(crate) change: ChangeId,
}

/// A leader's name under a ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Signature {
    /// The signed change, 64 hexadecimal digits.
    #[schema(value_type = Change)]
    pub(crate) change: ChangeId,
    /// Certificate of who signed, 32 hexadecimal digits.
    #[schema(value_type = Certificate)]
    pub(crate) author: Serial,
    /// The name in it.
    pub(crate) handler: String,
    /// When.
    pub(crate) at_ms: i64,
    /// Their opinion.
    pub(crate) text: String,
    /// What was signed.
    pub(crate) digest: String,
    /// Whether it still holds.
    pub(crate) standing: &'static str,
    /// What made it void.
    pub(crate) void_since: Option<Trace>,
}

impl WholeTicket {
    pub(super) fn new(ticket: &Ticket, reached: Reached, reached_why: Option<String>) -> Self {
        Self {
            address: ticket.home.address,
            document: ticket.home.document,
            receipt: ticket.receipt.as_ref().map(|receipt| receipt.as_str().to_owned()),
            state: ticket.state.as_str(),
            title: ticket.title.clone(),
            text: ticket.text.clone(),
            channel: ticket.channel,
            kind: ticket.kind,
            assignee: ticket.assignee.clone(),
            result: ticket.result.clone(),
            photos: ticket.photos.clone(),
            reported_ms: ticket.reported_ms,
            accepted_ms: ticket.accepted_ms,
            trace: steps(ticket),
            digest: ticket.matter.digest.clone(),
            erased: ticket.erased.as_ref().map(|erased| Trace {
                reason: Some(erased.reason.clone()),
                author: erased.author,
                handler: erased.handler.clone(),
                at_ms: erased.at_ms,
                change: erased.change,
            }),
            sign_offs: ticket.sign_offs.iter().map(Signature::new).collect(),
            reached,
            reached_why,
        }
    }
}

fn steps(ticket: &Ticket) -> Vec<Step> {
    let steps = ticket.trace.iter().map(|step| Step {
        at_ms: step.at_ms,
        author: step.author,
        handler: step.handler.clone(),
        change: step.change,
        action: match &step.body {
            Body::Known(action) => json!(action),
            Body::Unknown(text) => json!(text),
        },
        outcome: step.outcome.as_str(),
        tainted: step.tainted,
        reason: step.outcome.reason().clone(),
        state: step.state.as_str(),
    });
    steps.collect()
}

impl Signature {
    fn new(sign_off: &SignOff) -> Self {
        let void_since = match &sign_off.standing {
            SignOffStatus::Void { since: Some(writer) } => Some(Trace {
                reason: None,
                author: writer.author,
                handler: sign_off.voided_by.clone(),
                at_ms: writer.recorded_at_ms,
                change: writer.change,
            }),
            SignOffStatus::Void { since: None } | SignOffStatus::Stands => None,
        };
        Self {
            change: sign_off.change,
            author: sign_off.author,
            handler: sign_off.handler.clone(),
            at_ms: sign_off.at_ms,
            text: sign_off.text.clone(),
            digest: sign_off.signed.digest.clone(),
            standing: signed_name(sign_off.standing.stands()),
            void_since,
        }
    }
}

/// A ticket was taken down.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportedTicket {
    /// What the villager keeps.
    pub(crate) receipt: String,
    /// Address code of its village.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// The signed changes, durable here; none when it was here before.
    #[schema(value_type = Vec<Change>)]
    pub(crate) changes: Vec<ChangeId>,
}

impl ReportedTicket {
    pub(super) fn new(home: &Home, receipt: &Receipt, changes: Vec<ChangeId>) -> Self {
        let receipt = receipt.as_str().to_owned();
        Self { receipt, address: home.address, document: home.document, changes }
    }
}

/// A step was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepTaken {
    /// Where the ticket stands now.
    pub(crate) state: &'static str,
    /// The signed changes, durable here.
    #[schema(value_type = Vec<Change>)]
    pub(crate) changes: Vec<ChangeId>,
}

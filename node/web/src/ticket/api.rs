//! Tickets as JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET tickets?state=&channel=&offset=&limit=` | | `{tickets}` |
//! | `POST tickets` | `{village, channel, text, title?, kind?, name?, phone?, document?}` | 201 `{receipt, address, document, changes}` |
//! | `GET tickets/ADDRESS/DOCUMENT` | | the ticket with its trace |
//! | `POST tickets/ADDRESS/DOCUMENT/operations` | `{op, text?, kind?, to?, stars?, digest?}` | `{state, changes}` |

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cunlian_governance::checks::one_line_break;
use cunlian_governance::refusal::Failed;
use cunlian_governance::submission::Intended;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_governance::ticket::{
    self as domain, Channel, Kind, NewTicket, State as TicketState, Step, Verb,
};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::Deserialize;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{OpenApi as Description, RefOr, Schema};
use utoipa::{IntoParams, Modify, OpenApi, ToSchema};

use self::answer::{
    ChannelName, KindName, ReportedTicket, StateName, StepTaken, TicketSummary, Tickets,
    WholeTicket,
};
use super::page::load_ticket;
use crate::frame::api::extract::{Caller, Named, Nothing, Object, StrictQuery, limit};
use crate::frame::api::names::{Address, Document};
use crate::frame::api::refusal::{Always, ToFinders, ToPeople, ToWriters};
use crate::frame::failure::Failure;
use crate::frame::reading::{ask, height, progress};
use crate::frame::writing::new_document;
use crate::state::WebState;

pub(super) mod answer;

/// Most tickets in one answer.
const LIMIT_MAX: u32 = 1_000;
/// Tickets in one answer where nothing is said about it.
const LIMIT: u32 = 100;
const SOURCE: &str = "api";

/// That a step takes its own keys and no others, which the type says ([`Operation`]) and the schema
/// made of it leaves out.
struct Closed;

impl Modify for Closed {
    fn modify(&self, description: &mut Description) {
        let schemas = &mut description.components.get_or_insert_default().schemas;
        let step = schemas.get_mut(Operation::name().as_ref());
        let Some(RefOr::T(Schema::OneOf(steps))) = step else { return };
        for step in &mut steps.items {
            if let RefOr::T(Schema::Object(step)) = step {
                step.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

/// How these calls are described.
#[derive(OpenApi)]
#[openapi(paths(list, report, show, act), modifiers(&Closed))]
pub(crate) struct Interface;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/v1/tickets", get(list).post(report))
        .route("/api/v1/tickets/{address}/{document}", get(show))
        .route("/api/v1/tickets/{address}/{document}/operations", post(act))
}

/// Which tickets.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// One state, or `open` for those that somebody in office still has to do something on; any
    /// but unreported without it.
    #[param(value_type = Option<StateName>)]
    state: Option<String>,
    /// How they came in; through any channel without it.
    #[param(value_type = Option<ChannelName>)]
    channel: Option<Channel>,
    /// How many to leave out.
    #[serde(default)]
    #[param(maximum = 4_294_967_295_i64, format = Int64)]
    offset: u32,
    /// How many to give; 100 without it.
    #[param(maximum = 1000)]
    limit: Option<u32>,
}

/// Lists the tickets of the node's region that the caller may read.
#[utoipa::path(get, path = "/api/v1/tickets", tag = "tickets", params(Wanted),
    responses((status = 200, body = Tickets), ToPeople, Always))]
async fn list(
    State(state): State<WebState>,
    Caller(staff): Caller,
    StrictQuery(wanted): StrictQuery<Wanted>,
) -> Result<Json<Tickets>, Failure> {
    let (region, regions) = (state.place().0, state.regions());
    let states = match wanted.state.as_deref() {
        None => Vec::new(),
        Some("open") => Filter::open(region).states,
        Some(name) => vec![TicketState::from_name(name).ok_or_else(|| Failure::Malformed {
            reason: format!("there is no state {name:?}; there are open, {}", state_names()),
            field: Some("state".to_owned()),
        })?],
    };
    let filter = Filter {
        states,
        channel: wanted.channel,
        offset: wanted.offset,
        limit: limit(wanted.limit, LIMIT, LIMIT_MAX)?,
        ..Filter::all(region)
    };
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let rows = store
            .read(|connection| tickets::list_within(connection, &reader, &filter, &regions))?;
        let mut tickets = Vec::new();
        for row in rows {
            let reached = height(store, &row.home)?.into();
            tickets.push(TicketSummary::new(row, reached));
        }
        Ok::<_, Failure>(Json(Tickets { tickets }))
    })
    .await
}

fn state_names() -> String {
    TicketState::ALL.map(TicketState::as_str).join(", ")
}

/// What somebody reports.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reported {
    /// Address code of the village.
    #[schema(value_type = Address)]
    village: AddressCode,
    /// How it came in.
    #[schema(value_type = ChannelName)]
    channel: Channel,
    /// The words; phone and identity numbers in them are masked where everybody reads them.
    #[schema(max_length = 2000)]
    text: String,
    /// One line; the beginning of the text without it.
    #[serde(default)]
    title: String,
    /// Limit class that the reporter suggests.
    #[schema(value_type = Option<KindName>)]
    kind: Option<Kind>,
    /// Name of the reporter.
    #[serde(default)]
    name: String,
    /// Phone of the reporter.
    #[serde(default)]
    phone: String,
    /// 32 hexadecimal digits that the caller has chosen: makes the call safe to repeat.
    #[schema(value_type = Option<Document>)]
    document: Option<DocumentId>,
}

/// Takes a ticket down. A call with the `document` and the content of one before answers 200 and
/// changes nothing; with other content it makes another ticket.
#[utoipa::path(post, security(("session" = [], "token" = [])), path = "/api/v1/tickets", tag = "tickets", request_body = Reported,
    responses((status = 201, body = ReportedTicket), (status = 200, body = ReportedTicket), ToPeople, Always, ToWriters))]
async fn report(
    State(state): State<WebState>,
    Caller(staff): Caller,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(reported): Object<Reported>,
) -> Result<Response, Failure> {
    let intended = Intended::Chosen(reported.document.unwrap_or_else(new_document));
    let new = NewTicket {
        village: reported.village,
        channel: reported.channel,
        title: reported.title,
        text: one_line_break(&reported.text),
        kind: reported.kind,
        photos: Vec::new(),
        name: reported.name,
        phone: reported.phone,
        source: SOURCE.to_owned(),
    };
    let _turn = state.0.forms.turn().await;
    let reported = staff
        .act(&state, SOURCE, move |acting| domain::intake(acting, &new, intended, None))
        .await?;
    let is_new = !reported.changes.is_empty();
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let written = ReportedTicket::new(&reported.home, &reported.receipt, reported.changes);
    Ok((status, Json(written)).into_response())
}

/// Which ticket.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TicketPath {
    /// Address code of its village.
    #[param(value_type = Address)]
    address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[param(value_type = Document)]
    document: DocumentId,
}

impl TicketPath {
    const fn home(&self) -> Home {
        Home { category: Category::TICKET, address: self.address, document: self.document }
    }
}

/// A ticket with its trace.
#[utoipa::path(get, path = "/api/v1/tickets/{address}/{document}", tag = "tickets",
    params(TicketPath), responses((status = 200, body = WholeTicket), ToPeople, Always, ToFinders))]
async fn show(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Named(path): Named<TicketPath>,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
) -> Result<Json<WholeTicket>, Failure> {
    let home = path.home();
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let ticket = load_ticket(store, &reader, &home)?;
        let (height, why) = progress(store, &home)?;
        Ok::<_, Failure>(Json(WholeTicket::new(&ticket, height.into(), why)))
    })
    .await
}

/// A step of a ticket.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Operation {
    /// 受理: classify; the clock starts.
    Accept {
        /// Limit class.
        #[schema(value_type = KindName)]
        kind: Kind,
    },
    /// 不予受理.
    Reject {
        /// What the villager is told.
        text: String,
    },
    /// 补充材料.
    AskMore {
        /// What is missing.
        text: String,
    },
    /// 指派, also to somebody else than before.
    Assign {
        /// Address code, a blank, and the name of the unit or person.
        to: String,
    },
    /// 退回.
    Return {
        /// Why.
        text: String,
    },
    /// 处置.
    Handle {
        /// What the villager may read about it.
        #[serde(default)]
        text: String,
    },
    /// 反馈: the result.
    Feedback {
        /// The result in words.
        text: String,
    },
    /// 评价.
    Rate {
        /// 1 to 5.
        #[schema(minimum = 1, maximum = 5)]
        stars: u8,
        /// Words.
        #[serde(default)]
        text: String,
    },
    /// A remark, or what was asked for.
    Note {
        /// The words.
        text: String,
    },
    /// 签批.
    SignOff {
        /// What was read: `digest` of the ticket.
        digest: String,
        /// The leader's opinion.
        #[serde(default)]
        text: String,
    },
}

impl Operation {
    /// The step as forms say it.
    fn fields(self) -> (Verb, Vec<(&'static str, String)>) {
        match self {
            Self::Accept { kind } => (Verb::Accept, vec![("kind", kind.as_str().to_owned())]),
            Self::Reject { text } => (Verb::Reject, vec![("text", text)]),
            Self::AskMore { text } => (Verb::AskMore, vec![("text", text)]),
            Self::Assign { to } => (Verb::Assign, vec![("to", to)]),
            Self::Return { text } => (Verb::Return, vec![("text", text)]),
            Self::Handle { text } => (Verb::Handle, vec![("text", text)]),
            Self::Feedback { text } => (Verb::Feedback, vec![("text", text)]),
            Self::Rate { stars, text } => {
                (Verb::Rate, vec![("stars", stars.to_string()), ("text", text)])
            }
            Self::Note { text } => (Verb::Note, vec![("text", text)]),
            Self::SignOff { digest, text } => {
                (Verb::SignOff, vec![("digest", digest), ("text", text)])
            }
        }
    }
}

/// Takes a step of a ticket, if its state and the caller's right allow it.
#[utoipa::path(post, security(("session" = [], "token" = [])), path = "/api/v1/tickets/{address}/{document}/operations", tag = "tickets",
    params(TicketPath), request_body = Operation,
    responses((status = 200, body = StepTaken), ToPeople, Always, ToFinders, ToWriters))]
async fn act(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Named(path): Named<TicketPath>,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(operation): Object<Operation>,
) -> Result<Json<StepTaken>, Failure> {
    let home = path.home();
    let (verb, fields) = operation.fields();
    let fields = fields.into_iter().map(|(key, text)| (key.to_owned(), one_line_break(&text)));
    let fields = fields.collect();
    let acted = staff
        .act(&state, SOURCE, move |acting| {
            domain::act(acting, &home, &Step::named(verb, &fields).map_err(Failed::Refused)?)
        })
        .await?;
    Ok(Json(StepTaken { state: acted.state.as_str(), changes: acted.changes }))
}

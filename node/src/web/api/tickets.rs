//! Tickets as JSON.

use std::collections::BTreeMap;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cunlian_governance::divisions;
use cunlian_governance::query;
use cunlian_governance::query::ticket::{Filter, TicketRow};
use cunlian_governance::signoff::Standing;
use cunlian_governance::ticket::{
    self as domain, Body, Channel, Kind, NewTicket, Receipt, SignOff, State as TicketState, Ticket,
    TicketError, Verb,
};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::records::reached_name;
use super::{Caller, Object};
use crate::web::WebState;
use crate::web::component::Height;
use crate::web::failure::Failure;
use crate::web::form::{Placed, placed};
use crate::web::reading::{ask, domain_language, height, progress};
use crate::web::ticket::{action_on, load_any, load_ticket, signed_name};
use crate::web::village::field_of;
use crate::web::visit::Staff;
use crate::web::writing::{new_document, save};

/// Most tickets in one answer.
const LIMIT_MAX: u32 = 1_000;
const SOURCE: &str = "api";

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/v1/tickets", get(list).post(report))
        .route("/api/v1/tickets/{address}/{document}", get(show))
        .route("/api/v1/tickets/{address}/{document}/operations", post(act))
}

#[derive(Deserialize)]
struct Asked {
    state: Option<String>,
    #[serde(default)]
    offset: u32,
    limit: Option<u32>,
}

async fn list(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let (region, regions) = (state.place().0, state.regions());
    let states = match asked.state.as_deref() {
        None | Some("") => Vec::new(),
        Some("open") => Filter::open(region).states,
        Some(name) => vec![TicketState::from_name(name).ok_or_else(|| Failure::Malformed {
            reason: format!("there is no state {name:?}"),
            field: Some("state".to_owned()),
        })?],
    };
    let limit = asked.limit.unwrap_or(100).min(LIMIT_MAX);
    let filter = Filter { states, offset: asked.offset, limit, ..Filter::all(region) };
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let rows = store.read(|connection| {
            query::ticket::list_within(connection, &reader, &filter, &regions)
        })?;
        let mut tickets = Vec::new();
        for row in rows {
            tickets.push(row_object(&row, reached_name(height(store, &row.home)?)));
        }
        Ok::<_, Failure>(Json(json!({ "tickets": tickets })))
    })
    .await
}

fn row_object(row: &TicketRow, reached: &str) -> Value {
    json!({
        "address": row.home.address,
        "document": row.home.document,
        "receipt": row.receipt,
        "state": row.state.as_str(),
        "title": row.title,
        "text": row.text,
        "channel": row.channel.map(Channel::as_str),
        "kind": row.kind.map(Kind::as_str),
        "assignee": row.assignee,
        "reported_ms": row.reported_ms,
        "due_ms": row.clock.map(|clock| clock.due_ms),
        "stars": row.stars,
        "signed": row.signed.map(signed_name),
        "erased": row.erased,
        "updated_ms": row.updated_ms,
        "reached": reached,
    })
}

#[derive(Deserialize)]
struct Reported {
    village: AddressCode,
    channel: Channel,
    text: String,
    #[serde(default)]
    title: String,
    kind: Option<Kind>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    phone: String,
    document: Option<DocumentId>,
}

async fn report(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Object(reported): Object<Reported>,
) -> Result<Response, Failure> {
    let document = reported.document.unwrap_or_else(new_document);
    // A hotline may still know the old code of a village that was joined to another.
    let village = reported.village;
    let today = ask(&state, move |store| {
        store.read(|connection| Ok(divisions::successor(connection, &village)))
    })
    .await?;
    let new = NewTicket {
        village: today.unwrap_or(village),
        channel: reported.channel,
        title: reported.title,
        text: reported.text,
        kind: reported.kind,
        photos: Vec::new(),
        name: reported.name,
        phone: reported.phone,
        source: SOURCE.to_owned(),
    };
    let now_ms = state.now_ms();
    let _turn = state.0.forms.turn().await;
    let placed = ask(&state, move |store| {
        placed(store, document, |id| domain::report(&new, id, now_ms).map(|(_, writes)| writes))
    })
    .await?;
    let Placed { document, writes, is_here } = placed.map_err(|error| malformed(&error, &staff))?;
    let address = writes.first().map_or(village, |write| write.home.address);
    let home = Home { category: Category::TICKET, address, document };
    if is_here {
        let existing = ask(&state, move |store| {
            let view = store.view(&home)?;
            let authority = store.authority();
            Ok::<_, Failure>(view.map(|view| domain::fold(&view, &authority)))
        })
        .await?;
        if let Some(receipt) = existing.and_then(|ticket| ticket.receipt) {
            return Ok(written(&home, &receipt, StatusCode::OK, &[]));
        }
    }
    let receipt = Receipt::of(&document, now_ms);
    let changes = save(&state, staff.person.author.clone(), writes, now_ms).await?;
    Ok(written(&home, &receipt, StatusCode::CREATED, &changes))
}

fn written(home: &Home, receipt: &Receipt, status: StatusCode, changes: &[ChangeId]) -> Response {
    let body = json!({
        "receipt": receipt.as_str(),
        "address": home.address,
        "document": home.document,
        "changes": changes,
    });
    (status, Json(body)).into_response()
}

fn malformed(error: &TicketError, staff: &Staff) -> Failure {
    let reason = error.message(domain_language(staff.visit.l));
    match error {
        TicketError::NotNow { .. } | TicketError::Changed => Failure::Conflict(reason),
        TicketError::Empty { .. }
        | TicketError::TooLong { .. }
        | TicketError::Phone(_)
        | TicketError::Stars { .. }
        | TicketError::Address { .. } => {
            Failure::Malformed { reason, field: Some(field_of(error).to_owned()) }
        }
    }
}

type TicketPath = Path<(AddressCode, DocumentId)>;

async fn show(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Path((address, document)): TicketPath,
) -> Result<Json<Value>, Failure> {
    let home = Home { category: Category::TICKET, address, document };
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let ticket = load_ticket(store, &reader, &home)?;
        Ok::<_, Failure>(Json(object(&ticket, progress(store, &home)?)))
    })
    .await
}

fn object(ticket: &Ticket, (height, why): (Height, Option<String>)) -> Value {
    let trace: Vec<Value> = ticket
        .trace
        .iter()
        .map(|step| {
            let op = match &step.body {
                Body::Known(action) => json!(action),
                Body::Unknown(text) => json!(text),
            };
            json!({
                "at_ms": step.at_ms,
                "author": step.author,
                "handler": step.handler,
                "change": step.change,
                "action": op,
                "outcome": step.outcome.as_str(),
                "tainted": step.tainted,
                "reason": step.outcome.reason(),
                "state": step.state.as_str(),
            })
        })
        .collect();
    let sign_offs: Vec<Value> = ticket.sign_offs.iter().map(sign_off_object).collect();
    json!({
        "address": ticket.home.address,
        "document": ticket.home.document,
        "receipt": ticket.receipt.as_ref().map(Receipt::as_str),
        "state": ticket.state.as_str(),
        "title": ticket.title,
        "text": ticket.text,
        "channel": ticket.channel,
        "kind": ticket.kind,
        "assignee": ticket.assignee,
        "result": ticket.result,
        "photos": ticket.photos,
        "reported_ms": ticket.reported_ms,
        "accepted_ms": ticket.accepted_ms,
        "trace": trace,
        "digest": ticket.matter.digest,
        "erased": ticket.erased.as_ref().map(|erased| json!({
            "reason": erased.reason,
            "author": erased.author,
            "handler": erased.handler,
            "at_ms": erased.at_ms,
            "change": erased.change,
        })),
        "sign_offs": sign_offs,
        "reached": reached_name(height),
        "reached_why": why,
    })
}

fn sign_off_object(sign_off: &SignOff) -> Value {
    let since = match &sign_off.standing {
        Standing::Void { since: Some(writer) } => Some(json!({
            "change": writer.change,
            "author": writer.author,
            "handler": sign_off.voided_by,
            "at_ms": writer.recorded_at_ms,
        })),
        Standing::Void { since: None } | Standing::Stands => None,
    };
    json!({
        "change": sign_off.change,
        "author": sign_off.author,
        "handler": sign_off.handler,
        "at_ms": sign_off.at_ms,
        "text": sign_off.text,
        "digest": sign_off.signed.digest,
        "standing": signed_name(sign_off.standing.stands()),
        "void_since": since,
    })
}

#[derive(Deserialize)]
struct Operation {
    op: String,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

async fn act(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Path((address, document)): TicketPath,
    Object(operation): Object<Operation>,
) -> Result<Json<Value>, Failure> {
    let home = Home { category: Category::TICKET, address, document };
    let verb = Verb::from_name(&operation.op).ok_or_else(|| Failure::Malformed {
        reason: format!("there is no operation {:?}", operation.op),
        field: Some("op".to_owned()),
    })?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let fields = operation.fields.into_iter().map(|(key, value)| (key, text(value))).collect();
    let reader = staff.reader(&state);
    let ticket = ask(&state, move |store| load_ticket(store, &reader, &home)).await?;
    let action = action_on(&ticket, verb, &fields)?;
    let write = ticket.act(&action, SOURCE).map_err(|error| malformed(&error, &staff))?;
    let author = staff.person.author.clone();
    let changes = save(&state, author, vec![write], state.now_ms()).await?;
    let ticket = ask(&state, move |store| load_any(store, &home)).await?;
    Ok(Json(json!({ "state": ticket.state.as_str(), "changes": changes })))
}

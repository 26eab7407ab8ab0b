//! The village terminal's first page, and tickets taken down by staff.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use cunlian_crdt::store::Store;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_governance::ticket::{self as domain, Channel, NewTicket};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::id::DocumentId;

use crate::clock::full;
use crate::code::code_of;
use crate::component::{Choice, FieldInput, Problems, TicketItem};
use crate::failure::Failure;
use crate::form::Submission;
use crate::layout::{Page, form_again, html};
use crate::posted::Posted;
use crate::reading::{ask, ticket_items, villages_of};
use crate::state::WebState;
use crate::text::Text;
use crate::ticket::path::ticket_href;
use crate::ticket::{SOURCE, clerk_channels};
use crate::visit::Staff;
use crate::waiting::Turn;
use crate::writing::new_document;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/today", get(today))
        .route("/fragment/today", get(today_fragment))
        .route("/tickets/new", get(intake).post(take_down))
}

#[derive(Template)]
#[template(path = "ticket/today.html")]
struct TodayPage {
    l: Text,
    page: Page,
    date: String,
    open_count: u64,
    open: Vec<TicketItem>,
    answered: Vec<TicketItem>,
}

#[derive(Template)]
#[template(path = "ticket/today_list.html")]
struct TodayList {
    l: Text,
    open: Vec<TicketItem>,
}

/// The open tickets of `regions` that `reader` may read, due first.
fn open_tickets(
    store: &Store,
    reader: &Reader,
    regions: &[AddressCode],
    turn: Turn,
    l: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let filter = Filter::open(AddressCode::COUNTRY);
    let rows =
        store.read(|connection| tickets::list_within(connection, reader, &filter, regions))?;
    ticket_items(store, rows, turn, l, now_ms)
}

async fn today(State(state): State<WebState>, staff: Staff) -> Result<Response, Failure> {
    let (l, now_ms, regions) = (staff.visit.l, state.now_ms(), state.regions());
    let (reader, turn) = (staff.reader(&state), Turn::of(&staff.person.role));
    let (open, open_count, answered) = ask(&state, move |store| {
        let open = open_tickets(store, &reader, &regions, turn, l, now_ms)?;
        let open_count = store.read(|connection| {
            let filter = Filter::open(AddressCode::COUNTRY);
            tickets::count_within(connection, &reader, &filter, &regions)
        })?;
        let all = Filter::all(AddressCode::COUNTRY);
        let filter = Filter { states: vec![domain::State::Answered], limit: 10, ..all };
        let rows = store
            .read(|connection| tickets::list_within(connection, &reader, &filter, &regions))?;
        let answered = ticket_items(store, rows, turn, l, now_ms)?;
        Ok::<_, Failure>((open, open_count, answered))
    })
    .await?;
    let page = Page::staff(&state, &staff, l.t("today-title"));
    let date = full(now_ms).chars().take(10).collect();
    Ok(html(&TodayPage { l, page, date, open_count, open, answered }))
}

async fn today_fragment(State(state): State<WebState>, staff: Staff) -> Result<Response, Failure> {
    let (l, now_ms, regions) = (staff.visit.l, state.now_ms(), state.regions());
    let (reader, turn) = (staff.reader(&state), Turn::of(&staff.person.role));
    let open =
        ask(&state, move |store| open_tickets(store, &reader, &regions, turn, l, now_ms)).await?;
    Ok(html(&TodayList { l, open }))
}

#[derive(Template)]
#[template(path = "ticket/ticket_form.html")]
struct IntakePage {
    l: Text,
    page: Page,
    document: String,
    problems: Option<Problems>,
    fields: Vec<FieldInput>,
}

async fn intake(State(state): State<WebState>, staff: Staff) -> Result<Response, Failure> {
    let posted = Posted::default();
    let page = intake_page(&state, &staff, &posted, new_document(), &BTreeMap::new(), None).await?;
    Ok(html(&page))
}

/// The villages a clerk of this node may take a ticket down for.
pub(crate) async fn village_choices(
    state: &WebState,
    region: AddressCode,
) -> Result<Vec<Choice>, Failure> {
    ask(state, move |store| {
        store.read(|connection| {
            let villages = villages_of(connection, &region);
            let choice = |village: cunlian_governance::divisions::Division| Choice {
                value: village.code.as_str().to_owned(),
                label: village.name,
            };
            Ok(villages.into_iter().map(choice).collect())
        })
    })
    .await
}

async fn intake_page(
    state: &WebState,
    staff: &Staff,
    posted: &Posted,
    document: DocumentId,
    wrong: &BTreeMap<String, String>,
    error: Option<String>,
) -> Result<IntakePage, Failure> {
    let l = staff.visit.l;
    let region = state.place().0;
    let fill = |field: FieldInput, required: bool| FieldInput {
        value: posted.text(&field.name).to_owned(),
        error: wrong.get(&field.name).cloned(),
        required,
        ..field
    };
    let mut fields = vec![
        fill(FieldInput::choice(l, "channel", l.t("fact-channel"), clerk_channels(l)), true),
        fill(FieldInput::area(l, "text", l.t("intake-text")), true),
        fill(FieldInput::new(l, "name", l.t("contact-name")), false),
        fill(
            FieldInput { kind: "tel", ..FieldInput::new(l, "phone", l.t("contact-phone")) },
            false,
        ),
    ];
    if region.level() < Level::Village {
        let villages = village_choices(state, region).await?;
        let field = FieldInput::choice(l, "village", l.t("intake-village"), villages);
        fields.insert(0, fill(field, true));
    }
    let problems = Problems::of(l, error, &mut fields);
    Ok(IntakePage {
        l,
        page: Page::staff(state, staff, l.t("intake-title")),
        document: document.to_string(),
        problems,
        fields,
    })
}

async fn take_down(
    State(state): State<WebState>,
    staff: Staff,
    posted: Posted,
) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let submission = Submission::of("intake", &posted, None)?;
    let form = submission.form;
    let _turn = state.0.forms.turn().await;
    let own = state.place().0.truncate(Level::Village);
    let village = match posted.text("village") {
        "" => own,
        code => code_of(code),
    };
    let channel = Channel::from_name(posted.text("channel"));
    let (Some(village), Some(channel)) = (village, channel) else {
        let field = if village.is_none() { "village" } else { "channel" };
        let wrong = [(field.to_owned(), l.t("choose-first"))].into();
        let page = intake_page(&state, &staff, &posted, form, &wrong, None).await?;
        return Ok(form_again(&page, StatusCode::UNPROCESSABLE_ENTITY));
    };
    let new = NewTicket {
        village,
        channel,
        title: String::new(),
        text: posted.text("text").to_owned(),
        kind: None,
        photos: Vec::new(),
        name: posted.text("name").to_owned(),
        phone: posted.text("phone").to_owned(),
        source: SOURCE.to_owned(),
    };
    let intended = submission.intended();
    let reported =
        staff.act(&state, SOURCE, move |acting| domain::intake(acting, &new, intended, None));
    match reported.await {
        Ok(reported) => {
            let saved = submission.kept(&state);
            let target = format!("{}?saved={saved}", ticket_href(&reported.home));
            Ok(Redirect::to(&target).into_response())
        }
        Err(failure) => {
            let problems = failure.problems(l);
            let error = problems.is_empty().then(|| failure.words(&staff.visit));
            let page = intake_page(&state, &staff, &posted, form, &problems, error).await?;
            Ok(form_again(&page, failure.status()))
        }
    }
}

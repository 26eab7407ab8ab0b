//! The village terminal's first page.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use cunlian_crdt::store::Store;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::ticket as domain;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_protocol::address::AddressCode;

use super::item::ticket_items;
use super::turn::Turn;
use crate::frame::clock::full;
use crate::frame::component::TicketItem;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "ticket/today.html")]
struct TodayPage {
    texts: Text,
    page: Page,
    date: String,
    open_count: u64,
    open: Vec<TicketItem>,
    answered: Vec<TicketItem>,
}

#[derive(Template)]
#[template(path = "ticket/today_list.html")]
struct TodayList {
    texts: Text,
    open: Vec<TicketItem>,
}

/// The open tickets of `regions` that `reader` may read, due first.
fn open_tickets(
    store: &Store,
    reader: &Reader,
    regions: &[AddressCode],
    turn: Turn,
    texts: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let filter = Filter::open(AddressCode::COUNTRY);
    let rows =
        store.read(|connection| tickets::list_within(connection, reader, &filter, regions))?;
    ticket_items(store, rows, turn, texts, now_ms)
}

pub(super) async fn today(
    State(state): State<WebState>,
    staff: Staff,
) -> Result<Response, Failure> {
    let (texts, now_ms, regions) = (staff.visit.texts, state.now_ms(), state.regions());
    let (reader, turn) = (staff.reader(&state), Turn::of(&staff.person.role));
    let (open, open_count, answered) = ask(&state, move |store| {
        let open = open_tickets(store, &reader, &regions, turn, texts, now_ms)?;
        let open_count = store.read(|connection| {
            let filter = Filter::open(AddressCode::COUNTRY);
            tickets::count_within(connection, &reader, &filter, &regions)
        })?;
        let all = Filter::all(AddressCode::COUNTRY);
        let filter = Filter { states: vec![domain::State::Answered], limit: 10, ..all };
        let rows = store
            .read(|connection| tickets::list_within(connection, &reader, &filter, &regions))?;
        let answered = ticket_items(store, rows, turn, texts, now_ms)?;
        Ok::<_, Failure>((open, open_count, answered))
    })
    .await?;
    let page = Page::staff(&state, &staff, texts.t("today-title"));
    let date = full(now_ms).chars().take(10).collect();
    Ok(html(&TodayPage { texts, page, date, open_count, open, answered }))
}

pub(super) async fn today_fragment(
    State(state): State<WebState>,
    staff: Staff,
) -> Result<Response, Failure> {
    let (texts, now_ms, regions) = (staff.visit.texts, state.now_ms(), state.regions());
    let (reader, turn) = (staff.reader(&state), Turn::of(&staff.person.role));
    let open =
        ask(&state, move |store| open_tickets(store, &reader, &regions, turn, texts, now_ms))
            .await?;
    Ok(html(&TodayList { texts, open }))
}

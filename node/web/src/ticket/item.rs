//! Tickets as lists show them.

use cunlian_crdt::store::Store;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::ticket::query::{self as tickets, TicketRow};
use cunlian_protocol::change::Home;

use super::path::ticket_href;
use super::signing::signed_name;
use super::turn::Turn;
use crate::frame::clock::short;
use crate::frame::component::{ClockBadge, SyncBadge, TicketItem, TicketStateBadge, card_class};
use crate::frame::failure::Failure;
use crate::frame::place::PlaceNames;
use crate::frame::reading::sync_badge;
use crate::frame::text::Text;

/// Tickets of the same town that ask the same and that `reader` may read.
pub(crate) fn similar_tickets(
    store: &Store,
    reader: &Reader,
    home: &Home,
    texts: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let document = home.document;
    let rows = store.read(|connection| match tickets::one(connection, document)? {
        Some(row) => tickets::similar(connection, reader, &row, 5),
        None => Ok(Vec::new()),
    })?;
    ticket_items(store, rows, Turn::default(), texts, now_ms)
}

/// Rows as list items; `turn` says which of them wait for the reader.
pub(crate) fn ticket_items(
    store: &Store,
    rows: Vec<TicketRow>,
    turn: Turn,
    texts: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let mut names = PlaceNames::new(2);
    let mut items = Vec::new();
    for row in rows {
        let place = names.of(store, row.home.address)?;
        let sync = sync_badge(store, texts, &row.home)?;
        items.push(ticket_item(&row, place, sync, turn.is(row.state), texts, now_ms));
    }
    Ok(items)
}

fn ticket_item(
    row: &TicketRow,
    place: String,
    sync: SyncBadge,
    turn: bool,
    texts: Text,
    now_ms: i64,
) -> TicketItem {
    let mut more = vec![place];
    if let Some(channel) = row.channel {
        more.push(texts.of("channel", channel.as_str()));
    }
    if let Some(at_ms) = row.reported_ms {
        more.push(short(at_ms, now_ms));
    }
    if let Some(assignee) = &row.assignee {
        more.push(texts.t1("item-assigned", "name", &assignee.name));
    }
    if let Some(stands) = row.signed {
        more.push(texts.of("signed", signed_name(stands)));
    }
    TicketItem {
        turn,
        href: ticket_href(&row.home),
        title: match &row.erased {
            Some(reason) => texts.t1("ticket-erased-title", "reason", reason),
            None if row.title.is_empty() => texts.t("ticket-untitled"),
            None => row.title.clone(),
        },
        more: more.join(" · "),
        card: card_class(row.clock.as_ref(), now_ms),
        clock: row.clock.map(|clock| ClockBadge::of(texts, &clock, now_ms)),
        state: TicketStateBadge::of(texts, row.state).for_whom(turn),
        sync: Some(sync),
    }
}

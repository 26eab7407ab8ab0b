//! One queue for all channels.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use cunlian_crdt::store::Store;
use cunlian_governance::divisions;
use cunlian_governance::ticket::query::{self as tickets, Filter, TicketRow, grouped};
use cunlian_governance::ticket::{Channel, State as TicketState};
use cunlian_protocol::address::AddressCode;
use serde::Deserialize;

use super::item::ticket_items;
use super::turn::Turn;
use crate::frame::code::code_of;
use crate::frame::component::{Choice, TicketItem};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::place::village_choices;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::url::percent_encoded;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Most tickets on one page of the queue.
const QUEUE_ROWS: u32 = 50;

#[derive(Deserialize, Clone, Default)]
pub(super) struct QueueQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    village: String,
    /// How many tickets come before this page, as the links of the page itself say it.
    #[serde(default)]
    from: String,
}

impl QueueQuery {
    /// The same choice from another ticket on.
    fn query(&self, from: u64) -> String {
        format!(
            "?state={}&channel={}&village={}&from={from}",
            percent_encoded(&self.state),
            percent_encoded(&self.channel),
            percent_encoded(&self.village)
        )
    }
}

/// The other pages of the queue.
struct Pages {
    /// Which tickets of how many stand here; empty where all do.
    part: String,
    /// The page before, if there is one.
    before: Option<String>,
    /// The page after, if there is one.
    after: Option<String>,
}

impl Pages {
    fn of(texts: Text, asked: &QueueQuery, from: u64, shown: u64, all: u64) -> Self {
        let page = u64::from(QUEUE_ROWS);
        let link = |from| format!("/queue{}", asked.query(from));
        let part = if shown < all {
            let (first, last) = (from + u64::from(shown > 0), from + shown);
            texts.with("queue-part", &[("first", &first), ("last", &last), ("n", &all)])
        } else {
            String::new()
        };
        Self {
            part,
            before: (from > 0).then(|| link(from.saturating_sub(page))),
            after: (from + shown < all).then(|| link(from + page)),
        }
    }
}

/// How many tickets are in a state, and the way to them.
struct StateTile {
    href: String,
    figure: u64,
    label: String,
    /// Whether they wait for the reader.
    turn: bool,
    /// Whether the list shows just these.
    current: bool,
}

/// Tickets that ask the same, under one heading.
struct Group {
    title: String,
    items: Vec<TicketItem>,
}

#[derive(Template)]
#[template(path = "ticket/queue.html")]
struct QueuePage {
    texts: Text,
    page: Page,
    states: Vec<Choice>,
    channels: Vec<Choice>,
    villages: Vec<Choice>,
    state: String,
    channel: String,
    village: String,
    refresh: String,
    tiles: Vec<StateTile>,
    summary: String,
    groups: Vec<Group>,
    pages: Pages,
}

#[derive(Template)]
#[template(path = "ticket/queue_list.html")]
struct QueueList {
    texts: Text,
    refresh: String,
    tiles: Vec<StateTile>,
    summary: String,
    groups: Vec<Group>,
    pages: Pages,
}

pub(super) async fn queue(
    State(state): State<WebState>,
    staff: Staff,
    Query(asked): Query<QueueQuery>,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let region = state.place().0;
    let QueueList { refresh, tiles, summary, groups, pages, .. } =
        list(&state, &staff, &asked).await?;
    let villages = village_choices(&state, region).await?;
    let choice = |value: &str, label: String| Choice { value: value.to_owned(), label };
    let mut states = vec![choice("", texts.t("queue-open")), choice("all", texts.t("queue-all"))];
    let listed = TicketState::ALL.into_iter().filter(|state| *state != TicketState::Unreported);
    states.extend(listed.map(|state| choice(state.as_str(), texts.of("state", state.as_str()))));
    let channels = Channel::ALL
        .into_iter()
        .map(|channel| choice(channel.as_str(), texts.of("channel", channel.as_str())))
        .collect();
    let QueueQuery { state: chosen, channel, village, .. } = asked;
    Ok(html(&QueuePage {
        texts,
        page: Page::staff(&state, &staff, texts.t("queue-title")),
        states,
        channels,
        villages,
        state: chosen,
        channel,
        village,
        refresh,
        tiles,
        summary,
        groups,
        pages,
    }))
}

pub(super) async fn queue_fragment(
    State(state): State<WebState>,
    staff: Staff,
    Query(asked): Query<QueueQuery>,
) -> Result<Response, Failure> {
    Ok(html(&list(&state, &staff, &asked).await?))
}

async fn list(state: &WebState, staff: &Staff, asked: &QueueQuery) -> Result<QueueList, Failure> {
    let (texts, now_ms, own) = (staff.visit.texts, state.now_ms(), state.place().0);
    let mine = state.regions();
    let within = |code: &AddressCode| mine.iter().any(|region| region.contains(code));
    let village = code_of(&asked.village).filter(within);
    let region = village.unwrap_or(own);
    let states = match asked.state.as_str() {
        "all" => Vec::new(),
        name => match TicketState::from_name(name) {
            Some(state) => vec![state],
            None => Filter::open(region).states,
        },
    };
    let channel = Channel::from_name(&asked.channel);
    let offset: u32 = asked.from.parse().unwrap_or(0);
    let filter = Filter { states, channel, offset, limit: QUEUE_ROWS, ..Filter::all(region) };
    let (reader, turn) = (staff.reader(state), Turn::of(&staff.person.role));
    let (groups, shown, all, counts) = ask(state, move |store| {
        // Tickets at the old code of a village that was joined to another are the other's.
        let regions = match village {
            Some(village) => store.read(|c| Ok(divisions::family(c, &village)))?,
            None => mine.clone(),
        };
        let here = |code: &AddressCode| mine.iter().any(|region| region.contains(code));
        let regions: Vec<AddressCode> = regions.into_iter().filter(here).collect();
        let (rows, all, counts) = store.read(|connection| {
            let rows = tickets::list_within(connection, &reader, &filter, &regions)?;
            let all = tickets::count_within(connection, &reader, &filter, &regions)?;
            let mut counts = Vec::new();
            for region in &regions {
                counts.extend(tickets::counts_by_state(connection, &reader, *region)?);
            }
            Ok((rows, all, counts))
        })?;
        let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok::<_, Failure>((groups(store, rows, turn, texts, now_ms)?, shown, all, counts))
    })
    .await?;
    let count = |wanted: TicketState| {
        counts.iter().filter(|(state, _)| *state == wanted).map(|(_, count)| *count).sum::<u64>()
    };
    let tile = |state: TicketState| {
        let chosen = QueueQuery { state: state.as_str().to_owned(), ..asked.clone() };
        let figure = count(state);
        StateTile {
            href: format!("/queue{}", chosen.query(0)),
            figure,
            label: texts.of("state", state.as_str()),
            turn: turn.is(state) && figure > 0,
            current: asked.state == state.as_str(),
        }
    };
    let tiles = TicketState::ALL.into_iter().filter(|state| state.is_open()).map(tile).collect();
    let summary = texts.t1("queue-summary", "n", all);
    let from = u64::from(offset);
    let refresh = format!("/fragment/queue{}", asked.query(from));
    let pages = Pages::of(texts, asked, from, shown, all);
    Ok(QueueList { texts, refresh, tiles, summary, groups, pages })
}

fn groups(
    store: &Store,
    rows: Vec<TicketRow>,
    turn: Turn,
    texts: Text,
    now_ms: i64,
) -> Result<Vec<Group>, Failure> {
    let mut groups = Vec::new();
    for rows in grouped(rows) {
        let title = rows.first().map(|row| row.title.clone()).unwrap_or_default();
        let title = texts.t2("queue-group", ("n", rows.len()), ("title", title));
        groups.push(Group { title, items: ticket_items(store, rows, turn, texts, now_ms)? });
    }
    Ok(groups)
}

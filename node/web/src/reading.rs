//! Questions to the store, asked off the asynchronous threads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cunlian_crdt::store::{Fault, Store};
use cunlian_governance::access::reader::Reader;
use cunlian_governance::directory::{self, Contact};
use cunlian_governance::divisions::{self, Division, Status};
use cunlian_governance::query;
use cunlian_governance::ticket::query::{self as tickets, TicketRow};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use rusqlite::Connection;

use crate::clock::short;
use crate::component::{
    ClockBadge, Height, Notice, SyncBadge, TicketItem, TicketStateBadge, card_class,
};
use crate::failure::Failure;
use crate::state::WebState;
use crate::text::Text;
use crate::ticket::path::ticket_href;
use crate::waiting::Turn;

/// A page that takes longer than this is worth a line in the log, milliseconds.
const SLOW_MS: u128 = 500;

/// Runs `work` with the store on a thread that may block.
pub(crate) async fn ask<T, E>(
    state: &WebState,
    work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    let store = state.store().clone();
    let started = Instant::now();
    let result = tokio::task::spawn_blocking(move || work(&store)).await;
    let elapsed_ms = started.elapsed().as_millis();
    if elapsed_ms > SLOW_MS {
        tracing::warn!(elapsed_ms, "a question to the store was slow");
    }
    match result {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Failure::Internal(error.to_string())),
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            Fault::ReadOnly => Self::Unwritable(fault.to_string()),
            Fault::Corrupt { .. } | Fault::Failing { .. } | Fault::Stopped => {
                Self::Internal(fault.to_string())
            }
        }
    }
}

/// How far up a document is known to be durable.
pub(crate) fn height(store: &Store, home: &Home) -> Result<Height, Failure> {
    progress(store, home).map(|(height, _)| height)
}

/// The same, with the reason when a node above does not take it, or not now, in its words.
pub(crate) fn progress(store: &Store, home: &Home) -> Result<(Height, Option<String>), Failure> {
    let reached = store.reached(home)?;
    if reached.refused.is_some() {
        return Ok((Height::Refused, reached.refused));
    }
    let height = height_of(reached.reached, reached.awaited);
    let waits = height == Height::Local && reached.postponed.is_some();
    Ok((if waits { Height::Postponed } else { height }, reached.postponed))
}

/// How far a document has come, for a list: the reason comes with the pointer on it.
pub(crate) fn sync_badge(store: &Store, l: Text, home: &Home) -> Result<SyncBadge, Failure> {
    let (height, why) = progress(store, home)?;
    Ok(SyncBadge::of(l, height).because(why))
}

/// The height of something that tiers (bits) hold and others are awaited to.
pub(crate) fn height_of(reached: u8, awaited: u8) -> Height {
    let has = |tiers: &[Tier]| tiers.iter().any(|tier| reached & tier.bit() != 0);
    if has(&[Tier::County, Tier::City, Tier::Province]) {
        Height::County
    } else if has(&[Tier::Town, Tier::Village]) {
        if awaited == 0 { Height::TownLast } else { Height::Town }
    } else if awaited != 0 {
        Height::Local
    } else {
        Height::Home
    }
}

/// Names from the county down to `code`, separated by blanks; the printed code if none is known.
pub(crate) fn place_name(store: &Store, code: &AddressCode) -> Result<String, Failure> {
    let code = *code;
    Ok(store.read(|connection| Ok(name_of(connection, &code, 3)))?)
}

/// The last `most` names on the way to `code`, and the digits below the village.
pub(crate) fn name_of(connection: &Connection, code: &AddressCode, most: usize) -> String {
    // A node that has not imported the register yet shows codes.
    let mut names = divisions::name_path(connection, code).unwrap_or_default();
    if names.is_empty() {
        return code.plate_text();
    }
    names.drain(..names.len().saturating_sub(most));
    let below: Vec<&str> = [Level::Grid, Level::Building, Level::Unit, Level::Room]
        .into_iter()
        .filter_map(|level| code.segment(level))
        .collect();
    let mut name = names.join(" ");
    if !below.is_empty() {
        name.push(' ');
        name.push_str(&below.join("-"));
    }
    name
}

/// Names of places for one list, each looked up once.
pub(crate) struct PlaceNames {
    most: usize,
    known: BTreeMap<AddressCode, String>,
}

impl PlaceNames {
    /// Of each place the last `most` names on the way to it.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, known: BTreeMap::new() }
    }

    pub(crate) fn of(&mut self, store: &Store, code: AddressCode) -> Result<String, Failure> {
        if let Some(name) = self.known.get(&code) {
            return Ok(name.clone());
        }
        let most = self.most;
        let name = store.read(|connection| Ok(name_of(connection, &code, most)))?;
        self.known.insert(code, name.clone());
        Ok(name)
    }
}

/// The public contacts of a village.
pub(crate) fn contacts(store: &Store, village: &AddressCode) -> Result<Vec<Contact>, Failure> {
    let village = *village;
    let rows = store.read(|connection| directory::query::contacts(connection, village))?;
    Ok(rows.into_iter().map(|(_, contact)| contact).collect())
}

/// Tickets of the same town that ask the same and that `reader` may read.
pub(crate) fn similar_tickets(
    store: &Store,
    reader: &Reader,
    home: &Home,
    l: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let document = home.document;
    let rows = store.read(|connection| match tickets::one(connection, document)? {
        Some(row) => tickets::similar(connection, reader, &row, 5),
        None => Ok(Vec::new()),
    })?;
    ticket_items(store, rows, Turn::default(), l, now_ms)
}

/// Rows as list items; `turn` says which of them wait for the reader.
pub(crate) fn ticket_items(
    store: &Store,
    rows: Vec<TicketRow>,
    turn: Turn,
    l: Text,
    now_ms: i64,
) -> Result<Vec<TicketItem>, Failure> {
    let mut names = PlaceNames::new(2);
    let mut items = Vec::new();
    for row in rows {
        let place = names.of(store, row.home.address)?;
        let sync = sync_badge(store, l, &row.home)?;
        items.push(ticket_item(&row, place, sync, turn.is(row.state), l, now_ms));
    }
    Ok(items)
}

fn ticket_item(
    row: &TicketRow,
    place: String,
    sync: SyncBadge,
    turn: bool,
    l: Text,
    now_ms: i64,
) -> TicketItem {
    let mut more = vec![place];
    if let Some(channel) = row.channel {
        more.push(l.of("channel", channel.as_str()));
    }
    if let Some(at_ms) = row.reported_ms {
        more.push(short(at_ms, now_ms));
    }
    if let Some(assignee) = &row.assignee {
        more.push(l.t1("item-assigned", "name", &assignee.name));
    }
    if let Some(stands) = row.signed {
        more.push(l.of("signed", crate::ticket::signing::signed_name(stands)));
    }
    TicketItem {
        turn,
        href: ticket_href(&row.home),
        title: match &row.erased {
            Some(reason) => l.t1("ticket-erased-title", "reason", reason),
            None if row.title.is_empty() => l.t("ticket-untitled"),
            None => row.title.clone(),
        },
        more: more.join(" · "),
        card: card_class(row.clock.as_ref(), now_ms),
        clock: row.clock.map(|clock| ClockBadge::of(l, &clock, now_ms)),
        state: TicketStateBadge::of(l, row.state).for_whom(turn),
        sync: Some(sync),
    }
}

/// How many of the villages in `region` have sent something, and as of when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    /// Villages of which something is here.
    pub(crate) villages_in: usize,
    /// Villages the register lists as active.
    pub(crate) villages_all: usize,
    /// The oldest of their latest changes.
    pub(crate) oldest_ms: Option<i64>,
}

impl Coverage {
    /// "k of n villages in, as of …".
    pub(crate) fn notice(&self, l: Text, now_ms: i64) -> Notice {
        let complete = self.villages_in >= self.villages_all && self.villages_all > 0;
        let as_of = self.oldest_ms.map_or_else(|| l.t("never"), |at_ms| short(at_ms, now_ms));
        let text = l.with(
            "coverage",
            &[("k", &self.villages_in), ("n", &self.villages_all), ("as", &as_of)],
        );
        Notice { class: if complete { "good" } else { "warn" }, text }
    }
}

/// The coverage of `region`.
pub(crate) fn coverage(connection: &Connection, region: AddressCode) -> rusqlite::Result<Coverage> {
    let here = query::region::villages(connection, &Reader::everything(), region)?;
    let listed = villages_of(connection, &region);
    let known: BTreeSet<AddressCode> = here.iter().map(|village| village.address).collect();
    let villages_in = if listed.is_empty() {
        known.len()
    } else {
        listed.iter().filter(|village| known.contains(&village.code)).count()
    };
    Ok(Coverage {
        villages_in,
        villages_all: listed.len().max(villages_in),
        oldest_ms: here.iter().map(|village| village.updated_ms).min(),
    })
}

/// The coverage of several regions that do not overlap.
pub(crate) fn coverage_within(
    connection: &Connection,
    regions: &[AddressCode],
) -> rusqlite::Result<Coverage> {
    let mut all = Coverage { villages_in: 0, villages_all: 0, oldest_ms: None };
    for region in regions {
        let Coverage { villages_in, villages_all, oldest_ms } = coverage(connection, *region)?;
        all.villages_in += villages_in;
        all.villages_all += villages_all;
        all.oldest_ms = all.oldest_ms.into_iter().chain(oldest_ms).min();
    }
    Ok(all)
}

/// The active villages at and below `region`, by code.
pub(crate) fn villages_of(connection: &Connection, region: &AddressCode) -> Vec<Division> {
    if region.level() >= Level::Village {
        let village = region.truncate(Level::Village);
        return village
            .and_then(|village| divisions::find(connection, &village).ok().flatten())
            .into_iter()
            .collect();
    }
    let children = divisions::children(connection, region).unwrap_or_default();
    let active = children.into_iter().filter(|child| child.status == Status::Active);
    active
        .flat_map(|child| {
            if child.code.level() == Level::Village {
                vec![child]
            } else {
                villages_of(connection, &child.code)
            }
        })
        .collect()
}

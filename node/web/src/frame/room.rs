//! What a room gives to the whole. Each room says it in its face, and the root of the crate joins
//! the list; nothing else names them all.
//!
//! | given | used by |
//! |---|---|
//! | routes | the router |
//! | calls and their description | the router and `/api/openapi.json` |
//! | entries of the navigation | the layout of pages, the way from `/`, the counts beside the entries |
//! | texts | a file of the room's name for each language, embedded with the others |
//! | templates | a folder of the room's name |
//!
//! How often a stranger may do something is counted by the room itself, beside its routes.

use axum::Router;
use cunlian_governance::access::reader::Reader;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use rusqlite::Connection;
use utoipa::openapi::OpenApi;

use crate::state::WebState;

/// What a room gives to the whole.
pub(crate) struct Room {
    /// Its pages.
    pub(crate) routes: fn() -> Router<WebState>,
    /// Its calls.
    pub(crate) api: Option<Api>,
    /// Its entries of the navigation.
    pub(crate) navigation: &'static [Entry],
}

/// The calls of a room.
pub(crate) struct Api {
    pub(crate) routes: fn() -> Router<WebState>,
    pub(crate) description: fn() -> OpenApi,
}

/// An entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Where it leads.
    pub(crate) href: &'static str,
    /// Key of its text.
    pub(crate) text: &'static str,
    /// Its place among all entries, ascending. Where people of a tier begin is their first.
    pub(crate) order: u8,
    /// Who sees it.
    pub(crate) shown: Shown,
    /// What of it waits for a person, counted beside it.
    pub(crate) waiting: Option<Count>,
}

/// Who sees an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown {
    /// Everybody who has logged in.
    ToAll,
    /// Everybody who has logged in to a node of these tiers.
    At(&'static [Tier]),
    /// Who administers the node.
    ToAdministrators,
}

/// Counts what waits for somebody.
pub(crate) type Count = fn(&Connection, &Asking<'_>) -> rusqlite::Result<u64>;

/// For whom it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// Key of their role.
    pub(crate) role: &'a str,
    /// What they may read.
    pub(crate) reader: &'a Reader,
    /// Where.
    pub(crate) regions: &'a [AddressCode],
}

impl Shown {
    /// Whether somebody at a node of this tier sees it.
    pub(crate) fn is_at(self, tier: Tier, administers: bool) -> bool {
        match self {
            Self::ToAll => true,
            Self::At(tiers) => tiers.contains(&tier),
            Self::ToAdministrators => administers,
        }
    }
}

/// The entries of all rooms in their order.
pub(crate) fn navigation(rooms: &[Room]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rooms.iter().flat_map(|room| room.navigation).copied().collect();
    entries.sort_by_key(|entry| entry.order);
    entries
}

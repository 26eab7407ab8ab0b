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
use utoipa::openapi::OpenApi;

use crate::frame::navigation::Entry;
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

/// The entries of all rooms in their order.
pub(crate) fn navigation(rooms: &[Room]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rooms.iter().flat_map(|room| room.navigation).copied().collect();
    entries.sort_by_key(|entry| entry.order);
    entries
}

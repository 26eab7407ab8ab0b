//! The library: records of people, households, houses and land, found, registered and kept.
//!
//! | module | what |
//! |---|---|
//! | `search` | the library by name, code or number |
//! | `register`, `form`, `edit` | a record made, its form, a record changed |
//! | `page`, `record` | one record as its reader sees it |
//! | `relocation`, `erasure` | a record moved to another village, or taken away |
//! | `api` | the same acts as JSON |

use axum::Router;
use axum::routing::get;
use cunlian_protocol::certificate::Tier;
use utoipa::OpenApi as _;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::{Api, Room};
use crate::state::WebState;

mod api;
mod edit;
mod erasure;
mod form;
mod page;
pub(crate) mod record;
mod register;
mod relocation;
mod search;

/// What the library gives to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: Some(Api { routes: api::routes, description: api::Interface::openapi }),
    navigation: &[
        Entry {
            href: "/records/new",
            text: "nav-register",
            order: 20,
            shown: ShownTo::At(&[Tier::Village, Tier::Grid]),
            waiting: None,
        },
        Entry {
            href: "/records",
            text: "nav-records",
            order: 30,
            shown: ShownTo::All,
            waiting: None,
        },
    ],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/records", get(search::search))
        .route("/fragment/records", get(search::search_fragment))
        .route("/records/new", get(register::classes))
        .route("/records/new/{class}", get(register::new_form).post(register::register))
        .route("/records/{category}/{address}/{document}", get(page::show))
        .route(
            "/records/{category}/{address}/{document}/edit",
            get(edit::edit_form).post(edit::edit),
        )
        .route(
            "/records/{category}/{address}/{document}/move",
            get(relocation::choose_move).post(relocation::do_move),
        )
        .route(
            "/records/{category}/{address}/{document}/erase",
            get(erasure::choose_erase).post(erasure::do_erase),
        )
}

//! Tickets: what is reported, who does what about it until when, and lists of them.
//!
//! | module | what |
//! |---|---|
//! | `today` | the first page of a village terminal |
//! | `queue` | the queue of a town or county, of all channels |
//! | `intake` | tickets taken down by staff |
//! | `page`, `form`, `signing` | one ticket: trace, what may be done, sign-offs |
//! | `item`, `turn`, `path` | a ticket in a list: whose turn it is, where its page stands |
//! | `api` | the same acts as JSON |

use axum::Router;
use axum::routing::{get, post};
use cunlian_protocol::certificate::Tier;
use utoipa::OpenApi as _;

use crate::frame::navigation::{Entry, ShownTo};
use crate::frame::room::{Api, Room};
use crate::state::WebState;

mod api;
pub(crate) mod form;
pub(crate) mod intake;
pub(crate) mod item;
pub(crate) mod page;
pub(crate) mod path;
mod queue;
pub(crate) mod signing;
mod today;
pub(crate) mod turn;

/// What tickets give to the whole.
pub(crate) const ROOM: Room = Room {
    routes,
    api: Some(Api { routes: api::routes, description: api::Interface::openapi }),
    navigation: &[
        Entry {
            href: "/today",
            text: "nav-today",
            order: 10,
            shown: ShownTo::At(&[Tier::Village, Tier::Grid]),
            waiting: Some(turn::waiting),
        },
        Entry {
            href: "/queue",
            text: "nav-queue",
            order: 10,
            shown: ShownTo::At(&[Tier::Town]),
            waiting: Some(turn::waiting),
        },
        Entry {
            href: "/queue",
            text: "nav-tickets",
            order: 20,
            shown: ShownTo::At(&[Tier::County, Tier::City, Tier::Province]),
            waiting: Some(turn::waiting),
        },
    ],
};

fn routes() -> Router<WebState> {
    Router::new()
        .route("/today", get(today::today))
        .route("/fragment/today", get(today::today_fragment))
        .route("/queue", get(queue::queue))
        .route("/fragment/queue", get(queue::queue_fragment))
        .route("/tickets/new", get(intake::intake).post(intake::take_down))
        .route("/tickets/handed-on", get(page::handed_on))
        .route("/tickets/{address}/{document}", get(page::show))
        .route("/tickets/{address}/{document}/{verb}", post(page::act))
        .route("/tickets/{address}/{document}/photo/{photo}", get(page::photo))
}

//! The pages and the JSON API of a node, over HTTP.
//!
//! What it is: one [`router`] for every tier. Pages are HTML made on the server that work without
//! JavaScript; htmx keeps lists fresh where it runs. The modules are cut by who reads the page:
//!
//! | module | for whom |
//! |---|---|
//! | `villager` | whoever scanned a door plate: contacts, report, progress, rating; no login |
//! | `village` | village terminal: today's tickets, staff intake |
//! | `record` | search, register, show and edit library records |
//! | `conflict` | the conflict inbox |
//! | `ticket` | one ticket: trace and what may be done |
//! | `town` | queue of all channels, list of villages |
//! | `county`, `figure` | figures with definitions, coverage, drill-down; how they are written |
//! | `plate` | door plates to print |
//! | `health` | the status page, `/healthz`, `/readyz` |
//! | `admin` | administrators: invitations, people, nodes, review |
//! | `metrics` | `/metrics`, for those who watch nodes |
//! | `api` | `/api/v1`, the same acts as JSON |
//! | `appearance` | larger type, for who asks for it |
//! | `specimen` | `/style`: each part of the design language, for who writes pages |
//! | `waiting` | what waits for whom, beside the navigation |
//! | `login`, `account`, `session`, `visit` | who asks, in which language, with which token |
//!
//! What it is not: it opens no socket and knows no peer. The runtime calls [`serve`] and publishes
//! a [`NodeStatus`](cunlian_host::status::NodeStatus).
//!
//! Guarded here for every request: a strict content security policy, a bound on bodies, a token
//! in every form (`posted`), and limits on connections, bodies, logins and reports (`limits`).

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;

mod account;
mod admin;
mod administrator;
mod api;
mod appearance;
mod asset;
pub mod clock;
mod code;
mod component;
mod conflict;
mod county;
mod entry;
mod failure;
mod figure;
mod form;
mod health;
mod kept;
mod known;
mod layout;
mod ledger;
mod limits;
mod link;
mod login;
mod metrics;
mod patience;
mod photo;
mod plate;
mod posted;
mod reading;
mod reason;
mod record;
mod serving;
mod session;
pub mod sheet;
mod specimen;
mod state;
pub mod text;
mod ticket;
mod town;
mod uploads;
mod url;
mod village;
mod villager;
mod visit;
mod waiting;
mod writing;

pub use self::serving::serve;
pub use self::state::{WebConfig, WebState};

/// All pages and the API.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: limits count by address.
pub fn router(state: WebState) -> Router {
    Router::new()
        .merge(login::routes())
        .merge(account::routes())
        .merge(appearance::choosing::routes())
        .merge(specimen::routes())
        .merge(admin::routes())
        .merge(village::routes())
        .merge(record::routes())
        .merge(conflict::routes())
        .merge(ticket::routes())
        .merge(town::routes())
        .merge(county::routes())
        .merge(plate::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(villager::routes())
        .merge(api::routes())
        .merge(asset::routes())
        .fallback(entry::not_found)
        .method_not_allowed_fallback(entry::wrong_method)
        .layer(DefaultBodyLimit::max(limits::FORM_BYTES))
        .layer(from_fn_with_state(state.clone(), entry::layer))
        .layer(map_response(secure))
        .with_state(state)
}

/// Headers of every response. The pages have no inline script or style and load nothing from
/// elsewhere, so the policy can be strict.
async fn secure(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    );
    response
}

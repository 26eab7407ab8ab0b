//! The pages and the JSON API of a node, over HTTP.
//!
//! What it is: one [`router`] for every tier. Pages are HTML made on the server that work without
//! JavaScript; htmx keeps lists fresh where it runs. Each capability has one room: a file that says
//! what it gives to the whole, a folder of the same name beside it, one of templates and one file of
//! texts for each language.
//!
//! | room | for whom |
//! |---|---|
//! | `villager` | whoever scanned a door plate: contacts, report, progress, rating; no login |
//! | `ticket` | today's tickets, the queue of all channels, intake, one ticket |
//! | `library` | search, register, show and edit library records |
//! | `conflict` | the conflict inbox |
//! | `region` | figures with definitions, coverage, drill-down; list of villages |
//! | `plate` | door plates to print |
//! | `status` | the status page, `/healthz`, `/readyz`, `/metrics` |
//! | `admin` | administrators: invitations, people, nodes, review |
//! | `frame` | what stands around all of them; start reading at `frame::room` |
//!
//! Rooms use the frame and each other one way; the frame knows none of them.
//!
//! What it is not: it opens no socket and knows no peer. The runtime calls [`serve`] and publishes
//! a [`NodeStatus`](cunlian_host::status::NodeStatus).
//!
//! Guarded here for every request: a strict content security policy, a bound on bodies, a token
//! in every form (`posted`), and limits on connections, bodies, logins and reports (`limits`).

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};

use self::frame::api::openapi;
use self::frame::room::{Room, navigation};

mod admin;
mod conflict;
mod frame;
mod library;
mod limits;
mod patience;
mod plate;
mod region;
mod serving;
mod state;
mod status;
mod ticket;
mod villager;

pub use self::admin::sheet;
pub use self::frame::{clock, text};
pub use self::serving::serve;
pub use self::state::{WebConfig, WebState};

/// All rooms: the only place that names them.
const ROOMS: [Room; 9] = [
    frame::ROOM,
    ticket::ROOM,
    region::ROOM,
    library::ROOM,
    conflict::ROOM,
    plate::ROOM,
    villager::ROOM,
    status::ROOM,
    admin::ROOM,
];

impl WebState {
    /// The state of a node's pages, with nobody logged in.
    pub fn new(config: WebConfig) -> Self {
        Self::with_navigation(config, navigation(&ROOMS))
    }
}

/// All pages and the API.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: limits count by address.
pub fn router(state: WebState) -> Router {
    let calls = ROOMS.iter().filter_map(|room| room.api.as_ref());
    let routes = ROOMS.iter().map(|room| room.routes).chain(calls.map(|api| api.routes));
    routes
        .fold(Router::new(), |all, routes| all.merge(routes()))
        .route("/api/openapi.json", get(description))
        .fallback(frame::entry::not_found)
        .method_not_allowed_fallback(frame::entry::wrong_method)
        .layer(DefaultBodyLimit::max(limits::FORM_BYTES))
        .layer(from_fn_with_state(state.clone(), frame::entry::layer))
        .layer(map_response(secure))
        .with_state(state)
}

/// What the calls of all rooms are, for programs that write programs (`OpenAPI` 3.1).
async fn description() -> Json<utoipa::openapi::OpenApi> {
    let calls = ROOMS.iter().filter_map(|room| room.api.as_ref());
    Json(openapi::description(calls.map(|api| (api.description)())))
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use cunlian_protocol::certificate::Tier;

    use super::text::{Language, Text};
    use super::*;

    /// Names in a folder of the crate, without their endings, of what is meant.
    fn names(folder: &str, is_meant: fn(&Path) -> bool) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let paths = paths.filter(|path| is_meant(path));
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// Shows that code, templates and texts of a room stand under one name, and that the list has
    /// as many rooms as there are, by reading the folders. The page of all parts is the frame's and
    /// has texts by itself; refusals of the domain have theirs in one place for all rooms.
    #[test]
    fn a_room_has_one_name() {
        let has_face = |path: &Path| path.is_dir() && path.with_extension("rs").is_file();
        let rooms = names("src", has_face);
        assert_eq!(rooms.len(), ROOMS.len(), "{rooms:?}");
        assert_eq!(names("templates", Path::is_dir), rooms);
        for language in ["locales/zh-CN", "locales/en"] {
            let mut texts = names(language, Path::is_file);
            for shared in ["refusal", "style"] {
                assert!(texts.remove(shared), "{shared} in {language}");
            }
            assert_eq!(texts, rooms, "{language}");
        }
    }

    /// Shows that at each tier the navigation has one order, leads to each page once, and says in
    /// both languages where.
    #[test]
    fn the_navigation_is_one_row_at_each_tier() {
        for tier in Tier::ALL {
            let all = navigation(&ROOMS);
            let shown: Vec<_> = all.iter().filter(|entry| entry.shown.is_at(tier, true)).collect();
            let orders: BTreeSet<_> = shown.iter().map(|entry| entry.order).collect();
            let hrefs: BTreeSet<_> = shown.iter().map(|entry| entry.href).collect();
            assert!(orders.len() == shown.len() && hrefs.len() == shown.len(), "{shown:?}");
            assert!(shown.len() > 5, "{shown:?}");
            for text in [Language::Chinese, Language::English].map(Text::new) {
                assert!(shown.iter().all(|entry| text.has(entry.text)), "{shown:?}");
            }
        }
    }
}

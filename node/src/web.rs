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
//! | `county` | figures with definitions, coverage, drill-down |
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
//! a [`NodeStatus`].
//!
//! Guarded here for every request: a strict content security policy, a bound on bodies, a token
//! in every form (`posted`), and limits on logins and reports (`throttle`).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use cunlian_crdt::document::Author;
use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::session::{FormTokens, Sessions};
use self::throttle::{Rate, Throttle};
use crate::admin::Administration;
use crate::metrics::Metrics;
use crate::operator::Operators;
use crate::status::NodeStatus;

mod account;
mod admin;
mod api;
mod appearance;
mod asset;
pub(crate) mod clock;
mod component;
mod conflict;
mod county;
mod failure;
mod form;
mod health;
mod kept;
mod layout;
mod link;
mod login;
mod metrics;
mod photo;
mod plate;
mod posted;
mod reading;
mod record;
mod session;
mod specimen;
pub(crate) mod throttle;
mod ticket;
mod town;
mod village;
mod villager;
mod visit;
mod waiting;
mod writing;

/// Most bytes of a form without files.
const FORM_BYTES_MAX: usize = 128 << 10;
/// Logins under way at a time: each takes 32 MiB and a core for a tenth of a second.
const LOGINS_AT_ONCE: usize = 2;
/// Photos that are made smaller at the same time: each takes up to 200 MiB meanwhile.
const PHOTOS_AT_ONCE: usize = 1;

const LOGIN_PER_NAME: Rate = Rate { burst: 6, refill_ms: 60_000 };
const LOGIN_PER_CLIENT: Rate = Rate { burst: 30, refill_ms: 20_000 };
const REPORT_PER_CLIENT: Rate = Rate { burst: 10, refill_ms: 6 * 60_000 };
const REPORT_PER_PLATE: Rate = Rate { burst: 20, refill_ms: 3 * 60_000 };
const REPORT_PER_VILLAGE: Rate = Rate { burst: 60, refill_ms: 60_000 };
const LOOKUP_PER_CLIENT: Rate = Rate { burst: 60, refill_ms: 2_000 };

/// What the pages of a node need.
pub struct WebConfig {
    /// The store.
    pub store: Store,
    /// Signs what villagers send in; a session of its own.
    pub node: Author,
    /// Snapshots of the node's state.
    pub status: watch::Receiver<NodeStatus>,
    /// The people who may log in.
    pub operators: Operators,
    /// What administrators do through the pages.
    pub administration: Administration,
    /// Counters of the node.
    pub metrics: Metrics,
    /// Milliseconds since 1970-01-01 UTC.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Where phones reach this node, such as `http://192.168.1.20:8080`, without a slash at the
    /// end: what the QR codes on plates say. With `https`, cookies are marked `Secure`.
    pub public_url: String,
    /// Whether `/style` shows each part of the pages, for who writes them.
    pub style_page: bool,
}

/// The state of all pages. Cheap to clone.
#[derive(Clone)]
pub struct WebState(Arc<Inner>);

struct Inner {
    config: WebConfig,
    sessions: Sessions,
    tokens: FormTokens,
    /// Photos that are made smaller at the same time.
    photos: Semaphore,
    logins: Semaphore,
    login_per_name: Throttle<(String, IpAddr)>,
    login_per_client: Throttle<IpAddr>,
    report_per_client: Throttle<IpAddr>,
    report_per_plate: Throttle<AddressCode>,
    report_per_village: Throttle<AddressCode>,
    lookup_per_client: Throttle<IpAddr>,
    forms: form::Forms,
}

impl fmt::Debug for WebState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WebState").field("public_url", &self.0.config.public_url).finish()
    }
}

impl WebState {
    /// The state of a node's pages, with nobody logged in.
    pub fn new(config: WebConfig) -> Self {
        let tokens = FormTokens::new(&config.node.key.to_bytes());
        Self(Arc::new(Inner {
            config,
            sessions: Sessions::default(),
            tokens,
            photos: Semaphore::new(PHOTOS_AT_ONCE),
            logins: Semaphore::new(LOGINS_AT_ONCE),
            login_per_name: Throttle::new(LOGIN_PER_NAME),
            login_per_client: Throttle::new(LOGIN_PER_CLIENT),
            report_per_client: Throttle::new(REPORT_PER_CLIENT),
            report_per_plate: Throttle::new(REPORT_PER_PLATE),
            report_per_village: Throttle::new(REPORT_PER_VILLAGE),
            lookup_per_client: Throttle::new(LOOKUP_PER_CLIENT),
            forms: form::Forms::default(),
        }))
    }

    fn store(&self) -> &Store {
        &self.0.config.store
    }

    fn now_ms(&self) -> i64 {
        (self.0.config.now_ms)()
    }

    fn status(&self) -> NodeStatus {
        self.0.config.status.borrow().clone()
    }

    /// The node's own address and tier.
    fn place(&self) -> (AddressCode, Tier) {
        let status = self.0.config.status.borrow();
        (status.region, status.tier)
    }

    /// Every region the node holds, its own first: what lists and searches of its pages cover.
    fn regions(&self) -> Vec<AddressCode> {
        let authority = self.store().authority();
        let certificate = authority.get(&self.0.config.node.serial);
        certificate.map_or_else(|| vec![self.place().0], crate::service::own_regions)
    }

    fn administration(&self) -> &Administration {
        &self.0.config.administration
    }

    fn public_url(&self) -> &str {
        &self.0.config.public_url
    }

    /// Name of the session cookie. Browsers keep cookies by host and not by port, so the nodes of
    /// one machine need a name each, or who logs in at one is logged out at the others.
    fn session_cookie(&self) -> String {
        format!("{}_{}", session::SESSION_COOKIE, self.place().0)
    }

    fn secure_cookies(&self) -> bool {
        self.public_url().starts_with("https://")
    }
}

/// All pages and the API.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: limits count by address.
pub fn router(state: WebState) -> Router {
    Router::new()
        .merge(login::routes())
        .merge(account::routes())
        .merge(appearance::routes())
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
        .fallback(visit::not_found)
        .method_not_allowed_fallback(visit::wrong_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), visit::layer))
        .layer(map_response(secure))
        .with_state(state)
}

/// Serves the pages on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, state: WebState) -> io::Result<()> {
    let pages = router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, pages).await
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

//! What all pages share: the node behind them, who is logged in, and what each may do how often.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::Store;
use cunlian_host::admin::Administration;
use cunlian_host::metrics::Metrics;
use cunlian_host::operator::Operators;
use cunlian_host::regions::own_regions;
use cunlian_host::status::NodeStatus;
use cunlian_host::throttle::{FairThrottle, Throttle};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use tokio::sync::{Semaphore, watch};

use crate::form::register::Forms;
use crate::limits::{
    FIRST_REPORT, FIRST_REPORTS_PER_VILLAGE, LOGIN_OF_STRANGERS, LOGIN_PER_NAME, LOGIN_PER_NETWORK,
    LOGINS_AT_ONCE, LOOKUP_PER_NETWORK, PHOTOS_AT_ONCE, REPORT_PER_NETWORK, REPORT_PER_PLATE,
    REPORT_PER_VILLAGE,
};
use crate::login::turns::Turns;
use crate::session::{FormTokens, SESSION_COOKIE, Sessions};
use crate::uploads::Uploads;

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
    /// Addresses of proxies in front of the pages, which say in `x-forwarded-for` who asks.
    pub proxies: Vec<IpAddr>,
    /// Whether `/style` shows each part of the pages, for who writes them.
    pub style_page: bool,
}

/// The state of all pages. Cheap to clone.
#[derive(Clone)]
pub struct WebState(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: WebConfig,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: FormTokens,
    /// Bodies under way.
    pub(crate) uploads: Arc<Uploads>,
    /// Photos that are made smaller at the same time.
    pub(crate) photos: Semaphore,
    /// Logins under way of browsers that are known, and of others.
    pub(crate) logins: Semaphore,
    pub(crate) logins_of_strangers: Turns,
    /// By name, and by the network or the browser that tries it.
    pub(crate) login_per_name: Throttle<(String, String)>,
    pub(crate) login_of_strangers: Throttle<String>,
    pub(crate) login_per_network: Throttle<IpAddr>,
    pub(crate) report_per_network: Throttle<IpAddr>,
    pub(crate) report_per_plate: FairThrottle<AddressCode, IpAddr>,
    pub(crate) report_per_village: FairThrottle<AddressCode, IpAddr>,
    pub(crate) first_report: Throttle<(AddressCode, IpAddr)>,
    pub(crate) first_reports: Throttle<AddressCode>,
    pub(crate) lookup_per_network: Throttle<IpAddr>,
    pub(crate) forms: Forms,
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
            uploads: Arc::default(),
            photos: Semaphore::new(PHOTOS_AT_ONCE),
            logins: Semaphore::new(LOGINS_AT_ONCE),
            logins_of_strangers: Turns::new(LOGINS_AT_ONCE),
            login_per_name: Throttle::new(LOGIN_PER_NAME),
            login_of_strangers: Throttle::new(LOGIN_OF_STRANGERS),
            login_per_network: Throttle::new(LOGIN_PER_NETWORK),
            report_per_network: Throttle::new(REPORT_PER_NETWORK),
            report_per_plate: FairThrottle::new(REPORT_PER_PLATE),
            report_per_village: FairThrottle::new(REPORT_PER_VILLAGE),
            first_report: Throttle::new(FIRST_REPORT),
            first_reports: Throttle::new(FIRST_REPORTS_PER_VILLAGE),
            lookup_per_network: Throttle::new(LOOKUP_PER_NETWORK),
            forms: Forms::default(),
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.config.store
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.0.config.now_ms)()
    }

    pub(crate) fn status(&self) -> NodeStatus {
        self.0.config.status.borrow().clone()
    }

    /// The node's own address and tier.
    pub(crate) fn place(&self) -> (AddressCode, Tier) {
        let status = self.0.config.status.borrow();
        (status.region, status.tier)
    }

    /// Every region the node holds, its own first: what lists and searches of its pages cover.
    pub(crate) fn regions(&self) -> Vec<AddressCode> {
        let authority = self.store().authority();
        let certificate = authority.get(&self.0.config.node.serial);
        certificate.map_or_else(|| vec![self.place().0], own_regions)
    }

    pub(crate) fn administration(&self) -> &Administration {
        &self.0.config.administration
    }

    /// Whether an address is that of a proxy in front of the pages.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.0.config.proxies.contains(&address.to_canonical())
    }

    pub(crate) fn public_url(&self) -> &str {
        &self.0.config.public_url
    }

    /// Name of the session cookie. Browsers keep cookies by host and not by port, so the nodes of
    /// one machine need a name each, or who logs in at one is logged out at the others.
    pub(crate) fn session_cookie(&self) -> String {
        format!("{}_{}", SESSION_COOKIE, self.place().0)
    }

    pub(crate) fn secure_cookies(&self) -> bool {
        self.public_url().starts_with("https://")
    }
}

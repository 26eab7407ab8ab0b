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
use cunlian_host::throttle::Throttle;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use tokio::sync::{Semaphore, watch};

use crate::frame::form::register::Forms;
use crate::frame::login::password_queue::PasswordQueue;
use crate::frame::navigation::Entry;
use crate::frame::session::{FormTokens, SESSION_COOKIE, Sessions};
use crate::frame::uploads::Uploads;
use crate::limits::{
    LOGIN_OF_STRANGERS, LOGIN_PER_NAME, LOGIN_PER_NETWORK, LOGINS_AT_ONCE, PHOTOS_AT_ONCE,
};

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
    /// In their order, of all tiers.
    pub(crate) navigation: Vec<Entry>,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: FormTokens,
    /// Bodies under way.
    pub(crate) uploads: Arc<Uploads>,
    /// Photos that are made smaller at the same time.
    pub(crate) photos: Semaphore,
    /// Logins under way of browsers that are known, and of others.
    pub(crate) logins: Semaphore,
    pub(crate) logins_of_strangers: PasswordQueue,
    /// By name, and by the network or the browser that tries it.
    pub(crate) login_per_name: Throttle<(String, String)>,
    pub(crate) login_of_strangers: Throttle<String>,
    pub(crate) login_per_network: Throttle<IpAddr>,
    pub(crate) forms: Forms,
}

impl fmt::Debug for WebState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WebState").field("public_url", &self.0.config.public_url).finish()
    }
}

impl WebState {
    /// The state of pages with these entries in their navigation, with nobody logged in.
    pub(crate) fn with_navigation(config: WebConfig, navigation: Vec<Entry>) -> Self {
        let tokens = FormTokens::new(&config.node.key.to_bytes());
        Self(Arc::new(Inner {
            config,
            navigation,
            sessions: Sessions::default(),
            tokens,
            uploads: Arc::default(),
            photos: Semaphore::new(PHOTOS_AT_ONCE),
            logins: Semaphore::new(LOGINS_AT_ONCE),
            logins_of_strangers: PasswordQueue::new(LOGINS_AT_ONCE),
            login_per_name: Throttle::new(LOGIN_PER_NAME),
            login_of_strangers: Throttle::new(LOGIN_OF_STRANGERS),
            login_per_network: Throttle::new(LOGIN_PER_NETWORK),
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

    /// The entries that people of this node see, in their order.
    pub(crate) fn entries(&self, administers: bool) -> impl Iterator<Item = &Entry> {
        let tier = self.place().1;
        self.0.navigation.iter().filter(move |entry| entry.shown.is_at(tier, administers))
    }

    /// Where the people of this node begin.
    pub(crate) fn first_page(&self) -> &'static str {
        self.entries(false).next().map_or("/account", |entry| entry.href)
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

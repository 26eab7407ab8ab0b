//! Bodies that nobody wrote, sent to the pages and calls of a village, as somebody who has logged in.
//!
//! The first byte of an input says where it goes; the rest is the body. In it [`TOKEN`] stands for
//! the token of this session, so that what comes after the token is reached as well.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, header};
use cunlian_crdt::store::Store;
use cunlian_governance::divisions::keep_own_names;
use cunlian_host::admin::Administration;
use cunlian_host::clock;
use cunlian_host::metrics::Metrics;
use cunlian_host::operator::{Issuer, NewOperator, Operators};
use cunlian_host::restart::Restart;
use cunlian_host::status::{Clock, Health, Ledger, NodeStatus, Photos};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_web::{WebConfig, WebState, router};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tower_service::Service as _;

use super::{Target, VILLAGE};
use crate::member::Member;

/// Stands for the token of the session.
const TOKEN: &[u8] = b"@@@";
/// What parts of a form with a file are separated by.
const EDGE: &str = "edge";
const NAME: &str = "wang";
const PASSWORD: &str = "gaoqing-2026";
/// More than any answer has.
const ANSWER_BYTES: usize = 8 << 20;
/// Places that forms of text go to.
const FORMS: [&str; 5] =
    ["/login", "/tickets/new", "/records/new/population", "/account/password", "/t/AAAAAAAA/rate"];
/// Places that forms with a file go to.
const UPLOADS: [&str; 1] = ["/p/370322102310/report"];
/// Calls, with their methods.
const CALLS: [(Method, &str); 6] = [
    (Method::POST, "/api/v1/login"),
    (Method::POST, "/api/v1/tickets"),
    (Method::POST, "/api/v1/records"),
    (Method::PUT, "/api/v1/records/3000/370322102310/00000000000000000000000000000001"),
    (Method::POST, "/api/v1/records/3000/370322102310/00000000000000000000000000000001/move"),
    (Method::POST, "/api/v1/tickets/370322102310/00000000000000000000000000000001/operations"),
];

/// The pages of a village, and somebody who has logged in.
pub(super) struct Pages {
    runtime: Runtime,
    router: Router,
    cookies: String,
    token: String,
    _status: watch::Sender<NodeStatus>,
}

impl Pages {
    /// Of a village whose store is in a directory.
    pub(super) fn new(village: &Member, store: &Store, dir: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let operators = Operators::new(dir);
        let identity = &village.identity;
        let issuer = Issuer { certificate: &identity.certificate, key: &identity.key };
        let person = NewOperator {
            name: NAME,
            display_name: "王书记",
            role: "village_operator",
            narrowing: None,
            password: PASSWORD,
            must_change: false,
        };
        let person = operators.create(&issuer, person, clock::now_ms(), &mut rand::rng());
        let person = person.expect("a village has people");
        assert!(store.add_certificates(&[person]).expect("a store").is_empty());
        let village_code = AddressCode::parse(VILLAGE).expect("a code");
        let places = [(village_code, "苑兴村".to_owned())];
        let named = store.write_reference(move |connection| keep_own_names(connection, &places));
        assert_eq!(named.expect("a store takes places"), 1);
        let status = watch::Sender::new(status());
        let now_ms: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(clock::now_ms);
        let administration = Administration {
            store: store.clone(),
            identity: Arc::new(identity.clone()),
            operators: operators.clone(),
            data_dir: dir.to_owned(),
            now_ms: Arc::clone(&now_ms),
            clock: clock::Clock::open(dir),
            restart: Restart::default(),
        };
        let state = WebState::new(WebConfig {
            store: store.clone(),
            node: village.author(3),
            status: status.subscribe(),
            operators,
            administration,
            metrics: Metrics::new(dir),
            now_ms,
            public_url: "http://127.0.0.1:8080".to_owned(),
            proxies: Vec::new(),
            style_page: false,
        });
        let (cookies, token) = (String::new(), String::new());
        let router = router(state);
        let mut pages = Self { runtime, router, cookies, token, _status: status };
        pages.log_in();
        pages
    }

    /// Sends a body to one of the places of a target.
    pub(super) fn give(&mut self, target: Target, input: &[u8]) {
        let (first, body) = input.split_first().unwrap_or((&0, &[]));
        let place = usize::from(*first);
        let body = replaced(body, self.token.as_bytes());
        let multipart = format!("multipart/form-data; boundary={EDGE}");
        let (method, path, kind) = if target == Target::Upload {
            (Method::POST, at(&UPLOADS, place), multipart.as_str())
        } else if target == Target::Call {
            let (method, path) = at(&CALLS, place);
            (method, path, "application/json")
        } else {
            (Method::POST, at(&FORMS, place), "application/x-www-form-urlencoded")
        };
        self.ask((method, path, kind), body);
    }

    fn log_in(&mut self) {
        let body = format!("{{\"name\":\"{NAME}\",\"password\":\"{PASSWORD}\"}}");
        let call = (Method::POST, "/api/v1/login", "application/json");
        let (head, answer) = self.ask(call, body.into_bytes());
        let answer: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&answer).expect("a login is answered with an object");
        let token = answer.get("token").and_then(|token| token.as_str());
        token.expect("a login gives a token").clone_into(&mut self.token);
        let cookies = head.get_all(header::SET_COOKIE).iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        self.cookies = cookies.collect::<Vec<&str>>().join("; ");
    }

    fn ask(&mut self, (method, path, kind): Call<'_>, body: Vec<u8>) -> (HeaderMap, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::COOKIE, &self.cookies)
            .header("x-cunlian-token", &self.token)
            .body(Body::from(body))
            .expect("a sound request");
        let router = &mut self.router;
        self.runtime.block_on(async {
            let Ok(answer) = router.call(request).await;
            let (head, body) = answer.into_parts();
            let body = to_bytes(body, ANSWER_BYTES).await.expect("an answer is short");
            assert!(!head.status.is_server_error(), "{path}: {}", head.status);
            (head.headers, body.to_vec())
        })
    }
}

type Call<'a> = (Method, &'a str, &'a str);

/// One of some, whatever the number.
fn at<T: Clone>(list: &[T], place: usize) -> T {
    list.get(place % list.len()).cloned().expect("less than the length")
}

/// The body with the token where it belongs.
fn replaced(body: &[u8], token: &[u8]) -> Vec<u8> {
    let place = body.windows(TOKEN.len()).position(|window| window == TOKEN);
    let Some((before, after)) = place.and_then(|place| body.split_at_checked(place)) else {
        return body.to_vec();
    };
    [before, token, after.get(TOKEN.len()..).unwrap_or_default()].concat()
}

fn status() -> NodeStatus {
    NodeStatus {
        name: "苑兴村".to_owned(),
        tier: Tier::Village,
        region: AddressCode::parse(VILLAGE).expect("it is one"),
        version: "0.1.0".to_owned(),
        started_at_ms: 0,
        as_of_ms: 0,
        health: Health::Ok,
        clock: Clock::Unknown,
        suspended: None,
        peers: Vec::new(),
        cut_links: Vec::new(),
        documents: 0,
        beyond_bounds: 0,
        changes: 0,
        waiting: 0,
        photos: Photos::default(),
        ledger: Ledger::default(),
    }
}

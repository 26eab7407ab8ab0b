//! Who asks, in which language, from where: worked out once for every request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{FORWARDED, SET_COOKIE, VIA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use cunlian_governance::access::reader::Reader;
use cunlian_host::network::origin::{is_this_machine, network};
use cunlian_host::operator::is_by_assignment;

use crate::frame::appearance::TypeSize;
use crate::frame::failure::Failure;
use crate::frame::known;
use crate::frame::session::{Ended, LANGUAGE_COOKIE, Person, VISIT_COOKIE, cookie, random_hex};
use crate::frame::text::{Language, Text};
use crate::frame::waiting::Waiting;
use crate::state::WebState;

/// What proxies say of who asks.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// A visit cookie is kept this long, seconds.
pub(crate) const VISIT_S: u32 = 180 * 86_400;

/// One request's visitor.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// Texts in the visitor's language.
    pub(crate) texts: Text,
    /// Who has logged in.
    pub(crate) person: Option<Arc<Person>>,
    /// The unit whose tickets they handle, as their file says now.
    pub(crate) unit: Option<String>,
    /// Why who had logged in is so no longer.
    pub(crate) ended: Option<Ended>,
    /// Value of the session cookie; empty without one that holds.
    pub(crate) session: String,
    /// Value of the visit cookie.
    pub(crate) id: String,
    /// Whether the visitor had it before.
    pub(crate) returns: bool,
    /// Network the request came from; reports and logins are counted by it.
    pub(crate) client: IpAddr,
    /// The same for what never locks out the machine itself: `None` for what was asked on it, and not
    /// by a proxy on it for somebody else.
    pub(crate) elsewhere: Option<IpAddr>,
    /// Path and query, to come back after login or a change of language.
    pub(crate) path: String,
    /// The size of type that the visitor asked for.
    pub(crate) size: TypeSize,
    /// What waits for the person, for a page that shows it.
    pub(crate) waiting: Waiting,
    /// Whether the answer is JSON.
    pub(crate) is_api: bool,
    /// Whether the answer becomes part of a page that is open.
    pub(crate) is_fragment: bool,
}

/// A visitor who has logged in; anybody else is sent to the login page.
#[derive(Debug, Clone)]
pub(crate) struct Staff {
    /// The person.
    pub(crate) person: Arc<Person>,
    /// The visit.
    pub(crate) visit: Visit,
}

impl Staff {
    /// What the person may read at this moment.
    pub(crate) fn reader(&self, state: &WebState) -> Reader {
        let Person { author, display_name, role, .. } = &*self.person;
        let reader = Reader::of(&state.store().authority(), &author.serial);
        if !is_by_assignment(role) {
            return reader;
        }
        let unit = self.visit.unit.iter();
        reader.only_assigned_to([display_name].into_iter().chain(unit).cloned().collect())
    }
}

impl Visit {
    /// Who asks, and whether they are new; `address` is that of the other end of the connection.
    pub(crate) fn of(
        state: &WebState,
        uri: &Uri,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> (Self, bool) {
        let behind = state.is_proxy(address).then(|| behind(state, headers)).flatten();
        let is_here = is_this_machine(address) && is_from_here(address, headers);
        let client = network(behind.unwrap_or(address));
        let elsewhere = (!is_here).then_some(client);
        let session = cookie(headers, &state.session_cookie()).unwrap_or_default();
        let is_fragment = uri.path().starts_with("/fragment/");
        let (known, ended) = match known::person(state, session, !is_fragment) {
            Ok(known) => (known, None),
            Err(end) => (None, Some(end)),
        };
        let (person, unit) = known.map(|known| (known.person, known.unit)).unzip();
        let known = cookie(headers, VISIT_COOKIE)
            .filter(|value| value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()));
        let is_new = known.is_none();
        let id = known.map_or_else(random_hex, str::to_owned);
        let path = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
        let is_api = uri.path().starts_with("/api/");
        let size = TypeSize::of(headers);
        let session = if person.is_some() { session.to_owned() } else { String::new() };
        let texts = Text::new(language(uri, headers));
        let path = path.to_owned();
        let returns = !is_new;
        let unit = unit.flatten();
        let visit = Self {
            texts,
            person,
            unit,
            ended,
            session,
            id,
            returns,
            client,
            elsewhere,
            path,
            size,
            waiting: Waiting::default(),
            is_api,
            is_fragment,
        };
        (visit, is_new)
    }

    /// The same visit in a session that has just begun.
    pub(crate) fn in_session(&self, state: &WebState, session: String) -> Self {
        match known::person(state, &session, false) {
            Ok(Some(known)) => Self {
                person: Some(known.person),
                unit: known.unit,
                ended: None,
                session,
                ..self.clone()
            },
            Ok(None) | Err(_) => self.clone(),
        }
    }

    /// The browser, as failed logins are counted; `None` if it came without a cookie.
    pub(crate) fn device(&self) -> Option<String> {
        self.returns.then(|| self.id.clone())
    }

    /// The token that a form of this visit carries.
    pub(crate) fn token(&self, state: &WebState) -> String {
        state.0.tokens.token(&self.id, &self.session)
    }

    /// Whether a form came with this visit's token.
    pub(crate) fn holds(&self, state: &WebState, token: &str) -> bool {
        state.0.tokens.holds(&self.id, &self.session, token)
    }
}

/// Whether a request was made on this machine, and not by a proxy on it for somebody else.
pub(crate) fn is_from_here(client: IpAddr, headers: &HeaderMap) -> bool {
    let proxied = headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.contains_key(FORWARDED_FOR);
    client.to_canonical().is_loopback() && !proxied
}

/// Who is behind trusted proxies: of the addresses in `x-forwarded-for`, to which each proxy adds
/// the one it saw, the last that is no proxy. What stands before it anybody may have written.
fn behind(state: &WebState, headers: &HeaderMap) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let list: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    for text in list.into_iter().rev() {
        let address = text.parse().ok()?;
        if !state.is_proxy(address) {
            return Some(address);
        }
    }
    None
}

/// The language asked for by `?lang=`, else by the cookie, else Chinese. The browser is not asked:
/// many a village computer was set up in English by who sold it.
fn language(uri: &Uri, headers: &HeaderMap) -> Language {
    let asked = uri
        .query()
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")))
        .and_then(Language::from_tag);
    let chosen = || cookie(headers, LANGUAGE_COOKIE).and_then(Language::from_tag);
    asked.or_else(chosen).unwrap_or_default()
}

/// Adds a `Set-Cookie` header.
pub(crate) fn add_cookie(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().expect("the visit layer wraps every route"))
    }
}

impl FromRequestParts<WebState> for Staff {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let Ok(visit) = Visit::from_request_parts(parts, state).await;
        match visit.person.clone() {
            Some(person) => Ok(Self { person, visit }),
            None => Err(Failure::LoginRequired),
        }
    }
}

//! What can go wrong with a request, and how it is said: a page to people, an object to programs.
//!
//! Handlers return a [`Failure`]; the visit layer turns it into words, because only it knows the
//! visitor's language.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use cunlian_governance::capability::Kinds;
use cunlian_governance::catalogue::Language;
use cunlian_protocol::category::Category;
use cunlian_protocol::rights::Rights;

use super::WebState;
use super::api::refusal::Refusal;
use super::layout::{MessagePage, Page, html, is_villager_path};
use super::reading::domain_language;
use super::visit::Visit;
use crate::text::Text;
use cunlian_host::admin::naming::rights_names;
use cunlian_host::keystore::hex;

/// Why a request is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// There is nothing of that name, or nothing this visitor may see.
    #[error("not found")]
    NotFound,
    /// Only for people who have logged in.
    #[error("login required")]
    LoginRequired,
    /// Logged in, but without the right.
    #[error("{0}")]
    Forbidden(String),
    /// Logged in, but without the right to one kind of data in that place.
    #[error("no right to {} {}", rights_names(*rights).join(", "), english(*category))]
    NoRight {
        /// What was needed.
        rights: Rights,
        /// The kind of data.
        category: Category,
    },
    /// There is such a path, and nothing that can be done with it in this way.
    #[error("the method is not one of those in the header allow")]
    Method,
    /// The form's token does not hold: an old page, cookies off, or another site's form.
    #[error("the form is stale: its token does not hold")]
    Stale,
    /// Too many of one kind.
    #[error("too many requests; try again in {} s", wait_ms / 1000 + 1)]
    TooMany {
        /// When the next may come, in milliseconds.
        wait_ms: i64,
    },
    /// The body is larger than what is taken.
    #[error("the request is too large")]
    TooLarge,
    /// The request makes no sense.
    #[error("{reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
        /// The field, if it is one.
        field: Option<String>,
    },
    /// The request makes sense but the state of things is another.
    #[error("{0}")]
    Conflict(String),
    /// The disk is full; nothing was saved.
    #[error("the disk is full; nothing was saved")]
    DiskFull,
    /// The store takes no writes.
    #[error("the store takes no writes: {0}")]
    Unwritable(String),
    /// The store or the machine failed.
    #[error("{0}")]
    Internal(String),
}

/// A failure on its way out to the visit layer.
#[derive(Debug, Clone)]
pub(crate) struct Failed(pub(crate) Failure);

impl Failure {
    /// A malformed request.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into(), field: None }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::LoginRequired => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::NoRight { .. } | Self::Stale => StatusCode::FORBIDDEN,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unwritable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable name for programs, and the end of the keys of the texts.
    const fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Method => "method-not-allowed",
            Self::LoginRequired => "login-required",
            Self::Forbidden(_) | Self::NoRight { .. } => "forbidden",
            Self::Stale => "stale",
            Self::TooMany { .. } => "too-many",
            Self::TooLarge => "too-large",
            Self::Malformed { .. } => "malformed",
            Self::Conflict(_) => "conflict",
            Self::DiskFull => "disk-full",
            Self::Unwritable(_) => "unwritable",
            Self::Internal(_) => "internal",
        }
    }

    /// What to say above a form that could not be saved.
    pub(crate) fn words(&self, visit: &Visit) -> String {
        let l = visit.l;
        let title = l.of("failure", self.name());
        let hint = l.of("failure-hint", self.name());
        match self {
            Self::Forbidden(detail) | Self::Unwritable(detail) | Self::Conflict(detail) => {
                format!("{title} {hint} ({detail})")
            }
            Self::NoRight { rights, category } => {
                format!("{title} {hint} ({})", no_right(l, *rights, *category))
            }
            Self::Malformed { reason, .. } => format!("{title} {reason}"),
            Self::NotFound
            | Self::Method
            | Self::LoginRequired
            | Self::Stale
            | Self::TooMany { .. }
            | Self::TooLarge
            | Self::DiskFull
            | Self::Internal(_) => format!("{title} {hint}"),
        }
    }

    /// The answer for this visitor.
    pub(crate) fn respond(&self, state: &WebState, visit: &Visit) -> Response {
        if let Self::Internal(detail) = self {
            tracing::error!(path = visit.path, detail, "request failed");
        }
        let mut response = if visit.is_api { self.object(visit) } else { self.page(state, visit) };
        if let Self::TooMany { wait_ms } = self {
            let seconds = wait_ms / 1000 + 1;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn object(&self, visit: &Visit) -> Response {
        let field = if let Self::Malformed { field, .. } = self { field.clone() } else { None };
        let hint = match (self, visit.ended) {
            (Self::LoginRequired, Some(end)) => visit.l.of("ended", end.name()),
            _ => visit.l.of("failure-hint", self.name()),
        };
        let refusal = Refusal {
            error: self.name().to_owned(),
            message: self.to_string(),
            hint,
            field,
            fields: None,
        };
        (self.status(), Json(refusal)).into_response()
    }

    fn page(&self, state: &WebState, visit: &Visit) -> Response {
        if visit.is_fragment {
            // The open page keeps what it shows; when the session is over it loads itself anew,
            // which leads to the login.
            let mut response = self.status().into_response();
            if matches!(self, Self::LoginRequired) {
                let refresh = HeaderName::from_static("hx-refresh");
                response.headers_mut().insert(refresh, HeaderValue::from_static("true"));
            }
            return response;
        }
        if matches!(self, Self::LoginRequired) {
            let next: String = form_urlencode(&visit.path);
            return Redirect::to(&format!("/login?next={next}")).into_response();
        }
        let l = visit.l;
        let text = match self {
            Self::TooMany { wait_ms } => {
                l.t1("failure-wait", "wait", super::clock::span(l, *wait_ms + 59_999))
            }
            Self::NoRight { rights, category } => no_right(l, *rights, *category),
            Self::Forbidden(detail)
            | Self::Unwritable(detail)
            | Self::Conflict(detail)
            | Self::Malformed { reason: detail, .. } => detail.clone(),
            Self::NotFound
            | Self::Method
            | Self::LoginRequired
            | Self::Stale
            | Self::TooLarge
            | Self::DiskFull
            | Self::Internal(_) => String::new(),
        };
        let is_villager = is_villager_path(&visit.path);
        let (title, hint) = if visit.path.starts_with("/p/") && matches!(self, Self::NotFound) {
            (l.t("villager-no-plate"), l.t("villager-no-plate-hint"))
        } else {
            (l.of("failure", self.name()), l.of("failure-hint", self.name()))
        };
        let (page, back_name) = if is_villager {
            let (place, home) = (state.status().name, "/t".to_owned());
            (Page::villager(state, visit, title, place, home), l.t("villager-progress"))
        } else {
            (Page::new(state, visit, title), l.t("go-back"))
        };
        let back = page.home_href.clone();
        let mut response = html(&MessagePage { l, page, text, hint, back, back_name });
        *response.status_mut() = self.status();
        response
    }
}

fn english(category: Category) -> String {
    Kinds::built_in().text(category, Language::English)
}

/// Which right to which kind of data is missing, in the reader's words.
fn no_right(l: Text, rights: Rights, category: Category) -> String {
    let rights: Vec<_> = rights_names(rights).into_iter().map(|name| l.of("right", name)).collect();
    let kind = Kinds::built_in().text(category, domain_language(l));
    l.t2("failure-no-right", ("right", rights.join(&l.t("and"))), ("kind", kind))
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
pub(crate) fn form_urlencode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failed(self));
        response
    }
}

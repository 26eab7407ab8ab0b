//! What can go wrong with a request, and how it is said: a page to people, an object to programs.
//!
//! Handlers return a [`Failure`]; the entry turns it into words (`answer`), because only there the
//! visitor's language is known.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::language::Language;
use cunlian_governance::refusal::{self, Refusal, RefusalKind, Refused};
use cunlian_host::admin::naming::rights_names;
use cunlian_protocol::category::Category;
use cunlian_protocol::rights::Rights;

use crate::frame::text::Text;

mod answer;

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
    /// A rule of the domain is against it.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
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
    /// What is wrong with each field of a form, in the reader's words; empty when it is none of them.
    pub(crate) fn problems(&self, texts: Text) -> BTreeMap<String, String> {
        let Self::Refused(refusal) = self else { return BTreeMap::new() };
        let one = refusal.field.iter().map(|field| (field.clone(), texts.refusal(refusal)));
        let each = refusal.fields.iter().map(|(field, why)| (field.clone(), texts.refusal(why)));
        one.filter(|_| refusal.fields.is_empty()).chain(each).collect()
    }

    /// What stands now in the fields that somebody else has changed since they were read.
    pub(crate) fn overtaken(&self) -> BTreeMap<String, String> {
        let Self::Refused(refusal) = self else { return BTreeMap::new() };
        refusal.now.clone()
    }

    /// A malformed request.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into(), field: None }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::LoginRequired => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::NoRight { .. } | Self::Stale => StatusCode::FORBIDDEN,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Refused(refusal) => match refusal.kind {
                RefusalKind::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
                RefusalKind::NotFound => StatusCode::NOT_FOUND,
                RefusalKind::Forbidden => StatusCode::FORBIDDEN,
                RefusalKind::Conflict => StatusCode::CONFLICT,
            },
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unwritable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable name for programs, and the end of the keys of the texts.
    pub(crate) fn name(&self) -> &'static str {
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
            Self::Refused(refusal) => match refusal.kind {
                RefusalKind::Malformed => "malformed",
                RefusalKind::NotFound => "not-found",
                RefusalKind::Forbidden => "forbidden",
                RefusalKind::Conflict => "conflict",
            },
            Self::DiskFull => "disk-full",
            Self::Unwritable(_) => "unwritable",
            Self::Internal(_) => "internal",
        }
    }
}

impl<E: Refused> From<refusal::Failed<E>> for Failure {
    fn from(failed: refusal::Failed<E>) -> Self {
        match failed {
            refusal::Failed::Refused(error) => Self::Refused(Box::new(error.refusal())),
            refusal::Failed::Store(error) => error.into(),
        }
    }
}

fn english(category: Category) -> String {
    Kinds::built_in().text(category, Language::English)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failed(self));
        response
    }
}

//! How a call is refused: one object for every reason, and which reasons a call can have.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// Why a call was not done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Refusal {
    /// Stable name of the reason: `malformed`, `login-required`, `forbidden`, `stale`,
    /// `not-found`, `method-not-allowed`, `conflict`, `too-large`, `too-many`, `disk-full`,
    /// `unwritable`, `internal`.
    pub(crate) error: String,
    /// Which rule of the domain was against it, such as `ticket-not-now`; a stable name. Not where
    /// the request or the machine is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What happened, for whoever reads the log of the program.
    pub(crate) message: String,
    /// What a person can do about it, in the language that `?lang=en` or the cookie of the pages asks
    /// for, else in Chinese.
    pub(crate) hint: String,
    /// The field it is about, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// What is wrong with each field, if several are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<BTreeMap<String, String>>,
    /// The stable name of what is wrong with each field, if several are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasons: Option<BTreeMap<String, String>>,
}

/// What every call can be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its text is what counts: it documents the answers")]
pub(crate) enum Always {
    /// Too many calls in a short time; the header `retry-after` says when the next may come.
    #[response(status = 429)]
    TooMany(Refusal),
    /// The store or the machine failed; nothing was saved.
    #[response(status = 500)]
    Internal(Refusal),
    /// The store takes no writes, or is not ready.
    #[response(status = 503)]
    Unwritable(Refusal),
}

/// What a call by a person who has logged in can be answered with beside [`Always`].
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its text is what counts: it documents the answers")]
pub(crate) enum ToPeople {
    /// Without a session, or with one that has ended.
    #[response(status = 401)]
    LoginRequired(Refusal),
    /// Without the right, without the token, or before the password was changed.
    #[response(status = 403)]
    Forbidden(Refusal),
    /// A query or body that makes no sense; `field` says where.
    #[response(status = 422)]
    Malformed(Refusal),
}

/// What a call that writes can be answered with beside [`ToPeople`].
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its text is what counts: it documents the answers")]
pub(crate) enum ToWriters {
    /// The state of things is another than the call takes for granted.
    #[response(status = 409)]
    Conflict(Refusal),
    /// The body is larger than what is taken.
    #[response(status = 413)]
    TooLarge(Refusal),
    /// The disk is full; nothing was saved.
    #[response(status = 507)]
    DiskFull(Refusal),
}

/// What a call about one thing can be answered with beside [`ToPeople`].
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its text is what counts: it documents the answers")]
pub(crate) enum ToFinders {
    /// There is nothing of that name, or nothing this person may see.
    #[response(status = 404)]
    NotFound(Refusal),
}

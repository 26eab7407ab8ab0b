//! Larger type, for whoever asks for it at the foot of a page; the browser remembers it.

use axum::http::HeaderMap;

use crate::frame::session::cookie;

pub(crate) mod choosing;

/// Name of the cookie.
const SIZE_COOKIE: &str = "cunlian_size";
/// Its value for larger type; any other is the usual size.
const LARGE: &str = "large";

/// How large type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeSize {
    /// As the pages are made.
    Usual,
    /// For those who ask for more.
    Large,
}

impl TypeSize {
    /// What the browser remembers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if cookie(headers, SIZE_COOKIE) == Some(LARGE) { Self::Large } else { Self::Usual }
    }
}

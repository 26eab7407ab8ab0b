//! How a failure is said: a page to people, an object to programs.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::refusal as domain;
use cunlian_host::admin::naming::rights_names;
use cunlian_protocol::category::Category;
use cunlian_protocol::rights::Rights;

use super::Failure;
use crate::frame::api::refusal::Refusal;
use crate::frame::clock;
use crate::frame::layout::{MessagePage, Page, html, is_villager_path};
use crate::frame::text::{Text, domain_language};
use crate::frame::url::percent_encoded;
use crate::frame::visit::Visit;
use crate::state::WebState;

impl Failure {
    /// What to say above a form that could not be saved.
    pub(crate) fn words(&self, visit: &Visit) -> String {
        let texts = visit.texts;
        let title = texts.of("failure", self.name());
        let hint = texts.of("failure-hint", self.name());
        match self {
            Self::Forbidden(detail) | Self::Unwritable(detail) | Self::Conflict(detail) => {
                format!("{title} {hint} ({detail})")
            }
            Self::NoRight { rights, category } => {
                format!("{title} {hint} ({})", no_right(texts, *rights, *category))
            }
            Self::Malformed { reason, .. } => format!("{title} {reason}"),
            Self::Refused(refusal) => texts.refusal(refusal),
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
        if let Self::Refused(refusal) = self {
            let refusal = self.told(visit.texts, refusal);
            return (self.status(), Json(refusal)).into_response();
        }
        let field = if let Self::Malformed { field, .. } = self { field.clone() } else { None };
        let hint = match (self, visit.ended) {
            (Self::LoginRequired, Some(end)) => visit.texts.of("ended", end.name()),
            _ => visit.texts.of("failure-hint", self.name()),
        };
        let refusal = Refusal {
            error: self.name().to_owned(),
            message: self.to_string(),
            hint,
            field,
            ..Refusal::default()
        };
        (self.status(), Json(refusal)).into_response()
    }

    /// A refusal of the domain, for programs.
    fn told(&self, texts: Text, refusal: &domain::Refusal) -> Refusal {
        let words = || {
            if refusal.now.is_empty() { self.problems(texts) } else { refusal.now.clone() }
        };
        Refusal {
            error: self.name().to_owned(),
            reason: Some(refusal.key.to_owned()),
            message: texts.refusal(refusal),
            hint: texts.of("failure-hint", self.name()),
            field: refusal.field.clone(),
            fields: (!refusal.fields.is_empty()).then(words),
            reasons: (!refusal.fields.is_empty()).then(|| {
                let reason =
                    |(field, why): (&String, &domain::Refusal)| (field.clone(), why.key.to_owned());
                refusal.fields.iter().map(reason).collect()
            }),
        }
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
            let next: String = percent_encoded(&visit.path);
            return Redirect::to(&format!("/login?next={next}")).into_response();
        }
        let texts = visit.texts;
        let text = match self {
            Self::TooMany { wait_ms } => {
                texts.t1("failure-wait", "wait", clock::span(texts, *wait_ms + 59_999))
            }
            Self::NoRight { rights, category } => no_right(texts, *rights, *category),
            Self::Forbidden(detail)
            | Self::Unwritable(detail)
            | Self::Conflict(detail)
            | Self::Malformed { reason: detail, .. } => detail.clone(),
            Self::Refused(refusal) => texts.refusal(refusal),
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
            (texts.t("villager-no-plate"), texts.t("villager-no-plate-hint"))
        } else {
            (texts.of("failure", self.name()), texts.of("failure-hint", self.name()))
        };
        let (page, back_name) = if is_villager {
            let (place, home) = (state.status().name, "/t".to_owned());
            (Page::villager(state, visit, title, place, home), texts.t("villager-progress"))
        } else {
            (Page::new(state, visit, title), texts.t("go-back"))
        };
        let back = page.home_href.clone();
        let mut response = html(&MessagePage { texts, page, text, hint, back, back_name });
        *response.status_mut() = self.status();
        response
    }
}

/// Which right to which kind of data is missing, in the reader's words.
fn no_right(texts: Text, rights: Rights, category: Category) -> String {
    let rights: Vec<_> =
        rights_names(rights).into_iter().map(|name| texts.of("right", name)).collect();
    let kind = Kinds::built_in().text(category, domain_language(texts));
    texts.t2("failure-no-right", ("right", rights.join(&texts.t("and"))), ("kind", kind))
}

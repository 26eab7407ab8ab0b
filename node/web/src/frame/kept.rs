//! What somebody had typed when their session was over, or when they had logged in anew since the
//! form was opened: kept through the login, shown, and saved when they say so.
//!
//! | the form came | answer |
//! |---|---|
//! | without a session | the login, with everything that was typed hidden in it |
//! | with the token of an earlier session | the page below |
//! | with the login that follows | the page below |
//!
//! The page names who has logged in and shows what was typed; one button sends it to where it was
//! going, with a token that holds. Nothing is sent without that: the next person at the same
//! computer must not sign what the one before had typed. A form of another site is not kept, which
//! browsers say in `origin` (RFC 6454, section 7).
//!
//! Not kept are files; no form of staff has one.

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Form, FromRequest as _, Request};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;

use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::frame::visit::Visit;
use crate::limits::FORM_BYTES;
use crate::state::WebState;

/// What the fields of the login begin with that carry a form.
const PREFIX: &str = "kept.";
/// The field that says where the form was going.
const ACTION: &str = "kept.action";
/// Most characters of one text on the page.
const SHOWN_CHARACTERS: usize = 200;

/// A form that was sent and not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where it was going.
    action: String,
    /// Its fields without the token.
    fields: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) text: String,
}

#[derive(Template)]
#[template(path = "frame/kept.html")]
struct KeptPage {
    texts: Text,
    page: Page,
    who: String,
    action: String,
    token: String,
    fields: Vec<Field>,
    /// The texts that were typed, to be recognised.
    typed: Vec<String>,
}

impl Kept {
    /// The request as it was, and the form in it, which may turn out to come without a session.
    pub(crate) async fn take(request: Request) -> Result<(Request, Option<Self>), Failure> {
        let path = request.uri().path();
        let is_form = request.method() == Method::POST
            && !path.starts_with("/api/")
            && !matches!(path, "/login" | "/logout")
            && has_fields(request.headers())
            && !is_foreign(request.headers());
        if !is_form {
            return Ok((request, None));
        }
        let action = path.to_owned();
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, FORM_BYTES).await.map_err(|_| Failure::TooLarge)?;
        let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let form = Form::<Vec<(String, String)>>::from_request(copy, &()).await;
        let kept = form.ok().map(|Form(pairs)| {
            let pairs = pairs.into_iter().filter(|(name, _)| name != "token");
            Self { action, fields: pairs.map(|(name, text)| Field { name, text }).collect() }
        });
        // A form in which nobody typed anything is one click, which is soon made again.
        let kept = kept.filter(|kept| kept.fields.iter().any(Field::is_typed));
        Ok((Request::from_parts(parts, Body::from(bytes)), kept))
    }

    /// The form that a login carries.
    pub(crate) fn of_login(posted: &Posted) -> Option<Self> {
        let action = posted.0.get(ACTION).filter(|action| is_local(action))?.clone();
        let fields = posted.0.iter().filter(|(name, _)| *name != ACTION);
        let fields = fields.filter_map(|(name, text)| {
            let name = name.strip_prefix(PREFIX)?.to_owned();
            Some(Field { name, text: text.clone() })
        });
        Some(Self { action, fields: fields.collect() })
    }

    /// Its fields as the login carries them.
    pub(crate) fn into_fields(self) -> Vec<Field> {
        let action = Field { name: ACTION.to_owned(), text: self.action };
        let fields = self
            .fields
            .into_iter()
            .map(|field| Field { name: format!("{PREFIX}{}", field.name), text: field.text });
        std::iter::once(action).chain(fields).collect()
    }

    /// The page on which it is sent again, by who is logged in in this visit.
    pub(crate) fn page(self, state: &WebState, visit: &Visit) -> Response {
        let texts = visit.texts;
        let typed = self.fields.iter().filter(|field| field.is_typed());
        let short = |field: &Field| field.text.chars().take(SHOWN_CHARACTERS).collect();
        let who = visit.person.as_ref().map_or("", |person| &person.display_name);
        html(&KeptPage {
            texts,
            page: Page::new(state, visit, texts.t("kept-title")),
            who: who.to_owned(),
            action: self.action.clone(),
            token: visit.token(state),
            typed: typed.map(short).collect(),
            fields: self.fields,
        })
    }
}

impl Field {
    /// Whether the text in it was typed or chosen by somebody.
    fn is_typed(&self) -> bool {
        !self.name.starts_with("was.") && self.name != "document" && !self.text.trim().is_empty()
    }
}

fn has_fields(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Whether a browser says that the form stood on a page of another site.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_none() || host != text(header::HOST)
}

/// A path of this node, to which a form may go.
fn is_local(action: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-%".contains(&b);
    action.starts_with('/') && !action.starts_with("//") && action.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Shows that a form goes nowhere but to a path of this node.
    #[test]
    fn a_form_goes_to_this_node_alone() {
        assert!(is_local("/records/3000/370322102310/0123/edit"));
        for elsewhere in ["", "//example.org", "https://example.org", "/\\example.org", "/a\nb"] {
            assert!(!is_local(elsewhere), "{elsewhere}");
        }
    }

    /// Shows that the form of another site is known by its origin.
    #[test]
    fn a_form_of_another_site_is_known() {
        let headers = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("village:8403"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            headers
        };
        assert!(!is_foreign(&headers(None)) && !is_foreign(&headers(Some("http://village:8403"))));
        for other in ["null", "https://example.org", "http://village:8404", "http://village"] {
            assert!(is_foreign(&headers(Some(other))), "{other}");
        }
    }
}

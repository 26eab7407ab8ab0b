//! What comes with a call, read strictly: a key that means nothing, a key given twice and a value
//! out of bounds are refused and named. Who misspells `seen` must not undo a colleague's work.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use cunlian_governance::checks::{self, one_line_break};
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::frame::failure::Failure;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Header that carries the token.
pub(crate) const TOKEN_HEADER: &str = "x-cunlian-token";
/// Longest source or task of a change, in characters.
const ORIGIN_CHARACTERS: usize = 60;

/// A person who calls with session and, where something is changed, with token.
pub(crate) struct Caller(pub(crate) Staff);

impl FromRequestParts<WebState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let staff = Staff::from_request_parts(parts, state).await?;
        let token = parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
        if parts.method != Method::GET && !staff.visit.holds(state, token.unwrap_or_default()) {
            return Err(Failure::Stale);
        }
        Ok(Self(staff))
    }
}

/// A JSON body.
pub(crate) struct Object<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<WebState> for Object<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(
                FailedToBufferBody::LengthLimitError(_),
            ))) => Err(Failure::TooLarge),
            Err(rejection) => Err(Failure::malformed(rejection.body_text())),
        }
    }
}

/// The part of a URL after the question mark, but for the choice of a language.
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<WebState> for StrictQuery<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Failure> {
        // The language is chosen like that of a page, before any call is read.
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let own: Vec<&str> = pairs.filter(|pair| !pair.starts_with("lang=")).collect();
        let own = Uri::builder().path_and_query(format!("/?{}", own.join("&"))).build();
        let own = own.map_err(|error| Failure::malformed(error.to_string()))?;
        match Query::<T>::try_from_uri(&own) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::malformed(rejection.body_text())),
        }
    }
}

/// A query without any key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The path of something: what no node would write in a path names nothing.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<WebState> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|_| Failure::NotFound)
    }
}

/// Texts by key, each key given once; line breaks in one form.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = BTreeMap<String, String>)]
pub(crate) struct Texts(pub(crate) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Texts;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object with texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.contains_key(&key) {
                        return Err(A::Error::custom(format!("{key:?} is given twice")));
                    }
                    texts.insert(key, one_line_break(&text));
                }
                Ok(Texts(texts))
            }
        }

        from.deserialize_map(Pairs)
    }
}

/// A short text beside the data, such as where a change comes from.
pub(crate) fn short(field: &str, text: &str) -> Result<String, Failure> {
    let refuse = |reason: String| Failure::Malformed { reason, field: Some(field.to_owned()) };
    checks::visible(text).map_err(|error| refuse(format!("{field} {error}")))?;
    let got = text.chars().count();
    if got > ORIGIN_CHARACTERS {
        return Err(refuse(format!(
            "{field} has {got} characters; at most {ORIGIN_CHARACTERS} are kept"
        )));
    }
    Ok(text.to_owned())
}

/// How many are asked for, if no more than `most`.
pub(crate) fn limit(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, Failure> {
    let limit = asked.unwrap_or(usual);
    if limit <= most {
        return Ok(limit);
    }
    Err(Failure::Malformed {
        reason: format!("limit is {limit}; at most {most} are given at once, the rest by offset"),
        field: Some("limit".to_owned()),
    })
}

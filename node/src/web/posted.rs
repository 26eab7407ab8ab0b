//! Forms that were sent: read within bounds, and refused without this visit's token.

use std::collections::BTreeMap;

use axum::extract::{Form, FromRequest, Multipart, Request};
use axum::http::StatusCode;
use cunlian_governance::checks::is_hidden;

use super::WebState;
use super::failure::Failure;
use super::photo::UPLOAD_BYTES_MAX;
use super::visit::Visit;

/// Most fields of one form.
const FIELDS_MAX: usize = 200;
/// Longest text of one field of a form with a photo, in bytes.
const FIELD_BYTES_MAX: usize = 32 << 10;

/// Fields of a form, its token checked and taken out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Posted(pub(crate) BTreeMap<String, String>);

impl Posted {
    /// The trimmed text of a field; empty when it was not sent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim())
    }
}

impl FromRequest<WebState> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let visit = visit_of(&request);
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(pairs) = form.map_err(|rejection| refused(rejection.status()))?;
        if pairs.len() > FIELDS_MAX {
            return Err(Failure::TooLarge);
        }
        let fields = pairs.into_iter().map(|(name, text)| (name, typed(&text))).collect();
        checked(state, &visit, fields)
    }
}

/// A form with one photo.
#[derive(Debug, Default)]
pub(crate) struct PostedPhoto {
    /// The other fields.
    pub(crate) form: Posted,
    /// Bytes of the file `photo`; `None` when none was chosen.
    pub(crate) photo: Option<Vec<u8>>,
}

impl FromRequest<WebState> for PostedPhoto {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let visit = visit_of(&request);
        let parts = Multipart::from_request(request, state).await;
        let mut parts = parts.map_err(|rejection| refused(rejection.status()))?;
        let mut fields = BTreeMap::new();
        let mut photo = None;
        while let Some(mut part) =
            parts.next_field().await.map_err(|error| refused(error.status()))?
        {
            let name = part.name().unwrap_or_default().to_owned();
            let most = if name == "photo" { UPLOAD_BYTES_MAX + 1 } else { FIELD_BYTES_MAX };
            let mut bytes = Vec::new();
            while let Some(chunk) = part.chunk().await.map_err(|error| refused(error.status()))? {
                if bytes.len() + chunk.len() > most {
                    return Err(Failure::TooLarge);
                }
                bytes.extend_from_slice(&chunk);
            }
            if name == "photo" {
                photo = (!bytes.is_empty()).then_some(bytes);
            } else {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Failure::malformed("a field is not UTF-8 text"))?;
                fields.insert(name, typed(&text));
            }
            if fields.len() > FIELDS_MAX {
                return Err(Failure::TooLarge);
            }
        }
        Ok(Self { form: checked(state, &visit, fields)?, photo })
    }
}

fn visit_of(request: &Request) -> Visit {
    request.extensions().get::<Visit>().cloned().expect("the visit layer wraps every route")
}

fn checked(
    state: &WebState,
    visit: &Visit,
    mut fields: BTreeMap<String, String>,
) -> Result<Posted, Failure> {
    let token = fields.remove("token").unwrap_or_default();
    if visit.holds(state, &token) { Ok(Posted(fields)) } else { Err(Failure::Stale) }
}

fn refused(status: StatusCode) -> Failure {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Failure::TooLarge
    } else {
        Failure::malformed("the form could not be read")
    }
}

/// What somebody typed: line breaks, which browsers send as CR LF, in one form, and without
/// characters that cannot be seen. Who pasted them did not mean them.
fn typed(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|character| !is_hidden(*character)).collect()
}

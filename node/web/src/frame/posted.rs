//! Forms that were sent: read within bounds, and refused without this visit's token.

use std::collections::BTreeMap;

use axum::extract::{Form, FromRequest, Multipart, Request};
use axum::http::StatusCode;
use cunlian_governance::checks::{is_hidden, one_line_break};

use crate::frame::failure::Failure;
use crate::frame::visit::Visit;
use crate::limits::PHOTO_BYTES;
use crate::state::WebState;

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
        checked(state, &visit, once_each(pairs)?)
    }
}

/// A form with one file, as it came: what is wrong with it is for the page to say, which keeps the
/// rest.
#[derive(Debug, Default)]
pub(crate) struct Uploaded {
    /// The other fields.
    pub(crate) form: Posted,
    /// Bytes of the file `photo`; `None` when none was chosen, or a larger one than is taken.
    pub(crate) photo: Option<Vec<u8>>,
    /// Whether the file was larger than [`PHOTO_BYTES`].
    pub(crate) is_too_large: bool,
    /// Whether the token does not hold.
    pub(crate) is_stale: bool,
}

impl FromRequest<WebState> for Uploaded {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let visit = visit_of(&request);
        let parts = Multipart::from_request(request, state).await;
        let mut parts = parts.map_err(|rejection| refused(rejection.status()))?;
        let (mut fields, mut upload) = (Vec::new(), Self::default());
        while let Some(mut part) =
            parts.next_field().await.map_err(|error| refused(error.status()))?
        {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = name == "photo";
            let most = if is_file { PHOTO_BYTES } else { FIELD_BYTES_MAX };
            let mut bytes = Vec::new();
            while let Some(chunk) = part.chunk().await.map_err(|error| refused(error.status()))? {
                if upload.is_too_large {
                    // Read to its end all the same: a browser that is cut off shows no answer.
                } else if bytes.len() + chunk.len() <= most {
                    bytes.extend_from_slice(&chunk);
                } else if is_file {
                    (bytes, upload.is_too_large) = (Vec::new(), true);
                } else {
                    return Err(Failure::TooLarge);
                }
            }
            if is_file {
                upload.photo = (!bytes.is_empty()).then_some(bytes);
            } else {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Failure::malformed("a field is not UTF-8 text"))?;
                fields.push((name, text));
            }
            if fields.len() > FIELDS_MAX {
                return Err(Failure::TooLarge);
            }
        }
        let mut fields = once_each(fields)?;
        let token = fields.remove("token").unwrap_or_default();
        upload.is_stale = !visit.holds(state, &token);
        upload.form = Posted(fields);
        Ok(upload)
    }
}

/// The same, its token checked, with a file that is not too large.
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
        match Uploaded::from_request(request, state).await? {
            Uploaded { is_stale: true, .. } => Err(Failure::Stale),
            Uploaded { is_too_large: true, .. } => Err(Failure::TooLarge),
            Uploaded { form, photo, .. } => Ok(Self { form, photo }),
        }
    }
}

/// The fields of a form by name; of a name given twice nobody can say which text was meant.
fn once_each(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut fields = BTreeMap::new();
    for (name, text) in pairs {
        if fields.insert(name, typed(&text)).is_some() {
            return Err(Failure::malformed("a field is in the form twice"));
        }
    }
    Ok(fields)
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
    one_line_break(text).chars().filter(|character| !is_hidden(*character)).collect()
}

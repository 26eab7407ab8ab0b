//! Photos in the store: what a page shows of one, and the picture itself.
//!
//! A picture comes after the report that it belongs to, so a page may have one without the other,
//! and says so.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cunlian_crdt::store::{BlobContent, BlobState, Store};
use cunlian_governance::ticket::{Picture, photo_home, picture};
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use crate::frame::component::{Height, Photo, Photos, SyncBadge};
use crate::frame::failure::Failure;
use crate::frame::reading::{height_of, progress};
use crate::frame::reason::reason;
use crate::frame::text::Text;

/// What this program writes and a browser may show as a picture. Anything else is a download:
/// whoever may write a photo must not be able to put a page of theirs under this address.
const SHOWN: [&str; 2] = ["image/jpeg", "image/png"];

/// For whom a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Staff,
    /// Who is told how far the report has got, and of a photo only what is different.
    Villager(Height),
}

/// The photos of a ticket as a page shows them; `href` gives the address of one.
pub(crate) fn photos(
    store: &Store,
    texts: Text,
    audience: Audience,
    ticket: &Home,
    ids: &[DocumentId],
    href: impl Fn(&DocumentId) -> String,
) -> Result<Photos, Failure> {
    let photo = |id: &DocumentId| {
        let (note, sync) = match look(store, &photo_home(ticket, *id))? {
            PhotoState::Here(height, why) => (None, badge(texts, audience, (height, why))),
            PhotoState::OnItsWay { percent: 0 } => (Some(texts.t("photo-on-its-way")), None),
            PhotoState::OnItsWay { percent } => {
                (Some(texts.t1("photo-partly-here", "n", percent)), None)
            }
            PhotoState::Postponed { why } => (Some(postponed(texts, audience, &why)), None),
            PhotoState::Erased => (Some(texts.t("photo-erased")), None),
        };
        Ok(Photo { href: href(id), alt: texts.t("photo-alt"), note, sync })
    };
    Ok(Photos { photos: ids.iter().map(photo).collect::<Result<_, Failure>>()? })
}

/// Why there is no picture, for who administers nodes and for who does not.
fn postponed(texts: Text, audience: Audience, why: &str) -> String {
    match audience {
        Audience::Staff => texts.t1("photo-postponed", "why", reason(texts, why)),
        Audience::Villager(_) => texts.t("photo-postponed-villager"),
    }
}

fn badge(
    texts: Text,
    audience: Audience,
    (height, why): (Height, Option<String>),
) -> Option<SyncBadge> {
    match audience {
        Audience::Staff => Some(SyncBadge::of(texts, height).because(why).in_full()),
        Audience::Villager(report) if report == height => None,
        Audience::Villager(_) => Some(SyncBadge::for_villager(texts, height)),
    }
}

/// The picture of a photo document, as the answer to a request for it.
pub(crate) fn load(store: &Store, home: &Home) -> Result<Response, Failure> {
    let view = store.view(home)?.ok_or(Failure::NotFound)?;
    match picture(&view).ok_or(Failure::NotFound)? {
        Picture::Inline(jpeg) => {
            let jpeg = BASE64.decode(jpeg).map_err(|error| Failure::Internal(error.to_string()))?;
            Ok(([(CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
        }
        Picture::Blob(BlobReference { name, media_type }) => match store.blob_of(home, &name)? {
            Some(BlobContent::Whole(content)) => Ok(answer(&media_type, content)),
            Some(BlobContent::OnItsWay { .. }) | None => Err(Failure::NotFound),
        },
    }
}

fn answer(media_type: &str, content: Vec<u8>) -> Response {
    if let Some(shown) = SHOWN.into_iter().find(|shown| *shown == media_type) {
        return ([(CONTENT_TYPE, shown)], content).into_response();
    }
    let headers = [(CONTENT_TYPE, "application/octet-stream"), (CONTENT_DISPOSITION, "attachment")];
    (headers, content).into_response()
}

/// What there is to be shown of a photo.
enum PhotoState {
    /// How far it has got, and why no further.
    Here(Height, Option<String>),
    OnItsWay {
        percent: u64,
    },
    /// This node does not ask for it now.
    Postponed {
        why: String,
    },
    Erased,
}

fn look(store: &Store, home: &Home) -> Result<PhotoState, Failure> {
    // The ticket may come before the photo documents that it names.
    let Some(view) = store.view(home)? else { return Ok(PhotoState::OnItsWay { percent: 0 }) };
    if view.erased.is_some() {
        return Ok(PhotoState::Erased);
    }
    let name = match picture(&view) {
        None => return Ok(PhotoState::OnItsWay { percent: 0 }),
        Some(Picture::Inline(_)) => {
            let (height, why) = progress(store, home)?;
            return Ok(PhotoState::Here(height, why));
        }
        Some(Picture::Blob(reference)) => reference.name,
    };
    match store.blob_state_of(home, &name)? {
        Some(BlobState { whole: true, reached, awaited, postponed, .. }) => {
            // What names it goes first: where that is not taken, the photo is not asked for.
            let (document, why) = progress(store, home)?;
            if matches!(document, Height::Refused | Height::Postponed) {
                return Ok(PhotoState::Here(document, why));
            }
            let mut height = height_of(reached, awaited);
            if height == Height::Local && postponed.is_some() {
                height = Height::Postponed;
            }
            Ok(PhotoState::Here(height, postponed))
        }
        Some(BlobState { postponed: Some(why), .. }) => Ok(PhotoState::Postponed { why }),
        standing => {
            let here = standing.map_or(0, |standing| standing.here);
            Ok(PhotoState::OnItsWay { percent: 100 * here / u64::from(name.bytes.max(1)) })
        }
    }
}

//! Photos of a ticket: documents of their own, which name the picture.
//!
//! | field | holds |
//! |---|---|
//! | `photo` | the picture, as a [`BlobReference`] |
//! | `ticket` | document id of the ticket |
//! | `jpeg` | the picture itself, in base64; only in documents written before there were blobs |
//!
//! A photo is a document of [`Category::TICKET_PHOTO`] at the address of its ticket, so that it
//! travels and is read as the permissions on photos say, and so does the blob that it names.

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

const PHOTO: &str = "photo";
const TICKET: &str = "ticket";
const JPEG: &str = "jpeg";

/// Where the picture of a photo document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// In a blob.
    Blob(BlobReference),
    /// In the document: a JPEG in base64.
    Inline(String),
}

/// The document of a photo that a ticket names.
pub fn photo_home(ticket: &Home, document: DocumentId) -> Home {
    Home { category: Category::TICKET_PHOTO, address: ticket.address, document }
}

/// The write that makes `document` a photo of the ticket. The content of the blob is saved with it.
pub fn photo_write(
    ticket: &Home,
    document: DocumentId,
    picture: &BlobReference,
    source: &str,
) -> Write {
    let put = |field: &str, text: String| Edit::Put { field: field.to_owned(), text };
    Write {
        home: photo_home(ticket, document),
        edits: vec![put(PHOTO, picture.to_string()), put(TICKET, ticket.document.to_string())],
        source: source.to_owned(),
        task: String::new(),
    }
}

/// The ticket that a photo document is of; `None` when it does not say, as after an erasure.
pub(super) fn ticket(photo: &DocumentView) -> Option<DocumentId> {
    photo.fields.get(TICKET)?.current.text.parse().ok()
}

/// The picture of a photo document; `None` when it has none, as after an erasure.
pub fn picture(photo: &DocumentView) -> Option<Picture> {
    let text = |field: &str| photo.fields.get(field).map(|field| field.current.text.as_str());
    let blob = text(PHOTO).and_then(|text| text.parse().ok()).map(Picture::Blob);
    blob.or_else(|| text(JPEG).map(|jpeg| Picture::Inline(jpeg.to_owned())))
}

//! The blobs that a document names.

use cunlian_protocol::blob::{BlobName, BlobReference};
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;

use crate::document::DocumentView;

/// A blob that a document names, and when the change that does was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Named {
    pub(in crate::store) name: BlobName,
    pub(in crate::store) recorded_at_ms: i64,
    /// Who named it.
    pub(in crate::store) author: Serial,
}

/// The blobs that the fields of a document name, concurrent values included, ascending: at most
/// [`limits::BLOBS_OF_DOCUMENT`], those of the first fields.
pub(in crate::store) fn named(view: &DocumentView) -> Vec<Named> {
    let values = view
        .fields
        .values()
        .flat_map(|field| core::iter::once(&field.current).chain(&field.others));
    let named = values.filter_map(|value| {
        let name = value.text.parse::<BlobReference>().ok()?.name;
        let (recorded_at_ms, author) = (value.writer.recorded_at_ms, value.writer.author);
        Some(Named { name, recorded_at_ms, author })
    });
    let mut named: Vec<Named> = named.take(limits::BLOBS_OF_DOCUMENT).collect();
    named.sort_unstable_by_key(|named| (named.name, named.recorded_at_ms));
    named.dedup_by_key(|named| named.name);
    named
}

//! Outlines as they are kept.

use cunlian_protocol::blob::{BlobName, Outline};

/// The outline in a row of table `blob`; that of a blob of one chunk is always known.
pub(in crate::store) fn outline(name: BlobName, bytes: Option<&[u8]>) -> Option<Outline> {
    let values = match bytes {
        Some(bytes) => bytes.as_chunks().0.to_vec(),
        None if name.chunks() == 1 => Vec::new(),
        None => return None,
    };
    Outline::check(name, values).ok()
}

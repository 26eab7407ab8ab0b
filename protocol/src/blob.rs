//! Blobs: photos and files, by the BLAKE3 of their content, and how their bytes are checked.
//!
//! A document names a blob in the text of a field ([`BlobReference`]):
//!
//! ```text
//! blob:<64 hexadecimal digits>;<media type>;<bytes>
//! ```
//!
//! The content never is in a signed change. It travels after all changes, a *chunk* of
//! [`limits::BLOB_CHUNK_BYTES`] at a time, and each chunk is checked as it comes: the id of a blob
//! is the root of the BLAKE3 tree over its content, and the *outline* is the row of that tree's
//! nodes (chaining values) that stand over one chunk each.
//!
//! ```text
//!              id                     BLAKE3 of the content
//!            ┌──┴──┐
//!          node   node                not kept: follow from the outline
//!          ┌─┴─┐  ┌─┴─┐
//!          v0  v1 v2  v3              outline, 32 bytes each
//!          c0  c1 c2  c3              chunks of 64 KiB, the last one shorter
//! ```
//!
//! An [`Outline`] exists only if its merge is the id, a [`Chunk`] only if its hash is its value
//! in the outline, so a store can take in nothing else. A blob of one chunk has no outline: the
//! hash of the chunk is the id.
//!
//! How many bytes a blob has is part of its name ([`BlobName`]): the shape of the tree follows
//! from it. A document that gives an existing id another length names a blob that nobody has.

use core::fmt;
use core::str::FromStr;

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root,
    merge_subtrees_root,
};
use serde::{Deserialize, Serialize};

use crate::hexadecimal;
use crate::id::BlobId;
use crate::limits;

mod exchange;

pub use exchange::{
    BlobMessage, BlobPlace, BlobReply, BlobRequest, Kept, Missing, MissingBlob, Postponed, Under,
};

/// Longest media type in a reference.
const MEDIA_TYPE_BYTES: usize = 80;

/// Which content: its hash and its length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobName {
    /// BLAKE3 of the content.
    pub id: BlobId,
    /// Bytes of the content, 1 to [`limits::BLOB_BYTES`].
    pub bytes: u32,
}

impl BlobName {
    /// Whether a blob may have this length.
    pub const fn is_sound(&self) -> bool {
        self.bytes > 0 && self.bytes <= limits::BLOB_BYTES
    }

    /// How many chunks it has.
    pub const fn chunks(&self) -> u32 {
        self.bytes.div_ceil(limits::BLOB_CHUNK_BYTES)
    }

    /// Bytes of the chunk at `place`; 0 when there is none.
    pub fn chunk_bytes(&self, place: u32) -> u32 {
        let start = place.saturating_mul(limits::BLOB_CHUNK_BYTES);
        self.bytes.saturating_sub(start).min(limits::BLOB_CHUNK_BYTES)
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "blob {} of {} bytes", self.id, self.bytes)
    }
}

/// A blob as a field of a document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobReference {
    /// Which content.
    pub name: BlobName,
    /// What it is, such as `image/jpeg`.
    pub media_type: String,
}

/// Text that does not name a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form blob:<id>;<media type>;<bytes>")]
pub struct NotAReference;

impl BlobReference {
    /// Names a content.
    pub fn of(content: &[u8], media_type: &str) -> Result<Self, BlobError> {
        if !is_media_type(media_type) {
            return Err(BlobError::MediaType);
        }
        Ok(Self { name: Outline::of(content)?.name(), media_type: media_type.to_owned() })
    }
}

impl FromStr for BlobReference {
    type Err = NotAReference;

    /// Reads the one form that [`fmt::Display`] writes, and no other: two texts never name one
    /// blob in two ways.
    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let rest = text.strip_prefix("blob:").ok_or(NotAReference)?;
        let mut parts = rest.split(';');
        let (Some(id), Some(media_type), Some(bytes), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAReference);
        };
        let id = BlobId(hexadecimal::read(id).ok_or(NotAReference)?);
        let bytes = bytes.parse().map_err(|_| NotAReference)?;
        let reference = Self { name: BlobName { id, bytes }, media_type: media_type.to_owned() };
        let sound = reference.name.is_sound() && is_media_type(media_type);
        if sound && reference.to_string() == text { Ok(reference) } else { Err(NotAReference) }
    }
}

impl fmt::Display for BlobReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "blob:{};{};{}", self.name.id, self.media_type, self.name.bytes)
    }
}

/// `type/subtype` of RFC 6838 §4.2 in lower case, without parameters.
fn is_media_type(text: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte)
        };
        !part.is_empty() && part.bytes().all(allowed)
    };
    text.len() <= MEDIA_TYPE_BYTES
        && text.split_once('/').is_some_and(|(kind, subtype)| plain(kind) && plain(subtype))
}

/// Why bytes are not what they are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Empty, or more than [`limits::BLOB_BYTES`].
    #[error("a blob has 1 to {} bytes, got {got}", limits::BLOB_BYTES)]
    Length {
        /// Bytes given.
        got: usize,
    },
    /// Not a media type in lower case without parameters.
    #[error("not a media type in lower case without parameters")]
    MediaType,
    /// The outline does not belong to this blob.
    #[error("the outline is not that of {name:?}")]
    Outline {
        /// The blob.
        name: BlobName,
    },
    /// The chunk does not belong to this blob, or not there.
    #[error("chunk {place} is not that of {name:?}")]
    Chunk {
        /// The blob.
        name: BlobName,
        /// Which chunk, from 0.
        place: u32,
    },
}

/// The checked outline of one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    name: BlobName,
    /// One for each chunk; empty when there is one chunk only.
    values: Vec<ChainingValue>,
}

/// Content of one place of a blob that is known to be what the name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    name: BlobName,
    place: u32,
    bytes: Vec<u8>,
}

impl Outline {
    /// The outline of a content.
    pub fn of(content: &[u8]) -> Result<Self, BlobError> {
        let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name = BlobName { id: BlobId(*blake3::hash(content).as_bytes()), bytes };
        if !name.is_sound() {
            return Err(BlobError::Length { got: content.len() });
        }
        let values = if name.chunks() == 1 {
            Vec::new()
        } else {
            let chunks = content.chunks(limits::BLOB_CHUNK_BYTES as usize);
            (0..).zip(chunks).map(|(place, chunk)| value(place, chunk)).collect()
        };
        Ok(Self { name, values })
    }

    /// Checks values that are said to be the outline of a blob.
    pub fn check(name: BlobName, values: Vec<ChainingValue>) -> Result<Self, BlobError> {
        let expected = if name.chunks() == 1 { 0 } else { name.chunks() as usize };
        if !name.is_sound() || values.len() != expected {
            return Err(BlobError::Outline { name });
        }
        if let Some((left, right)) = halves(&values, name.bytes.into()) {
            let root = merge_subtrees_root(&left, &right, Mode::Hash);
            if root != blake3::Hash::from_bytes(name.id.0) {
                return Err(BlobError::Outline { name });
            }
        }
        Ok(Self { name, values })
    }

    /// Checks bytes that are said to be the chunk at `place`.
    pub fn verify(&self, place: u32, bytes: Vec<u8>) -> Result<Chunk, BlobError> {
        let name = self.name;
        let expected = name.chunk_bytes(place);
        let holds = expected > 0
            && bytes.len() == expected as usize
            && match self.values.get(place as usize) {
                Some(expected) => value(place, &bytes) == *expected,
                None => place == 0 && blake3::hash(&bytes) == blake3::Hash::from_bytes(name.id.0),
            };
        if holds { Ok(Chunk { name, place, bytes }) } else { Err(BlobError::Chunk { name, place }) }
    }

    /// Whose outline it is.
    pub const fn name(&self) -> BlobName {
        self.name
    }

    /// One value for each chunk; none when there is one chunk only.
    pub fn values(&self) -> &[ChainingValue] {
        &self.values
    }
}

impl Chunk {
    /// Of which blob.
    pub const fn name(&self) -> BlobName {
        self.name
    }

    /// Which of its chunks, from 0.
    pub const fn place(&self) -> u32 {
        self.place
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The chaining value of a chunk that is not the whole content.
fn value(place: u32, chunk: &[u8]) -> ChainingValue {
    let offset = u64::from(place) * u64::from(limits::BLOB_CHUNK_BYTES);
    blake3::Hasher::new().set_input_offset(offset).update(chunk).finalize_non_root()
}

/// The two subtrees below the node over `values`, which cover `bytes`; `None` when there are no
/// two.
fn halves(values: &[ChainingValue], bytes: u64) -> Option<(ChainingValue, ChainingValue)> {
    if values.len() < 2 {
        return None;
    }
    let left_bytes = left_subtree_len(bytes);
    let left_values = left_bytes / u64::from(limits::BLOB_CHUNK_BYTES);
    let (left, right) = values.split_at_checked(usize::try_from(left_values).ok()?)?;
    Some((subtree(left, left_bytes)?, subtree(right, bytes - left_bytes)?))
}

fn subtree(values: &[ChainingValue], bytes: u64) -> Option<ChainingValue> {
    match values {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (left, right) = halves(values, bytes)?;
            Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const CHUNK: usize = limits::BLOB_CHUNK_BYTES as usize;

    fn content(bytes: usize) -> Vec<u8> {
        (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(bytes).collect()
    }

    /// Shows, for every shape of tree from one byte to seventeen chunks and the largest blob, that
    /// the outline merges to the plain BLAKE3 of the content and that every chunk is accepted.
    #[test]
    fn outlines_merge_to_the_id() {
        let mut lengths = vec![1, 63, 64, 1023, 1024, 1025, limits::BLOB_BYTES as usize];
        for chunks in 1..=17 {
            lengths.extend([chunks * CHUNK - 1, chunks * CHUNK, chunks * CHUNK + 1]);
        }
        for length in lengths {
            let content = content(length);
            let outline = Outline::of(&content).unwrap();
            assert_eq!(outline.name().id.0, *blake3::hash(&content).as_bytes());
            let again = Outline::check(outline.name(), outline.values().to_vec());
            assert_eq!(again.as_ref(), Ok(&outline), "{length} bytes");
            for (place, chunk) in (0..).zip(content.chunks(CHUNK)) {
                let chunk = outline.verify(place, chunk.to_vec()).unwrap();
                assert_eq!(chunk.bytes().len(), outline.name().chunk_bytes(place) as usize);
            }
        }
    }

    /// Shows that an altered value, a value too many or too few, and a wrong length are noticed.
    #[test]
    fn a_wrong_outline_is_refused() {
        let outline = Outline::of(&content(5 * CHUNK + 7)).unwrap();
        let name = outline.name();
        for at in 0..outline.values().len() {
            let mut values = outline.values().to_vec();
            *values.get_mut(at).unwrap().get_mut(9).unwrap() ^= 1;
            assert_eq!(Outline::check(name, values), Err(BlobError::Outline { name }));
        }
        let fewer = outline.values().split_last().unwrap().1.to_vec();
        assert!(Outline::check(name, fewer).is_err());
        let longer = BlobName { bytes: name.bytes + limits::BLOB_CHUNK_BYTES, ..name };
        assert!(Outline::check(longer, outline.values().to_vec()).is_err());
    }

    /// Shows that a chunk with a flipped bit, cut, in another place or of another blob is refused.
    #[test]
    fn a_wrong_chunk_is_refused() {
        for length in [700, 3 * CHUNK + 5] {
            let content = content(length);
            let outline = Outline::of(&content).unwrap();
            let first = content.chunks(CHUNK).next().unwrap();
            let mut flipped = first.to_vec();
            *flipped.last_mut().unwrap() ^= 0x80;
            let name = outline.name();
            assert_eq!(outline.verify(0, flipped), Err(BlobError::Chunk { name, place: 0 }));
            assert!(outline.verify(0, first.split_last().unwrap().1.to_vec()).is_err());
            assert!(outline.verify(1, first.to_vec()).is_err());
            assert!(outline.verify(u32::MAX, first.to_vec()).is_err());
        }
    }

    /// Shows that a lying length makes another blob: the true chunks do not fit it.
    #[test]
    fn a_wrong_length_is_another_blob() {
        let content = content(2 * CHUNK + 100);
        let outline = Outline::of(&content).unwrap();
        let lying = BlobName { bytes: outline.name().bytes - 1, ..outline.name() };
        let claimed = Outline::check(lying, outline.values().to_vec()).unwrap();
        let last = content.chunks(CHUNK).next_back().unwrap();
        assert!(claimed.verify(2, last.to_vec()).is_err());
        assert!(claimed.verify(2, last.split_last().unwrap().1.to_vec()).is_err());
    }

    /// Shows that a reference survives its text and that every other form is plain text.
    #[test]
    fn references_have_one_form() {
        let name = Outline::of(&content(300)).unwrap().name();
        let reference = BlobReference { name, media_type: "image/jpeg".to_owned() };
        let text = reference.to_string();
        assert_eq!(text.parse(), Ok(reference));
        let others = [
            text.replace("300", "0300"),
            text.replace("300", "+300"),
            text.replace("300", "0"),
            text.replace("300", "20971521"),
            text.replace("image/jpeg", "image"),
            text.replace("image/jpeg", "Image/jpeg"),
            text.replace("image/jpeg", "image/jp\neg"),
            text.replacen("blob:", "blob:0", 1),
            text.to_uppercase(),
            format!("{text};"),
            format!(" {text}"),
        ];
        for other in others {
            assert_eq!(other.parse::<BlobReference>(), Err(NotAReference), "{other}");
        }
    }
}

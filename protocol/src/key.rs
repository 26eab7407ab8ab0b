//! Keys of the replicated set, and prefixes of them.
//!
//! A change is found under a key that puts what one permission covers side by side:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | category, big-endian |
//! | 2 | n | digits of the address, ASCII, n one of 0 2 4 6 9 12 15 20 22 26 |
//! | 2+n | 1 | `0x00`, ends the address |
//! | 3+n | 16 | document |
//! | 19+n | 32 | change id |
//!
//! Because `0x00` sorts before every digit, key order is tree order: what is at an address comes
//! before what is below it. A [`KeyPrefix`] is such a key cut at a segment boundary: after the
//! category, after any address level, after the `0x00`, or after any byte of document or id.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::address::{AddressCode, Level, MAX_DIGITS};
use crate::category::Category;
use crate::home::Home;
use crate::id::{ChangeId, DocumentId};
use crate::region::{Depth, Region};

const ADDRESS_AT: usize = 2;
const TAIL_BYTES: usize = DocumentId::LENGTH + ChangeId::LENGTH;
/// Length of the longest key.
const KEY_BYTES: usize = ADDRESS_AT + MAX_DIGITS + 1 + TAIL_BYTES;

/// Bytes that are not a key or a prefix of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are not a key cut at a segment boundary")]
pub struct KeyError {
    /// How many bytes were given.
    pub length: usize,
}

/// The key of one change in the replicated set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SetKey {
    /// Where the document lives.
    pub home: Home,
    /// Which change.
    pub change: ChangeId,
}

impl SetKey {
    /// The bytes of the table above.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(KEY_BYTES);
        KeyPrefix::append_document(&mut bytes, &self.home);
        bytes.extend_from_slice(&self.change.0);
        bytes
    }

    /// Reads [`SetKey::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let error = KeyError { length: bytes.len() };
        let (category, rest) = bytes.split_first_chunk::<ADDRESS_AT>().ok_or(error)?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or(error)?;
        let (digits, tail) = rest.split_at(end);
        let tail: &[u8; TAIL_BYTES + 1] = tail.try_into().map_err(|_| error)?;
        let (document, change) = tail.split_at(DocumentId::LENGTH + 1);
        let home = Home {
            category: Category(u16::from_be_bytes(*category)),
            address: address(digits).ok_or(error)?,
            document: document.get(1..).and_then(DocumentId::from_slice).ok_or(error)?,
        };
        Ok(Self { home, change: ChangeId::from_slice(change).ok_or(error)? })
    }
}

fn address(digits: &[u8]) -> Option<AddressCode> {
    if digits.is_empty() {
        return Some(AddressCode::COUNTRY);
    }
    AddressCode::parse(core::str::from_utf8(digits).ok()?).ok()
}

/// A key cut at a segment boundary: a node of the summary trie, or one range of a scope.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct KeyPrefix(Vec<u8>);

impl KeyPrefix {
    /// Everything of one category.
    pub fn category(category: Category) -> Self {
        Self(category.0.to_be_bytes().to_vec())
    }

    /// One category within a region.
    pub fn region(category: Category, region: &Region) -> Self {
        let mut bytes = Self::category(category).0;
        bytes.extend_from_slice(region.prefix.as_str().as_bytes());
        if region.depth == Depth::Exact {
            bytes.push(0);
        }
        Self(bytes)
    }

    /// All changes of one document.
    pub fn document(home: &Home) -> Self {
        let mut bytes = Vec::with_capacity(KEY_BYTES);
        Self::append_document(&mut bytes, home);
        Self(bytes)
    }

    fn append_document(bytes: &mut Vec<u8>, home: &Home) {
        bytes.extend_from_slice(&home.category.0.to_be_bytes());
        bytes.extend_from_slice(home.address.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&home.document.0);
    }

    /// From a category and the rest of the bytes, as scopes keep them.
    pub(crate) fn join(category: Category, tail: &[u8]) -> Self {
        Self([category.0.to_be_bytes().as_slice(), tail].concat())
    }

    /// From bytes that must be cut at a segment boundary.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let error = KeyError { length: bytes.len() };
        let rest = bytes.get(ADDRESS_AT..).ok_or(error)?;
        let (digits, tail) = match rest.iter().position(|byte| *byte == 0) {
            Some(end) => rest.split_at(end),
            None => (rest, [].as_slice()),
        };
        if address(digits).is_none() || tail.len() > TAIL_BYTES + 1 {
            return Err(error);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The category every key below this prefix has.
    pub fn of_category(&self) -> Category {
        let category = self.0.first_chunk::<ADDRESS_AT>();
        Category(u16::from_be_bytes(*category.expect("a prefix starts with a category")))
    }

    /// Whether a key (or longer prefix) lies under this prefix.
    pub fn contains(&self, key: &[u8]) -> bool {
        key.starts_with(&self.0)
    }

    /// Whether this prefix is a whole key, so that at most one change lies under it.
    pub fn is_key(&self) -> bool {
        self.tail().is_some_and(|tail| tail.len() == TAIL_BYTES)
    }

    /// First bytes after every key under this prefix; `None` when there are none.
    pub fn end(&self) -> Option<Vec<u8>> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Some(end);
            }
        }
        None
    }

    /// The child of this prefix in which `key`, which must lie under it, is found: one address
    /// level deeper, or at the address itself (`0x00`), or one byte of document or id deeper.
    pub fn child_of(&self, key: &[u8]) -> Option<Self> {
        let beyond = key.strip_prefix(self.0.as_slice())?;
        if self.tail().is_some() || beyond.first() == Some(&0) {
            return key.get(..=self.0.len()).map(|bytes| Self(bytes.to_vec()));
        }
        let digits = self.0.len() - ADDRESS_AT;
        let next = Level::ALL.into_iter().map(Level::digits).find(|next| *next > digits)?;
        key.get(..ADDRESS_AT + next).map(|bytes| Self(bytes.to_vec()))
    }

    /// Bytes after the `0x00` that ends the address, if the prefix reaches that far.
    fn tail(&self) -> Option<&[u8]> {
        let rest = self.0.get(ADDRESS_AT..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest.get(end + 1..)
    }

    /// The address the prefix names, and whether it is exact (ended by `0x00`).
    pub fn address(&self) -> (AddressCode, Depth) {
        let rest = self.0.get(ADDRESS_AT..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0);
        let digits = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let address = address(digits).expect("a prefix is cut at a segment boundary");
        (address, if end.is_some() { Depth::Exact } else { Depth::Subtree })
    }
}

impl TryFrom<Vec<u8>> for KeyPrefix {
    type Error = KeyError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, KeyError> {
        Self::from_bytes(&bytes)
    }
}

impl From<KeyPrefix> for Vec<u8> {
    fn from(prefix: KeyPrefix) -> Self {
        prefix.0
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, depth) = self.address();
        write!(out, "{}:{}", self.of_category(), address.as_str())?;
        if depth == Depth::Exact {
            out.write_str("/")?;
            crate::hexadecimal::write(self.tail().unwrap_or_default(), out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn key(address: &str, byte: u8) -> SetKey {
        let home = Home {
            category: Category::TICKET,
            address: AddressCode::parse(address).unwrap(),
            document: DocumentId([byte; 16]),
        };
        SetKey { home, change: ChangeId([byte; 32]) }
    }

    /// Shows that keys survive their bytes, zero bytes inside document and id included.
    #[test]
    fn keys_survive_their_bytes() {
        for byte in [0, 1, 0x30, 0xff] {
            let key = key("370322102310001", byte);
            assert_eq!(SetKey::from_bytes(&key.to_bytes()), Ok(key));
        }
    }

    /// Shows that walking down from the category by `child_of` reaches the key itself and never
    /// leaves it, one boundary at a time.
    #[test]
    fn children_lead_from_category_to_key() {
        let bytes = key("370322102310001", 9).to_bytes();
        let mut prefix = KeyPrefix::category(Category::TICKET);
        let mut steps = 0;
        while !prefix.is_key() {
            prefix = prefix.child_of(&bytes).unwrap();
            assert!(prefix.contains(&bytes), "{prefix:?}");
            assert_eq!(KeyPrefix::from_bytes(prefix.as_bytes()).as_ref(), Ok(&prefix));
            steps += 1;
        }
        assert_eq!(steps, 6 + 1 + 48);
    }

    /// Shows that a prefix cut inside a segment is refused: 33010 is not below 3301.
    #[test]
    fn a_prefix_inside_a_segment_is_refused() {
        let mut bytes = Category::TICKET.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(b"33010");
        assert_eq!(KeyPrefix::from_bytes(&bytes), Err(KeyError { length: 7 }));
    }
}

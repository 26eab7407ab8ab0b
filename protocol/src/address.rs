//! Address codes (一码): the key of everything in the federation.
//!
//! A code is a string of decimal digits cut into segments of fixed width. Its length alone says
//! which tier it names; there are no separators and no padding:
//!
//! | level    | segment | total | source                                        |
//! |----------|---------|-------|-----------------------------------------------|
//! | country  | 0       | 0     | the region of the federation root             |
//! | province | 2       | 2     | GB/T 2260                                     |
//! | city     | 2       | 4     | GB/T 2260                                     |
//! | county   | 2       | 6     | GB/T 2260                                     |
//! | town     | 3       | 9     | GB/T 10114                                    |
//! | village  | 3       | 12    | statistical division code                     |
//! | grid     | 3       | 15    | given by the village                          |
//! | building | 5       | 20    | given by the village                          |
//! | unit     | 2       | 22    | given by the village                          |
//! | room     | 4       | 26    | given by the village                          |
//!
//! In memory a code is the ASCII digits followed by zero bytes, with the length beside them. As
//! zero sorts before `'0'`, the derived order is the order of the tree walked parent first, and it
//! is also the byte order of a key `digits ‖ 0x00`. On the wire and in JSON a code is a string.
//!
//! This is not a directory: whether a code was ever given out, its name and its successors are
//! reference data of the `governance` crate.

mod check;
mod kind;
mod level;

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

pub use self::kind::Kind;
pub use self::level::Level;

/// Digits of the longest code, a room.
pub const MAX_DIGITS: usize = 26;

/// An address code of 0 to 26 digits, ending at a segment boundary.
///
/// The order is lexicographic on the digits, so a parent comes directly before its descendants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressCode {
    // Order matters for the derived `Ord`: digits first. Bytes from `len` on are always zero.
    digits: [u8; MAX_DIGITS],
    len: u8,
}

/// Why a text is not an address code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no digit at all. The whole country is never written by leaving a field empty.
    #[error("the address code is empty")]
    Empty,
    /// A character is not one of `0`–`9`.
    #[error("character {found:?} at byte {offset} of the address code is not a digit")]
    NotADigit {
        /// Byte offset in the given text.
        offset: usize,
        /// The character found there.
        found: char,
    },
    /// The number of digits does not end at a segment boundary.
    #[error("an address code has 2, 4, 6, 9, 12, 15, 20, 22 or 26 digits, not {got}")]
    Length {
        /// Digits in the given text.
        got: usize,
    },
    /// A segment has the wrong number of digits for its level.
    #[error("a {level} segment has {expected} digits, not {got}")]
    SegmentLength {
        /// The level the segment was meant for.
        level: Level,
        /// Digits such a segment has.
        expected: usize,
        /// Digits given.
        got: usize,
    },
    /// A room has no parts of its own.
    #[error("a room is the last level of an address code and has no parts")]
    NoChild,
    /// A printed code ends without its check character.
    #[error("the check character after the {digits} digits is missing")]
    CheckCharacterMissing {
        /// Digits given.
        digits: usize,
    },
    /// The check character of a printed code does not fit its digits: it was misread or mistyped.
    #[error("the check character should be {expected:?}, not {got:?}: a digit was misread")]
    CheckCharacter {
        /// The character that belongs to the digits given.
        expected: char,
        /// The character given, in upper case.
        got: char,
    },
}

impl AddressCode {
    /// The whole country: no digits, contains every code.
    pub const COUNTRY: Self = Self { digits: [0; MAX_DIGITS], len: 0 };

    /// Reads a code of at least one segment. Only digits are accepted, no blanks and no hyphens.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        Self::parse_or_country(text)
    }

    /// Reads a code, taking the empty text as [`AddressCode::COUNTRY`]: the inverse of
    /// [`AddressCode::as_str`], for stored keys and encoded values.
    pub fn parse_or_country(text: &str) -> Result<Self, AddressError> {
        let mut digits = [0; MAX_DIGITS];
        let mut len: usize = 0;
        for (offset, found) in text.char_indices() {
            if !found.is_ascii_digit() {
                return Err(AddressError::NotADigit { offset, found });
            }
            // Digits beyond the room are counted for the message and not kept.
            if let (Some(slot), Ok(digit)) = (digits.get_mut(len), u8::try_from(found)) {
                *slot = digit;
            }
            len += 1;
        }
        let level = Level::from_digits(len).ok_or(AddressError::Length { got: len })?;
        Ok(Self { digits, len: level.digits_u8() })
    }

    /// The code made of this one and one more segment, which must have the width of that level.
    pub fn child(&self, segment: &str) -> Result<Self, AddressError> {
        let level = self.level().child().ok_or(AddressError::NoChild)?;
        let mut code = *self;
        let mut got = 0;
        for (offset, found) in segment.char_indices() {
            if !found.is_ascii_digit() {
                return Err(AddressError::NotADigit { offset, found });
            }
            let slot = code.digits.get_mut(usize::from(self.len) + got);
            if let (Some(slot), Ok(digit)) = (slot, u8::try_from(found)) {
                *slot = digit;
            }
            got += 1;
        }
        let expected = level.segment_digits();
        if got != expected {
            return Err(AddressError::SegmentLength { level, expected, got });
        }
        code.len = level.digits_u8();
        Ok(code)
    }

    /// The digits as text; empty for the country.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("an address code holds only ASCII digits")
    }

    /// The ASCII digits; empty for the country.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).expect("the length never exceeds the array")
    }

    /// The tier this code names.
    pub fn level(&self) -> Level {
        Level::from_digits(usize::from(self.len)).expect("a code ends at a segment boundary")
    }

    /// The code one level up; `None` for the country.
    pub fn parent(&self) -> Option<Self> {
        self.level().parent().and_then(|level| self.truncate(level))
    }

    /// This code cut to `level`; `None` if it does not reach that deep.
    pub fn truncate(&self, level: Level) -> Option<Self> {
        if level > self.level() {
            return None;
        }
        let mut code = *self;
        code.len = level.digits_u8();
        for digit in code.digits.iter_mut().skip(level.digits()) {
            *digit = 0;
        }
        Some(code)
    }

    /// This code, its parent and so on up to the country.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(*self), Self::parent)
    }

    /// The digits of the segment at `level`; `None` if the code does not reach that deep.
    pub fn segment(&self, level: Level) -> Option<&str> {
        self.as_str().get(level.digits() - level.segment_digits()..level.digits())
    }

    /// Whether `other` is this code or lies below it.
    ///
    /// Both end at a segment boundary, so comparing digits compares whole segments: `3301` never
    /// contains `33010`, because `33010` is not a code.
    pub fn contains(&self, other: &Self) -> bool {
        other.as_bytes().starts_with(self.as_bytes())
    }
}

impl FromStr for AddressCode {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl fmt::Display for AddressCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for AddressCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AddressCode({})", self.as_str())
    }
}

impl AsRef<str> for AddressCode {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for AddressCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AddressCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CodeVisitor)
    }
}

/// Validates while decoding, from borrowed text where the format can lend it.
struct CodeVisitor;

impl Visitor<'_> for CodeVisitor {
    type Value = AddressCode;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an address code of 0 to 26 digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AddressCode, E> {
        AddressCode::parse_or_country(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn code(text: &str) -> AddressCode {
        AddressCode::parse_or_country(text).unwrap()
    }

    #[test]
    fn every_level_parses_and_prints_back() {
        let room = "37032210231000100012020301";
        for level in Level::ALL.into_iter().skip(1) {
            let text = room.get(..level.digits()).unwrap();
            let parsed = AddressCode::parse(text).unwrap();
            assert_eq!((parsed.level(), parsed.as_str()), (level, text));
        }
    }

    #[test]
    fn errors_name_the_fault() {
        assert_eq!(AddressCode::parse(""), Err(AddressError::Empty));
        assert_eq!(AddressCode::parse("33010"), Err(AddressError::Length { got: 5 }));
        assert_eq!(
            AddressCode::parse(&"1".repeat(400)),
            Err(AddressError::Length { got: 400 }),
            "the length is counted even where it is not kept"
        );
        assert_eq!(
            AddressCode::parse("37村"),
            Err(AddressError::NotADigit { offset: 2, found: '村' })
        );
        assert_eq!(
            AddressCode::parse("３７"),
            Err(AddressError::NotADigit { offset: 0, found: '３' }),
            "full-width digits are not digits of a code"
        );
    }

    #[test]
    fn children_have_the_width_of_their_level() {
        let town = code("370322102");
        assert_eq!(town.child("310"), Ok(code("370322102310")));
        assert_eq!(
            town.child("31"),
            Err(AddressError::SegmentLength { level: Level::Village, expected: 3, got: 2 })
        );
        assert_eq!(code("37032210231000100012020301").child("1"), Err(AddressError::NoChild));
    }

    #[test]
    fn parents_lead_to_the_country() {
        let chain: Vec<_> = code("370322102310").ancestors().collect();
        let texts: Vec<_> = chain.iter().map(AddressCode::as_str).collect();
        assert_eq!(texts, ["370322102310", "370322102", "370322", "3703", "37", ""]);
    }

    #[test]
    fn truncating_leaves_no_trace_of_the_lost_digits() {
        assert_eq!(code("370322102310").truncate(Level::County), Some(code("370322")));
        assert_eq!(code("3703").truncate(Level::County), None);
        assert_eq!(code("370322102310").segment(Level::Town), Some("102"));
        assert_eq!(code("3703").segment(Level::Town), None);
    }

    #[test]
    fn containment_follows_segments() {
        assert!(code("3301").contains(&code("330102")));
        assert!(code("3301").contains(&code("3301")));
        assert!(!code("3301").contains(&code("33")));
        assert!(!code("3301").contains(&code("330202")));
        assert!(AddressCode::COUNTRY.contains(&code("33")));
    }

    #[test]
    fn order_is_parent_first() {
        let mut codes =
            [code("38"), code("370322102310"), code("3704"), code("37"), AddressCode::COUNTRY];
        codes.sort();
        let texts: Vec<_> = codes.iter().map(AddressCode::as_str).collect();
        assert_eq!(texts, ["", "37", "370322102310", "3704", "38"]);
    }

    #[test]
    fn the_encoding_is_a_string_and_is_checked() {
        let bytes = postcard::to_allocvec(&code("3703")).unwrap();
        assert_eq!(bytes, b"\x043703");
        assert_eq!(postcard::from_bytes::<AddressCode>(&bytes), Ok(code("3703")));
        assert_eq!(postcard::from_bytes::<AddressCode>(b"\x00"), Ok(AddressCode::COUNTRY));
        assert!(postcard::from_bytes::<AddressCode>(b"\x03370").is_err());
        assert!(postcard::from_bytes::<AddressCode>(b"\x02x7").is_err());
    }
}

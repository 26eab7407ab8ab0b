//! Lists of ascending prefixes with something to each, in few bytes.
//!
//! Neighbours in such a list share most of their bytes. An item is, in the postcard wire format:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | how many bytes are shared with the prefix before, 0 for the first |
//! | 1 + n | the other bytes of the prefix, after their number |
//! | … | what belongs to it |

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Bounded;
use crate::key::KeyPrefix;

/// Longest prefix: a whole key.
const PREFIX_BYTES: usize = 2 + 26 + 1 + 16 + 32;

/// At most `N` ascending prefixes, each with a `T`. Refused while decoding when it does not
/// ascend, or is longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixed<T, const N: usize>(pub Vec<(KeyPrefix, T)>);

impl<T: Serialize, const N: usize> Serialize for Prefixed<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before: &[u8] = &[];
        let items = self.0.iter().map(|(prefix, value)| {
            let bytes = prefix.as_bytes();
            let shared = bytes.iter().zip(before).take_while(|(one, other)| one == other).count();
            before = bytes;
            let (_, rest) = bytes.split_at(shared);
            (u8::try_from(shared).unwrap_or(u8::MAX), rest, value)
        });
        serializer.collect_seq(items)
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Prefixed<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        type Items<T, const N: usize> = Bounded<(u8, Bounded<u8, PREFIX_BYTES>, T), N>;
        let items = Items::<T, N>::deserialize(deserializer)?;
        let mut list: Vec<(KeyPrefix, T)> = Vec::with_capacity(items.0.len());
        for (shared, rest, value) in items.0 {
            let before = list.last().map_or(&[][..], |(prefix, _)| prefix.as_bytes());
            let start = before.get(..usize::from(shared));
            let start = start.ok_or_else(|| D::Error::custom("more is shared than there is"))?;
            let bytes = [start, &rest.0].concat();
            if !list.is_empty() && bytes.as_slice() <= before {
                return Err(D::Error::custom("prefixes that do not ascend"));
            }
            let prefix = KeyPrefix::from_bytes(&bytes).map_err(D::Error::custom)?;
            list.push((prefix, value));
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    type List = Prefixed<u64, 3>;

    fn prefix(digits: &str) -> KeyPrefix {
        KeyPrefix::from_bytes(&[b"\x30\x00", digits.as_bytes()].concat()).unwrap()
    }

    /// Shows that a list survives its bytes, that neighbours cost few of them, and that a list
    /// that does not ascend, or is too long, is refused.
    #[test]
    fn lists_survive_their_bytes() {
        let list = |codes: &[&str]| -> List {
            Prefixed(codes.iter().zip(1..).map(|(code, number)| (prefix(code), number)).collect())
        };
        let good = list(&["370322102310", "370322102310001", "370322102311"]);
        let bytes = postcard::to_allocvec(&good).unwrap();
        assert_eq!(bytes.len(), 1 + (1 + 1 + 14 + 1) + (1 + 1 + 3 + 1) + (1 + 1 + 1 + 1));
        assert_eq!(postcard::from_bytes::<List>(&bytes).unwrap(), good);
        let descending = list(&["370322102311", "370322102310"]);
        let bytes = postcard::to_allocvec(&descending).unwrap();
        assert!(postcard::from_bytes::<List>(&bytes).is_err());
        let long = list(&["370322102310", "370322102311", "370322102312", "370322102313"]);
        let bytes = postcard::to_allocvec(&long).unwrap();
        assert!(postcard::from_bytes::<List>(&bytes).is_err());
    }
}

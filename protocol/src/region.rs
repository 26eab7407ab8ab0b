//! Regions: the address part of a grant or of a scope.
//!
//! A region is either one code alone or a code with everything below it. Regions form a tree, so
//! two of them are nested or disjoint and their intersection is again a region.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::{AddressCode, AddressError};

/// How far a region reaches below its prefix. Encoded as 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The prefix and every code below it.
    Subtree,
    /// The prefix alone.
    Exact,
}

/// A set of address codes: a prefix and how far it reaches.
///
/// Written `370322*` for a subtree and `370322` for the code alone; the country is `CN*` or `CN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    /// The topmost code of the region.
    pub prefix: AddressCode,
    /// Whether codes below the prefix belong to it.
    pub depth: Depth,
}

impl Region {
    /// Everything: the region of the federation root.
    pub const EVERYWHERE: Self = Self { prefix: AddressCode::COUNTRY, depth: Depth::Subtree };

    /// `prefix` and everything below it.
    pub const fn subtree(prefix: AddressCode) -> Self {
        Self { prefix, depth: Depth::Subtree }
    }

    /// `prefix` alone.
    pub const fn exact(prefix: AddressCode) -> Self {
        Self { prefix, depth: Depth::Exact }
    }

    /// Whether `address` belongs to the region.
    pub fn contains_address(&self, address: &AddressCode) -> bool {
        match self.depth {
            Depth::Subtree => self.prefix.contains(address),
            Depth::Exact => self.prefix == *address,
        }
    }

    /// Whether every code of `other` belongs to this region.
    pub fn contains(&self, other: &Self) -> bool {
        match self.depth {
            Depth::Subtree => self.prefix.contains(&other.prefix),
            Depth::Exact => self == other,
        }
    }

    /// The codes that belong to both regions; `None` if there are none.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let inner = if self.prefix.contains(&other.prefix) { other } else { self };
        if !self.contains_address(&inner.prefix) || !other.contains_address(&inner.prefix) {
            return None;
        }
        let exact = self.depth == Depth::Exact || other.depth == Depth::Exact;
        // Where a prefix is shared, the narrower depth wins; where it is not, the outer region is
        // a subtree and the inner one keeps its own depth, which is the narrower one too.
        Some(Self {
            prefix: inner.prefix,
            depth: if exact { Depth::Exact } else { Depth::Subtree },
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.prefix.as_str() {
            "" => "CN",
            digits => digits,
        };
        let star = match self.depth {
            Depth::Subtree => "*",
            Depth::Exact => "",
        };
        write!(formatter, "{prefix}{star}")
    }
}

impl FromStr for Region {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (prefix, depth) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, Depth::Subtree),
            None => (text, Depth::Exact),
        };
        let prefix = match prefix {
            "CN" => AddressCode::COUNTRY,
            digits => AddressCode::parse(digits)?,
        };
        Ok(Self { prefix, depth })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn region(text: &str) -> Region {
        text.parse().unwrap()
    }

    #[test]
    fn text_reads_back() {
        for text in ["CN*", "CN", "37*", "370322102310"] {
            assert_eq!(region(text).to_string(), text);
        }
        assert_eq!("33010*".parse::<Region>(), Err(AddressError::Length { got: 5 }));
        assert_eq!("*".parse::<Region>(), Err(AddressError::Empty));
    }

    #[test]
    fn addresses_belong_by_segment() {
        let address = |text| AddressCode::parse(text).unwrap();
        assert!(region("3301*").contains_address(&address("330102001")));
        assert!(region("3301*").contains_address(&address("3301")));
        assert!(!region("3301*").contains_address(&address("33")));
        assert!(!region("3301").contains_address(&address("330102")));
        assert!(region("CN*").contains_address(&AddressCode::COUNTRY));
    }

    #[test]
    fn a_region_never_contains_a_wider_one() {
        assert!(region("37*").contains(&region("3703")));
        assert!(region("37*").contains(&region("37*")));
        assert!(region("37*").contains(&region("37")));
        assert!(!region("37").contains(&region("37*")));
        assert!(!region("37").contains(&region("3703")));
        assert!(!region("3703*").contains(&region("37*")));
    }

    /// Compares with the definition on every address of a small tree.
    #[test]
    fn an_intersection_is_the_set_of_common_addresses() {
        let codes = ["", "37", "3703", "3704", "370322", "38"]
            .map(|text| AddressCode::parse_or_country(text).unwrap());
        let regions: Vec<_> =
            codes.iter().flat_map(|&code| [Region::subtree(code), Region::exact(code)]).collect();
        for a in &regions {
            for b in &regions {
                let common = a.intersection(b);
                assert_eq!(common, b.intersection(a), "{a} and {b}");
                for code in &codes {
                    assert_eq!(
                        common.is_some_and(|common| common.contains_address(code)),
                        a.contains_address(code) && b.contains_address(code),
                        "{code:?} in {a} and {b}"
                    );
                }
                assert_eq!(common == Some(*b), a.contains(b), "{a} contains {b}");
            }
        }
    }

    #[test]
    fn the_encoding_is_prefix_then_depth() {
        let bytes = postcard::to_allocvec(&region("37")).unwrap();
        assert_eq!(bytes, b"\x0237\x01");
        assert_eq!(postcard::from_bytes::<Region>(b"\x0237\x00"), Ok(region("37*")));
        assert!(postcard::from_bytes::<Region>(b"\x0237\x02").is_err());
    }
}

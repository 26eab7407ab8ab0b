//! A scope: what a peer may see, as key ranges.
//!
//! A scope is made from the grants of a certificate that hold a right, and cut down by
//! intersection. Every range that a peer names is checked against it ([`Scope::allows`]), and
//! only prefixes inside it are ever sent.

use serde::{Deserialize, Serialize};

use crate::category::{Category, CategorySet};
use crate::certificate::Grant;
use crate::key::KeyPrefix;
use crate::region::Depth;
use crate::rights::Rights;

/// Ranges of keys: for each address part, the categories within it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Key bytes after the category (digits, or digits and `0x00`, or these and a document),
    /// ascending, each with its categories.
    ranges: Vec<(Vec<u8>, CategorySet)>,
}

impl Scope {
    /// Everything: what the root may see.
    pub fn everything() -> Self {
        Self { ranges: vec![(Vec::new(), CategorySet::all())] }
    }

    /// What these grants allow with `right`.
    pub fn of_grants<'a>(grants: impl IntoIterator<Item = &'a Grant>, right: Rights) -> Self {
        let with_right = grants.into_iter().filter(|grant| grant.rights.contains(right));
        Self::from_ranges(with_right.map(|grant| {
            let mut tail = grant.region.prefix.as_str().as_bytes().to_vec();
            if grant.region.depth == Depth::Exact {
                tail.push(0);
                tail.extend(grant.document.iter().flat_map(|document| document.0));
            }
            (tail, grant.categories.clone())
        }))
    }

    /// What both allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for (tail, categories) in &self.ranges {
            for (other_tail, other_categories) in &other.ranges {
                let longer = if tail.starts_with(other_tail) {
                    tail
                } else if other_tail.starts_with(tail) {
                    other_tail
                } else {
                    continue;
                };
                both.push((longer.clone(), categories.intersection(other_categories)));
            }
        }
        Self::from_ranges(both)
    }

    /// Whether all keys under `prefix` are inside.
    pub fn allows(&self, prefix: &[u8]) -> bool {
        let Some((category, tail)) = prefix.split_first_chunk::<2>() else { return false };
        let category = Category(u16::from_be_bytes(*category));
        self.ranges
            .iter()
            .any(|(range, categories)| tail.starts_with(range) && categories.contains(category))
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether some key of `category` is inside.
    pub fn touches(&self, category: Category) -> bool {
        self.ranges.iter().any(|(_, categories)| categories.contains(category))
    }

    /// The widest prefixes inside, for the categories given; none lies within another.
    pub fn tops(&self, categories: impl IntoIterator<Item = Category>) -> Vec<KeyPrefix> {
        let mut tops = Vec::new();
        for category in categories {
            let mut widest: Vec<&[u8]> = Vec::new();
            for (tail, in_range) in &self.ranges {
                let covered = widest.iter().any(|wider| tail.starts_with(wider));
                if in_range.contains(category) && !covered {
                    widest.push(tail);
                }
            }
            tops.extend(widest.into_iter().map(|tail| KeyPrefix::join(category, tail)));
        }
        tops.sort_unstable();
        tops.dedup();
        tops
    }

    /// Ascending by address, so that a wider range comes before those inside it; one entry for
    /// each address, none without categories.
    fn from_ranges(ranges: impl IntoIterator<Item = (Vec<u8>, CategorySet)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(_, c)| !c.is_empty()).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(Vec<u8>, CategorySet)> = Vec::with_capacity(sorted.len());
        for (tail, categories) in sorted {
            match joined.last_mut() {
                Some((previous, union)) if *previous == tail => *union = union.union(&categories),
                _ => joined.push((tail, categories)),
            }
        }
        Self { ranges: joined }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::address::AddressCode;
    use crate::region::Region;

    fn grant(address: &str, depth: Depth, categories: CategorySet) -> Grant {
        let prefix = AddressCode::parse(address).unwrap();
        let region = Region { prefix, depth };
        Grant { region, document: None, categories, rights: Rights::READ, delegable: Rights::NONE }
    }

    fn prefix(category: Category, address: &str) -> Vec<u8> {
        KeyPrefix::join(category, address.as_bytes()).as_bytes().to_vec()
    }

    /// Shows that a village's scope cut with its town's keeps the village's own ranges and the
    /// county's catalogue, and nothing of a neighbour.
    #[test]
    fn intersection_keeps_only_what_both_may_see() {
        let all = CategorySet::all();
        let catalogue = CategorySet::of([Category::CATALOGUE]);
        let town = Scope::of_grants(
            &[
                grant("370322102", Depth::Subtree, all.clone()),
                grant("370322", Depth::Exact, catalogue.clone()),
            ],
            Rights::READ,
        );
        let village = Scope::of_grants(
            &[grant("370322102310", Depth::Subtree, all), grant("370322", Depth::Exact, catalogue)],
            Rights::READ,
        );
        let both = village.intersection(&town);
        assert_eq!(both, town.intersection(&village));
        assert!(both.allows(&prefix(Category::TICKET, "370322102310")));
        assert!(!both.allows(&prefix(Category::TICKET, "370322102311")));
        assert!(!both.allows(&prefix(Category::TICKET, "370322102")));
        assert!(both.allows(&prefix(Category::CATALOGUE, "370322\0")));
        assert!(!both.allows(&prefix(Category::CATALOGUE, "370322")));
    }

    /// Shows that overlapping grants give each key once, so that digests of two nodes agree.
    #[test]
    fn tops_do_not_overlap() {
        let scope = Scope::of_grants(
            &[
                grant("370322102", Depth::Subtree, CategorySet::of([Category::TICKET])),
                grant("370322102310", Depth::Subtree, CategorySet::all()),
            ],
            Rights::READ,
        );
        let tops = scope.tops([Category::TICKET, Category::ALERT]);
        let expected = [
            KeyPrefix::join(Category::ALERT, b"370322102310"),
            KeyPrefix::join(Category::TICKET, b"370322102"),
        ];
        assert_eq!(tops, expected);
    }
}

//! Categories: the second axis of every permission, beside the address.
//!
//! A category is a number of two bytes, named by the catalogue. Number order is the order in
//! which categories are streamed to a peer, so what is urgent has a low number:
//!
//! | numbers | what |
//! |---|---|
//! | `0x0000–0x0fff` | catalogue, policies, public directories |
//! | `0x1000–0x1fff` | alerts |
//! | `0x2000–0x2fff` | cases: tickets, enforcement |
//! | `0x3000–0x3fff` | library: `0x3000 + 256 × part + class`, part 0–15, class 0–255 |
//! | `0x4000–0xffff` | free |
//!
//! Which numbers mean something is said by the kinds of data of `cunlian-governance`; a number
//! without a kind is granted to nobody.
//!
//! The part comes first in a library number because permissions are given by part: the base of
//! all classes, those a county will add included, is one range.
//!
//! Sensitive fields are categories (parts) of their own, so that they never travel to who may not
//! read them (PIPL art. 6 and 28).

use core::fmt;

use serde::{Deserialize, Serialize};

/// A kind of data, as permissions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Category(pub u16);

impl Category {
    /// Field dictionary of the library classes.
    pub const CATALOGUE: Self = Self(0x0010);
    /// Policies and notices.
    pub const NOTICE: Self = Self(0x0011);
    /// Public contact directory of a village.
    pub const DIRECTORY: Self = Self(0x0012);
    /// What a node did as a node: revocations taken over, data purged, documents erased, alarms.
    pub const JOURNAL: Self = Self(0x0013);
    /// The register of administrative divisions.
    pub const DIVISION: Self = Self(0x0014);
    /// Alerts.
    pub const ALERT: Self = Self(0x1000);
    /// Tickets (工单).
    pub const TICKET: Self = Self(0x2000);
    /// Name and phone of who reported a ticket.
    pub const TICKET_CONTACT: Self = Self(0x2001);
    /// Photos of a ticket.
    pub const TICKET_PHOTO: Self = Self(0x2002);
    /// Prepared answers (预制答案).
    pub const ANSWER: Self = Self(0x2003);
    /// First number of the library.
    pub const LIBRARY_FIRST: Self = Self(0x3000);
    /// Last number of the library.
    pub const LIBRARY_LAST: Self = Self(0x3fff);

    /// The category of `part` (0–15) of library class `class` (0–255).
    pub const fn library(class: u8, part: u8) -> Self {
        Self(0x3000 + (((part & 0x0f) as u16) << 8) + class as u16)
    }

    /// Position in [`URGENCY`].
    pub const fn urgency(self) -> usize {
        match self.0 {
            0..=0x1fff => 0,
            0x2000..=0x2fff => 1,
            _ => 2,
        }
    }

    /// Class and part of a library category.
    pub const fn class_and_part(self) -> Option<(u8, u8)> {
        let [first, class] = self.0.to_be_bytes();
        if first & 0xf0 == 0x30 { Some((class, first & 0x0f)) } else { None }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}", self.0)
    }
}

/// The classes of what becomes durable while a session is open, most urgent first: the first and
/// the last category of each. What is in the same class is sent in the order it became durable.
pub const URGENCY: [(Category, Category); 3] = [
    (Category(0), Category(0x1fff)),
    (Category(0x2000), Category(0x2fff)),
    (Category(0x3000), Category(u16::MAX)),
];

/// A set of categories as ascending, disjoint, non-adjacent inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct CategorySet(Vec<(u16, u16)>);

impl CategorySet {
    /// Every category there is or will be.
    pub fn all() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    /// No category.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Exactly these categories.
    pub fn of(categories: impl IntoIterator<Item = Category>) -> Self {
        Self::from(categories.into_iter().map(|c| (c.0, c.0)).collect::<Vec<_>>())
    }

    /// All categories from `first` to `last`, both included.
    pub fn range(first: Category, last: Category) -> Self {
        Self::from(vec![(first.0, last.0)])
    }

    /// Both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from([self.0.as_slice(), other.0.as_slice()].concat())
    }

    /// The inclusive ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (Category, Category)> + '_ {
        self.0.iter().map(|&(first, last)| (Category(first), Category(last)))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `category` is in the set.
    pub fn contains(&self, category: Category) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&category.0))
    }

    /// Whether every category of `other` is in this set.
    pub fn contains_set(&self, other: &Self) -> bool {
        let within = |&(first, last): &(u16, u16)| {
            self.0
                .iter()
                .any(|&(outer_first, outer_last)| outer_first <= first && last <= outer_last)
        };
        other.0.iter().all(within)
    }

    /// The categories of this set that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for &(first, last) in &self.0 {
            let mut next = Some(first);
            let met = other.0.iter().filter(|(from, to)| *from <= last && *to >= first);
            for &(from, to) in met {
                if let Some(start) = next.filter(|start| *start < from) {
                    left.push((start, from - 1));
                }
                next = to.checked_add(1);
            }
            if let Some(start) = next.filter(|start| *start <= last) {
                left.push((start, last));
            }
        }
        Self::from(left)
    }

    /// The categories in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        for &(first, last) in &self.0 {
            for &(other_first, other_last) in &other.0 {
                let (from, to) = (first.max(other_first), last.min(other_last));
                if from <= to {
                    ranges.push((from, to));
                }
            }
        }
        Self::from(ranges)
    }
}

impl From<Vec<(u16, u16)>> for CategorySet {
    /// Sorts, drops reversed ranges and joins those that touch, so that equal sets compare equal.
    fn from(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

impl From<CategorySet> for Vec<(u16, u16)> {
    fn from(set: CategorySet) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that ranges that overlap or touch become one, so that equality is by content.
    #[test]
    fn touching_ranges_are_joined() {
        let set = CategorySet::from(vec![(5, 9), (1, 4), (20, 10), (8, 12)]);
        assert_eq!(set, CategorySet::range(Category(1), Category(12)));
    }

    /// Shows that containment and intersection agree: A∩B is within both, and equals B iff B ⊂ A.
    #[test]
    fn intersection_is_within_both() {
        let library = CategorySet::range(Category::LIBRARY_FIRST, Category::LIBRARY_LAST);
        let some = CategorySet::of([Category::TICKET, Category::library(0, 1)]);
        let both = library.intersection(&some);
        assert!(library.contains_set(&both) && some.contains_set(&both));
        assert_eq!(both, CategorySet::of([Category::library(0, 1)]));
        assert!(!library.contains_set(&some));
    }

    /// Shows that subtraction keeps exactly what is in the one and not in the other, at every
    /// edge, against a slow reckoning one by one.
    #[test]
    fn subtraction_is_exact() {
        let taken = CategorySet::from(vec![(10, 20), (30, 30), (40, u16::MAX)]);
        for asked in
            [vec![(0, u16::MAX)], vec![(10, 20)], vec![(5, 10), (20, 41)], vec![(31, 39)], vec![]]
        {
            let asked = CategorySet::from(asked);
            let left = asked.without(&taken);
            for number in (0..60).chain([u16::MAX]).map(Category) {
                let expected = asked.contains(number) && !taken.contains(number);
                assert_eq!(left.contains(number), expected, "{number}");
            }
        }
    }

    /// Shows that every category has the class whose range it lies in.
    #[test]
    fn every_category_has_its_class() {
        for number in 0..=u16::MAX {
            let category = Category(number);
            let class =
                URGENCY.iter().position(|(first, last)| (*first..=*last).contains(&category));
            assert_eq!(class, Some(category.urgency()), "{category}");
        }
    }

    /// Shows that class and part survive the packing into a number.
    #[test]
    fn library_category_keeps_class_and_part() {
        assert_eq!(Category::library(7, 3).class_and_part(), Some((7, 3)));
        assert_eq!(Category::TICKET.class_and_part(), None);
    }
}

//! The levels of an address code and their widths.

use std::fmt;

/// A tier of the address tree, named by the length of a code. Ordered from the country down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 0 digits: the federation root.
    Country,
    /// 省, 2 digits.
    Province,
    /// 市, 4 digits.
    City,
    /// 县, 6 digits.
    County,
    /// 镇, 乡 or 街道, 9 digits.
    Town,
    /// 行政村 or 社区, 12 digits.
    Village,
    /// 网格, 15 digits.
    Grid,
    /// 楼栋 or 院落, 20 digits.
    Building,
    /// 单元, 22 digits.
    Unit,
    /// 户室, 26 digits.
    Room,
}

impl Level {
    /// All levels, from the country down.
    pub const ALL: [Self; 10] = [
        Self::Country,
        Self::Province,
        Self::City,
        Self::County,
        Self::Town,
        Self::Village,
        Self::Grid,
        Self::Building,
        Self::Unit,
        Self::Room,
    ];

    /// The level of a code of `digits` digits; `None` between two segment boundaries.
    pub const fn from_digits(digits: usize) -> Option<Self> {
        Some(match digits {
            0 => Self::Country,
            2 => Self::Province,
            4 => Self::City,
            6 => Self::County,
            9 => Self::Town,
            12 => Self::Village,
            15 => Self::Grid,
            20 => Self::Building,
            22 => Self::Unit,
            26 => Self::Room,
            _ => return None,
        })
    }

    /// Digits of a code at this level.
    pub const fn digits(self) -> usize {
        self.digits_u8() as usize
    }

    /// Digits this level adds to its parent; 0 for the country.
    pub const fn segment_digits(self) -> usize {
        match self.parent() {
            Some(parent) => self.digits() - parent.digits(),
            None => 0,
        }
    }

    /// One level up; `None` for the country.
    pub const fn parent(self) -> Option<Self> {
        Some(match self {
            Self::Country => return None,
            Self::Province => Self::Country,
            Self::City => Self::Province,
            Self::County => Self::City,
            Self::Town => Self::County,
            Self::Village => Self::Town,
            Self::Grid => Self::Village,
            Self::Building => Self::Grid,
            Self::Unit => Self::Building,
            Self::Room => Self::Unit,
        })
    }

    /// One level down; `None` for a room.
    pub const fn child(self) -> Option<Self> {
        Some(match self {
            Self::Country => Self::Province,
            Self::Province => Self::City,
            Self::City => Self::County,
            Self::County => Self::Town,
            Self::Town => Self::Village,
            Self::Village => Self::Grid,
            Self::Grid => Self::Building,
            Self::Building => Self::Unit,
            Self::Unit => Self::Room,
            Self::Room => return None,
        })
    }

    /// The lower-case English name, as used in files and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Province => "province",
            Self::City => "city",
            Self::County => "county",
            Self::Town => "town",
            Self::Village => "village",
            Self::Grid => "grid",
            Self::Building => "building",
            Self::Unit => "unit",
            Self::Room => "room",
        }
    }

    pub(super) const fn digits_u8(self) -> u8 {
        match self {
            Self::Country => 0,
            Self::Province => 2,
            Self::City => 4,
            Self::County => 6,
            Self::Town => 9,
            Self::Village => 12,
            Self::Grid => 15,
            Self::Building => 20,
            Self::Unit => 22,
            Self::Room => 26,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up_to_a_room() {
        let widths = Level::ALL.map(Level::segment_digits);
        assert_eq!(widths, [0, 2, 2, 2, 3, 3, 3, 5, 2, 4]);
        assert_eq!(widths.iter().sum::<usize>(), super::super::MAX_DIGITS);
    }

    #[test]
    fn parents_and_children_are_inverse() {
        for level in Level::ALL {
            assert_eq!(level.child().and_then(Level::parent), level.child().map(|_| level));
            assert_eq!(Level::from_digits(level.digits()), Some(level));
        }
    }
}

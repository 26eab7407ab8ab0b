//! What the digits of a code say about the place it names.

use super::{AddressCode, Level};

/// The sort of place a code names, as far as its digits tell.
///
/// Towns follow GB/T 10114, villages the coding rules for statistical divisions (统计用区划代码).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The whole country.
    Country,
    /// 省, 自治区 or 直辖市.
    Province,
    /// 市, 州 or 盟.
    City,
    /// 县, 区, 旗 or 县级市.
    County,
    /// 街道: town digits 001–099.
    Street,
    /// 镇: town digits 100–199.
    Town,
    /// 乡: town digits 200–399.
    Township,
    /// 类似乡级单位: town digits 400–599, such as development zones and state farms.
    TownLike,
    /// 居民委员会: village digits 001–199.
    ResidentsCommittee,
    /// 村民委员会: village digits 200–399.
    VillagersCommittee,
    /// 类似居民委员会: village digits 400–499.
    ResidentsLike,
    /// 类似村民委员会: village digits 500–599.
    VillagersLike,
    /// 网格.
    Grid,
    /// 楼栋 or 院落.
    Building,
    /// 单元.
    Unit,
    /// 户室.
    Room,
    /// Town or village digits 000: the code fills a list and names no such place. The national
    /// list has one, 350527000000.
    Placeholder,
    /// Town or village digits 600–999, which the rules leave free.
    Unassigned,
}

impl AddressCode {
    /// The sort of place, by the digit rules of its last segment.
    ///
    /// A placeholder anywhere above makes the code a placeholder.
    pub fn kind(&self) -> Kind {
        if self.segment(Level::Town) == Some("000") || self.segment(Level::Village) == Some("000") {
            return Kind::Placeholder;
        }
        match self.level() {
            Level::Country => Kind::Country,
            Level::Province => Kind::Province,
            Level::City => Kind::City,
            Level::County => Kind::County,
            Level::Town => match self.first_digit(Level::Town) {
                Some(b'0') => Kind::Street,
                Some(b'1') => Kind::Town,
                Some(b'2' | b'3') => Kind::Township,
                Some(b'4' | b'5') => Kind::TownLike,
                _ => Kind::Unassigned,
            },
            Level::Village => match self.first_digit(Level::Village) {
                Some(b'0' | b'1') => Kind::ResidentsCommittee,
                Some(b'2' | b'3') => Kind::VillagersCommittee,
                Some(b'4') => Kind::ResidentsLike,
                Some(b'5') => Kind::VillagersLike,
                _ => Kind::Unassigned,
            },
            Level::Grid => Kind::Grid,
            Level::Building => Kind::Building,
            Level::Unit => Kind::Unit,
            Level::Room => Kind::Room,
        }
    }

    /// The rules divide each thousand by its first digit only.
    fn first_digit(&self, level: Level) -> Option<u8> {
        self.segment(level).and_then(|segment| segment.bytes().next())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn kind(text: &str) -> Kind {
        AddressCode::parse(text).unwrap().kind()
    }

    #[test]
    fn town_digits() {
        assert_eq!(kind("370322001"), Kind::Street);
        assert_eq!(kind("370322099"), Kind::Street);
        assert_eq!(kind("370322102"), Kind::Town);
        assert_eq!(kind("370322200"), Kind::Township);
        assert_eq!(kind("370322399"), Kind::Township);
        assert_eq!(kind("370322400"), Kind::TownLike);
        assert_eq!(kind("370322599"), Kind::TownLike);
        assert_eq!(kind("370322600"), Kind::Unassigned);
    }

    #[test]
    fn village_digits() {
        assert_eq!(kind("370322102001"), Kind::ResidentsCommittee);
        assert_eq!(kind("370322102199"), Kind::ResidentsCommittee);
        assert_eq!(kind("370322102310"), Kind::VillagersCommittee);
        assert_eq!(kind("370322102400"), Kind::ResidentsLike);
        assert_eq!(kind("370322102599"), Kind::VillagersLike);
        assert_eq!(kind("370322102999"), Kind::Unassigned);
    }

    #[test]
    fn the_placeholder_of_the_national_list() {
        assert_eq!(kind("350527000000"), Kind::Placeholder);
        assert_eq!(kind("350527000"), Kind::Placeholder);
        assert_eq!(kind("350527"), Kind::County);
    }
}

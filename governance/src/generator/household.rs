//! Families at addresses: who lives together, how old they are, which numbers they have.

use cunlian_protocol::address::{AddressCode, Level};
use jiff::civil::{Date, date};

use super::names::Names;
use super::random::Random;
use crate::checks::{self, Sex};

/// The day on which everybody has the age drawn for them.
pub(crate) const REFERENCE: Date = date(2026, 6, 30);
/// Households of one grid.
const GRID_HOUSEHOLDS: u32 = 55;
/// Flats of one building: two entrances, three floors, two doors.
const BUILDING_FLATS: u32 = 12;

/// A person of a household.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) sex: Sex,
    pub(crate) birth: Date,
    pub(crate) age: u32,
    pub(crate) relation: &'static str,
    pub(crate) id_number: String,
}

/// People at one address.
#[derive(Debug, Clone)]
pub(crate) struct Household {
    /// Counted from 0 within the village.
    pub(crate) number: u32,
    pub(crate) address: AddressCode,
    pub(crate) people: Vec<Person>,
}

impl Household {
    /// The `number`-th household of `village`.
    pub(crate) fn draw(
        random: &mut Random,
        names: &Names,
        village: AddressCode,
        has_flats: bool,
        number: u32,
    ) -> Self {
        let mut family = Family {
            county: village.truncate(Level::County).unwrap_or(village),
            surname: names.surname(random),
            people: Vec::new(),
        };
        match random.below(100) {
            0..=29 => family.with_children(random),
            30..=54 => family.three_generations(random),
            55..=74 => family.with_adult_child(random),
            75..=89 => family.old_couple(random),
            _ => family.alone(random),
        }
        let address = address(village, has_flats, number);
        Self { number, address, people: family.people }
    }

    /// The head.
    pub(crate) fn head(&self) -> &Person {
        self.people.first().expect("a household has a head")
    }

    /// Number within the village as people write it.
    pub(crate) fn household_number(&self) -> String {
        format!("{:04}", self.number + 1)
    }
}

/// A household being drawn.
struct Family {
    county: AddressCode,
    surname: &'static str,
    people: Vec<Person>,
}

impl Family {
    fn with_children(&mut self, random: &mut Random) {
        let age = random.between(28, 45);
        self.couple(random, age);
        for _ in 0..random.between(1, 2) {
            self.child(random, age);
        }
    }

    fn three_generations(&mut self, random: &mut Random) {
        let age = random.between(30, 48);
        self.couple(random, age);
        self.child(random, age);
        let parent_age = age + random.between(22, 28);
        self.add(random, Sex::Female, parent_age, "母");
        if random.chance(60) {
            self.add(random, Sex::Male, parent_age + 2, "父");
        }
    }

    fn with_adult_child(&mut self, random: &mut Random) {
        let age = random.between(46, 62);
        self.couple(random, age);
        let child_age = age - random.between(22, 27);
        if random.chance(70) {
            self.add(random, Sex::Male, child_age, "子");
        } else {
            self.add(random, Sex::Female, child_age, "女");
        }
    }

    fn old_couple(&mut self, random: &mut Random) {
        let age = random.between(62, 84);
        self.couple(random, age);
    }

    fn alone(&mut self, random: &mut Random) {
        let sex = if random.chance(60) { Sex::Female } else { Sex::Male };
        let age = random.between(60, 92);
        self.add(random, sex, age, "户主");
    }

    fn couple(&mut self, random: &mut Random, age: u32) {
        self.add(random, Sex::Male, age, "户主");
        let wife_age = (age + 1).saturating_sub(random.below(4)).max(22);
        self.add(random, Sex::Female, wife_age, "配偶");
    }

    fn child(&mut self, random: &mut Random, parent_age: u32) {
        let age = parent_age.saturating_sub(random.between(22, 30)).min(24);
        if random.chance(53) {
            self.add(random, Sex::Male, age, "子");
        } else {
            self.add(random, Sex::Female, age, "女");
        }
    }

    fn add(&mut self, random: &mut Random, sex: Sex, age: u32, relation: &'static str) {
        let birth = birth(random, age);
        let surname = match relation {
            "配偶" | "母" => Names::foreign_surname(random),
            _ => self.surname,
        };
        let name = format!("{surname}{}", Names::given(random, sex, birth));
        let id_number = id_number(random, self.county, birth, sex);
        self.people.push(Person { name, sex, birth, age, relation, id_number });
    }
}

/// A day of birth that gives this age on the reference day.
fn birth(random: &mut Random, age: u32) -> Date {
    let year = i16::try_from(age).map_or(0, |age| REFERENCE.year() - age);
    let month = i8::try_from(random.between(1, 12)).expect("a month");
    let day = i8::try_from(random.between(1, 28)).expect("a day of every month");
    let year = if month > REFERENCE.month() { year - 1 } else { year };
    Date::new(year, month, day).expect("day 28 exists in every month")
}

/// A number of `county` with a valid check character.
fn id_number(random: &mut Random, county: AddressCode, birth: Date, sex: Sex) -> String {
    let odd = u32::from(sex == Sex::Male);
    let order = random.below(499) * 2 + odd;
    let day = format!("{:04}{:02}{:02}", birth.year(), birth.month(), birth.day());
    let body = format!("{:0<6}{day}{order:03}", county.as_str());
    let check = checks::id_check_character(&body).expect("17 digits");
    format!("{body}{check}")
}

/// The address of a household: yards of the first grids, flats of the others where the village
/// has built them.
fn address(village: AddressCode, has_flats: bool, number: u32) -> AddressCode {
    let (grid, place) = (number / GRID_HOUSEHOLDS % 999 + 1, number % GRID_HOUSEHOLDS);
    let text = if has_flats && grid > 2 {
        let (building, flat) = (place / BUILDING_FLATS + 1, place % BUILDING_FLATS);
        let (unit, door) = (flat / 6 + 1, flat % 6);
        format!("{village}{grid:03}{building:05}{unit:02}{:02}{:02}", door / 2 + 1, door % 2 + 1)
    } else {
        format!("{village}{grid:03}{:05}", place + 1)
    };
    AddressCode::parse(&text).expect("digits of a building or a room of the village")
}

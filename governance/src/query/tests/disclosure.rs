//! What figures of people give away, to somebody who has all of them from all pages.

use super::*;
use crate::query::disclosure::{CellSum, Figure};

const COUNTY: &str = "370322";
const TOWNS: [&str; 3] = ["370322102", "370322103", "370322104"];
const CLASSES: u8 = 3;

/// A generator of the same numbers at every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Cells with their records: a class in a village, or at a town or the county itself.
type Cells = BTreeMap<(String, u8), u64>;

fn random_cells(dice: &mut Dice) -> Cells {
    let mut places = vec![COUNTY.to_owned()];
    for town in TOWNS {
        places.push(town.to_owned());
        places.extend((0..4).map(|village| format!("{town}{:03}", 200 + village)));
    }
    let mut cells = Cells::new();
    for place in places {
        for class in 0..CLASSES {
            // Many are few, some are none, and some are many.
            let number = match dice.below(4) {
                0 => 0,
                1 | 2 => 1 + dice.below(3),
                _ => dice.below(60),
            };
            cells.insert((place.clone(), class), number);
        }
    }
    cells
}

/// A register with these cells. Records of a village lie in its grids as well.
fn register(cells: &Cells) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&GovernanceProjector.schema()).unwrap();
    let mut document = 0_u64;
    let mut insert = connection
        .prepare(
            "INSERT INTO record VALUES (?1, ?2, ?3, ?4, 0, '', '', '', '{}', '', 1, x'', 0, '')",
        )
        .unwrap();
    for ((place, class), number) in cells {
        for record in 0..*number {
            document += 1;
            let grid = format!("{place}{:03}", record % 3 + 1);
            let address = if place.len() == 12 && record % 2 == 1 { &grid } else { place };
            let category = Category::library(*class, 0).0;
            insert.execute((category, address, document.to_be_bytes(), class)).unwrap();
        }
    }
    drop(insert);
    connection
}

/// Every figure of every page: of county, towns and villages by class and in all, of the children of
/// each by class and in all, and of the list of villages of each town.
fn published(cells: &Cells) -> Vec<Figure> {
    let connection = register(cells);
    let everything = Reader::everything();
    let mut figures = Vec::new();
    let mut say = |told: Vec<CellSum>| {
        figures.extend(told.iter().map(|told| told.figure()));
        figures.push(told.into_iter().sum::<CellSum>().figure());
    };
    let villages = cells.keys().map(|(place, _)| place.as_str());
    for place in villages.chain(TOWNS).chain([COUNTY]) {
        let classes = region::counts_by_class(&connection, &everything, code(place)).unwrap();
        say(classes.iter().map(|class| class.told).collect());
        for level in [Level::Town, Level::Village] {
            let children = region::counts_by_child(&connection, &everything, code(place), level);
            let children = children.unwrap();
            say(children.iter().map(region::RegionCount::told).collect());
            for child in &children {
                say(child.classes.iter().map(|class| class.told).collect());
            }
        }
        let villages = region::villages(&connection, &everything, code(place)).unwrap();
        say(villages.iter().map(|village| village.told).collect());
    }
    figures
}

/// Shows, over random registers, that no cell of one or two can be worked out from all the figures of
/// all pages together, by whatever arithmetic: were it the other of both, every figure would be the
/// same. And that figures are not made useless for it: those without such a cell are exact.
#[test]
fn no_small_cell_can_be_worked_out() {
    let mut dice = Dice(20_261_129);
    let (mut small, mut exact) = (0, 0);
    for _ in 0..6 {
        let cells = random_cells(&mut dice);
        let figures = published(&cells);
        exact += figures.iter().filter(|figure| matches!(figure, Figure::Exactly(3..))).count();
        let few: Vec<_> = cells.iter().filter(|(_, number)| (1..3).contains(*number)).collect();
        for (cell, number) in few {
            let mut other = cells.clone();
            other.insert(cell.clone(), 3 - number);
            assert_eq!(published(&other), figures, "{cell:?} is {number}");
            small += 1;
        }
        // All of them at once.
        let swapped = |number: &u64| if (1..3).contains(number) { 3 - number } else { *number };
        let all = cells.iter().map(|(cell, number)| (cell.clone(), swapped(number))).collect();
        assert_eq!(published(&all), figures);
    }
    assert!(small > 60 && exact > 100, "{small} {exact}");
}

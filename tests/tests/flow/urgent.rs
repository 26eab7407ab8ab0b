//! What is urgent passes what is not, on every line of the way.

use cunlian_protocol::category::Category;
use cunlian_tests::world::one_of_each;

use super::world::{Breadth, World, record};

pub(crate) use cunlian_tests::world::{TOWN, VILLAGE};

pub(crate) const POPULATION: Category = Category::library(0, 0);

/// Shows that an alert is at the town within seconds while a first copy of the village's library
/// takes minutes of the same line, whenever in the copy it is raised.
#[test]
fn an_alert_passes_a_first_copy() {
    let [_, town, village] = one_of_each();
    let mut world = World::new(1);
    let at_town = world.add(&town, &[]);
    let at_village = world.add(&village, &[town.public_key()]);
    let line = Breadth { bytes_per_second: 8_000, delay_ms: 150 };
    world.set_line(at_town, at_village, line);
    let author = village.author(1);
    let library = (0..6_000).map(|n| record(POPULATION, VILLAGE, n)).collect();
    world.write(at_village, &author, library);
    for (raised, after_ms) in (1..).zip([6_000, 9_000, 15_000, 11_000]) {
        world.run(after_ms);
        let copied = world.count(at_town, POPULATION);
        assert!((1..6_000).contains(&copied), "the copy is under way: {copied}");
        let number = 100_000 + u32::try_from(raised).unwrap();
        let raised_ms = world.now_ms;
        world.write(at_village, &author, vec![record(Category::ALERT, VILLAGE, number)]);
        world
            .run_until(raised_ms + 60_000, |world| world.count(at_town, Category::ALERT) == raised);
        let took_ms = world.now_ms - raised_ms;
        assert!(took_ms <= 6_000, "alert {raised} took {took_ms} ms");
    }
    world.run_until(world.now_ms + 600_000, |world| world.count(at_town, POPULATION) == 6_000);
    assert_eq!(world.count(at_town, POPULATION), 6_000);
}

/// Shows that an alert passes what a town passes on of a village's first copy: the village's line
/// is wide, so thousands of new rows of the library wait at the town for the line to the county.
#[test]
fn an_alert_passes_what_is_passed_on() {
    let [county, town, village] = one_of_each();
    let mut world = World::new(2);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key()]);
    let line = Breadth { bytes_per_second: 8_000, delay_ms: 50 };
    world.set_line(at_county, at_town, line);
    world.run(5_000);
    let author = village.author(1);
    let library = (0..5_000).map(|n| record(POPULATION, VILLAGE, n)).collect();
    world.write(at_village, &author, library);
    world.run_until(world.now_ms + 60_000, |world| world.count(at_town, POPULATION) == 5_000);
    let passed_on = world.count(at_county, POPULATION);
    assert!(passed_on < 2_500, "most rows wait at the town, {passed_on} are at the county");
    let raised_ms = world.now_ms;
    world.write(at_village, &author, vec![record(Category::ALERT, VILLAGE, 100_000)]);
    world.write(at_village, &author, vec![record(Category::TICKET, VILLAGE, 100_001)]);
    let all = |world: &World| {
        world.count(at_county, Category::ALERT) + world.count(at_county, Category::TICKET) == 2
    };
    world.run_until(raised_ms + 60_000, all);
    let took_ms = world.now_ms - raised_ms;
    assert!(took_ms <= 7_000, "alert and ticket took {took_ms} ms");
    assert!(world.count(at_county, POPULATION) < 4_000, "the library was still on its way");
}

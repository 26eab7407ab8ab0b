//! Lines that break: what is lost, and what of the time is used.

use cunlian_protocol::limits;
use cunlian_tests::world::one_of_each;

use super::urgent::{POPULATION, VILLAGE};
use super::world::{Breadth, World, record};

const RECORDS: u32 = 8_000;

/// Shows that a first copy ends on a line of 8 kB/s that breaks every thirty seconds, that a break
/// costs at most one batch that is sent again, and that most of the time of the line is used for
/// changes: the copy takes little longer than their bytes do.
#[test]
fn a_copy_ends_on_a_line_that_breaks_every_thirty_seconds() {
    const BYTES_PER_SECOND: i64 = 8_000;
    let [_, town, village] = one_of_each();
    let mut world = World::new(3);
    let at_town = world.add(&town, &[]);
    let at_village = world.add(&village, &[town.public_key()]);
    let line = Breadth { bytes_per_second: BYTES_PER_SECOND, delay_ms: 150 };
    world.set_line(at_town, at_village, line);
    let author = village.author(1);
    let library = (0..RECORDS).map(|n| record(POPULATION, VILLAGE, n)).collect();
    world.write(at_village, &author, library);
    let started_ms = world.now_ms;
    let all = |world: &World| world.count(at_town, POPULATION) == i64::from(RECORDS);
    while !all(&world) {
        let cut_ms = world.now_ms + 30_000;
        world.run_until(cut_ms, all);
        if !all(&world) {
            world.cut(at_town, at_village);
        }
        assert!(world.now_ms - started_ms < 1_800_000, "the copy does not end");
    }
    let took_ms = world.now_ms - started_ms;
    let carried = world.carried;
    assert!(carried.cuts >= 3, "{carried:?}");
    let batch = i64::try_from(limits::BATCH_BYTES).unwrap() / 32;
    assert!(carried.lost <= carried.cuts * batch, "{carried:?}");
    let needed_ms = 1_000 * carried.batches / BYTES_PER_SECOND;
    assert!(took_ms * 100 <= needed_ms * 140, "{took_ms} ms for {needed_ms} ms: {carried:?}");
    let report = world.nodes[at_town].hub.reports();
    let received: u64 =
        report.iter().filter_map(|peer| peer.session.as_ref()).map(|s| s.received).sum();
    assert_eq!(received, u64::from(RECORDS), "nothing that had arrived was sent again");
}

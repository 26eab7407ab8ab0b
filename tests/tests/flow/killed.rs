//! Real processes that are killed in the middle of a first copy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cunlian_host::config::Config;
use cunlian_host::opening::{node_author, open_store};
use cunlian_node::demo::layout::Node;
use cunlian_protocol::limits;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::relay::Relay;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::urgent::POPULATION;
use super::world::record;

const RECORDS: u32 = 12_000;
const KILLS: u32 = 8;
/// The copy takes some seconds, so that a kill comes in the middle of it.
const BYTES_PER_SECOND: u32 = 300_000;
const PATIENCE: Duration = Duration::from_mins(5);

/// Dials its parent by way of a relay.
fn reroute(node: &Node, by: SocketAddr) {
    let mut config = Config::load(&node.dir).unwrap();
    config.peers[0].address = by.into();
    config.save(&node.dir).unwrap();
}

fn held(node: &Node) -> u64 {
    let (store, _) = open_store(&node.dir).unwrap();
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{}: {verified:?}", node.name);
    store.counts().unwrap().total.changes
}

/// Shows that a first copy goes on from what was durable wherever in its bytes the parent or the
/// child is killed: after each kill the parent holds no less than before, its store agrees with its
/// log, in the end it holds all, and what came twice is less than a batch for each kill.
#[test]
fn a_copy_goes_on_after_kills_at_any_byte() {
    let seed = std::env::var("CUNLIAN_SEED").ok();
    let seed = seed.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    eprintln!("CUNLIAN_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[1].clone(), layout.nodes[2].clone());
    let relay = Relay::honest(town.listen, BYTES_PER_SECOND);
    reroute(&village, relay.address());
    {
        let (store, identity) = open_store(&village.dir).unwrap();
        let author = node_author(&identity);
        let writes = (0..RECORDS).map(|n| record(POPULATION, VILLAGE, n)).collect();
        store.write(&author, writes, cunlian_host::clock::now_ms()).unwrap();
    }
    let before = held(&town);
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let (mut known, mut in_the_middle) = (before, 0);
    for kill in 0..KILLS {
        let bytes = relay.bytes() + 20_000 + usize::try_from(rng.next_u32() % 120_000).unwrap();
        // When all is there, no more bytes come.
        let waited = Instant::now();
        while relay.bytes() < bytes && waited.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let victim = if kill % 2 == 0 { &town } else { &village };
        fleet.kill(victim.index).unwrap();
        if victim.index == town.index {
            let now = held(&town);
            assert!(now >= known, "CUNLIAN_SEED={seed}: {known} were durable, {now} are left");
            in_the_middle += u32::from((before + 1..before + u64::from(RECORDS)).contains(&now));
            known = now;
        }
        well(fleet.start(victim.index));
    }
    well(fleet.converge(PATIENCE, |_| {}));
    fleet.stop_all();
    assert!(held(&town) >= before + u64::from(RECORDS));
    assert!(in_the_middle > 0, "CUNLIAN_SEED={seed}: no kill came in the middle of the copy");
    // 111 bytes for each record, hello and questions; and for each kill less than one batch, which
    // is compressed to less than half.
    let most = RECORDS as usize * 150 + KILLS as usize * (limits::BATCH_BYTES / 2);
    let passed = relay.bytes();
    assert!(passed < most, "CUNLIAN_SEED={seed}: {passed} bytes passed, {most} are needed at most");
}

//! Real processes: the outage scenario of the demo, with a thief of a village's keys at the town.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::opening::{node_author, open_store};
use cunlian_node::demo::scenario::{self, Options};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::wire::{Ask, FaultCode, Message, Prefixed};
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::ports::free_rows;
use cunlian_tests::program::program;
use tempfile::tempdir;

#[path = "federation/crime.rs"]
mod crime;
#[path = "federation/evidence.rs"]
mod evidence;

/// Shows that a county of ten processes comes into step after an outage although somebody with the
/// keys of one of its villages does everything at the town that the protocol forbids: he asks for
/// other villages' data, sends changes for them, breaks signatures, frames and greetings.
///
/// The scenario itself loads, cuts links, works on both sides, kills a process and heals, and then
/// checks every store. While the links are cut the thief connects to the town with a machine
/// that it certified for 苑兴村, whose own terminal is cut off. Afterwards each of his attempts must be found refused, with its reason,
/// in the town's log, each change of his in its quarantine, and nothing of his anywhere else; and
/// nothing of another village was among the bytes he heard.
#[test]
fn an_outage_with_a_thief_at_the_town_leaves_no_difference() {
    let dir = tempdir().unwrap();
    let (udp_base, http_base) = free_rows();
    let options = Options {
        records: 2_100,
        seed: 7,
        dir: Some(dir.path().to_owned()),
        udp_base,
        http_base,
        quiet: true,
        program: Some(program()),
    };
    let mut found = None;
    let mut layout = None;
    let report = well(scenario::run(&options, |fleet| {
        layout = Some(fleet.layout().clone());
        found = Some(crime::commit(fleet));
        Ok(())
    }));
    assert!(report.converged, "{:#?}", report.differences);
    assert!(report.killed_in_mid_sync);
    assert!(report.conflicts >= 1 && report.trace_steps > 1_000, "{report:#?}");
    assert!(report.acknowledged > 100, "{report:#?}");
    let found = found.unwrap();
    assert!(report.refused >= found.refused.len() as u64, "{report:#?}");
    evidence::check(&layout.unwrap(), &found);
}

/// Shows that whoever connects and opens no stream is gone after the time for a handshake, and
/// that the node serves others meanwhile.
#[test]
fn a_connection_without_a_stream_is_closed() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[COUNTY]));
    well(fleet.start_all());
    let county = fleet.layout().county().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // A stream that nothing was written to is unknown to the other side.
        let silent = Hostile::thief_of(&county.dir).dial(county.listen).await;
        let _served = Hostile::thief_of(&county.dir).enter(county.listen).await;
        silent.closed().await;
    });
}

/// Shows that a peer that asks for more than it reads is cut off, so that what it does not take
/// does not fill the memory of the node: it asks thousands of times for a list of 3,000 short
/// ids and reads nothing. The node then serves the next one.
#[test]
fn a_peer_that_asks_and_does_not_read_is_cut_off() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[1].clone(), layout.nodes[2].clone());
    let (store, identity) = open_store(&town.dir).unwrap();
    let tickets = (0..3_000).map(|number: u128| Write {
        home: Home {
            category: Category::TICKET,
            address: village.region,
            document: DocumentId(number.to_le_bytes()),
        },
        edits: vec![Edit::Append { body: "{}".to_owned() }],
        source: "test".to_owned(),
        task: String::new(),
    });
    store.write(&node_author(&identity), tickets.collect(), 0).unwrap();
    drop(store);
    let mut fleet = fleet(layout);
    well(fleet.start(town.index));
    let prefix = KeyPrefix::region(Category::TICKET, &Region::subtree(village.region));
    let thief = Hostile::thief_of(&village.dir);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut greedy = thief.enter(town.listen).await;
        let question = Message::Query(Prefixed(vec![(prefix, Ask::Shorts)]));
        for _ in 0..2_500 {
            greedy.say(&question).await;
        }
        assert_eq!(greedy.closed().await, FaultCode::Flow as u64);
        let _served = thief.enter(town.listen).await;
    });
    assert!(fleet.is_running(town.index));
}

//! Real processes: the outage scenario of the demo, with a thief of a village's keys at the town.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use cunlian_node::demo::scenario::{self, Options};
use cunlian_tests::federation::{COUNTY, fleet, free_bases, lay_out, well};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::program::program;
use tempfile::tempdir;

#[path = "federation/attempt.rs"]
mod attempt;
#[path = "federation/crime.rs"]
mod crime;
#[path = "federation/evidence.rs"]
mod evidence;
#[path = "federation/forgery.rs"]
mod forgery;

/// Shows that a county of ten processes comes into step after an outage although somebody with the
/// keys of one of its villages does everything at the town that the protocol forbids: he asks for
/// other villages' data, sends changes for them, breaks signatures, frames and greetings.
///
/// The scenario itself loads, cuts links, works on both sides, kills a process and heals, and then
/// checks every store. While the links are cut the thief connects to the town with the key of
/// 苑兴村, which is cut off. Afterwards each of his attempts must be found refused, with its reason,
/// in the town's log, each change of his in its quarantine, and nothing of his anywhere else; and
/// nothing of another village was among the bytes he heard.
#[test]
fn an_outage_with_a_thief_at_the_town_leaves_no_difference() {
    let dir = tempdir().unwrap();
    let (udp_base, http_base) = free_bases(dir.path());
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

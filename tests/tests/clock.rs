//! Clocks that are wrong, with real processes: what the node saw last, in `clock.json`, is what
//! differs from the machine's clock.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;

use cunlian_host::clock::now_ms;
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::Node;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::program::{run_well, wait_for};
use serde_json::{Value, json};
use tempfile::tempdir;

const DAY_MS: i64 = 86_400_000;

/// The node has seen this time.
fn has_seen(node: &Node, at_ms: i64) {
    let floor = json!({"version": 1, "trusted_ms": at_ms, "beacon_ms": null});
    fs::write(node.dir.join("clock.json"), floor.to_string()).unwrap();
}

fn clock(fleet: &Fleet, index: usize) -> Value {
    well(fleet.status(index))["clock"].clone()
}

/// Shows that a terminal whose machine says less than the node has seen, as after an empty battery,
/// says so in words while it is alone, believes its town as soon as it reaches it, and that what
/// is saved then reaches the town.
#[test]
fn a_terminal_believes_its_town() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[0].clone(), layout.nodes[1].clone());
    has_seen(&village, now_ms() + 400 * DAY_MS + DAY_MS / 2);
    let mut fleet = fleet(layout);
    well(fleet.start(village.index));
    let said = clock(&fleet, village.index);
    assert_eq!((&said["state"], &said["doubt"]), (&json!("off"), &json!("behind")), "{said}");
    let shown = run_well(["status", "--data-dir", village.dir.to_str().unwrap()]);
    assert!(shown.contains("400 days behind"), "{shown}");
    let page = ureq::get(format!("http://{}/status", village.http)).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    assert!(page.contains("400 天"), "{page}");

    well(fleet.start(town.index));
    wait_for("the town's word", || clock(&fleet, village.index)["state"] == "ok");
    let client = well(Client::log_in(&village, "secretary"));
    let fields = json!({"name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{VILLAGE}001");
    let done = well(client.register("population", &address, random_document(), &fields));
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    wait_for("the record at the town", || dispatcher.record(&done.home).is_some());
}

/// Shows that a founder, which has nobody above, says that its clock is wrong until a person has
/// said that it is right.
#[test]
fn a_person_has_the_last_word_at_the_top() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY]);
    let county = layout.nodes[0].clone();
    has_seen(&county, now_ms() + 400 * DAY_MS);
    let mut fleet = fleet(layout);
    well(fleet.start(0));
    assert_eq!(clock(&fleet, 0)["doubt"], "behind");
    let dir = county.dir.to_str().unwrap();
    run_well(["node", "believe-clock", "--data-dir", dir]);
    wait_for("the clock to be believed", || clock(&fleet, 0)["state"] == "unknown");
    let floor: Value =
        serde_json::from_slice(&fs::read(county.dir.join("clock.json")).unwrap()).unwrap();
    assert!((floor["trusted_ms"].as_i64().unwrap() - now_ms()).abs() < DAY_MS);
}

//! Two machines with one identity, as real processes: both stop, one goes on when a person has
//! decided.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use cunlian_host::config::Config;
use cunlian_host::journal::{Entry, journal_of};
use cunlian_host::keystore::Keystore;
use cunlian_host::opening::open_store;
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_tests::federation::{TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{run_refused, run_well, wait_for};
use serde_json::{Value, json};
use tempfile::tempdir;

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The same node in another directory and on other ports.
fn elsewhere(node: &Node, dir: &Path) -> Node {
    let ports = Ports::free();
    let (listen, http) = (ports.listen(), ports.http());
    let config = Config { listen, http, ..Config::load(dir).unwrap() };
    config.save(dir).unwrap();
    Node { dir: dir.to_owned(), listen, http, ..node.clone() }
}

fn children(town: &Node) -> Vec<Value> {
    let dir = town.dir.to_str().unwrap();
    let list: Value =
        serde_json::from_str(&run_well(["node", "list", "--data-dir", dir, "--json"])).unwrap();
    list["nodes"].as_array().unwrap().clone()
}

fn save(node: &Node, name: &str) -> Result<cunlian_protocol::change::Home, String> {
    let client = Client::log_in(node, "secretary").map_err(|failure| format!("{failure:?}"))?;
    let fields = json!({"name": name, "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{VILLAGE}001");
    let saved = client.register("population", &address, random_document(), &fields);
    saved.map(|saved| saved.home).map_err(|failure| format!("{failure:?}"))
}

/// Shows that two machines made from one image are noticed as soon as both are on line; that both
/// say so and save nothing; that the town lists it and has it in its journal; that after a release
/// the one left on is certified anew and works, while the other still does not.
#[test]
fn two_machines_from_one_image_stop_until_a_person_decides() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, first) = (layout.nodes[0].clone(), layout.nodes[1].clone());
    let mut at_first = fleet(layout.clone());
    well(at_first.start_all());
    save(&first, "王建国").unwrap();
    wait_for("a lineage token", || first.dir.join("lines.json").exists());
    at_first.stop_all();
    let image = dir.path().join("second");
    copy(&first.dir, &image);
    // Machines made from one image look alike to themselves.
    fs::remove_file(image.join("place.json")).unwrap();
    let second = elsewhere(&first, &image);
    let nodes = vec![town.clone(), second.clone()];
    let mut at_second = fleet(Layout { nodes, ..layout });

    well(at_first.start_all());
    well(at_second.start(1));
    let suspended = |fleet: &cunlian_node::demo::fleet::Fleet| {
        fleet.status(1).is_ok_and(|status| status["suspended"] == "forked")
    };
    wait_for("both to stop", || suspended(&at_first) && suspended(&at_second));
    for node in [&first, &second] {
        wait_for("the pages", || Client::log_in(node, "secretary").is_ok());
        let refused = save(node, "李四").unwrap_err();
        assert!(refused.contains("another machine"), "{refused}");
    }
    let listed = children(&town);
    assert_eq!(listed[0]["forked"], true, "{listed:#?}");

    let old = Keystore::new(&first.dir).identity().unwrap().certificate.serial();
    at_second.kill(1).unwrap();
    let town_dir = town.dir.to_str().unwrap();
    run_refused(["node", "release", "没有", "--data-dir", town_dir]);
    run_well(["node", "release", &first.name, "--data-dir", town_dir]);
    wait_for("the first machine to save again", || save(&first, "李四").is_ok());
    let serial = |node: &Node| Keystore::new(&node.dir).identity().unwrap().certificate.serial();
    assert_ne!(serial(&first), old);
    let home = save(&first, "赵五").unwrap();
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    wait_for("the record at the town", || dispatcher.record(&home).is_some());

    well(at_second.start(1));
    wait_for("the second machine to be told", || {
        let link = at_second.parent_link(1);
        link["state"] == "refused"
    });
    assert!(suspended(&at_second));
    assert!(save(&second, "钱七").is_err());
    let home = save(&first, "孙八").unwrap();
    wait_for("the record at the town", || dispatcher.record(&home).is_some());
    assert_eq!(children(&town)[0]["forked"], false);
    at_first.stop_all();
    let (store, identity) = open_store(&town.dir).unwrap();
    let journal = journal_of(&store, &identity.certificate).unwrap();
    let forks: Vec<&Entry> = journal.alarms.iter().map(|(_, alarm)| alarm).collect();
    let fork = Entry::Forked { child: old.to_string(), name: first.name.clone() };
    assert_eq!(forks, [&fork], "one alarm for one fork");
}

//! A parent that is known by a name: the name is kept, and looked up whenever it is dialled.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use cunlian_host::config::Config;
use cunlian_node::demo::fleet::PASSWORD;
use cunlian_tests::federation::{TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{Running, command, run_refused, run_well, wait_for};
use cunlian_tests::visitor::Person;
use serde_json::Value;
use tempfile::tempdir;

/// Writes another address for the parent into a configuration, as a person would.
fn call_parent(dir: &std::path::Path, address: &str) {
    let file = dir.join("cunlian.toml");
    let text = fs::read_to_string(&file).unwrap();
    let now = Config::load(dir).unwrap().peers[0].address.to_string();
    fs::write(&file, text.replace(&format!("\"{now}\""), &format!("\"{address}\""))).unwrap();
}

/// Shows that a name in `cunlian.toml` leads to the parent, that a name that nobody knows is said in
/// words by the command and on the page and is tried again, and that an IPv6 address is
/// dialled by a node that listens on IPv4 alone.
#[test]
fn a_parent_is_found_by_name() {
    let dir = tempdir().unwrap();
    let mut layout = lay_out(dir.path(), &[TOWN, VILLAGE]);
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let six: SocketAddr = socket.local_addr().unwrap();
    drop(socket);
    let (town, village) = (layout.nodes[0].clone(), layout.nodes[1].clone());
    call_parent(&village.dir, "nowhere.invalid:7320");
    layout.nodes[1] = village.clone();
    let mut nodes = fleet(layout);
    well(nodes.start_all());
    let error = || nodes.parent_link(1)["error"].as_str().unwrap_or_default().to_owned();
    wait_for("the word", || error() == "the name nowhere.invalid was not found");
    let data = village.dir.to_str().unwrap();
    let said = run_well(["status", "--data-dir", data]);
    assert!(said.contains("the name nowhere.invalid was not found"), "{said}");
    let person = Person::log_in(village.http, "secretary", PASSWORD);
    let page = person.get("/status?lang=en");
    assert!(page.contains("nobody knows the name nowhere.invalid"), "{page}");
    let first = nodes.parent_link(1)["next_attempt_ms"].clone();
    wait_for("another try", || {
        let next = nodes.parent_link(1)["next_attempt_ms"].clone();
        !next.is_null() && next != first
    });

    nodes.kill(1).unwrap();
    call_parent(&village.dir, &format!("localhost:{}", town.listen.port()));
    well(nodes.start(1));
    wait_for("the link by name", || nodes.parent_link(1)["state"] == "live");
    let kept = Config::load(&village.dir).unwrap().peers[0].address.to_string();
    assert_eq!(kept, format!("localhost:{}", town.listen.port()));

    nodes.stop_all();
    let mut config = Config::load(&town.dir).unwrap();
    config.listen = six;
    config.save(&town.dir).unwrap();
    call_parent(&village.dir, &six.to_string());
    well(nodes.start_all());
    wait_for("the link by IPv6", || nodes.parent_link(1)["state"] == "live");
}

/// Shows that `invite --address NAME:PORT` and `issue --address NAME:PORT` give a machine the name,
/// that it keeps it in its configuration when it joins, and that what is no address is refused with a hint.
#[test]
fn an_invitation_by_name_is_kept() {
    let dir = tempdir().unwrap();
    let mut nodes = fleet(lay_out(dir.path(), &[TOWN]));
    let town = nodes.layout().nodes[0].clone();
    well(nodes.start(0));
    let data = town.dir.to_str().unwrap();
    let name = format!("localhost:{}", town.listen.port());
    let who = ["--region", VILLAGE, "--name", "苑兴村", "--data-dir", data];
    let invite = |address: &str| {
        let words = ["invite", "--json", "--address", address];
        words.iter().chain(&who).map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    run_refused(invite("not an address"));
    let told: Value = serde_json::from_str(&run_well(invite(&name))).unwrap();
    let token = told["token"].as_str().unwrap().to_owned();
    let (joined, ports) = (dir.path().join("joined"), Ports::free());
    let places = [ports.listen().to_string(), ports.http().to_string()];
    let joined_text = joined.to_str().unwrap();
    let arguments = ["join", &token, "--data-dir", joined_text, "--listen", &places[0]];
    run_well(arguments.iter().chain(&["--http", &places[1], "--no-sync"]));
    assert_eq!(Config::load(&joined).unwrap().peers[0].address.to_string(), name);
    let _node = Running(command(["run", "--data-dir", joined_text]).spawn().unwrap());
    wait_for("the link", || {
        let said = cunlian_tests::program::run(["status", "--json", "--data-dir", joined_text], "");
        let status: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
        status["peers"][0]["state"] == "live"
    });

    let carried = dir.path().join("carried");
    let carried_text = carried.to_str().unwrap();
    run_well(["init", "--data-dir", carried_text]);
    let (request, issued) = (dir.path().join("request"), dir.path().join("issued"));
    let (request, issued) = (request.to_str().unwrap(), issued.to_str().unwrap());
    let village = ["--tier", "village", "--region", "370322102311", "--name", "村"];
    let ask = ["request", "--data-dir", carried_text, "--out", request];
    run_well(ask.iter().chain(&village));
    let issue = ["issue", request, "--data-dir", data, "--out", issued, "--address"];
    run_well(issue.iter().chain(&["town.example:7320"]));
    run_well(["accept", issued, "--data-dir", carried_text]);
    let kept = Config::load(&carried).unwrap().peers[0].address.to_string();
    assert_eq!(kept, "town.example:7320");
}

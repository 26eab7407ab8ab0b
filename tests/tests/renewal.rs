//! Certificates and keys that are followed by others, between real processes: nobody does anything
//! but what a person at the command line would.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::ops::Range;
use std::path::Path;

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::admin::renewal::renew;
use cunlian_host::clock::now_ms;
use cunlian_host::journal::{self, journal_of};
use cunlian_host::keystore::Keystore;
use cunlian_host::opening::{node_author, open_store};
use cunlian_host::preset;
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::Node;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, CertificateBody, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::public_key;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::member::key;
use cunlian_tests::program::{run_well, wait_for};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const NEIGHBOUR: &str = "370322102211";
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Nodes with these codes, none running yet.
fn nodes(codes: &[&str]) -> (TempDir, Fleet, Vec<Node>) {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), codes);
    let nodes = layout.nodes.clone();
    (dir, fleet(layout), nodes)
}

fn identity(node: &Node) -> Identity {
    Keystore::new(&node.dir).identity().unwrap()
}

fn serial(node: &Node) -> Serial {
    identity(node).certificate.serial()
}

/// Certifies a child for another time than it was.
fn certify_for(parent: &Node, child: &Node, time_ms: Range<i64>) {
    let (parent, old) = (identity(parent), identity(child).certificate);
    let (issued_at_ms, not_after_ms) = (time_ms.start, time_ms.end);
    let body = CertificateBody { issued_at_ms, not_after_ms, ..old.body().clone() };
    let mut chain = parent.chain.clone();
    chain.push(Certificate::issue(&body, &parent.key));
    let keystore = Keystore::new(&child.dir);
    keystore.set_chain(&keystore.root().unwrap(), &chain).unwrap();
}

/// Registers a person at a node as somebody who works there, as soon as the node lets one.
fn register(node: &Node, login: &str, name: &str) -> Home {
    let fields = json!({"name": name, "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let (address, document) = (format!("{VILLAGE}001"), random_document());
    let mut home = None;
    wait_for("a node that saves", || {
        let client = Client::log_in(node, login);
        let saved =
            client.and_then(|client| client.register("population", &address, document, &fields));
        home = saved.ok().map(|saved| saved.home);
        home.is_some()
    });
    home.unwrap()
}

fn wait_for_record(node: &Node, login: &str, home: &Home) {
    wait_for("the record to arrive", || {
        Client::log_in(node, login).is_ok_and(|client| client.record(home).is_some())
    });
}

/// A command of the node of a data directory; its JSON.
fn command(node: &Node, arguments: &[&str]) -> Value {
    let dir = node.dir.to_str().unwrap();
    let all = [arguments, &["--data-dir", dir, "--json"]].concat();
    serde_json::from_str(&run_well(all)).unwrap()
}

/// Waits until a node has another certificate than this one.
fn wait_for_another(node: &Node, old: Serial) {
    wait_for("another certificate", || serial(node) != old);
}

/// Shows that a terminal with less than a third of its time left is certified anew by its town as
/// soon as it connects, in the same process, on the same ports; and that people go on working.
#[test]
fn a_terminal_with_little_time_left_is_certified_anew() {
    let (_dir, mut fleet, nodes) = nodes(&[TOWN, VILLAGE]);
    let [town, village] = nodes.as_slice() else { unreachable!() };
    let now = now_ms();
    certify_for(town, village, now - 50 * DAY_MS..now + 10 * DAY_MS);
    let old = serial(village);
    well(fleet.start_all());
    let pid = fleet.pid(village.index);
    wait_for_another(village, old);
    assert!(fleet.is_running(village.index));
    assert_eq!(fleet.pid(village.index), pid);
    assert!(identity(village).certificate.body().not_after_ms > now + 59 * DAY_MS);
    let home = register(village, "secretary", "王建国");
    wait_for_record(town, "dispatcher", &home);
}

/// Shows that a terminal whose certificate ended while nobody could reach it hands up what was
/// written in time, is certified anew, and is used on.
#[test]
fn an_expired_terminal_hands_up_its_work_and_is_certified_anew() {
    let (_dir, mut fleet, nodes) = nodes(&[TOWN, VILLAGE]);
    let [town, village] = nodes.as_slice() else { unreachable!() };
    let now = now_ms();
    certify_for(town, village, now - 10 * DAY_MS..now - HOUR_MS);
    let old = serial(village);
    let address = AddressCode::parse(&format!("{VILLAGE}001")).unwrap();
    let home = Home { category: Category::library(0, 0), address, document: random_document() };
    {
        let (store, identity) = open_store(&village.dir).unwrap();
        let edits = vec![Edit::Put { field: "name".to_owned(), text: "王建国".to_owned() }];
        let (source, task) = ("terminal".to_owned(), String::new());
        let write = Write { home, edits, source, task };
        store.write(&node_author(&identity), vec![write], now - 2 * HOUR_MS).unwrap();
    }
    well(fleet.start_all());
    wait_for_another(village, old);
    wait_for_record(town, "dispatcher", &home);
    let home = register(village, "secretary", "李四");
    wait_for_record(town, "dispatcher", &home);
}

/// Shows that a town changes its key while it runs: its county certifies the new one, its village,
/// which has only the old key written down, follows it and writes the new one down, and data goes
/// through all three.
#[test]
fn a_town_changes_its_key() {
    let (_dir, mut fleet, nodes) = nodes(&[COUNTY, TOWN, VILLAGE]);
    let [county, town, village] = nodes.as_slice() else { unreachable!() };
    well(fleet.start_all());
    let before = register(village, "secretary", "王建国");
    wait_for_record(county, "analyst", &before);
    let (old, old_child) = (serial(town), serial(village));
    let told = command(town, &["rotate"]);
    assert_eq!(told["done"], false);
    let key = told["key"].as_str().unwrap();
    wait_for_another(town, old);
    assert_eq!(identity(town).certificate.body().subject.to_string(), key);
    assert!(!town.dir.join("node.key.next").exists());
    wait_for_another(village, old_child);
    let config = fs::read_to_string(village.dir.join("cunlian.toml")).unwrap();
    assert!(config.contains(key), "{config}");
    assert_eq!(identity(village).certificate.body().issuer, Some(serial(town)));
    let home = register(village, "secretary", "李四");
    wait_for_record(county, "analyst", &home);
    let kept = command(county, &["node", "list"]);
    let names: Vec<&Value> = kept["nodes"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1, "the old key is no child any more: {kept:#}");
    wait_for("the town to confirm that its old certificate was replaced", || {
        command(county, &["node", "list"])["nodes"][0]["lacks"] == json!([])
    });
    fleet.stop_all();
    let (store, _) = open_store(&county.dir).unwrap();
    assert!(store.authority().revocations().count() > 0);
    for node in [county, town] {
        let kept = journal_of(&store, &identity(node).certificate).unwrap();
        assert_eq!(kept.revocations.len(), store.authority().revocations().count());
        let view = store.view(&journal::home(&identity(node).certificate)).unwrap().unwrap();
        assert_eq!(view.operations.len(), kept.revocations.len(), "nothing is written twice");
    }
}

/// Shows that a terminal that was responsible for a second village and no longer is removes what it
/// held of it at its next session, and that its signed receipt agrees with what the town has.
#[test]
fn a_narrowed_terminal_hands_in_a_receipt() {
    let (_dir, mut fleet, nodes) = nodes(&[TOWN, VILLAGE]);
    let [town, village] = nodes.as_slice() else { unreachable!() };
    let (parent, narrow) = (identity(town), identity(village).certificate.body().clone());
    let other = AddressCode::parse("370322102255").unwrap();
    let mut wide = narrow.clone();
    wide.grants.extend(preset::grants(Tier::Village, other));
    let mut chain = parent.chain.clone();
    chain.push(Certificate::issue(&wide, &parent.key));
    let keystore = Keystore::new(&village.dir);
    keystore.set_chain(&keystore.root().unwrap(), &chain).unwrap();
    {
        let (store, identity) = open_store(&town.dir).unwrap();
        let home = |_| Home {
            category: Category::library(0, 0),
            address: other,
            document: random_document(),
        };
        let text = "王建国".to_owned();
        let edits = vec![Edit::Put { field: "name".to_owned(), text }];
        let write = |home| {
            let (source, task) = ("terminal".to_owned(), String::new());
            Write { home, edits: edits.clone(), source, task }
        };
        let writes = (0..30).map(home).map(write).collect();
        store.write(&node_author(&identity), writes, now_ms()).unwrap();
    }
    well(fleet.start_all());
    wait_for("the other village's records", || {
        well(fleet.status(village.index))["documents"].as_u64() >= Some(30)
    });
    fleet.stop_all();
    {
        let (store, identity) = open_store(&town.dir).unwrap();
        let body = CertificateBody { issuer: Some(identity.certificate.serial()), ..narrow };
        let (subject, bytes) = (body.subject.0, Certificate::issue(&body, &identity.key));
        let waits = move |connection: &rusqlite::Connection| {
            let sql = "INSERT INTO pending_certificate VALUES (?1, ?2)";
            connection.execute(sql, (subject, bytes))
        };
        store.write_reference(waits).unwrap();
    }
    well(fleet.start_all());
    wait_for("the receipt", || command(town, &["node", "list"])["nodes"][0]["purges"] == 1);
    let listed = command(town, &["node", "list"]);
    assert_eq!(listed["nodes"][0]["purges_that_differ"], 0, "{listed:#}");
    fleet.stop_all();
    let (store, _) = open_store(&town.dir).unwrap();
    let journal = journal_of(&store, &identity(village).certificate).unwrap();
    let receipt = journal.purges.first().unwrap();
    assert_eq!((receipt.changes, receipt.unsent), (30, 0));
    let (store, _) = open_store(&village.dir).unwrap();
    let held = store.counts().unwrap().total.changes;
    let known = store.changes_of(&journal::home(&identity(village).certificate)).unwrap().len();
    assert_eq!(held, known as u64, "nothing but the terminal's own journal is left");
}

/// Shows that a founder changes the root key of a running federation: every node comes to be
/// certified under the new root, work from before and after is everywhere, and the old key is put
/// aside under another name.
#[test]
fn a_federation_changes_its_root() {
    let (_dir, mut fleet, nodes) = nodes(&[COUNTY, TOWN, VILLAGE]);
    let [county, town, village] = nodes.as_slice() else { unreachable!() };
    well(fleet.start_all());
    let before = register(village, "secretary", "王建国");
    wait_for_record(county, "analyst", &before);
    let told = command(county, &["rotate", "--root"]);
    let old_file = told["old_file"].as_str().unwrap();
    assert!(county.dir.join(old_file).exists());
    let root = public_key(&Keystore::new(&county.dir).key("root.key").unwrap());
    assert_eq!(told["key"], root.to_string());
    for node in [county, town, village] {
        wait_for("the new root", || identity(node).certificate.root() == root);
    }
    let home = register(village, "secretary", "李四");
    wait_for_record(county, "analyst", &home);
    wait_for_record(county, "analyst", &before);
    fleet.stop_all();
    for node in [county, town, village] {
        let (store, _) = open_store(&node.dir).unwrap();
        assert!(store.verify().unwrap().is_sound());
        assert_eq!(store.authority().current_root(), root);
    }
}

/// Shows that a node that joins by file after the root was changed comes into step: what it is
/// given leads from the first root to the one that signs now.
#[test]
fn a_node_joins_after_the_root_was_changed() {
    let (_dir, mut fleet, nodes) = nodes(&[COUNTY, TOWN]);
    let [county, town] = nodes.as_slice() else { unreachable!() };
    command(county, &["rotate", "--root"]);
    let root = Keystore::new(&county.dir).root().unwrap();
    for file in ["node.chain", "federation.root"] {
        fs::remove_file(town.dir.join(file)).unwrap();
    }
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (request, issued) = (text(&town.dir.join("a.request")), text(&town.dir.join("a.issued")));
    let (county_dir, town_dir) = (text(&county.dir), text(&town.dir));
    let who = ["--tier", "town", "--region", TOWN, "--name", &town.name, "--out", &request];
    run_well(["request", "--data-dir", &town_dir].iter().chain(&who));
    let address = county.listen.to_string();
    let how = ["--data-dir", &county_dir, "--address", &address, "--out", &issued];
    run_well(["issue", &request].iter().chain(&how));
    run_well(["accept", &issued, "--data-dir", &town_dir]);
    assert_eq!(Keystore::new(&town.dir).root().unwrap(), root);
    assert_ne!(identity(town).certificate.root(), root);
    well(fleet.start_all());
    wait_for("the county", || fleet.parent_link(town.index)["state"] == "live");
}

/// Shows that a founder certifies itself anew with the root key, and only with it, and that its
/// town follows.
#[test]
fn a_founder_certifies_itself_anew() {
    let (_dir, mut fleet, nodes) = nodes(&[COUNTY, TOWN]);
    let [county, town] = nodes.as_slice() else { unreachable!() };
    well(fleet.start_all());
    let (old, old_child) = (serial(county), serial(town));
    let (here, away) = (county.dir.join("root.key"), county.dir.join("away"));
    fs::rename(&here, &away).unwrap();
    let dir = |node: &Node| node.dir.to_str().unwrap().to_owned();
    let errors = cunlian_tests::program::run_refused(["renew", "--data-dir", &dir(county)]);
    assert!(errors.contains("root.key"), "{errors}");
    fs::rename(&away, &here).unwrap();
    let errors = cunlian_tests::program::run_refused(["renew", "--data-dir", &dir(town)]);
    assert!(errors.contains("the node above"), "{errors}");
    let renewed = command(county, &["renew"]);
    assert_eq!(renewed["serial"], serial(county).to_string());
    assert_ne!(serial(county), old);
    wait_for_another(town, old_child);
    assert_eq!(identity(town).certificate.body().issuer, Some(serial(county)));
    assert!(Path::new(&dir(county)).join("root.key").exists());
}

/// Shows that a terminal that asks without end is given no more than a day's worth.
#[test]
fn a_terminal_that_asks_without_end_is_stopped() {
    let (_dir, _fleet, nodes) = nodes(&[TOWN, VILLAGE]);
    let [town, village] = nodes.as_slice() else { unreachable!() };
    let (store, parent) = open_store(&town.dir).unwrap();
    let child = identity(village);
    assert!(store.add_certificates(&child.chain).unwrap().is_empty());
    let serial = child.certificate.serial();
    let request = Renewal { previous: serial, subject: child.certificate.body().subject };
    let ask = |at_ms| renew(&store, &parent, at_ms, &serial, &request, false);
    let now_ms = now_ms();
    let given = (0..40).take_while(|second| ask(now_ms + second * 1_000).is_ok()).count();
    assert!((20..30).contains(&given), "{given} within a minute");
    assert!(ask(now_ms + 2 * DAY_MS).is_ok(), "and the next day again");
}

/// Shows that a terminal that asks for another key each time is given no more than one that keeps
/// its key, and that its neighbour is renewed all the same.
#[test]
fn a_terminal_that_changes_its_key_without_end_is_stopped() {
    let (_dir, _fleet, nodes) = nodes(&[TOWN, VILLAGE, NEIGHBOUR]);
    let [town, village, neighbour] = nodes.as_slice() else { unreachable!() };
    let (store, parent) = open_store(&town.dir).unwrap();
    for node in [village, neighbour] {
        assert!(store.add_certificates(&identity(node).chain).unwrap().is_empty());
    }
    let now_ms = now_ms();
    let mut last = identity(village).certificate.serial();
    let mut given = 0;
    for number in 0..60_u8 {
        let subject = public_key(&key(100 + number));
        let request = Renewal { previous: last, subject };
        let at_ms = now_ms + i64::from(number) * 1_000;
        let Ok(chain) = renew(&store, &parent, at_ms, &last, &request, false) else { break };
        last = Serial::of(chain.last().unwrap());
        given += 1;
    }
    assert!((20..30).contains(&given), "{given} within a minute");
    let next = identity(neighbour).certificate;
    let request = Renewal { previous: next.serial(), subject: next.body().subject };
    assert!(renew(&store, &parent, now_ms, &next.serial(), &request, false).is_ok());
}

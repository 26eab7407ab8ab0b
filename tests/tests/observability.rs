//! What a node says about its links: the page, the command and the figures say the same, and a
//! link that is dead is not said to be in step.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::PASSWORD;
use cunlian_node::demo::layout::Node;
use cunlian_protocol::change::Home;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::program::{run_well, wait_for};
use cunlian_tests::visitor::Person;
use serde_json::{Value, json};
use tempfile::tempdir;

fn get(node: &Node, path: &str) -> String {
    let url = format!("http://{}{path}", node.http);
    ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap()
}

fn command(node: &Node, json: bool) -> String {
    let dir = node.dir.display().to_string();
    let mut arguments = vec!["status", "--data-dir", dir.as_str()];
    if json {
        arguments.push("--json");
    }
    run_well(arguments)
}

/// The link of a node to a peer, as the command tells it in JSON.
fn link(node: &Node, peer: &str) -> Value {
    let status: Value = serde_json::from_str(&command(node, true)).unwrap();
    let peers = status["peers"].as_array().unwrap();
    // Right after the start nothing is known of a peer.
    peers.iter().find(|found| found["name"] == peer).cloned().unwrap_or_default()
}

/// Figures about a peer, by name.
fn figures(node: &Node, peer: &str) -> BTreeMap<String, u64> {
    let label = format!("{{peer=\"{peer}\",");
    let text = get(node, "/metrics");
    let about = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(&label)?;
        let value = rest.rsplit_once(' ')?.1.parse().ok()?;
        Some((name.strip_prefix("cunlian_")?.to_owned(), value))
    });
    about.collect()
}

/// What the figures, the text and the page say at about one moment.
struct Said {
    figures: BTreeMap<String, u64>,
    text: String,
    page: String,
}

impl Said {
    fn of(node: &Node, peer: &str, person: &Person) -> Self {
        let (text, page) = (command(node, false), person.get("/status?lang=en"));
        Self { figures: figures(node, peer), text, page }
    }

    fn assert_says(&self, told: &Value) {
        let Self { figures, text, page } = self;
        let number = |key: &str| told[key].as_u64().unwrap();
        let (changes, bytes) = (number("pending_changes"), number("pending_bytes"));
        assert!(bytes > 100 * changes, "{told:#}");
        assert_eq!(figures["link_pending_changes"], changes);
        assert_eq!(figures["link_pending_bytes"], bytes);
        assert_eq!(figures["link_pending_since_seconds"], number("pending_since_ms") / 1_000);
        assert_eq!(figures["link_in_step_seconds"], number("last_success_ms") / 1_000);
        assert_eq!(figures["link_heard_seconds"], number("as_of_ms") / 1_000);
        assert_eq!((figures["link_up"], figures["link_expected_changes"]), (0, 0));
        assert!(text.contains(&format!("waiting {changes}, {bytes} bytes")), "{text}");
        let line = format!("{changes} still to be reported, the oldest from ");
        assert!(page.contains(&line), "{line} is not in {page}");
        assert!(page.contains(&format!("{changes} ({} KiB)", bytes >> 10)), "{page}");
    }
}

/// Shows that with a cut line the command, its JSON, the page and the figures give the same
/// numbers of what waits, how many bytes and since when, that these are those of the store, and
/// that with the line healed all of them come down to nothing and say that both are in step.
#[test]
fn page_command_and_figures_say_the_same() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]));
    well(fleet.start_all());
    let layout = fleet.layout().clone();
    let (town, village) = (&layout.nodes[1], &layout.nodes[2]);
    wait_for("the link", || link(village, &town.name)["state"] == "live");
    well(fleet.cut(2));
    wait_for("the cut", || link(village, &town.name)["state"] == "down");
    let secretary = well(Client::log_in(village, "secretary"));
    for _ in 0..7 {
        well(secretary.report(VILLAGE, "walk_in", "路灯坏了"));
    }
    let person = Person::log_in(village.http, "secretary", PASSWORD);
    let waits = || link(village, &town.name)["pending_changes"].as_u64().unwrap();
    wait_for("what waits", || waits() >= 7);
    assert!(link(village, &town.name)["activity"].is_null(), "nothing is said to be under way");
    // The numbers are compared at one state: again, if something moved meanwhile.
    wait_for("a quiet moment", || {
        let before = link(village, &town.name);
        let said = Said::of(village, &town.name, &person);
        let quiet = before["pending_bytes"] == link(village, &town.name)["pending_bytes"];
        if quiet {
            said.assert_says(&before);
        }
        quiet
    });

    well(fleet.heal(2));
    wait_for("the report", || waits() == 0 && link(village, &town.name)["activity"] == "agreed");
    let told = link(village, &town.name);
    let changes = 7;
    assert!(told["traffic"]["sent"].as_u64().unwrap() >= changes, "{told:#}");
    assert!(figures(village, &town.name)["link_changes_sent_total"] >= changes);
    wait_for("the page", || person.get("/status?lang=en").contains("in step ("));
    drop(fleet);
}

/// Shows that what a town has no room for says so at the village: each record in the API, whether
/// it was sent or not, the link in the command and on the page; and that nothing says so any more
/// when the administrator of the town has raised the bound.
#[test]
fn what_a_town_has_no_room_for_says_why_it_waits() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[TOWN, VILLAGE]));
    well(fleet.start_all());
    let layout = fleet.layout().clone();
    let (town, village) = (&layout.nodes[0], &layout.nodes[1]);
    let secretary = well(Client::log_in(village, "secretary"));
    let register = || {
        let fields =
            json!({"name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001"});
        let address = format!("{VILLAGE}001");
        let saved = secretary.register("population", &address, random_document(), &fields);
        well(saved).home
    };
    let first = register();
    let reached = |home: &Home| secretary.record(home).unwrap()["reached"].clone();
    wait_for("the first record", || reached(&first) == "town");
    let quota = |bound: &[&str]| {
        let data_dir = town.dir.to_str().unwrap();
        let arguments = ["node", "quota", &village.name, "--data-dir", data_dir];
        run_well([arguments.as_slice(), bound].concat());
    };
    quota(&["--changes", "1"]);
    let homes = [register(), register(), register()];
    wait_for("the reason", || homes.iter().all(|home| reached(home) == "postponed"));
    // Nothing is asked of the town for this one.
    let late = register();
    assert_eq!(reached(&late), "postponed");
    for home in homes.iter().chain([&late]) {
        let why = secretary.record(home).unwrap()["reached_why"].clone();
        assert!(why.as_str().is_some_and(|why| why.contains("1 changes in all")), "{why}");
    }
    assert_eq!(reached(&first), "town");
    let person = Person::log_in(village.http, "secretary", PASSWORD);
    let said = || {
        let told = link(village, &town.name)["postponed"].is_string();
        let text = command(village, false).contains("postponed by the peer");
        [told, text, person.get("/status?lang=en").contains("postponed by the other side")]
    };
    wait_for("command and page", || said() == [true; 3]);

    quota(&["--usual"]);
    // The next comparison finds out; a new session begins with one.
    well(fleet.cut(1));
    wait_for("the cut", || link(town, &village.name)["state"] != "live");
    well(fleet.heal(1));
    wait_for("room", || homes.iter().chain([&late]).all(|home| reached(home) == "town"));
    wait_for("nothing to be said", || said() == [false; 3]);
    assert_eq!(secretary.record(&late).unwrap()["reached_why"], Value::Null);
    drop(fleet);
}

/// What a node keeps for a child, as the command tells it in JSON, by kind: how much, and the bound.
fn kept_for(node: &Node, child: &str) -> BTreeMap<String, (u64, Option<u64>)> {
    let status: Value = serde_json::from_str(&command(node, true)).unwrap();
    let children = status["ledger"]["children"].as_array().unwrap();
    let found = children.iter().find(|found| found["name"] == child).cloned().unwrap_or_default();
    let entries = found["entries"].as_array().cloned().unwrap_or_default();
    let entry = |entry: &Value| {
        let what = entry["what"].as_str().unwrap().to_owned();
        (what, (entry["used"].as_u64().unwrap(), entry["bound"].as_u64()))
    };
    entries.iter().map(entry).collect()
}

/// Shows that the command, the figures and the page of a town say the same of what it keeps for its
/// village, that this is what the village has sent, also after the town was started anew; and that
/// when the administrator leaves little room, page, command and the page of nodes say which bound is
/// nearly reached. What programs read of a status before stands where it stood.
#[test]
fn who_fills_a_node_is_said_everywhere() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[TOWN, VILLAGE]));
    well(fleet.start_all());
    let layout = fleet.layout().clone();
    let (town, village) = (&layout.nodes[0], &layout.nodes[1]);
    wait_for("the link", || link(village, &town.name)["state"] == "live");
    let secretary = well(Client::log_in(village, "secretary"));
    for _ in 0..7 {
        well(secretary.report(VILLAGE, "walk_in", "路灯坏了"));
    }
    let waiting = || link(village, &town.name)["pending_changes"].as_u64();
    wait_for("the reports", || {
        waiting() == Some(0) && kept_for(town, &village.name)["documents"].0 >= 7
    });
    let told = kept_for(town, &village.name);
    assert_eq!(told["changes"].0, told["changes-taken"].0, "nothing went");
    assert_eq!(told["bytes"].0, told["bytes-taken"].0);
    assert!(told["changes"].0 >= 7 && told["bytes"].0 > 700, "{told:?}");
    assert_eq!((told["changes"].1, told["documents"].1), (None, None));
    assert_eq!(told["certificates"].1, Some(512));
    let metrics = get(town, "/metrics");
    for (what, (used, bound)) in &told {
        let labels = format!("child=\"{}\",region=\"{VILLAGE}\",what=\"{what}\"", village.name);
        for (name, value) in [("used", Some(used)), ("bound", bound.as_ref())] {
            let line = format!("cunlian_ledger_{name}{{{labels}}} ");
            let found = metrics.lines().find_map(|found| found.strip_prefix(&line));
            assert_eq!(found.map(str::to_owned), value.map(u64::to_string), "{line}");
        }
    }
    let status: Value = serde_json::from_str(&command(town, true)).unwrap();
    for key in ["name", "tier", "region", "health", "peers", "documents", "changes", "photos"] {
        assert!(!status[key].is_null(), "{key}");
    }

    // What was taken is remembered by the store, and so is what is here.
    fleet.kill(0).unwrap();
    well(fleet.start(0));
    wait_for("the same", || kept_for(town, &village.name)["changes"] == told["changes"]);
    let data_dir = town.dir.to_str().unwrap();
    let bound = (told["changes"].0 + 1).to_string();
    run_well(["node", "quota", &village.name, "--data-dir", data_dir, "--changes", &bound]);
    wait_for("the bound", || {
        let (used, most) = kept_for(town, &village.name)["changes-taken"];
        most.is_some_and(|most| used * 10 >= most * 8)
    });
    let text = command(town, false);
    assert!(text.contains(&format!("changes-taken: {} of {bound}", told["changes"].0)), "{text}");
    let admin = Person::log_in(town.http, "admin", PASSWORD);
    let page = admin.get("/status?lang=en");
    let line = format!("{} of {bound} · ", told["changes"].0);
    assert!(page.contains(&line) && page.contains("nearly full"), "{line}: {page}");
    let nodes = admin.get("/admin/nodes?lang=en");
    let line = format!("Entries and corrections in all: {} of {bound}", told["changes"].0);
    assert!(nodes.contains(&line), "{line}: {nodes}");
    drop(fleet);
}

//! A photo that the level above does not take, with real processes: the command, its JSON, both
//! pages and the figures say the same, and a raised bound is enough.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use cunlian_node::demo::client::Client;
use cunlian_node::demo::fleet::PASSWORD;
use cunlian_node::demo::layout::Node;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::program::{run_well, wait_for};
use cunlian_tests::visitor::Person;
use serde_json::Value;
use tempfile::tempdir;
use ureq::Agent;

const PHOTO: &[u8] = include_bytes!("browser/photo.jpg");

/// The program, about the data of a node.
fn command(node: &Node, arguments: &[&str]) -> String {
    let dir = node.dir.display().to_string();
    let dir = ["--data-dir", dir.as_str()];
    run_well(arguments.iter().copied().chain(dir))
}

fn status(node: &Node) -> Value {
    serde_json::from_str(&command(node, &["status", "--json"])).unwrap()
}

/// What a node says in JSON of the link to a peer.
fn link(node: &Node, peer: &str) -> Value {
    let status = status(node);
    let peers = status["peers"].as_array().unwrap();
    // Right after the start nothing is known of a peer.
    peers.iter().find(|found| found["name"] == peer).cloned().unwrap_or_default()
}

/// And of the photos there.
fn photos(node: &Node, peer: &str) -> Value {
    link(node, peer)["photos"].clone()
}

fn get(node: &Node, path: &str) -> String {
    let url = format!("http://{}{path}", node.http);
    ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap()
}

/// A figure about the peer of this name, or about the node itself.
fn figure(node: &Node, name: &str, peer: Option<&str>) -> Option<u64> {
    let text = get(node, "/metrics");
    let label = peer.map_or(String::new(), |peer| format!("{{peer=\"{peer}\","));
    let start = format!("cunlian_{name}{label}");
    let line = text.lines().find(|line| line.starts_with(&start))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// A villager reports something, with a photo.
fn report(village: &Node) {
    let agent: Agent = Agent::config_builder().max_idle_connections(0).build().into();
    let path = format!("http://{}/p/{VILLAGE}/report", village.http);
    let form = agent.get(&path).call().unwrap().body_mut().read_to_string().unwrap();
    let value = |name: &str| {
        let rest = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let mut fields: BTreeMap<&str, String> =
        ["token", "document"].into_iter().map(|name| (name, value(name))).collect();
    fields.insert("text", "村东头路面塌陷".to_owned());
    let mut body = Vec::new();
    for (name, value) in &fields {
        let head = format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    let head = "content-disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\
                content-type: image/jpeg";
    body.extend_from_slice(format!("--edge\r\n{head}\r\n\r\n").as_bytes());
    body.extend_from_slice(PHOTO);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let kind = "multipart/form-data; boundary=edge";
    let sent = agent.post(&path).header("content-type", kind).send(&body[..]).unwrap();
    assert_eq!(sent.status(), 200);
}

/// Shows that a photo beyond the bound of the town is said to be postponed, with the town's reason,
/// by the command, its JSON, the pages of both nodes and the figures, all with the same numbers; and
/// that nothing is said any more soon after the bound was raised, and the photo is at the town.
#[test]
fn a_postponed_photo_is_said_everywhere() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]));
    let layout = fleet.layout().clone();
    well(fleet.start_all());
    let (town, village) = (&layout.nodes[1], &layout.nodes[2]);
    wait_for("the link", || link(village, &town.name)["state"] == "live");
    command(town, &["node", "quota", &village.name, "--photo-mib", "0"]);
    report(village);

    let not_taken = || photos(village, &town.name)["not_taken"] == 1;
    wait_for("the word of the town", not_taken);
    let told = photos(village, &town.name);
    let bytes = told["not_taken_bytes"].as_u64().unwrap();
    assert!(bytes > 1_000, "{told}");
    wait_for("the figures", || figure(village, "photos_waiting", None) == Some(1));
    assert_eq!((&told["pending"], &told["pending_bytes"]), (&1.into(), &bytes.into()));
    let why = told["not_taken_why"].as_str().unwrap();
    assert!(why.contains("0 MiB of photos and files") && why.contains("node quota"), "{why}");
    for (name, value) in [
        ("link_photos_pending", 1),
        ("link_photos_pending_bytes", bytes),
        ("link_photos_not_taken", 1),
        ("link_photos_not_taken_bytes", bytes),
        ("link_photos_pending_since_seconds", told["pending_since_ms"].as_u64().unwrap() / 1_000),
    ] {
        assert_eq!(figure(village, name, Some(&town.name)), Some(value), "{name}");
    }
    assert_eq!(figure(village, "photos_waiting_bytes", None), Some(bytes));
    let text = command(village, &["status"]);
    let lines = [
        format!("photos waiting 1, {bytes} bytes"),
        format!("photos not taken by the peer: 1, {bytes} bytes: {why}"),
    ];
    assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    let page = Person::log_in(village.http, "secretary", PASSWORD).get("/status?lang=en");
    let size = format!("{} KiB", bytes >> 10);
    let above = format!("1 photos ({size}) postponed by the level above: ");
    assert!(page.contains(&above) && page.contains("MiB of photos and files"), "{page}");

    // The town says of the village what the village says of the town.
    wait_for("the town's own word", || photos(town, &village.name)["not_taken"] == 1);
    let here = photos(town, &village.name);
    assert_eq!((&here["not_taken"], &here["not_taken_why"]), (&1.into(), &why.into()));
    assert_eq!(figure(town, "link_photos_not_taken_bytes", Some(&village.name)), Some(bytes));
    assert_eq!(figure(town, "photos_missing", None), Some(1));
    assert!(command(town, &["status"]).contains("photos not taken here: 1, "));
    let page = Person::log_in(town.http, "dispatcher", PASSWORD).get("/status?lang=en");
    assert!(page.contains(&format!("1 photos ({size}) of the other side postponed here: ")));
    assert!(page.contains(&format!("1 ({size}) have not come here yet")), "{page}");
    let list = command(town, &["node", "list"]);
    assert!(list.contains("photos and files of it that are not taken: 1 "), "{list}");
    let secretary = well(Client::log_in(village, "secretary"));
    let tickets = well(secretary.tickets("reported"));
    assert_eq!(tickets.len(), 1, "the case itself is not concerned");

    command(town, &["node", "quota", &village.name, "--photo-mib", "100"]);
    wait_for("the photo", || status(town)["photos"]["missing"] == 0);
    wait_for("nothing to be said", || {
        let told = photos(village, &town.name);
        told["not_taken"] == 0 && told["not_taken_why"].is_null() && told["pending"] == 0
    });
    assert!(!command(village, &["status"]).contains("not taken"));
    drop(fleet);
}

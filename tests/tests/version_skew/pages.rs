//! Real nodes with data of later versions: they carry it, and no page breaks.

use std::time::Duration;

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::opening::{node_author, open_store};
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::PASSWORD;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::wire::{Bounded, FaultCode, Hello, Message};
use cunlian_tests::federation::{TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::program::{run_well, wait_for};
use cunlian_tests::visitor::Person;
use serde_json::json;
use tempfile::tempdir;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_mins(2);
const NOW_MS: i64 = 1_790_000_000_000;

fn write(category: Category, edits: Vec<Edit>) -> Write {
    let address = format!("{VILLAGE}001").parse().unwrap();
    let home = Home { category, address, document: random_document() };
    Write { home, edits, source: "later".to_owned(), task: String::new() }
}

/// Shows that fields, operations and classes of later versions travel from a village to
/// its town, and that search, records, tickets and pages of both go on as ever.
#[test]
fn no_page_breaks_on_what_is_not_known() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[0].clone(), layout.nodes[1].clone());
    let put = |field: &str, text: &str| Edit::Put { field: field.into(), text: text.into() };
    let append = |body: &str| Edit::Append { body: body.into() };
    let record =
        write(Category::library(0, 0), vec![put("name", "王建国"), put("aura", "{\"v\":9}")]);
    let ticket = write(
        Category::TICKET,
        vec![
            append(r#"{"v":1,"op":"report","channel":"own_report","title":"路灯","text":"不亮"}"#),
            append(r#"{"v":9,"op":"teleport","to":["moon"]}"#),
            append("no JSON at all"),
            put("hue", "blue"),
        ],
    );
    let homes = [record.home, ticket.home];
    // A class that no catalogue has yet; what has no kind nobody may write.
    let others = (0..=5).map(|part| Category::library(0xee, part));
    let others = others.map(|category| write(category, vec![put("x", "1"), append("{}")]));
    let (store, identity) = open_store(&village.dir).unwrap();
    let writes = [record, ticket].into_iter().chain(others).collect();
    store.write(&node_author(&identity), writes, NOW_MS).unwrap();
    drop((store, identity));
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    well(fleet.converge(PATIENCE, |_| {}));
    for (node, login) in [(&town, "dispatcher"), (&village, "secretary")] {
        let client = well(Client::log_in(node, login));
        assert!(client.record(&homes[0]).is_some());
        assert!(client.ticket(&homes[1]).is_some());
        assert_eq!(well(client.search("王建国", "population", 5)).len(), 1);
        for page in ["/", "/status", "/login", "/plates", "/metrics", "/healthz", "/readyz"] {
            let reply = ureq::get(format!("http://{}{page}", node.http)).call();
            assert_eq!(reply.unwrap().status(), 200, "{page} of {}", node.name);
        }
    }
    fleet.stop_all();
    for node in [&town, &village] {
        let (store, _) = open_store(&node.dir).unwrap();
        assert!(store.verify().unwrap().is_sound(), "{}", node.name);
        assert_eq!(store.counts().unwrap().total.changes, 8, "{}", node.name);
    }
}

/// Shows that a node whose certified peer speaks only versions that it does not speak tells its
/// administrator which program has to be updated: in the JSON and the text of `status`, and on the
/// page in both languages.
#[test]
fn the_administrator_is_told_what_to_update() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN]);
    let town = layout.nodes[0].clone();
    let mut fleet = fleet(layout);
    let region = VILLAGE.parse().unwrap();
    let newer = Hostile::insider(&town.dir, 61, Tier::Village, region).hostile;
    well(fleet.start_all());
    let ending = Runtime::new().unwrap().block_on(async {
        let mut line = newer.dial(town.listen).await;
        let hello = Hello { versions: Bounded(vec![9, 8]), ..newer.hello(&line) };
        let hello = newer.sign(hello, line.channel());
        line.say(&Message::Hello(hello)).await;
        let theirs = line.until(|message| match message {
            Message::Speaks(versions) => Some(versions.0),
            _ => None,
        });
        assert_eq!(theirs.await, [1]);
        line.ending().await
    });
    assert_eq!(ending.code, FaultCode::Version);
    assert!(ending.reason.contains("update \"高城镇\""), "{}", ending.reason);
    let skew = || {
        let status = well(fleet.status(0));
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        peers.into_iter().find(|peer| peer["name"] == "insider 61").unwrap_or_default()
    };
    wait_for("the peer in the status", || !skew().is_null());
    let peer = skew();
    assert_eq!(peer["state"], "refused", "{peer}");
    assert_eq!(peer["skew"], json!({"own": [1], "peer": [9, 8], "update": "this"}), "{peer}");
    let said = run_well(["status", "--data-dir", town.dir.to_str().unwrap()]);
    assert!(said.contains("update the program of this node"), "{said}");
    let person = Person::log_in(town.http, "dispatcher", PASSWORD);
    for (language, words) in [("zh-CN", "请更新本机程序"), ("en", "update this node")] {
        let page = person.get(&format!("/status?lang={language}"));
        assert!(page.contains(words), "{words} in {page}");
    }
}

//! What people who have not logged in are shown, sent and given.

use cunlian_node::demo::client::Client;
use cunlian_tests::federation::{COUNTY, TOWN};
use cunlian_tests::program::wait_for;
use cunlian_tests::traces::query;

use super::*;

/// Shows that a link to choose a language, a size of type or a login leads nowhere but to this
/// node, however its end is written.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_away() {
    let village = Village::start();
    let mut visitor = village.visitor(7);
    let elsewhere = [
        "%2F%09%2Fexample.org",
        "%09%2F%2Fexample.org",
        "%2F%0A%2Fexample.org",
        "%2F%0D%0A%2Fexample.org",
        "%2F%2Fexample.org",
        "%2F%5Cexample.org",
        "%5C%5Cexample.org",
        "%5C%2Fexample.org",
        "https%3A%2F%2Fexample.org",
        "https%3Aexample.org",
        "javascript%3Aalert(1)",
        "%2F%20%2Fexample.org",
        "%2F%252Fexample.org",
        "%2F%C2%A0%2Fexample.org",
        "%2F%E2%80%8B%2Fexample.org",
        "%2F%00%2Fexample.org",
        "%2F..%2F%2Fexample.org",
        "%2F.%2F%2Fexample.org",
        "example.org",
        "%2F%EF%BC%8Fexample.org",
    ];
    for next in elsewhere {
        for path in ["/lang?to=en&next=", "/size?to=large&next="] {
            let answer = visitor.get(&format!("{path}{next}")).await;
            assert_eq!(answer.status, 303, "{next}");
            let location = answer.header("location");
            assert!(!location.contains("example.org") && location.starts_with('/'), "{location}");
        }
        let page = visitor.get(&format!("/login?next={next}")).await;
        let kept = page.hidden().get("next").cloned().unwrap_or_default();
        assert!(!kept.contains("example.org"), "{next}: {kept}");
    }
    let here = visitor.get("/lang?to=en&next=%2Frecords%3Fq%3D%E5%BC%A0").await;
    assert!(here.header("location").starts_with("/records?q="), "{}", here.head);
}

/// Shows that who has not logged in learns of a node its name and health: no name of another
/// node, no serial, no error and no count, on no page that shows them to its people.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_name_and_health() {
    let dir = tempdir().unwrap();
    let mut fleet = fleet(lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]));
    well(fleet.start_all());
    let layout = fleet.layout().clone();
    let (town, village) = (&layout.nodes[1], &layout.nodes[2]);
    wait_for("the link", || fleet.parent_link(2)["state"] == "live");
    let client = well(Client::log_in(village, "secretary"));
    well(fleet.cut(2));
    wait_for("the cut", || fleet.parent_link(2)["state"] == "down");
    for _ in 0..3 {
        well(client.report(VILLAGE, "walk_in", "路灯坏了"));
    }
    wait_for("what waits", || fleet.parent_link(2)["pending_changes"].as_u64() >= Some(3));
    let told = fleet.parent_link(2);
    let serial = told["serial"].as_str().unwrap_or_default().to_owned();
    let error = told["error"].as_str().unwrap_or_default().to_owned();
    let pending = told["pending_changes"].to_string();

    let paths =
        ["/", "/login", "/status", "/fragment/status", "/fragment/link", "/api/v1/status", "/t"];
    for (node, other) in [(village, &town.name), (town, &village.name)] {
        let mut stranger = Visitor::at(7, node.http);
        for path in paths {
            let text = stranger.get(path).await.text();
            assert!(!text.contains(other.as_str()), "{path} of {} names {other}", node.name);
            assert!(serial.is_empty() || !text.contains(&serial), "{path}: {text}");
            assert!(error.is_empty() || !text.contains(&error), "{path}: {text}");
            for word in ["documents", "pending", "peers", "条待上报", "link-pending"] {
                assert!(!text.contains(word), "{path} of {} has {word}: {text}", node.name);
            }
        }
        let api = stranger.get("/api/v1/status").await.text();
        let api: serde_json::Value = serde_json::from_str(&api).unwrap();
        let keys: Vec<&String> = api.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["health", "name"]);
    }
    let mut person = Visitor::at(1, village.http);
    assert_eq!(person.log_in("secretary", PASSWORD).await.status, 303);
    for path in ["/status", "/fragment/status", "/fragment/link", "/api/v1/status"] {
        let text = person.get(path).await.text();
        assert!(text.contains(&town.name) && text.contains(&pending), "{path}: {text}");
    }
}

/// Shows that a receipt is not chosen by who sends a form: the same form with the same words is
/// another receipt at another node, the same at the same node, and the document does not have
/// the number that the form gave.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_chooses_a_receipt() {
    let villages = [Village::start(), Village::start()];
    let path = format!("/p/{VILLAGE}/report");
    let mut receipts = Vec::new();
    let chosen = "00112233445566778899aabbccddeeff";
    for village in &villages {
        let mut visitor = village.visitor(7);
        let mut hidden = visitor.form(&path).await;
        hidden.insert("document".to_owned(), chosen.to_owned());
        for _ in 0..2 {
            let sent = visitor.send_report(VILLAGE, &hidden, "井盖不见了", None).await;
            let location = sent.header("location");
            receipts.push(location.split(['?']).next().unwrap().to_owned());
        }
        let dir = village.fleet.layout().nodes[0].dir.clone();
        let sql = "SELECT lower(hex(document)) FROM ticket";
        let ids: Vec<String> = query(&dir, sql, |row| row.get(0));
        assert!(ids.len() == 1 && ids[0] != chosen, "{ids:?}");
    }
    assert!(receipts[0].starts_with("/t/") && receipts[0].len() > 8, "{receipts:?}");
    assert_eq!(
        (&receipts[0], &receipts[2]),
        (&receipts[1], &receipts[3]),
        "sent twice is sent once"
    );
    assert_ne!(receipts[0], receipts[2]);
}

//! What the pages refuse, and what they keep while refusing.

use std::collections::BTreeMap;

use cunlian_crdt::store::StoreOptions;
use cunlian_host::status::Health;

use super::fixture::Node;
use super::plain::{Plain, fill};

/// Shows that a phone that sends report after report is stopped with words and keeps its text,
/// while other pages go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_reports_is_stopped_politely() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let action = "/p/370322102310/report";
        let mut statuses = BTreeMap::new();
        let mut last = None;
        for number in 0..15 {
            let text = format!("第 {number} 次反映");
            let fields = fill(&plain.get(action).text, action, &[("text", &text)]);
            let answer = plain.upload(action, &fields, None);
            *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
            last = Some(answer);
        }
        assert_eq!(statuses, BTreeMap::from([(200, 10), (429, 5)]));
        let last = last.unwrap();
        assert!(last.text.contains("提交得太多了") && last.text.contains("第 14 次反映"));
        assert_eq!(plain.get("/p/370322102310").status, 200);
    });
}

/// Shows that a form without the token of its visit changes nothing, with or without a session.
#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_sites_are_refused() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let own = fill(&plain.get("/today").text, "/logout", &[]);
        let stranger = fill(&Plain::new(&node.url).get("/login").text, "/login", &[]);
        let foreign = BTreeMap::from([("token".to_owned(), stranger["token"].clone())]);
        assert_eq!(plain.send("/logout", &foreign).status, 403);
        assert_eq!(plain.send("/logout", &BTreeMap::new()).status, 403);
        assert_eq!(plain.get("/today").status, 200, "still logged in");
        assert_eq!(plain.send("/logout", &own).path, "/login");
    });
}

/// Shows that on a full disk every page says so, a failed save keeps what was typed, and saving
/// is not claimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_keeps_what_was_typed() {
    let options = StoreOptions { size_limit_bytes: Some(600 << 10), ..StoreOptions::default() };
    let node = Node::village_with(options).await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/facility";
        let long = "很长的说明".repeat(90);
        let mut failed = None;
        for number in 0..2_000 {
            let name = format!("路灯 {number}");
            let fields = [("name", name.as_str()), ("kind", "路灯"), ("place", &long)];
            let answer = plain.submit(action, action, &fields);
            if answer.status != 200 {
                failed = Some((answer, name));
                break;
            }
        }
        let (answer, name) = failed.expect("the store fills up");
        assert_eq!(answer.status, 507, "{}", answer.text);
        assert!(answer.text.contains("磁盘已满，没有保存"));
        assert!(answer.text.contains(&format!("value=\"{name}\"")) && answer.text.contains(&long));
        node.status.send_modify(|status| status.health = Health::DiskFull);
        for page in ["/today", "/records", "/p/370322102310", "/status"] {
            assert!(plain.get(page).text.contains("已保存的数据没有丢失"), "{page}");
        }
        assert_eq!(plain.get("/readyz").status, 503);
        assert_eq!(plain.get("/healthz").status, 200);
    });
}

/// Shows that a list that refreshes itself does not get the login page pasted into it when the
/// session is over: the page is told to load anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_left_open_leads_to_the_login() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::from(config);
        for path in ["/fragment/today", "/fragment/queue", "/fragment/records"] {
            let answer = agent.get(format!("{}{path}", node.url)).call().unwrap();
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()["hx-refresh"], "true");
        }
        let link = agent.get(format!("{}/fragment/link", node.url)).call().unwrap();
        assert_eq!(link.status(), 200, "the state of the link is for everybody");
    });
}

/// Shows the headers that keep scripts and frames of others out.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_a_strict_policy() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        for path in ["/login", "/p/370322102310", "/assets/app.js", "/api/v1/status"] {
            let response = ureq::get(format!("{}{path}", node.url)).call().unwrap();
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        }
        let login = Plain::new(&node.url).get("/login").text;
        assert!(
            !login.contains("<style") && !login.contains(" style=") && !login.contains("onclick")
        );
    });
}

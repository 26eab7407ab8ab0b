//! Every page on every tier, looked at by a script for a person of sixty.

use super::chromium::Chromium;
use super::fixture::Node;

const MEASURE: &str = include_str!("measure.js");

/// What is wrong with a page, a line each.
async fn faults(browser: &Chromium, url: &str) -> Vec<String> {
    browser.open(url).await;
    let found = browser.script(MEASURE).await;
    let found = found.as_array().unwrap().iter().map(|line| format!("{url}: {line}"));
    found.chain(browser.console().await.into_iter().map(|line| format!("{url}: {line}"))).collect()
}

/// The first link in `list`, as the browser resolves it.
async fn first_link(browser: &Chromium, page: &str, list: &str) -> String {
    browser.open(page).await;
    browser.find(list).await.prop("href").await.unwrap().unwrap()
}

/// Shows that type, targets, contrast and labels hold on every page of the three tiers, in
/// both languages where texts are longest, and that no page logs an error: the content security
/// policy would show there.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_read_and_touched() {
    let browser = Chromium::start().await;
    let (village, town, county) = (Node::village().await, Node::town().await, Node::county().await);
    for node in [&village, &town, &county] {
        node.fill(120, 14);
    }
    let mut found = faults(&browser, &format!("{}/login", village.url)).await;
    for (node, name, first) in
        [(&village, "wang", "/today"), (&town, "li", "/queue"), (&county, "zhao", "/overview")]
    {
        browser.log_in(&node.url, name).await;
        assert_eq!(browser.path().await, first);
        let record = first_link(&browser, &format!("{}/records", node.url), "#record-list a").await;
        let ticket =
            first_link(&browser, &format!("{}/queue", node.url), "#queue-list a.item").await;
        let mut pages = vec![record.clone(), ticket];
        for path in [
            "/today",
            "/queue?state=all",
            "/villages",
            "/overview",
            "/records",
            "/records?q=nothing-like-this",
            "/conflicts",
            "/plates",
            "/status",
            "/account",
        ] {
            pages.push(format!("{}{path}", node.url));
        }
        if name != "zhao" {
            pages.push(format!("{record}/edit"));
            for path in ["/records/new", "/records/new/population", "/tickets/new"] {
                pages.push(format!("{}{path}", node.url));
            }
        }
        for page in pages {
            found.extend(faults(&browser, &page).await);
        }
    }
    browser.open(&format!("{}/lang?to=en&next=/overview", county.url)).await;
    for path in ["/overview/370322102", "/queue", "/status"] {
        found.extend(faults(&browser, &format!("{}{path}", county.url)).await);
    }
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

/// Shows that nothing is wider than a narrow phone: neither the pages of a grid worker nor those of
/// a villager, where every target is 60 pixels.
#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_a_phone() {
    let browser = Chromium::start().await;
    let node = Node::village().await;
    node.fill(10, 14);
    let receipt = node
        .store
        .read(|connection| {
            let sql = "SELECT receipt FROM ticket WHERE state = 'answered'";
            connection.query_row(sql, [], |row| row.get::<_, String>(0))
        })
        .unwrap();
    browser.log_in(&node.url, "wang").await;
    browser.client.set_window_size(400, 860).await.unwrap();
    let paths = [
        "/p/370322102310".to_owned(),
        "/p/37032210231000100012/report".to_owned(),
        "/t".to_owned(),
        format!("/t/{receipt}"),
        "/p/370322102299".to_owned(),
    ];
    let mut found = Vec::new();
    assert_eq!(browser.path().await, "/today");
    for path in
        ["/today", "/records?q=", "/records/new/population", "/status", "/plates", "/account"]
    {
        found.extend(faults(&browser, &format!("{}{path}", node.url)).await);
    }
    browser.client.delete_all_cookies().await.unwrap();
    for path in paths {
        found.extend(faults(&browser, &format!("{}{path}", node.url)).await);
    }
    browser.wait_for_text("旧苑村已并入本村").await;
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

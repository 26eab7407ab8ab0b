//! The design language, held to on every page: nothing is wider than its window at the four sizes
//! that offices and phones have, and axe-core finds no serious fault, in both languages.

use serde_json::Value;

use super::chromium::Chromium;
use super::fixture::Node;
use super::{admin, conflicts};

/// axe-core, which looks for what keeps people out; see `tests/vendor`.
const AXE: &str = include_str!("../../vendor/axe-core/axe.min.js");

/// The windows of a phone, an old screen, a village terminal and an office.
const SIZES: [(u32, u32); 4] = [(390, 844), (1024, 768), (1280, 800), (1440, 900)];

/// Whether the page is wider than the window.
const WIDTH: &str = "const root = document.documentElement; \
    return [root.scrollWidth, root.clientWidth];";

/// What axe-core calls serious or critical, a line each.
const RUN: &str = "return axe.run(document, { resultTypes: ['violations'] }).then((found) => \
    found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)) \
    .map((one) => one.id + ': ' + one.nodes.map((node) => node.html.slice(0, 120)).join(' | ')));";

/// What is wrong with the page that is open, at each size.
async fn faults(browser: &Chromium, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    browser.script(&format!("{AXE}; return typeof axe;")).await;
    for (width, height) in SIZES {
        browser.set_screen(width, height).await;
        let measured = browser.script(WIDTH).await;
        if measured[0].as_u64() > measured[1].as_u64() {
            found.push(format!("{page} at {width}: {} wide", measured[0]));
        }
        // The layout for phones is one, that for desks the other.
        if width == 390 || width == 1280 {
            let faults = browser.script(RUN).await;
            let faults = faults.as_array().unwrap().iter();
            found.extend(faults.map(|fault| format!("{page} at {width}: {fault}")));
        }
    }
    found
}

/// The same for several pages of a node in both languages.
async fn faults_of(browser: &Chromium, node: &Node, pages: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for page in pages {
        for language in ["zh-CN", "en"] {
            let mark = if page.contains('?') { '&' } else { '?' };
            browser.open(&format!("{}{page}{mark}lang={language}", node.url)).await;
            let told: Value = browser.script("return document.documentElement.lang").await;
            assert_eq!(told, language, "{page}");
            found.extend(faults(browser, &format!("{page} {language}")).await);
        }
    }
    found
}

/// The path of the first link in a list.
async fn first(browser: &Chromium, url: &str, page: &str, list: &str) -> String {
    browser.open(&format!("{url}{page}")).await;
    browser.find(list).await;
    let path = browser.script(&format!("return document.querySelector('{list}').pathname")).await;
    path.as_str().unwrap().to_owned()
}

fn paths(fixed: &[&str]) -> Vec<String> {
    fixed.iter().map(|path| (*path).to_owned()).collect()
}

/// Shows that no page of a village, for its staff and its villagers, is wider than its window or
/// has a serious fault.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_village_hold_to_the_design() {
    let (village, town) = (Node::village().await, Node::town().await);
    village.fill(20, 14);
    conflicts::disagree(&village, &town);
    let browser = Chromium::start().await;
    let sql = "SELECT receipt FROM ticket WHERE state = 'answered'";
    let receipt = village.store.read(|c| c.query_row(sql, [], |row| row.get::<_, String>(0)));
    let mut villager = paths(&[
        "/login",
        "/p/370322102310",
        "/p/370322102310/report",
        "/p/370322102999",
        "/t",
        "/t?receipt=wrong",
        "/style",
    ]);
    villager.push(format!("/t/{}", receipt.unwrap()));
    let mut found = faults_of(&browser, &village, &villager).await;
    browser.log_in(&village.url, "wang").await;
    let record = first(&browser, &village.url, "/records", "#record-list a").await;
    let mut pages = paths(&[
        "/today",
        "/records?q=",
        "/records?q=nothing-like-this",
        "/records/new",
        "/records/new/population",
        "/tickets/new",
        "/conflicts",
        "/status",
        "/account",
    ]);
    pages.push(first(&browser, &village.url, "/today", "#today-list a").await);
    pages.push(format!("{record}/edit"));
    pages.push(record);
    found.extend(faults_of(&browser, &village, &pages).await);
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

/// Shows the same of the pages of a town and a county, those of administrators among them.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_offices_hold_to_the_design() {
    let (town, county) = (admin::town().await, Node::county().await);
    for node in [&town, &county] {
        node.fill(60, 14);
    }
    let browser = Chromium::start().await;
    browser.log_in(&town.url, "li").await;
    let ticket = first(&browser, &town.url, "/queue?state=all", "#queue-list a.item").await;
    let mut pages = paths(&["/queue?state=all", "/queue?channel=enterprise", "/villages"]);
    pages.extend([ticket, "/plates".to_owned(), "/no-such-page".to_owned()]);
    let mut found = faults_of(&browser, &town, &pages).await;
    browser.client.delete_all_cookies().await.unwrap();
    browser.log_in(&town.url, "chen").await;
    found.extend(faults_of(&browser, &town, &paths(&admin::PAGES)).await);
    browser.log_in(&county.url, "zhao").await;
    let pages = ["/overview", "/overview/370322102", "/overview?wall=1", "/queue", "/villages"];
    found.extend(faults_of(&browser, &county, &paths(&pages)).await);
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

/// Shows that larger type is larger on every page until it is put back, and that pages still fit
/// the smallest phone.
#[tokio::test(flavor = "multi_thread")]
async fn larger_type_stays_until_it_is_put_back() {
    let village = Node::village().await;
    village.fill(10, 14);
    let browser = Chromium::start().await;
    browser.log_in(&village.url, "wang").await;
    let size = "return parseFloat(getComputedStyle(document.querySelector('main')).fontSize)";
    let before = browser.script(size).await.as_f64().unwrap();
    browser.click("footer a[href^='/size?to=large']").await;
    let mut found = Vec::new();
    for page in ["/today", "/records/new/population", "/status", "/p/370322102310"] {
        browser.open(&format!("{}{page}", village.url)).await;
        assert!(browser.script(size).await.as_f64().unwrap() >= before * 1.3, "{page}");
        found.extend(faults(&browser, page).await);
    }
    browser.click("footer a[href^='/size?to=normal']").await;
    browser.open(&format!("{}/today", village.url)).await;
    assert_eq!(browser.script(size).await.as_f64(), Some(before));
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

/// Shows that a page that breaks the rules is found: one that is too wide, and a picture that says
/// nothing to who cannot see it.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_design_is_found() {
    let village = Node::village().await;
    let browser = Chromium::start().await;
    browser.open(&format!("{}/login", village.url)).await;
    assert_eq!(faults(&browser, "/login").await, Vec::<String>::new());
    let spoil = "const wide = document.createElement('img'); wide.src = '/assets/icon.svg'; \
        wide.style.cssText = 'min-width: 1100px; max-width: none'; \
        document.querySelector('main').append(wide);";
    browser.script(spoil).await;
    let found = faults(&browser, "/login").await;
    let has = |what: &str| found.iter().any(|fault| fault.contains(what));
    assert!(has("at 390: ") && has("at 1024: ") && has("image-alt"), "{found:?}");
    assert!(!has("at 1440: "), "{found:?}");
    browser.end().await;
}

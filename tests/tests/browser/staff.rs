//! Staff at work: register, search, handle, dispatch.

use super::chromium::Chromium;
use super::fixture::Node;
use super::plain::{Plain, between};

/// Shows the terminal's main job in a browser: register a person, correct a mistyped ID number
/// without losing the rest, find them by pinyin as it is typed, and see that nothing has left
/// the machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_registered_and_found_by_pinyin() {
    let node = Node::village().await;
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "wang").await;
    browser.click(".nav a[href='/records/new']").await;
    browser.click("a[href='/records/new/population']").await;
    browser.type_in("#field-name", "欧阳春兰").await;
    browser.type_in("#field-id_number", "11010519491231002Y").await;
    browser.click("main form button").await;
    browser.wait_for_text("处需要改正").await;
    let kept = browser.find("#field-name").await.prop("value").await.unwrap();
    assert_eq!(kept.as_deref(), Some("欧阳春兰"));
    let field = browser.find("#field-id_number").await;
    assert_eq!(field.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    field.clear().await.unwrap();
    field.send_keys("11010519491231002X").await.unwrap();
    browser.click("main form button").await;
    browser.wait_for_text("已保存在本机").await;
    assert_eq!(browser.text(".page-head .badge").await, "仅本机");
    let shown = browser.text("main").await;
    assert!(shown.contains("1949-12-31") && shown.contains("王书记"), "{shown}");

    browser.open(&format!("{}/records", node.url)).await;
    browser.type_in("#q", "ouyangch").await;
    browser.wait_for_text("共 1 条").await;
    let row = browser.text("#record-list .item").await;
    assert!(row.contains("欧阳春兰") && row.contains("仅本机"), "{row}");
    assert_eq!(browser.console().await.len(), 1, "only the form that was refused with 422");
    browser.end().await;
}

/// Shows that a dispatcher accepts, classifies and dispatches, and that the trace names the
/// person who did it.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_accepted_and_dispatched() {
    let node = Node::town().await;
    node.fill(10, 0);
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "li").await;
    assert!(browser.text("#queue-list").await.contains("类似诉求 3 件"));
    browser.open(&format!("{}/queue?state=reported", node.url)).await;
    browser.click("#queue-list a.item").await;
    browser.choose("#accept-kind", "policy").await;
    browser.click("details[open] button").await;
    browser.wait_for_text("待指派").await;
    let script = "return [...document.querySelectorAll('#assign-to option')].map(o => o.value)";
    let options = browser.script(script).await;
    let secretary = options
        .as_array()
        .unwrap()
        .iter()
        .find_map(|option| option.as_str().filter(|option| option.contains("村支书")));
    browser.choose("#assign-to", secretary.unwrap()).await;
    browser.click("details[open] button").await;
    browser.wait_for_text("待处置").await;
    let trace = browser.text(".trace").await;
    assert!(trace.contains("指派") && trace.contains("李强"), "{trace}");
    browser.end().await;
}

/// Shows that the same work is possible without scripts: log in, handle a ticket and give the
/// result by plain forms, and log out.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_handled_without_scripts() {
    let node = Node::village().await;
    node.fill(10, 0);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        assert!(plain.get("/today").path.starts_with("/login?next="), "login comes first");
        plain.log_in("wang");
        let today = plain.get("/").text;
        let href = format!("/tickets/370{}", between(&today, "href=\"/tickets/370", "\""));
        let progress = [("text", "已去家里看过")];
        let answer = plain.submit(&href, &format!("{href}/handle"), &progress);
        assert!(answer.text.contains("已去家里看过"), "{}", answer.text);
        let nothing = plain.submit(&href, &format!("{href}/feedback"), &[("text", " ")]);
        assert_eq!(nothing.status, 422);
        let result = [("text", "原址翻建，带户口本到镇规划所办理")];
        let answer = plain.submit(&href, &format!("{href}/feedback"), &result);
        assert!(answer.text.contains("已反馈") && answer.text.contains("王书记"));
        plain.submit("/today", "/logout", &[]);
        assert!(plain.get(&href).path.starts_with("/login"));
    });
}

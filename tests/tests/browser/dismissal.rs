//! When somebody goes: revoking after a look, removing, reviewing what was left, erasing.

use std::collections::BTreeSet;

use cunlian_governance::ticket::Action;
use cunlian_host::clock::now_ms;

use super::admin::{add, noted, person, revoke_all, ticket, town, went_on};
use super::chromium::Chromium;
use super::fixture::PASSWORD;
use super::plain::{Plain, fill};

/// Shows that a dismissed person is found by name, that the page first says what it would do and
/// does nothing, and that once confirmed the revocation is listed and the person is out.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_revoked_after_a_look() {
    let node = town().await;
    add(&node, "liqiu", "李秋", "dispatcher");
    let home = ticket(&node, "路灯", 8);
    let step = Action::Note { text: "已联系电工".to_owned() };
    node.store.write(&node.operator, vec![step.write(home, "terminal")], now_ms()).unwrap();
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "chen").await;
    browser.open(&format!("{}/admin/nodes", node.url)).await;
    browser.type_in("#who", "李").await;
    browser.type_in("#reason", "已离岗").await;
    browser.click("form[action='/admin/revoke'] button").await;
    browser.wait_for_text("可能是下面的一个").await;
    let choices = browser.text("main .items").await;
    assert!(choices.contains("李秋") && choices.contains("人员 · 高青县 高城镇"), "{choices}");
    let link = format!("main .items a[href*='{}']", node.operator.serial);
    browser.click(&link).await;
    browser.wait_for_text("即：李强").await;
    browser.type_in("#reason", "已离岗").await;
    browser.click("form[action='/admin/revoke'] button").await;
    browser.wait_for_text("确认吊销 李强").await;
    let draft = browser.text("main").await;
    assert!(draft.contains("第 1 号及以前的改动保留") && draft.contains("已离岗"), "{draft}");
    assert_eq!(node.store.authority().revocations().count(), 0, "nothing was done so far");

    browser.click("button.danger").await;
    browser.wait_for_text("已吊销 李强").await;
    let row = browser.text("main table:last-of-type").await;
    assert!(row.contains("李强") && row.contains("已离岗"), "{row}");
    assert!(row.contains("高城镇 370322102") && row.contains("由 高城镇 吊销"), "{row}");
    assert_eq!(noted(&node), ["revoke"]);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let login = plain.submit("/login", "/login", &[("name", "li"), ("password", PASSWORD)]);
        assert_eq!(login.status, 403, "{}", login.text);
        plain.log_in("chen");
        let people = plain.get("/admin/people").text;
        assert!(people.contains("证书已被高城镇吊销（已离岗）"), "{people}");
        let own =
            plain.submit("/admin/nodes", "/admin/revoke", &[("who", "高城镇"), ("reason", "x")]);
        assert!(own.text.contains("不能吊销本机自己的证书"), "{}", own.text);
    });
}

/// Shows that a person who was revoked is let back in or removed on purpose only, and that nobody
/// removes themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_person_is_removed() {
    let node = town().await;
    tokio::task::block_in_place(|| {
        let admin = Plain::new(&node.url);
        admin.log_in("chen");
        let remove = "action=\"/admin/people/li/remove\"";
        let page = admin.get("/admin/people").text;
        assert!(page.contains("确定重置") && !page.contains(remove), "{page}");
        revoke_all(&node);
        let page = admin.get("/admin/people").text;
        assert!(page.contains("证书已被高城镇吊销（冒名操作）"), "{page}");
        assert!(page.contains("确定恢复") && page.contains(remove), "{page}");
        let removed = admin.submit("/admin/people", "/admin/people/li/remove", &[]);
        assert!(!removed.text.contains("李强"), "{}", removed.text);
        let token = fill(&admin.get("/queue").text, "/logout", &[]);
        let own = admin.send("/admin/people/chen/remove", &token);
        assert!(own.text.contains("不能移除自己的账号") && own.text.contains("陈管理"));
    });
    assert_eq!(noted(&node), ["remove_operator"]);
}

/// Shows that what a revoked person left is listed by names that people know, with a link, that
/// who may only read it is told who decides, and that it is kept or taken back with one click.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_is_kept_or_taken_back() {
    let node = town().await;
    add(&node, "ma", "马调度", "dispatcher");
    let (case, base) = went_on(&node);
    revoke_all(&node);
    let name = || node.store.view(&base).unwrap().unwrap().fields["name"].current.text.clone();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("chen");
        let page = plain.get("/admin/review").text;
        assert!(page.contains("张冠李戴") && page.contains("您能看不能改"), "{page}");
        assert!(!page.contains("form method=\"post\" action=\"/admin/review"), "{page}");
    });
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "ma").await;
    browser.open(&format!("{}/conflicts", node.url)).await;
    browser.click("main a[href='/admin/review']").await;
    let page = browser.text("main").await;
    for words in [
        "人口·基本信息 · 高青县 高城镇 苑兴村 370322102310",
        "把“姓名”改为“张冠李戴”",
        "村口路灯不亮",
        "工单 · 高青县 高城镇 苑兴村",
        "备注：村民说不用修了",
        "李强 于",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let links =
        "return [...document.querySelectorAll('main h2 a')].map(a => a.getAttribute('href'))";
    let links = browser.script(links).await;
    let ticket = format!("/tickets/{}/{}", case.address, case.document);
    let record = format!("/records/3000/{}/{}", base.address, base.document);
    let links: BTreeSet<&str> =
        links.as_array().unwrap().iter().map(|link| link.as_str().unwrap()).collect();
    assert_eq!(links, BTreeSet::from([ticket.as_str(), record.as_str()]));

    let section = "section:has(a[href^='/records/'])";
    browser.click(&format!("{section} button[value='no']")).await;
    browser.wait_for_text("已撤回，原来的内容已恢复").await;
    assert_eq!(name(), "苑大明");
    browser.click("section button[value='yes']").await;
    browser.wait_for_text("没有需要复核的改动").await;
    assert!(node.store.to_review(None, 9).unwrap().is_empty());
    let view = node.store.view(&case).unwrap().unwrap();
    assert!(view.effective().any(|operation| operation.body.contains("不用修了")), "it was kept");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
}

/// Shows that an administrator erases a record only with a reason and a second thought, and that
/// its page then says who erased it and why.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_erased_with_a_reason() {
    let node = town().await;
    let place = person(&node, "苑大明");
    let href = format!("/records/3000/{}/{}", place.address, place.record);
    tokio::task::block_in_place(|| {
        let (plain, li) = (Plain::new(&node.url), Plain::new(&node.url));
        li.log_in("li");
        assert!(!li.get(&href).text.contains(&format!("{href}/erase")));
        assert_eq!(li.get(&format!("{href}/erase")).status, 403);
        plain.log_in("chen");
        let page = plain.get(&href).text;
        assert!(page.contains(&format!("{href}/erase")), "{page}");
        let form = format!("{href}/erase");
        for (fields, words) in [
            (vec![("reason", ""), ("sure", "yes")], "请写明删除原因"),
            (vec![("reason", "本人申请删除"), ("sure", "no")], "请勾选确认"),
        ] {
            let answer = plain.submit(&form, &form, &fields);
            assert!(answer.text.contains(words), "{}", answer.text);
        }
        assert!(plain.get(&href).text.contains("苑大明"), "nothing is gone so far");
        let fields = [("reason", "本人申请删除"), ("sure", "yes")];
        let erased = plain.submit(&form, &form, &fields);
        assert_eq!(erased.path, href);
        let words = ["这份档案已删除", "已由 陈管理 于", "本人申请删除"];
        assert!(words.iter().all(|words| erased.text.contains(words)), "{}", erased.text);
        assert!(!erased.text.contains("苑大明") && !erased.text.contains("13800138000"));
    });
}

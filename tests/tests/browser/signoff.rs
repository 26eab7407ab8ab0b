//! A leader signs off a result, and what voids it is on the page.

use std::collections::BTreeSet;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_governance::ticket::{self, Action, Assignee, Channel, Kind, NewTicket};
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use super::chromium::Chromium;
use super::fixture::Node;
use super::plain::{Plain, between};

/// A ticket of 苑兴村 that the node has accepted, assigned and answered.
fn answered(node: &Node) -> Home {
    let village = AddressCode::parse("370322102310").unwrap();
    let new = NewTicket {
        village,
        channel: Channel::WalkIn,
        title: String::new(),
        text: "村口排水沟堵了".to_owned(),
        kind: None,
        photos: Vec::new(),
        name: String::new(),
        phone: String::new(),
        source: "terminal".to_owned(),
    };
    let (_, writes) = ticket::report(&new, DocumentId([8; 16]), now_ms()).unwrap();
    let home = writes[0].home;
    node.write(writes, now_ms());
    let to = Assignee { name: "苑兴村村委会".to_owned(), address: village };
    for action in [
        Action::Accept { kind: Kind::Other },
        Action::Assign { to },
        Action::Feedback { text: "已清淤".to_owned(), photos: Vec::new() },
    ] {
        act(node, &node.author, &home, &action);
    }
    home
}

fn act(node: &Node, author: &Author, home: &Home, action: &Action) {
    let write = action.write(*home, "terminal");
    node.store.write(author, vec![write], now_ms()).unwrap();
}

/// Shows the leader's page: sign with an opinion, see it; after what was signed has changed, see
/// that it is void and since which change, and sign again.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_signed_voided_and_signed_again() {
    let node = Node::town_with_leader().await;
    let home = answered(&node);
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "sun").await;
    let page = format!("{}/tickets/{}/{}", node.url, home.address, home.document);
    browser.open(&page).await;
    browser.type_in("#sign_off-text", "同意办结").await;
    browser.click("form[action$='/sign_off'] button").await;
    browser.wait_for_text("已签批").await;
    let shown = browser.text("main").await;
    assert!(shown.contains("孙镇长") && shown.contains("同意办结"), "{shown}");
    assert!(!shown.contains("签批办理结果"), "what is signed is not offered again: {shown}");

    let late = Edit::Put { field: "result".to_owned(), text: "未清淤".to_owned() };
    let write = Write { home, edits: vec![late], source: "api".to_owned(), task: String::new() };
    node.write(vec![write], now_ms());
    browser.open(&page).await;
    assert!(browser.text(".page-head").await.contains("签批后有改动，已失效"));
    let shown = browser.text("main").await;
    assert!(shown.contains("已失效：高城镇 于"), "{shown}");
    let trace = browser.text(".trace").await;
    assert!(trace.contains("已失效"), "the trace says it too: {trace}");
    browser.click("form[action$='/sign_off'] button").await;
    browser.wait_for_text("已签批。").await;
    assert!(!browser.text(".page-head").await.contains("已失效"));
    browser.end().await;
}

/// Shows that a page that was open while the case changed signs nothing, that a program has to say
/// what it read, and that who lacks the right is neither offered it nor obeyed.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_what_they_have_not_read() {
    let node = Node::town_with_leader().await;
    let home = answered(&node);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("sun");
        let href = format!("/tickets/{}/{}", home.address, home.document);
        let old = plain.get(&href).text;
        let digest = between(&old, "name=\"digest\" value=\"", "\"").to_owned();
        let late = Edit::Put { field: "result".to_owned(), text: "未清淤".to_owned() };
        let write =
            Write { home, edits: vec![late], source: "api".to_owned(), task: String::new() };
        node.write(vec![write], now_ms());
        let action = format!("{href}/sign_off");
        let fields = super::plain::fill(&old, &action, &[("text", "同意")]);
        let answer = plain.send(&action, &fields);
        assert_eq!(answer.status, 409);
        assert!(answer.text.contains("没有签批"), "{}", answer.text);
        let now = plain.get(&href).text;
        assert_ne!(between(&now, "name=\"digest\" value=\"", "\""), digest);
    });
    let signers = || {
        let view = node.store.view(&home).unwrap().unwrap();
        let ticket = ticket::fold(&view, &node.store.authority());
        ticket.sign_offs.iter().map(|s| s.handler.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(signers(), BTreeSet::new());

    let town = Node::town().await;
    let home = answered(&town);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&town.url);
        plain.log_in("li");
        let href = format!("/tickets/{}/{}", home.address, home.document);
        let page = plain.get(&href).text;
        assert!(page.contains("/note\"") && !page.contains("/sign_off\""), "{page}");
    });
    let view = town.store.view(&home).unwrap().unwrap();
    let seen = ticket::fold(&view, &town.store.authority()).signing("同意");
    act(&town, &town.operator, &home, &seen);
    let view = town.store.view(&home).unwrap().unwrap();
    let ticket = ticket::fold(&view, &town.store.authority());
    assert_eq!(ticket.sign_offs, []);
    assert_eq!(ticket.trace.last().unwrap().outcome.as_str(), "no_right");
}

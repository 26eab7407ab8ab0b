//! One field, two writers, no link between them.

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use fantoccini::Locator;

use super::chromium::Chromium;
use super::fixture::Node;

fn put(store: &Store, author: &Author, home: Home, field: &str, text: &str) {
    let edit = Edit::Put { field: field.to_owned(), text: text.to_owned() };
    let write =
        Write { home, edits: vec![edit], source: "terminal".to_owned(), task: String::new() };
    store.write(author, vec![write], now_ms()).unwrap();
}

/// Brings the changes of a document and the certificates of its author from one node to another.
fn carry(from: &Node, to: &Node, home: &Home) {
    let authority = from.store.authority();
    let chain = authority.chain(&from.operator.serial);
    let chain: Vec<_> = chain.iter().map(|certificate| certificate.bytes().to_vec()).collect();
    assert_eq!(to.store.add_certificates(&chain).unwrap(), Vec::<String>::new());
    let changes = from.store.changes_of(home).unwrap();
    let changes = changes
        .iter()
        .map(|change| Carried { bytes: change.bytes().to_vec(), reached: 0 })
        .collect();
    let request = StoreRequest::Ingest {
        from: from.author.serial,
        scope: Scope::everything(),
        changes,
        sender_tiers: 0,
        at_ms: 0,
    };
    let StoreReply::Ingested { fates, .. } = to.store.serve(request).unwrap() else {
        panic!("an ingest is answered by fates")
    };
    assert!(fates.iter().all(|(_, fate)| matches!(fate, Fate::Accepted | Fate::Known)));
}

/// Has a village and its town change the same field while apart, and then meet.
pub fn disagree(village: &Node, town: &Node) -> Home {
    let home = Home {
        category: Category::library(5, 0),
        address: AddressCode::parse("370322102310").unwrap(),
        document: DocumentId([9; 16]),
    };
    put(&village.store, &village.operator, home, "name", "村口路灯");
    put(&village.store, &village.operator, home, "count", "10");
    carry(village, town, &home);
    put(&village.store, &village.operator, home, "count", "12");
    put(&town.store, &town.operator, home, "count", "15");
    carry(town, village, &home);
    home
}

/// Shows that both values are shown with who wrote them and what stood there before, and that choosing one is recorded in
/// the name of who chose and ends the conflict.
#[tokio::test(flavor = "multi_thread")]
async fn both_values_are_shown_and_one_is_chosen() {
    let (village, town) = (Node::village().await, Node::town().await);
    let home = disagree(&village, &town);

    let browser = Chromium::start().await;
    browser.log_in(&village.url, "wang").await;
    let inbox = browser.find(".nav a[href='/conflicts']").await;
    assert_eq!(inbox.text().await.unwrap().replace('\n', " "), "待核对 1 等您办");
    inbox.click().await.unwrap();
    let shown = browser.text("main").await;
    for part in ["村口路灯", "数量", "原来是\n10", "12", "15", "王书记", "李强"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let forms = browser.client.find_all(Locator::Css(".values form")).await.unwrap();
    assert_eq!(forms.len(), 2);
    for form in forms {
        let value = form.find(Locator::Css(".value")).await.unwrap().text().await.unwrap();
        if value == "15" {
            form.find(Locator::Css("button")).await.unwrap().click().await.unwrap();
            break;
        }
    }
    browser.wait_for_text("已选定并保存").await;
    browser.wait_for_text("没有待核对的内容").await;
    browser.end().await;
    let view = village.store.view(&home).unwrap().unwrap();
    let count = &view.fields["count"];
    assert_eq!((count.current.text.as_str(), count.others.len()), ("15", 0));
    assert_eq!(count.current.writer.author, village.operator.serial);
}

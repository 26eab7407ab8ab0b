//! What is left on the pages of a document that was erased.

use cunlian_governance::access::reader::Reader;
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_governance::library::{Fields, Origin, Place, record};
use cunlian_governance::query;
use cunlian_governance::ticket::{self, Channel, NewTicket};
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::DocumentId;

use super::fixture::Node;
use super::plain::Plain;

const REASON: &str = "本人申请删除";

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

/// Shows that an erased ticket stands in the queue with the reason and without a word of what it
/// said, that its page says who erased it, and that it is not counted as open.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_ticket_says_why() {
    let node = Node::town().await;
    let new = NewTicket {
        village: code("370322102310"),
        channel: Channel::WalkIn,
        title: String::new(),
        text: "邻居家的狗夜里叫".to_owned(),
        kind: None,
        photos: Vec::new(),
        name: "苑大明".to_owned(),
        phone: String::new(),
        source: "terminal".to_owned(),
    };
    let (_, writes) = ticket::report(&new, DocumentId([8; 16]), now_ms()).unwrap();
    let homes: Vec<_> = writes.iter().map(|write| write.home).collect();
    node.write(writes, now_ms());
    node.store.erase(&node.author, &homes, REASON, now_ms()).unwrap();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("li");
        let queue = plain.get("/queue?state=erased").text;
        assert!(queue.contains("已删除（本人申请删除）"), "{queue}");
        assert!(!plain.get("/queue").text.contains("已删除（"));
        let page = plain.get(&format!("/tickets/{}/{}", homes[0].address, homes[0].document)).text;
        assert!(page.contains("已由 高城镇 于") && page.contains(REASON), "{page}");
        assert!(!page.contains("/note\""), "nothing can be done with it: {page}");
        for page in [queue, page] {
            assert!(!page.contains("狗") && !page.contains("苑大明"), "{page}");
        }
    });
}

/// Shows that an erased record is found and counted nowhere, that its page says who erased it and
/// why, that a part may be erased alone, and that what was erased is neither edited nor moved.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_record_says_why() {
    let node = Node::town().await;
    let catalogue = Catalogue::built_in();
    let class = catalogue.class("population").unwrap();
    let place = Place { address: code("370322102310"), record: DocumentId([5; 16]) };
    let fields: Fields = [("name", "苑大明"), ("sex", "男"), ("phone", "13800138000")]
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .into();
    let writes =
        record::register(&catalogue, "population", place, &fields, &Origin::default()).unwrap();
    node.write(writes, now_ms());
    let home = |part| class.home(part, place.address, place.record);
    let href = format!("/records/3000/{}/{}", place.address, place.record);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("li");
        let contact = [home(Part::Contact)];
        node.store.erase(&node.author, &contact, REASON, now_ms()).unwrap();
        let page = plain.get(&href).text;
        assert!(page.contains("苑大明") && page.contains(REASON), "{page}");
        assert!(!page.contains("13800138000"), "{page}");
        let to = "370322102203";
        let moved = plain.get(&format!("{href}/move?village={to}")).text;
        assert!(moved.contains("确认迁移"), "what is left can be moved: {moved}");

        node.store.erase(&node.author, &[home(Part::Base)], REASON, now_ms()).unwrap();
        let page = plain.get(&href).text;
        assert!(page.contains("这份档案已删除") && page.contains(REASON), "{page}");
        assert!(!page.contains("苑大明") && !page.contains("/edit"), "{page}");
        assert_eq!(plain.get(&format!("{href}/edit")).status, 409);
        assert_eq!(plain.get(&format!("{href}/move?village={to}")).status, 409);
        let found = plain.get("/records?q=yuandaming").text;
        assert!(!found.contains(&href), "{found}");
        let api = plain.get(&format!("/api/v1{href}")).text;
        assert!(api.contains(REASON) && !api.contains("苑大明"), "{api}");
    });
    let region = code("370322102");
    let (records, erased) = node
        .store
        .read(|c| {
            let all = Reader::everything();
            let counts = query::region::counts_by_class(c, &all, region)?;
            Ok((counts, query::erasure::count(c, region)?))
        })
        .unwrap();
    assert_eq!((records, erased), (Vec::new(), 2));
}

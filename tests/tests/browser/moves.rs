//! People who move to another village, villages that are joined, and what a reader may not see.

use cunlian_governance::access::reader::Reader;
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_governance::library::{Fields, Origin, Place, record};
use cunlian_governance::query;
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::DocumentId;

use super::chromium::Chromium;
use super::fixture::Node;
use super::plain::Plain;

const PHONE: &str = "13800138000";
const ID_NUMBER: &str = "34052419800101001X";

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

/// Writes a person as the node, and gives the path of their page.
fn person(node: &Node, address: &str, number: u8, name: &str) -> String {
    let fields: Fields = [
        ("name", name),
        ("sex", "男"),
        ("id_number", ID_NUMBER),
        ("phone", PHONE),
        ("illness", "高血压"),
    ]
    .map(|(key, text)| (key.to_owned(), text.to_owned()))
    .into();
    let place = Place { address: code(address), record: DocumentId([number; 16]) };
    let catalogue = Catalogue::built_in();
    let writes =
        record::register(&catalogue, "population", place, &fields, &Origin::default()).unwrap();
    node.write(writes, now_ms());
    format!("/records/3000/{address}/{}", place.record)
}

/// Shows the move in a browser: choose a village, see what goes along and what stays, confirm; the
/// new record says where it came from, the old one where it went, and the old village no longer
/// lists it.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_moved_to_another_village() {
    let node = Node::town().await;
    let href = person(&node, "370322102310", 5, "苑大明");
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "li").await;
    browser.open(&format!("{}{href}", node.url)).await;
    browser.click(&format!("a[href='{href}/move']")).await;
    browser.choose("#field-village", "370322102203").await;
    browser.click("main form button").await;
    browser.wait_for_text("确认迁移").await;
    let shown = browser.text("main").await;
    for part in ["苑兴村", "良友村", "基本信息、联系方式", "留在原村：身份、健康"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    browser.click("main form button").await;
    browser.wait_for_text("已保存在本机").await;
    let shown = browser.text("main").await;
    assert!(shown.contains("迁来") && shown.contains("苑兴村") && shown.contains(PHONE), "{shown}");

    browser.open(&format!("{}{href}", node.url)).await;
    let shown = browser.text("main").await;
    assert!(shown.contains("已迁往") && shown.contains("良友村"), "{shown}");
    assert!(!shown.contains("修改"), "what has gone is not edited here: {shown}");
    browser.open(&format!("{}/records?q=370322102310", node.url)).await;
    assert!(!browser.text("#record-list").await.contains("苑大明"));
    browser.open(&format!("{}/records?q=苑大明", node.url)).await;
    let list = browser.text("#record-list").await;
    assert!(list.contains("共 2 条") && list.contains("已迁往良友村"), "{list}");
    browser.end().await;
    let counts = node
        .store
        .read(|c| query::region::villages(c, &Reader::everything(), code("370322102")))
        .unwrap();
    let counts: Vec<_> = counts.iter().map(|v| (v.address.as_str(), v.records)).collect();
    assert_eq!(counts, [("370322102203", 1), ("370322102310", 0)]);
}

/// Shows that a move sent twice is one move, that an edit of what has gone is refused, and that
/// who may write in one village only is told whom to ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_made_once_and_only_by_who_may() {
    let town = Node::town().await;
    let href = person(&town, "370322102310", 5, "苑大明");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&town.url);
        plain.log_in("li");
        let page = plain.get(&format!("{href}/move?village=370322102203")).text;
        let fields = super::plain::fill(&page, &format!("{href}/move"), &[]);
        let stale = plain.get(&format!("{href}/edit")).text;
        let first = plain.send(&format!("{href}/move"), &fields);
        let second = plain.send(&format!("{href}/move"), &fields);
        assert_eq!((first.status, second.status), (200.try_into().unwrap(), first.status));
        assert_eq!(first.path, second.path);
        let edit = super::plain::fill(&stale, &format!("{href}/edit"), &[("name", "苑小明")]);
        let refused = plain.send(&format!("{href}/edit"), &edit);
        assert_eq!(refused.status, 409);
        assert!(refused.text.contains("已迁往"), "{}", refused.text);
        let moved = first.path.split('?').next().unwrap();
        let nowhere = plain.get(&format!("{moved}/move?village=370322102299"));
        assert!(nowhere.text.contains("不是在用的村"), "{}", nowhere.text);
    });
    let village = Node::village().await;
    let href = person(&village, "370322102310", 5, "苑大明");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&village.url);
        plain.log_in("wang");
        assert!(plain.get(&href).text.contains("请联系镇里办理"));
        assert_eq!(plain.get(&format!("{href}/move")).status, 403);
    });
}

/// Shows that a reader without a part gets its mask, the reason in words, and no byte of the
/// value, on no page; and that guessing digits finds nothing the mask does not show.
#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_a_part_sees_its_mask() {
    let node = Node::town_with_leader().await;
    let href = person(&node, "370322102310", 5, "苑大明");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("sun");
        let page = plain.get(&href).text;
        for shown in ["138****8000", "340524************", "未显示：身份、联系方式、健康"]
        {
            assert!(page.contains(shown), "{shown} in {page}");
        }
        let found = |text: &str| plain.get(&format!("/records?q={text}")).text;
        let pages = [page, found("苑大明"), found("8000"), found("340524")];
        for page in &pages {
            assert!(page.contains("苑大明"), "{page}");
            for hidden in [PHONE, ID_NUMBER, "高血压"] {
                assert!(!page.contains(hidden), "{hidden} in {page}");
            }
        }
        for guess in ["13800", "0138000", "19800101", "001X", "高血压"] {
            let page = found(guess);
            assert!(!page.contains("苑大明"), "{guess} in {page}");
        }
        let api = plain.get(&format!("/api/v1{href}")).text;
        assert!(api.contains("138****8000") && !api.contains(PHONE), "{api}");
        assert!(api.contains("\"hidden\":[\"identity\""), "{api}");
    });
}

/// Shows that a form lists only the parts the person may write, and names the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_names_what_it_leaves_out() {
    let node = Node::town().await;
    let href = person(&node, "370322102310", 5, "苑大明");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("li");
        for form in ["/records/new/population".to_owned(), format!("{href}/edit")] {
            let page = plain.get(&form).text;
            assert!(page.contains("name=\"phone\""), "{page}");
            assert!(!page.contains("name=\"id_number\""), "{page}");
            assert!(page.contains("未列出：身份、健康、保障、未成年人"), "{page}");
            assert!(!page.contains(ID_NUMBER), "{page}");
        }
        let form = format!("{href}/edit");
        let saved = plain.submit(&form, &form, &[("phone", "13900139001")]);
        assert!(saved.text.contains("13900139001"), "{}", saved.text);
        let home = record_class().home(Part::Base, code("370322102310"), DocumentId([5; 16]));
        let base = node.store.view(&home).unwrap().unwrap();
        assert_eq!(base.fields["phone_masked"].current.text, "139****9001");
        plain.submit(&form, &form, &[("phone", "")]);
        let base = node.store.view(&home).unwrap().unwrap();
        assert!(!base.fields.contains_key("phone_masked"));
    });
}

fn record_class() -> cunlian_governance::library::catalogue::Class {
    Catalogue::built_in().class("population").unwrap().clone()
}

/// Shows that a node that holds a village and the one joined to it shows both as one, by either
/// code, says what became of the old one, and takes nothing new at the old code.
#[tokio::test(flavor = "multi_thread")]
async fn a_joined_village_is_listed_with_its_successor() {
    let node = Node::joined_village().await;
    person(&node, "370322102310", 5, "苑大明");
    let old = person(&node, "370322102299", 6, "旧小满");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        for asked in ["/records", "/records?q=370322102310", "/records?q=370322102299"] {
            let page = plain.get(asked).text;
            assert!(page.contains("苑大明") && page.contains("旧小满"), "{asked}: {page}");
            assert!(page.contains("旧苑村（已并入苑兴村）"), "{asked}: {page}");
        }
        let words = "旧苑村已并入苑兴村 370322102310";
        assert!(plain.get("/records?q=370322102299").text.contains(words));
        assert!(plain.get(&old).text.contains(words));
        let form = "/records/new/population";
        let fields = [("name", "张三"), ("sex", "男"), ("address", "370322102299")];
        let refused = plain.submit(form, form, &fields);
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains(words), "{}", refused.text);
        let scanned = plain.get("/p/370322102299").text;
        assert!(scanned.contains("已并入"), "{scanned}");
    });
}

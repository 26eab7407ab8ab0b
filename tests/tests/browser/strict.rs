//! What comes in is read strictly: calls, and what people type.

use std::collections::BTreeMap;

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde_json::{Value, json};

use super::fixture::Node;
use super::interface::Caller;
use super::plain::{Plain, fill};

const DOCUMENT: &str = "0123456789abcdef0123456789abcdef";

/// Queries, and what the message must name.
const QUERIES: [(&str, &str); 12] = [
    ("records?limit=-1", "limit"),
    ("records?limit=abc", "limit"),
    ("records?limit=1001", "limit"),
    ("records?limit=1&limit=2", "limit"),
    ("records?clas=population", "clas"),
    ("records?class=peple", "peple"),
    ("records?class=", "class"),
    ("tickets?state=opn", "opn"),
    ("tickets?state=", "state"),
    ("tickets?channel=phone", "phone"),
    ("tickets?offset=1e3", "offset"),
    ("conflicts?limit=5", "limit"),
];

/// Method, path, body, and what the answer must name. `RECORD` is the path of a record.
const BODIES: [(&str, &str, &str, &str); 15] = [
    (
        "POST",
        "records",
        r#"{"class":"population","address":"370322102310","fields":{"name":"李","sex":"女"},"phome":"1"}"#,
        "phome",
    ),
    (
        "POST",
        "records",
        r#"{"class":"population","address":"370322102310","fields":{"name":"李","sex":"女","phome":""}}"#,
        "phome",
    ),
    (
        "POST",
        "records",
        r#"{"class":"population","address":"370322102310","fields":{"name":"李","name":"王"}}"#,
        "twice",
    ),
    (
        "POST",
        "records",
        r#"{"class":"population","address":"370322102310","fields":{"name":"李\u0000"}}"#,
        "U+0000",
    ),
    (
        "POST",
        "records",
        r#"{"class":"population","address":"370322102310","fields":{"name":"\u202e李"}}"#,
        "U+202E",
    ),
    (
        "POST",
        "records",
        r#"{"class":"population","address":"37032210231x","fields":{"name":"李"}}"#,
        "address",
    ),
    ("PUT", "RECORD", r#"{"fields":{"name":"张四"},"sen":{"name":"张三"}}"#, "sen"),
    ("PUT", "RECORD", r#"{"fields":{"name":"张四"},"seen":{"nane":"张三"}}"#, "nane"),
    ("PUT", "RECORD", r#"{"fields":{"nane":""}}"#, "nane"),
    ("PUT", "RECORD", r#"{"fields":{"name":"张四"},"fields":{"name":"张五"}}"#, "fields"),
    (
        "POST",
        "tickets",
        r#"{"village":"370322102310","channel":"hotline","text":"x","phome":"13800138000"}"#,
        "phome",
    ),
    (
        "POST",
        "tickets",
        r#"{"village":"370322102310","channel":"hotline","text":"a\u0007b"}"#,
        "U+0007",
    ),
    ("POST", "login", r#"{"name":"wang","password":"x","remember":true}"#, "remember"),
    ("POST", "records", "[]", "expected"),
    ("POST", "records", "", "EOF"),
];

/// A village with one record, and its path.
fn with_record(node: &Node) -> (Caller, String) {
    let caller = Caller::log_in(node, "wang");
    let record = json!({ "class": "population", "address": "37032210231000100012",
        "document": DOCUMENT, "fields": { "name": "张三", "sex": "男" } });
    assert_eq!(caller.send("POST", "records", &record).0, 201);
    (caller, format!("records/3000/37032210231000100012/{DOCUMENT}"))
}

/// Shows that nothing in a query is passed over: a key that means nothing, a key given twice, a
/// value out of bounds, a class or state there is none of. Each is refused with an object that
/// says which.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_query_is_passed_over() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "wang");
        for (query, expected) in QUERIES {
            let (status, body) = caller.get(query);
            assert_eq!((status, &body["error"]), (422, &json!("malformed")), "{query}: {body}");
            let message = body["message"].as_str().unwrap();
            assert!(message.contains(expected), "{query}: {message}");
            assert!(body["hint"].is_string(), "{body}");
        }
    });
}

/// Shows the same of bodies, and that nothing of a body that is refused is saved.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_body_is_passed_over() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let (caller, record) = with_record(&node);
        for (method, path, body, expected) in BODIES {
            let path = path.replace("RECORD", &record);
            let (status, answer) = caller.send_text(method, &path, body);
            assert_eq!((status, &answer["error"]), (422, &json!("malformed")), "{body}: {answer}");
            assert!(answer.to_string().contains(expected), "{body}: {answer}");
        }
        let long = json!({ "class": "population", "address": "370322102310",
            "fields": { "name": "李" }, "source": "x".repeat(61) });
        assert_eq!(caller.send("POST", "records", &long).1["field"], "source");
        let (_, now) = caller.get(&record);
        assert_eq!(now["fields"]["name"], "张三", "nothing was saved: {now}");
        let (_, all) = caller.get("records?class=population");
        assert_eq!(all["records"].as_array().unwrap().len(), 1, "{all}");
    });
}

/// Shows that a path that names nothing and a method that a path does not have are refused with
/// objects as well.
#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_an_object() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "wang");
        for unknown in ["records/3000/37032210231x/0123", "records/xyz/370322102310/1", "nothing"] {
            let (status, body) = caller.get(unknown);
            assert_eq!((status, &body["error"]), (404, &json!("not-found")), "{unknown}: {body}");
        }
        let url = format!("{}/api/v1/records", node.url);
        let mut wrong = caller.agent.delete(url).call().unwrap();
        assert_eq!(wrong.status(), 405);
        let allow = wrong.headers()["allow"].to_str().unwrap().to_owned();
        assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
        let body: Value = wrong.body_mut().read_json().unwrap();
        assert_eq!(body["error"], "method-not-allowed");
    });
}

/// Shows that characters which cannot be seen are taken out of what people type, and that what a
/// careless or hostile node wrote is shown without them.
#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_no_hidden_characters() {
    let hidden = |text: &str| text.contains(['\0', '\u{7}', '\u{202e}', '\u{2066}']);
    let node = Node::village().await;
    let village = AddressCode::parse("370322102310").unwrap();
    let class = Category::library(0, 0);
    let home = Home { category: class, address: village, document: DocumentId([7; 16]) };
    let put =
        |field: &str, text: &str| Edit::Put { field: field.to_owned(), text: text.to_owned() };
    let edits = vec![put("name", "李\u{202e}四\0"), put("sex", "男")];
    let write = Write { home, edits, source: "other".to_owned(), task: String::new() };
    node.write(vec![write], now_ms());
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let page = plain.get(&format!("/records/3000/370322102310/{}", home.document));
        assert!(page.status == 200 && page.text.contains("李\u{fffd}四"), "{}", page.text);
        assert!(!hidden(&page.text));
        let typed = "路灯\u{202e}坏了\u{7}\r\n请来修\u{2066}";
        let (form, action) = (plain.get("/tickets/new").text, "/tickets/new");
        let fields: BTreeMap<String, String> =
            fill(&form, action, &[("text", typed), ("channel", "walk_in")]);
        let saved = plain.send(action, &fields);
        assert!(saved.path.starts_with("/tickets/370322102310/"), "{}", saved.text);
        assert!(saved.text.contains("路灯坏了\n请来修"), "{}", saved.text);
        let id: DocumentId = saved.path.split(['/', '?']).nth(3).unwrap().parse().unwrap();
        let ticket = Home { category: Category::TICKET, address: village, document: id };
        let stored = format!("{:?}", node.store.view(&ticket).unwrap().unwrap());
        assert!(stored.contains("路灯坏了") && !hidden(&stored), "{stored}");
    });
}

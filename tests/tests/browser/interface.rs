//! The JSON interface: the same acts, for programs.

use serde_json::{Value, json};
use ureq::Agent;

use super::fixture::{Node, PASSWORD};

pub struct Caller {
    pub agent: Agent,
    base: String,
    token: String,
}

impl Caller {
    pub fn log_in(node: &Node, name: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        let mut caller =
            Self { agent: config.into(), base: node.url.clone(), token: String::new() };
        let login = json!({ "name": name, "password": PASSWORD });
        let (status, body) = caller.send("POST", "login", &login);
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().unwrap().clone_into(&mut caller.token);
        caller
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = if method == "PUT" { self.agent.put(url) } else { self.agent.post(url) };
        let mut answer = request.header("x-cunlian-token", &self.token).send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    pub fn send_text(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = if method == "PUT" { self.agent.put(url) } else { self.agent.post(url) };
        let request = request.header("content-type", "application/json");
        let mut answer = request.header("x-cunlian-token", &self.token).send(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = self.agent.get(format!("{}/api/v1/{path}", self.base)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }
}

/// Shows registering, finding, editing and repeating safely, and errors that name the field.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_registered_edited_and_found() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "wang");
        let document = "0123456789abcdef0123456789abcdef";
        let mut record = json!({
            "class": "population",
            "address": "37032210231000100012",
            "document": document,
            "fields": { "name": "张三", "sex": "男", "id_number": "34052419800101001Y" },
        });
        let (status, body) = caller.send("POST", "records", &record);
        assert_eq!((status, &body["field"]), (422, &json!("id_number")), "{body}");
        record["fields"]["id_number"] = json!("34052419800101001X");
        let (status, body) = caller.send("POST", "records", &record);
        assert_eq!((status, body["changes"].as_array().unwrap().len()), (201, 2), "{body}");
        let (status, body) = caller.send("POST", "records", &record);
        assert_eq!((status, &body["changes"]), (200, &json!([])), "a repeat changes nothing");
        let mut other = record.clone();
        other["fields"] = json!({ "name": "李乙", "sex": "女" });
        let (status, body) = caller.send("POST", "records", &other);
        assert_eq!(status, 201, "other content under the same id is kept: {body}");
        assert_ne!(body["document"], document);
        let (status, again) = caller.send("POST", "records", &other);
        assert_eq!((status, &again["document"]), (200, &body["document"]));

        let path = format!("records/3000/37032210231000100012/{document}");
        let edit = json!({ "fields": { "household": "H7" } });
        assert_eq!(caller.send("PUT", &path, &edit).0, 200);
        let (_, body) = caller.get(&path);
        assert_eq!(
            (&body["fields"]["household"], &body["reached"]),
            (&json!("H7"), &json!("local"))
        );
        let (_, body) = caller.get("records?q=zs&class=population");
        assert_eq!(body["records"][0]["document"], document);
    });
}

/// Shows a ticket from report to result, and that an act that does not fit the state is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_goes_its_way() {
    let node = Node::town().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "li");
        let report = json!({
            "village": "370322102310", "channel": "hotline", "text": "垃圾清运不及时",
            "name": "张三", "phone": "13800138000",
        });
        let (status, body) = caller.send("POST", "tickets", &report);
        assert_eq!(status, 201, "{body}");
        let mut repeat = report.clone();
        repeat["document"] = body["document"].clone();
        assert_eq!(caller.send("POST", "tickets", &repeat).0, 200);
        repeat["text"] = json!("水管漏了");
        let (status, other) = caller.send("POST", "tickets", &repeat);
        assert!(status == 201 && other["document"] != body["document"], "{other}");
        assert_eq!(caller.send("POST", "tickets", &repeat).1["document"], other["document"]);
        let path = format!("tickets/370322102310/{}", body["document"].as_str().unwrap());
        let act = |body: Value| caller.send("POST", &format!("{path}/operations"), &body);
        assert_eq!(act(json!({ "op": "rate", "stars": 5 })).0, 409);
        for (operation, state) in [
            (json!({ "op": "accept", "kind": "service" }), "accepted"),
            (json!({ "op": "assign", "to": "370322102310 村支书 曹勇" }), "assigned"),
            (json!({ "op": "handle", "text": "已联系清运车" }), "handling"),
            (json!({ "op": "feedback", "text": "已清运" }), "answered"),
        ] {
            let (status, body) = act(operation);
            assert_eq!((status, body["state"].as_str()), (200, Some(state)), "{body}");
        }
        let (_, ticket) = caller.get(&path);
        let trace = ticket["trace"].as_array().unwrap();
        assert!(trace.iter().all(|step| step["handler"] == "李强"), "{ticket}");
    });
}

/// Shows that calls without session or token are refused with a reason a program can read.
#[tokio::test(flavor = "multi_thread")]
async fn calls_without_session_or_token_are_refused() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let mut caller = Caller::log_in(&node, "wang");
        caller.token = String::new();
        let (status, body) = caller.send("POST", "tickets", &json!({}));
        assert_eq!((status, &body["error"]), (403, &json!("stale")));
        let stranger = Caller { agent: Agent::new_with_defaults(), ..caller };
        let refused = stranger.agent.get(format!("{}/api/v1/records", node.url)).call();
        assert!(matches!(refused, Err(ureq::Error::StatusCode(401))), "{refused:?}");
    });
}

/// Shows that a program moves a record with what its person may take along, once, and that it
/// signs a result only by saying what it read.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_moved_and_a_result_signed() {
    let node = Node::town().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "li");
        let record = json!({
            "class": "population",
            "address": "370322102310",
            "document": "0123456789abcdef0123456789abcdef",
            "fields": { "name": "张三", "sex": "男", "phone": "13800138000" },
        });
        let (status, body) = caller.send("POST", "records", &record);
        assert_eq!(status, 201, "{body}");
        let path = "records/3000/370322102310/0123456789abcdef0123456789abcdef";
        let to = |village: &str| json!({ "village": village });
        let (status, body) = caller.send("POST", &format!("{path}/move"), &to("370322102999"));
        assert_eq!((status, &body["field"]), (422, &json!("village")), "{body}");
        let (status, moved) = caller.send("POST", &format!("{path}/move"), &to("370322102203"));
        assert_eq!((status, moved["changes"].as_array().unwrap().len()), (201, 4), "{moved}");
        assert_eq!(moved["parts"], json!(["base", "contact"]));
        assert_eq!(moved["left_behind"], json!(["identity", "health", "welfare", "minors"]));
        let (status, again) = caller.send("POST", &format!("{path}/move"), &to("370322102203"));
        assert_eq!((status, &again["changes"]), (200, &json!([])), "{again}");
        let (_, old) = caller.get(path);
        assert_eq!(old["moved_to"]["document"], moved["document"]);
        let edit = json!({ "fields": { "name": "李四" } });
        assert_eq!(caller.send("PUT", path, &edit).0, 409);
        let document = moved["document"].as_str().unwrap();
        let (_, new) = caller.get(&format!("records/3000/370322102203/{document}"));
        assert_eq!(new["fields"]["phone"], "13800138000");
        assert_eq!(new["moved_from"]["address"], "370322102310");
    });
    let node = Node::town_with_leader().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "sun");
        let report = json!({ "village": "370322102299", "channel": "walk_in", "text": "路灯不亮" });
        let (status, ticket) = caller.send("POST", "tickets", &report);
        assert_eq!((status, &ticket["address"]), (201, &json!("370322102310")), "{ticket}");
        let document = ticket["document"].as_str().unwrap();
        let path = format!("tickets/370322102310/{document}");
        let act = |body: Value| caller.send("POST", &format!("{path}/operations"), &body);
        assert_eq!(act(json!({ "op": "accept", "kind": "other" })).0, 200);
        assert_eq!(act(json!({ "op": "feedback", "text": "已修好" })).0, 200);
        assert_eq!(act(json!({ "op": "sign_off", "text": "同意" })).0, 422);
        assert_eq!(act(json!({ "op": "sign_off", "digest": "00", "text": "同意" })).0, 409);
        let digest = caller.get(&path).1["digest"].clone();
        let (status, body) = act(json!({ "op": "sign_off", "digest": digest, "text": "同意" }));
        assert_eq!(status, 200, "{body}");
        let (_, signed) = caller.get(&path);
        assert_eq!(signed["sign_offs"][0]["standing"], "stands", "{signed}");
    });
}

/// Shows that the description of the interface is the one in `docs/openapi.json`, which is what
/// people write programs against.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_the_committed_one() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let agent = Agent::new_with_defaults();
        let mut answer = agent.get(format!("{}/api/openapi.json", node.url)).call().unwrap();
        let served: Value = answer.body_mut().read_json().unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let text = serde_json::to_string_pretty(&served).unwrap() + "\n";
        let beside = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi.json");
        std::fs::write(beside, &text).unwrap();
        assert!(text == committed, "the interface has changed; if so meant: cp {beside} {path}");
        assert_eq!(served["openapi"], "3.1.0");
        assert!(served["paths"]["/api/v1/records"]["post"]["requestBody"].is_object());
    });
}

/// Shows that who says what they saw does not undo what a colleague wrote in the meantime, and
/// that other fields of the same record are free.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_colleague_changed_is_not_written_over() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let caller = Caller::log_in(&node, "wang");
        let record = json!({ "class": "population", "address": "37032210231000100012",
            "fields": { "name": "张三", "sex": "男", "household": "H1" } });
        let (_, made) = caller.send("POST", "records", &record);
        let document = made["document"].as_str().unwrap();
        let path = format!("records/3000/37032210231000100012/{document}");
        let seen = caller.get(&path).1["fields"].clone();
        let rename = json!({ "fields": { "name": "张山" } });
        assert_eq!(caller.send("PUT", &path, &rename).0, 200, "a colleague renames");
        let late = json!({ "fields": { "name": "张珊" }, "seen": seen });
        let (status, body) = caller.send("PUT", &path, &late);
        assert_eq!((status, &body["fields"]), (409, &json!({ "name": "张山" })), "{body}");
        let unmeant = json!({ "fields": { "name": "张三", "household": "H2" }, "seen": seen });
        let (status, body) = caller.send("PUT", &path, &unmeant);
        assert_eq!(status, 200, "{body}");
        let now = caller.get(&path).1["fields"].clone();
        assert_eq!((&now["name"], &now["household"]), (&json!("张山"), &json!("H2")), "{now}");
    });
}

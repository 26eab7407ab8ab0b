//! An act is written once: a form and a call that say the same make the same document, and are
//! refused with the same words and the same status.

use serde_json::{Value, json};

use super::fixture::Node;
use super::interface::Caller;
use super::plain::{Answer, Plain, fill};

/// The same request on a page and as a call.
struct Act<'a> {
    /// The page of the form, and where it is sent.
    page: &'a str,
    action: &'a str,
    form: Vec<(&'a str, &'a str)>,
    /// The call.
    method: &'a str,
    path: &'a str,
    body: Value,
}

fn intake<'a>(text: &'a str, phone: &'a str) -> Act<'a> {
    Act {
        page: "/tickets/new",
        action: "/tickets/new",
        form: vec![("channel", "walk_in"), ("text", text), ("phone", phone)],
        method: "POST",
        path: "tickets",
        body: json!({
            "village": "370322102310", "channel": "walk_in", "text": text, "phone": phone,
        }),
    }
}

fn record<'a>(address: &'a str, fields: &[(&'a str, &'a str)]) -> Act<'a> {
    let texts: serde_json::Map<String, Value> =
        fields.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    let mut form = vec![("address", address)];
    form.extend_from_slice(fields);
    Act {
        page: "/records/new/population",
        action: "/records/new/population",
        form,
        method: "POST",
        path: "records",
        body: json!({ "class": "population", "address": address, "fields": texts }),
    }
}

impl Act<'_> {
    fn on_page(&self, plain: &Plain) -> Answer {
        plain.submit(self.page, self.action, &self.form)
    }

    /// Sends both and expects one refusal; its key.
    fn refused(&self, plain: &Plain, program: &Caller, status: u16) -> String {
        let page = self.on_page(plain);
        let (answer, body) = program.send(self.method, self.path, &self.body);
        assert_eq!((page.status.as_u16(), answer), (status, status), "{body}");
        let reason = body["reason"].as_str().unwrap().to_owned();
        let texts = match body["fields"].as_object() {
            None => vec![body["message"].clone()],
            Some(fields) => {
                assert_eq!(fields.len(), body["reasons"].as_object().unwrap().len(), "{body}");
                fields.values().cloned().collect()
            }
        };
        for text in texts {
            let text = text.as_str().unwrap();
            assert!(page.text.contains(text), "{reason}: {text} is not on the page");
        }
        reason
    }
}

/// Shows for reports, records, edits and steps that page and interface refuse the same thing for the
/// same reason, in the same words.
#[tokio::test(flavor = "multi_thread")]
async fn page_and_interface_refuse_alike() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let (plain, program) = (Plain::new(&node.url), Caller::log_in(&node, "wang"));
        plain.log_in("wang");
        let long = "长".repeat(2_001);
        let good = [("name", "张三"), ("sex", "男")];
        let wrong = [("name", "张三"), ("sex", "未知"), ("phone", "12")];
        for (act, reason) in [
            (intake("", ""), "ticket-empty"),
            (intake(&long, ""), "ticket-too-long"),
            (intake("路灯不亮", "12"), "ticket-phone"),
            (record("370322102310", &[("name", "张三")]), "record-fields"),
            (record("370322102310", &wrong), "record-fields"),
            (record("370322", &good), "record-fields"),
        ] {
            assert_eq!(act.refused(&plain, &program, 422), reason);
        }
        let (status, made) = program.send("POST", "records", &record("370322102310", &good).body);
        assert_eq!(status, 201, "{made}");
        let document = made["document"].as_str().unwrap();
        let (path, href) = (
            format!("records/3000/370322102310/{document}"),
            format!("/records/3000/370322102310/{document}/edit"),
        );
        let old = plain.get(&href).text;
        let seen = program.get(&path).1["fields"].clone();
        let rename = json!({ "fields": { "name": "张山" } });
        assert_eq!(program.send("PUT", &path, &rename).0, 200, "a colleague renames");
        let late = plain.send(&href, &fill(&old, &href, &[("name", "张珊")]));
        let body = json!({ "fields": { "name": "张珊" }, "seen": seen });
        let (status, answer) = program.send("PUT", &path, &body);
        assert_eq!((late.status.as_u16(), status), (409, 409), "{answer}");
        assert_eq!(answer["reason"], "edit-overtaken");
        assert!(late.text.contains(answer["message"].as_str().unwrap()), "{}", late.text);
        let ticket = intake("路灯不亮", "").on_page(&plain).path;
        let ticket = ticket.split('?').next().unwrap();
        let form = plain.get(ticket).text;
        let feedback = format!("{ticket}/feedback");
        let token = fill(&form, &format!("{ticket}/accept"), &[])["token"].clone();
        let fields = [("token".to_owned(), token), ("text".to_owned(), "已修好".to_owned())];
        let page = plain.send(&feedback, &fields.into());
        let step = json!({ "op": "feedback", "text": "已修好" });
        let (status, answer) = program.send("POST", &format!("{}/operations", &ticket[1..]), &step);
        assert_eq!((page.status.as_u16(), status), (409, 409), "{answer}");
        assert_eq!(answer["reason"], "ticket-not-now");
        assert!(page.text.contains(answer["message"].as_str().unwrap()), "{}", page.text);
    });
}

/// Shows that a form and a call with the same words make documents that say the same.
#[tokio::test(flavor = "multi_thread")]
async fn page_and_interface_make_the_same_document() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let (plain, program) = (Plain::new(&node.url), Caller::log_in(&node, "wang"));
        plain.log_in("wang");
        let minor = [("name", "张三"), ("sex", "男"), ("phone", "13800138000")];
        for act in
            [intake("路灯不亮，电话 13800138000", "13900139000"), record("370322102310", &minor)]
        {
            let page = act.on_page(&plain);
            assert_eq!(page.status, 200, "{}", page.text);
            let (status, made) = program.send(act.method, act.path, &act.body);
            assert_eq!(status, 201, "{made}");
            let of_page = page.path.split('?').next().unwrap().trim_start_matches('/').to_owned();
            let (place, _) = of_page.rsplit_once('/').unwrap();
            let of_call = format!("{place}/{}", made["document"].as_str().unwrap());
            assert_ne!(of_page, of_call);
            let said = |path: &str| {
                let (status, mut body) = program.get(path);
                assert_eq!(status, 200, "{body}");
                // What differs between any two documents, and says nothing of what is in them.
                for own in ["document", "receipt", "digest", "trace", "reported_ms", "updated_ms"] {
                    body.as_object_mut().unwrap().remove(own);
                }
                body
            };
            assert_eq!(said(&of_page), said(&of_call));
        }
    });
}

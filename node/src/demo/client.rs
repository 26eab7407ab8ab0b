//! What a person does at a node, through its HTTP API.

use std::time::Duration;

use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use rand::Rng as _;
use serde_json::{Value, json};
use ureq::Agent;

use super::fleet::PASSWORD;
use super::layout::Node;
use crate::failure::Failure;

/// A write that a node acknowledged as durable.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The document written.
    pub home: Home,
    /// The changes.
    pub changes: Vec<ChangeId>,
}

/// A person logged in at a node.
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
    name: String,
}

impl Client {
    /// Logs in.
    pub fn log_in(node: &Node, name: &str) -> Result<Self, Failure> {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .into();
        let base = format!("http://{}/api/v1", node.http);
        let mut client =
            Self { agent, base, token: String::new(), name: format!("{name}@{}", node.name) };
        let reply = client.call("POST", "login", &json!({"name": name, "password": PASSWORD}))?;
        client.token = text_of(&reply, "token")?;
        Ok(client)
    }

    /// Registers a record; safe to repeat with the same document.
    pub fn register(
        &self,
        class: &str,
        address: &str,
        document: DocumentId,
        fields: &Value,
    ) -> Result<Acknowledged, Failure> {
        let body =
            json!({"class": class, "address": address, "document": document, "fields": fields});
        let reply = self.call("POST", "records", &body)?;
        let category = text_of(&reply, "category")?;
        acknowledged(&reply, category_number(&category)?)
    }

    /// Edits fields of a record.
    pub fn edit(&self, home: &Home, fields: &Value) -> Result<Acknowledged, Failure> {
        let Home { category, address, document } = home;
        let path = format!("records/{category}/{address}/{document}");
        let reply = self.call("PUT", &path, &json!({"fields": fields}))?;
        Ok(Acknowledged { home: *home, changes: changes_of(&reply)? })
    }

    /// A record; `None` while this node does not have it.
    pub fn record(&self, home: &Home) -> Option<Value> {
        let Home { category, address, document } = home;
        self.call("GET", &format!("records/{category}/{address}/{document}"), &Value::Null).ok()
    }

    /// The first records a search finds.
    pub fn search(&self, words: &str, class: &str, limit: usize) -> Result<Vec<Value>, Failure> {
        let path = format!("records?q={words}&class={class}&limit={limit}");
        let reply = self.call("GET", &path, &Value::Null)?;
        Ok(reply.get("records").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Reports a ticket.
    pub fn report(
        &self,
        village: &str,
        channel: &str,
        text: &str,
    ) -> Result<Acknowledged, Failure> {
        let document = random_document();
        let body = json!({
            "village": village, "channel": channel, "text": text, "document": document,
            "name": "张某", "phone": "13800138000",
        });
        let reply = self.call("POST", "tickets", &body)?;
        acknowledged(&reply, cunlian_protocol::category::Category::TICKET.0)
    }

    /// Takes a step on a ticket.
    pub fn step(&self, home: &Home, operation: &Value) -> Result<Acknowledged, Failure> {
        let path = format!("tickets/{}/{}/operations", home.address, home.document);
        let reply = self.call("POST", &path, operation)?;
        Ok(Acknowledged { home: *home, changes: changes_of(&reply)? })
    }

    /// Tickets in a state, those due first.
    pub fn tickets(&self, state: &str) -> Result<Vec<Value>, Failure> {
        let reply = self.call("GET", &format!("tickets?state={state}"), &Value::Null)?;
        Ok(reply.get("tickets").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// A ticket with its trace; `None` while this node does not have it.
    pub fn ticket(&self, home: &Home) -> Option<Value> {
        let path = format!("tickets/{}/{}", home.address, home.document);
        self.call("GET", &path, &Value::Null).ok()
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}/{path}", self.base);
        let failed =
            |error: ureq::Error| Failure::new(format!("{}: {method} {path}: {error}", self.name));
        let answer = match method {
            "GET" => self.agent.get(&url).call(),
            "PUT" => self.agent.put(&url).header("x-cunlian-token", &self.token).send_json(body),
            _ => self.agent.post(&url).header("x-cunlian-token", &self.token).send_json(body),
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status();
        let reply: Value = answer.body_mut().read_json().map_err(failed)?;
        if status.is_success() {
            return Ok(reply);
        }
        Err(Failure::new(format!("{}: {method} {path}: {status}: {reply}", self.name)))
    }
}

/// A random document id.
pub fn random_document() -> DocumentId {
    let mut id = [0; DocumentId::LENGTH];
    rand::rng().fill_bytes(&mut id);
    DocumentId(id)
}

/// A text in a JSON object.
pub fn text_of(value: &Value, key: &str) -> Result<String, Failure> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Failure::new(format!("no {key} in {value}")))
}

/// The home of a record or ticket in an answer, in a category.
pub fn home_of(value: &Value, category: u16) -> Result<Home, Failure> {
    let wrong = || Failure::new(format!("not a home: {value}"));
    Ok(Home {
        category: cunlian_protocol::category::Category(category),
        address: text_of(value, "address")?.parse().map_err(|_| wrong())?,
        document: text_of(value, "document")?.parse().map_err(|_| wrong())?,
    })
}

fn category_number(text: &str) -> Result<u16, Failure> {
    u16::from_str_radix(text, 16).map_err(|_| Failure::new(format!("not a category: {text}")))
}

fn changes_of(reply: &Value) -> Result<Vec<ChangeId>, Failure> {
    let list = reply.get("changes").and_then(Value::as_array).into_iter().flatten();
    let ids: Option<Vec<ChangeId>> =
        list.map(|id| id.as_str().and_then(|id| id.parse().ok())).collect();
    ids.ok_or_else(|| Failure::new(format!("no change ids in {reply}")))
}

fn acknowledged(reply: &Value, category: u16) -> Result<Acknowledged, Failure> {
    Ok(Acknowledged { home: home_of(reply, category)?, changes: changes_of(reply)? })
}

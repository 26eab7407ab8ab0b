//! A client without scripts or styles: forms are filled in and sent as a text browser would.

use std::collections::BTreeMap;

use ureq::http::{HeaderValue, Request, StatusCode};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, SendBody};

use super::fixture::PASSWORD;

/// Keeps cookies, follows redirects.
pub struct Plain {
    agent: Agent,
    base: String,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    /// Path and query of the page that was reached.
    pub path: String,
    pub text: String,
}

impl Plain {
    pub fn new(base: &str) -> Self {
        // A refusal may end the connection before all of a form was read; the next request then finds
        // it closed, which browsers try again and this agent does not.
        let config = Agent::config_builder().http_status_as_error(false).max_idle_connections(0);
        let config = config.build();
        Self { agent: config.into(), base: base.to_owned() }
    }

    /// Somebody at another address, behind the proxy that the nodes of these tests trust.
    pub fn elsewhere(base: &str, address: &'static str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_idle_connections(0);
        let say = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            let address = HeaderValue::from_static(address);
            request.headers_mut().insert("x-forwarded-for", address);
            next.handle(request)
        };
        Self { agent: config.middleware(say).build().into(), base: base.to_owned() }
    }

    pub fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        answer(request.header("accept-language", "zh-CN").call().unwrap())
    }

    pub fn bytes(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let mut response = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        (response.status(), response.body_mut().read_to_vec().unwrap())
    }

    /// The media type that a path is answered with.
    pub fn content_type(&self, path: &str) -> String {
        let response = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        response.headers()["content-type"].to_str().unwrap().to_owned()
    }

    /// Opens `page`, fills in the form whose action is `action`, and sends it.
    pub fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(action, &fill(&self.get(page).text, action, fields))
    }

    /// Sends fields as they are.
    pub fn send(&self, action: &str, fields: &BTreeMap<String, String>) -> Answer {
        let request = self.agent.post(format!("{}{action}", self.base));
        let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        answer(request.send_form(pairs).unwrap())
    }

    /// Sends fields as a browser would from a page of another site.
    pub fn send_from(
        &self,
        origin: &str,
        action: &str,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let request = self.agent.post(format!("{}{action}", self.base)).header("origin", origin);
        let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        answer(request.send_form(pairs).unwrap())
    }

    /// Sends fields and a file as `multipart/form-data` (RFC 7578).
    pub fn upload(
        &self,
        action: &str,
        fields: &BTreeMap<String, String>,
        file: Option<&[u8]>,
    ) -> Answer {
        const BOUNDARY: &str = "cunlian-test-boundary";
        let mut body = Vec::new();
        for (name, value) in fields {
            let head =
                format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
        }
        let head = "content-disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\ncontent-type: image/jpeg";
        body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(file.unwrap_or_default());
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let request = self.agent.post(format!("{}{action}", self.base));
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        answer(request.header("content-type", kind).send(&body[..]).unwrap())
    }

    pub fn log_in(&self, name: &str) {
        let answer = self.submit("/login", "/login", &[("name", name), ("password", PASSWORD)]);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    use ureq::ResponseExt as _;
    let path = response.get_uri().path_and_query().unwrap().as_str().to_owned();
    let text = response.body_mut().read_to_string().unwrap();
    Answer { status: response.status(), path, text }
}

/// The fields of the form with this action: its inputs as they are, the given ones filled in.
/// Every given field must be in the form.
pub fn fill(html: &str, action: &str, fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let start = html.find(&format!("action=\"{action}\"")).expect("the form is on the page");
    let form = html[start..].split("</form>").next().unwrap();
    let attribute = |tag: &str, name: &str| {
        let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    let mut values = BTreeMap::new();
    let inputs = form.split('<').filter(|tag| tag.starts_with("input "));
    for tag in inputs.filter(|tag| !tag.contains("type=\"radio\"")) {
        if let Some(value) = attribute(tag, "value") {
            values.insert(attribute(tag, "name").unwrap(), value);
        }
    }
    for (name, value) in fields {
        assert!(form.contains(&format!("name=\"{name}\"")), "the form has no field {name}");
        values.insert((*name).to_owned(), (*value).to_owned());
    }
    values
}

/// The text between two marks.
pub fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split(start).nth(1).unwrap_or_else(|| panic!("no {start:?} in {text}"));
    rest.split(end).next().unwrap()
}

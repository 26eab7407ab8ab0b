//! A browser reduced to what bounds look at: an address of its own, cookies, and requests as bytes.
//!
//! The loopback interface has 16 million addresses, so one machine can play a street of telephones.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long an answer may take before the test is given up.
const PATIENCE: Duration = Duration::from_mins(1);
const EDGE: &str = "edge-of-a-part";

/// One browser.
#[derive(Debug, Clone)]
pub struct Visitor {
    from: Ipv4Addr,
    node: SocketAddr,
    cookies: BTreeMap<String, String>,
    /// What a proxy would say of it, line by line.
    headers: Vec<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// Lines of the head.
    pub head: String,
    /// What follows.
    pub bytes: Vec<u8>,
}

/// A form as a page shows it: its hidden fields.
pub type Hidden = BTreeMap<String, String>;

impl Visitor {
    /// A browser that was never there, at `127.0.0.last`.
    pub fn at(last: u8, node: SocketAddr) -> Self {
        let from = Ipv4Addr::new(127, 0, 0, last);
        Self { from, node, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// The same with a header in every request.
    #[must_use]
    pub fn with(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    /// An open connection from its address.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.node).await
    }

    /// A page.
    pub async fn get(&mut self, path: &str) -> Answer {
        let head = self.head("GET", path, &[]);
        self.ask(head.into_bytes()).await
    }

    /// The hidden fields of the form on a page.
    pub async fn form(&mut self, path: &str) -> Hidden {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        page.hidden()
    }

    /// Sends a form without files.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let coded = |text: &str| {
            text.bytes().fold(String::new(), |mut all, byte| {
                write!(all, "%{byte:02x}").unwrap();
                all
            })
        };
        let pairs: Vec<String> =
            fields.iter().map(|(name, text)| format!("{name}={}", coded(text))).collect();
        let body = pairs.join("&");
        let length = format!("content-length: {}", body.len());
        let kind = "content-type: application/x-www-form-urlencoded".to_owned();
        let head = self.head("POST", path, &[kind, length]);
        self.ask([head.as_bytes(), body.as_bytes()].concat()).await
    }

    /// Logs in through the page.
    pub async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let form = self.form("/login").await;
        let token = form.get("token").unwrap();
        self.post("/login", &[("token", token), ("name", name), ("password", password)]).await
    }

    /// Reports something at a door, with a picture or without.
    pub async fn report(&mut self, code: &str, text: &str, photo: Option<&[u8]>) -> Answer {
        let path = format!("/p/{code}/report");
        let hidden = self.form(&path).await;
        self.send_report(code, &hidden, text, photo).await
    }

    /// Sends a report in a form that it has.
    pub async fn send_report(
        &mut self,
        code: &str,
        hidden: &Hidden,
        text: &str,
        photo: Option<&[u8]>,
    ) -> Answer {
        let body = report_body(hidden, text, photo);
        let head = self.report_head(code, body.len());
        self.ask([head.as_bytes(), &body].concat()).await
    }

    /// Head of a report whose body has so many bytes.
    pub fn report_head(&self, code: &str, bytes: usize) -> String {
        let kind = format!("content-type: multipart/form-data; boundary={EDGE}");
        let length = format!("content-length: {bytes}");
        self.head("POST", &format!("/p/{code}/report"), &[kind, length])
    }

    /// So many requests for one thing, one after the other on one connection.
    pub fn requests(&self, path: &str, count: usize) -> Vec<u8> {
        let one = self.head("GET", path, &[]).replacen("HTTP/1.0", "HTTP/1.1", 1);
        one.repeat(count).into_bytes()
    }

    /// An open connection from its address that takes little before it is read.
    pub async fn connect_reluctantly(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4 << 10)?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.node).await
    }

    fn head(&self, method: &str, path: &str, more: &[String]) -> String {
        // Version 1.0: the answer ends with the connection.
        let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {}\r\n", self.node);
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if !cookies.is_empty() {
            write!(head, "cookie: {}\r\n", cookies.join("; ")).unwrap();
        }
        for line in self.headers.iter().chain(more) {
            write!(head, "{line}\r\n").unwrap();
        }
        head + "\r\n"
    }

    async fn ask(&mut self, request: Vec<u8>) -> Answer {
        let asked = async {
            let mut stream = self.connect().await?;
            let (mut receive, mut send) = stream.split();
            let mut bytes = Vec::new();
            // Who is refused early is not read to the end.
            let (_, received) =
                tokio::join!(send.write_all(&request), receive.read_to_end(&mut bytes));
            received.map(|_| bytes)
        };
        let bytes = timeout(PATIENCE, asked).await.expect("an answer in time").unwrap();
        let answer = Answer::read(&bytes);
        for line in answer.values("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
        let (head, rest) = bytes.split_at(end);
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, bytes: rest.get(4..).unwrap_or_default().to_vec() }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> String {
        self.values(name).next().unwrap_or_default()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = String> {
        let named = |line: &str| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        self.head.lines().filter_map(named).collect::<Vec<_>>().into_iter()
    }

    /// Hidden fields of the page's form, the first of each name.
    pub fn hidden(&self) -> Hidden {
        let text = self.text();
        let mut hidden = Hidden::new();
        for part in text.split("type=\"hidden\" name=\"").skip(1) {
            let mut pieces = part.split('"');
            let (name, value) = (pieces.next().unwrap(), pieces.nth(1).unwrap_or_default());
            hidden.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        hidden
    }
}

/// A report as a browser sends it.
pub fn report_body(hidden: &Hidden, text: &str, photo: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    let fields = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in fields.chain([("text", text)]) {
        let head = format!("--{EDGE}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    if let Some(photo) = photo {
        body.extend_from_slice(photo_head().as_bytes());
        body.extend_from_slice(photo);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{EDGE}--\r\n").as_bytes());
    body
}

/// What stands before the bytes of a picture.
pub fn photo_head() -> String {
    let name = "name=\"photo\"; filename=\"a.jpg\"";
    format!("--{EDGE}\r\ncontent-disposition: form-data; {name}\r\n\r\n")
}

/// Somebody who has logged in, for tests that look at pages between other things.
#[derive(Debug)]
pub struct Person {
    runtime: Runtime,
    visitor: Mutex<Visitor>,
}

impl Person {
    /// Logs in at the machine itself.
    pub fn log_in(node: SocketAddr, name: &str, password: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut visitor = Visitor::at(1, node);
        let answer = runtime.block_on(visitor.log_in(name, password));
        assert_eq!(answer.status, 303, "{}", answer.text());
        Self { runtime, visitor: Mutex::new(visitor) }
    }

    /// The text of a page.
    pub fn get(&self, path: &str) -> String {
        let mut visitor = self.visitor.lock().unwrap();
        self.runtime.block_on(visitor.get(path)).text()
    }
}

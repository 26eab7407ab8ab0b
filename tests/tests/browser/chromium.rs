//! A real Chromium, driven over WebDriver; it ends with the value.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cunlian_tests::ports::free_tcp_port;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::PASSWORD;

const PATIENCE: Duration = Duration::from_secs(20);

/// One browser window of its own profile.
pub struct Chromium {
    pub client: Client,
    driver: Driver,
    _profile: TempDir,
}

/// The chromedriver process, and the session that has to be ended before it: a killed driver
/// leaves its browser behind.
struct Driver {
    process: Child,
    url: String,
    session: Option<String>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            // After a test that went well the session has ended already.
            let _ = ureq::delete(format!("{}/session/{session}", self.url)).call();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Driver {
    async fn start() -> Self {
        let port = free_tcp_port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian package chromium-driver)");
        let driver = Self { process, url: format!("http://127.0.0.1:{port}"), session: None };
        let status = format!("{}/status", driver.url);
        let is_up = || ureq::get(&status).call().is_ok();
        until("chromedriver answers", || async { is_up() }).await;
        driver
    }
}

/// Waits until `holds`, or fails saying what did not come true.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in {PATIENCE:?}: {what}");
}

impl Chromium {
    /// Starts a browser that prefers Chinese.
    pub async fn start() -> Self {
        let mut driver = Driver::start().await;
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--accept-lang=zh-CN",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": { "intl.accept_languages": "zh-CN,zh" },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object literal") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.into_iter().collect())
            .connect(&driver.url)
            .await
            .unwrap();
        driver.session = client.session_id().await.unwrap();
        client.set_window_size(1280, 900).await.unwrap();
        Self { client, driver, _profile: profile }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Logs in and waits for the first page.
    pub async fn log_in(&self, url: &str, name: &str) {
        self.open(&format!("{url}/login")).await;
        self.type_in("#name", name).await;
        self.type_in("#password", PASSWORD).await;
        self.click("main form button").await;
        self.find(".nav").await;
    }

    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let url = self.client.current_url().await.unwrap();
        found.unwrap_or_else(|error| panic!("{css} on {url}: {error}"))
    }

    pub async fn type_in(&self, css: &str, text: &str) {
        self.with(css, |element| async move { element.send_keys(text).await }).await;
    }

    pub async fn click(&self, css: &str) {
        self.with(css, |element| async move { element.click().await }).await;
    }

    pub async fn choose(&self, css: &str, value: &str) {
        self.with(css, |element| async move { element.select_by_value(value).await }).await;
    }

    pub async fn text(&self, css: &str) -> String {
        self.with(css, |element| async move { element.text().await }).await
    }

    /// Does something with an element. Lists refresh themselves: one that was replaced between
    /// being found and being used is looked for again, as a person would.
    async fn with<T, F: Future<Output = Result<T, CmdError>>>(
        &self,
        css: &str,
        act: impl Fn(Element) -> F,
    ) -> T {
        let acted = tokio::time::timeout(PATIENCE, async {
            loop {
                match act(self.find(css).await).await {
                    Err(error) if error.is_stale_element_reference() => {}
                    acted => return acted.unwrap(),
                }
            }
        });
        acted.await.unwrap_or_else(|_| panic!("{css} was replaced again and again"))
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Waits until the page's main part contains `text`.
    pub async fn wait_for_text(&self, text: &str) {
        until(text, || async {
            let script = "return document.querySelector('main')?.innerText ?? ''";
            let shown = self.client.execute(script, Vec::new()).await;
            shown.is_ok_and(|shown| shown.as_str().is_some_and(|shown| shown.contains(text)))
        })
        .await;
    }

    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Gives the pages a screen of this size, however small: a window has a least one.
    pub async fn set_screen(&self, width: u32, height: u32) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/goog/cdp/execute", self.driver.url);
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": screen });
        ureq::post(url).send_json(command).unwrap();
    }

    /// What the console said since the last call.
    pub async fn console(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.driver.url);
        let mut answer = ureq::post(url).send_json(json!({ "type": "browser" })).unwrap();
        let log: Value = answer.body_mut().read_json().unwrap();
        let entries = log["value"].as_array().unwrap();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// Ends the browser.
    pub async fn end(self) {
        self.client.clone().close().await.unwrap();
    }
}

//! `cunlian operator`: people added, narrowed, reset, unlocked and removed with the commands an
//! administrator types, whether the node runs or not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::process::Stdio;

use cunlian_tests::federation::COUNTY;
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{Ran, Running, command, run, run_refused, run_well, wait_for};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const PASSWORD: &str = "gaoqing-2026";
const OTHER: &str = "另一个密码2026";

/// A county at a desk of its own.
struct Desk {
    dir: TempDir,
    http: SocketAddr,
}

impl Desk {
    fn found() -> Self {
        let (dir, ports) = (tempdir().unwrap(), Ports::free());
        let (listen, http) = (ports.listen().to_string(), ports.http().to_string());
        let data = dir.path().to_str().unwrap();
        run_well(
            ["init", "--data-dir", data, "--listen", &listen, "--http", &http].iter().chain(&[
                "--found",
                "--region",
                COUNTY,
                "--name",
                "高青县",
            ]),
        );
        Self { http: ports.http(), dir }
    }

    fn arguments<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let data = self.dir.path().to_str().unwrap();
        ["operator"].iter().chain(words).chain(&["--data-dir", data]).copied().collect()
    }

    fn operator(&self, words: &[&str], input: &str) -> Ran {
        run(self.arguments(words), input)
    }

    /// A command that must succeed; gives its JSON object.
    fn told(&self, words: &[&str], input: &str) -> Value {
        let ran = self.operator(&[words, &["--json"]].concat(), input);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn add(&self, name: &str, more: &[&str]) -> Value {
        let who = ["add", name, "--display-name", name, "--role", "analyst"];
        self.told(&[&who, more].concat(), &format!("{PASSWORD}\n"))
    }

    fn start(&self) -> Running {
        let data = self.dir.path().to_str().unwrap();
        let mut node = command(["run", "--data-dir", data]);
        let node = Running(node.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let ready = format!("http://{}/readyz", self.http);
        wait_for("the node", || ureq::get(&ready).call().is_ok());
        node
    }

    /// Status and answer of a login.
    fn log_in(&self, name: &str, password: &str) -> (u16, Value) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::from(config);
        // From elsewhere: the machine itself is never locked.
        let request = agent.post(format!("http://{}/api/v1/login", self.http));
        let request = request.header("x-forwarded-for", "192.0.2.1");
        let body = json!({ "name": name, "password": password }).to_string();
        let sent = request.header("content-type", "application/json").send(body.as_bytes());
        let mut answer = sent.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
    }
}

/// Shows the life of an operator beside a node that runs: added and let in at once, renamed
/// password, reset, lock and removal; no password is ever shown that was not asked for.
#[test]
fn people_are_administered_while_the_node_runs() {
    let desk = Desk::found();
    let _node = desk.start();
    let added = desk.add("zhao", &[]);
    assert!(!added.to_string().contains(PASSWORD), "{added}");
    assert_eq!(desk.log_in("zhao", PASSWORD).0, 200);

    let changed = desk.operator(&["password", "zhao"], &format!("wrong\n{OTHER}\n"));
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(changed.stderr.contains("hint: "), "{changed:?}");
    desk.told(&["password", "zhao"], &format!("{PASSWORD}\n{OTHER}\n"));
    assert_eq!(desk.log_in("zhao", PASSWORD).0, 403);
    assert_eq!(desk.log_in("zhao", OTHER).0, 200);

    for _ in 0..5 {
        desk.log_in("zhao", PASSWORD);
    }
    assert_eq!(desk.log_in("zhao", OTHER).0, 429);
    desk.told(&["unlock", "zhao"], "");
    assert_eq!(desk.log_in("zhao", OTHER).0, 200);

    let reset = desk.told(&["reset", "zhao"], "");
    assert_ne!(reset["serial"], added["serial"]);
    assert_eq!(reset["earlier"], json!([added["serial"]]));
    let (status, answer) = desk.log_in("zhao", reset["password"].as_str().unwrap());
    assert_eq!((status, &answer["must_change"]), (200, &json!(true)));

    let hint = run_refused(desk.arguments(&["remove", "zhao"]));
    assert!(hint.contains("--yes"), "{hint}");
    desk.told(&["remove", "zhao", "--yes"], "");
    assert_eq!(desk.told(&["list"], ""), json!({ "operators": [] }));
    assert_eq!(desk.log_in("zhao", OTHER).0, 403);
}

/// Shows that the same works on a node that does not run, and what it did holds when it starts:
/// also the locks of failed logins.
#[test]
fn people_are_administered_while_the_node_rests() {
    let desk = Desk::found();
    desk.add("zhao", &[]);
    let node = desk.start();
    for _ in 0..5 {
        desk.log_in("zhao", "wrong-password");
    }
    drop(node);
    let locked = desk.told(&["list"], "");
    assert!(locked["operators"][0]["locked_ms"].as_i64() > Some(60_000), "{locked}");
    let node = desk.start();
    assert_eq!(desk.log_in("zhao", PASSWORD).0, 429, "a restart does not open a lock");
    drop(node);
    desk.told(&["unlock", "zhao"], "");
    desk.told(&["password", "zhao"], &format!("{PASSWORD}\n{OTHER}\n"));
    let _node = desk.start();
    assert_eq!(desk.log_in("zhao", OTHER).0, 200);
}

/// Shows that a person can be given less than the role, in the words of the certificate, and that
/// more is refused with what is too much; a password too short is refused as well.
#[test]
fn a_person_gets_less_and_never_more() {
    let desk = Desk::found();
    let narrow = [
        "--region",
        "370322102",
        "--category",
        "library/population/base",
        "--category",
        "ticket",
        "--until",
        "2099-12-31",
    ];
    let who = ["add", "sun", "--display-name", "孙", "--role", "analyst"];
    let refused = desk.operator(&[&who[..], &narrow].concat(), &format!("{PASSWORD}\n"));
    assert!(refused.stderr.contains("the last day"), "{refused:?}");
    let added = desk.add("sun", &narrow[..6]);
    let grants = json!([{"region": "370322102*", "rights": ["read"],
        "categories": ["ticket", "library/population/base"]}]);
    assert_eq!(added["grants"], grants);

    let refuse = |more: &[&str]| {
        let who = ["add", "qian", "--display-name", "钱", "--role", "analyst"];
        let ran = desk.operator(&[&who[..], more].concat(), &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stderr
    };
    assert!(refuse(&["--region", "371322"]).contains("not within"));
    assert!(refuse(&["--category", "library/population/contact"]).contains("contact"));
    assert!(refuse(&["--rights", "read,write"]).contains("write"));
    assert!(refuse(&["--until", "soon"]).contains("2027-06-30"));
    let short = desk.operator(&who, "short\n");
    assert!(short.stderr.contains("at least 8"), "{short:?}");
    let listed = desk.told(&["list"], "");
    assert_eq!(listed["operators"].as_array().unwrap().len(), 1, "{listed}");

    assert_eq!(desk.told(&["unit", "sun", " 高城镇水利站 "], "")["unit"], "高城镇水利站");
    let listed = desk.told(&["list"], "");
    assert_eq!(listed["operators"][0]["unit"], "高城镇水利站", "{listed}");
    assert_eq!(
        listed["operators"][0]["grants"], added["grants"],
        "what they may sign is as it was"
    );
    assert_eq!(desk.told(&["unit", "sun"], "")["unit"], Value::Null);
    let unknown = desk.operator(&["unit", "nobody", "x"], "");
    assert!(unknown.stderr.contains("cunlian operator list"), "{unknown:?}");
}

//! Joining a federation by files, with the commands a person types, and what is refused on the
//! way.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cunlian_host::keystore::Keystore;
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::PASSWORD;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, well};
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{files, run, run_refused, run_well, wait_for};
use serde_json::json;
use tempfile::{TempDir, tempdir};

/// Somebody at the command line.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `cunlian init`, with ports that are free.
    fn init(&self, name: &str, ports: &Ports, more: &[&str]) {
        let (dir, listen, http) =
            (self.text(name), ports.listen().to_string(), ports.http().to_string());
        let place = ["init", "--data-dir", &dir, "--listen", &listen, "--http", &http];
        run_well(place.iter().chain(more));
    }

    fn found(&self, name: &str, ports: &Ports) {
        self.init(name, ports, &["--found", "--region", COUNTY, "--name", "高青县"]);
    }

    fn request(&self, name: &str, tier: &str, region: &str, shown: &str) -> String {
        let (dir, out) = (self.text(name), self.text(&format!("{name}.request")));
        let who = ["--tier", tier, "--region", region, "--name", shown];
        run_well(["request", "--data-dir", &dir, "--out", &out].iter().chain(&who));
        out
    }

    fn issue(&self, parent: &str, ports: &Ports, request: &str) -> String {
        let (dir, address) = (self.text(parent), ports.listen().to_string());
        let out = format!("{request}.issued");
        let arguments =
            ["issue", request, "--data-dir", &dir, "--address", &address, "--out", &out];
        run_well(arguments);
        out
    }

    fn accept(&self, name: &str, issued: &str) {
        run_well(["accept", issued, "--data-dir", &self.text(name)]);
    }

    fn add_operator(&self, name: &str, login: &str, role: &str) {
        let dir = self.text(name);
        let who = ["operator", "add", login, "--display-name", login, "--role", role];
        let ran = run(who.iter().chain(&["--data-dir", &dir]), &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stdout.contains(PASSWORD));
    }

    fn node(&self, index: usize, name: &str, tier: Tier, region: &str, ports: &Ports) -> Node {
        Node {
            index,
            parent: index.checked_sub(1),
            tier,
            region: AddressCode::parse(region).unwrap(),
            name: name.to_owned(),
            dir: self.path(name),
            listen: ports.listen(),
            http: ports.http(),
        }
    }
}

/// Shows the whole way from nothing to a record that has come from a town to its county: found,
/// request, issue, accept, operators, two processes, one registration. Keys are for the owner
/// only, and the root key stays where the federation was founded.
#[test]
fn a_town_joins_by_files_and_its_records_reach_the_county() {
    let desk = Desk::new();
    let (county_ports, town_ports) = (Ports::free(), Ports::free());
    desk.found("county", &county_ports);
    desk.init("town", &town_ports, &[]);
    let request = desk.request("town", "town", TOWN, "高城镇");
    let issued = desk.issue("county", &county_ports, &request);
    desk.accept("town", &issued);
    desk.add_operator("county", "analyst", "analyst");
    desk.add_operator("town", "dispatcher", "dispatcher");
    assert!(!desk.path("town/root.key").exists());
    for key in ["county/node.key", "county/root.key", "town/node.key"] {
        let mode = fs::metadata(desk.path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let secret = fs::read_to_string(desk.path("town/node.key")).unwrap();
    let secret = secret.lines().last().unwrap();
    for carried in [&request, &issued] {
        assert!(!fs::read_to_string(carried).unwrap().contains(secret), "{carried}");
    }
    let county = desk.node(0, "county", Tier::County, COUNTY, &county_ports);
    let town = desk.node(1, "town", Tier::Town, TOWN, &town_ports);
    let nodes = vec![county.clone(), town.clone()];
    let mut fleet = fleet(Layout { nodes, villages: Vec::new() });
    well(fleet.start_all());
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    let analyst = well(Client::log_in(&county, "analyst"));
    let fields = json!({"name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{VILLAGE}001");
    let document = random_document();
    let home = well(dispatcher.register("population", &address, document, &fields)).home;
    wait_for("the record at the county", || analyst.record(&home).is_some());
    let record = analyst.record(&home).unwrap();
    assert!(record.to_string().contains("王建国"), "{record}");
    wait_for("the town to know it", || {
        let record = dispatcher.record(&home).unwrap_or_default();
        record.get("reached").and_then(serde_json::Value::as_str) == Some("county")
    });
    wait_for("the status to say so", || {
        let status = run_well(["status", "--data-dir", town.dir.to_str().unwrap()]);
        status.contains("高青县") && status.contains("agreed")
    });
}

/// Shows that a node certifies only within its own region and tier, however the request is made:
/// a neighbour town, its own region again as a county, the whole province.
#[test]
fn nothing_outside_the_region_is_issued() {
    let desk = Desk::new();
    let ports = Ports::free();
    desk.found("county", &ports);
    desk.init("town", &Ports::free(), &[]);
    let issued = desk.issue("county", &ports, &desk.request("town", "town", TOWN, "高城镇"));
    desk.accept("town", &issued);
    desk.init("applicant", &Ports::free(), &[]);
    let wishes = [
        ("town", "village", "370322101255"),
        ("town", "town", "370322101"),
        ("town", "county", COUNTY),
        ("county", "town", "370323102"),
        ("county", "city", "3703"),
    ];
    for (parent, tier, region) in wishes {
        let request = desk.request("applicant", tier, region, "申请者");
        let out = desk.text("refused");
        let before = files(&desk.path(parent));
        let errors =
            run_refused(["issue", &request, "--data-dir", &desk.text(parent), "--out", &out]);
        assert!(errors.contains("only certify nodes within its own region"), "{errors}");
        assert!(errors.contains(region), "{errors}");
        assert!(!Path::new(&out).exists(), "{tier} {region}");
        assert_eq!(before, files(&desk.path(parent)));
    }
}

/// Shows that a request whose content was changed on the way is refused, for each thing it says;
/// and that neither a request nor anything else passes for the file of another step.
#[test]
fn a_tampered_request_is_refused() {
    let desk = Desk::new();
    let ports = Ports::free();
    desk.found("county", &ports);
    desk.init("town", &Ports::free(), &[]);
    desk.init("thief", &Ports::free(), &[]);
    let request = desk.request("town", "town", TOWN, "高城镇");
    let sound = fs::read_to_string(&request).unwrap();
    let key = |name: &str| {
        let key = Keystore::new(&desk.path(name)).key("node.key").unwrap();
        cunlian_protocol::signing::public_key(&key).to_string()
    };
    let changes = [
        ("高城镇".to_owned(), "高城街".to_owned()),
        (TOWN.to_owned(), "370322101".to_owned()),
        ("\"town\"".to_owned(), "\"county\"".to_owned()),
        (key("town"), key("thief")),
    ];
    let (out, county) = (desk.text("refused"), desk.text("county"));
    let issue = |request: &str| run(["issue", request, "--data-dir", &county, "--out", &out], "");
    for (from, to) in changes {
        let tampered = sound.replace(&from, &to);
        assert_ne!(tampered, sound, "{from}");
        let path = desk.text("tampered");
        fs::write(&path, tampered).unwrap();
        let ran = issue(&path);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("not signed by the key it names"), "{ran:?}");
        assert!(!Path::new(&out).exists());
    }
    let issued = desk.issue("county", &ports, &request);
    for wrong in [issued.as_str(), &desk.text("county/cunlian.toml")] {
        let ran = issue(wrong);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("not a file of the kind"), "{ran:?}");
    }
    run_refused(["accept", &request, "--data-dir", &desk.text("town")]);
}

/// Shows that a certificate issued for one machine is refused on another, and one under a forged
/// root anywhere, and that the directory stays as it was.
#[test]
fn the_certificate_of_another_key_is_not_accepted() {
    let desk = Desk::new();
    let ports = Ports::free();
    desk.found("county", &ports);
    desk.init("town", &Ports::free(), &[]);
    desk.init("other", &Ports::free(), &[]);
    let issued = desk.issue("county", &ports, &desk.request("town", "town", TOWN, "高城镇"));
    let before = files(&desk.path("other"));
    let errors = run_refused(["accept", &issued, "--data-dir", &desk.text("other")]);
    assert!(errors.contains("another key"), "{errors}");
    assert_eq!(before, files(&desk.path("other")));
    let root = Keystore::new(&desk.path("county")).root().unwrap().to_string();
    let forged = fs::read_to_string(&issued).unwrap().replace(&root, &"11".repeat(32));
    fs::write(desk.path("forged"), forged).unwrap();
    let before = files(&desk.path("town"));
    run_refused(["accept", &desk.text("forged"), "--data-dir", &desk.text("town")]);
    assert_eq!(before, files(&desk.path("town")));
    desk.accept("town", &issued);
}

/// Shows that a key that others can read is refused with the command that mends it, and that a
/// directory without key or certificate is told what to do first.
#[test]
fn a_key_that_others_can_read_is_refused() {
    let desk = Desk::new();
    desk.found("county", &Ports::free());
    let key = desk.path("county/node.key");
    let county = desk.text("county");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let errors = run_refused(["run", "--data-dir", &county]);
        assert!(errors.contains(&format!("{mode:o}")), "{errors}");
        assert!(errors.contains(&format!("chmod 600 {}", key.display())), "{errors}");
    }
    desk.init("bare", &Ports::free(), &[]);
    let errors = run_refused(["run", "--data-dir", &desk.text("bare")]);
    assert!(errors.contains("missing") && errors.contains("cunlian init"), "{errors}");
    let errors = run_refused(["init", "--data-dir", &county]);
    assert!(errors.contains("exists already"), "{errors}");
}

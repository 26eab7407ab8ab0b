//! A disk without space, under a running node.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use cunlian_host::opening::open_store;
use cunlian_node::demo::check::{self, Expected};
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::layout::Node;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::mounted::{SmallDisk, is_waived};
use cunlian_tests::program::{run, run_well, wait_for};
use serde_json::{Value, json};
use tempfile::tempdir;

const MEBIBYTES: u32 = 24;

/// Shows that a full disk is said everywhere a person looks, loses nothing acknowledged, and that
/// work goes on by itself when there is space: the village's disk is filled under the running
/// node while it registers; status, probe, pages and API say so; then space is made.
#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    if is_waived() {
        return;
    }
    let dir = tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join(VILLAGE), MEBIBYTES);
    let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]);
    let village = layout.nodes[2].clone();
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let clerk = well(Client::log_in(&village, "secretary"));
    let mut expected = Expected::default();
    for _ in 0..20 {
        expected.acknowledged.push(well(register(&clerk)));
    }
    let filler = fill(disk.path());
    let refusal = loop {
        match register(&clerk) {
            Ok(done) => expected.acknowledged.push(done),
            Err(failure) => break format!("{failure:?}"),
        }
    };
    for part in ["507", "disk-full", "hint", "nothing was saved"] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    wait_for("status to say it", || state_of(&village) == "disk_full");
    let said = run_well([Path::new("status"), Path::new("--data-dir"), &village.dir]);
    assert!(said.contains("store disk_full"), "{said}");
    let (code, body) = page(&village, "/readyz");
    assert_eq!((code, body.trim()), (503, "disk-full"));
    assert_eq!(page(&village, "/healthz").0, 200, "the process itself is well");
    let (code, login) = page(&village, "/login");
    assert!(code == 200 && login.contains("磁盘已满"), "{login}");
    assert!(login.contains("已保存的数据没有丢失"), "{login}");
    assert!(clerk.record(&expected.acknowledged[0].home).is_some(), "what is there can be read");
    assert!(register(&clerk).is_err());
    fs::remove_file(filler).unwrap();
    wait_for("work to go on", || match register(&clerk) {
        Ok(done) => {
            expected.acknowledged.push(done);
            true
        }
        Err(_) => false,
    });
    // Little space is left on so small a disk, and that is said as well.
    wait_for("status to say it is over", || state_of(&village) == "low_space");
    assert_eq!(page(&village, "/readyz").0, 200);
    assert!(!page(&village, "/login").1.contains("磁盘已满"));
    well(fleet.converge(Duration::from_mins(2), |_| {}));
    fleet.stop_all();
    let found = well(check::check(fleet.layout(), &expected));
    assert_eq!(found.differences, Vec::<String>::new());
    let (store, _) = open_store(&village.dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
    drop(store);
}

/// Shows that a node whose disk is full already when it starts either serves what it has or says
/// why not, and that its data are whole when there is space.
#[test]
fn a_node_on_a_full_disk_does_not_damage_its_data() {
    if is_waived() {
        return;
    }
    let dir = tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join(COUNTY), MEBIBYTES);
    let layout = lay_out(dir.path(), &[COUNTY]);
    let county = layout.nodes[0].clone();
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let analyst = well(Client::log_in(&county, "admin"));
    drop(analyst);
    fleet.stop_all();
    let filler = fill(disk.path());
    // The log of the fleet would be on the full disk as well; this run logs elsewhere.
    let mut child = cunlian_tests::program::command(["run", "--data-dir"]);
    child.arg(&county.dir).stdout(std::process::Stdio::null());
    child.stderr(File::create(dir.path().join("log")).unwrap());
    let mut child = cunlian_tests::program::Running(child.spawn().unwrap());
    let mut ended = None;
    wait_for("the node to serve or to end", || {
        ended = child.0.try_wait().unwrap();
        ended.is_some() || run(["status", "--data-dir", text(&county.dir)], "").code == Some(0)
    });
    if let Some(status) = ended {
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("error: ") && log.contains("full"), "{log}");
    }
    drop(child);
    fs::remove_file(filler).unwrap();
    well(fleet.start(0));
    fleet.stop_all();
    let (store, _) = open_store(&county.dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
    drop(store);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn register(
    clerk: &Client,
) -> Result<cunlian_node::demo::client::Acknowledged, cunlian_node::failure::Failure> {
    let fields = json!({
        "name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001",
        "residence": "外出",
    });
    clerk.register("population", &format!("{VILLAGE}001"), random_document(), &fields)
}

/// Fills a disk to its last byte with one file.
fn fill(path: &Path) -> std::path::PathBuf {
    let filler = path.join("filler");
    let mut file = File::create(&filler).unwrap();
    let mut block = vec![0x55; 64 << 10];
    while !block.is_empty() {
        if file.write(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
    filler
}

fn state_of(node: &Node) -> String {
    let text = cunlian_host::control::ask_status(&node.dir).unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    status["health"]["state"].as_str().unwrap().to_owned()
}

fn page(node: &Node, path: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{}{path}", node.http)).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

//! Backups of real nodes, and what is allowed to go on from them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cunlian_crdt::store::Unsent;
use cunlian_host::clock::now_ms;
use cunlian_host::keystore::Keystore;
use cunlian_host::opening::open_store;
use cunlian_node::demo::client::{Acknowledged, Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::scope::Scope;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::program::{command, files, run, run_refused, run_well, wait_for};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const PATIENCE: Duration = Duration::from_mins(2);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a backup; gives what the command says.
fn back_up(data_dir: &Path, to: &Path, more: &[&str]) -> Value {
    let arguments = [&["backup", text(to), "--data-dir", text(data_dir), "--json"], more].concat();
    serde_json::from_str(&run_well(arguments)).unwrap()
}

fn path_in(made: &Value) -> PathBuf {
    PathBuf::from(made["backup"].as_str().unwrap())
}

fn restore(backup: &Path, to: &Path) -> Value {
    let arguments = ["restore", text(backup), "--data-dir", text(to), "--json"];
    serde_json::from_str(&run_well(arguments)).unwrap()
}

fn is_sound(backup: &Path) -> bool {
    let ran = run(["backup", "verify", text(backup), "--json"], "");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code == Some(0), report["sound"] == true, "{}{}", ran.stdout, ran.stderr);
    ran.code == Some(0)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = read.collect();
    paths.sort();
    paths
}

fn register(client: &Client, name: &str) -> Result<Acknowledged, String> {
    let fields = json!({"name": name, "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{VILLAGE}001");
    let done = client.register("population", &address, random_document(), &fields);
    done.map_err(|failure| format!("{failure:?}"))
}

/// A town that stands alone and runs, with a person logged in.
fn town(dir: &TempDir) -> (Fleet, Node, Client) {
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN]);
    let node = layout.nodes[0].clone();
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let client = well(Client::log_in(&node, "dispatcher"));
    (fleet, node, client)
}

/// The same node in another data directory.
fn moved(layout: &Layout, index: usize, data_dir: &Path) -> Layout {
    let mut layout = layout.clone();
    data_dir.clone_into(&mut layout.nodes[index].dir);
    layout
}

/// Shows that a backup made while people work holds all that was acknowledged before it, that the
/// node restored from it can be read and saves nothing until a person has answered for it, that
/// it says so on pages, in the API and in its status, and that it then works on.
#[test]
fn a_restored_node_saves_nothing_until_it_is_confirmed() {
    let dir = tempdir().unwrap();
    let (mut fleet, node, client) = town(&dir);
    let acknowledged = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let (made, before) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let done = register(&client, "王建国").unwrap();
                acknowledged.lock().unwrap().push(done.home);
            }
        });
        wait_for("some records", || acknowledged.lock().unwrap().len() > 5);
        let before = acknowledged.lock().unwrap().clone();
        let made = back_up(&node.dir, &dir.path().join("backups"), &[]);
        stop.store(true, Ordering::Relaxed);
        (made, before)
    });
    assert!(made["changes"].as_u64().unwrap() >= before.len() as u64);
    let backup = path_in(&made);
    assert!(is_sound(&backup));
    fleet.stop_all();

    let new_dir = dir.path().join("restored");
    let restored = restore(&backup, &new_dir);
    assert_eq!(restored["has_parent"], false);
    let mut fleet = cunlian_tests::federation::fleet(moved(fleet.layout(), 0, &new_dir));
    well(fleet.start_all());
    assert_eq!(well(fleet.status(0))["suspended"], "restored");
    let client = well(Client::log_in(&node, "dispatcher"));
    for home in &before {
        assert!(client.record(home).is_some(), "{home:?} is not in the backup");
    }
    let refused = register(&client, "李四").unwrap_err();
    assert!(refused.contains("restored from a backup"), "{refused}");
    let page = ureq::get(format!("http://{}/login", node.http)).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    assert!(page.contains("由备份恢复"), "{page}");

    let errors = run_refused(["resume", "--data-dir", text(&new_dir)]);
    assert!(errors.contains("--confirm-no-parent"), "{errors}");
    register(&client, "李四").unwrap_err();
    run_well(["resume", "--data-dir", text(&new_dir), "--confirm-no-parent"]);
    let done = register(&client, "李四").unwrap();
    assert!(client.record(&done.home).is_some());
    fleet.stop_all();
    well(fleet.start_all());
    assert_eq!(well(fleet.status(0))["suspended"], Value::Null);
    fleet.stop_all();
    let (store, _) = open_store(&new_dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that a restored village cannot be released past its parent, that the parent releases it
/// by itself, and that it gets back from there what it had authored after the backup was made.
#[test]
fn a_restored_village_gets_back_what_the_backup_lacks() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[COUNTY, TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[1].clone(), layout.nodes[2].clone());
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let client = well(Client::log_in(&village, "secretary"));
    let first = register(&client, "王建国").unwrap().home;
    let backup = path_in(&back_up(&village.dir, &dir.path().join("backups"), &[]));
    let second = register(&client, "李四").unwrap().home;
    well(fleet.converge(PATIENCE, |_| {}));
    fleet.stop_all();

    let new_dir = dir.path().join("restored");
    assert_eq!(restore(&backup, &new_dir)["has_parent"], true);
    let mut fleet = cunlian_tests::federation::fleet(moved(fleet.layout(), 2, &new_dir));
    well(fleet.start(2));
    let client = well(Client::log_in(&village, "secretary"));
    assert!(client.record(&first).is_some());
    assert!(client.record(&second).is_none());
    register(&client, "赵五").unwrap_err();
    let arguments = ["resume", "--data-dir", text(&new_dir), "--confirm-no-parent"];
    let errors = run_refused(arguments);
    assert!(errors.contains("parent"), "{errors}");
    register(&client, "赵五").unwrap_err();
    well(fleet.start(0));
    well(fleet.start(1));
    wait_for("the parent's word", || {
        fleet.status(2).is_ok_and(|status| status["suspended"] == Value::Null)
    });
    // The node has started again as another author, so everybody logs in again.
    let client = well(Client::log_in(&village, "secretary"));
    wait_for("what came after the backup", || client.record(&second).is_some());
    let third = register(&client, "赵五").unwrap().home;
    well(fleet.converge(PATIENCE, |_| {}));
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    assert!([first, second, third].iter().all(|home| dispatcher.record(home).is_some()));
}

/// Shows that a town that was restored from a backup of before it certified its village anew, while
/// it had no line to the county, takes the village in again with nobody doing anything, and that
/// what the village wrote under the certificate that nobody else knew reaches the county.
#[test]
fn a_restored_town_knows_the_village_it_has_forgotten() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[COUNTY, TOWN, VILLAGE]);
    let [county, town, village] = layout.nodes.clone().try_into().unwrap();
    let serial = |node: &Node| Keystore::new(&node.dir).identity().unwrap().certificate.serial();
    certify_nearly_ended(&town, &village);
    let mut fleet = fleet(layout);
    well(fleet.start(0));
    well(fleet.start(1));
    wait_for("the county", || fleet.parent_link(1)["state"] == "live");
    let backup = path_in(&back_up(&town.dir, &dir.path().join("backups"), &[]));
    well(fleet.cut(1));
    let before = serial(&village);
    well(fleet.start(2));
    wait_for("a new certificate", || serial(&village) != before);
    let mut home = None;
    wait_for("a record", || {
        let client = Client::log_in(&village, "secretary").ok();
        home = client.and_then(|client| register(&client, "王建国").ok()).map(|done| done.home);
        home.is_some()
    });
    let home = home.unwrap();
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    wait_for("the record at the town", || dispatcher.record(&home).is_some());
    fleet.stop_all();

    let new_dir = dir.path().join("restored");
    restore(&backup, &new_dir);
    let mut fleet = cunlian_tests::federation::fleet(moved(fleet.layout(), 1, &new_dir));
    well(fleet.start_all());
    wait_for("the county's word", || {
        fleet.status(1).is_ok_and(|status| status["suspended"] == Value::Null)
    });
    wait_for("the village", || fleet.parent_link(2)["state"] == "live");
    let analyst = well(Client::log_in(&county, "analyst"));
    wait_for("the record at the county", || analyst.record(&home).is_some());
    assert_eq!(well(fleet.status(2))["suspended"], Value::Null);
    let listed = run_well(["node", "list", "--data-dir", text(&new_dir), "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["nodes"][0]["forked"], false, "{listed:#}");
}

/// Certifies a child for thirty days, of which a third is not left.
fn certify_nearly_ended(parent: &Node, child: &Node) {
    const DAY_MS: i64 = 86_400_000;
    let parent = Keystore::new(&parent.dir).identity().unwrap();
    let keystore = Keystore::new(&child.dir);
    let old = keystore.identity().unwrap().certificate;
    let issued_at_ms = now_ms() - 21 * DAY_MS;
    let not_after_ms = issued_at_ms + 30 * DAY_MS;
    let body = CertificateBody { issued_at_ms, not_after_ms, ..old.body().clone() };
    let mut chain = parent.chain.clone();
    chain.push(Certificate::issue(&body, &parent.key));
    keystore.set_chain(&keystore.root().unwrap(), &chain).unwrap();
}

/// Shows that a data directory copied to another place is noticed at its first start and saves
/// nothing, while the original goes on.
#[test]
fn a_copied_data_directory_is_noticed() {
    let dir = tempdir().unwrap();
    let (mut fleet, node, client) = town(&dir);
    let home = register(&client, "王建国").unwrap().home;
    fleet.stop_all();
    let copy = dir.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-a").args([&node.dir, &copy]).status();
    assert!(copied.unwrap().success());
    let layout = fleet.layout().clone();
    let mut second = cunlian_tests::federation::fleet(moved(&layout, 0, &copy));
    well(second.start_all());
    assert_eq!(well(second.status(0))["suspended"], "copied");
    let client = well(Client::log_in(&node, "dispatcher"));
    assert!(client.record(&home).is_some());
    let refused = register(&client, "李四").unwrap_err();
    assert!(refused.contains("copied or moved"), "{refused}");
    second.stop_all();
    well(fleet.start_all());
    assert_eq!(well(fleet.status(0))["suspended"], Value::Null);
    register(&well(Client::log_in(&node, "dispatcher")), "李四").unwrap();
}

/// Shows that only the owner can read a backup, that the root key is in it only when asked for,
/// and that a damaged byte is found by `verify` and stops `restore`, which leaves nothing.
#[test]
fn a_backup_is_closed_to_others_and_checked() {
    let dir = tempdir().unwrap();
    let (mut fleet, node, client) = town(&dir);
    register(&client, "王建国").unwrap();
    fleet.stop_all();
    let to = dir.path().join("backups");
    let with_root = path_in(&back_up(&node.dir, &to, &["--with-root-key"]));
    let backup = path_in(&back_up(&node.dir, &to, &[]));
    assert_ne!(backup, with_root);
    assert!(with_root.join("data/root.key").exists());
    assert!(!backup.join("data/root.key").exists());
    let all = files(&backup);
    assert!(all.keys().any(|path| path.ends_with("data/operators/dispatcher.json")), "{all:?}");
    assert!(!all.keys().any(|path| path.ends_with("place.json")));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&to), mode(&backup), mode(&backup.join("data"))], [0o700; 3]);
    assert!(all.keys().all(|path| mode(path) == 0o600));

    let refused = run_refused(["backup", text(&node.dir.join("b")), "--data-dir", text(&node.dir)]);
    assert!(refused.contains("elsewhere"), "{refused}");
    let refused = run_refused(["restore", text(&backup), "--data-dir", text(&node.dir)]);
    assert!(refused.contains("not empty"), "{refused}");

    for path in all.keys() {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        let Some(byte) = bytes.get_mut(middle) else { continue };
        *byte ^= 1;
        fs::write(path, &bytes).unwrap();
        let code = run(["backup", "verify", text(&backup)], "").code;
        assert!(matches!(code, Some(1 | 3)), "{} altered: {code:?}", path.display());
        let new_dir = dir.path().join("restored");
        run_refused(["restore", text(&backup), "--data-dir", text(&new_dir)]);
        assert!(!new_dir.exists());
        *bytes.get_mut(middle).unwrap() ^= 1;
        fs::write(path, &bytes).unwrap();
    }
    assert!(is_sound(&backup));
    let left: Vec<PathBuf> = entries(dir.path());
    assert_eq!(left, [to, dir.path().join("nodes")]);
}

/// Shows that older backups go: beyond the number to keep, and all that were made before
/// something was purged, so that no byte of it is left in any of them.
#[test]
fn older_backups_go_and_what_was_purged_goes_with_them() {
    let dir = tempdir().unwrap();
    let (mut fleet, node, client) = town(&dir);
    register(&client, "canary-of-a-person").unwrap();
    fleet.stop_all();
    let to = dir.path().join("backups");
    let made: Vec<PathBuf> =
        (0..3).map(|_| path_in(&back_up(&node.dir, &to, &["--keep", "2"]))).collect();
    assert_eq!(entries(&to), made[1..].to_vec());
    let another = path_in(&back_up(&node.dir, &to, &[]));
    assert_eq!(entries(&to).len(), 3);
    let holds = || {
        let has = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"canary");
        files(&to).into_iter().filter(|(_, bytes)| has(bytes)).count()
    };
    assert_eq!(holds(), 3);
    let (store, _) = open_store(&node.dir).unwrap();
    let purged = store.purge(&Scope::default(), Unsent::Discard).unwrap();
    assert!(purged.changes > 0 && purged.compacted);
    drop(store);
    let last = back_up(&node.dir, &to, &[]);
    assert_eq!(last["removed"].as_array().unwrap().len(), 3);
    assert!(!another.exists());
    assert_eq!(entries(&to), [path_in(&last)]);
    assert_eq!(holds(), 0);
}

/// Runs a command and kills it at later and later moments, until it comes to its end or
/// `after_each` says that its work is done.
fn kill_until_done(arguments: &[&str], mut after_each: impl FnMut() -> bool) -> u32 {
    let mut kills = 0;
    // Closer together where a fast machine is at work, and soon at the end on a slow one.
    let later = |pause_ms: &u64| Some(pause_ms * 5 / 4 + 2);
    for pause_ms in std::iter::successors(Some(2), later) {
        let mut command = command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not waiting for anything: the moment of the kill is what is varied.
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().unwrap();
        let ended = child.wait().unwrap().success();
        if after_each() || ended {
            break;
        }
        kills += 1;
    }
    kills
}

/// Shows that a backup killed at any moment leaves no directory that looks like one, that the
/// next run takes away what it left, and that a killed restore leaves no data directory.
#[test]
fn killed_backups_and_restores_leave_nothing_half() {
    let dir = tempdir().unwrap();
    let (mut fleet, node, client) = town(&dir);
    for _ in 0..20 {
        register(&client, "王建国").unwrap();
    }
    fleet.stop_all();
    let to = dir.path().join("backups");
    fs::create_dir(&to).unwrap();
    let whole = |path: &PathBuf| !path.file_name().unwrap().to_str().unwrap().starts_with('.');
    let mut partial = 0;
    let kills = kill_until_done(&["backup", text(&to), "--data-dir", text(&node.dir)], || {
        let (sound, left): (Vec<_>, Vec<_>) = entries(&to).into_iter().partition(whole);
        partial += left.len();
        assert!(sound.iter().all(|backup| is_sound(backup)));
        false
    });
    assert!(kills > 0 && partial > 0, "{kills} kills left {partial} partial backups");
    let backup = path_in(&back_up(&node.dir, &to, &["--keep", "1"]));
    assert_eq!(entries(&to), std::slice::from_ref(&backup));

    let new_dir = dir.path().join("restored");
    let mut missing = 0;
    let arguments = ["restore", text(&backup), "--data-dir", text(&new_dir)];
    // A kill between the last step and the end of the process leaves a whole directory, in which
    // nothing is restored again.
    kill_until_done(&arguments, || {
        missing += u32::from(!new_dir.exists());
        new_dir.exists()
    });
    assert!(missing > 0, "no kill came before the end");
    assert!(new_dir.join("suspended").exists());
    let (store, _) = open_store(&new_dir).unwrap();
    assert!(store.verify().unwrap().is_sound() && store.suspension().is_some());
    let left = entries(dir.path());
    assert_eq!(left, [to, dir.path().join("nodes"), new_dir]);
}

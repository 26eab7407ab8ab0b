//! Real nodes, real files, and a stick that somebody carries.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cunlian_crdt::bundle::Reader;
use cunlian_host::keystore::{Keystore, NEXT_KEY};
use cunlian_host::opening::{node_author, open_store};
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::change::Home;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::public_key;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::program::{Running, command, files, run, run_refused, run_well, wait_for};
use cunlian_tests::world::home;
use cunlian_tests::world::place::{NOW_MS, noise, put};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_mins(2);
const POPULATION: Category = Category::library(0, 0);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs `bundle export` at a node; gives what it says.
fn export(node: &Node, out: &Path, more: &[&str]) -> Value {
    let fixed = ["bundle", "export", "--data-dir", text(&node.dir), "--out", text(out), "--json"];
    let ran = run([&fixed, more].concat(), "");
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Runs `bundle import` at a node; gives what it says.
fn import(node: &Node, file: &Path) -> Value {
    let arguments = ["bundle", "import", text(file), "--data-dir", text(&node.dir), "--json"];
    serde_json::from_str(&run_well(arguments)).unwrap()
}

fn register(client: &Client, name: &str) -> Home {
    let fields = json!({"name": name, "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{VILLAGE}001");
    let done = client.register("population", &address, random_document(), &fields);
    done.unwrap_or_else(|failure| panic!("{failure:?}")).home
}

/// What a record says of how far it has come, as the person at the node sees it.
fn reached(client: &Client, home: &Home) -> Value {
    client.record(home).unwrap()["reached"].clone()
}

/// Writes documents straight into the store of a node that does not run.
fn load(node: &Node, documents: u32, text: impl Fn(u32) -> String) {
    let (store, identity) = open_store(&node.dir).unwrap();
    let writes = (0..documents).map(|n| put(home(POPULATION, VILLAGE, n), &text(n)));
    store.write(&node_author(&identity), writes.collect(), NOW_MS).unwrap();
}

fn changes(node: &Node) -> u64 {
    let (store, _) = open_store(&node.dir).unwrap();
    store.counts().unwrap().total.changes
}

fn nodes(layout: &Layout) -> (Node, Node) {
    (layout.nodes[0].clone(), layout.nodes[1].clone())
}

/// The traffic of a village with its town in this run.
fn traffic(fleet: &Fleet, index: usize) -> Value {
    fleet.parent_link(index)["traffic"].clone()
}

/// Shows a village off line for a week: what it wrote is carried to the town in a file, by
/// commands at nodes that run, and is there; the village says of nothing that it is at the town
/// before a file comes back. When the line stands again, no change passes.
#[test]
fn a_week_on_a_stick() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = nodes(&layout);
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    let client = well(Client::log_in(&village, "secretary"));
    let before = register(&client, "王建国");
    well(fleet.converge(PATIENCE, |_| {}));
    well(fleet.cut(1));
    wait_for("the line is dead", || fleet.parent_link(1)["state"] != "live");
    let week: Vec<Home> = (0..12).map(|_| register(&client, "李四")).collect();
    assert_ne!(reached(&client, &week[0]), reached(&client, &before));

    let file = dir.path().join("week.bundle");
    let made = export(&village, &file, &["--for", TOWN, "--since", "7d"]);
    assert!(made["changes"].as_u64().unwrap() >= 12, "{made}");
    let shown: Value =
        serde_json::from_str(&run_well(["bundle", "show", text(&file), "--json"])).unwrap();
    assert_eq!((&shown["whole"], &shown["for"]), (&json!(true), &json!("高城镇")), "{shown}");
    let again = ["bundle", "export", "--data-dir", text(&village.dir), "--for", TOWN, "--out"];
    let refused = run_refused([&again[..], &[text(&file)]].concat());
    assert!(refused.contains("exists already"), "{refused}");

    let taken = import(&town, &file);
    assert_eq!((&taken["whole"], &taken["refused"]), (&json!(true), &json!(0)), "{taken}");
    let dispatcher = well(Client::log_in(&town, "dispatcher"));
    assert!(week.iter().all(|home| dispatcher.record(home).is_some()));
    assert_ne!(reached(&client, &week[0]), reached(&client, &before), "the town has not said so");
    assert_eq!(import(&town, &file)["new"], 0);

    let back = dir.path().join("back.bundle");
    export(&town, &back, &["--for", VILLAGE, "--since", "7d"]);
    assert_eq!(import(&village, &back)["whole"], true);
    wait_for("the village knows that the town has it", || {
        reached(&client, &week[0]) == reached(&client, &before)
    });

    fleet.stop_all();
    well(fleet.start_all());
    well(fleet.heal(1));
    well(fleet.converge(PATIENCE, |_| {}));
    let traffic = traffic(&fleet, 1);
    assert_eq!((&traffic["sent"], &traffic["received"]), (&json!(0), &json!(0)), "{traffic}");
}

/// What `bundle show` says of a file with the keys of a data directory.
fn show(file: &Path, data_dir: &Path) -> Value {
    let arguments = ["bundle", "show", text(file), "--data-dir", text(data_dir), "--json"];
    serde_json::from_str(&run_well(arguments)).unwrap()
}

/// Shows that a file for a node is opened by that node only: elsewhere `show` gives who, for whom,
/// when and how much, and nothing of what is in it, and `import` says for whom it is; that two
/// files with the same content have no key in common; and that without a receiver nothing is
/// written, unless it is said that it may be open.
#[test]
fn a_lost_stick_shows_nothing() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = nodes(&layout);
    load(&village, 30, |number| noise(number.into(), 200));
    let file = dir.path().join("sealed.bundle");
    let made = export(&village, &file, &["--for", TOWN]);
    assert_eq!((&made["sealed"], &made["for"]), (&json!(true), &json!("高城镇")), "{made}");

    for elsewhere in [village.dir.as_path(), dir.path()] {
        let shown = show(&file, elsewhere);
        assert_eq!((&shown["opened"], &shown["whole"]), (&json!(false), &json!(true)), "{shown}");
        assert_eq!((&shown["for"], &shown["for_address"]), (&json!("高城镇"), &json!(TOWN)));
        assert_eq!(shown["exporter_address"], VILLAGE);
        assert_eq!(shown["bytes"], made["bytes"]);
        let closed = ["changes", "since_ms", "regions", "root", "expected", "tier"];
        let told = closed.iter().filter(|key| shown.get(**key).is_some_and(|v| !v.is_null()));
        assert_eq!(told.collect::<Vec<_>>(), Vec::<&&str>::new(), "{shown}");
    }
    let shown = show(&file, &town.dir);
    assert_eq!((&shown["opened"], &shown["changes"]), (&json!(true), &json!(30)), "{shown}");
    let words = run_well(["bundle", "show", text(&file), "--data-dir", text(dir.path())]);
    assert!(words.contains("高城镇") && words.contains("shown at that node only"), "{words}");

    let refused = run_refused(["bundle", "import", text(&file), "--data-dir", text(&village.dir)]);
    assert!(refused.contains("\"高城镇\" (370322102)"), "{refused}");
    let second = dir.path().join("second.bundle");
    export(&village, &second, &["--for", TOWN]);
    let key = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        let reader = Reader::open(bytes.as_slice(), &[]).unwrap();
        reader.cover().receiver.as_ref().unwrap().ephemeral
    };
    assert_ne!(key(&file), key(&second));
    assert_eq!(import(&town, &file)["new"], 30);

    let open = dir.path().join("open.bundle");
    let export = ["bundle", "export", "--data-dir", text(&village.dir), "--out", text(&open)];
    let ran = run([&export[..], &["--region", VILLAGE]].concat(), "");
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("--for NODE") && !open.exists(), "{}", ran.stderr);
    let ran = run([&export[..], &["--region", VILLAGE, "--open", "--for", TOWN]].concat(), "");
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    let ran = run([&export[..], &["--region", VILLAGE, "--open"]].concat(), "");
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("warning") && ran.stderr.contains("personal data"));
    assert_eq!(show(&open, dir.path())["changes"], 30);
}

/// Gives a node a new key, certified by the one above; with what that says of the old certificate.
fn change_key(node: &Node, above: &Node) -> (Vec<Vec<u8>>, Vec<u8>) {
    let keystore = Keystore::new(&node.dir);
    let old = keystore.identity().unwrap().certificate;
    let issuer = Keystore::new(&above.dir).identity().unwrap();
    let next = keystore.create_key(NEXT_KEY, &mut rand::rng()).unwrap();
    let body = CertificateBody { subject: public_key(&next), ..old.body().clone() };
    let mut chain = issuer.chain.clone();
    chain.push(Certificate::issue(&body, &issuer.key));
    keystore.renew(&chain).unwrap();
    let revocation = RevocationBody {
        own: Standing::all(old.serial()),
        successor: Some(keystore.identity().unwrap().certificate.serial()),
        descendants: vec![Standing::all(old.serial())],
        reason: "replaced".to_owned(),
        issuer: Some(issuer.certificate.serial()),
    };
    (chain, revocation.sign(&issuer.key))
}

/// Shows that what was exported for the key that a town had before says at the town that it has
/// to be exported again, and that the village, once it knows the new certificate, exports for that
/// key by the same words, and the town takes it in.
#[test]
fn after_a_change_of_key_it_is_exported_again() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[COUNTY, TOWN, VILLAGE]);
    let [county, town, village] = layout.nodes.as_slice() else { panic!("three nodes") };
    load(village, 5, |_| "王建国".to_owned());
    let [first, second, third] =
        ["first", "second", "third"].map(|name| dir.path().join(name).with_extension("bundle"));
    export(village, &first, &["--for", "高城镇"]);
    let (chain, revocation) = change_key(town, county);
    export(village, &second, &["--for", TOWN]);
    for file in [&first, &second] {
        let refused = run_refused(["bundle", "import", text(file), "--data-dir", text(&town.dir)]);
        assert!(refused.contains("has to export again"), "{refused}");
    }
    let (store, _) = open_store(&village.dir).unwrap();
    assert_eq!(store.add_certificates(&chain).unwrap(), Vec::<String>::new());
    assert_eq!(store.add_revocations(&[revocation]).unwrap(), Vec::<String>::new());
    drop(store);
    export(village, &third, &["--for", "高城镇"]);
    assert_eq!(import(town, &third)["new"], 5);
}

/// Changes in the store of a node, looked at from outside; 0 while that is not possible.
fn durable(node: &Node) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let count = |connection: Connection| {
        connection.query_row("SELECT count(*) FROM change", [], |row| row.get(0))
    };
    Connection::open_with_flags(node.dir.join("store.sqlite"), flags).and_then(count).unwrap_or(0)
}

/// Imports a file of which the last quarter does not come, until something is durable, and kills
/// the command. What comes has a stamp in it.
fn kill_halfway(town: &Node, file: &Path) {
    let pipe = file.with_extension("pipe");
    if !pipe.exists() {
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    }
    let before = durable(town);
    let arguments = ["bundle", "import", text(&pipe), "--data-dir", text(&town.dir)];
    let mut command = command(arguments);
    let mut child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut writing = std::fs::File::options().write(true).open(&pipe).unwrap();
    let bytes = std::fs::read(file).unwrap();
    let most = &bytes[..bytes.len() * 3 / 4];
    assert!(most.len() > 5 << 20, "{} bytes have a stamp", most.len());
    writing.write_all(most).unwrap();
    wait_for("a part of the bundle", || durable(town) > before);
    child.0.kill().unwrap();
    assert!(!child.0.wait().unwrap().success());
}

/// Shows that an import killed halfway, with the store in its process or with a node beside it,
/// leaves a sound store with what was durable, that the next run goes on from there, and that of a
/// file whose end is missing the good part is taken in, the rest is named, and the exit code says
/// so.
#[test]
fn a_killed_import_is_done_again() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = nodes(&layout);
    load(&village, 100, |number| noise(number.into(), 150_000));
    let file = dir.path().join("all.bundle");
    export(&village, &file, &["--for", TOWN]);

    kill_halfway(&town, &file);
    let first = changes(&town);
    assert!((1..100).contains(&first), "{first} changes are durable");
    let (store, _) = open_store(&town.dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
    drop(store);

    let cut = dir.path().join("cut.bundle");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 10]).unwrap();
    let ran = run(["bundle", "import", text(&cut), "--data-dir", text(&town.dir), "--json"], "");
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("ends early") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&said["whole"], &said["known"]), (&json!(false), &json!(first)), "{said}");
    assert_eq!(run(["bundle", "show", text(&cut)], "").code, Some(3));
    let second = changes(&town);
    assert!((first..100).contains(&second), "the end of the bundle is missing");

    let done = import(&town, &file);
    assert_eq!((&done["new"], &done["known"]), (&json!(100 - second), &json!(second)), "{done}");
    assert_eq!(import(&town, &file)["new"], 0);
    let (store, _) = open_store(&town.dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(store.counts().unwrap().total.changes, 100);
}

/// Shows that a command that is killed while a node takes a bundle in does the node no harm: it goes
/// on serving, and the next command goes on from what was durable.
#[test]
fn a_node_outlives_the_command() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = nodes(&layout);
    load(&village, 100, |number| noise(number.into(), 150_000));
    let file = dir.path().join("all.bundle");
    export(&village, &file, &["--for", TOWN]);
    let mut fleet = fleet(layout);
    well(fleet.start(0));
    kill_halfway(&town, &file);
    let halfway = durable(&town);
    assert!((1..100).contains(&halfway), "{halfway} changes are durable");
    let done = import(&town, &file);
    assert_eq!((&done["whole"], &done["refused"]), (&json!(true), &json!(0)), "{done}");
    assert_eq!(durable(&town), 100);
    fleet.stop_all();
    let (store, _) = open_store(&town.dir).unwrap();
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that an export killed at any moment leaves no file with the name of a bundle, and that
/// the next one takes nothing over from it and leaves nothing beside its file.
#[test]
fn a_killed_export_leaves_no_bundle() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (_, village) = nodes(&layout);
    load(&village, 3_000, |_| "王建国".to_owned());
    let stick = dir.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    let file = stick.join("all.bundle");
    let fixed = ["bundle", "export", "--data-dir", text(&village.dir), "--for", TOWN, "--out"];
    let arguments = [&fixed[..], &[text(&file)]].concat();
    for pause_ms in std::iter::successors(Some(4_u64), |pause| Some(pause * 5 / 4 + 2)) {
        let mut command = command(&arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not waiting for anything: the moment of the kill is what is varied.
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().unwrap();
        let done = child.wait().unwrap().success();
        if file.exists() {
            run_well(["bundle", "show", text(&file)]);
        }
        if done {
            break;
        }
        // A kill between the renaming and the end leaves a whole bundle.
        let _ = std::fs::remove_file(&file);
    }
    let names: Vec<PathBuf> = files(&stick).into_keys().collect();
    assert_eq!(names, [file]);
}

/// Shows that a town whose first copy came in files uses the line for nothing: the county exports
/// for it what it has, cut into parts, and the first session finds them equal.
#[test]
fn a_first_copy_without_the_line() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[COUNTY, TOWN]);
    let (county, town) = nodes(&layout);
    let (store, identity) = open_store(&county.dir).unwrap();
    let writes = (0..2_000).map(|n| put(home(Category::TICKET, VILLAGE, n), "路灯不亮"));
    store.write(&node_author(&identity), writes.collect(), NOW_MS).unwrap();
    // As `issue` has it when the node does it itself.
    let chain = Keystore::new(&town.dir).identity().unwrap().chain;
    assert_eq!(store.add_certificates(&chain).unwrap(), Vec::<String>::new());
    drop((store, identity));
    let mut fleet = fleet(layout);
    well(fleet.start(0));
    let out = dir.path().join("first");
    let made = export(&county, &out, &["--for", "高城镇", "--split", "700M"]);
    assert_eq!((&made["parts"], &made["changes"]), (&json!(1), &json!(2_000)), "{made}");
    let part = PathBuf::from(made["files"][0]["path"].as_str().unwrap());
    assert!(text(&part).ends_with("first.001"), "{made}");
    assert_eq!(import(&town, &part)["new"], 2_000);
    well(fleet.start(1));
    well(fleet.converge(PATIENCE, |_| {}));
    let traffic = traffic(&fleet, 1);
    assert_eq!((&traffic["sent"], &traffic["received"]), (&json!(0), &json!(0)), "{traffic}");
}

//! What the program refuses to do, untouched, with words that help.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use cunlian_crdt::store::VERSION;
use cunlian_host::config::Config;
use cunlian_tests::federation::{COUNTY, fleet, lay_out, well};
use cunlian_tests::ports::free_rows;
use cunlian_tests::program::{Running, command, files, run, run_refused, wait_for};
use serde_json::Value;
use tempfile::tempdir;

fn run_node(dir: &Path) -> String {
    run_refused(["run", "--data-dir", dir.to_str().unwrap()])
}

/// Shows that a data directory written by a newer version is refused by every command that would
/// open it, without a byte changed, and that the words name the way out.
#[test]
fn data_of_a_newer_version_are_left_untouched() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY]);
    let county = layout.county().dir.clone();
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    fleet.stop_all();
    let store = rusqlite::Connection::open(county.join("store.sqlite")).unwrap();
    store.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(store);
    let before = files(&county);
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo/divisions-370322.csv");
    let data_dir = county.to_str().unwrap();
    for arguments in [
        vec!["run", "--data-dir", data_dir],
        vec!["verify", "--data-dir", data_dir],
        vec!["import", "divisions", list, "--data-dir", data_dir],
    ] {
        let errors = run_refused(&arguments);
        assert!(errors.contains("newer"), "{arguments:?}: {errors}");
        assert!(errors.contains(&(VERSION + 1).to_string()), "{arguments:?}: {errors}");
        let after = files(&county);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        assert!(before == after, "{arguments:?} changed a file");
    }
}

/// Shows that a port in use is named, UDP or TCP, with what to do, and that the refused node has
/// started nothing.
#[test]
fn a_busy_port_is_named() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY]);
    let county = layout.county().clone();
    let udp = UdpSocket::bind(county.listen).unwrap();
    let errors = run_node(&county.dir);
    assert!(errors.contains(&county.listen.port().to_string()), "{errors}");
    assert!(errors.contains("cunlian.toml"), "{errors}");
    drop(udp);
    let tcp = TcpListener::bind(county.http).unwrap();
    let errors = run_node(&county.dir);
    assert!(errors.contains(&county.http.port().to_string()), "{errors}");
    drop(tcp);
    let mut fleet = fleet(layout);
    well(fleet.start_all());
}

/// Shows that a demo whose ports are taken, as by another demo, says which port it is and how to
/// choose others, before it has made anything.
#[test]
fn a_second_demo_says_which_port_is_taken() {
    let dir = tempdir().unwrap();
    let place = dir.path().join("demo");
    let (udp_base, http_base) = free_rows();
    for busy in [udp_base + 3, http_base + 1] {
        let _udp = UdpSocket::bind(("127.0.0.1", busy)).unwrap();
        let _tcp = TcpListener::bind(("127.0.0.1", busy)).unwrap();
        for headless in [true, false] {
            let (udp_text, http_text) = (udp_base.to_string(), http_base.to_string());
            let mut arguments = vec!["demo", "--records", "42", "--dir", place.to_str().unwrap()];
            arguments.extend(["--udp-base", &udp_text, "--http-base", &http_text]);
            if headless {
                arguments.extend(["--headless", "--json"]);
            }
            let errors = run_refused(&arguments);
            assert!(errors.contains(&format!("port {busy}")), "{errors}");
            assert!(errors.contains("--udp-base"), "{errors}");
            assert!(!place.join(COUNTY).exists(), "something was made");
        }
    }
}

/// Shows that a second process on a data directory is refused, by name of the directory, and that
/// the first one goes on.
#[test]
fn one_data_directory_serves_one_process() {
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY]);
    let county = layout.county().clone();
    let mut first = command(["run", "--data-dir"]);
    first.arg(&county.dir).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = Running(first.spawn().unwrap());
    let data_dir = county.dir.to_str().unwrap();
    wait_for("the node", || run(["status", "--data-dir", data_dir], "").code == Some(0));
    // With ports of its own, so that it is the directory that is refused.
    let ports = cunlian_tests::ports::Ports::free();
    let config = Config::load(&county.dir).unwrap();
    let other = Config { listen: ports.listen(), http: ports.http(), ..config };
    other.save(&county.dir).unwrap();
    let errors = run_node(&county.dir);
    assert!(errors.contains(data_dir), "{errors}");
    assert!(errors.contains("cunlian status"), "{errors}");
    assert!(first.0.try_wait().unwrap().is_none());
    let status = run(["status", "--json", "--data-dir", data_dir], "");
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["health"]["state"], "ok");
}

/// Shows that broken rows of a CSV file are reported with line and reason and that all others are
/// imported: the real list of the county with a broken line after every fortieth.
#[test]
fn broken_rows_are_reported_and_the_rest_is_imported() {
    const BROKEN: [&str; 7] = [
        "370322ABC,town,字母镇,370322",
        "37032210,town,短码镇,370322",
        "370322103999,galaxy,无此级村,370322103",
        "370322103998,village",
        "370322103997,village,,370322103",
        "\"370322103996,village,引号没关",
        "370322103995,village,上级错村,370322101",
    ];
    let dir = tempdir().unwrap();
    let layout = lay_out(dir.path(), &[COUNTY]);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo/divisions-370322.csv");
    let source = fs::read_to_string(source).unwrap();
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    let mut waiting = BROKEN.iter();
    for (number, line) in source.lines().enumerate() {
        lines.push(line.to_owned());
        if number % 40 == 39
            && let Some(bad) = waiting.next()
        {
            lines.push((*bad).to_owned());
            broken.push(lines.len());
        }
    }
    assert_eq!(broken.len(), BROKEN.len());
    let file = dir.path().join("broken.csv");
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let data_dir = layout.county().dir.to_str().unwrap();
    let ran = run(["import", "divisions", file.to_str().unwrap(), "--data-dir", data_dir], "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report =
        run(["import", "divisions", file.to_str().unwrap(), "--json", "--data-dir", data_dir], "");
    for line in &broken {
        let said = ran.stdout.lines().find(|text| text.starts_with(&format!("line {line}: ")));
        assert!(said.is_some_and(|text| text.contains("rejected: ")), "{line}: {}", ran.stdout);
    }
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let sound = u64::try_from(source.lines().count() - 1).unwrap();
    assert_eq!(report["unchanged"].as_u64(), Some(sound), "{report}");
}

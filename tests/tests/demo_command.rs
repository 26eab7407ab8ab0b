//! `cunlian demo` for a person: ten processes that stay together, whatever happens to one of them.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE};
use cunlian_tests::ports::free_rows;
use cunlian_tests::program::{Running, command, run, wait_for};
use tempfile::tempdir;

/// The process that runs a node of the demo.
fn process_of(demo: u32, data_dir: &Path) -> Option<u32> {
    let parent = format!("PPid:\t{demo}\n");
    let runs = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let is_here = String::from_utf8_lossy(&line).contains(data_dir.to_str().unwrap());
        status.contains(&parent) && is_here
    };
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).find(runs)
}

fn answers(data_dir: &Path) -> bool {
    run(["status", "--data-dir", data_dir.to_str().unwrap()], "").code == Some(0)
}

/// Shows that a node of the demo that is killed as by a power cut is named and started again, and
/// answers, while the others go on in the processes they were in.
#[test]
fn a_node_that_is_killed_is_named_and_started_again() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("demo");
    let (udp_base, http_base) = free_rows();
    let (out, log) = (dir.path().join("out"), dir.path().join("log"));
    let bases = [udp_base.to_string(), http_base.to_string()];
    let place = ["demo", "--records", "420", "--dir", data.to_str().unwrap()];
    let mut demo =
        command(place.iter().chain(&["--udp-base", &bases[0], "--http-base", &bases[1]]));
    demo.stdin(Stdio::null()).stdout(File::create(&out).unwrap());
    let mut demo = Running(demo.stderr(File::create(&log).unwrap()).spawn().unwrap());
    wait_for("the demo", || {
        let ended = demo.0.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
        fs::read_to_string(&out).unwrap().contains("Ctrl-C stops all nodes")
    });
    let [county, town, village] = [COUNTY, TOWN, VILLAGE].map(|code| data.join(code));
    let of = |node: &Path| process_of(demo.0.id(), node);
    let before = [of(&county), of(&town)];
    let killed = of(&village).expect("the village runs");
    assert!(before.iter().all(Option::is_some), "{before:?}");
    let kill = Command::new("kill").args(["-9", &killed.to_string()]).status().unwrap();
    assert!(kill.success());
    wait_for("the node again", || of(&village).is_some_and(|id| id != killed));
    wait_for("its answer", || answers(&village));
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("苑兴村") && said.contains("signal: 9"), "{said}");
    assert_eq!([of(&county), of(&town)], before, "the others go on");
    assert!(answers(&town));
}

//! The pages of the real binary, through a power cut.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};

use cunlian_tests::program::{Running, command, run, run_well};

use super::fixture::PASSWORD;
use super::plain::Plain;

/// A node whose output is read, so that it can go on writing.
struct Node {
    _process: Running,
    _output: BufReader<ChildStdout>,
}

/// Starts the node of a data directory and gives the address of its pages.
fn start(directory: &str) -> (Node, String) {
    let mut run = command(["run", "--data-dir", directory]);
    let mut process = Running(run.stdout(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(process.0.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("pages: ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (Node { _process: process, _output: output }, url)
}

fn found_village(directory: &Path) -> &str {
    let directory = directory.to_str().unwrap();
    run_well([
        "init",
        "--data-dir",
        directory,
        "--found",
        "--tier",
        "village",
        "--region",
        "370322102310",
        "--name",
        "苑兴村",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    let add = [
        "operator",
        "add",
        "wang",
        "--display-name",
        "王书记",
        "--role",
        "village_operator",
        "--data-dir",
        directory,
    ];
    let added = run(add, &format!("{PASSWORD}\n"));
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    directory
}

/// Shows that what a page has said is saved is there after the process was killed, and that the
/// session is not.
#[test]
fn what_was_saved_survives_a_killed_process() {
    let directory = tempfile::tempdir().unwrap();
    let directory = found_village(directory.path());
    let (node, url) = start(directory);
    let plain = Plain::new(&url);
    plain.log_in("wang");
    let form = "/records/new/population";
    let saved = plain.submit(form, form, &[("name", "张三"), ("sex", "男")]);
    assert!(saved.text.contains("已保存在本机"), "{}", saved.text);
    drop(node);

    let (_node, url) = start(directory);
    let plain = Plain::new(&url);
    assert!(plain.get("/today").path.starts_with("/login"), "the session is gone");
    plain.log_in("wang");
    assert!(plain.get("/records?q=zhangsan").text.contains("张三"));
}

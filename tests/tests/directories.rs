//! Data directories as people leave them: open to others, with long names, with files of root and
//! with files that are damaged. The real program makes the best of each and says what it did.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cunlian_tests::federation::COUNTY;
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{Running, command, program, run, run_well, wait_for};
use tempfile::{TempDir, tempdir};

/// Somebody who is not root; the system keeps nothing of theirs.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "gaoqing-2026";

/// Founds a county in a directory.
fn found(data_dir: &Path) {
    let ports = Ports::free();
    let (listen, http) = (ports.listen().to_string(), ports.http().to_string());
    let data = data_dir.to_str().unwrap();
    let place = ["--found", "--region", COUNTY, "--name", "高青县"];
    let arguments = ["init", "--data-dir", data, "--listen", &listen, "--http", &http];
    run_well(arguments.iter().chain(&place));
}

fn add_operator(data_dir: &Path, name: &str) -> [String; 9] {
    let data = data_dir.to_str().unwrap();
    let words =
        ["operator", "add", name, "--display-name", name, "--role", "analyst", "--data-dir", data];
    words.map(str::to_owned)
}

/// Starts the node of a directory, its log beside it.
fn start(data_dir: &Path, log: &Path) -> Running {
    let file = File::create(log).unwrap();
    let mut node = command(["run", "--data-dir", data_dir.to_str().unwrap()]);
    let node = node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    Running(node.spawn().unwrap())
}

fn answers(data_dir: &Path) -> bool {
    run(["status", "--data-dir", data_dir.to_str().unwrap()], "").code == Some(0)
}

fn paths(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(paths(&path)) } else { found.push(path) }
    }
    found
}

/// A directory that others may walk through.
fn passable() -> TempDir {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Shows that `init` in a directory that others may read, with leavings that they may read, closes
/// both, and that nothing that the node makes from then on is open to others.
#[test]
fn nothing_in_a_data_directory_is_open_to_others() {
    let dir = passable();
    let left = dir.path().join("operators");
    fs::create_dir(&left).unwrap();
    for file in [dir.path().join("notes.txt"), left.join("old.txt")] {
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&left, Permissions::from_mode(0o755)).unwrap();
    found(dir.path());
    let ran = run(add_operator(dir.path(), "wang"), &format!("{PASSWORD}\n"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let log = tempdir().unwrap();
    let node = start(dir.path(), &log.path().join("log"));
    wait_for("the node", || answers(dir.path()));
    drop(node);
    for path in paths(dir.path()) {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {:o}", path.display(), mode & 0o777);
    }
    assert!(paths(dir.path()).iter().any(|path| path.ends_with("store.sqlite")));
}

/// Shows that a directory whose path is longer than the address of a socket may be is run and
/// answers: thirty-five Chinese characters, and two hundred letters.
#[test]
fn a_long_path_runs() {
    for name in ["村".repeat(35), "a".repeat(200)] {
        let dir = tempdir().unwrap();
        let data_dir = dir.path().join(&name);
        found(&data_dir);
        let log = dir.path().join("log");
        let mut node = start(&data_dir, &log);
        wait_for(&name, || {
            let ended = node.0.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
            answers(&data_dir)
        });
        // What a running node does for an administrator goes the same way.
        let ran = run(add_operator(&data_dir, "wang"), &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
}

/// Shows that one file of a person that cannot be read is named in the log, and that the node and
/// the other people go on.
#[test]
fn a_damaged_file_of_a_person_stops_nobody_else() {
    let dir = tempdir().unwrap();
    let data_dir = dir.path().join("data");
    found(&data_dir);
    for name in ["wang", "zhang"] {
        let ran = run(add_operator(&data_dir, name), &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let file = data_dir.join("operators/wang.json");
    assert!(file.exists(), "{:?}", paths(&data_dir));
    fs::write(&file, "{ this was cut").unwrap();
    let log = dir.path().join("log");
    let _node = start(&data_dir, &log);
    wait_for("the node", || answers(&data_dir));
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("wang.json"), "{said}");
    let config = cunlian_host::config::Config::load(&data_dir).unwrap();
    let person = cunlian_tests::visitor::Person::log_in(config.http, "zhang", PASSWORD);
    assert!(person.get("/status").contains("高青县"));
}

/// Shows that a command of root in the data directory of another user leaves files of that user
/// alone, or, where it cannot become that user, refuses with a hint and leaves nothing.
#[test]
fn a_command_of_root_leaves_nothing_of_root() {
    // As this user nobody else can be played.
    assert!(fs::metadata("/proc/self").unwrap().uid() == 0, "this suite runs as root");
    let dir = passable();
    let data_dir = dir.path().join("data");
    found(&data_dir);
    for path in paths(&data_dir) {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let before = paths(&data_dir).len();
    let arguments = add_operator(&data_dir, "wang");
    let run_by = |program: &Path| {
        let mut child = Command::new(program)
            .args(&arguments)
            .env_remove("CUNLIAN_DATA_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, format!("{PASSWORD}\n").as_bytes()).unwrap();
        drop(input);
        child.wait_with_output().unwrap()
    };
    // A program that only root may run cannot go on as somebody else.
    let hidden = dir.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).unwrap();
    let copied = hidden.join("cunlian");
    fs::copy(program(), &copied).unwrap();
    let refused = run_by(&copied);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("hint: ") && said.contains("65534"), "{said}");
    assert_eq!(paths(&data_dir).len(), before, "nothing was left");

    fs::set_permissions(&hidden, Permissions::from_mode(0o755)).unwrap();
    let done = run_by(&copied);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(paths(&data_dir).len() > before);
    for path in paths(&data_dir) {
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), NOBODY, "{}", path.display());
    }
}

/// Commands that need a data directory, as somebody types them.
const COMMANDS: [&[&str]; 29] = [
    &["run"],
    &["status"],
    &["status", "--json"],
    &["verify"],
    &["invite", "--region", "370322102", "--name", "高城镇"],
    &["invite", "list"],
    &["issue", "request.txt", "--out", "issued.txt"],
    &["accept", "issued.txt"],
    &["revoke", "王建国", "--reason", "x"],
    &["revoke", "list"],
    &["review", "list"],
    &["erase", "370322102310", "ticket", "00", "--reason", "x", "--as", "admin"],
    &["cert", "show"],
    &["cert", "tree"],
    &["backup", "copies"],
    &["bundle", "export", "--out", "file", "--open", "--region", "370322102"],
    &["bundle", "import", "file"],
    &["resume"],
    &["node", "list"],
    &["node", "release", "x"],
    &["node", "quota", "x"],
    &["node", "believe-clock"],
    &["rotate"],
    &["rotate", "--root"],
    &["renew"],
    &["operator", "list"],
    &["operator", "unlock", "x"],
    &["operator", "remove", "x"],
    &["import", "divisions", "file"],
];

/// Shows that every command that needs a data directory says which one it missed and how to name
/// another, makes none, and does so before it looks at anything else.
#[test]
fn a_missing_data_directory_is_named_by_every_command() {
    let dir = tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let mut said = 0;
    for arguments in COMMANDS {
        let ran =
            run(arguments.iter().copied().chain(["--data-dir", missing.to_str().unwrap()]), "");
        // A word that this table has wrong is told as such, by the usage of the command.
        assert_ne!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.stderr);
        let error = format!("error: there is no data directory {}", missing.display());
        assert!(ran.stderr.contains(&error), "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("hint: name it with --data-dir"),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(!missing.exists(), "{arguments:?} made it");
        said += 1;
    }
    assert_eq!(said, COMMANDS.len());
}

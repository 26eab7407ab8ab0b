//! What the lower crates may not touch: the protocol nothing outside its arguments, the store and
//! the domain neither clock nor network.

use std::collections::BTreeSet;

use super::tree::{code_lines, has_word};

/// Packages that bring sockets, threads, files, randomness of the system, or another crate's job.
const IMPURE_PACKAGES: [&str; 14] = [
    "automerge",
    "getrandom",
    "libc",
    "mio",
    "parking_lot",
    "quinn",
    "quinn-proto",
    "rand",
    "rayon",
    "rusqlite",
    "rustls",
    "socket2",
    "tokio",
    "web-time",
];

/// Types and functions of the standard library and beyond that read the world.
const IMPURE_WORDS: [&str; 8] =
    ["HashMap", "HashSet", "Instant", "SystemTime", "OsRng", "SysRng", "thread_rng", "getrandom"];

/// Modules of the standard library that touch the world.
const IMPURE_MODULES: [&str; 6] = ["env", "fs", "net", "os", "process", "thread"];

/// Ways to read a clock.
const CLOCKS: [&str; 4] = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// Ways to a socket.
const SOCKETS: [&str; 4] = ["std::net", "tokio", "quinn", "axum"];

/// Packages of the set that a pure crate must not link.
pub(crate) fn impure_packages(names: &BTreeSet<String>) -> Vec<String> {
    IMPURE_PACKAGES
        .iter()
        .filter(|name| names.contains(**name))
        .map(|name| format!("cunlian-protocol links {name}"))
        .collect()
}

/// Words in the code of the protocol crate that it must do without.
pub(crate) fn impure_protocol_source(path: &str, text: &str) -> Vec<String> {
    let mut findings = words(path, text, &IMPURE_WORDS);
    for module in IMPURE_MODULES {
        findings.extend(words(path, text, &[&format!("std::{module}")]));
    }
    // `use std::{fs, …}` hides the module names from the search above.
    findings.extend(words(path, text, &["std::{"]));
    findings
}

/// Places in a crate below the node that read a clock or reach for the network.
pub(crate) fn clock_or_socket(path: &str, text: &str) -> Vec<String> {
    let mut findings = words(path, text, &CLOCKS);
    findings.extend(words(path, text, &SOCKETS));
    findings
}

fn words(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    code_lines(text)
        .flat_map(|(number, line)| {
            let found = words.iter().filter(move |word| has_word(line, word));
            found.map(move |word| format!("{path}:{number}: {word} does not belong here"))
        })
        .collect()
}

#[test]
fn impure_code_is_found_and_comments_are_not() {
    for bad in [
        "use std::collections::HashMap;",
        "let at = std::time::Instant::now();",
        "std::fs::read(path)",
        "use std::{fs, io};",
        "std::thread::spawn(work);",
    ] {
        assert!(!impure_protocol_source("x.rs", bad).is_empty(), "{bad}");
    }
    let good = "//! No HashMap, no std::net.\nuse std::collections::BTreeMap;\n";
    assert_eq!(impure_protocol_source("x.rs", good), Vec::<String>::new());
}

#[test]
fn a_clock_and_a_socket_are_found() {
    assert_eq!(clock_or_socket("x.rs", "let now = jiff::Timestamp::now();").len(), 1);
    assert_eq!(clock_or_socket("x.rs", "use std::net::TcpStream;").len(), 1);
    assert_eq!(clock_or_socket("x.rs", "let now_ms = clock.now_ms();").len(), 0);
}

#[test]
fn an_impure_package_is_found() {
    let names = ["blake3", "tokio"].map(ToOwned::to_owned).into();
    assert_eq!(impure_packages(&names), ["cunlian-protocol links tokio"]);
}

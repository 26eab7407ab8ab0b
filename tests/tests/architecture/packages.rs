//! The dependency graph: where packages come from, which are banned, and which way they point.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{CRATES, tree};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that must not appear at any version, with the reason.
const BANNED: [(&str, &str); 8] = [
    ("sled", "lost acknowledged transactions in every power cut, see docs/decisions"),
    ("bincode", "abandoned, see docs/decisions"),
    ("openssl-sys", "rustls with ring is the one TLS stack"),
    ("native-tls", "rustls with ring is the one TLS stack"),
    ("aws-lc-rs", "ring is the one crypto provider"),
    ("aws-lc-sys", "ring is the one crypto provider"),
    ("atomic-polyfill", "unmaintained; a default feature of postcard brings it"),
    ("heapless", "a default feature of postcard brings an old one, with atomic-polyfill"),
];

/// Oldest version that may be locked.
const AT_LEAST: [(&str, [u64; 3], &str); 2] = [
    ("rustls-webpki", [0, 103, 0], "0.102 has open advisories"),
    ("quinn-proto", [0, 11, 15], "older ones have open advisories"),
];

/// Crates that must be locked at one version only.
const SINGLE: [(&str, &str); 1] =
    [("ring", "two crypto providers cannot share one process default")];

/// A package of the lock file.
#[derive(Debug)]
pub(crate) struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

/// What `cargo metadata` says of the workspace on Linux, where nodes run. Packages that only other
/// systems would need are in the lock file, and are judged there.
pub(crate) fn metadata() -> Value {
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--filter-platform", host().as_str()]
            .map(ToOwned::to_owned);
    serde_json::from_str(&cargo(&arguments)).expect("JSON from cargo metadata")
}

/// The packages of a lock file, as cargo writes it.
pub(crate) fn locked(text: &str) -> Vec<Locked> {
    let value = |entry: &str, key: &str| {
        let start = format!("{key} = \"");
        entry
            .lines()
            .find_map(|line| line.strip_prefix(start.as_str())?.strip_suffix('"'))
            .map(ToOwned::to_owned)
    };
    text.split("[[package]]")
        .skip(1)
        .map(|entry| Locked {
            name: value(entry, "name").expect("a package has a name"),
            version: value(entry, "version").expect("a package has a version"),
            source: value(entry, "source"),
        })
        .collect()
}

/// Packages that come neither from the registry nor from this workspace.
pub(crate) fn foreign_sources(locked: &[Locked]) -> Vec<String> {
    locked
        .iter()
        .filter(|package| match package.source.as_deref() {
            Some(source) => source != REGISTRY,
            None => !package.name.strip_prefix("cunlian-").is_some_and(|n| CRATES.contains(&n)),
        })
        .map(|package| format!("{} comes from {:?}", package.name, package.source))
        .collect()
}

/// Packages that are banned, too old, or there twice where they may not be.
pub(crate) fn banned(locked: &[Locked]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in locked {
        let Locked { name, version, .. } = package;
        for (_, reason) in BANNED.iter().filter(|(banned, _)| banned == name) {
            findings.push(format!("{name} {version} is banned: {reason}"));
        }
        for (_, least, reason) in AT_LEAST.iter().filter(|(wanted, ..)| wanted == name) {
            if numbers(version) < *least {
                findings.push(format!("{name} {version} is too old: {reason}"));
            }
        }
    }
    for (name, reason) in SINGLE {
        let versions = locked.iter().filter(|package| package.name == name).count();
        if versions > 1 {
            findings.push(format!("{name} is locked {versions} times: {reason}"));
        }
    }
    findings
}

/// Workspace crates that depend on one above themselves. Test dependencies count too.
pub(crate) fn wrong_directions(metadata: &Value) -> Vec<String> {
    let rank =
        |name: &str| CRATES.iter().position(|known| name.strip_prefix("cunlian-") == Some(known));
    let mut findings = Vec::new();
    let mut seen = 0;
    for package in metadata.get("packages").and_then(Value::as_array).expect("packages") {
        let name = package.get("name").and_then(Value::as_str).expect("a name");
        let Some(own) = rank(name) else { continue };
        seen += 1;
        for dependency in package.get("dependencies").and_then(Value::as_array).expect("a list") {
            let other = dependency.get("name").and_then(Value::as_str).expect("a name");
            if rank(other).is_some_and(|other| other >= own) {
                findings.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    assert_eq!(seen, CRATES.len(), "every crate of the workspace is ranked");
    findings
}

/// Names of all packages that the crate links into a program, without build and test ones.
pub(crate) fn linked_by(package: &str) -> BTreeSet<String> {
    // Procedural macros run in the compiler; the code they bring is not in the program.
    let arguments =
        ["tree", "--locked", "-e", "normal,no-proc-macro", "--prefix", "none", "-p", package]
            .map(ToOwned::to_owned);
    cargo(&arguments)
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(ToOwned::to_owned))
        .collect()
}

/// Version as numbers; what follows a hyphen or a plus does not count.
fn numbers(version: &str) -> [u64; 3] {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8(output.stdout).expect("text from rustc");
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

fn cargo(arguments: &[String]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(arguments).current_dir(tree::root()).output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?} failed:\n{errors}");
    String::from_utf8(output.stdout).expect("text from cargo")
}

#[test]
fn a_git_source_and_a_stray_path_are_found() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"git+https://b\"\n\n\
                [[package]]\nname = \"cunlian-stray\"\nversion = \"1.0.0\"\n\n\
                [[package]]\nname = \"cunlian-node\"\nversion = \"1.0.0\"\n";
    assert_eq!(foreign_sources(&locked(lock)).len(), 2);
}

#[test]
fn banned_old_and_doubled_crates_are_found() {
    let package = |name: &str, version: &str| Locked {
        name: name.into(),
        version: version.into(),
        source: None,
    };
    let findings = banned(&[
        package("sled", "0.34.7"),
        package("quinn-proto", "0.11.14"),
        package("rustls-webpki", "0.102.8"),
        package("ring", "0.16.20"),
        package("ring", "0.17.14"),
        package("serde", "1.0.0"),
    ]);
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert_eq!(banned(&[package("quinn-proto", "0.11.15")]), Vec::<String>::new());
}

#[test]
fn a_dependency_that_points_up_is_found() {
    let package = |name: &str, dependency: &str| {
        serde_json::json!({
            "name": name,
            "dependencies": [{ "name": dependency }, { "name": "serde" }],
        })
    };
    let metadata = serde_json::json!({ "packages": [
        package("cunlian-protocol", "cunlian-crdt"),
        package("cunlian-crdt", "cunlian-protocol"),
        package("cunlian-governance", "cunlian-crdt"),
        package("cunlian-host", "cunlian-governance"),
        package("cunlian-web", "cunlian-host"),
        package("cunlian-node", "cunlian-web"),
        package("cunlian-tests", "cunlian-node"),
    ]});
    assert_eq!(wrong_directions(&metadata), ["cunlian-protocol must not depend on cunlian-crdt"]);
}

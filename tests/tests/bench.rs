//! `cunlian bench` measures the product: two processes, two stores, equal at the end.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_tests::program::{run_refused, run_well};
use serde_json::Value;

const RECORDS: u64 = 600;

/// Shows that `bench sync` gives every figure it promises, that an idle meeting costs one round
/// trip and under 2 KB, and that each concurrent edit ends as a conflict that both sides have. It
/// runs the benchmark with a small library; no figure of speed is looked at.
#[test]
fn sync_gives_its_figures_and_equal_stores() {
    let text = run_well(["bench", "sync", "--json", "--records", &RECORDS.to_string()]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let figure = |path: &str| {
        let value = path.split('.').try_fold(&report, |value, key| value.get(key));
        value.and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is missing in {text}"))
    };
    let positive = [
        "cold.records_per_second",
        "cold.wire_bytes_per_record",
        "cold.limit_share",
        "cold.seconds",
        "diff.seconds",
        "diff.wire_bytes",
        "source.rss_mib",
        "destination.rss_mib",
        "limit.verify_seconds",
        "limit.document_seconds",
        "limit.insert_seconds",
        "machine.cores",
    ];
    for path in positive {
        assert!(figure(path) > 0.0, "{path} in {text}");
    }
    assert!(figure("noop.seconds") >= 0.0, "{text}");
    assert_eq!(report.get("equal"), Some(&Value::Bool(true)), "{text}");
    assert!((figure("noop.round_trips") - 1.0).abs() < f64::EPSILON, "{text}");
    assert!(figure("noop.wire_bytes") < 2_048.0, "{text}");
    let edited = report.pointer("/diff/changes_each").and_then(Value::as_u64);
    let conflicts = report.pointer("/diff/conflicts").and_then(Value::as_u64);
    assert_eq!((edited, conflicts), (Some(RECORDS / 100), Some(RECORDS / 100)), "{text}");
}

/// Shows that `bench identity` gives every figure it promises: a chain of four checked, machines
/// that all joined, and every change of the person revoked either marked or gone, with those that
/// the colleague made left. No figure of speed is looked at, except that asking about a known
/// certificate costs less than checking its chain.
#[test]
fn identity_gives_its_figures() {
    let text = run_well(["bench", "identity", "--json", "--joins", "20", "--changes", "300"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let figure = |path: &str| {
        let value = report.pointer(&format!("/{}", path.replace('.', "/")));
        value.and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is missing in {text}"))
    };
    let positive = [
        "chain.bytes",
        "chain.fresh_us",
        "chain.limit_us",
        "chain.limit_share",
        "chain.known_us",
        "chain.may_us",
        "chain.valid_us",
        "joins.seconds",
        "joins.per_second",
        "joins.invite_seconds",
        "joins.limit_share",
        "joins.limit.file_seconds",
        "joins.limit.files",
        "joins.limit.row_seconds",
        "joins.limit.signature_seconds",
        "joins.limit.transaction_us",
        "revocation.seconds",
        "revocation.preview_seconds",
        "revocation.limit_share",
        "revocation.limit.document_seconds",
        "revocation.limit.row_seconds",
        "machine.cores",
    ];
    for path in positive {
        assert!(figure(path) > 0.0, "{path} in {text}");
    }
    assert!(figure("chain.may_us") < figure("chain.fresh_us"), "{text}");
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64);
    assert_eq!(count("/chain/certificates"), Some(4), "{text}");
    assert_eq!(count("/joins/nodes"), Some(20), "{text}");
    // 240 documents, 60 of them with two changes; every third one was edited by the colleague.
    let names = ["changes", "documents", "kept", "tainted", "removed"];
    let found = names.map(|name| count(&format!("/revocation/{name}")));
    assert_eq!(found, [300, 240, 80, 100, 200].map(Some), "{text}");
}

/// Shows that a benchmark does not write into a directory where something is: a cold copy into a
/// store that has data would measure nothing, and the data may be somebody's.
#[test]
fn a_directory_with_something_in_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("kept.txt");
    std::fs::write(&kept, "mine").unwrap();
    let path = directory.path().to_str().unwrap();
    let said = run_refused(["bench", "sync", "--records", "10", "--dir", path]);
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "mine");
}

//! `cunlian bench` measures the product: two processes, two stores, equal at the end.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_tests::program::{run_refused, run_well};
use serde_json::Value;

const RECORDS: u64 = 600;

/// What a benchmark printed.
struct Printed {
    text: String,
    report: Value,
}

impl Printed {
    /// Runs `cunlian bench` with these arguments and `--json`.
    fn by(arguments: &[&str]) -> Self {
        let text = run_well([&["bench"][..], arguments, &["--json"]].concat());
        let report = serde_json::from_str(&text).unwrap();
        Self { text, report }
    }

    fn figure(&self, path: &str) -> f64 {
        let value = self.report.pointer(&format!("/{}", path.replace('.', "/")));
        let value = value.and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{path} is missing in {}", self.text))
    }

    fn assert_positive(&self, paths: &[&str]) {
        for path in paths {
            assert!(self.figure(path) > 0.0, "{path} in {}", self.text);
        }
    }

    fn assert_is(&self, path: &str, expected: f64) {
        let found = self.figure(path);
        assert!((found - expected).abs() < f64::EPSILON, "{path} is {found} in {}", self.text);
    }
}

/// The keys that benchmarks of many waits have.
const SPREAD: [&str; 3] = ["p50_ms", "p99_ms", "worst_ms"];

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
        "cold.first_tenth_per_second",
        "cold.last_tenth_per_second",
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

/// Shows that `bench sync` tells how long a person waited who saved records during the copy, and
/// that there is nobody unless `--person` says so. Both end with equal stores, the records of the person
/// included.
#[test]
fn sync_tells_of_the_person_at_work() {
    let busy = Printed::by(&["sync", "--records", "600", "--person"]);
    busy.assert_positive(&["cold.local_writes.records", "cold.local_writes.p50_ms"]);
    busy.assert_positive(&["cold.local_writes.p99_ms", "cold.local_writes.worst_ms"]);
    assert_eq!(busy.report.get("equal"), Some(&Value::Bool(true)), "{}", busy.text);
    let quiet = Printed::by(&["sync", "--records", "200"]);
    assert_eq!(quiet.report.pointer("/cold/local_writes"), Some(&Value::Null), "{}", quiet.text);
}

/// Shows that `bench reconcile` gives its figures for sets that differ in some changes, in none and
/// in all, over a line in virtual time: the time holds the round trips, and equal sets cost one.
#[test]
fn reconcile_gives_its_figures() {
    let some = Printed::by(&["reconcile", "--items", "6000", "--differences", "40"]);
    some.assert_positive(&["rounds", "wire_bytes", "hello_wire_bytes", "rss_mib"]);
    some.assert_positive(&["limit.allowed_wire_bytes", "limit.wire_bytes_per_id_byte"]);
    assert!(some.figure("seconds") >= 0.3 * some.figure("rounds") - 0.15, "{}", some.text);
    assert!(some.figure("done.seconds") >= some.figure("seconds"), "{}", some.text);
    assert!(some.figure("done.wire_bytes") > some.figure("wire_bytes"), "{}", some.text);
    some.assert_is("limit.id_bytes", 40.0 * 32.0);
    let none = Printed::by(&["reconcile", "--items", "6000", "--differences", "0"]);
    none.assert_is("rounds", 1.0);
    assert!(none.figure("wire_bytes") < 2_048.0, "{}", none.text);
    let all = Printed::by(&["reconcile", "--items", "3000", "--differences", "all"]);
    all.assert_positive(&["rounds", "wire_bytes"]);
    all.assert_is("differences", 6_000.0);
    assert_eq!(all.report.get("done"), Some(&Value::Null), "{}", all.text);
}

/// Shows that `bench storm` brings the changes of all terminals to the town and tells how long
/// each waited. (The bench itself counts the documents at the town.)
#[test]
fn storm_gives_its_figures() {
    let storm = Printed::by(&["storm", "--children", "12", "--changes", "5"]);
    storm.assert_positive(&SPREAD);
    storm.assert_positive(&["seconds", "rss_mib", "children_rss_mib", "limit.seconds"]);
    storm.assert_is("children", 12.0);
    storm.assert_is("changes_each", 5.0);
    assert!(storm.figure("worst_over_median") >= 1.0, "{}", storm.text);
}

/// Shows that `bench propagate` times records from village to county and the three waits for the
/// disk beside it.
#[test]
fn propagate_gives_its_figures() {
    let way = Printed::by(&["propagate", "--records", "5"]);
    way.assert_positive(&SPREAD);
    way.assert_positive(&["limit.p50_ms", "limit.p99_ms", "limit_share"]);
    way.assert_is("limit.fsyncs", 3.0);
    way.assert_is("records", 5.0);
}

/// Shows that `bench degraded` copies a library over a line that loses datagrams, and tells what
/// the line lets through. The line is wide here, so that the test is short.
#[test]
fn degraded_gives_its_figures() {
    let line = ["--bits-per-second", "2000000", "--round-trip-ms", "40", "--loss-percent", "3"];
    let copy = Printed::by(&[["degraded", "--records", "300"].as_slice(), &line].concat());
    copy.assert_positive(&["seconds", "wire_bytes", "goodput_share", "limit.share"]);
    copy.assert_positive(&["relay.datagrams", "relay.lost", "rss_mib"]);
    copy.assert_is("records", 300.0);
}

/// Shows that `bench history` lets documents grow old and tells what one more change costs, and
/// how large a store has become: more than it was when new.
#[test]
fn history_gives_its_figures() {
    let old = Printed::by(&["history", "--years", "1", "--records", "40"]);
    for kind in 0..6 {
        let paths = ["changes", "bytes", "save_ms", "ingest_ms", "view_ms"];
        let paths = paths.map(|path| format!("documents.{kind}.ages.0.{path}"));
        old.assert_positive(&paths.each_ref().map(String::as_str));
    }
    old.assert_is("store.records", 40.0);
    old.assert_is("store.changes", 160.0);
    let (grown, new) = (old.figure("store.bytes_per_record"), "store.new_bytes_per_record");
    assert!(grown > old.figure(new), "{}", old.text);
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

//! Division lists into a store on disk: what is printed, what fails, what to do about it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::sync::Arc;

use cunlian_crdt::store::{StoreIdentity, StoreOptions};
use cunlian_governance::access::preset::grants;
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::divisions::find;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::{SigningKey, public_key};

use super::*;

struct Node {
    directory: tempfile::TempDir,
    store: Store,
    author: Author,
}

impl Node {
    /// The node of 高青县, which the root has certified.
    fn new() -> Self {
        let (root, own) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let body = CertificateBody {
            subject: public_key(&own),
            name: "高青县".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::County,
            grants: grants(&Kinds::built_in(), Tier::County, AddressCode::parse("370322").unwrap()),
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let certificate = Certificate::issue(&body, &root);
        let serial = Serial::of(&certificate);
        let directory = tempfile::tempdir().unwrap();
        let (root, chain) = (public_key(&root), vec![certificate]);
        let identity = StoreIdentity { root, own: Some(serial), chain };
        let options = StoreOptions::default();
        let store = Store::open(directory.path(), Arc::new(GovernanceProjector), identity, options)
            .unwrap();
        Self { directory, store, author: Author { serial, key: own, session: 1 } }
    }

    fn office(&self) -> Office<'_> {
        Office { store: &self.store, author: &self.author, now_ms: 1_000 }
    }

    /// Imports a file of this content; gives what was printed beside the outcome.
    fn import(&self, list: &[u8], json: bool) -> (String, Result<(), DivisionsError>) {
        let file = self.directory.path().join("list.csv");
        fs::write(&file, list).unwrap();
        let mut out = Vec::new();
        let outcome = divisions(&self.office(), &file, json, &mut out);
        (String::from_utf8(out).unwrap(), outcome)
    }
}

const LIST: &[u8] = "code,level,name,parent\n\
    370322102,town,高城镇,\n\
    370322102310,village,苑兴村,370322102\n\
    37032210,village,坏行,370322102\n\
    370322102000,village,高城镇,370322102\n"
    .as_bytes();

#[test]
fn good_rows_are_kept_and_the_others_named() {
    let node = Node::new();
    let (printed, outcome) = node.import(LIST, false);
    outcome.unwrap();
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        [
            "divisions: 4 rows: 2 new, 0 changed, 0 known, 1 placeholders, 1 rejected, 0 outside",
            "line 5: placeholder 370322102000 高城镇: no such place, not entered",
            "line 4: rejected: code: an address code has 2, 4, 6, 9, 12, 15, 20, 22 or 26 digits, \
             not 8: 37032210,village,坏行,370322102",
        ]
    );
    let code = AddressCode::parse("370322102310").unwrap();
    let found = node.store.read(|connection| Ok(find(connection, &code).unwrap())).unwrap();
    assert_eq!(found.map(|village| village.name), Some("苑兴村".to_owned()));
}

#[test]
fn the_report_is_one_json_object() {
    let node = Node::new();
    node.import(LIST, true).1.unwrap();
    let (printed, outcome) = node.import(LIST, true);
    outcome.unwrap();
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        report,
        serde_json::json!({
            "format": "register", "rows": 4, "inserted": 0, "updated": 0, "unchanged": 2,
            "rejected_count": 1,
            "rejected": [{
                "line": 4,
                "reason": "code: an address code has 2, 4, 6, 9, 12, 15, 20, 22 or 26 digits, not 8",
                "text": "37032210,village,坏行,370322102",
            }],
            "placeholder_count": 1,
            "placeholders": [{ "line": 5, "code": "370322102000", "name": "高城镇" }],
            "outside_count": 0,
            "outside": [],
            "missing_parents": 0,
            "missing_successor_count": 0,
            "missing_successors": [],
        })
    );
}

#[test]
fn a_list_of_which_nothing_can_be_used_fails_after_its_report() {
    let (printed, outcome) = Node::new().import(b"code,name\n3.7E+1,x\n", false);
    assert!(printed.contains("line 2: rejected"), "{printed}");
    let error = outcome.unwrap_err();
    assert!(matches!(error, DivisionsError::Nothing { rows: 1, .. }), "{error}");
    assert!(error.hint().contains("codes kept as text"));
}

#[test]
fn what_is_no_list_fails_and_prints_nothing() {
    let node = Node::new();
    for list in [b"".as_slice(), b"a,b\n1,2\n", b"\xff\xfe\x00"] {
        let (printed, outcome) = node.import(list, false);
        assert_eq!(printed, "");
        let error = outcome.unwrap_err();
        assert!(matches!(error, DivisionsError::List { .. }), "{error}");
        assert!(error.hint().contains("code,level,name,parent"));
    }
    let missing = divisions(&node.office(), Path::new("/nonexistent"), false, &mut Vec::new());
    assert!(matches!(missing, Err(DivisionsError::Open { .. })));
    let directory = divisions(&node.office(), node.directory.path(), false, &mut Vec::new());
    assert!(matches!(directory, Err(DivisionsError::Open { .. })));
}

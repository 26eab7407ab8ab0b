//! What must be found afterwards: in the town's log and quarantine everything, elsewhere nothing.

use std::collections::BTreeMap;
use std::fs;

use cunlian_host::opening::open_store;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::limits::CHANGE_BYTES;
use cunlian_tests::hostile::attempt::Findings;
use cunlian_tests::traces::{files_with, tables_with};

pub(crate) fn check(layout: &Layout, found: &Findings) {
    assert!(found.closed.len() > 40 && found.refused.len() > 10 && found.canaries.len() > 5);
    let town = layout.town();
    // The log quotes some texts once more than they are.
    let log = fs::read_to_string(town.dir.join("node.log")).unwrap().replace('\\', "");
    for closed in &found.closed {
        let said = format!("code={:?}", closed.ending.code);
        let lines = || log.lines().filter(|line| line.contains("WARN"));
        let logged = lines().any(|l| l.contains(&said) && l.contains(&closed.ending.reason));
        assert!(logged, "not in the log: {}: {:?}", closed.name, closed.ending);
    }
    let (store, _) = open_store(&town.dir).unwrap();
    let kept: BTreeMap<Vec<u8>, String> = store
        .quarantine(1_000)
        .unwrap()
        .into_iter()
        .map(|refused| (refused.bytes, refused.reason))
        .collect();
    for refused in &found.refused {
        let bytes = refused.bytes.get(..CHANGE_BYTES).unwrap_or(&refused.bytes);
        assert_eq!(kept.get(bytes), Some(&refused.reason), "{}", refused.name);
        assert!(log.contains(&refused.id.to_string()), "not in the log: {}", refused.name);
    }
    for canary in &found.canaries {
        assert_eq!(tables_with(&store, canary), ["quarantine"], "{canary}");
    }
    drop(store);
    for node in layout.nodes.iter().filter(|node| node.index != town.index) {
        assert_no_canary(node, found);
    }
}

fn assert_no_canary(node: &Node, found: &Findings) {
    for canary in &found.canaries {
        assert!(files_with(&node.dir, canary).is_empty(), "{canary} is at {}", node.name);
    }
}

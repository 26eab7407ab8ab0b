//! What must be found afterwards: in the town's log and quarantine everything, elsewhere nothing.

use std::collections::BTreeMap;
use std::fs;

use cunlian_crdt::store::Store;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_node::service::open_store;
use cunlian_protocol::id::ChangeId;
use cunlian_tests::program::files;
use rusqlite::types::Value;

use crate::attempt::Found;
use crate::crime::contains;

pub(crate) fn check(layout: &Layout, found: &Found) {
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
    let kept: BTreeMap<ChangeId, String> = store
        .quarantine(1_000)
        .unwrap()
        .into_iter()
        .map(|refused| (refused.id, refused.reason))
        .collect();
    for refused in &found.refused {
        assert_eq!(kept.get(&refused.id), Some(&refused.reason), "{refused:?}");
        assert!(log.contains(&refused.id.to_string()), "not in the log: {}", refused.name);
    }
    for canary in &found.canaries {
        assert_eq!(rows_with(&store, canary), ["quarantine"], "{canary}");
    }
    drop(store);
    for node in layout.nodes.iter().filter(|node| node.index != town.index) {
        assert_no_canary(node, found);
    }
}

fn assert_no_canary(node: &Node, found: &Found) {
    for (path, bytes) in files(&node.dir) {
        for canary in &found.canaries {
            assert!(!contains(&bytes, canary.as_bytes()), "{canary} is in {}", path.display());
        }
    }
}

/// The tables of a store that hold a text anywhere.
fn rows_with(store: &Store, text: &str) -> Vec<String> {
    let tables: Vec<String> = store
        .read(|connection| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .unwrap();
    let holds = |table: &String| {
        let found = store.read(|connection| {
            let mut select = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let columns = select.column_count();
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    let holds = match row.get(column)? {
                        Value::Text(value) => value.contains(text),
                        Value::Blob(value) => contains(&value, text.as_bytes()),
                        Value::Null | Value::Integer(_) | Value::Real(_) => false,
                    };
                    if holds {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        });
        found.unwrap()
    };
    tables.into_iter().filter(holds).collect()
}

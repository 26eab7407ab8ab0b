//! Tests of the projector: a real table, rows of hand-made documents.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cunlian_crdt::document::{DocumentView, Erasure, FieldValue, FieldView, Writer};
use cunlian_crdt::projector::Row;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, PublicKey, Serial};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::*;
use super::*;
use crate::access::reader::Reader;

fn writer(author: u8, at_ms: i64) -> Writer {
    Writer {
        author: Serial([author; 16]),
        seq: 1,
        recorded_at_ms: at_ms,
        change: ChangeId([author; 32]),
        source: "form".to_owned(),
        task: String::new(),
        tainted: false,
    }
}

fn value(text: &str, author: u8, at_ms: i64) -> FieldValue {
    FieldValue { text: text.to_owned(), writer: writer(author, at_ms) }
}

fn person(fields: &[(&str, &str)]) -> DocumentView {
    let field = |&(key, text): &(&str, &str)| {
        (key.to_owned(), FieldView { current: value(text, 1, 1_000), others: Vec::new() })
    };
    DocumentView {
        home: Home {
            category: Category::library(0, 0),
            address: AddressCode::parse("37032210231000100012").unwrap(),
            document: DocumentId([7; 16]),
        },
        fields: fields.iter().map(field).collect(),
        operations: Vec::new(),
        changes: 1,
        waiting: 0,
        tainted: Vec::new(),
        erased: None,
    }
}

fn rows(view: &DocumentView) -> Vec<Row> {
    GovernanceProjector.rows(view, &Authority::new(PublicKey([0; 32])))
}

/// Shows that the schema holds every table, that each takes the projector's rows as they are,
/// and that applying the schema twice is harmless.
#[test]
fn rows_fit_their_tables() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&GovernanceProjector.schema()).unwrap();
    connection.execute_batch(&GovernanceProjector.schema()).unwrap();
    let mut view = person(&[("name", "张三"), ("ethnic", "汉族")]);
    view.fields.get_mut("name").unwrap().others.push(value("张山", 2, 900));
    for category in [Category::TICKET, Category::TICKET_CONTACT, Category::CATALOGUE] {
        let mut other = view.clone();
        other.home.category = category;
        other.fields.clear();
        other.fields.extend(view.fields.clone());
        insert(&connection, &rows(&other));
    }
    insert(&connection, &rows(&view));
    let count = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap()
    };
    let tables = GovernanceProjector.tables().into_iter();
    let counts: BTreeMap<&str, i64> = tables.map(|table| (table, count(table))).collect();
    let expected = [
        ("catalogue", 2),
        ("conflict", 4),
        ("directory", 0),
        ("division_published", 0),
        ("erasure", 0),
        ("record", 1),
        ("ticket", 1),
        ("ticket_contact", 1),
        ("ticket_step", 0),
        ("title", 0),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

fn insert(connection: &Connection, rows: &[Row]) {
    for row in rows {
        let marks = vec!["?"; row.values.len()].join(",");
        let sql = format!("INSERT INTO {} VALUES ({marks})", row.table);
        connection.execute(&sql, params_from_iter(&row.values)).unwrap();
    }
}

/// Shows that an erased document leaves one row that says so, a ticket also its place in the queue,
/// and that no byte of what it held is in any.
#[test]
fn erased_documents_leave_a_trace() {
    let mut view = person(&[]);
    view.erased = Some(Erasure {
        reason: "本人申请删除".to_owned(),
        by: Serial([1; 16]),
        at_ms: 2_000,
        change: ChangeId([2; 32]),
    });
    let tables = |view: &DocumentView| -> Vec<&'static str> {
        rows(view).iter().map(|row| row.table).collect()
    };
    for category in [Category::library(0, 0), Category::library(0, 2), Category::TICKET_CONTACT] {
        view.home.category = category;
        assert_eq!(tables(&view), ["erasure"]);
    }
    view.home.category = Category::TICKET;
    assert_eq!(tables(&view), ["ticket", "erasure"]);
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&GovernanceProjector.schema()).unwrap();
    insert(&connection, &rows(&view));
    let found = crate::query::erasure::of_document(&connection, &view.home).unwrap().unwrap();
    assert_eq!((found.reason.as_str(), found.at_ms), ("本人申请删除", 2_000));
    let region = AddressCode::parse("370322").unwrap();
    assert_eq!(crate::query::erasure::list(&connection, region, 5).unwrap(), [found]);
    assert_eq!(crate::query::erasure::count(&connection, region).unwrap(), 1);
    let all = crate::ticket::query::Filter::all(region);
    let queue = crate::ticket::query::list(&connection, &Reader::everything(), &all).unwrap();
    let [row] = queue.as_slice() else { panic!("one ticket: {queue:?}") };
    assert_eq!((row.erased.as_deref(), row.text.as_str()), (Some("本人申请删除"), ""));
    let open = crate::ticket::query::Filter::open(region);
    assert!(
        crate::ticket::query::list(&connection, &Reader::everything(), &open).unwrap().is_empty()
    );
    let villages = crate::query::region::villages(
        &connection,
        &crate::access::reader::Reader::everything(),
        region,
    )
    .unwrap();
    assert!(villages.iter().all(|village| village.tickets == 0), "{villages:?}");
}

/// Shows that a part row has no name to search by, even if somebody wrote one into the part.
#[test]
fn names_come_only_from_the_base_part() {
    let mut view = person(&[("name", "张三"), ("phone", "13800138000")]);
    view.home.category = Category::library(0, 2);
    let rows = rows(&view);
    let [row] = rows.as_slice() else { panic!("one row: {rows:?}") };
    assert_eq!(row.values.get(5..8).unwrap(), [text(""), text(""), text("")]);
}

/// Shows that a conflict lists every value with author and time, the shown one first, and marks
/// the record.
#[test]
fn conflicts_keep_every_value() {
    let mut view = person(&[("name", "张三")]);
    view.fields.get_mut("name").unwrap().others.push(value("张山", 2, 900));
    let rows = rows(&view);
    let [record, conflict] = rows.as_slice() else { panic!("two rows: {rows:?}") };
    assert_eq!(record.values.iter().rev().nth(1), Some(&Value::Integer(1)));
    let Some(Value::Text(options)) = conflict.values.last() else { panic!("{conflict:?}") };
    let options: Vec<ConflictOption> = serde_json::from_str(options).unwrap();
    let seen: Vec<_> = options.iter().map(|option| (option.text.as_str(), option.at_ms)).collect();
    assert_eq!(seen, [("张三", 1_000), ("张山", 900)]);
}

/// Tables that are not of the log and are never made anew: lists of an older program.
const TOLD: [&str; 1] = ["division"];

/// Shows that no two sets have a name or a table in common, and that each table has its schema in
/// its own set.
#[test]
fn sets_have_nothing_in_common() {
    let sets = GovernanceProjector.sets();
    let names: BTreeSet<_> = sets.iter().map(|set| set.name()).collect();
    let tables: BTreeSet<_> = sets.iter().flat_map(|set| set.tables()).collect();
    assert_eq!(names.len(), sets.len());
    assert_eq!(tables.len(), GovernanceProjector.tables().len());
    for set in sets {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(set.schema()).unwrap();
        let made = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let mut select = connection.prepare(made).unwrap();
        let made = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let made = made.map(Result::unwrap).filter(|table| !TOLD.contains(&table.as_str()));
        let made: BTreeSet<String> = made.collect();
        let said: BTreeSet<String> = set.tables().iter().map(|&table| table.to_owned()).collect();
        assert_eq!(made, said, "{}", set.name());
    }
}

//! Table sets: each has a version of its own, and a document touches those that take it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Projector, Row, TableSet};
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;
use tempfile::tempdir;

use super::world::*;

/// One table, one row for each document of one category.
struct Counted {
    name: &'static str,
    version: u32,
    schema: &'static str,
    tables: &'static [&'static str],
    category: Category,
    /// How often rows were asked for.
    asked: AtomicU32,
}

impl TableSet for Counted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn schema(&self) -> &'static str {
        self.schema
    }

    fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    fn takes(&self, category: Category) -> bool {
        category == self.category
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        assert_eq!(view.home.category, self.category, "of what it does not take nobody asks");
        self.asked.fetch_add(1, Ordering::Relaxed);
        let values = vec![
            Value::from(i64::from(view.home.category.0)),
            Value::from(view.home.address.as_str().to_owned()),
            Value::from(view.home.document.0.to_vec()),
            Value::from(i64::from(self.version)),
        ];
        vec![Row { table: self.tables[0], values }]
    }
}

fn tickets(version: u32) -> Counted {
    Counted {
        name: "tickets",
        version,
        schema: "CREATE TABLE IF NOT EXISTS tickets (category INTEGER, address TEXT, document BLOB,
            version INTEGER, PRIMARY KEY (category, address, document)) WITHOUT ROWID;",
        tables: &["tickets"],
        category: Category::TICKET,
        asked: AtomicU32::new(0),
    }
}

fn alerts(version: u32) -> Counted {
    Counted {
        name: "alerts",
        version,
        schema: "CREATE TABLE IF NOT EXISTS alerts (category INTEGER, address TEXT, document BLOB,
            version INTEGER, PRIMARY KEY (category, address, document)) WITHOUT ROWID;",
        tables: &["alerts"],
        category: Category::ALERT,
        asked: AtomicU32::new(0),
    }
}

struct Both(Vec<Counted>);

impl Projector for Both {
    fn sets(&self) -> Vec<&dyn TableSet> {
        self.0.iter().map(|set| -> &dyn TableSet { set }).collect()
    }
}

impl Both {
    fn asked(&self) -> BTreeMap<&'static str, u32> {
        self.0.iter().map(|set| (set.name, set.asked.load(Ordering::Relaxed))).collect()
    }
}

/// The same data directory opened by programs with other sets.
struct Machine {
    world: World,
    dir: tempfile::TempDir,
    last: Mutex<Option<Arc<Both>>>,
}

impl Machine {
    fn new() -> Self {
        Self { world: World::new(), dir: tempdir().unwrap(), last: Mutex::new(None) }
    }

    fn open(&self, sets: Vec<Counted>) -> Store {
        let both = Arc::new(Both(sets));
        *self.last.lock().unwrap() = Some(Arc::clone(&both));
        let identity = self.world.identity(&self.world.village);
        Store::open(self.dir.path(), both, identity, StoreOptions::default()).unwrap()
    }

    fn asked(&self) -> BTreeMap<&'static str, u32> {
        self.last.lock().unwrap().as_ref().unwrap().asked()
    }
}

fn versions(store: &Store, table: &str) -> Vec<u32> {
    let sql = format!("SELECT version FROM {table}");
    let read = |connection: &rusqlite::Connection| {
        let mut select = connection.prepare(&sql)?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    store.read(read).unwrap()
}

fn tables(store: &Store) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE name IN ('tickets', 'alerts') ORDER BY name";
    let read = |connection: &rusqlite::Connection| {
        let mut select = connection.prepare(sql)?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    store.read(read).unwrap()
}

/// Shows that a version that rises has its own set made anew and leaves the others as they are,
/// that an opening without a new version asks for no row at all, and that a document is asked of
/// the sets that take it alone.
#[test]
fn a_version_that_rises_makes_its_own_set_anew() {
    let machine = Machine::new();
    let store = machine.open(vec![tickets(1), alerts(1)]);
    let ticket = |n| put(home(Category::TICKET, VILLAGE, n), "a", "x");
    let alert = |n| put(home(Category::ALERT, VILLAGE, n), "a", "x");
    write(&store, &machine.world.village, (0..30).map(ticket).collect());
    write(&store, &machine.world.village, (0..5).map(alert).collect());
    assert_eq!(machine.asked(), BTreeMap::from([("tickets", 30), ("alerts", 5)]));
    drop(store);

    let store = machine.open(vec![tickets(1), alerts(1)]);
    assert_eq!(machine.asked(), BTreeMap::from([("tickets", 0), ("alerts", 0)]));
    // What nobody makes anew stays as it is, even wrong; so it is seen which set was made.
    store
        .write_reference(|connection| connection.execute("UPDATE tickets SET version = 99", []))
        .unwrap();
    drop(store);

    let store = machine.open(vec![tickets(1), alerts(2)]);
    assert_eq!(machine.asked(), BTreeMap::from([("tickets", 0), ("alerts", 5)]));
    assert_eq!(versions(&store, "alerts"), [2; 5]);
    assert_eq!(versions(&store, "tickets"), [99; 30]);
    assert_eq!(store.verify().unwrap().wrong_projections, ["tickets"]);
    drop(store);

    let store = machine.open(vec![tickets(2), alerts(2)]);
    assert_eq!(versions(&store, "tickets"), [2; 30]);
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that a set which is new is filled from the log, and that the tables of one that is no more
/// go.
#[test]
fn sets_come_and_go() {
    let machine = Machine::new();
    let store = machine.open(vec![tickets(1)]);
    let alert = |n| put(home(Category::ALERT, VILLAGE, n), "a", "x");
    write(&store, &machine.world.village, (0..5).map(alert).collect());
    assert_eq!(tables(&store), ["tickets"]);
    drop(store);
    let store = machine.open(vec![alerts(1), tickets(1)]);
    assert_eq!(
        (tables(&store), versions(&store, "alerts")),
        (vec!["alerts".to_owned(), "tickets".to_owned()], vec![1; 5])
    );
    drop(store);
    let store = machine.open(vec![alerts(1)]);
    assert_eq!(tables(&store), ["alerts"]);
    assert!(store.verify().unwrap().is_sound());
}

//! Full disks, failing jobs and damage.

use cunlian_crdt::store::{Fault, Health, StoreOptions, WriteError};
use cunlian_protocol::category::Category;
use tempfile::tempdir;

use crate::world::*;

/// Shows that a full disk refuses the write, says so, loses nothing acknowledged, and that
/// writing goes on by itself when there is space again.
#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let options = StoreOptions {
        size_limit_bytes: Some(600 << 10),
        low_space_bytes: 0,
        ..StoreOptions::default()
    };
    let store = world.open_with(dir.path(), &world.village, 1, options);
    assert_eq!(store.health(), Health::Ok);
    let text = "x".repeat(20_000);
    let mut acknowledged = 0;
    let fault = loop {
        let at = home(Category::TICKET, VILLAGE, acknowledged);
        match store.write(&world.village.author, vec![put(at, "a", &text)], NOW_MS) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(fault, WriteError::Storage(Fault::DiskFull));
    assert_eq!(store.health(), Health::DiskFull);
    assert!(acknowledged > 3);
    assert_eq!(all(&store).len(), usize::from(acknowledged));
    assert_sound(&store);
    store
        .write_reference(|connection| connection.pragma_update(None, "max_page_count", 1_000_000))
        .unwrap();
    let at = home(Category::TICKET, VILLAGE, acknowledged);
    write(&store, &world.village, vec![put(at, "a", &text)]);
    assert_eq!(store.health(), Health::Ok);
    let field = &store.view(&at).unwrap().unwrap().fields["a"];
    assert_eq!(field.current.writer.seq, u64::from(acknowledged) + 1);
    assert_sound(&store);
}

/// Shows that reference tables are written in a transaction: an error takes all of it back, says
/// why, and the store goes on.
#[test]
fn a_failed_reference_write_leaves_nothing() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let failed = store.write_reference(|connection| {
        connection.execute_batch("CREATE TABLE division (code TEXT PRIMARY KEY)")?;
        connection.execute("INSERT INTO division VALUES ('37')", [])?;
        connection.execute("INSERT INTO division VALUES ('37')", [])
    });
    assert!(matches!(&failed, Err(Fault::Failing { detail }) if detail.contains("UNIQUE")));
    let panicked = store.write_reference(|_| -> rusqlite::Result<()> { panic!("in a job") });
    assert_eq!(panicked, Err(Fault::Stopped));
    store
        .write_reference(|connection| {
            connection.execute_batch("CREATE TABLE division (code TEXT PRIMARY KEY)")
        })
        .unwrap();
    assert_eq!(store.health(), Health::Ok);
}

/// Shows that verification finds an altered byte of a change, a wrong summary and a wrong row.
#[test]
fn verification_finds_what_was_altered() {
    let world = World::new();
    let alterations = [
        "UPDATE change SET bytes = CAST(replace(CAST(bytes AS TEXT), 'truth', 'false') AS BLOB)",
        "UPDATE summary SET value = zeroblob(40) WHERE length(prefix) = 2",
        "UPDATE field SET text = 'false'",
    ];
    for (number, alteration) in alterations.into_iter().enumerate() {
        let dir = tempdir().unwrap();
        let store = world.open(dir.path(), &world.village);
        write(&store, &world.village, vec![put(home(Category::TICKET, VILLAGE, 1), "a", "truth")]);
        assert_sound(&store);
        let altered = store.write_reference(move |connection| connection.execute(alteration, []));
        assert_eq!(altered.unwrap(), 1);
        let report = store.verify().unwrap();
        let found = [
            !report.bad_changes.is_empty(),
            !report.wrong_summaries.is_empty(),
            !report.wrong_projections.is_empty(),
        ];
        assert!(found[number], "{alteration}: {report:?}");
        if number == 2 {
            store.rebuild_projections().unwrap();
            assert_sound(&store);
        }
    }
}

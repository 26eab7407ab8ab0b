//! Notes of documents that changed otherwise than by a change.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn store() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    super::super::schema::migrate(&mut connection).unwrap();
    connection
}

fn rows(connection: &Connection) -> (i64, i64, i64) {
    let sql = "SELECT count(*), min(row), max(row) FROM touched";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
}

/// Shows that of one document there is one note, the latest, under a row that nothing else has.
#[test]
fn a_document_has_one_note() {
    let connection = store();
    touch_at_opening(&connection, &[b"one".to_vec(), b"two".to_vec()]).unwrap();
    touch_at_opening(&connection, &[b"one".to_vec()]).unwrap();
    assert_eq!(rows(&connection), (2, 2, 3));
    assert_eq!(last_row(&connection).unwrap(), 3);
}

/// Shows that notes are bounded, whoever has not read them, and that the loss of the oldest is
/// known by who had not.
#[test]
fn notes_are_bounded_and_their_loss_is_told() {
    let connection = store();
    connection.execute_batch("BEGIN").unwrap();
    let kept = i64::try_from(TOUCHED_KEPT).unwrap();
    let documents: Vec<Vec<u8>> = (0..kept).map(|n| n.to_be_bytes().to_vec()).collect();
    touch_at_opening(&connection, &documents).unwrap();
    assert_eq!((rows(&connection), again_row(&connection).unwrap()), ((kept, 1, kept), 0));
    let more: Vec<Vec<u8>> = (0..10_u8).map(|n| vec![n]).collect();
    touch_at_opening(&connection, &more).unwrap();
    assert_eq!(rows(&connection), (kept, 11, kept + 10));
    assert_eq!(again_row(&connection).unwrap(), 10);
    let lost = |name, row| {
        let sql = "INSERT INTO follower VALUES (?1, ?2, 0)";
        connection.execute(sql, (name, row)).unwrap();
        place_of(&connection, name, Start::Now).unwrap().lost
    };
    assert!(lost("behind", 9));
}

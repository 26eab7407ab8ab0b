//! The tables of the store, the steps that made them, and the version of a file.
//!
//! The version is SQLite's `user_version`; step n brings a file from version n-1 to n. Before
//! anything is opened for writing, the version is read straight from the bytes of the files
//! ([`version_of_files`]), because even a read-only SQLite connection would make files beside a
//! database in WAL mode, and a store of a newer version must be left untouched.
//!
//! | table | one row for each |
//! |---|---|
//! | `meta` | fact about this store, by name; `rollup.TABLE`: see [`super::rollup`]; `set.NAME`: version (4 bytes, big-endian) and tables of a set of projection tables |
//! | `author` | certificate serial, with a small number and the last `seq` of changes removed |
//! | `change` | change, in the order made durable; `origin` is the peer it came from, 0 for none |
//! | `document` | document: its changes, those waiting, fields in conflict, bytes, changes `beyond` what may count, `origin` of its first change |
//! | `summary` | prefix with changes below it, see [`super::summary`] |
//! | `tally` | category, with the number of its documents |
//! | `blob`, `blob_chunk`, `blob_reference` | content that a document names, a part of it that is here, a document naming it, see [`super::blob`] |
//! | `blob_proof` | document that names a blob and does not have it, see `blob/proof.rs` |
//! | `blob_postponed` | tier above that does not ask for some of the blobs here, which and why |
//! | `certificate`, `revocation` | certificate, revocation, in the order learned |
//! | `receipt` | receipt of a parent, latest only |
//! | `outbox` | change that some tier above is not known to hold, `awaited` as tier bits |
//! | `awaiting` | prefix and tier bits, with how much of the outbox waits there for them, see [`super::pending_counts`] |
//! | `quarantine` | change refused with its reason, latest only; `withheld` if it may come in later |
//! | `tainted` | change of the log that does not stand, and whether a person has looked at it |
//! | `equivocation` | second change of an author under one number |
//! | `succession` | succession of the root key, in order |
//! | `line` | child: the lineage token it presented last, the one it was given since, see [`super::clone_guard`] |
//! | `pending_certificate` | key that is to get this certificate at its next renewal |
//! | `arrival` | hour: the greatest row of the log then, see [`crate::bundle`] |
//! | `quota`, `quota_use` | peer with bounds of its own; peer, with what was taken from it |
//! | `kept`, `kept_blob` | certificate and peer that something came from, with what is kept of it, see [`super::kept`] |
//! | `follower`, `touched` | who is told of changes, and of what it is told beside those of the log, see [`super::follow`] |
//! | `purged` | prefix whose changes were purged and not yet accounted for, see [`super::purge`] |

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{counts, kept, summary};

/// The version this code reads and writes.
pub const VERSION: u32 = 6;

/// From one version to the next.
struct Step {
    sql: &'static str,
    /// What SQL cannot say, run after it in the same transaction.
    then: fn(&Connection) -> rusqlite::Result<()>,
}

impl Step {
    const fn sql(sql: &'static str) -> Self {
        Self { sql, then: |_| Ok(()) }
    }
}

const STEPS: [Step; VERSION as usize] = [
    Step::sql(
        "
        CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE author (id INTEGER PRIMARY KEY, serial BLOB NOT NULL UNIQUE);
        CREATE TABLE change (
            row INTEGER PRIMARY KEY,
            key BLOB NOT NULL UNIQUE,
            author INTEGER NOT NULL REFERENCES author (id),
            seq INTEGER NOT NULL,
            origin INTEGER NOT NULL,
            bytes BLOB NOT NULL
        );
        CREATE INDEX change_by_author ON change (author, seq);
        CREATE TABLE document (
            prefix BLOB PRIMARY KEY NOT NULL,
            changes INTEGER NOT NULL,
            waiting INTEGER NOT NULL,
            conflicted INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX document_in_conflict ON document (prefix) WHERE conflicted > 0;
        CREATE TABLE summary (prefix BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE certificate (
            row INTEGER PRIMARY KEY, serial BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL
        );
        CREATE TABLE revocation (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL UNIQUE);
        CREATE TABLE receipt (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
        CREATE TABLE outbox (
            row INTEGER PRIMARY KEY REFERENCES change (row),
            awaited INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            refusal TEXT,
            refused_by BLOB
        );
        CREATE TABLE quarantine (
            row INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            origin BLOB NOT NULL,
            reason TEXT NOT NULL,
            bytes BLOB NOT NULL
        );
        CREATE TABLE equivocation (
            author INTEGER NOT NULL REFERENCES author (id),
            seq INTEGER NOT NULL,
            first BLOB NOT NULL,
            second BLOB NOT NULL,
            PRIMARY KEY (author, seq, second)
        ) WITHOUT ROWID;
",
    ),
    Step::sql(
        "
        ALTER TABLE author ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE succession (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL UNIQUE);
        CREATE TABLE line (
            subject BLOB PRIMARY KEY NOT NULL,
            confirmed BLOB NOT NULL,
            pending BLOB NOT NULL,
            forked INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE pending_certificate (
            subject BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL
        ) WITHOUT ROWID;
        ALTER TABLE quarantine ADD COLUMN document BLOB;
        ALTER TABLE quarantine ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX quarantine_by_document ON quarantine (document) WHERE withheld > 0;
        CREATE TABLE tainted (
            key BLOB PRIMARY KEY NOT NULL, reviewed INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE purged (prefix BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
",
    ),
    Step {
        sql: "
        CREATE TABLE quota (
            peer BLOB PRIMARY KEY NOT NULL,
            changes INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            day_changes INTEGER NOT NULL,
            day_bytes INTEGER NOT NULL,
            blob_bytes INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE quota_use (
            peer BLOB PRIMARY KEY NOT NULL,
            changes INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            day INTEGER NOT NULL,
            day_changes INTEGER NOT NULL,
            day_bytes INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX change_most_urgent ON change (row) WHERE key < x'2000';
        CREATE INDEX change_urgent ON change (row) WHERE key >= x'2000' AND key < x'3000';
        CREATE TABLE blob (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL,
            bytes INTEGER NOT NULL,
            missing INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL,
            reached INTEGER NOT NULL DEFAULT 0,
            begun INTEGER NOT NULL DEFAULT 0,
            origin BLOB,
            outline BLOB,
            UNIQUE (id, bytes)
        );
        CREATE INDEX blob_by_origin ON blob (origin, bytes) WHERE origin IS NOT NULL;
        CREATE TABLE blob_chunk (
            blob INTEGER NOT NULL REFERENCES blob (number),
            place INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            UNIQUE (blob, place)
        );
        CREATE TABLE blob_reference (
            document BLOB NOT NULL,
            blob INTEGER NOT NULL REFERENCES blob (number),
            lacking INTEGER NOT NULL,
            awaited INTEGER NOT NULL,
            PRIMARY KEY (document, blob)
        ) WITHOUT ROWID;
        CREATE TABLE blob_postponed (
            tier INTEGER PRIMARY KEY NOT NULL,
            over_bytes INTEGER NOT NULL,
            begun INTEGER NOT NULL,
            why TEXT NOT NULL
        );
        CREATE INDEX blob_reference_by_blob ON blob_reference (blob);
        CREATE INDEX blob_lacking ON blob_reference (document) WHERE lacking > 0;
        CREATE INDEX blob_awaited ON blob_reference (document) WHERE awaited > 0;
        CREATE INDEX document_waiting ON document (prefix) WHERE waiting > 0;
        CREATE INDEX outbox_by_awaited ON outbox (awaited);
        CREATE TABLE awaiting (
            prefix BLOB NOT NULL,
            awaited INTEGER NOT NULL,
            changes INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (prefix, awaited)
        ) WITHOUT ROWID;
        CREATE TABLE tally (
            category INTEGER PRIMARY KEY NOT NULL, documents INTEGER NOT NULL
        );
        CREATE TABLE arrival (at_ms INTEGER PRIMARY KEY, row INTEGER NOT NULL);
",
        then: |connection| {
            summary::trie::rebuild(connection)?;
            counts::rebuild(connection)
        },
    },
    Step { sql: "", then: drop_projections },
    Step::sql(
        "
        ALTER TABLE document ADD COLUMN beyond INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX document_beyond ON document (prefix) WHERE beyond > 0;
        CREATE TABLE blob_proof (
            document BLOB NOT NULL,
            blob INTEGER NOT NULL REFERENCES blob (number),
            author BLOB,
            places BLOB NOT NULL,
            PRIMARY KEY (document, blob)
        ) WITHOUT ROWID;
        CREATE INDEX blob_proof_by_blob ON blob_proof (blob);
        INSERT INTO blob_proof SELECT document, blob, NULL, x'' FROM blob_reference
            WHERE lacking > 0;
        DELETE FROM blob_chunk WHERE blob IN (SELECT number FROM blob WHERE missing > 0);
        UPDATE blob SET missing = (bytes + 65535) / 65536, outline = NULL, origin = NULL
            WHERE missing > 0;
        CREATE TABLE follower (
            name TEXT PRIMARY KEY NOT NULL, row INTEGER NOT NULL, again INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE touched (row INTEGER PRIMARY KEY, document BLOB NOT NULL UNIQUE);
",
    ),
    Step {
        sql: "
        ALTER TABLE document ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
        UPDATE document SET origin = first.origin FROM (
            SELECT substr(key, 1, length(key) - 32) AS prefix, origin, min(row)
                FROM change GROUP BY substr(key, 1, length(key) - 32)
        ) AS first WHERE document.prefix = first.prefix;
        CREATE TABLE kept (
            origin INTEGER PRIMARY KEY,
            changes INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            documents INTEGER NOT NULL
        );
        CREATE TABLE kept_blob (
            origin BLOB PRIMARY KEY NOT NULL, blobs INTEGER NOT NULL, bytes INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TRIGGER change_comes AFTER INSERT ON change BEGIN
            INSERT INTO kept VALUES (NEW.origin, 1, length(NEW.bytes), 0)
                ON CONFLICT (origin) DO UPDATE
                SET changes = changes + 1, bytes = bytes + excluded.bytes;
        END;
        CREATE TRIGGER change_goes AFTER DELETE ON change BEGIN
            UPDATE kept SET changes = changes - 1, bytes = bytes - length(OLD.bytes)
                WHERE origin = OLD.origin;
        END;
        CREATE TRIGGER change_shrinks AFTER UPDATE OF bytes ON change BEGIN
            UPDATE kept SET bytes = bytes - length(OLD.bytes) + length(NEW.bytes)
                WHERE origin = NEW.origin;
        END;
        CREATE TRIGGER document_comes AFTER INSERT ON document BEGIN
            INSERT INTO kept VALUES (NEW.origin, 0, 0, 1)
                ON CONFLICT (origin) DO UPDATE SET documents = documents + 1;
        END;
        CREATE TRIGGER document_goes AFTER DELETE ON document BEGIN
            UPDATE kept SET documents = documents - 1 WHERE origin = OLD.origin;
        END;
        CREATE TRIGGER blob_goes AFTER DELETE ON blob WHEN OLD.origin IS NOT NULL BEGIN
            UPDATE kept_blob SET blobs = blobs - 1, bytes = bytes - OLD.bytes
                WHERE origin = OLD.origin;
        END;
        CREATE TRIGGER blob_changes_hands AFTER UPDATE OF origin ON blob
            WHEN OLD.origin IS NOT NEW.origin BEGIN
            UPDATE kept_blob SET blobs = blobs - 1, bytes = bytes - OLD.bytes
                WHERE origin = OLD.origin;
            INSERT INTO kept_blob SELECT NEW.origin, 1, NEW.bytes WHERE NEW.origin IS NOT NULL
                ON CONFLICT (origin) DO UPDATE
                SET blobs = blobs + 1, bytes = bytes + excluded.bytes;
        END;
",
        then: kept::rebuild,
    },
];

/// Until version 3 all projection tables had one version, and their names stood in one fact. Now
/// each set of them has its own, and is made anew when the store is opened.
fn drop_projections(connection: &Connection) -> rusqlite::Result<()> {
    let names = connection
        .query_row("SELECT value FROM meta WHERE name = 'projections'", [], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional()?;
    let names = String::from_utf8(names.unwrap_or_default()).unwrap_or_default();
    for table in names.split(' ').filter(|name| !name.is_empty()) {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute_batch("DELETE FROM meta WHERE name IN ('projector', 'projections')")
}

/// Brings the file to [`VERSION`], one transaction for each step.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (step, Step { sql, then }) in (1..=VERSION).zip(STEPS).filter(|(step, _)| *step > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        then(&transaction)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Where `user_version` is on the first page of a database file.
const USER_VERSION_AT: usize = 60;
const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// How much of a page is read to see its `user_version`.
const PAGE_READ_BYTES: i64 = 64;

/// The version of a database file and its write-ahead log, without opening it as a database;
/// `None` when there is no file, or an empty one.
pub(super) fn version_of_files(database: &Path) -> io::Result<Option<u32>> {
    let wal = database.with_extension("sqlite-wal");
    let in_wal = match File::open(wal) {
        Ok(file) => version_in_wal(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let in_file = match File::open(database) {
        Ok(mut file) => {
            let mut header = [0; USER_VERSION_AT + 4];
            let got = read_up_to(&mut file, &mut header)?;
            (got == header.len()).then(|| word(&header, USER_VERSION_AT)).flatten()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(in_wal.max(in_file))
}

/// The version on the greatest copy of page 1 in the log. Frames of an older generation may be
/// among them; reading too new a version from one only refuses what a migration left behind.
fn version_in_wal(mut file: File) -> io::Result<Option<u32>> {
    let mut header = [0; WAL_HEADER_BYTES];
    if read_up_to(&mut file, &mut header)? < header.len() {
        return Ok(None);
    }
    let page_bytes = word(&header, 8).unwrap_or(0);
    let salts = header.get(16..24).map(<[u8]>::to_vec);
    let mut newest = None;
    let mut frame = [0; FRAME_HEADER_BYTES + USER_VERSION_AT + 4];
    while read_up_to(&mut file, &mut frame)? == frame.len() {
        let current = frame.get(8..16).map(<[u8]>::to_vec) == salts;
        if current && word(&frame, 0) == Some(1) {
            newest = newest.max(word(&frame, FRAME_HEADER_BYTES + USER_VERSION_AT));
        }
        let rest = i64::from(page_bytes) - PAGE_READ_BYTES;
        file.seek(SeekFrom::Current(rest.max(0)))?;
    }
    Ok(newest)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

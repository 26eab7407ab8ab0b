//! Shows that nothing acknowledged is lost when the power goes: a writer fills a real store on an
//! ext4 file system in an image file, is stopped at a random moment, and what has reached the
//! image by then is all that the next start finds. Page cache that was never synced is not in the
//! image, as it would not be on a disk.
//!
//! Eight cuts follow one another on the same data, as on a village terminal with a bad line; after
//! each the whole store is verified against its log. A second test does the same with bare
//! `SQLite` and syncing turned off, where the cut has to lose something: it proves that the first
//! one could fail.
//!
//! Mounting needs root and loop devices. Without them the tests fail, unless `CUNLIAN_NO_ROOT=1`
//! says that this is known.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_tests::numbered::{self, NumberedProjector};
use rusqlite::Connection;

#[path = "power_cut/disk.rs"]
mod disk;
#[path = "power_cut/writer.rs"]
mod writer;

use self::disk::{Disk, Mounted};
use self::writer::Writer;

/// Power cuts in a row.
const CUTS: u32 = 8;

/// Writes acknowledged before the power goes, at random up to this many.
const MAX_WRITES: u32 = 300;

/// Name of the store, or of the bare database, on the disk.
const DATA: &str = "data";

#[test]
fn nothing_acknowledged_is_lost_in_successive_power_cuts() {
    if disk::is_waived() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = Disk::format(directory.path());
    let mut acknowledged = 0;
    for cut in 1..=CUTS {
        let mounted = disk.mount();
        let (next, heard) = write_until_cut(&mounted, "store", cut);
        drop(mounted);
        disk = next;
        acknowledged = heard.max(acknowledged);

        let found = last_complete(disk.mount().path());
        println!("cut {cut}: acknowledged {acknowledged}, found {found}");
        assert!(found >= acknowledged, "cut {cut} lost {} writes", acknowledged - found);
        assert!(found <= acknowledged + 1, "one write at most was on its way");
        // The next writer goes on from what is there, so that is what it owes from now on.
        acknowledged = found;
    }
    assert!(acknowledged >= CUTS, "the writer got something done between the cuts");
}

#[test]
fn a_cut_loses_what_was_acknowledged_without_syncing() {
    if disk::is_waived() {
        return;
    }
    let lost = (1..=3).any(|cut| {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = Disk::format(directory.path());
        let (next, acknowledged) = write_until_cut(&disk.mount(), "unsynced", cut);
        let kept = rows_kept(&next.mount().path().join(DATA));
        // A database that cannot be read has lost everything.
        kept.unwrap_or(0) < acknowledged
    });
    assert!(lost, "no cut lost anything although nothing was synced: the cut does not bite");
}

/// Runs a writer, cuts the power, and gives the disk as it was at that moment with the number of
/// the last write acknowledged before it.
fn write_until_cut(mounted: &Mounted, mode: &str, cut: u32) -> (Disk, u32) {
    let mut writer = Writer::start(mode, &mounted.path().join(DATA));
    writer.wait_for_writes(rand::random_range(1..=MAX_WRITES));
    writer.stop();
    let copy = mounted.copy_at_rest(&format!("cut-{cut}.ext4"));
    (copy, writer.kill_and_hear())
}

/// The last write in the store of a disk. Fails when the store is not sound.
fn last_complete(disk: &Path) -> u32 {
    let projector = Arc::new(NumberedProjector);
    let options = StoreOptions::default();
    let store = Store::open(&disk.join(DATA), projector, numbered::identity(), options);
    numbered::last_complete(&store.expect("the store opens")).expect("a sound store")
}

/// Rows in the bare database.
fn rows_kept(database: &Path) -> rusqlite::Result<u32> {
    let connection = Connection::open(database)?;
    connection.query_row("SELECT count(*) FROM row", [], |row| row.get(0))
}

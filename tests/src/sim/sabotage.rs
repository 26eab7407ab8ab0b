//! What a store must never do, done behind its back: proof that the checks see it.

use cunlian_protocol::category::Category;
use rusqlite::OptionalExtension as _;

use super::network::Place;
use super::world::World;

/// The first village, its town, and a neighbour.
const VILLAGE: usize = 3;
const TOWN: usize = 1;
const NEIGHBOUR: usize = 4;

/// One thing that must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A store forgets a change that it has acknowledged.
    Forget,
    /// A store shows as held by its town what the town does not have.
    Lie,
    /// A store has a change of a neighbour.
    Leak,
    /// A store lacks a photo that none of its documents names, and asks for it.
    Snoop,
}

impl World {
    /// Does it at the first village.
    pub(super) fn sabotage(&mut self, what: Sabotage) {
        if what == Sabotage::Snoop {
            return self.snoop();
        }
        let village = self.machines.get(VILLAGE).map(|machine| &machine.disk.member);
        let body = village.map(|member| member.identity.certificate.body());
        let region = body.and_then(|body| body.grants.first()).map(|grant| grant.region.prefix);
        let Some(region) = region else { return };
        if self.process(VILLAGE).is_none() || self.process(NEIGHBOUR).is_none() {
            return;
        }
        // The town does not hear of anything from here on.
        self.block(Place::Node(VILLAGE), Place::Node(TOWN));
        self.note_alert(VILLAGE, region);
        let foreign = self.process(NEIGHBOUR).map(|process| {
            process.store.read(|connection| {
                let sql = "SELECT key, seq, bytes FROM change \
                           WHERE substr(key, 3, 12) = CAST('370322102311' AS BLOB) LIMIT 1";
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                connection.query_row(sql, [], row).optional()
            })
        });
        let foreign: Option<(Vec<u8>, i64, Vec<u8>)> =
            foreign.and_then(|read| read.expect("a store can be read"));
        let Some(process) = self.process(VILLAGE) else { return };
        let done = process.store.write_reference(move |connection| match what {
            Sabotage::Forget => connection.execute_batch(
                "DELETE FROM outbox; DELETE FROM change WHERE row = (SELECT max(row) FROM change)",
            ),
            Sabotage::Lie => connection.execute_batch("DELETE FROM outbox"),
            Sabotage::Leak => {
                let Some((key, seq, bytes)) = foreign else { return Ok(()) };
                let sql = "INSERT INTO change (key, author, seq, bytes, origin) \
                           VALUES (?1, (SELECT min(author) FROM change), ?2, ?3, 0)";
                connection.execute(sql, (key, seq, bytes)).map(drop)
            }
            Sabotage::Snoop => Ok(()),
        });
        done.expect("a store does what it is told");
        self.after_store(VILLAGE);
    }

    fn snoop(&mut self) {
        let Some(process) = self.process(VILLAGE) else { return };
        let done = process.store.write_reference(|connection| {
            connection.execute_batch(
                "INSERT INTO blob (id, bytes, missing, recorded_at) \
                 VALUES (zeroblob(32), 100, 1, 0); \
                 INSERT INTO blob_reference SELECT prefix, last_insert_rowid(), 1, 0 \
                 FROM document WHERE substr(prefix, 3, 12) = CAST('370322102310' AS BLOB) LIMIT 1",
            )
        });
        done.expect("a store does what it is told");
        self.after_store(VILLAGE);
    }

    fn note_alert(&mut self, at: usize, region: cunlian_protocol::address::AddressCode) {
        let write = self.put(Category::ALERT, region, "text", "试验");
        self.write(at, vec![write]);
    }
}

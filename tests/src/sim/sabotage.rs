//! What a store must never do, done behind its back: proof that the checks see it.

use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::limits::ByTier;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use rusqlite::OptionalExtension as _;

use super::network::Place;
use super::world::{Happening, World};

/// The first village, its town, and a neighbour.
const VILLAGE: usize = 3;
const TOWN: usize = 1;
const NEIGHBOUR: usize = 4;
/// A bound beyond which is whatever there is.
const NOTHING: ByTier = ByTier { county: 0, town: 0, village: 0 };

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
    /// A store has a photo that its document only names, by what the simulator knows.
    Claim,
    /// There are more certificates below a town than it may have.
    Certify,
    /// There are more revocations from a town on down than may be kept.
    Revoke,
    /// More operations of a document count than may.
    Unfold,
    /// A node asks for more photos at a time than it may.
    Ask,
}

impl World {
    /// Does it, at the first village or its town.
    pub(super) fn sabotage(&mut self, what: Sabotage) {
        if self.process(TOWN).is_none() {
            return self.after(1_000, Happening::Sabotage(what));
        }
        match what {
            Sabotage::Forget | Sabotage::Lie | Sabotage::Leak => self.break_store(what),
            Sabotage::Snoop => self.snoop(),
            Sabotage::Claim => self.claim(),
            // The bounds are narrower than those of the product from here on.
            Sabotage::Certify => self.bounds.certificates = NOTHING,
            Sabotage::Revoke => self.bounds.revocations = vec![(1, NOTHING)],
            Sabotage::Ask => self.bounds.photos_at_once = 0,
            Sabotage::Unfold => {
                self.bounds.operations = 100_000;
                self.crowd_town();
            }
        }
        for at in 0..self.machines.len() {
            if let Some(Some(authority)) = self.authorities.get(at).cloned() {
                self.check_kept(at, &authority);
            }
        }
    }

    /// The town has a document that holds as much as counts, and more.
    fn crowd_town(&mut self) {
        let changes = self.crowded_changes();
        let carried = changes.into_iter().map(|bytes| Carried { bytes, reached: 0 });
        let (from, scope) = (self.thief.stolen.certificate.serial(), Scope::everything());
        let (changes, sender_tiers, at_ms) = (carried.collect(), 0, self.now_ms);
        let chain = self.thief.stolen.hostile.chain.clone();
        let Some(process) = self.process(TOWN) else { return };
        let refused = process.store.add_certificates(&chain).expect("a store takes certificates");
        assert_eq!(refused, Vec::<String>::new());
        let request = StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms };
        let reply = process.store.serve(request).expect("a store takes changes");
        let StoreReply::Ingested { fates, .. } = reply else { return };
        let taken = fates.iter().all(|(_, fate)| *fate == Fate::Accepted);
        assert!(taken, "the town takes {fates:?}");
        self.after_store(TOWN);
    }

    fn claim(&mut self) {
        let Some((_, region)) = self.tier_and_region(VILLAGE) else { return };
        let home = Home { category: Category::TICKET_PHOTO, ..self.new_home(region) };
        let content = self.new_content(500);
        self.add_photo(VILLAGE, home, content);
        if let Some(photo) = self.photos.last_mut() {
            photo.given = false;
        }
        self.check_claims(VILLAGE);
    }

    fn break_store(&mut self, what: Sabotage) {
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
            Sabotage::Snoop
            | Sabotage::Claim
            | Sabotage::Certify
            | Sabotage::Revoke
            | Sabotage::Unfold
            | Sabotage::Ask => Ok(()),
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

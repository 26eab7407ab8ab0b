//! What must hold: at every frame and commit, and when everything has come to rest.
//!
//! | what | when |
//! |---|---|
//! | authenticity: nothing is in a store that nobody may have made | every commit |
//! | scope: a store holds, and a frame names, only what its reader may see | every commit, every frame |
//! | durability: what was acknowledged to a person or a peer is there | every start, every certificate, at rest |
//! | honesty: what is shown as held by a tier is held there | every commit, by samples; all every 30 s and at rest |
//! | bounds: of batches under way and of requests to a store; the others are in [`super::bound`] | every frame |
//! | convergence: same sets, same projections, same as made anew | at rest |

use std::sync::Arc;

use cunlian_crdt::projector::Projector as _;
use cunlian_crdt::store::Store;
use cunlian_governance::capabilities::Capabilities;
use cunlian_protocol::blob::BlobMessage;
use cunlian_protocol::change::Home;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Fate, StoreReply};
use rusqlite::types::Value;

use super::fault::Fault;
use super::network::Place;
use super::reading::{Meaning, meaning};
use super::world::World;

/// Documents whose status is looked at after a commit.
const SAMPLES: u64 = 3;

impl World {
    /// Looks at a frame that an honest node sends.
    pub(super) fn check_frame(&mut self, at: usize, connection: ConnectionId, frame: &[u8]) {
        let Some(end) = self.network.ends.get(&connection).filter(|end| !end.closing) else {
            return;
        };
        let (to, peer) = (end.other, end.peer);
        let scope = self.scope_of(to);
        let name = match to {
            Place::Node(to) => self.name(to),
            Place::Thief => "the thief",
        };
        match meaning(frame) {
            Meaning::Batch(number, changes) => {
                for change in &changes {
                    let key = change.key();
                    assert!(scope.allows(&key.to_bytes()), "{name} is sent {key:?}");
                }
                let ids = changes.iter().map(cunlian_protocol::change::SignedChange::id).collect();
                if let Some(end) = self.network.ends.get_mut(&connection) {
                    end.batches.insert(number, ids);
                    let under_way = end.batches.len();
                    assert!(
                        under_way <= limits::IN_FLIGHT_BATCHES,
                        "{under_way} batches to {name}"
                    );
                }
                if at == self.thief.robbed {
                    self.thief.tape.push(frame.to_vec());
                }
            }
            Meaning::Ack(number, refused) => {
                let Some(other) = self.network.ends.get_mut(&peer) else { return };
                let Some(ids) = other.batches.remove(&number) else { return };
                let taken = (0..).zip(ids).filter(|(place, _)| !refused.contains(place));
                let taken: Vec<_> = taken.map(|(_, id)| id).collect();
                self.model.promise(at, taken);
                if let Some(Some(authority)) = self.authorities.get(at) {
                    self.model.check_promises(at, self.name(at), authority);
                }
            }
            Meaning::Prefixes(prefixes) => {
                for prefix in prefixes {
                    assert!(scope.allows(prefix.as_bytes()), "{name} is told of {prefix:?}");
                }
            }
            Meaning::Blob(message) => {
                // Content is random, and looked at byte by byte.
                if !matches!(message, BlobMessage::Part { .. }) {
                    self.model.check_names(frame, &scope, name);
                }
                self.check_blob_message(connection, message, (&scope, name));
                self.check_asked(connection, name);
            }
            Meaning::Other => self.model.check_names(frame, &scope, name),
            Meaning::Certificates => {}
        }
    }

    /// What may be read at a place.
    pub(super) fn scope_of(&self, place: Place) -> Scope {
        let certificate = match place {
            Place::Thief => &self.thief.stolen.certificate,
            Place::Node(at) => {
                let machine = self.machines.get(at).expect("every node is known");
                &machine.disk.member.identity.certificate
            }
        };
        cunlian_protocol::authority::read_scope(certificate)
    }

    /// Follows what a store holds.
    pub(super) fn follow_store(&mut self, at: usize, anew: bool) {
        let scope = self.scope_of(Place::Node(at));
        let name = self.name(at);
        let Some(process) = self.machines.get(at).and_then(|m| m.process.as_ref()) else { return };
        let (store, latest) = (process.store.clone(), process.store.authority());
        let known = self.authorities.get_mut(at).expect("every node is known");
        let news = known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &latest));
        *known = Some(Arc::clone(&latest));
        let left = self.model.follow(at, name, &store, &scope, anew || news);
        if left && !anew {
            self.fired.count(Fault::Revocation);
        }
        if news {
            self.check_kept(at, &latest);
        }
        self.check_status(at, &store, Some(SAMPLES));
    }

    /// What is shown as held by a tier above is held there: of some documents, or of all.
    fn check_status(&mut self, at: usize, store: &Store, samples: Option<u64>) {
        let homes = self.model.homes(at);
        let chosen: Vec<Home> = match samples {
            Some(count) => (0..count).filter_map(|_| self.luck.pick(&homes)).collect(),
            None => homes,
        };
        for home in chosen {
            let reached = store.reached(&home).expect("a store can be read").reached;
            let mut above = self.machines.get(at).and_then(|machine| machine.parent);
            while let Some(tier) = above {
                let machine = self.machines.get(tier).expect("every node is known");
                let bit = machine.disk.member.identity.tier_bit();
                if let Some(Some(authority)) = self.authorities.get(tier)
                    && reached & bit != 0
                {
                    let missing = self.model.missing(at, tier, &home, authority);
                    let (name, tier) = (self.name(at), self.name(tier));
                    assert!(
                        missing.is_none(),
                        "{name} shows {home:?} as held by {tier}, which lacks {missing:?}"
                    );
                }
                above = machine.parent;
            }
        }
    }

    /// The same of all documents of a node.
    pub(super) fn check_all_status(&mut self, at: usize) {
        if let Some(process) = self.process(at) {
            let store = process.store.clone();
            self.check_status(at, &store, None);
        }
    }

    /// A store gave an error: it must be one that was caused.
    pub(super) fn check_fault(&mut self, at: usize, fault: &cunlian_crdt::store::Fault) {
        let full = self.machines.get(at).is_some_and(|machine| machine.full);
        assert!(
            full && *fault == cunlian_crdt::store::Fault::DiskFull,
            "{}: {fault}",
            self.name(at)
        );
        let store = self.process(at).map(|process| process.store.clone());
        let health = store.map(|store| store.health());
        assert_eq!(health, Some(cunlian_crdt::store::Health::DiskFull));
        self.fired.count(Fault::DiskFull);
    }

    /// Notes what was refused because of a revocation.
    pub(super) fn count_refusals(
        &mut self,
        reply: &Result<StoreReply, cunlian_crdt::store::Fault>,
    ) {
        let Ok(StoreReply::Ingested { fates, .. }) = reply else { return };
        if fates.iter().any(|(_, fate)| matches!(fate, Fate::Postponed { .. })) {
            self.fired.count(Fault::Quota);
        }
        let revoked = fates.iter().any(|(_, fate)| match fate {
            Fate::Refused { reason } => reason.contains("revoked"),
            Fate::Accepted | Fate::Known | Fate::Postponed { .. } => false,
        });
        if revoked {
            self.fired.count(Fault::Revocation);
        }
    }

    /// Why the county is not at rest, if it is not.
    pub(super) fn unsettled(&self) -> Option<String> {
        for (at, machine) in self.machines.iter().enumerate() {
            let name = machine.name;
            let Some(process) = &machine.process else { return Some(format!("{name} is off")) };
            if machine.disk.suspended.is_some() {
                return Some(format!("{name} is suspended"));
            }
            for report in process.hub.reports() {
                if report.target.is_some_and(|target| !self.is_former(at, target)) {
                    let synced = report.session.as_ref().is_some_and(|session| session.synced);
                    if !report.connected || !synced {
                        return Some(format!("{name}: {report:?}"));
                    }
                }
            }
            if let Some(parent) = machine.parent
                && let Some(difference) = self.difference(at, parent)
            {
                return Some(difference);
            }
            let waiting = process.store.outbox_totals().expect("a store can be read");
            if let Some((tier, backlog)) = waiting.first_key_value() {
                return Some(format!("{name} waits for {tier:?}: {backlog:?}"));
            }
        }
        self.missing_photo()
    }

    fn difference(&self, one: usize, other: usize) -> Option<String> {
        let scope =
            self.scope_of(Place::Node(one)).intersection(&self.scope_of(Place::Node(other)));
        let (here, there) = (self.model.within(one, &scope), self.model.within(other, &scope));
        let first = here.symmetric_difference(&there).next()?;
        let holder = if here.contains(first) { one } else { other };
        Some(format!(
            "of {} and {} only {} holds {first}",
            self.name(one),
            self.name(other),
            self.name(holder)
        ))
    }

    /// Everything that must hold at rest.
    pub(super) fn check_at_rest(&mut self) {
        for at in 0..self.machines.len() {
            self.follow_store(at, true);
            let store = self.process(at).map(|process| process.store.clone());
            let store = store.expect("at rest every node runs");
            self.check_status(at, &store, None);
            let verified = store.verify().expect("a store can be read");
            assert!(verified.is_sound(), "{}: {verified:#?}", self.name(at));
            if !verified.beyond_bounds.is_empty() {
                self.fired.count(Fault::Crowding);
            }
            self.check_crowded(at, &store);
            self.check_claims(at);
            if store.counts().expect("a store can be read").equivocations > 0 {
                self.fired.count(Fault::Equivocation);
            }
            let parent = self.machines.get(at).and_then(|machine| machine.parent);
            if let Some(parent) = parent {
                self.check_projections(at, parent);
            }
            let scope = self.scope_of(Place::Node(at));
            let capabilities = self.work.capabilities.clone();
            let before = rows(&store, &scope, &capabilities);
            store.rebuild_projections().expect("projections can be made anew");
            assert!(
                before == rows(&store, &scope, &capabilities),
                "{}: projections differ",
                self.name(at)
            );
            self.note(self.name(at), "ends with", &before);
        }
    }

    fn check_projections(&mut self, one: usize, other: usize) {
        let scope =
            self.scope_of(Place::Node(one)).intersection(&self.scope_of(Place::Node(other)));
        let of = |world: &mut Self, at: usize| {
            let store = world.process(at).map(|process| process.store.clone());
            let store = store.expect("at rest every node runs");
            rows(&store, &scope, &world.work.capabilities)
        };
        let (here, there) = (of(self, one), of(self, other));
        for (table, (here, there)) in here.iter().zip(&there).enumerate() {
            let differs = here.iter().zip(there).find(|(here, there)| here != there);
            let (one, other) = (self.name(one), self.name(other));
            assert!(here == there, "{one} and {other}: table {table}: {differs:#?}");
        }
    }
}

/// All rows of all projections about documents within a scope, in the order of their values.
fn rows(store: &Store, scope: &Scope, capabilities: &Capabilities) -> Vec<Vec<Vec<Value>>> {
    let read = |table: &&str| {
        let of_table = store.read(|connection| {
            let mut select = connection.prepare(&format!("SELECT * FROM {table}"))?;
            let columns = select.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Value>>>()
            };
            select.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut rows = of_table.expect("a store can be read");
        rows.retain(|row| home(row).is_some_and(|home| allows(scope, &home)));
        rows.sort_unstable_by_key(|row| format!("{row:?}"));
        rows
    };
    capabilities.tables().iter().map(read).collect()
}

fn allows(scope: &Scope, home: &Home) -> bool {
    scope.allows(KeyPrefix::document(home).as_bytes())
}

/// The home of a projection row: its first three columns.
fn home(row: &[Value]) -> Option<Home> {
    let (Value::Integer(category), Value::Text(address), Value::Blob(document)) =
        (row.first()?, row.get(1)?, row.get(2)?)
    else {
        return None;
    };
    let address = cunlian_protocol::address::AddressCode::parse(address).ok()?;
    let document = cunlian_protocol::id::DocumentId(document.as_slice().try_into().ok()?);
    let category = cunlian_protocol::category::Category(u16::try_from(*category).ok()?);
    Some(Home { category, address, document })
}

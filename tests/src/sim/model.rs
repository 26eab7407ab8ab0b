//! What must be true, kept beside the product: who made what, who holds what, who was told what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cunlian_crdt::store::Store;
use cunlian_protocol::authority::{Authority, Refusal};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{ChangeKind, Header, Home};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::scope::Scope;

/// What a store holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Every change, with its home.
    pub(super) changes: BTreeMap<ChangeId, Home>,
    last_row: i64,
}

/// What the simulator knows.
#[derive(Default)]
pub(super) struct Model {
    /// Every change that may be in a store.
    made: BTreeMap<ChangeId, Header>,
    /// Every erasure, by its document.
    erasures: BTreeMap<Home, Vec<ChangeId>>,
    /// By the first bytes of ids of changes and documents: what they are.
    beginnings: HashMap<[u8; 8], Vec<Name>>,
    /// What each node holds.
    pub(super) held: Vec<Held>,
    /// What each node has said to hold, to its people or to a peer.
    promised: Vec<BTreeSet<ChangeId>>,
    /// What a node lost with its disk and may be believed to hold by others.
    forgiven: Vec<BTreeSet<ChangeId>>,
}

/// A name of something that only some may read.
#[derive(Debug, Clone)]
struct Name {
    bytes: Vec<u8>,
    key: Vec<u8>,
}

impl Held {
    /// How many changes a store has.
    fn count(store: &Store) -> usize {
        let count = store.read(|connection| {
            connection.query_row("SELECT count(*) FROM change", [], |row| row.get(0))
        });
        count.expect("a store can be read")
    }

    /// Reads what was added; everything when `anew`, because something may have left.
    pub(super) fn follow(&mut self, store: &Store, anew: bool) -> Vec<(ChangeId, Home)> {
        let after = if anew { 0 } else { self.last_row };
        let read = store.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT row, key FROM change WHERE row > ?1")?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            select.query_map([after], row)?.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()
        });
        if anew {
            self.changes.clear();
            self.last_row = 0;
        }
        let mut added = Vec::new();
        for (row, key) in read.expect("a store can be read") {
            let SetKey { home, change } =
                SetKey::from_bytes(&key).expect("the log has keys of changes");
            self.last_row = self.last_row.max(row);
            self.changes.insert(change, home);
            added.push((change, home));
        }
        added
    }

    /// The ids within a scope.
    pub(super) fn within(&self, scope: &Scope) -> BTreeSet<ChangeId> {
        let key = |change: ChangeId, home: Home| SetKey { home, change }.to_bytes();
        let inside = self.changes.iter().filter(|(id, home)| scope.allows(&key(**id, **home)));
        inside.map(|(id, _)| *id).collect()
    }
}

impl Model {
    /// Of so many nodes that hold nothing.
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            held: vec![Held::default(); nodes],
            promised: vec![BTreeSet::new(); nodes],
            forgiven: vec![BTreeSet::new(); nodes],
            ..Self::default()
        }
    }

    /// Somebody made a change that may spread.
    pub(super) fn make(&mut self, id: ChangeId, header: &Header) {
        if self.made.insert(id, *header).is_none() {
            if header.kind == ChangeKind::ERASE {
                self.erasures.entry(header.home).or_default().push(id);
            }
            let key = SetKey { home: header.home, change: id }.to_bytes();
            self.name(id.0.to_vec(), key);
            let document = header.home.document.0.to_vec();
            self.name(document, KeyPrefix::document(&header.home).as_bytes().to_vec());
        }
    }

    /// A node says that it holds these.
    pub(super) fn promise(&mut self, at: usize, ids: impl IntoIterator<Item = ChangeId>) {
        if let Some(promised) = self.promised.get_mut(at) {
            promised.extend(ids);
        }
    }

    /// Takes in what a store holds now, and checks what was added, and what left if anything may
    /// have; gives whether something did.
    pub(super) fn follow(
        &mut self,
        at: usize,
        name: &str,
        store: &Store,
        scope: &Scope,
        anew: bool,
    ) -> bool {
        let held = self.held.get_mut(at).expect("every node is known");
        let mut before = if anew { held.changes.clone() } else { BTreeMap::new() };
        let mut added = held.follow(store, anew);
        // One change may also leave because another has come.
        let anew = anew || held.changes.len() != Held::count(store);
        if anew && before.is_empty() {
            before.clone_from(&held.changes);
            added = held.follow(store, true);
        }
        let left = before.keys().any(|id| !held.changes.contains_key(id));
        for (id, home) in &added {
            assert!(self.made.contains_key(id), "{name} holds {id}, which nobody may have made");
            let key = SetKey { home: *home, change: *id };
            assert!(scope.allows(&key.to_bytes()), "{name} holds {key:?}");
        }
        let forgiven = self.forgiven.get_mut(at).expect("every node is known");
        for (id, _) in &added {
            forgiven.remove(id);
        }
        if anew {
            self.check_promises(at, name, &store.authority());
        }
        left
    }

    /// How many changes of each category were made.
    pub(super) fn made_of(&self) -> BTreeMap<Category, u64> {
        let mut made = BTreeMap::new();
        for header in self.made.values() {
            *made.entry(header.home.category).or_default() += 1;
        }
        made
    }

    /// Documents of a node, each once.
    pub(super) fn homes(&self, at: usize) -> Vec<Home> {
        let held = self.held.get(at).map(|held| &held.changes);
        let homes: BTreeSet<Home> = held.into_iter().flat_map(BTreeMap::values).copied().collect();
        homes.into_iter().collect()
    }

    /// Whether a node holds a change.
    pub(super) fn has(&self, at: usize, id: &ChangeId) -> bool {
        self.held.get(at).is_some_and(|held| held.changes.contains_key(id))
    }

    /// The ids a node holds within a scope.
    pub(super) fn within(&self, at: usize, scope: &Scope) -> BTreeSet<ChangeId> {
        self.held.get(at).map(|held| held.within(scope)).unwrap_or_default()
    }

    /// The greatest number of a change by an author that a node holds.
    pub(super) fn last_seq(&self, at: usize, author: &Serial) -> u64 {
        let held = self.held.get(at).into_iter().flat_map(|held| held.changes.keys());
        let headers = held.filter_map(|id| self.made.get(id));
        headers
            .filter(|header| header.author == *author)
            .map(|header| header.seq)
            .max()
            .unwrap_or(0)
    }

    /// A change of a document that `at` holds and `above`, which is shown to hold it, does not.
    pub(super) fn missing(
        &self,
        at: usize,
        above: usize,
        home: &Home,
        authority: &Authority,
    ) -> Option<ChangeId> {
        let held = self.held.get(at).into_iter().flat_map(|held| &held.changes);
        let mut of_home = held.filter(|(_, of)| *of == home).map(|(id, _)| *id);
        of_home.find(|id| !self.holds(above, id, authority))
    }

    /// Everything a node said to hold is there, or was made by somebody who was revoked for it.
    pub(super) fn check_promises(&self, at: usize, name: &str, authority: &Authority) {
        let (Some(held), Some(promised)) = (self.held.get(at), self.promised.get(at)) else {
            return;
        };
        for id in promised.iter().filter(|id| !held.changes.contains_key(*id)) {
            let made = self.made.get(id);
            let must = self.must_be_there(id, authority);
            assert!(!must, "{name} has acknowledged {id} and does not hold it: {made:?}");
        }
    }

    /// Whether who has taken in a change must still have it, by what is known there: unless its
    /// author was revoked for it, or it was a stub, whose erasure was. An author that is unknown
    /// there is no excuse: who took in the change knew its author, and who did not has none of it.
    fn must_be_there(&self, id: &ChangeId, authority: &Authority) -> bool {
        let stands = |id: &ChangeId| {
            let header = self.made.get(id);
            header.is_some_and(|h| match authority.stands(&h.author, h.seq, Some(id)) {
                Ok(()) | Err(Refusal::UnknownAuthor { .. }) => true,
                Err(
                    Refusal::Revoked { .. }
                    | Refusal::Replaced { .. }
                    | Refusal::Expired { .. }
                    | Refusal::NoGrant { .. },
                ) => false,
            })
        };
        let home = self.made.get(id).map(|header| header.home);
        let erasures = home.and_then(|home| self.erasures.get(&home));
        stands(id) && erasures.into_iter().flatten().all(stands)
    }

    /// A disk goes back to a copy in which these were: the rest is lost, and may be believed to
    /// be there by others until it comes back.
    pub(super) fn roll_back(&mut self, at: usize, copy: Held) {
        let before = std::mem::replace(self.held.get_mut(at).expect("every node is known"), copy);
        let held = &self.held.get(at).expect("every node is known").changes;
        let lost = before.changes.into_keys().filter(|id| !held.contains_key(id));
        let mut lost: Vec<ChangeId> = lost.collect();
        if let Some(promised) = self.promised.get_mut(at) {
            // Also what had gone by a revocation that is lost as well.
            lost.extend(promised.iter().filter(|id| !held.contains_key(*id)));
            promised.retain(|id| held.contains_key(id));
        }
        if let Some(forgiven) = self.forgiven.get_mut(at) {
            forgiven.extend(lost);
        }
    }

    /// Whether a node that is shown to hold a change does, or may be excused.
    pub(super) fn holds(&self, at: usize, id: &ChangeId, authority: &Authority) -> bool {
        let held = self.held.get(at).is_some_and(|held| held.changes.contains_key(id));
        let forgiven = || self.forgiven.get(at).is_some_and(|forgiven| forgiven.contains(id));
        held || forgiven() || !self.must_be_there(id, authority)
    }

    /// Fails when bytes that go to who may read `scope` name something outside of it.
    pub(super) fn check_names(&self, bytes: &[u8], scope: &Scope, to: &str) {
        for (at, window) in bytes.windows(8).enumerate() {
            let Ok(window) = <[u8; 8]>::try_from(window) else { continue };
            let Some(names) = self.beginnings.get(&window) else { continue };
            let is_here =
                |name: &&Name| bytes.get(at..).is_some_and(|rest| rest.starts_with(&name.bytes));
            let mut here = names.iter().filter(is_here).peekable();
            let Some(first) = here.peek().map(|name| name.key.clone()) else { continue };
            // One id may be the name of several documents.
            assert!(here.any(|name| scope.allows(&name.key)), "{to} is told of {first:x?}");
        }
    }

    /// These bytes name something that only they may know of who may read this key.
    pub(super) fn name(&mut self, bytes: Vec<u8>, key: Vec<u8>) {
        let Some(beginning) = bytes.first_chunk::<8>().copied() else { return };
        let names = self.beginnings.entry(beginning).or_default();
        if !names.iter().any(|name| name.bytes == bytes && name.key == key) {
            names.push(Name { bytes, key });
        }
    }
}

//! Machines that are copied, lost or set back, and what is done to a node by hand.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cunlian_crdt::store::Suspension;
use cunlian_protocol::hub::Event;
use cunlian_protocol::id::PublicKey;

use super::{Backup, STORE, World, nobody, open};

impl World {
    /// A second machine with the identity of a node and an empty store, as after a fire; with the
    /// lineage tokens of the first one if it is a copy.
    pub fn copy(&mut self, at: usize) -> usize {
        let (member, targets) = (self.nodes[at].member.clone(), self.nodes[at].targets.clone());
        let copy = self.add(&member, &targets);
        self.nodes[copy].lines = self.nodes[at].lines.clone();
        self.restart(copy);
        copy
    }

    /// The machine of a node is lost, and another one with its identity and lineage tokens and an empty
    /// store stands in its place.
    pub fn replace(&mut self, at: usize) -> usize {
        let new = self.copy(at);
        self.addresses.insert(self.nodes[at].member.public_key(), new);
        new
    }

    /// What a backup of a node has in it.
    pub fn back_up(&self, at: usize) -> Backup {
        let dir = tempfile::tempdir().unwrap();
        let node = &self.nodes[at];
        node.store.copy_to(&dir.path().join(STORE)).unwrap();
        Backup { member: node.member.clone(), lines: node.lines.clone(), dir }
    }

    /// The machine of a node has what it had then, and knows so if it is suspended.
    pub fn set_back(&mut self, at: usize, to: &Backup, suspended: Option<Suspension>) {
        let node = &mut self.nodes[at];
        node.store = open(&node.dir.with_extension("none"), nobody(), &Arc::default());
        std::fs::remove_dir_all(&node.dir).unwrap();
        std::fs::create_dir(&node.dir).unwrap();
        std::fs::copy(to.dir.path().join(STORE), node.dir.join(STORE)).unwrap();
        node.member = to.member.clone();
        node.lines = to.lines.clone();
        node.store = open(&node.dir, node.member.store_identity(), &node.committed);
        node.suspended = suspended.is_some();
        if let Some(reason) = suspended {
            node.store.suspend(reason);
        }
        self.addresses.insert(to.member.public_key(), at);
        self.restart(at);
    }

    /// A node hears that something is durable, and reads it, before it hears of the certificates
    /// that were added with it.
    pub fn commit_before_authority(&mut self, at: usize) {
        self.nodes[at].committed.store(false, Ordering::SeqCst);
        self.handle(at, Event::Committed);
        self.nodes[at].committed.store(true, Ordering::SeqCst);
    }

    /// A hub hears of what was added to its store by hand.
    pub fn announce(&mut self, at: usize) {
        self.after_store(at);
    }

    /// Whoever dials this key gets to another node.
    pub fn redirect(&mut self, key: PublicKey, to: usize) {
        self.addresses.insert(key, to);
    }
}

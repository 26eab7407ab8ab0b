use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A change of a made-up history: its author, and which earlier changes it builds on.
type Drawn = (u8, Vec<prop::sample::Index>, bool);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let builds_on = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    prop::collection::vec((0..4_u8, builds_on, prop::bool::weighted(0.1)), 1..14)
}

/// A change as a node has it, with its author and number.
#[derive(Debug, Clone)]
struct Change {
    author: u8,
    seq: u64,
    member: Member,
}

/// One in ten is a copy of the Automerge change of another, under another id.
fn history(drawn: &[Drawn]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (number, (author, builds_on, copies)) in (0_u8..).zip(drawn) {
        let seq = 1 + changes.iter().filter(|change| change.author == *author).count() as u64;
        let before = changes.len();
        let mut picked: Vec<&Change> = Vec::new();
        if before > 0 {
            picked =
                builds_on.iter().filter_map(|index| changes.get(index.index(before))).collect();
        }
        let mut hash = [number; 32];
        let mut dependencies: Vec<_> = picked.iter().filter_map(|c| c.member.hash).collect();
        if let (true, Some(other)) = (copies, picked.first()) {
            hash = other.member.hash.unwrap_or(hash);
            dependencies = other.member.dependencies.clone();
        }
        // Ids are not in the order in which changes were made.
        let id = ChangeId(*blake3::hash(&[number]).as_bytes());
        let member = Member { id, stands: true, hash: Some(hash), dependencies };
        changes.push(Change { author: *author, seq, member });
    }
    changes
}

/// What one node has been told.
#[derive(Debug, Default)]
struct Node {
    changes: Vec<Change>,
    revoked: BTreeSet<(u8, u64)>,
}

impl Node {
    fn learn(&mut self, change: &Change) {
        if !self.changes.iter().any(|known| known.member.id == change.member.id) {
            self.changes.push(change.clone());
        }
    }

    fn stands(&self, change: &Change) -> bool {
        let falls =
            |(author, through): &(u8, u64)| *author == change.author && change.seq > *through;
        !self.revoked.iter().any(falls)
    }

    fn log(&self) -> Vec<(Change, Place)> {
        let stands =
            |change: &Change| Member { stands: self.stands(change), ..change.member.clone() };
        let members: Vec<Member> = self.changes.iter().map(stands).collect();
        let placed = self.changes.iter().cloned().zip(places(&members));
        let mut log: Vec<_> = placed.filter(|(_, place)| *place != Place::Withheld).collect();
        log.sort_by_key(|(change, _)| change.member.id);
        log
    }

    fn picture(&self) -> Vec<(ChangeId, Place)> {
        self.log().into_iter().map(|(change, place)| (change.member.id, place)).collect()
    }
}

/// One of: a change reaches a node, a revocation does, two nodes compare.
#[derive(Debug, Clone)]
enum Event {
    Change(usize, prop::sample::Index),
    Revocation(usize, prop::sample::Index),
    Meet(usize, usize),
}

const NODES: usize = 3;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let node = || 0..NODES;
    let event = prop_oneof![
        4 => (node(), any::<prop::sample::Index>()).prop_map(|(n, i)| Event::Change(n, i)),
        1 => (node(), any::<prop::sample::Index>()).prop_map(|(n, i)| Event::Revocation(n, i)),
        2 => (node(), node()).prop_map(|(a, b)| Event::Meet(a, b)),
    ];
    prop::collection::vec(event, 0..40)
}

/// Both take in what the other's log has; revocations come first, as in a session.
fn meet(nodes: &mut [Node], left: usize, right: usize) {
    for (from, to) in [(left, right), (right, left)] {
        let told = nodes.get(from).map(|node| node.revoked.clone()).unwrap_or_default();
        if let Some(node) = nodes.get_mut(to) {
            node.revoked.extend(told);
        }
    }
    for (from, to) in [(left, right), (right, left)] {
        let log = nodes.get(from).map(Node::log).unwrap_or_default();
        if let Some(node) = nodes.get_mut(to) {
            for (change, _) in &log {
                node.learn(change);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Shows, by a model of nodes that hear of changes and revocations in any order and meet in
    /// any order, that in the end all keep the same, that it is what the definition says of all
    /// changes together, and that no change that stands is lost.
    #[test]
    fn every_order_gives_the_same_set(
        drawn in drawn(),
        revoked in prop::collection::btree_set((0..4_u8, 0..4_u64), 0..3),
        events in events(),
    ) {
        let changes = history(&drawn);
        let revoked: Vec<(u8, u64)> = revoked.into_iter().collect();
        let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::default()).collect();
        // Whoever made a change had all that it builds on: each author works at a node.
        for change in &changes {
            if let Some(node) = nodes.get_mut(usize::from(change.author) % NODES) {
                let all = changes.iter().take_while(|c| c.member.id != change.member.id);
                all.filter(|c| change.member.dependencies.contains(&c.member.hash.unwrap_or_default()))
                    .for_each(|c| node.learn(c));
                node.learn(change);
            }
        }
        for event in events {
            match event {
                Event::Change(node, which) => {
                    if let (Some(node), Some(change)) =
                        (nodes.get_mut(node), changes.get(which.index(changes.len())))
                    {
                        node.learn(change);
                    }
                }
                Event::Revocation(node, which) => {
                    if let (Some(node), false) = (nodes.get_mut(node), revoked.is_empty()) {
                        node.revoked.extend(revoked.get(which.index(revoked.len())));
                    }
                }
                Event::Meet(left, right) => meet(&mut nodes, left, right),
            }
        }
        if let Some(node) = nodes.first_mut() {
            node.revoked.extend(&revoked);
        }
        for _ in 0..changes.len() + NODES {
            for node in 1..NODES {
                meet(&mut nodes, 0, node);
            }
        }
        let all = Node { changes: changes.clone(), revoked: revoked.into_iter().collect() };
        for node in &nodes {
            prop_assert_eq!(node.picture(), all.picture());
        }
        for change in changes.iter().filter(|change| all.stands(change)) {
            prop_assert!(all.picture().contains(&(change.member.id, Place::Stands)));
        }
    }

    /// Shows that what is kept and does not stand is needed by something kept, and that of copies
    /// of one Automerge change at most one is kept that does not stand.
    #[test]
    fn nothing_is_kept_without_need(
        drawn in drawn(),
        revoked in prop::collection::btree_set((0..4_u8, 0..4_u64), 0..3),
    ) {
        let all = Node { changes: history(&drawn), revoked };
        let log = all.log();
        let mut hashes = BTreeSet::new();
        for (change, _) in log.iter().filter(|(_, place)| *place == Place::Tainted) {
            let hash = change.member.hash.unwrap_or_default();
            prop_assert!(hashes.insert(hash));
            prop_assert!(log.iter().any(|(other, _)| other.member.dependencies.contains(&hash)));
        }
    }
}

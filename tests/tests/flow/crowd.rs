//! Many children at once, some of them greedy or broken: nobody waits long for the others.

use cunlian_crdt::document::Author;
use cunlian_crdt::store::Store;
use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::sync::Stored;
use cunlian_tests::member::{Member, root};
use cunlian_tests::world::{open, under};
use tempfile::TempDir;

use super::child::Child;
use super::urgent::{POPULATION, TOWN};
use super::world::{Backing, Breadth, World, record};

fn address(number: u32) -> String {
    format!("{TOWN}{:03}", 200 + number)
}

/// The node of a village below the town.
fn village(town: &Member, number: u32) -> Member {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_bytes(&seed);
    let region = AddressCode::parse(&address(number)).unwrap();
    let body = CertificateBody {
        subject: public_key(&key),
        name: format!("{number}村"),
        kind: AuthorKind::Node,
        tier: Tier::Village,
        grants: preset::grants(Tier::Village, region),
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: Some(town.serial()),
    };
    let mut chain = town.identity.chain.clone();
    chain.push(Certificate::issue(&body, &town.identity.key));
    let certificate = Authority::new(root()).verify_chain(&chain).unwrap();
    let identity = Identity { certificate, chain, key, ..town.identity.clone() };
    Member { identity }
}

/// Where the changes of all villages are made.
struct Source {
    store: Store,
    _dir: TempDir,
}

impl Source {
    fn new(town: &Member) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), town);
        Self { store, _dir: dir }
    }

    /// So many records of a village, written by its node.
    fn records(&self, member: &Member, number: u32, count: u32) -> Vec<Stored> {
        self.store.add_certificates(&member.identity.chain).unwrap();
        let author: Author = member.author(1);
        let at = address(number);
        let first = number * 100_000;
        let writes = (first..first + count).map(|n| record(POPULATION, &at, n)).collect();
        self.store.write(&author, writes, 1).unwrap();
        let region = Region { prefix: AddressCode::parse(&at).unwrap(), depth: Depth::Subtree };
        let prefix = KeyPrefix::region(POPULATION, &region);
        let changes = under(&self.store, &prefix);
        assert_eq!(changes.len(), count as usize);
        changes
    }
}

/// Adds a child that dials node 0.
fn add(world: &mut World, source: &Source, town: &Member, member: &Member, changes: Vec<Stored>) {
    let child = Backing::Child(Child::new(&source.store, changes));
    let authority = source.store.authority();
    world.add_backed(member, &[town.public_key()], authority, child);
}

fn child(world: &World, at: usize) -> &Child {
    match &world.nodes[at].backing {
        Backing::Child(child) => child,
        Backing::Store(_) => panic!("node {at} is no child"),
    }
}

/// How long the children waited until the town had all of theirs, shortest first.
fn waits(world: &World, children: std::ops::RangeInclusive<usize>, from_ms: i64) -> Vec<i64> {
    let mut waits: Vec<i64> =
        children.map(|at| child(world, at).done_ms.unwrap() - from_ms).collect();
    waits.sort_unstable();
    waits
}

/// Shows that when 500 children with 20 changes each come back at once, while three others send
/// all they can, three send nothing but changes that are refused, one has a line on which nothing
/// moves, and one connects again and again, no child waits more than five times the median, and
/// hardly longer than without the eight.
#[test]
fn no_child_waits_for_the_greedy_and_the_broken() {
    const CHILDREN: u32 = 500;
    let county = Member::county(2);
    let town = county.certify(3, Tier::Town, TOWN, "高城镇");
    let source = Source::new(&town);
    let members: Vec<Member> = (0..CHILDREN).map(|number| village(&town, number)).collect();
    let changes: Vec<Vec<Stored>> =
        (0..).zip(&members).map(|(number, member)| source.records(member, number, 20)).collect();
    let greedy: Vec<(Member, Vec<Stored>)> = (CHILDREN..CHILDREN + 3)
        .map(|number| {
            let member = village(&town, number);
            let changes = source.records(&member, number, 4_000);
            (member, changes)
        })
        .collect();
    let mut longest = Vec::new();
    for disturbed in [false, true] {
        let mut world = World::new(5);
        assert_eq!(world.add(&town, &[]), 0);
        for (member, changes) in members.iter().zip(&changes) {
            add(&mut world, &source, &town, member, changes.clone());
        }
        let children = 1..=members.len();
        let others = members.len() + 1;
        if disturbed {
            for (member, changes) in &greedy {
                add(&mut world, &source, &town, member, changes.clone());
            }
            for number in CHILDREN + 3..CHILDREN + 8 {
                // Nobody may send the changes of another village.
                let member = village(&town, number);
                source.store.add_certificates(&member.identity.chain).unwrap();
                add(&mut world, &source, &town, &member, greedy[0].1.clone());
            }
            let dead = Breadth { bytes_per_second: 100, delay_ms: 5_000 };
            world.set_line(0, others + 6, dead);
        }
        let from_ms = world.now_ms;
        let done = |world: &World| (1..=members.len()).all(|at| child(world, at).done_ms.is_some());
        while !done(&world) {
            world.run_until(world.now_ms + 300, done);
            if disturbed {
                world.cut(0, others + 7);
            }
            assert!(world.now_ms - from_ms < 60_000, "some child waits for ever");
        }
        let waits = waits(&world, children, from_ms);
        let (median, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        assert!(most <= 5 * median, "{most} ms, half of them less than {median} ms");
        longest.push(most);
        let most_in_store = world.nodes[0].most_in_store;
        let bound = limits::NODE_UNPROCESSED_BYTES + 4 * limits::BATCH_BYTES;
        assert!(most_in_store <= bound, "{most_in_store} bytes in memory");
        if disturbed {
            world.run(20_000);
            for at in others..others + 3 {
                assert_eq!(child(&world, at).figures(), (4_000, 0), "the greedy get there too");
            }
            let (held, refused) = child(&world, others + 3).figures();
            assert!(held == 0 && refused > 0, "the broken were at it");
        }
    }
    assert!(longest[1] <= 2 * longest[0], "{longest:?} ms without and with the others");
}

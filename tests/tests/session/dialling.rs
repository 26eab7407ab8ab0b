//! When to dial again: pauses grow, end, and differ from node to node.

use std::sync::Arc;

use cunlian_crdt::store::BlobContent;
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::category::Category;
use cunlian_protocol::hub::{Effect, Event, Hub, TargetId};
use cunlian_protocol::wire::FaultCode;
use cunlian_tests::member::{Member, root};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::agreement::{VILLAGE, town_and_village};
use super::world::{START_MS, World, put};

/// The pauses between attempts of a node that never gets through.
fn pauses(seed: u64, attempts: usize) -> Vec<i64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let county = Member::county(2);
    let authority = cunlian_protocol::authority::Authority::new(root());
    let mut hub = Hub::new(county.identity, Arc::new(authority), vec![root()]);
    let mut now_ms = START_MS;
    let mut pauses = Vec::new();
    for _ in 0..attempts {
        let mut effects = Vec::new();
        hub.handle(now_ms, &mut rng, Event::Tick, &mut effects);
        assert_eq!(effects, [Effect::Dial(TargetId(0))]);
        assert_eq!(hub.next_deadline_ms(), None, "one attempt at a time");
        effects.clear();
        let event = Event::DialFailed { target: TargetId(0), reason: "no answer".to_owned() };
        hub.handle(now_ms, &mut rng, event, &mut effects);
        assert_eq!(effects, []);
        let next_ms = hub.next_deadline_ms().unwrap();
        hub.handle(next_ms - 1, &mut rng, Event::Tick, &mut effects);
        assert_eq!(effects, [], "not before its time");
        pauses.push(next_ms - now_ms);
        now_ms = next_ms;
    }
    pauses
}

/// Shows that pauses double up to half a minute, half of each at random, so that neither a parent
/// is drowned nor 500 children come back in one instant.
#[test]
fn pauses_grow_and_have_jitter() {
    let one = pauses(1, 20);
    for (attempt, pause) in one.iter().enumerate() {
        let full = (500_i64 << attempt.min(10)).min(30_000);
        assert!((full / 2..=full).contains(pause), "attempt {attempt}: {pause} ms of {full}");
    }
    assert!(one.last().unwrap() >= &15_000);
    let spread: std::collections::BTreeSet<i64> =
        (0..200).map(|seed| *pauses(seed, 12).last().unwrap()).collect();
    assert!(spread.len() > 150, "200 nodes share {} instants", spread.len());
}

/// Shows that a success forgets the pauses: after an hour of failures and one session, a node
/// that is cut off dials again within a second.
#[test]
fn a_session_resets_the_pause() {
    let (mut world, town, village) = town_and_village();
    world.cut(town, village);
    world.run(3_600_000);
    let before = world.nodes[village].hub.next_deadline_ms().unwrap() - world.now_ms;
    assert!(before <= 30_000);
    world.heal(town, village);
    world.run(30_000);
    assert!(world.peer(village, "高城镇").connected);
    world.cut(town, village);
    world.run(1);
    let pause = world.nodes[village].hub.next_deadline_ms().unwrap() - world.now_ms;
    assert!(pause <= 1_000, "{pause} ms");
    assert!(!world.peer(village, "高城镇").connected);
}

/// How many pages the store of a node may have.
fn limit_pages(world: &World, at: usize, limit: impl Fn(u32) -> u32 + Send + 'static) {
    let done = world.nodes[at].store.write_reference(move |connection| {
        let pages = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let pragma = format!("PRAGMA max_page_count = {}", limit(pages));
        connection.query_row(&pragma, [], |_| Ok(()))
    });
    done.unwrap();
}

/// Shows that a town whose disk is full is dialled less and less often, although both hold the same
/// changes at the beginning of each session and only a photo does not fit any more; and that the
/// photo comes when there is room again.
#[test]
fn a_full_disk_above_is_dialled_less_and_less_often() {
    let (mut world, town, village) = town_and_village();
    world.run(30_000);
    limit_pages(&world, town, |pages| pages + 12);
    let content = vec![7; 300_000];
    let photo = BlobReference::of(&content, "image/jpeg").unwrap();
    let write = put(Category::TICKET_PHOTO, VILLAGE, 1, &photo.to_string());
    let author = world.nodes[village].member.author(1);
    let store = &world.nodes[village].store;
    store.write_with_blobs(&author, vec![write], vec![content.clone()], START_MS).unwrap();
    world.announce(village);
    world.run(600_000);
    let failed = world.nodes[town].closed.iter().filter(|(code, _)| *code == FaultCode::Store);
    let failed = failed.count();
    assert!((3..60).contains(&failed), "{failed} sessions in ten minutes");
    limit_pages(&world, town, |_| 1_000_000);
    world.run(90_000);
    let held = world.nodes[town].store.blob(&photo.name).unwrap();
    assert_eq!(held, Some(BlobContent::Whole(content)));
}

//! Photos that a node above does not take: seen where they are, where they should be, and as long as
//! it is true.

use cunlian_crdt::store::{BlobState, Quota, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::blob::BlobMessage;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::sync::StoreRequest;
use cunlian_tests::world::{one_of_each, open, open_with};
use std::sync::Arc;

use super::story::*;
use super::world::*;

fn standing(world: &World, at: usize, photo: &[u8]) -> BlobState {
    world.nodes[at].store.blob_state(&name_of(photo)).unwrap().unwrap()
}

/// The town takes so many bytes of photos of the village.
fn bound(world: &mut World, [_, town, village]: [usize; 3], bytes: u64) {
    let key = world.nodes[village].member.public_key();
    let quota = Quota { blob_bytes: bytes, ..Quota::default() };
    world.nodes[town].store.set_quota(&key, Some(quota)).unwrap();
    tell(world, town);
}

/// What of photos waits for the town, and what of it the town does not ask for.
fn waiting(world: &World, village: usize) -> [(u64, u64); 2] {
    let totals = world.nodes[village].store.blob_totals().unwrap();
    let (all, not_taken) = totals.above.get(&Tier::Town).cloned().unwrap_or_default();
    [(all.blobs, all.bytes), (not_taken.blobs, not_taken.bytes)]
}

/// Shows that a photo beyond the bound is said not to be taken, with the town's reason, at the
/// village and at the town, that this survives a restart of the village with the line cut, that
/// what was taken is not concerned, and that the photo goes on by itself when the bound is raised.
#[test]
fn a_photo_that_is_not_taken_is_said_to_be() {
    let (mut world, nodes @ [_, town, village]) = three_tiers();
    world.run(1_000);
    bound(&mut world, nodes, 3 * CHUNK as u64);
    let photos = [content(1, 2 * CHUNK), content(2, 2 * CHUNK)];
    save(&mut world, village, 1, &photos[0]);
    world.run(5_000);
    save(&mut world, village, 2, &photos[1]);
    world.run(30_000);
    assert!(is_whole(&world.nodes[town].store, &photos[0]));
    assert_eq!(here(&world.nodes[town].store, &photos[1]), 0);
    let said = |world: &World| {
        let why = standing(world, village, &photos[1]).postponed.unwrap();
        assert!(why.contains("0 MiB of photos and files on what \"苑兴村\" may send"), "{why}");
        assert!(why.contains("cunlian node quota"), "{why}");
        assert_eq!(standing(world, village, &photos[0]).postponed, None);
        let bytes = 2 * CHUNK as u64;
        assert_eq!(waiting(world, village), [(1, bytes), (1, bytes)]);
        why
    };
    let why = said(&world);
    assert_eq!(standing(&world, town, &photos[1]).postponed.as_ref(), Some(&why));
    let key = world.nodes[village].member.public_key();
    let not_taken = world.nodes[town].store.blob_totals().unwrap().not_taken;
    assert_eq!(not_taken.get(&key).map(|not| (not.blobs, &not.why)), Some((1, &why)));
    assert_eq!(world.nodes[town].notices.iter().filter(|n| n.contains("photos")).count(), 1);
    let told = said_by(&world, town);
    world.run(10 * 60_000);
    assert_eq!(said_by(&world, town), told, "what has not changed is not said again");
    world.cut(town, village);
    world.restart(village);
    world.run(1_000);
    said(&world);
    world.heal(town, village);
    world.run(60_000);
    said(&world);
    bound(&mut world, nodes, 4 * CHUNK as u64);
    world.run(10_000);
    assert!(is_whole(&world.nodes[town].store, &photos[1]));
    assert_eq!(standing(&world, village, &photos[1]).postponed, None);
    assert_eq!(waiting(&world, village), [(0, 0), (0, 0)]);
    assert!(world.nodes[town].store.blob_totals().unwrap().not_taken.is_empty());
    assert_sound(&world);
}

/// What a node said of what it does not take.
fn said_by(world: &World, at: usize) -> Vec<BlobMessage> {
    let about = |message: &BlobMessage| {
        matches!(message, BlobMessage::Postponed { .. } | BlobMessage::AllWanted)
    };
    let said = said(world).into_iter().filter(|(from, message)| *from == at && about(message));
    said.map(|(_, message)| message).collect()
}

/// Shows that raising the bound is enough also for many photos, and that as long as they come one
/// after the other none of them is said not to be taken.
#[test]
fn with_a_higher_bound_none_is_said_to_be_refused() {
    let (mut world, nodes @ [_, town, village]) = three_tiers();
    world.run(1_000);
    bound(&mut world, nodes, 0);
    let photos: Vec<_> = (0..12).map(|seed| content(seed, 3 * CHUNK)).collect();
    for (document, photo) in (1..).zip(&photos) {
        save(&mut world, village, document, photo);
    }
    world.run(20_000);
    let not_taken = |world: &World| waiting(world, village)[1].0;
    assert_eq!(not_taken(&world), 12);
    bound(&mut world, nodes, 1 << 30);
    let mut steps = 0;
    while !photos.iter().all(|photo| is_whole(&world.nodes[town].store, photo)) {
        let arrived = photos.iter().filter(|p| is_whole(&world.nodes[town].store, p)).count();
        assert!(arrived == 0 || not_taken(&world) == 0, "{arrived} have arrived");
        world.run_events(20);
        steps += 1;
        assert!(steps < 10_000, "{arrived} have arrived");
    }
    assert_eq!(not_taken(&world), 0);
}

/// Shows that a photo of which the town has a part is finished, and not said to be refused, when
/// the bound was lowered meanwhile, and that another one is.
#[test]
fn what_was_begun_is_finished() {
    let (mut world, nodes @ [_, town, village]) = three_tiers();
    world.run(1_000);
    let photos = [content(3, 40 * CHUNK), content(4, CHUNK)];
    save(&mut world, village, 1, &photos[0]);
    world.frames_until_cut = Some(60);
    world.run(2_000);
    let begun = here(&world.nodes[town].store, &photos[0]);
    assert!(begun > 0 && begun < photos[0].len() as u64, "{begun} bytes");
    world.cut(town, village);
    bound(&mut world, nodes, 1);
    save(&mut world, village, 2, &photos[1]);
    world.frames_until_cut = None;
    world.heal(town, village);
    let mut steps = 0;
    while !is_whole(&world.nodes[town].store, &photos[0]) {
        world.run_events(1);
        let under_way = here(&world.nodes[town].store, &photos[0]) > begun;
        let why = standing(&world, village, &photos[0]).postponed;
        assert!(!under_way || why.is_none(), "{why:?}");
        steps += 1;
        assert!(steps < 100_000, "it is not finished");
    }
    world.run(10_000);
    assert!(!is_whole(&world.nodes[town].store, &photos[1]));
    assert!(standing(&world, village, &photos[1]).postponed.is_some());
}

/// Shows that photos go on while the town takes no more changes: what it does not take is not
/// waited for.
#[test]
fn photos_come_while_changes_are_postponed() {
    let (mut world, nodes @ [_, town, village]) = three_tiers();
    world.run(1_000);
    bound(&mut world, nodes, 0);
    let photo = content(5, 2 * CHUNK);
    save(&mut world, village, 1, &photo);
    world.run(10_000);
    assert!(standing(&world, village, &photo).postponed.is_some());
    let key = world.nodes[village].member.public_key();
    let store = world.nodes[town].store.clone();
    let (used, _) = store.quota(&key, world.now_ms).unwrap();
    let no_changes = Quota { changes: used.changes, blob_bytes: 0, ..Quota::default() };
    store.set_quota(&key, Some(no_changes)).unwrap();
    let author = world.nodes[village].member.author(1);
    let writes = (0..6_000).map(|n| put(Category::library(0, 0), VILLAGE, n, "王建国")).collect();
    world.write(village, &author, writes);
    // By now the village tries only once a minute whether more is taken.
    world.run(150_000);
    store.set_quota(&key, Some(Quota { blob_bytes: 1 << 30, ..no_changes })).unwrap();
    tell(&mut world, town);
    world.run(6_000);
    assert!(world.report(village, "高城镇").postponed.is_some(), "the changes are postponed");
    assert!(is_whole(&store, &photo));
}

/// Shows that a store on a disk with little space asks for no photos, says so, and says so to
/// people.
#[test]
fn little_space_is_said() {
    let [_, town, village] = one_of_each();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let projector = Arc::new(GovernanceProjector);
    let giver = open(dirs[0].path(), &village);
    let photo = content(6, CHUNK);
    let write = naming(VILLAGE, 1, &photo);
    giver.write_with_blobs(&village.author(1), vec![write], vec![photo.clone()], 1).unwrap();
    let options = StoreOptions { low_space_bytes: u64::MAX, ..StoreOptions::default() };
    let store = open_with(dirs[1].path(), &town, projector, options);
    store.add_certificates(&village.identity.chain).unwrap();
    let request = StoreRequest::Ingest {
        from: village.serial(),
        scope: cunlian_protocol::scope::Scope::everything(),
        changes: changes(&giver),
        sender_tiers: 0,
        at_ms: 1,
    };
    store.serve(request).unwrap();
    let standing = store.blob_state(&name_of(&photo)).unwrap().unwrap();
    assert!(standing.postponed.is_some_and(|why| why.contains("little space")));
    let found = missing(&store, &village);
    let postponed = found.postponed.unwrap();
    assert!(found.blobs.is_empty() && postponed.begun && postponed.over_bytes == 0);
    assert!(postponed.why.contains("little space"), "{postponed:?}");
}

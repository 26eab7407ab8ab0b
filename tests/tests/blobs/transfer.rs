//! How blobs get from one node to the others.

use cunlian_protocol::blob::BlobMessage;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::wire::{self, Frame};
use cunlian_tests::world::one_of_each;

use super::story::*;
use super::world::*;

/// Shows that a photo taken in a village is at the town and the county soon after, the county
/// being told when the town has it, and that the village knows how far it has got, never before.
#[test]
fn a_photo_climbs_to_the_county() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    world.cut(town, village);
    let photo = content(1, 5 * CHUNK + 100);
    save(&mut world, village, 1, &photo);
    world.run(60_000);
    let (at_town, at_county) = (Tier::Town.bit(), Tier::County.bit());
    let standing = |world: &World| {
        let standing = world.nodes[village].store.blob_state(&name_of(&photo)).unwrap();
        standing.map(|standing| (standing.reached, standing.awaited))
    };
    assert_eq!(standing(&world), Some((0, at_town | at_county)));
    world.heal(town, village);
    world.run(60_000);
    assert!(is_whole(&world.nodes[town].store, &photo));
    assert_eq!(standing(&world), Some((at_town, at_county)));
    world.heal(county, town);
    world.run(60_000);
    assert!(is_whole(&world.nodes[county].store, &photo));
    world.run(15 * 60_000);
    assert_eq!(standing(&world), Some((at_town | at_county, 0)));
    assert_eq!(bytes_sent(&world, village), photo.len());
    assert_sound(&world);
}

/// Shows that with all lines up a photo passes through the town within a second of its arrival
/// there: the county, which had asked too early, is told when it can be had; and that the village
/// is told soon after that the county has it, without asking again.
#[test]
fn who_asked_too_early_is_told() {
    let (mut world, [county, .., village]) = three_tiers();
    world.run(5_000);
    let photo = content(2, 3 * CHUNK);
    save(&mut world, village, 1, &photo);
    world.run(1_000);
    assert!(is_whole(&world.nodes[county].store, &photo));
    let asked_too_early = said(&world).iter().any(|(_, m)| matches!(m, BlobMessage::None));
    assert!(asked_too_early, "the county asked before the town had the photo");
    world.run(12_000);
    let standing = world.nodes[village].store.blob_state(&name_of(&photo)).unwrap().unwrap();
    assert_eq!(standing.reached, Tier::Town.bit() | Tier::County.bit());
}

/// Shows that a cut after any frame costs at most the one chunk that was coming: the line breaks
/// at every frame in turn, goes up again, and in the end each byte has been sent once and no more
/// than a window of bytes for each cut again. What was whole before a cut stays.
#[test]
fn a_cut_anywhere_costs_little_and_the_rest_comes() {
    for frames in (1..40).step_by(3) {
        let (mut world, [county, town, village]) = three_tiers();
        world.run(1_000);
        world.cut(county, town);
        let photo = content(3, 12 * CHUNK + 5);
        world.cut(town, village);
        save(&mut world, village, 1, &photo);
        world.heal(town, village);
        let mut cuts = 0;
        let mut had = 0;
        while !is_whole(&world.nodes[town].store, &photo) {
            world.frames_until_cut = Some(frames + 30 * cuts);
            world.run(40_000);
            cuts += 1;
            assert!(cuts < 60, "no end: {had} of {} bytes after {cuts} cuts", photo.len());
            let has = here(&world.nodes[town].store, &photo);
            assert!(has >= had, "{has} bytes after {had}");
            had = has;
            world.heal(town, village);
        }
        world.frames_until_cut = None;
        world.run(70_000);
        assert_sound(&world);
        let again = bytes_sent(&world, village) - photo.len();
        assert!(again <= cuts * (1 << 20), "{again} bytes sent again in {cuts} cuts");
    }
}

/// Shows that chunks that are durable are not sent again after the process was killed: the town
/// starts anew in the middle, and the village sends the rest and at most what was on its way.
#[test]
fn a_killed_process_goes_on_where_it_was() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let photo = content(4, 40 * CHUNK);
    save(&mut world, village, 1, &photo);
    world.frames_until_cut = Some(50);
    world.run(5_000);
    let durable = here(&world.nodes[town].store, &photo);
    assert!(durable > 0 && durable < photo.len() as u64, "{durable} bytes");
    world.restart(town);
    world.tape.clear();
    world.heal(town, village);
    world.run(60_000);
    assert!(is_whole(&world.nodes[town].store, &photo));
    assert_eq!(bytes_sent(&world, village) as u64, photo.len() as u64 - durable);
}

/// Shows that the rest comes from another peer: the village has a part from the town when that
/// line is cut, and gets what is missing, and no more, from the county.
#[test]
fn the_rest_comes_from_another_peer() {
    let [county, town, village] = one_of_each();
    let mut world = World::new(8);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key(), county.public_key()]);
    world.cut(at_village, at_town);
    world.cut(at_village, at_county);
    let photo = content(5, 30 * CHUNK + 1);
    save(&mut world, at_town, 1, &photo);
    world.run(60_000);
    assert!(is_whole(&world.nodes[at_county].store, &photo));
    world.tape.clear();
    world.heal(at_village, at_town);
    world.frames_until_cut = Some(60);
    world.run(40_000);
    let first = here(&world.nodes[at_village].store, &photo);
    assert!(first > 0 && first < photo.len() as u64, "{first} bytes");
    assert_eq!(bytes_sent(&world, at_county), 0);
    world.heal(at_village, at_county);
    world.run(60_000);
    assert!(is_whole(&world.nodes[at_village].store, &photo));
    assert_eq!(bytes_sent(&world, at_county) as u64, photo.len() as u64 - first);
}

/// Shows that an alert overtakes a photo of 20 MiB: from the moment it is saved no more pieces are
/// sent before it than the window that was on its way, 1 MiB at most.
#[test]
fn changes_pass_before_photos() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let photo = content(6, 20 << 20);
    save(&mut world, village, 1, &photo);
    world.frames_until_cut = Some(400);
    world.run(2_000);
    let before = bytes_sent(&world, village);
    assert!(before > 1 << 20 && before < photo.len(), "{before} bytes");
    // The alert is saved while the line is down, so that the photo is in the middle of its way.
    let author = world.nodes[village].member.author(1);
    world.write(village, &author, vec![put(Category::ALERT, VILLAGE, 9, "暴雨")]);
    world.tape.clear();
    world.heal(town, village);
    world.run(60_000);
    assert!(is_whole(&world.nodes[town].store, &photo));
    let is_batch = |frame: &[u8]| matches!(wire::decode(&frame[4..]), Ok(Frame::Batch { .. }));
    let at = world.tape.iter().position(|(from, frame)| *from == village && is_batch(frame));
    world.tape.truncate(at.unwrap());
    assert_eq!(bytes_sent(&world, village), 0, "nothing of the photo is sent before the alert");
}

/// Shows that a photo that two documents name is sent once and kept once, also when the second
/// one is written where the photo has come from elsewhere.
#[test]
fn one_content_is_kept_and_sent_once() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    let photo = content(7, 2 * CHUNK + 9);
    save(&mut world, village, 1, &photo);
    save(&mut world, village, 2, &photo);
    world.run(60_000);
    save(&mut world, town, 3, &photo);
    world.run(60_000);
    for at in [county, town, village] {
        let store = &world.nodes[at].store;
        let count = |sql: &str| {
            store.read(|connection| connection.query_row(sql, [], |row| row.get::<_, u32>(0)))
        };
        assert!(is_whole(store, &photo));
        assert_eq!(count("SELECT count(*) FROM blob").unwrap(), 1);
        assert_eq!(count("SELECT count(*) FROM blob_chunk").unwrap(), 3);
        assert_eq!(count("SELECT count(*) FROM blob_reference").unwrap(), 3);
    }
    assert_eq!(bytes_sent(&world, village), photo.len());
    assert_eq!(bytes_sent(&world, town), photo.len(), "to the county; the village has it");
    assert_sound(&world);
}

/// Shows that many photos of every size arrive, those of one byte and of exactly one chunk among
/// them, in sessions that go on working.
#[test]
fn photos_of_every_size_arrive() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    let sizes = [1, 2, 1_024, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 7 * CHUNK + 3];
    let photos: Vec<_> = (0_u32..40).map(|n| content(n, sizes[n as usize % sizes.len()])).collect();
    for (document, photo) in (1..).zip(&photos) {
        save(&mut world, village, document, photo);
    }
    world.run(120_000);
    for at in [county, town] {
        assert!(photos.iter().all(|photo| is_whole(&world.nodes[at].store, photo)));
    }
    assert_sound(&world);
}

/// Shows that two peers that both have a photo do not both give it: the village, which meets both
/// at the same moment, stops asking one of them after the first chunk.
#[test]
fn two_peers_do_not_give_the_same_photo() {
    let [county, town, village] = one_of_each();
    let mut world = World::new(10);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key(), county.public_key()]);
    world.cut(at_village, at_town);
    world.cut(at_village, at_county);
    let photo = content(11, 40 * CHUNK);
    save(&mut world, at_town, 1, &photo);
    world.run(60_000);
    assert!(is_whole(&world.nodes[at_county].store, &photo));
    world.tape.clear();
    world.heal(at_village, at_town);
    world.heal(at_village, at_county);
    world.run(60_000);
    assert!(is_whole(&world.nodes[at_village].store, &photo));
    let sent = [at_county, at_town].map(|at| bytes_sent(&world, at));
    let twice = sent.iter().sum::<usize>() - photo.len();
    assert!(twice <= 4 * CHUNK, "{twice} bytes came twice: {sent:?}");
}

/// Shows that a photo is not said to be at a town that lost it: as soon as the town asks for it,
/// it waits for the town again, and is there again in the end.
#[test]
fn what_a_town_has_lost_waits_for_it_again() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let photo = content(12, 40 * CHUNK);
    save(&mut world, village, 1, &photo);
    world.run(60_000);
    let standing = |world: &World| {
        let standing = world.nodes[village].store.blob_state(&name_of(&photo)).unwrap().unwrap();
        (standing.reached & Tier::Town.bit() != 0, standing.awaited & Tier::Town.bit() != 0)
    };
    assert_eq!(standing(&world), (true, false));
    world.cut(town, village);
    let town = world.replace(town);
    world.cut(county, town);
    world.frames_until_cut = Some(80);
    world.run(90_000);
    let again = here(&world.nodes[town].store, &photo);
    assert!(again > 0 && again < photo.len() as u64, "{again} bytes");
    assert_eq!(standing(&world), (false, true));
    world.frames_until_cut = None;
    world.heal(town, village);
    world.run(60_000);
    assert!(is_whole(&world.nodes[town].store, &photo));
    assert_eq!(standing(&world), (true, false));
    assert_sound(&world);
}

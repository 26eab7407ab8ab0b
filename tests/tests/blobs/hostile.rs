//! Who lies about blobs, asks for what is not theirs, or sends what nobody asked for.

use cunlian_protocol::blob::{BlobMessage, BlobName};
use cunlian_protocol::category::Category;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::id::BlobId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Message};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::member::key;
use cunlian_tests::world::one_of_each;

use super::story::*;
use super::world::*;

/// A town that has two photos, one of each of its villages; and the first village's key and chain
/// in the hands of somebody who writes messages by hand. Gives the connection at the town.
fn town_and_thief() -> (World, usize, ConnectionId, [Vec<u8>; 2]) {
    let [_, town, village] = one_of_each();
    let mut world = World::new(9);
    let at = world.add(&town, &[]);
    let photos = [content(1, CHUNK + 77), content(2, CHUNK + 88)];
    let author = town.author(1);
    for (address, photo) in [VILLAGE, OTHER_VILLAGE].into_iter().zip(&photos) {
        let write = naming(address, 1, photo);
        let store = &world.nodes[at].store;
        store.write_with_blobs(&author, vec![write], vec![photo.clone()], 1).unwrap();
    }
    let thief = Hostile::new(key(4), village.identity.chain.clone());
    let (connection, mut channel) = world.knock(at, village.public_key());
    channel.peer_key = town.public_key();
    let hello = thief.greeting(&channel, world.now_ms);
    world.give(at, connection, &wire::encode(&Message::Hello(hello)));
    world.run(1_000);
    assert!(world.nodes[at].closed.is_empty(), "{:?}", world.nodes[at].closed);
    world.tape.clear();
    (world, at, connection, photos)
}

fn tell(world: &mut World, at: usize, connection: ConnectionId, message: BlobMessage) {
    world.give(at, connection, &wire::encode(&Message::Blob(message)));
    world.run(1);
}

fn document(address: &str, number: u32) -> KeyPrefix {
    KeyPrefix::document(&home(PHOTO, address, number))
}

/// Shows that a photo is given only under a document that the peer may read and that names it:
/// asked for under the neighbour's document, under an own document that names another one, under
/// one that does not exist, and under a whole region, the answer is always that it is not here.
#[test]
fn a_photo_is_given_only_under_a_document_that_names_it() {
    let (mut world, town, thief, [own, others]) = town_and_thief();
    let category = KeyPrefix::category(PHOTO);
    let foreign = name_of(&others);
    let asked = [
        (document(OTHER_VILLAGE, 1), foreign),
        (document(VILLAGE, 1), foreign),
        (document(VILLAGE, 2), foreign),
        (category, foreign),
        (document(VILLAGE, 1), BlobName { id: BlobId([7; 32]), bytes: 5 }),
        (document(VILLAGE, 1), BlobName { bytes: name_of(&own).bytes - 1, ..name_of(&own) }),
    ];
    for (document, blob) in asked {
        for message in [
            BlobMessage::WantOutline { document: document.clone(), blob },
            BlobMessage::Want { document: document.clone(), blob, from: 0, length: 5 },
        ] {
            tell(&mut world, town, thief, message);
        }
        tell(&mut world, town, thief, BlobMessage::AskHeld(Bounded(vec![(document, blob)])));
    }
    let answers = said(&world);
    assert_eq!(answers.len(), 12, "{answers:?}");
    assert!(answers.iter().all(|(_, message)| *message == BlobMessage::None), "{answers:?}");
    let heard = |bytes: &[u8]| {
        world.tape.iter().any(|(_, frame)| frame.windows(bytes.len()).any(|part| part == bytes))
    };
    assert!(!heard(&others[..5]));
    // The same questions about what it may read are answered.
    let (document, blob) = (document(VILLAGE, 1), name_of(&own));
    let message = BlobMessage::Want { document, blob, from: 0, length: 5 };
    tell(&mut world, town, thief, message);
    let expected = BlobMessage::Part { bytes: Bounded(own[..5].to_vec()) };
    assert_eq!(said(&world).last(), Some(&(town, expected)));
}

/// Shows that bytes nobody asked for, and questions for parts that cannot be, end the connection
/// and leave nothing in the store.
#[test]
fn what_was_not_asked_for_is_a_fault() {
    let blob = |photos: &[Vec<u8>; 2]| name_of(&photos[0]);
    let cases: [fn(BlobName) -> BlobMessage; 7] = [
        |_| BlobMessage::Part { bytes: Bounded(vec![0; CHUNK]) },
        |_| BlobMessage::Outline { values: Bounded(vec![[0; 32]; 320]) },
        |_| BlobMessage::None,
        |blob| BlobMessage::Want { document: document(VILLAGE, 1), blob, from: 0, length: 0 },
        |blob| {
            let length = u32::MAX;
            BlobMessage::Want { document: document(VILLAGE, 1), blob, from: 1, length }
        },
        |blob| {
            let from = u32::MAX;
            BlobMessage::Want { document: document(VILLAGE, 1), blob, from, length: 1 }
        },
        |blob| {
            let (from, length) = (limits::BLOB_CHUNK_BYTES - 1, 2);
            BlobMessage::Want { document: document(VILLAGE, 1), blob, from, length }
        },
    ];
    for case in cases {
        let (mut world, town, thief, photos) = town_and_thief();
        tell(&mut world, town, thief, case(blob(&photos)));
        let codes: Vec<FaultCode> =
            world.nodes[town].closed.iter().map(|(code, _)| *code).collect();
        assert!(
            codes == [FaultCode::Unexpected] || codes == [FaultCode::Malformed],
            "{codes:?} for {:?}",
            case(blob(&photos))
        );
        assert_sound(&world);
    }
}

/// Shows that a peer that asks on and on without reading is cut off before its questions fill the
/// memory.
#[test]
fn endless_questions_are_a_fault() {
    let (mut world, town, thief, [own, _]) = town_and_thief();
    let author = world.nodes[town].member.author(1);
    // Many changes wait for the peer, so nothing of a photo is answered.
    let writes = (0..5_000).map(|n| put(Category::NOTICE, VILLAGE, n, "通知")).collect();
    world.write(town, &author, writes);
    let blob = name_of(&own);
    let want = BlobMessage::Want { document: document(VILLAGE, 1), blob, from: 0, length: 1 };
    let frame = wire::encode(&Message::Blob(want));
    let mut given = 0;
    while world.nodes[town].closed.is_empty() {
        given += 1;
        assert!(given < 100_000, "the questions are taken for ever");
        world.give(town, thief, &frame);
    }
    assert_eq!(world.nodes[town].closed[0].0, FaultCode::Flow);
}

/// Shows that wrong chunks, and a wrong outline, are noticed on arrival: nothing of them is kept,
/// the peer is asked no more, its changes still come in, and the true bytes come later from it
/// when its store is whole again.
#[test]
fn wrong_bytes_are_not_kept() {
    for damage in [
        "UPDATE blob_chunk SET bytes = zeroblob(length(bytes)) WHERE place = 2",
        "UPDATE blob SET outline = zeroblob(length(outline))",
    ] {
        let (mut world, [county, town, village]) = three_tiers();
        world.cut(county, town);
        world.run(1_000);
        world.cut(town, village);
        let photo = content(3, 4 * CHUNK);
        save(&mut world, village, 1, &photo);
        let run = |world: &World, sql: String| {
            let store = &world.nodes[village].store;
            store.write_reference(move |connection| connection.execute_batch(&sql)).unwrap();
        };
        run(&world, format!("CREATE TABLE set_aside AS SELECT * FROM blob_chunk; {damage}"));
        world.heal(town, village);
        world.run(60_000);
        let store = &world.nodes[town].store;
        assert!(!is_whole(store, &photo));
        assert!(store.verify().unwrap().is_sound());
        let report = world.nodes[village].store.verify().unwrap();
        assert_eq!(report.bad_blobs.len(), 1, "{report:?}");
        let author = world.nodes[village].member.author(1);
        world.write(village, &author, vec![put(Category::TICKET, VILLAGE, 9, "水管")]);
        world.run(1_000);
        world.assert_equal(town, village);
        assert!(world.nodes[town].closed.is_empty(), "{:?}", world.nodes[town].closed);
        if damage.starts_with("UPDATE blob_chunk") {
            let notices = &world.nodes[town].notices;
            assert_eq!(notices.iter().filter(|n| n.contains("wrong bytes")).count(), 1);
            assert_eq!(here(&world.nodes[town].store, &photo), 2 * CHUNK as u64);
            run(
                &world,
                "DELETE FROM blob_chunk; INSERT INTO blob_chunk SELECT * FROM set_aside".into(),
            );
            world.restart(village);
            world.run(60_000);
            assert!(is_whole(&world.nodes[town].store, &photo));
        }
    }
}

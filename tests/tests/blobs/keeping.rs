//! When a blob is kept, and when it goes.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::{Quota, StoreOptions, Unsent, WriteError};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::blob::{BlobReply, BlobRequest, Outline, Under};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_tests::world::{one_of_each, open, open_with};
use tempfile::TempDir;

use super::story::*;
use super::world::*;

/// Whether some file of the store holds these bytes.
fn holds(dir: &TempDir, bytes: &[u8]) -> bool {
    let files = fs::read_dir(dir.path()).unwrap();
    files.into_iter().any(|file| {
        let file = fs::read(file.unwrap().path()).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

/// Shows that an erased photo is gone from the files of the store, byte for byte, only when the
/// last document that names it is erased.
#[test]
fn an_erased_photo_leaves_no_byte_in_the_files() {
    let [.., village] = one_of_each();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &village);
    let author = village.author(1);
    let photo = content(1, 3 * CHUNK);
    let writes = vec![naming(VILLAGE, 1, &photo), naming(VILLAGE, 2, &photo)];
    let homes = [writes[0].home, writes[1].home];
    store.write_with_blobs(&author, writes, vec![photo.clone()], 1).unwrap();
    let piece = &photo[CHUNK + 100..CHUNK + 164];
    assert!(holds(&dir, piece));
    store.erase(&author, &homes[..1], "withdrawn", 2).unwrap();
    assert!(is_whole(&store, &photo));
    store.erase(&author, &homes[1..], "withdrawn", 3).unwrap();
    assert_eq!(store.blob(&name_of(&photo)).unwrap(), None);
    assert!(store.compact().unwrap());
    assert!(!holds(&dir, piece));
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that an erasure takes the photo along at every node that has it, and that one which was
/// on its way there does not come any more.
#[test]
fn an_erasure_takes_the_photo_along_everywhere() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    let photos = [content(2, 2 * CHUNK), content(3, 60 * CHUNK)];
    let first = save(&mut world, village, 1, &photos[0]);
    world.run(60_000);
    let second = save(&mut world, village, 2, &photos[1]);
    while here(&world.nodes[town].store, &photos[1]) < 2 * CHUNK as u64 {
        world.run_events(1);
    }
    world.cut(town, village);
    world.run(1_000);
    let partly = here(&world.nodes[town].store, &photos[1]);
    assert!(partly < photos[1].len() as u64, "{partly} bytes");
    let author = world.nodes[village].member.author(1);
    let store = world.nodes[village].store.clone();
    store.erase(&author, &[first, second], "withdrawn", world.now_ms).unwrap();
    tell(&mut world, village);
    world.heal(town, village);
    world.run(120_000);
    for at in [county, town, village] {
        for photo in &photos {
            assert_eq!(world.nodes[at].store.blob(&name_of(photo)).unwrap(), None, "node {at}");
        }
        let store = &world.nodes[at].store;
        let chunks =
            store.read(|c| c.query_row("SELECT count(*) FROM blob_chunk", [], |r| r.get(0)));
        assert_eq!(chunks, Ok(0_u32));
    }
    assert_sound(&world);
}

/// Shows that a photo goes when its field is given another value, and when the field is taken
/// away, and that concurrent values keep both.
#[test]
fn what_no_field_names_any_more_goes() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    let photos = [content(4, CHUNK + 1), content(5, CHUNK + 2), content(6, CHUNK + 3)];
    let home = save(&mut world, village, 1, &photos[0]);
    world.run(60_000);
    world.cut(town, village);
    save(&mut world, village, 1, &photos[1]);
    save(&mut world, town, 1, &photos[2]);
    assert!(!is_whole(&world.nodes[village].store, &photos[0]));
    world.heal(town, village);
    world.run(60_000);
    for at in [county, town, village] {
        let whole = photos.each_ref().map(|photo| is_whole(&world.nodes[at].store, photo));
        assert_eq!(whole, [false, true, true], "both of those that nobody has chosen from");
    }
    let author = world.nodes[village].member.author(1);
    let edits = vec![Edit::Delete { field: "photo".to_owned() }];
    let write = Write { home, edits, source: "terminal".to_owned(), task: String::new() };
    world.write(village, &author, vec![write]);
    world.run(60_000);
    for at in [county, town, village] {
        assert!(photos.iter().all(|p| world.nodes[at].store.blob(&name_of(p)).unwrap().is_none()));
    }
    assert_sound(&world);
}

/// Shows that a purge takes photos along, but not one that is nowhere above: its document stays
/// until the photo has been handed up.
#[test]
fn a_purge_does_not_lose_a_photo_that_is_nowhere_else() {
    let [_, town, _] = one_of_each();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &town);
    let photo = content(7, CHUNK + 5);
    let write = naming(VILLAGE, 1, &photo);
    let home = write.home;
    store.write_with_blobs(&town.author(1), vec![write], vec![photo.clone()], 1).unwrap();
    let changes = store.changes_of(&home).unwrap();
    let held = changes.iter().map(|c| SetKey { home, change: c.id() });
    let reached = held.map(|key| (key, Tier::County.bit())).collect();
    store.serve(StoreRequest::MarkReached { reached, receipt: None }).unwrap();
    let purged = store.purge(&Scope::default(), Unsent::Keep).unwrap();
    assert_eq!((purged.documents, purged.unsent.documents), (0, 1));
    assert!(is_whole(&store, &photo));
    let reached = vec![(name_of(&photo), Tier::County.bit())];
    store.serve(StoreRequest::Blob(BlobRequest::MarkReached { reached })).unwrap();
    let purged = store.purge(&Scope::default(), Unsent::Keep).unwrap();
    assert_eq!((purged.documents, purged.unsent.documents), (1, 0));
    assert_eq!(store.blob(&name_of(&photo)).unwrap(), None);
    assert!(!holds(&dir, &photo[100..164]));
}

/// Shows that content nobody names is refused and leaves nothing, document included.
#[test]
fn content_without_a_document_is_refused() {
    let [.., village] = one_of_each();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &village);
    let (photo, other) = (content(8, 100), content(9, 100));
    let write = naming(VILLAGE, 1, &photo);
    let home = write.home;
    let author = village.author(1);
    let name = name_of(&other);
    let refused =
        store.write_with_blobs(&author, vec![write], vec![photo.clone(), other], 1).unwrap_err();
    assert_eq!(refused, WriteError::BlobNotNamed { name });
    assert_eq!(store.view(&home).unwrap(), None);
    assert_eq!(store.blob(&name_of(&photo)).unwrap(), None);
    let large = vec![0; limits::BLOB_BYTES as usize + 1];
    let write = naming(VILLAGE, 1, &photo);
    let refused = store.write_with_blobs(&author, vec![write], vec![large], 1).unwrap_err();
    assert!(matches!(refused, WriteError::Blob(_)), "{refused:?}");
}

/// Shows that what one child can make its parent keep is limited, what is in progress counted in
/// full, and that the room comes back when photos go.
#[test]
fn what_one_peer_gives_is_limited() {
    let [_, town, village] = one_of_each();
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let giver = open(other_dir.path(), &village);
    let bytes = 2 * CHUNK as u64;
    let quota = Quota { blob_bytes: 2 * bytes + 10, ..Quota::default() };
    let options = StoreOptions { quota, ..StoreOptions::default() };
    let store = open_with(dir.path(), &town, Arc::new(GovernanceProjector), options);
    let photos: Vec<_> = (10..14).map(|seed| content(seed, 2 * CHUNK)).collect();
    let writes = (1..).zip(&photos).map(|(number, photo)| naming(VILLAGE, number, photo));
    giver.write_with_blobs(&village.author(1), writes.collect(), photos.clone(), 1).unwrap();
    store.add_certificates(&village.identity.chain).unwrap();
    let request = StoreRequest::Ingest {
        from: village.serial(),
        scope: Scope::everything(),
        changes: changes(&giver),
        sender_tiers: 0,
        at_ms: 1,
    };
    store.serve(request).unwrap();
    let from = village.public_key();
    let missing = |limited: bool| {
        let scope = Scope::everything();
        let (active, without, after, at_ms) = (Vec::new(), BTreeSet::new(), None, 1);
        let request = BlobRequest::Missing { scope, from, limited, active, without, after, at_ms };
        let reply = store.serve(StoreRequest::Blob(request)).unwrap();
        let StoreReply::Blob(BlobReply::Missing(found)) = reply else { panic!("{reply:?}") };
        assert_eq!(found.postponed.is_some(), limited);
        found.blobs
    };
    assert_eq!(missing(false).len(), 4);
    assert_eq!(missing(true).len(), 2, "only as many as there is room for");
    for found in missing(true) {
        let photo = photos.iter().find(|photo| name_of(photo) == found.name).unwrap();
        let outline = Arc::new(Outline::of(photo).unwrap());
        let chunk = outline.verify(0, photo[..CHUNK].to_vec()).unwrap();
        let (under, limited) = (Under::Document(found.document), true);
        let request = BlobRequest::Keep { under, outline, chunk, from, limited, at_ms: Some(1) };
        store.serve(StoreRequest::Blob(request)).unwrap();
    }
    let kept = || store.kept().unwrap().by_peer[&from];
    assert_eq!((kept().blobs, kept().blob_bytes), (2, 2 * bytes), "in progress, in full");
    let in_progress = missing(true);
    assert_eq!(in_progress.len(), 2, "those in progress go on, no others begin");
    assert!(in_progress.iter().all(|found| found.places == [1] && found.outline.is_some()));
    let third = photos.iter().find(|p| in_progress.iter().all(|found| found.name != name_of(p)));
    let outline = Arc::new(Outline::of(third.unwrap()).unwrap());
    let chunk = outline.verify(0, third.unwrap()[..CHUNK].to_vec()).unwrap();
    let (under, limited) = (Under::Scope(Scope::everything()), true);
    let request = BlobRequest::Keep { under, outline, chunk, from, limited, at_ms: Some(1) };
    let refused = store.serve(StoreRequest::Blob(request)).unwrap();
    assert_eq!(refused, StoreReply::Blob(BlobReply::Keep(cunlian_protocol::blob::Kept::Unwanted)));
    let place = photos.iter().position(|photo| name_of(photo) == in_progress[0].name).unwrap();
    let home = home(PHOTO, VILLAGE, u32::try_from(place).unwrap() + 1);
    store.erase(&town.author(1), &[home], "withdrawn", 2).unwrap();
    assert_eq!((kept().blobs, kept().blob_bytes), (1, bytes), "erased");
    let names: Vec<_> = missing(true).into_iter().map(|found| found.name).collect();
    assert_eq!(names.len(), 2);
    assert!(!names.contains(&in_progress[0].name) && names.contains(&in_progress[1].name));
    assert!(store.verify().unwrap().is_sound());
}

/// Shows that `verify` finds an altered chunk, a lost chunk, a blob that nobody names, and a
/// reference too many or too few, and that making the projections anew repairs the references.
#[test]
fn verification_finds_what_was_altered() {
    let damages = [
        ("UPDATE blob_chunk SET bytes = zeroblob(length(bytes)) WHERE place = 1", false),
        ("DELETE FROM blob_chunk WHERE place = 0", false),
        ("UPDATE blob SET outline = NULL", false),
        ("DELETE FROM blob_reference", true),
        (
            "INSERT INTO blob_reference SELECT zeroblob(31), blob, lacking, awaited \
             FROM blob_reference",
            true,
        ),
        ("UPDATE blob_reference SET lacking = 1", false),
    ];
    for (damage, repaired) in damages {
        let [.., village] = one_of_each();
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &village);
        let photo = content(20, 3 * CHUNK);
        let write = naming(VILLAGE, 1, &photo);
        store.write_with_blobs(&village.author(1), vec![write], vec![photo], 1).unwrap();
        assert!(store.verify().unwrap().is_sound());
        store.write_reference(move |connection| connection.execute_batch(damage)).unwrap();
        let report = store.verify().unwrap();
        assert!(!report.bad_blobs.is_empty() && !report.is_sound(), "{damage}");
        store.rebuild_projections().unwrap();
        assert_eq!(store.verify().unwrap().is_sound(), repaired, "{damage}");
    }
}

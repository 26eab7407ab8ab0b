//! Honest bundles between stores: what is in them, and what they change.

use std::sync::Arc;

use cunlian_crdt::bundle::{Follows, note_arrivals};
use cunlian_crdt::store::{BlobContent, Quota};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::blob::{BlobReference, BlobReply, BlobRequest, Kept, Outline, Under};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_tests::world::place::{DAY_MS, NOW_MS, Place, Places, noise, plan, plan_for, put};
use cunlian_tests::world::{OTHER_VILLAGE, TOWN, VILLAGE, home};

const POPULATION: Category = Category::library(0, 0);
const IDENTITY: Category = Category::library(0, 1);

/// Shows that a village's data is at the town after a bundle, byte for byte and sound, that
/// another import changes nothing, and that the village says of nothing that it is at the town
/// until a bundle comes back, after which it says so of everything.
#[test]
fn a_bundle_there_and_back() {
    let world = Places::open();
    let (town, village) = (&world.town, &world.village);
    village.write(Category::TICKET, VILLAGE, 0..40, "路灯不亮");
    village.write(POPULATION, VILLAGE, 0..900, "王建国");
    village.write(IDENTITY, VILLAGE, 0..3, "370322196805120011");
    let bundle = village.bundle_for(town);
    let imported = town.import(&bundle).unwrap();
    assert_eq!((imported.new, imported.known, imported.refusals()), (943, 0, 0));
    assert!(imported.is_whole() && imported.follows == Follows::Nothing);
    assert_eq!(imported.total, imported.changes);
    town.assert_sound();

    let again = town.import(&bundle).unwrap();
    assert_eq!((again.new, again.known, again.refusals()), (0, 943, 0));

    let case = home(Category::TICKET, VILLAGE, 7);
    let bit = Tier::Town.bit();
    assert_eq!(village.store.reached(&case).unwrap().reached & bit, 0);
    let back = village.import(&town.bundle_for(village)).unwrap();
    assert_eq!((back.new, back.known), (0, 943));
    assert_eq!(village.store.reached(&case).unwrap().reached & bit, bit);
    let waiting = village.store.outbox_totals().unwrap();
    assert!(!waiting.contains_key(&Tier::Town), "{waiting:?}");
    assert_eq!(waiting[&Tier::County].changes, 940, "the county may not read identity numbers");
}

/// Shows that a node below is not believed what it says of tiers above: a village's bundle at the
/// town makes the town say of nothing that it is at the county.
#[test]
fn who_is_below_says_nothing_of_those_above() {
    let world = Places::open();
    world.village.write(Category::TICKET, VILLAGE, 0..1, "路灯不亮");
    world.village.store.serve(reached_by_county(&world.village)).unwrap();
    let case = home(Category::TICKET, VILLAGE, 0);
    assert_eq!(
        world.village.store.reached(&case).unwrap().reached & Tier::County.bit(),
        Tier::County.bit()
    );
    assert_eq!(world.town.import(&world.village.bundle_for(&world.town)).unwrap().new, 1);
    assert_eq!(world.town.store.reached(&case).unwrap().reached, 0);
}

fn reached_by_county(place: &Place) -> cunlian_protocol::sync::StoreRequest {
    let keys = place.store.read(|connection| {
        let mut select = connection.prepare("SELECT key FROM change")?;
        let keys = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        keys.collect::<Result<Vec<_>, _>>()
    });
    let key = |bytes: Vec<u8>| cunlian_protocol::key::SetKey::from_bytes(&bytes).unwrap();
    let reached = keys.unwrap().into_iter().map(|bytes| (key(bytes), Tier::County.bit()));
    cunlian_protocol::sync::StoreRequest::MarkReached { reached: reached.collect(), receipt: None }
}

/// Shows that a bundle for a village holds no byte of its neighbour, and one for the county none
/// of what the county may not read, although the exporter has it.
#[test]
fn a_bundle_has_only_what_both_may_read() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "canary-own");
    world.village.write(IDENTITY, VILLAGE, 0..3, "canary-closed");
    world.neighbour.write(POPULATION, OTHER_VILLAGE, 0..3, "canary-neighbour");
    for place in [&world.village, &world.neighbour] {
        world.town.import(&place.bundle_for(&world.town)).unwrap();
    }
    let county = Place::open(&world.county);
    county.knows(&world.town.member);
    let imported = county.import(&world.town.bundle_for(&county)).unwrap();
    assert_eq!((imported.new, imported.refusals()), (6, 0));
    assert!(!county.has(&home(IDENTITY, VILLAGE, 0)));
    let fresh = Place::open(&world.village.member);
    let imported = fresh.import(&world.town.bundle_for(&fresh)).unwrap();
    assert_eq!((imported.new, imported.refusals()), (6, 0));
    assert!(!fresh.has(&home(POPULATION, OTHER_VILLAGE, 0)));

    let mut cut = plan();
    cut.regions = vec![AddressCode::parse(OTHER_VILLAGE).unwrap()];
    let (exported, _) = world.town.export(&cut).unwrap();
    assert_eq!(exported.changes, 3);
    cut.recipient = Some(world.village.member.identity.certificate.clone());
    assert!(world.town.export(&cut).is_err(), "the village has nothing in its neighbour");
}

/// Shows that a bundle since a time has what came since, the urgent first, and for a node above
/// also what that node is not known to hold, however long ago it came; while a bundle for a node
/// below leaves what is older out.
#[test]
fn since_a_time_leaves_nothing_behind() {
    let world = Places::open();
    let (town, village) = (&world.town, &world.village);
    village.write(POPULATION, VILLAGE, 0..20, "before, and carried");
    note_arrivals(&village.store, NOW_MS).unwrap();
    town.import(&village.bundle_for(town)).unwrap();
    village.import(&town.bundle_for(village)).unwrap();
    village.write(POPULATION, VILLAGE, 100..105, "before, and left");
    note_arrivals(&village.store, NOW_MS + DAY_MS).unwrap();
    village.write(POPULATION, VILLAGE, 200..207, "since");
    village.write(Category::ALERT, VILLAGE, 0..2, "since");

    let mut week = plan_for(town);
    week.since_ms = Some(NOW_MS + DAY_MS);
    let (exported, parts) = village.export(&week).unwrap();
    assert_eq!(exported.changes, 5 + 7 + 2);
    assert_eq!(town.import(&parts[0]).unwrap().new, 14);

    note_arrivals(&town.store, NOW_MS + DAY_MS).unwrap();
    town.write(POPULATION, VILLAGE, 300..303, "by the town");
    let mut down = plan_for(village);
    down.since_ms = Some(NOW_MS + DAY_MS);
    let (exported, _) = town.export(&down).unwrap();
    assert_eq!(exported.changes, 3);
    down.since_ms = Some(NOW_MS - DAY_MS);
    let (exported, _) = town.export(&down).unwrap();
    assert_eq!(exported.changes, 37, "before the first note nothing is left out");
}

/// Shows that notes of arrivals are made once an hour and never say that something came before
/// it did, not even when the clock was set back.
#[test]
fn arrivals_are_noted_by_the_hour() {
    let world = Places::open();
    let village = &world.village;
    let notes = || {
        let count = |c: &rusqlite::Connection| {
            c.query_row("SELECT count(*) FROM arrival", [], |row| row.get::<_, u32>(0))
        };
        village.store.read(count).unwrap()
    };
    let hour = 3_600_000;
    for (at_ms, expected) in [(0, 1), (hour / 2, 1), (hour, 2), (-hour, 2), (3 * hour, 3)] {
        let number = u32::try_from((at_ms + 2 * hour) / (hour / 2)).unwrap();
        village.write(POPULATION, VILLAGE, number..number + 1, "x");
        note_arrivals(&village.store, NOW_MS + at_ms).unwrap();
        assert_eq!(notes(), expected, "{at_ms}");
    }
    note_arrivals(&village.store, NOW_MS + 9 * hour).unwrap();
    assert_eq!(notes(), 3, "nothing came");
}

/// Shows that the parts of a cut bundle stay within their size, that each comes in by itself, in
/// any order, and that together they are everything.
#[test]
fn each_part_comes_in_by_itself() {
    let world = Places::open();
    for number in 0..120 {
        world.village.write(
            POPULATION,
            VILLAGE,
            number..number + 1,
            &noise(number.into(), 200_000),
        );
    }
    let mut cut = plan_for(&world.town);
    cut.part_bytes = Some(4 << 20);
    let (exported, parts) = world.village.export(&cut).unwrap();
    assert_eq!(exported.parts as usize, parts.len());
    assert_eq!(exported.bytes, parts.iter().map(|part| part.len() as u64).sum::<u64>());
    assert!(parts.len() > 2, "{} parts", parts.len());
    assert!(parts.iter().all(|part| part.len() <= 4 << 20));
    let mut new = 0;
    for (number, part) in parts.iter().enumerate().rev() {
        let imported = world.town.import(part).unwrap();
        assert!(imported.new > 0 && imported.is_whole(), "{imported:?}");
        assert_eq!(imported.cover.part as usize, number + 1);
        let last = number + 1 == parts.len();
        assert_eq!(imported.follows, if last { Follows::Nothing } else { Follows::Part });
        new += imported.new;
    }
    assert_eq!((new, exported.changes), (120, 120));
    cut.part_bytes = Some(1 << 20);
    assert!(world.village.export(&cut).is_err(), "a part could not hold a batch");
}

/// Shows that authors and their revocation travel with the changes: a node that never heard of a
/// person takes what stands of his work, and nothing of what does not.
#[test]
fn authors_and_revocations_travel_along() {
    let world = Places::open();
    let (person, chain) = world.village.member.operator(40, "王五");
    world.village.store.add_certificates(&chain).unwrap();
    let write =
        |number| vec![cunlian_tests::world::place::put(home(POPULATION, VILLAGE, number), "x")];
    let first = world.village.store.write(&person, write(1), NOW_MS).unwrap();
    world.village.store.write(&person, write(2), NOW_MS).unwrap();
    let before = world.village.bundle_for(&world.town);
    let body = cunlian_protocol::revocation::RevocationBody {
        own: cunlian_protocol::revocation::Standing {
            serial: person.serial,
            through_seq: 1,
            tags: vec![*first[0].0.first_chunk().unwrap()],
        },
        successor: None,
        descendants: Vec::new(),
        reason: "dismissed".to_owned(),
        issuer: Some(world.village.member.serial()),
    };
    let revocation = body.sign(&world.village.member.identity.key);
    assert_eq!(world.village.store.add_revocations(&[revocation]).unwrap(), Vec::<String>::new());
    let imported = world.town.import(&world.village.bundle_for(&world.town)).unwrap();
    assert_eq!((imported.new, imported.refusals()), (1, 0));
    let old = world.town.import(&before).unwrap();
    assert_eq!((old.new, old.known, old.refusals()), (0, 1, 1), "{:?}", old.refused);
    assert!(!world.town.has(&home(POPULATION, VILLAGE, 2)));
    assert_eq!(world.town.store.authority().revocations().count(), 1);
}

/// Shows that data of the town itself, which a village may read, arrives in a bundle for it.
#[test]
fn what_is_published_above_arrives() {
    let world = Places::open();
    world.town.write(Category::NOTICE, TOWN, 0..2, "通知");
    let imported = world.village.import(&world.town.bundle_for(&world.village)).unwrap();
    assert_eq!((imported.new, imported.refusals()), (2, 0));
}

/// Shows that photos go along, are whole at the other side and known to be at the town when a bundle
/// comes back, that they are carried again by nobody who knows better, and that an altered chunk
/// and a photo that no document names are not kept.
#[test]
fn photos_go_along() {
    let world = Places::open();
    let (town, village) = (&world.town, &world.village);
    let contents: Vec<Vec<u8>> =
        [1, 200_000].map(|bytes| noise(bytes as u64, 2 * bytes).into_bytes()).to_vec();
    let named: Vec<BlobReference> =
        contents.iter().map(|content| BlobReference::of(content, "image/jpeg").unwrap()).collect();
    let writes = named.iter().zip(0..).map(|(blob, number)| {
        put(home(Category::TICKET_PHOTO, VILLAGE, number), &blob.to_string())
    });
    let author = village.member.author(1);
    village.store.write_with_blobs(&author, writes.collect(), contents.clone(), NOW_MS).unwrap();
    let (exported, parts) = village.export(&plan_for(town)).unwrap();
    assert_eq!((exported.changes, exported.blobs), (2, 2));
    let imported = town.import(&parts[0]).unwrap();
    assert_eq!((imported.new, imported.blobs, imported.refusals()), (2, 2, 0));
    for (blob, content) in named.iter().zip(&contents) {
        let held = town.store.blob(&blob.name).unwrap();
        assert_eq!(held, Some(BlobContent::Whole(content.clone())));
        let standing = village.store.blob_state(&blob.name).unwrap().unwrap();
        assert_eq!(standing.reached & Tier::Town.bit(), 0);
    }
    assert_eq!(town.import(&parts[0]).unwrap().blobs, 0);
    village.import(&town.bundle_for(village)).unwrap();
    for blob in &named {
        let standing = village.store.blob_state(&blob.name).unwrap().unwrap();
        assert_eq!(standing.reached & Tier::Town.bit(), Tier::Town.bit());
    }

    note_arrivals(&village.store, NOW_MS).unwrap();
    village.write(POPULATION, VILLAGE, 0..1, "since");
    let mut week = plan_for(town);
    week.since_ms = Some(NOW_MS);
    assert_eq!(village.export(&week).unwrap().0.blobs, 0);
    let county = Place::open(&world.county);
    county.knows(&village.member);
    let mut up = plan_for(&county);
    up.since_ms = Some(NOW_MS);
    let (exported, parts) = village.export(&up).unwrap();
    assert_eq!(exported.blobs, 2, "the county is not known to hold them");
    assert_eq!(county.import(&parts[0]).unwrap().blobs, 2);
    town.assert_sound();
    county.assert_sound();
}

/// Shows that an import says which bound on what the exporter may send was reached, that of changes
/// and that of photos, each in words, and none when there was room.
#[test]
fn the_bound_that_was_reached_is_named() {
    let world = Places::open();
    let (town, village) = (&world.town, &world.village);
    let peer = village.member.public_key();
    let photo = noise(9, 400_000).into_bytes();
    let blob = BlobReference::of(&photo, "image/jpeg").unwrap();
    let write = put(home(Category::TICKET_PHOTO, VILLAGE, 1), &blob.to_string());
    let author = village.member.author(1);
    village.store.write_with_blobs(&author, vec![write], vec![photo], NOW_MS).unwrap();
    village.write(POPULATION, VILLAGE, 0..20, "王建国");
    let bundle = village.bundle_for(town);
    let said = |imported: &cunlian_crdt::bundle::Imported| -> Vec<String> {
        imported.bounds.iter().cloned().collect()
    };
    town.store.set_quota(&peer, Some(Quota { changes: 8, ..Quota::default() })).unwrap();
    let imported = town.import(&bundle).unwrap();
    assert!(imported.postponed >= 10 && imported.new <= 11, "{imported:?}");
    assert!(said(&imported).concat().contains("the bound of 8 changes in all on"), "{imported:?}");

    town.store.set_quota(&peer, Some(Quota { blob_bytes: 1 << 20, ..Quota::default() })).unwrap();
    let full = Quota { blob_bytes: 0, ..Quota::default() };
    let other = Place::open(&town.member);
    other.knows(&village.member);
    other.store.set_quota(&peer, Some(full)).unwrap();
    let imported = other.import(&bundle).unwrap();
    assert_eq!((imported.new, imported.postponed, imported.blobs), (21, 0, 0));
    assert!(said(&imported).concat().contains("0 MiB of photos and files"), "{imported:?}");

    let imported = town.import(&bundle).unwrap();
    assert_eq!((imported.postponed, said(&imported)), (0, Vec::new()));
    assert!(matches!(town.store.blob(&blob.name), Ok(Some(BlobContent::Whole(_)))));
}

/// Shows that a photo which a bundle of the county brings counts for the document that has it there,
/// and not for one of another village that names it by its hash; and that it counts for none of both
/// when a bundle, as one of an older program, does not say which has it.
#[test]
fn a_bundle_gives_no_photo_to_who_names_it() {
    let world = Places::open();
    let (town, village) = (&world.town, &world.village);
    let county = Place::open(&world.county);
    county.knows(&village.member);
    let photo = noise(3, 900).into_bytes();
    let blob = BlobReference::of(&photo, "image/jpeg").unwrap();
    let [theirs, named] =
        [OTHER_VILLAGE, VILLAGE].map(|address| home(Category::TICKET_PHOTO, address, 1));
    let put = |home| vec![put(home, &blob.to_string())];
    let author = town.member.author(1);
    county.store.write_with_blobs(&author, put(theirs), vec![photo.clone()], NOW_MS).unwrap();
    county.store.write(&village.member.author(1), put(named), NOW_MS).unwrap();
    let imported = town.import(&county.bundle_for(town)).unwrap();
    assert_eq!((imported.new, imported.blobs, imported.refusals()), (2, 1, 0));
    let held = |home| town.store.blob_of(home, &blob.name).unwrap();
    assert_eq!(held(&theirs), Some(BlobContent::Whole(photo.clone())));
    assert_ne!(held(&named), Some(BlobContent::Whole(photo.clone())));
    let outline = Arc::new(Outline::of(&photo).unwrap());
    let chunk = outline.verify(0, photo.clone()).unwrap();
    let (under, from) = (Under::Scope(Scope::everything()), county.member.public_key());
    let request = BlobRequest::Keep { under, outline, chunk, from, limited: false, at_ms: None };
    let kept = town.store.serve(StoreRequest::Blob(request)).unwrap();
    assert_eq!(kept, StoreReply::Blob(BlobReply::Keep(Kept::Unwanted)));
    assert_ne!(held(&named), Some(BlobContent::Whole(photo)));
    town.assert_sound();
}

//! Bundles that are sealed: who opens them, who does not, and what is noticed.

use cunlian_crdt::bundle::{
    Cover, Flaw, Follows, ImportError, Party, Reader, Receiver, SEGMENT_BYTES, Unreadable,
};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::SuccessionBody;
use cunlian_tests::member::{Member, key};
use cunlian_tests::world::place::{NOW_MS, Place, Places, noise, plan_for};
use cunlian_tests::world::{TOWN, VILLAGE};

use super::forged::{
    COUNT, COVER, Forged, PREFIX_BYTES, SEALED, STAMP, Sealing, ephemeral, framed, frames,
};

const POPULATION: Category = Category::library(0, 0);

/// All frames that a reader with these keys gives, and whether the part is whole.
fn read(part: &[u8], keys: &[&SigningKey]) -> (Vec<Vec<u8>>, Result<Follows, Flaw>) {
    let mut reader = Reader::open(part, keys).unwrap();
    let mut frames = Vec::new();
    loop {
        match reader.segment().unwrap() {
            Ok(Some(segment)) => {
                let bytes = segment.frames.iter().map(Vec::len).sum::<usize>();
                assert!(bytes <= SEGMENT_BYTES, "{bytes} bytes are in memory at a time");
                frames.extend(segment.frames);
            }
            Ok(None) => return (frames, Ok(reader.stamp().follows)),
            Err(flaw) => return (frames, Err(flaw)),
        }
    }
}

fn cover(part: &[u8]) -> Cover {
    postcard::from_bytes(&frames(part)[0][1..]).unwrap()
}

/// Shows that a bundle for a node opens there and nowhere else, not at its neighbour, not above,
/// and not at who made it; that these are told for whom it is; and that without its key one sees
/// that it is whole, and the cover.
#[test]
fn only_the_receiver_opens_it() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "canary");
    let sealed = world.village.bundle_for(&world.town);
    let county = Place::open(&world.county);
    for (other, before) in [(&world.village, 3), (&world.neighbour, 0), (&county, 0)] {
        let refused = other.import(&sealed).unwrap_err();
        let ImportError::ForAnother { name, address } = &refused else { panic!("{refused}") };
        assert_eq!((name.as_str(), address.to_string().as_str()), ("高城镇", TOWN));
        assert_eq!(other.changes(), before);
        let key = &other.member.identity.key;
        assert_eq!(Reader::open(sealed.as_slice(), &[key]).unwrap().opened(), None);
        assert_eq!(read(&sealed, &[key]), (Vec::new(), Ok(Follows::Nothing)));
    }
    let reader = Reader::open(sealed.as_slice(), &[]).unwrap();
    assert_eq!(reader.cover().exporter.name(), "苑兴村");
    assert_eq!(reader.cover().receiver.as_ref().unwrap().node.name(), "高城镇");
    assert_eq!(world.town.import(&sealed).unwrap().new, 3);
}

fn contains(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

/// Shows that of all that stands in an open bundle, head, certificates and changes, no sixteen
/// bytes are in the sealed one, unless they are in its cover.
#[test]
fn nothing_but_the_cover_is_in_the_clear() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..8, &noise(1, 400));
    let (open, sealed) = (world.village.open_bundle(), world.village.bundle_for(&world.town));
    let covered = frames(&sealed)[0];
    let mut looked_for = 0;
    for frame in frames(&open).iter().filter(|frame| ![COVER, STAMP, COUNT].contains(&frame[0])) {
        for piece in frame.chunks_exact(16).filter(|piece| !contains(covered, piece)) {
            assert!(contains(&open, piece));
            assert!(!contains(&sealed, piece), "{piece:x?} is in the clear");
            looked_for += 1;
        }
    }
    assert!(looked_for > 100, "{looked_for} pieces");
    let county = "高青县".as_bytes();
    assert!(contains(&open, county) && !contains(&sealed, county), "the chain is sealed");
}

/// Shows that the tables are enough to open a bundle, without the code that made it, and to make
/// one that it takes.
#[test]
fn the_tables_are_enough() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "own");
    let sealed = world.village.bundle_for(&world.town);
    let town = &world.town.member.identity.key;
    let frames = frames(&sealed);
    let receiver = cover(&sealed).receiver.unwrap();
    assert_eq!(receiver.node.key, public_key(town));
    let covered = &sealed[..PREFIX_BYTES + 4 + frames[0].len()];
    let mut sealing = Sealing::of_receiver(town, receiver.ephemeral, covered);
    let inside: Vec<&[u8]> =
        frames.iter().filter(|frame| frame[0] == SEALED).map(|frame| &frame[1..]).collect();
    let opened = inside
        .iter()
        .enumerate()
        .map(|(place, frame)| sealing.open(frame, place + 1 == inside.len()));
    let opened: Vec<Vec<u8>> = opened.filter(|frame| frame[0] != COUNT).collect();
    assert_eq!(opened[1..], read(&sealed, &[town]).0);

    let random = [5; 32];
    let node = Party::of(world.town.member.identity.certificate.body());
    let receiver = Receiver { ephemeral: ephemeral(random), node };
    let real = world.village.open_bundle();
    let head = Reader::open(real.as_slice(), &[]).unwrap().opened().unwrap().head.clone();
    let cover = Cover { receiver: Some(receiver), ..cover(&real) };
    let mut made = Forged::covered(&cover, &world.village.member.identity.key);
    made.seal_for(random, &public_key(town));
    made.head(&head);
    for frame in &opened[1..] {
        made.write(&framed(frame[0], &frame[1..]));
    }
    let imported = world.town.import(&made.end()).unwrap();
    assert_eq!((imported.new, imported.is_whole()), (3, true), "{imported:?}");
}

/// The frames of a part as they are, under another cover or in another order, signed by `key`.
fn signed_anew(cover: &Cover, frames: &[&[u8]], key: &SigningKey) -> Vec<u8> {
    let mut forged = Forged::covered(cover, key);
    for frame in frames {
        match frame[0] {
            COVER => {}
            STAMP => forged.sign(frame[5]),
            kind => forged.raw(&framed(kind, &frame[1..])),
        }
    }
    forged.unended()
}

/// Shows that sealed frames open under their own cover only: nobody puts his own name or
/// signature over the work of another, and nobody, not even who made them, readdresses them or
/// gives them another number or time.
#[test]
fn under_another_cover_nothing_opens() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "own");
    let sealed = world.village.bundle_for(&world.town);
    let (frames, cover) = (frames(&sealed), cover(&sealed));
    let [village, neighbour] = [&world.village, &world.neighbour].map(|place| &place.member);
    assert_eq!(signed_anew(&cover, &frames, &village.identity.key), sealed);

    let thief = &neighbour.identity.key;
    let refused = world.town.import(&signed_anew(&cover, &frames, thief)).unwrap_err();
    assert!(matches!(refused, ImportError::Unreadable(Unreadable::Head)), "{refused}");

    let own_name = Party::of(neighbour.identity.certificate.body());
    let by_thief = Cover { exporter: own_name.clone(), ..cover.clone() };
    let refused = world.town.import(&signed_anew(&by_thief, &frames, thief)).unwrap_err();
    let NotSealedSo { exporter } = not_sealed_so(refused);
    assert_eq!(exporter, "邻村");

    let receiver = cover.receiver.clone().unwrap();
    let readdressed = Receiver { node: own_name, ..receiver.clone() };
    let exchanged = Receiver { ephemeral: ephemeral([8; 32]), ..receiver.clone() };
    let unsound = Receiver { ephemeral: [0; 32], ..receiver };
    for (cover, place) in [
        (Cover { receiver: Some(readdressed), ..cover.clone() }, &world.neighbour),
        (Cover { receiver: Some(exchanged), ..cover.clone() }, &world.town),
        (Cover { receiver: Some(unsound), ..cover.clone() }, &world.town),
        (Cover { created_at_ms: NOW_MS + 1, ..cover.clone() }, &world.town),
        (Cover { bundle: [1; 16], ..cover.clone() }, &world.town),
        (Cover { part: 2, ..cover.clone() }, &world.town),
    ] {
        let altered = signed_anew(&cover, &frames, &village.identity.key);
        not_sealed_so(place.import(&altered).unwrap_err());
    }
    let bare = Cover { receiver: None, ..cover };
    let bare = signed_anew(&bare, &frames, &village.identity.key);
    let refused = world.town.import(&bare).unwrap_err();
    assert!(matches!(refused, ImportError::Unreadable(Unreadable::Head)), "{refused}");
    assert_eq!(world.town.changes() + world.neighbour.changes(), 0);
}

struct NotSealedSo {
    exporter: String,
}

fn not_sealed_so(refused: ImportError) -> NotSealedSo {
    match refused {
        ImportError::Unreadable(Unreadable::NotSealedSo { exporter }) => NotSealedSo { exporter },
        other => panic!("{other}"),
    }
}

/// Shows that of frames that are in another order, doubled, left out, or given an early end, nothing
/// is used from the place on where that is so, although their exporter signed it.
#[test]
fn frames_have_their_place_and_their_end() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "own");
    let sealed = world.village.bundle_for(&world.town);
    let (frames, cover) = (frames(&sealed), cover(&sealed));
    let kinds: Vec<u8> = frames.iter().map(|frame| frame[0]).collect();
    let expected = [COVER, SEALED, SEALED, STAMP, SEALED, SEALED, SEALED, STAMP];
    assert_eq!(kinds, expected, "head, count; certificates, batch, count");
    let signed = |places: &[usize]| {
        let chosen: Vec<&[u8]> = places.iter().map(|place| frames[*place]).collect();
        signed_anew(&cover, &chosen, &world.village.member.identity.key)
    };
    assert_eq!(signed(&[0, 1, 2, 3, 4, 5, 6, 7]), sealed);
    for places in
        [[0, 1, 2, 3, 5, 4, 6, 7].as_slice(), &[0, 1, 2, 3, 4, 5, 5, 6, 7], &[0, 1, 2, 3, 5, 6, 7]]
    {
        let imported = world.town.import(&signed(places)).unwrap();
        assert!(matches!(imported.flaw, Some(Flaw::Unsound { .. })), "{imported:?}");
        assert_eq!(imported.changes, 0);
    }
    for places in [[0, 1, 2, 7].as_slice(), &[0, 2, 1, 3], &[0, 1, 3], &[0, 3]] {
        assert!(world.town.import(&signed(places)).is_err(), "{places:?}");
    }
    let imported = world.town.import(&signed(&[0, 1, 2, 3])).unwrap();
    assert!(matches!(imported.flaw, Some(Flaw::Cut { .. })), "{imported:?}");
    assert_eq!(world.town.changes(), 0);
    assert_eq!(world.town.import(&sealed).unwrap().new, 3);
}

/// Shows that a file cut at any frame, one byte before and one byte after, is told from a whole one
/// with how far it goes, that what it gives is the beginning of what the whole one gives,
/// and that this holds for who cannot open it as well.
#[test]
fn a_cut_at_any_frame_is_noticed() {
    let world = Places::open();
    for number in 0..60 {
        let text = noise(number.into(), 200_000);
        world.village.write(POPULATION, VILLAGE, number..number + 1, &text);
    }
    let sealed = world.village.bundle_for(&world.town);
    let town = &world.town.member.identity.key;
    let (whole, follows) = read(&sealed, &[town]);
    assert_eq!(follows, Ok(Follows::Nothing));
    let (mut at, mut cuts, mut most) = (PREFIX_BYTES, 0, 0);
    let frames = frames(&sealed);
    let (_, but_last) = frames.split_last().unwrap();
    // Up to the stamp behind the head there is nothing to be used.
    let begun = frames.iter().position(|frame| frame[0] == STAMP).unwrap();
    for (place, frame) in but_last.iter().enumerate() {
        at += 4 + frame.len();
        for end in at - 1..=at + 1 {
            let cut = &sealed[..end];
            if place < begun || (place == begun && end < at) {
                assert!(matches!(Reader::open(cut, &[town]), Err(Unreadable::Head)));
                continue;
            }
            let (given, flaw) = read(cut, &[town]);
            assert!(matches!(flaw, Err(Flaw::Cut { bytes }) if bytes <= end as u64), "{flaw:?}");
            assert!(given.len() < whole.len() && whole.starts_with(&given), "at {end}");
            assert_eq!(read(cut, &[]), (Vec::new(), flaw));
            most = most.max(given.len());
            cuts += 1;
        }
    }
    assert!(cuts > 60 && most > 10, "{cuts} cuts, {most} frames of {}", whole.len());
}

/// A node in the place of the town with another key, that the town's certificate was replaced by
/// in words of the county, when `told`.
fn in_the_place_of(world: &Places, name: &str, told: bool) -> Place {
    let new = world.county.certify(30, Tier::Town, TOWN, name);
    let place = Place::open(&new);
    if told {
        place.knows(&world.town.member);
        let serial = world.town.member.serial();
        let body = RevocationBody {
            own: Standing { serial, through_seq: u64::MAX, tags: Vec::new() },
            successor: Some(new.serial()),
            descendants: Vec::new(),
            reason: "replaced".to_owned(),
            issuer: Some(world.county.serial()),
        };
        let revocation = body.sign(&world.county.identity.key);
        assert_eq!(place.store.add_revocations(&[revocation]).unwrap(), Vec::<String>::new());
    }
    place
}

/// Shows that a bundle for a key that its receiver has no more says that it has to be exported
/// again: after a change of key, at a machine that replaced another, and at one of the same name
/// and place; and that a new export for that key opens.
#[test]
fn an_earlier_key_asks_for_another_export() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "own");
    let early = world.village.bundle_for(&world.town);
    let replacing = in_the_place_of(&world, "高城镇二", true);
    let namesake = in_the_place_of(&world, "高城镇", false);
    let mut changed = in_the_place_of(&world, "高城镇三", false);
    let old = &world.town.member.identity.key;
    let body =
        SuccessionBody { old: public_key(old), new: public_key(&key(30)), stands: Vec::new() };
    changed.member.identity.successions.push(body.sign(old, &key(30)));
    for place in [&replacing, &namesake, &changed] {
        let refused = place.import(&early).unwrap_err();
        assert!(matches!(refused, ImportError::AnotherKey { .. }), "{refused}");
        let words = refused.to_string();
        assert!(words.contains("\"苑兴村\" has to export again"), "{words}");
        assert_eq!(place.changes(), 0);
    }
    world.village.knows(&changed.member);
    changed.knows(&world.village.member);
    let again = world.village.bundle_for(&changed);
    assert_eq!(changed.import(&again).unwrap().new, 3);
    let stranger = in_the_place_of(&world, "高城镇四", false);
    let refused = stranger.import(&early).unwrap_err();
    assert!(matches!(refused, ImportError::ForAnother { .. }), "{refused}");
}

/// Shows that a bundle for the next key of a node opens before the node has heard that it is
/// certified.
#[test]
fn the_next_key_opens_as_well() {
    let mut world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..3, "own");
    let next: Member = world.county.certify(30, Tier::Town, TOWN, "高城镇");
    let mut plan = plan_for(&world.town);
    plan.recipient = Some(next.identity.certificate);
    let (_, parts) = world.village.export(&plan).unwrap();
    let refused = world.town.import(&parts[0]).unwrap_err();
    assert!(matches!(refused, ImportError::AnotherKey { .. }), "{refused}");
    world.town.member.identity.next_key = Some(key(30));
    assert_eq!(world.town.import(&parts[0]).unwrap().new, 3);
}

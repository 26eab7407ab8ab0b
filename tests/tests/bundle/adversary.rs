//! Bundles that are damaged, cut, or made by somebody who breaks the rules.

use std::cell::Cell;
use std::io::{self, Read};

use cunlian_crdt::bundle::{
    Cover, Flaw, Follows, ImportError, Party, Reader, SEGMENT_BYTES, Unreadable,
};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::{ChangeKind, Header, SignedChange, VERSION, actor};
use cunlian_protocol::id::Serial;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::sync::{Carried, Selection, StoreReply, StoreRequest};
use cunlian_protocol::wire::{self, Bounded, Message};
use cunlian_tests::measured::growth_kib;
use cunlian_tests::member::{Member, key};
use cunlian_tests::unfolding::Puts;
use cunlian_tests::world::place::{DAY_MS, NOW_MS, Place, Places, noise};
use cunlian_tests::world::{OTHER_VILLAGE, VILLAGE, home};

use super::forged::{Forged, PREFIX_BYTES, SEALED, STAMP, framed, frames};

const POPULATION: Category = Category::library(0, 0);

/// All changes of a store under the home of one of its villages.
fn carried(place: &Place, category: Category) -> Vec<Carried> {
    let prefix = cunlian_protocol::key::KeyPrefix::category(category);
    let selection = Selection::Prefix { prefix, after: Vec::new() };
    match place.store.serve(StoreRequest::Read { selection, bytes: usize::MAX }).unwrap() {
        StoreReply::Read { changes, .. } => changes.into_iter().map(|s| s.carried).collect(),
        other => panic!("{other:?}"),
    }
}

/// Shows that wherever a byte is changed, a bundle brings in nothing that its exporter did not
/// sign, says where it is damaged, and leaves a sound store; and that the whole file then brings
/// in the rest.
#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..60, "王建国");
    let bundle = world.village.bundle_for(&world.town);
    let mut flawed = 0;
    for at in 0..bundle.len() {
        let mut altered = bundle.clone();
        altered[at] ^= 0x10;
        match world.town.import(&altered) {
            Ok(imported) => {
                assert_eq!((imported.new, imported.changes), (0, 0), "byte {at}");
                assert!(!imported.is_whole(), "byte {at}");
                flawed += 1;
            }
            Err(ImportError::Unreadable(
                Unreadable::NotABundle | Unreadable::Newer { .. } | Unreadable::Head,
            )) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(flawed > 1_000, "{flawed} of {} bytes are behind the head", bundle.len());
    assert_eq!(world.town.changes(), 0);
    assert_eq!(world.town.import(&bundle).unwrap().new, 60);
    world.town.assert_sound();
}

/// Shows that a file cut anywhere gives what its stamps cover, says that it ends early and how
/// much there was, and that the whole one then brings in exactly the rest.
#[test]
fn a_cut_file_gives_its_good_part() {
    let world = Places::open();
    for number in 0..70 {
        world.village.write(
            POPULATION,
            VILLAGE,
            number..number + 1,
            &noise(number.into(), 200_000),
        );
    }
    let bundle = world.village.bundle_for(&world.town);
    assert!(bundle.len() > 6 << 20, "{} bytes have several stamps", bundle.len());
    let mut before = 0;
    for tenth in 1..10 {
        let imported = world.town.import(&bundle[..bundle.len() * tenth / 10]).unwrap();
        let bytes = (bundle.len() * tenth / 10) as u64;
        assert!(matches!(imported.flaw, Some(Flaw::Cut { bytes: read }) if read <= bytes));
        assert_eq!(imported.known, before);
        assert!(imported.head.changes == 70 && imported.changes < 70);
        before += imported.new;
        assert_eq!(world.town.changes(), before);
    }
    assert!(before > 0, "something was stamped before the last tenth");
    let rest = world.town.import(&bundle).unwrap();
    assert_eq!((rest.known, rest.new), (before, 70 - before));
    let mut longer = bundle.clone();
    longer.push(0);
    assert!(matches!(world.town.import(&longer).unwrap().flaw, Some(Flaw::Damaged { .. })));
    world.town.assert_sound();
}

/// Shows that an exporter brings in only what its certificate lets it send, whoever signed it, and
/// that what is refused does not keep the rest out: a change of the neighbour outside of its
/// scope, one with a broken signature, one of an author without the right, and a good one.
#[test]
fn a_hostile_exporter_brings_in_only_what_is_his() {
    let world = Places::open();
    world.neighbour.write(POPULATION, OTHER_VILLAGE, 0..1, "not yours");
    world.village.write(POPULATION, VILLAGE, 0..2, "own");
    let real = world.village.open_bundle();
    let mut changes = carried(&world.village, POPULATION);
    let last = changes[1].bytes.len() - 1;
    changes[1].bytes[last] ^= 1;
    changes.extend(carried(&world.neighbour, POPULATION));
    changes.push(Carried { bytes: b"no change at all".to_vec(), reached: 0xff });
    let mut forged = Forged::open(&real, &key(4));
    forged.write(&wire::encode(&Message::Certificates(Bounded(
        world.neighbour.member.identity.chain.iter().cloned().map(Bounded).collect(),
    ))));
    forged.batch(&changes);
    forged.write(&wire::encode(&Message::Equal));
    let imported = world.town.import(&forged.end()).unwrap();
    assert_eq!((imported.changes, imported.new), (4, 1), "{:?}", imported.refused);
    assert_eq!(imported.refusals(), 4);
    let said = imported.refused.keys().cloned().collect::<Vec<_>>().join("; ");
    for words in ["outside of what this peer may send", "signature", "cut short", "no place"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!world.town.has(&home(POPULATION, OTHER_VILLAGE, 0)));
    world.town.assert_sound();
}

/// Shows that changes which unfold to more than they may are refused out of a bundle as from the line,
/// in bounded memory, and that the sound one among them comes in.
#[test]
fn what_unfolds_is_refused_out_of_a_bundle() {
    let name = concat!(module_path!(), "::what_unfolds_is_refused_out_of_a_bundle");
    let grown = growth_kib(name, || {
        let world = Places::open();
        world.village.write(POPULATION, VILLAGE, 0..1, "own");
        let real = world.village.open_bundle();
        let mut changes = carried(&world.village, POPULATION);
        changes.extend((1..200).map(|session| {
            let author = world.village.member.author(session);
            let actor = actor(&author.serial, session);
            let (field, text) = ("note".to_owned(), String::new());
            let (puts, predecessors) = if session % 2 == 0 { (65_536, 0) } else { (1, 65_536) };
            let payload = Puts { actor, field, puts, predecessors, text }.to_bytes();
            let (version, kind, seq) = (VERSION, ChangeKind::EDIT, session + 10);
            let (home, author, recorded_at_ms) = (home(POPULATION, VILLAGE, 0), author.serial, 1);
            let header = Header { version, kind, home, author, session, seq, recorded_at_ms };
            let change = SignedChange::sign(&header, &payload, &key(4)).unwrap();
            Carried { bytes: change.bytes().to_vec(), reached: 0 }
        }));
        let mut forged = Forged::open(&real, &key(4));
        forged.batch(&changes);
        let imported = world.town.import(&forged.end()).unwrap();
        assert_eq!((imported.new, imported.refusals()), (1, 199), "{:?}", imported.refused);
        world.town.assert_sound();
    });
    assert!(grown < 48 << 10, "{} MiB", grown >> 10);
}

/// Shows that a stamp by another key is worth nothing, and that a borrowed chain is of no use to
/// who lacks the key.
#[test]
fn a_borrowed_chain_is_refused() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..1, "own");
    let real = world.village.open_bundle();
    let reader = Reader::open(real.as_slice(), &[]).unwrap();
    let head = &reader.opened().unwrap().head;
    let own_name = Party::of(world.neighbour.member.identity.certificate.body());
    let own_name = Cover { exporter: own_name, ..reader.cover().clone() };
    let mut named = Forged::covered(&own_name, &key(5));
    named.head(head);
    for forged in [Forged::open(&real, &key(5)), named] {
        let refused = world.town.import(&forged.end()).unwrap_err();
        assert!(matches!(refused, ImportError::Unreadable(Unreadable::Head)), "{refused}");
    }
}

/// Shows that a bundle of another federation, of a layout that is newer, of a person, and a file
/// that is none at all are refused with words that say so.
#[test]
fn what_is_for_somebody_else_says_so() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..1, "own");
    let real = world.village.open_bundle();
    let foreign = Forged::altered(&real, &key(4), |head| head.root.0[0] ^= 1);
    let refused = world.town.import(&foreign.end()).unwrap_err();
    assert!(matches!(refused, ImportError::OtherFederation { .. }), "{refused}");

    let mut newer = real.clone();
    newer[15] = 3;
    let refused = world.town.import(&newer).unwrap_err().to_string();
    assert!(refused.contains("layout 3") && refused.contains("update"), "{refused}");
    newer[15] = 1;
    let refused = world.town.import(&newer).unwrap_err().to_string();
    assert!(refused.contains("layout 1") && refused.contains("export it again"), "{refused}");

    let (person, chain) = world.village.member.operator(40, "王五");
    let of_person = Forged::altered(&real, &person.key, |head| {
        head.chain = Bounded(chain.into_iter().map(Bounded).collect());
    });
    let refused = world.town.import(&of_person.end()).unwrap_err();
    assert!(matches!(refused, ImportError::NotANode { .. }), "{refused}");

    let refused = world.town.import(b"%PDF-1.7 and so on, for some bytes").unwrap_err();
    assert!(matches!(refused, ImportError::Unreadable(Unreadable::NotABundle)), "{refused}");
    assert_eq!(world.town.changes(), 0);
}

/// Shows that nothing is taken from a revoked exporter, neither when the revocation is known
/// before nor when the bundle itself brings it; and that a child whose certificate has run out
/// still hands up what waits, while the same certificate is worth nothing to its neighbour.
#[test]
fn who_is_not_in_force_is_refused() {
    let world = Places::open();
    world.village.write(POPULATION, VILLAGE, 0..1, "own");
    let real = world.village.open_bundle();
    let body = RevocationBody {
        own: Standing { serial: world.village.member.serial(), through_seq: 1, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "stolen".to_owned(),
        issuer: Some(world.town.member.serial()),
    };
    let revocation = body.sign(&world.town.member.identity.key);
    let mut telling = Forged::open(&real, &key(4));
    telling.write(&wire::encode(&Message::Revocations(Bounded(vec![Bounded(revocation)]))));
    telling.stamp(Follows::More);
    telling.batch(&carried(&world.village, POPULATION));
    let refused = world.town.import(&telling.end()).unwrap_err();
    assert!(matches!(refused, ImportError::Exporter(_)), "{refused}");
    let refused = world.town.import(&real).unwrap_err();
    assert!(refused.to_string().contains("revoked"), "{refused}");
    assert_eq!(world.town.changes(), 0);

    let town = &world.town.member;
    let times = 0..NOW_MS + DAY_MS;
    let short = town.certify_for(6, Tier::Village, ("370322102312", "短村"), times);
    let short = Place::open(&short);
    short.write(POPULATION, "370322102312", 0..1, "waits");
    let bundle = short.bundle_for(&world.town);
    let late_ms = NOW_MS + 9 * DAY_MS;
    assert_eq!(world.town.import_at(&bundle, late_ms).unwrap().new, 1);
    world.neighbour.knows(&short.member);
    let refused = world.neighbour.import_at(&short.open_bundle(), late_ms).unwrap_err();
    assert!(matches!(refused, ImportError::Exporter(_)), "{refused}");
}

/// Gives the same bytes for ever, and counts how many were taken.
struct Endless<'a> {
    piece: &'a [u8],
    taken: &'a Cell<usize>,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.piece[self.taken.get() % self.piece.len()..];
        let bytes = rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        self.taken.set(self.taken.get() + bytes);
        Ok(bytes)
    }
}

/// Shows that a stamp that never comes, and a frame that is larger than any, end the reading
/// before more is kept in memory than a segment may have, whether the part is open, sealed for who
/// reads, or sealed for somebody else.
#[test]
fn memory_is_bounded_whatever_the_file_says() {
    let world = Places::open();
    let real = world.village.open_bundle();
    let many = Bounded(vec![Bounded(vec![0; 4_000]); 200]);
    let frame = wire::encode(&Message::Certificates(many));
    let sealed = world.village.bundle_for(&world.town);
    let begun = frames(&sealed).iter().position(|frame| frame[0] == STAMP).unwrap();
    let begun = frames(&sealed)[..=begun].iter().map(|frame| 4 + frame.len()).sum::<usize>();
    let sealed = &sealed[..PREFIX_BYTES + begun];
    let open = Forged::open(&real, &key(4)).unended();
    let endless_sealed = framed(SEALED, &frame);
    let huge = [u32::MAX.to_be_bytes().as_slice(), &frame].concat();
    for (head, piece) in [
        (open.as_slice(), &frame),
        (open.as_slice(), &huge),
        (sealed, &endless_sealed),
        (sealed, &huge),
    ] {
        for place in [&world.town, &world.neighbour] {
            let taken = Cell::new(0);
            let mut input = head.chain(Endless { piece, taken: &taken });
            let mut reader = Reader::open(&mut input, &[&place.member.identity.key]).unwrap();
            assert!(matches!(reader.segment().unwrap(), Err(Flaw::Damaged { .. })));
            assert!(taken.get() <= SEGMENT_BYTES + piece.len(), "{} bytes", taken.get());
        }
    }
    let mut forged = Forged::open(&real, &key(4));
    for _ in 0..20 {
        forged.write(&frame);
    }
    let imported = world.town.import(&forged.end()).unwrap();
    assert!(matches!(imported.flaw, Some(Flaw::Damaged { .. })), "{imported:?}");
    assert_eq!(imported.refusals(), 0, "nothing of it was looked at");
}

/// Shows that a stranger who certified himself is refused.
#[test]
fn a_self_made_chain_is_refused() {
    let world = Places::open();
    let real = world.village.open_bundle();
    let stranger: Member = Member::county(2).certify(9, Tier::Town, "370322103", "假镇");
    let mut body = stranger.identity.certificate.body().clone();
    body.issuer = Some(Serial([9; 16]));
    let own = cunlian_protocol::certificate::Certificate::issue(&body, &key(9));
    let forged = Forged::altered(&real, &key(9), |head| head.chain = Bounded(vec![Bounded(own)]));
    let refused = world.town.import(&forged.end()).unwrap_err();
    assert!(matches!(refused, ImportError::Certificate(_)), "{refused}");
}

//! Changes that are larger than their bytes: what a few run-length coded bytes may stand for, alone
//! and in sum.

use cunlian_crdt::document::Author;
use cunlian_crdt::store::Store;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Home, actor};
use cunlian_protocol::limits;
use cunlian_protocol::sync::{Carried, Fate};
use cunlian_tests::measured::growth_kib;
use cunlian_tests::unfolding::Puts;
use tempfile::tempdir;

use super::world::*;

fn at(document: u8) -> Home {
    home(Category::TICKET, VILLAGE, document)
}

/// A signed change of a session of its own that puts a field so often, with so many predecessors.
pub(super) fn unfolding(
    by: &Member,
    home: Home,
    session: u64,
    (puts, predecessors): (u64, u64),
) -> Carried {
    with_text(by, home, session, (puts, predecessors), 0)
}

fn with_text(
    by: &Member,
    home: Home,
    session: u64,
    (puts, predecessors): (u64, u64),
    bytes: usize,
) -> Carried {
    let author = Author { session, ..by.author.clone() };
    let actor = actor(&author.serial, session);
    let (field, text) = ("a".to_owned(), "x".repeat(bytes));
    let payload = Puts { actor, field, puts, predecessors, text }.to_bytes();
    signed(&Member { author, chain: Vec::new() }, home, session, &payload)
}

/// A change that holds as much as it may, in about so many bytes.
fn densest(by: &Member, home: Home, session: u64, bytes: usize) -> Carried {
    let carried = bytes as u64 / limits::OPERATION_BYTES as u64;
    let puts = limits::FREE_OPERATIONS as u64 + carried;
    let predecessors = limits::FREE_PREDECESSORS as u64 + carried;
    let least = with_text(by, home, session, (puts, predecessors), 0).bytes.len();
    with_text(by, home, session, (puts, predecessors), bytes.saturating_sub(least))
}

/// Shows that a change which holds more operations, or predecessors, than its bytes may carry is
/// refused with that reason, however many these are, and that its neighbours in the batch are kept.
#[test]
fn what_unfolds_too_far_is_refused() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let by = &world.village;
    let few = unfolding(by, at(1), 1, (20, 0));
    assert!(few.bytes.len() < 256, "{}", few.bytes.len());
    let mut batch = vec![few];
    let many = [(64, 0), (100, 0), (1_000, 0), (10_000, 0), (65_536, 0), (1 << 40, 0)];
    let many = many.into_iter().chain([(1, 128), (1, 1_000), (1, 65_536), (1, 1 << 40), (40, 100)]);
    batch.extend(many.zip(2..).map(|(counts, session)| unfolding(by, at(2), session, counts)));
    batch.push(unfolding(by, at(3), 90, (1, 32)));
    let fates = ingest(&town, by, batch);
    let (first, rest) = fates.split_first().unwrap();
    let (last, refused) = rest.split_last().unwrap();
    assert_eq!((first, last), (&Fate::Accepted, &Fate::Accepted));
    for fate in refused {
        let says = |reason: &str| reason.contains("unfold") && reason.contains("operations");
        assert!(matches!(fate, Fate::Refused { reason } if says(reason)), "{fate:?}");
    }
    assert_eq!(town.counts().unwrap().total.changes, 2);
    assert!(town.view(&at(2)).unwrap().is_none());
    assert_sound(&town);
}

/// Shows that the largest batches of the densest changes that are taken, and of those that are not,
/// cost little memory: while they come in, in every view, in a verification, and when the tables are
/// made anew.
#[test]
fn memory_is_bounded_whatever_changes_hold() {
    let test = concat!(module_path!(), "::memory_is_bounded_whatever_changes_hold");
    let grown = growth_kib(test, || {
        let world = World::new();
        let dir = tempdir().unwrap();
        let town = world.open(dir.path(), &world.town);
        let by = &world.village;
        let bomb = |session| unfolding(by, at(1), session, (65_536, 0));
        let fates = ingest(&town, by, (1..=200).map(bomb).collect());
        assert!(fates.iter().all(|fate| matches!(fate, Fate::Refused { .. })));
        for document in 2..6 {
            let dense = |session| densest(by, at(document), session, 256);
            let batch: Vec<Carried> = (1..2_000).map(dense).collect();
            let fates = ingest(&town, by, batch);
            assert!(fates.iter().all(|fate| *fate == Fate::Accepted), "{fates:?}");
            town.view(&at(document)).unwrap().unwrap();
        }
        let again = |session| densest(by, at(u8::try_from(session % 4 + 2).unwrap()), session, 300);
        ingest(&town, by, (2_000..3_500).map(again).collect());
        assert_sound(&town);
        town.rebuild_projections().unwrap();
        assert_eq!(town.verify().unwrap().beyond_bounds.len(), 4);
    });
    assert!(grown < 160 << 10, "{} MiB", grown >> 10);
}

/// Shows that which changes count of a document that holds too much is a function of what it holds:
/// every order of arrival, at once or one by one, gives the same tables, some changes count and some
/// wait, and it is said how many.
#[test]
fn what_counts_of_a_document_does_not_depend_on_order() {
    let world = World::new();
    let by = &world.village;
    let heavy = (1..=5).map(|session| densest(by, at(1), session, limits::CHANGE_BYTES - 4_096));
    let light = (6..=9).map(|session| unfolding(by, at(1), session, (1, 0)));
    let mut changes: Vec<Carried> = heavy.chain(light).collect();
    let mut dumps = Vec::new();
    for round in 0..4 {
        let dir = tempdir().unwrap();
        let town = world.open(dir.path(), &world.town);
        changes.rotate_left(round * 2 + 1);
        if round == 3 {
            changes.reverse();
        }
        let parts = if round % 2 == 0 { changes.len() } else { 1 };
        for part in changes.chunks(parts.min(3)) {
            for fate in ingest(&town, by, part.to_vec()) {
                assert_eq!(fate, Fate::Accepted);
            }
        }
        let view = town.view(&at(1)).unwrap().unwrap();
        assert_eq!((view.changes, view.waiting), (6, 3));
        let counts = town.counts().unwrap().total;
        assert_eq!((counts.changes, counts.beyond), (9, 1));
        let said = town.verify().unwrap().beyond_bounds;
        assert!(said.len() == 1 && said[0].contains(": 3 changes"), "{said:?}");
        assert_sound(&town);
        dumps.push(dump(&town));
    }
    assert!(dumps.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Shows that of a field with very many concurrent values the first ones are shown, that a person can
/// resolve these with one change, and that none is lost unseen: the rest comes up after it.
#[test]
fn concurrent_values_are_shown_and_resolved_in_portions() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let sessions = 150;
    let values = (1..=sessions).map(|session| with_text(&world.village, at(1), session, (1, 0), 3));
    ingest(&town, &world.village, values.collect());
    let others = |store: &Store| store.view(&at(1)).unwrap().unwrap().fields["a"].others.len();
    let mut shown = vec![others(&town)];
    while others(&town) > 0 {
        write(&town, &world.town, vec![put(at(1), "a", "resolved")]);
        shown.push(others(&town));
    }
    // One value of those shown is new each time.
    assert_eq!(shown, [63, 63, 23, 0]);
    assert_sound(&town);
}

/// Shows that a person cannot write what nobody would take, and is told why.
#[test]
fn a_write_of_too_many_edits_is_refused() {
    use cunlian_crdt::document::{Edit, Write};
    use cunlian_crdt::store::WriteError;
    let world = World::new();
    let dir = tempdir().unwrap();
    let village = world.open(dir.path(), &world.village);
    let edits = |count: u32, text: &str| {
        let edit = |n| Edit::Put { field: format!("{n:x}"), text: text.to_owned() };
        let edits = (0..count).map(edit).collect();
        vec![Write { home: at(1), edits, source: String::new(), task: String::new() }]
    };
    let refused = village.write(&world.village.author, edits(5_000, ""), NOW_MS).unwrap_err();
    assert_eq!(refused, WriteError::TooMany { home: at(1) });
    village.write(&world.village.author, edits(5_000, "a value"), NOW_MS).unwrap();
    village.write(&world.village.author, edits(5_000, "another"), NOW_MS).unwrap();
    assert_sound(&village);
}

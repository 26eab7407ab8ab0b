//! Equal sets give equal stores, whatever the order, and concurrent edits stay visible.

use cunlian_crdt::document::Edit;
use cunlian_protocol::category::Category;
use cunlian_protocol::key::KeyPrefix;
use proptest::prelude::*;
use tempfile::tempdir;

use super::world::*;

/// Edits by two authors who meet now and then: author, document, field or operation.
fn edits() -> impl Strategy<Value = Vec<(bool, u8, u8, bool)>> {
    prop::collection::vec((any::<bool>(), 1..4_u8, 0..4_u8, any::<bool>()), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Shows that two stores that took in the same changes in different orders and batches have
    /// the same summaries, documents and projection rows, by dumping the tables.
    #[test]
    fn equal_sets_are_equal_stores(
        edits in edits(),
        turn in any::<prop::sample::Index>(),
        batch in 1..7_usize,
    ) {
        let world = World::new();
        let dirs: Vec<_> = (0..4).map(|_| tempdir().unwrap()).collect();
        let village = world.open(dirs[0].path(), &world.village);
        let town = world.open(dirs[1].path(), &world.town);
        for (step, (at_town, document, field, meet)) in edits.into_iter().enumerate() {
            let home = home(Category::TICKET, VILLAGE, document);
            let text = format!("text {step}");
            let edit = match field {
                0 => append(home, &text),
                field => put(home, &format!("f{field}"), &text),
            };
            let (store, member) =
                if at_town { (&town, &world.town) } else { (&village, &world.village) };
            write(store, member, vec![edit]);
            if meet {
                send_all(&village, &world.village, &town);
                send_all(&town, &world.town, &village);
            }
        }
        send_all(&village, &world.village, &town);
        let mut changes = carried(&all(&town));
        let forward = world.open(dirs[2].path(), &world.county);
        ingest(&forward, &world.town, changes.clone());
        let middle = turn.index(changes.len());
        changes.rotate_left(middle);
        changes.reverse();
        let piecemeal = world.open(dirs[3].path(), &world.county);
        for batch in changes.chunks(batch) {
            ingest(&piecemeal, &world.town, batch.to_vec());
        }
        prop_assert_eq!(dump(&forward), dump(&piecemeal));
        prop_assert_eq!(dump(&forward), dump(&town));
        assert_sound(&forward);
        assert_sound(&piecemeal);
        assert_sound(&town);
    }
}

/// Shows that two values written apart are both seen at both nodes, with their authors, and that
/// writing over them resolves the conflict at both.
#[test]
fn concurrent_values_stay_visible_until_resolved() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let home = home(Category::library(0, 0), VILLAGE, 1);
    write(&village, &world.village, vec![put(home, "phone", "old")]);
    send_all(&village, &world.village, &town);
    write(&village, &world.village, vec![put(home, "phone", "from the village")]);
    write(&town, &world.town, vec![put(home, "phone", "from the town")]);
    send_all(&village, &world.village, &town);
    send_all(&town, &world.town, &village);
    for store in [&village, &town] {
        let field = store.view(&home).unwrap().unwrap().fields["phone"].clone();
        let mut texts = vec![field.current.text.as_str()];
        texts.extend(field.others.iter().map(|other| other.text.as_str()));
        texts.sort_unstable();
        assert_eq!(texts, ["from the town", "from the village"]);
        assert_eq!(store.counts().unwrap().total.conflicted, 1);
        let prefix = KeyPrefix::category(home.category);
        assert_eq!(store.in_conflict(&prefix, 10).unwrap(), [home]);
    }
    assert_eq!(village.view(&home).unwrap(), town.view(&home).unwrap());
    write(&town, &world.town, vec![put(home, "phone", "settled")]);
    send_all(&town, &world.town, &village);
    for store in [&village, &town] {
        let field = store.view(&home).unwrap().unwrap().fields["phone"].clone();
        assert_eq!((field.current.text.as_str(), field.others.len()), ("settled", 0));
        assert_eq!(field.current.writer.author, world.town.author.serial);
        assert_eq!(store.counts().unwrap().total.conflicted, 0);
    }
}

/// Shows that operations appended apart, each to a list that its node began, are all there in one
/// order, and that taking away a field and writing it apart leaves the written value.
#[test]
fn operations_appended_apart_are_all_kept() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let home = home(Category::TICKET, VILLAGE, 1);
    write(&village, &world.village, vec![append(home, "v1"), put(home, "title", "x")]);
    write(&town, &world.town, vec![append(home, "t1"), append(home, "t2")]);
    send_all(&village, &world.village, &town);
    send_all(&town, &world.town, &village);
    let mut delete = put(home, "title", "");
    delete.edits = vec![Edit::Delete { field: "title".to_owned() }];
    write(&village, &world.village, vec![delete]);
    write(&town, &world.town, vec![append(home, "t3"), put(home, "title", "y")]);
    send_all(&village, &world.village, &town);
    send_all(&town, &world.town, &village);
    let view = village.view(&home).unwrap().unwrap();
    assert_eq!(Some(&view), town.view(&home).unwrap().as_ref());
    let bodies: Vec<&str> = view.operations.iter().map(|step| step.body.as_str()).collect();
    assert_eq!(bodies.len(), 4);
    let place = |body| bodies.iter().position(|found| *found == body).unwrap();
    assert!(place("t1") < place("t2") && place("t2") < place("t3") && place("v1") < place("t3"));
    assert_eq!(view.fields["title"].current.text, "y");
}

/// Shows that a change whose dependency is missing is kept and counted, and takes effect when the
/// dependency comes.
#[test]
fn a_change_waits_for_its_dependency() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let village = world.open(dir_a.path(), &world.village);
    let town = world.open(dir_b.path(), &world.town);
    let home = home(Category::TICKET, VILLAGE, 1);
    let first = write(&village, &world.village, vec![put(home, "title", "first")]);
    write(&village, &world.village, vec![put(home, "title", "second")]);
    let (early, late): (Vec<_>, Vec<_>) =
        all(&village).into_iter().partition(|stored| stored.key.change == first[0]);
    ingest(&town, &world.village, carried(&late));
    let view = town.view(&home).unwrap().unwrap();
    assert_eq!((view.changes, view.waiting, view.fields.len()), (0, 1, 0));
    assert_eq!(town.counts().unwrap().total.waiting, 1);
    ingest(&town, &world.village, carried(&early));
    assert_eq!(town.view(&home).unwrap(), village.view(&home).unwrap());
    assert_eq!(town.counts().unwrap().total.waiting, 0);
    assert_sound(&town);
}

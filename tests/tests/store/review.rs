//! Looking at what a revoked author left in documents of others: keeping it, taking it back.

use cunlian_crdt::document::{Deed, Edit, Write};
use cunlian_crdt::store::{Store, WriteError};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use tempfile::{TempDir, tempdir};

use super::world::*;

fn at(document: u8) -> Home {
    home(Category::TICKET, VILLAGE, document)
}

fn review(home: Home, change: ChangeId, keep: bool) -> Write {
    Write { edits: vec![Edit::Review { change, keep }], ..put(home, "", "") }
}

fn delete(home: Home, field: &str) -> Write {
    Write { edits: vec![Edit::Delete { field: field.to_owned() }], ..put(home, "", "") }
}

fn to_review(store: &Store) -> Vec<ChangeId> {
    let all = KeyPrefix::category(Category::TICKET);
    let list = store.to_review(Some(&all), 100).unwrap();
    list.into_iter().map(|entry| entry.tainted.writer.change).collect()
}

fn text(store: &Store, home: &Home, field: &str) -> Option<String> {
    let view = store.view(home).unwrap().unwrap();
    view.fields.get(field).map(|field| field.current.text.clone())
}

/// A town with a person whose work will fall.
fn town(world: &World) -> (TempDir, Store, Member) {
    let dir = tempdir().unwrap();
    let town = world.open(dir.path(), &world.town);
    let dismissed = World::person(20, &world.village);
    town.add_certificates(&dismissed.chain).unwrap();
    (dir, town, dismissed)
}

/// Shows that taking a change back gives fields it set, took away or made the values they would
/// have without it, leaves what others wrote since, and takes its operations out of effect; that
/// the list then is empty; and that another node comes to the same.
#[test]
fn a_change_is_taken_back() {
    let world = World::new();
    let (_dir, town, dismissed) = town(&world);
    write(&town, &world.town, vec![put(at(1), "set", "old"), put(at(1), "gone", "was here")]);
    write(&town, &world.town, vec![put(at(1), "since", "old"), append(at(1), "{\"n\":1}")]);
    let edits = vec![
        Edit::Put { field: "set".to_owned(), text: "fallen".to_owned() },
        Edit::Delete { field: "gone".to_owned() },
        Edit::Put { field: "made".to_owned(), text: "fallen".to_owned() },
        Edit::Put { field: "since".to_owned(), text: "fallen".to_owned() },
        Edit::Append { body: "{\"n\":2}".to_owned() },
    ];
    let fallen = write(&town, &dismissed, vec![Write { edits, ..put(at(1), "", "") }]);
    write(&town, &world.town, vec![put(at(1), "since", "new"), append(at(1), "{\"n\":3}")]);
    learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
    assert_eq!(to_review(&town), fallen);
    let entry = &town.to_review(Some(&KeyPrefix::document(&at(1))), 9).unwrap()[0];
    assert_eq!(entry.tainted.deeds.len(), 5);
    assert!(entry.tainted.deeds.contains(&Deed::Delete { field: "gone".to_owned() }));
    let reverting = write(&town, &world.town, vec![review(at(1), fallen[0], false)]);
    let shown = |field| text(&town, &at(1), field);
    assert_eq!(shown("set").as_deref(), Some("old"));
    assert_eq!(shown("gone").as_deref(), Some("was here"));
    assert_eq!(shown("made"), None);
    assert_eq!(shown("since").as_deref(), Some("new"));
    let view = town.view(&at(1)).unwrap().unwrap();
    assert_eq!(view.operations.len(), 3, "a review is no step of the workflow");
    assert_eq!(view.operations[1].reverted_by, Some(reverting[0]));
    let effective: Vec<&str> = view.effective().map(|operation| operation.body.as_str()).collect();
    assert_eq!(effective, ["{\"n\":1}", "{\"n\":3}"]);
    assert_eq!(tainted(&town, &at(1)), [(fallen[0], Some(false))]);
    assert!(to_review(&town).is_empty());
    assert_sound(&town);
    let other = tempdir().unwrap();
    let other = world.open(other.path(), &world.county);
    other.add_certificates(&dismissed.chain).unwrap();
    learn(&other, &[revocation(&dismissed, &world.town, 0, &[])]);
    send_all(&town, &world.town, &other);
    assert_eq!(dump(&other), dump(&town));
    assert_eq!(other.view(&at(1)).unwrap().unwrap(), view);
}

/// Shows that several fallen changes of one field, taken back in any order, leave the last value
/// that stands.
#[test]
fn several_are_taken_back_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        let world = World::new();
        let (_dir, town, dismissed) = town(&world);
        write(&town, &world.town, vec![put(at(1), "a", "honest")]);
        let fallen =
            write(&town, &dismissed, vec![put(at(1), "a", "first"), put(at(1), "a", "second")]);
        write(&town, &world.town, vec![put(at(1), "b", "x")]);
        learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
        assert_eq!(text(&town, &at(1), "a").as_deref(), Some("second"));
        for turn in order {
            write(&town, &world.town, vec![review(at(1), fallen[turn], false)]);
        }
        assert_eq!(text(&town, &at(1), "a").as_deref(), Some("honest"), "{order:?}");
        assert!(to_review(&town).is_empty());
        assert_sound(&town);
    }
}

/// Shows that what is kept keeps its effect and leaves the list, that to take back outweighs to
/// keep, and that a field taken away stays away when it is taken back to nothing.
#[test]
fn a_change_is_kept_until_somebody_takes_it_back() {
    let world = World::new();
    let (_dir, town, dismissed) = town(&world);
    let fallen = write(&town, &dismissed, vec![put(at(1), "a", "fallen")]);
    write(&town, &world.town, vec![put(at(1), "b", "x")]);
    learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
    write(&town, &world.town, vec![review(at(1), fallen[0], true)]);
    assert_eq!(text(&town, &at(1), "a").as_deref(), Some("fallen"));
    assert!(to_review(&town).is_empty());
    assert_eq!(tainted(&town, &at(1)), [(fallen[0], Some(true))]);
    write(&town, &world.town, vec![review(at(1), fallen[0], false)]);
    assert_eq!(text(&town, &at(1), "a"), None);
    write(&town, &world.town, vec![review(at(1), fallen[0], true)]);
    assert_eq!(tainted(&town, &at(1)), [(fallen[0], Some(false))]);
    let nothing = town.write(&world.town.author, vec![delete(at(1), "a")], NOW_MS);
    assert_eq!(nothing, Err(WriteError::Nothing { home: at(1) }));
    assert_sound(&town);
}

/// Shows that nobody can take back what stands, here or by an operation made elsewhere.
#[test]
fn what_stands_cannot_be_taken_back() {
    let world = World::new();
    let (_dir, town, _) = town(&world);
    let honest = write(&town, &world.town, vec![append(at(1), "{\"n\":1}")]);
    let refused = town.write(&world.village.author, vec![review(at(1), honest[0], false)], NOW_MS);
    assert_eq!(refused, Err(WriteError::NotTainted { home: at(1) }));
    let body = format!("{{\"review\":{{\"change\":\"{}\",\"keep\":false}}}}", honest[0]);
    write(&town, &world.village, vec![append(at(1), &body)]);
    let view = town.view(&at(1)).unwrap().unwrap();
    assert_eq!(view.operations.len(), 1);
    assert_eq!((view.operations[0].reverted_by, view.tainted.len()), (None, 0));
}

/// Shows that who may read the last of the documents alone is given its change in a list of one,
/// whatever stands before it.
#[test]
fn a_list_is_full_of_what_may_be_read() {
    let world = World::new();
    let (_dir, town, dismissed) = town(&world);
    let mut fallen = Vec::new();
    for document in 1..=5 {
        fallen = write(&town, &dismissed, vec![put(at(document), "a", "fallen")]);
        write(&town, &world.town, vec![put(at(document), "b", "x")]);
    }
    learn(&town, &[revocation(&dismissed, &world.town, 0, &[])]);
    let list = town.to_review_where(|home| *home == at(5), 1).unwrap();
    let changes: Vec<ChangeId> = list.iter().map(|entry| entry.tainted.writer.change).collect();
    assert_eq!(changes, fallen);
}

//! Writing by authors of the node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;

use cunlian_crdt::document::{Author, Edit};
use cunlian_crdt::store::WriteError;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::category::Category;
use tempfile::tempdir;

use super::world::*;

/// Shows that without the right nothing is saved, not even the writes beside it that are allowed.
#[test]
fn a_write_without_right_saves_nothing() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let allowed = put(home(Category::TICKET, VILLAGE, 1), "title", "mine");
    let foreign = put(home(Category::TICKET, OTHER_VILLAGE, 1), "title", "not mine");
    let refused = store.write(&world.village.author, vec![allowed, foreign], NOW_MS);
    assert!(matches!(refused, Err(WriteError::Refused(Refusal::NoGrant { .. }))), "{refused:?}");
    assert_eq!(store.counts().unwrap().total.changes, 0);
}

/// Shows that a key that is not the certificate's, an author nobody knows and a revoked one may
/// not write.
#[test]
fn other_keys_unknown_and_revoked_authors_may_not_write() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let edit = || vec![put(home(Category::TICKET, VILLAGE, 1), "title", "x")];
    let stolen = Author { key: key(99), ..world.village.author.clone() };
    assert_eq!(store.write(&stolen, edit(), NOW_MS), Err(WriteError::WrongKey));
    let unknown =
        Author { serial: cunlian_protocol::id::Serial([9; 16]), ..world.village.author.clone() };
    let refused = store.write(&unknown, edit(), NOW_MS).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(Refusal::UnknownAuthor { .. })), "{refused}");
    write(&store, &world.village, edit());
    learn(&store, &[revocation(&world.village, &world.town, 1, &[])]);
    let refused = store.write(&world.village.author, edit(), NOW_MS).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(Refusal::Revoked { .. })), "{refused}");
    assert_eq!(store.counts().unwrap().total.changes, 1);
}

/// Shows that every value tells who wrote it, when, from where and for which task.
#[test]
fn provenance_travels_with_the_value() {
    let world = World::new();
    let (dir_a, dir_b) = (tempdir().unwrap(), tempdir().unwrap());
    let store = world.open(dir_a.path(), &world.village);
    let home = home(Category::library(0, 0), VILLAGE, 1);
    let mut survey = put(home, "age", "70");
    survey.source = "survey\tby phone".to_owned();
    survey.task = "autumn-check".to_owned();
    let ids = write(&store, &world.village, vec![put(home, "name", "张三"), survey]);
    let town = world.open(dir_b.path(), &world.town);
    send_all(&store, &world.village, &town);
    let view = town.view(&home).unwrap().unwrap();
    let writer = &view.fields["age"].current.writer;
    assert_eq!(writer.author, world.village.author.serial);
    assert_eq!((writer.seq, writer.recorded_at_ms, writer.change), (2, NOW_MS, ids[1]));
    assert_eq!((writer.source.as_str(), writer.task.as_str()), ("survey by phone", "autumn-check"));
    assert_eq!(view.fields["name"].current.writer.source, "terminal");
}

/// Shows that threads writing at the same time get gap-free numbers, that nothing is lost, and
/// that every commit is announced with the last row.
#[test]
fn concurrent_writers_share_commits_and_number_without_gaps() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    store.on_commit(move |notice| heard.lock().unwrap().push(notice));
    thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (store, world) = (&store, &world);
            scope.spawn(move || {
                for turn in 0..10_u8 {
                    let shared = put(home(Category::TICKET, VILLAGE, 0), "turn", "x");
                    let own = put(home(Category::TICKET, VILLAGE, 1 + thread), "turn", "y");
                    let text = format!("{thread}/{turn}");
                    write(
                        store,
                        &world.village,
                        vec![shared, own, append(home(Category::TICKET, VILLAGE, 100), &text)],
                    );
                }
            });
        }
    });
    let all = all(&store);
    let seqs: BTreeSet<u64> = all
        .iter()
        .map(|s| {
            let bytes = s.carried.bytes.clone();
            cunlian_protocol::change::SignedChange::decode(bytes).unwrap().header().seq
        })
        .collect();
    assert_eq!(seqs, (1..=240).collect());
    let view = store.view(&home(Category::TICKET, VILLAGE, 100)).unwrap().unwrap();
    assert_eq!(view.operations.len(), 80);
    assert_sound(&store);
    let notices = notices.lock().unwrap();
    assert_eq!(notices.iter().map(|notice| notice.added).sum::<u64>(), 240);
    assert_eq!(notices.last().unwrap().last_row, 240);
    assert!(notices.len() < 80, "no commit was shared");
}

/// Shows that edits that change nothing, the reserved name, too large a change and too large a
/// document are refused with what is wrong.
#[test]
fn impossible_edits_are_refused() {
    let world = World::new();
    let dir = tempdir().unwrap();
    let store = world.open(dir.path(), &world.village);
    let home = home(Category::TICKET, VILLAGE, 1);
    let attempt = |edit| store.write(&world.village.author, vec![edit], NOW_MS).unwrap_err();
    let mut nothing = put(home, "title", "");
    nothing.edits = vec![Edit::Delete { field: "title".to_owned() }];
    assert_eq!(attempt(nothing), WriteError::Nothing { home });
    assert_eq!(attempt(put(home, "operations", "x")), WriteError::ReservedField);
    let large = "x".repeat(256 << 10);
    assert!(matches!(attempt(put(home, "a", &large)), WriteError::ChangeTooLarge { .. }));
    let mut last = None;
    for turn in 0..20 {
        let text = "x".repeat(250 << 10);
        let write = put(home, &format!("f{turn}"), &text);
        last = store.write(&world.village.author, vec![write], NOW_MS).err();
        if last.is_some() {
            break;
        }
    }
    assert!(matches!(last, Some(WriteError::DocumentTooLarge { .. })), "{last:?}");
    assert_eq!(store.counts().unwrap().total.changes, 16);
}

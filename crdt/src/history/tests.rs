#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId, Automerge, Change, ObjType, ROOT, ReadDoc as _};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Header, SignedChange, VERSION, VerifiedChange, actor};
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::signing::SigningKey;
use proptest::prelude::*;

use super::payload::PayloadError;
use super::*;
use crate::document::Edit;

const AUTHORS: u8 = 3;

fn home() -> Home {
    Home {
        category: Category::TICKET,
        address: AddressCode::parse("370322102310").unwrap(),
        document: DocumentId([9; 16]),
    }
}

fn put(field: &str, text: &str) -> Edit {
    Edit::Put { field: field.to_owned(), text: text.to_owned() }
}

fn append(body: &str) -> Edit {
    Edit::Append { body: body.to_owned() }
}

fn sign(author: u8, seq: u64, payload: &[u8]) -> VerifiedChange {
    let header = Header {
        version: VERSION,
        kind: cunlian_protocol::change::ChangeKind::EDIT,
        home: home(),
        author: Serial([author; 16]),
        session: 1,
        seq,
        recorded_at_ms: 0,
    };
    SignedChange::sign(&header, payload, &SigningKey::from_bytes(&[author; 32])).unwrap()
}

fn history(changes: &[VerifiedChange]) -> History {
    let payloads = changes.iter().map(|change| Payload::decode(change).unwrap().unwrap());
    History::new(home(), payloads.collect(), 0)
}

fn write(replica: &mut Vec<VerifiedChange>, author: u8, edits: &[Edit]) {
    let seq = 1 + replica.iter().filter(|c| c.header().author.0[0] == author).count() as u64;
    let actor = actor(&Serial([author; 16]), 1);
    match history(replica).author(actor, edits, "source", "task") {
        Ok(payload) => replica.push(sign(author, seq, &payload)),
        Err(error) => assert_eq!(error, EditError::Nothing),
    }
}

fn automerge(changes: &[VerifiedChange]) -> Automerge {
    let mut document = Automerge::new();
    let changes: Vec<Change> =
        changes.iter().map(|change| Change::try_from(change.payload().unwrap()).unwrap()).collect();
    document.apply_changes(changes).unwrap();
    document
}

/// What Automerge itself reads: values of each field, the winner last, and all elements of all
/// lists of operations by the Lamport time at which their change begins.
fn oracle(document: &Automerge) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let mut fields = BTreeMap::new();
    let mut operations = Vec::new();
    let changes = document.get_changes(&[]);
    let start = |counter: u64, actor: &ActorId| {
        let holds = |c: &&Change| (c.start_op().get()..=c.max_op()).contains(&counter);
        let own = changes.iter().filter(|change| change.actor_id() == actor);
        own.into_iter().find(holds).unwrap().start_op()
    };
    for key in document.keys(ROOT) {
        let values = document.get_all(ROOT, key.as_str()).unwrap();
        if key != OPERATIONS {
            let texts = values.into_iter().map(|(value, _)| value.into_string().unwrap());
            fields.insert(key, texts.collect());
            continue;
        }
        for (_, list) in values {
            for item in document.list_range(&list, ..) {
                let id = item.id().to_bytes();
                let automerge::ObjId::Id(counter, actor, _) =
                    automerge::ObjId::try_from(id.as_slice()).unwrap()
                else {
                    panic!("an element has an id")
                };
                operations.push((
                    start(counter, &actor),
                    actor,
                    counter,
                    item.value.into_value().into_string().unwrap(),
                ));
            }
        }
    }
    operations.sort();
    (fields, operations.into_iter().map(|(_, _, _, body)| body).collect())
}

fn read(history: &History) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let view = history.view();
    let fields = view.fields.into_iter().map(|(name, field)| {
        let others = field.others.into_iter().rev().map(|value| value.text);
        (name, others.chain([field.current.text]).collect())
    });
    (fields.collect(), view.operations.into_iter().map(|operation| operation.body).collect())
}

#[derive(Debug, Clone)]
enum Event {
    Write { author: u8, edits: Vec<Edit> },
    Merge { into: u8, from: u8 },
}

fn edit() -> impl Strategy<Value = Edit> {
    let field = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        4 => (field(), "[xyz]{0,3}").prop_map(|(field, text)| put(field, &text)),
        1 => field().prop_map(|field| Edit::Delete { field: field.to_owned() }),
        3 => "[xyz]{1,3}".prop_map(|body| append(&body)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..AUTHORS, prop::collection::vec(edit(), 1..4))
            .prop_map(|(author, edits)| Event::Write { author, edits }),
        1 => (0..AUTHORS, 0..AUTHORS).prop_map(|(into, from)| Event::Merge { into, from }),
    ]
}

fn play(events: Vec<Event>) -> Vec<Vec<VerifiedChange>> {
    let mut replicas = vec![Vec::new(); usize::from(AUTHORS)];
    for event in events {
        match event {
            Event::Write { author, edits } => {
                write(&mut replicas[usize::from(author)], author, &edits);
            }
            Event::Merge { into, from } => {
                for change in replicas[usize::from(from)].clone() {
                    let replica = &mut replicas[usize::from(into)];
                    if !replica.contains(&change) {
                        replica.push(change);
                    }
                }
            }
        }
    }
    replicas
}

proptest! {
    /// Shows that the history reads from the changes what Automerge reads from its document,
    /// for every replica of a document that several authors edit together and apart.
    #[test]
    fn the_history_reads_what_automerge_reads(
        events in prop::collection::vec(event(), 1..40)
    ) {
        for replica in play(events) {
            let history = history(&replica);
            prop_assert_eq!(read(&history), oracle(&automerge(&replica)));
            prop_assert_eq!(history.view().waiting, 0);
        }
    }

    /// Shows that the view does not depend on the order in which changes came, also while some
    /// are missing, and that those held up by a missing one are counted.
    #[test]
    fn the_view_does_not_depend_on_order(
        events in prop::collection::vec(event(), 1..40),
        keep in prop::collection::vec(any::<bool>(), 40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut changes: Vec<VerifiedChange> = Vec::new();
        for change in play(events).into_iter().flatten() {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        let mut keep = keep.into_iter().cycle();
        changes.retain(|_| keep.next().unwrap_or(true));
        prop_assume!(!changes.is_empty());
        let before = history(&changes).view();
        let middle = order.index(changes.len());
        changes.rotate_left(middle);
        let half = changes.len() / 2;
        changes[half..].reverse();
        let after = history(&changes).view();
        prop_assert_eq!(usize::try_from(after.changes + after.waiting).unwrap(), changes.len());
        prop_assert_eq!(before, after);
    }
}

/// Shows that the bytes made here are those that Automerge's own transaction makes.
#[test]
fn a_change_has_the_bytes_of_automerge() {
    let id = actor(&Serial([1; 16]), 1);
    let mut replica = Vec::new();
    write(&mut replica, 1, &[put("name", "张三"), append("{\"step\":1}"), put("age", "40")]);
    write(&mut replica, 1, &[append("{\"step\":2}"), put("age", "41")]);
    let mut document = Automerge::new().with_actor(ActorId::from(id.as_slice()));
    let options = || CommitOptions::default().with_message("source\ttask").with_time(0);
    let mut transaction = document.transaction();
    transaction.put(ROOT, "age", "40").unwrap();
    transaction.put(ROOT, "name", "张三").unwrap();
    let list = transaction.put_object(ROOT, OPERATIONS, ObjType::List).unwrap();
    transaction.insert(&list, 0, "{\"step\":1}").unwrap();
    transaction.commit_with(options());
    let mut transaction = document.transaction();
    transaction.put(ROOT, "age", "41").unwrap();
    transaction.insert(&list, 1, "{\"step\":2}").unwrap();
    transaction.commit_with(options());
    let ours: Vec<&[u8]> = replica.iter().map(|change| change.payload().unwrap()).collect();
    let theirs = document.get_changes(&[]);
    assert_eq!(ours, theirs.iter().map(Change::raw_bytes).collect::<Vec<_>>());
}

/// Shows that two nodes that begin the list of operations apart lose none of them, and that what
/// is appended after they met comes last at both.
#[test]
fn lists_begun_apart_are_read_as_one() {
    let mut village = Vec::new();
    write(&mut village, 1, &[append("v1"), append("v2")]);
    let mut town = Vec::new();
    write(&mut town, 2, &[append("t1")]);
    town.extend(village.clone());
    village.insert(0, town[0].clone());
    write(&mut town, 2, &[append("t2")]);
    village.push(town.last().unwrap().clone());
    let bodies = |changes: &[VerifiedChange]| read(&history(changes)).1;
    assert_eq!(bodies(&village), bodies(&town));
    let mut sorted = bodies(&town);
    assert_eq!(sorted.pop().as_deref(), Some("t2"));
    sorted.sort();
    assert_eq!(sorted, ["t1", "v1", "v2"]);
}

fn decode(build: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) -> PayloadError {
    let id = actor(&Serial([1; 16]), 1);
    let mut document = Automerge::new().with_actor(ActorId::from(id.as_slice()));
    let mut transaction = document.transaction();
    build(&mut transaction);
    transaction.commit();
    let changes = document.get_changes(&[]);
    let change = sign(1, 1, changes[0].raw_bytes());
    Payload::decode(&change).unwrap().unwrap_err()
}

/// Shows that what documents may not hold is refused: other types, other objects, and everything
/// that would rewrite the workflow.
#[test]
fn operations_outside_the_model_are_refused() {
    let shape = |index| PayloadError::Shape { index };
    assert_eq!(decode(|t| t.put(ROOT, "n", 1_i64).unwrap()), shape(0));
    assert_eq!(decode(|t| t.put(ROOT, OPERATIONS, "text").unwrap()), shape(0));
    assert_eq!(decode(|t| drop(t.put_object(ROOT, "m", ObjType::Map).unwrap())), shape(0));
    assert_eq!(decode(|t| drop(t.put_object(ROOT, "x", ObjType::Text).unwrap())), shape(0));
    let removes = decode(|t| {
        let list = t.put_object(ROOT, OPERATIONS, ObjType::List).unwrap();
        t.insert(&list, 0, "x").unwrap();
        t.put(&list, 0, "y").unwrap();
    });
    assert_eq!(removes, shape(2));
    let deletes = decode(|t| {
        t.put_object(ROOT, OPERATIONS, ObjType::List).unwrap();
        t.delete(ROOT, OPERATIONS).unwrap();
    });
    assert_eq!(deletes, shape(1));
}

/// Shows that a payload by another actor, a compressed one and noise are refused without panic.
#[test]
fn payloads_of_others_compressed_ones_and_noise_are_refused() {
    let document = |actor: &[u8]| {
        let mut document = Automerge::new().with_actor(ActorId::from(actor));
        let mut transaction = document.transaction();
        transaction.put(ROOT, "a", "x".repeat(1000)).unwrap();
        transaction.commit();
        document.get_changes(&[]).remove(0)
    };
    let refused = |payload: &[u8]| Payload::decode(&sign(1, 1, payload)).unwrap().unwrap_err();
    assert_eq!(refused(document(&[7; 16]).raw_bytes()), PayloadError::WrongActor);
    let mut own = document(&actor(&Serial([1; 16]), 1));
    assert_eq!(refused(&own.bytes()), PayloadError::NotAChange);
    assert_eq!(refused(b""), PayloadError::NotAChange);
    let name = "n".repeat(257);
    assert_eq!(
        decode(|t| t.put(ROOT, name.as_str(), "x").unwrap()),
        PayloadError::Shape { index: 0 }
    );
    let bytes = own.raw_bytes().to_vec();
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x40;
        refused(&broken);
        refused(&bytes[..at]);
    }
}

/// Shows that a few bytes which stand for 2⁶⁰ operations, or for 2⁶⁰ predecessors of one, are
/// refused at once: the decoder would not come back from them.
#[test]
fn a_payload_that_unfolds_without_end_is_refused() {
    let id = actor(&Serial([1; 16]), 1);
    let chunk = |columns: &[(u8, &[u8])]| {
        let mut data = vec![0, 16];
        data.extend_from_slice(&id);
        data.extend_from_slice(&[1, 1, 0, 0, 0, u8::try_from(columns.len()).unwrap()]);
        for (kind, bytes) in columns {
            data.extend([*kind, u8::try_from(bytes.len()).unwrap()]);
        }
        for (_, bytes) in columns {
            data.extend_from_slice(bytes);
        }
        let mut chunk =
            vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1, u8::try_from(data.len()).unwrap()];
        chunk.extend(data);
        chunk
    };
    let endless: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let run = |value: &[u8]| [endless, value].concat();
    let one = |value: &[u8]| [&[0x7f], value].concat();
    let key = one(b"\x01a");
    let of_one = chunk(&[(0x15, &key), (0x34, &[1]), (0x42, &one(&[1])), (0x56, &one(&[6]))]);
    let unfolded = super::expansion::Unfolded::of(&of_one).unwrap();
    assert_eq!((unfolded.operations, unfolded.predecessors), (1, 0));
    let unbounded = [
        chunk(&[(0x15, &run(b"\x01a")), (0x34, &[1]), (0x42, &run(&[3])), (0x56, &run(&[0]))]),
        chunk(&[(0x15, &key), (0x34, endless), (0x42, &one(&[3])), (0x56, &one(&[0]))]),
        chunk(&[(0x15, &key), (0x42, &one(&[3])), (0x70, &one(endless)), (0x71, &run(&[0]))]),
        chunk(&[(0x15, &[&[0], endless].concat()), (0x42, &one(&[3]))]),
    ];
    for bytes in unbounded {
        let change = sign(1, 1, &bytes);
        let error = Payload::decode(&change).unwrap().unwrap_err();
        let unfolds = matches!(error, PayloadError::Unbounded | PayloadError::Unfolds { .. });
        assert!(unfolds, "{error}");
    }
}

/// Shows that two changes with one place in an actor's sequence count once, the same one whatever
/// their order, and that an impossible start of the numbering is not applied.
#[test]
fn contradictory_changes_count_once() {
    let id = actor(&Serial([1; 16]), 1);
    let empty = History::new(home(), Vec::new(), 0);
    let payload = |text| empty.author(id, &[put("a", text)], "", "").unwrap();
    let (one, two) = (sign(1, 1, &payload("one")), sign(1, 2, &payload("two")));
    let view = history(&[one.clone(), two.clone()]).view();
    assert_eq!(view, history(&[two, one]).view());
    assert_eq!((view.changes, view.waiting, view.fields["a"].others.len()), (1, 1, 0));
    let ahead = History { last_op: 1 << 30, ..History::new(home(), Vec::new(), 0) };
    let change = sign(1, 1, &ahead.author(id, &[put("a", "far")], "", "").unwrap());
    assert_eq!(history(&[change]).view().waiting, 1);
}

/// Shows that the common past of values written at the same time is the last that all of them were
/// written over, however many steps each side took, and that there is none where nothing was.
#[test]
fn the_common_past_is_the_last_value_that_all_saw() {
    let mut first = Vec::new();
    for text in ["oldest", "old"] {
        write(&mut first, 1, &[put("phone", text)]);
    }
    assert_eq!(history(&first).common_ancestor("phone"), None, "it is not in conflict");
    let (mut one, mut other) = (first.clone(), first.clone());
    for text in ["a", "b"] {
        write(&mut one, 1, &[put("phone", text), put("name", text)]);
    }
    write(&mut other, 2, &[put("phone", "c"), put("name", "c")]);
    one.extend(other.into_iter().skip(first.len()));
    let both = history(&one);
    assert_eq!(both.common_ancestor("phone"), Some("old"));
    assert_eq!(both.common_ancestor("name"), None, "both wrote it first");
}

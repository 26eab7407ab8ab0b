//! Tests of the generator: counts, validity, determinism, and tickets that go where they should.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cunlian_crdt::document::{DocumentView, Edit, Operation, Writer};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, Serial};

use super::*;
use crate::checks;
use crate::library::catalogue::{Catalogue, Part};
use crate::ticket::{self, Judge, State, Ticket, Verb};

const NOW_MS: i64 = 1_783_735_200_000;

fn village() -> AddressCode {
    AddressCode::parse(STORY_VILLAGE).unwrap()
}

fn texts(writes: &[Write]) -> Vec<(Category, &str, &str)> {
    let mut texts = Vec::new();
    for write in writes {
        for edit in &write.edits {
            let Edit::Put { field, text } = edit else { continue };
            texts.push((write.home.category, field.as_str(), text.as_str()));
        }
    }
    texts
}

/// Shows that the count is exact for any number, and that no document comes twice.
#[test]
fn counts_are_exact() {
    for count in [0, 1, 7, 100, 2_524] {
        let writes: Vec<Write> = Generator::new(1).records(village(), count).flatten().collect();
        let homes: BTreeSet<Home> = writes.iter().map(|write| write.home).collect();
        assert_eq!((writes.len(), homes.len()), (count, count));
    }
}

/// Shows that a seed gives the same documents each time, and another seed or village others.
#[test]
fn a_seed_gives_the_same_documents() {
    let draw = |seed, village| -> Vec<Write> {
        Generator::new(seed).records(village, 300).flatten().collect()
    };
    let other = AddressCode::parse("370322102309").unwrap();
    assert_eq!(draw(1, village()), draw(1, village()));
    assert_ne!(draw(1, village()), draw(2, village()));
    assert_ne!(draw(1, village()), draw(1, other));
    let generator = Generator::new(1);
    assert_eq!(generator.tickets(village(), 24, NOW_MS), generator.tickets(village(), 24, NOW_MS));
}

/// Shows that every identity number, phone and credit code passes its check, that numbers agree
/// with the birth date beside them, and that no sensitive number is in a base document.
#[test]
fn generated_numbers_are_valid() {
    let writes: Vec<Write> = Generator::new(7).records(village(), 3_000).flatten().collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (category, field, text) in texts(&writes) {
        let (_, part) = category.class_and_part().unwrap();
        match field {
            "id_number" | "owner_id" => {
                let number = checks::id_number(text).unwrap();
                assert!(number.text.starts_with("370322") && part == Part::Identity.number());
                *seen.entry("id").or_default() += 1;
            }
            "phone" | "keeper_phone" => {
                assert!(checks::phone(text).is_ok() && part == Part::Contact.number());
                *seen.entry("phone").or_default() += 1;
            }
            "credit_code" => {
                assert!(checks::credit_code(text).is_ok(), "{text}");
                *seen.entry("credit").or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(seen.get("id").is_some_and(|count| *count > 500), "{seen:?}");
    assert!(seen.get("phone").is_some_and(|count| *count > 200), "{seen:?}");
    assert!(seen.get("credit").is_some_and(|count| *count > 5), "{seen:?}");
}

/// Shows that all eight classes and six parts occur, people being most, and that a record is as
/// small as the wire budget assumes.
#[test]
fn proportions_are_those_of_a_village() {
    let writes: Vec<Write> = Generator::new(3).records(village(), 2_524).flatten().collect();
    let mut classes: BTreeMap<u8, usize> = BTreeMap::new();
    let mut parts: BTreeSet<u8> = BTreeSet::new();
    for write in &writes {
        let (class, part) = write.home.category.class_and_part().unwrap();
        *classes.entry(class).or_default() += 1;
        parts.insert(part);
        assert!(village().contains(&write.home.address));
        assert!((1..=12).contains(&write.edits.len()), "{write:?}");
    }
    assert_eq!(classes.len(), Catalogue::built_in().classes().len());
    assert_eq!(parts.len(), Part::ALL.len());
    let people = classes.get(&0).copied().unwrap();
    assert!((1_200..2_200).contains(&people), "{people}");
    let bytes: usize = texts(&writes).iter().map(|(_, key, text)| key.len() + text.len()).sum();
    assert!(bytes / writes.len() < 110, "{}", bytes / writes.len());
}

struct Everybody;

impl Judge for Everybody {
    fn may(&self, _writer: &Writer, _verb: Verb, _home: &Home) -> Result<(), String> {
        Ok(())
    }

    fn name_of(&self, author: &Serial) -> String {
        author.to_string()
    }
}

fn play(sample: &SampleTicket) -> Ticket {
    let first = sample.scenes.first().unwrap();
    let mut view = DocumentView {
        home: first.write.home,
        fields: BTreeMap::new(),
        operations: Vec::new(),
        changes: 0,
        waiting: 0,
        tainted: Vec::new(),
        erased: None,
    };
    for scene in sample.scenes.iter().filter(|scene| scene.write.home == view.home) {
        for edit in &scene.write.edits {
            let Edit::Append { body } = edit else { panic!("tickets hold actions: {edit:?}") };
            let writer = Writer {
                author: Serial([0; 16]),
                seq: 1,
                recorded_at_ms: scene.at_ms,
                change: ChangeId([0; 32]),
                source: String::new(),
                task: String::new(),
                tainted: false,
            };
            view.operations.push(Operation { body: body.clone(), writer, reverted_by: None });
        }
    }
    ticket::fold_with(&view, &Everybody)
}

/// Shows that tickets are in every state, that every action of their histories is taken, that
/// time runs forward and ends before now, and that the receipt is the one the fold gives.
#[test]
fn tickets_are_in_every_state() {
    let tickets = Generator::new(5).tickets(village(), 24, NOW_MS);
    let mut states = BTreeSet::new();
    for sample in &tickets {
        let ticket = play(sample);
        assert!(ticket.trace.iter().all(|step| step.outcome == ticket::Outcome::Taken));
        assert_eq!(ticket.receipt.as_ref(), Some(&sample.receipt));
        assert!(sample.scenes.is_sorted_by_key(|scene| scene.at_ms));
        assert!(sample.scenes.last().unwrap().at_ms <= NOW_MS);
        states.insert(ticket.state);
    }
    let never = [State::Unreported, State::Erased];
    let all: BTreeSet<State> =
        State::ALL.into_iter().filter(|state| !never.contains(state)).collect();
    assert_eq!(states, all);
}

/// Shows the story: three reports of one village, the first dispatched to the secretary who is
/// also in the directory.
#[test]
fn the_story_is_told() {
    let generator = Generator::new(5);
    let tickets: Vec<Ticket> = generator.story(NOW_MS).iter().map(play).collect();
    let states: Vec<State> = tickets.iter().map(|ticket| ticket.state).collect();
    assert_eq!(states, [State::Assigned, State::Reported, State::Reported]);
    let assignee = tickets.first().unwrap().assignee.as_ref().unwrap();
    let secretary = generator.secretary(village());
    assert_eq!(assignee.name, format!("村支书 {secretary}"));
    let directory = generator.directory(village());
    assert!(texts(&directory).contains(&(Category::DIRECTORY, "name", &secretary)));
}

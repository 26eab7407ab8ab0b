//! What a hostile node asks for: what is its own, as the control, and what is not.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::wire::{Ask, FaultCode, Frame, Message, Prefixed, Wanted};

use super::Line;
use super::attempt::{Closed, Findings};
use super::scene::{IDENTITY, POPULATION, Scene};
use crate::traces::contains;

/// The control: everything sensitive of a village, asked for by who may read it. Gives the line
/// with what was heard on it.
pub async fn read_own(scene: &Scene) -> Line {
    let mut line = scene.thief.enter(scene.town).await;
    let own_region = Region::subtree(scene.own);
    let sensitive =
        (1..=2).flat_map(|part| (0..8).map(move |class| Category::library(class, part)));
    let items =
        sensitive.map(|category| (KeyPrefix::region(category, &own_region), Wanted::All)).collect();
    line.say(&Message::Want { number: 1, items: Prefixed(items) }).await;
    while line.hear().await.unwrap() != Frame::Message(Message::Delivered { number: 1 }) {}
    line
}

/// Ranges outside of what a village may read, each with its name.
pub fn ranges_of_others(scene: &Scene) -> Vec<(&'static str, KeyPrefix)> {
    let county = Region::subtree(scene.county_code);
    let mut ranges = vec![
        ("a category", KeyPrefix::category(IDENTITY)),
        ("the catalogue's category", KeyPrefix::category(Category::CATALOGUE)),
        ("the county", KeyPrefix::region(Category::TICKET, &county)),
        ("the county's catalogue and below", KeyPrefix::region(Category::CATALOGUE, &county)),
        ("the town alone", KeyPrefix::region(Category::TICKET, &Region::exact(scene.town_code))),
        (
            "the town's journal",
            KeyPrefix::region(Category::JOURNAL, &Region::exact(scene.town_code)),
        ),
    ];
    let kinds = [POPULATION, IDENTITY, Category::TICKET, Category::TICKET_CONTACT];
    for category in kinds {
        let of = |code: AddressCode| KeyPrefix::region(category, &Region::subtree(code));
        ranges.extend([("a neighbour", of(scene.other)), ("the town", of(scene.town_code))]);
    }
    ranges
}

/// Each range outside his scope, as a question and as a demand: the node closes the session, and
/// none of the secrets was heard.
pub async fn ask_for_others(scene: &Scene, secrets: &[String], found: &mut Findings) {
    for (name, prefix) in ranges_of_others(scene) {
        let questions = [
            Message::Query(Prefixed(vec![(prefix.clone(), Ask::Shorts)])),
            Message::Query(Prefixed(vec![(prefix.clone(), Ask::Frontier)])),
            Message::Query(Prefixed(vec![(prefix.clone(), Ask::Symbols { from: 0, to: 64 })])),
            want(prefix.clone()),
        ];
        for question in questions {
            let mut line = scene.thief.enter(scene.town).await;
            line.say(&question).await;
            let ending = line.ending().await;
            assert_eq!(ending.code, FaultCode::OutOfScope, "{name}: {question:?}: {ending:?}");
            assert_heard_nothing_of(&line, secrets);
            found.closed.push(Closed { name: format!("asks for {name}"), ending });
        }
    }
}

/// A demand for everything under a prefix.
pub fn want(prefix: KeyPrefix) -> Message {
    Message::Want { number: 1, items: Prefixed(vec![(prefix, Wanted::All)]) }
}

/// None of the secrets is among what was heard, batches unpacked.
pub fn assert_heard_nothing_of(line: &Line, secrets: &[String]) {
    for secret in secrets {
        assert!(!contains(&line.heard, secret.as_bytes()), "{secret} was heard");
    }
}

//! What a peer names, and answers, in the course of a comparison.

use cunlian_protocol::limits;
use cunlian_protocol::summary::{Fingerprint, Summary};
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_protocol::wire::{AskReply, Bounded, FaultCode, Message, Page, Prefixed};
use cunlian_tests::measured::growth_kib;

use super::pair::{Side, documents, documents_at, grid, village_and_town};

fn page(from: u32, prefixes: u32, changes: u64, more: bool) -> Page {
    let fingerprint = Fingerprint { count: changes, sum: [7; 16] };
    let items = documents(from, prefixes).map(|prefix| (prefix, fingerprint)).collect();
    Page { items: Prefixed(items), more }
}

/// The peer has something under as many prefixes; under the first `mine` this side has something, too.
fn differ(village: &mut Side, prefixes: u32, mine: usize) {
    village.hear(&Message::Tops(page(0, prefixes, 2, false)));
    let number = village.asked_for(|request| matches!(request, StoreRequest::Against { .. }));
    let here = Summary { count: 2, ..Summary::default() };
    let word = u64::from_le_bytes([7; 8]);
    let same = Summary { count: 2, sum: [word, word, 0, 0] };
    let summaries = (0..prefixes as usize).map(|at| if at < mine { here } else { same }).collect();
    village.answer(number, StoreReply::Against { mine: summaries, alone: Vec::new() });
}

/// Shows that a frontier of as many prefixes as a scope can have, all of which are missing here, is
/// held and asked for in bounded memory, and that one with more ends the session.
#[test]
fn the_longest_frontier_is_held() {
    let test = concat!(module_path!(), "::the_longest_frontier_is_held");
    let grown = growth_kib(test, || {
        for beyond in [false, true] {
            let (mut village, _) = village_and_town();
            let most = u32::try_from(limits::TOPS).unwrap() + u32::from(beyond);
            let each = u32::try_from(limits::PAGE_SUMMARIES).unwrap();
            for from in (0..most).step_by(each as usize) {
                let more = from + each < most;
                village.hear(&Message::Tops(page(from, each.min(most - from), u64::MAX, more)));
            }
            if beyond {
                assert_eq!(village.closed, Some(FaultCode::TooLarge));
                continue;
            }
            let number = village.asked_for(|it| matches!(it, StoreRequest::Against { .. }));
            let mine = vec![Summary::default(); limits::TOPS];
            village.answer(number, StoreReply::Against { mine, alone: Vec::new() });
            let wants = village.said.iter().filter(|said| matches!(said, Message::Want { .. }));
            assert!(wants.count() >= limits::TOPS / limits::QUERY_PREFIXES);
            assert_eq!(village.closed, None);
        }
    });
    assert!(grown < 192 << 10, "{} MiB", grown >> 10);
}

/// Shows that answers that are much longer than the peer said cost no more memory than is remembered
/// of them: they are asked for again in parts.
#[test]
fn long_answers_wait_up_to_a_sum() {
    let test = concat!(module_path!(), "::long_answers_wait_up_to_a_sum");
    let grown = growth_kib(test, || {
        let (mut village, _) = village_and_town();
        differ(&mut village, 2_000, 400);
        let asked = village.said.iter().find_map(|said| match said {
            Message::Query(items) => Some(items.0.len()),
            _ => None,
        });
        assert_eq!(asked, Some(400));
        let long = AskReply::Shorts(Bounded(vec![[5; 8]; limits::SKETCH_ITEMS]));
        for number in 0..400 {
            village.hear(&Message::Answer(Bounded(vec![(number, long.clone())])));
        }
        assert_eq!(village.closed, None);
    });
    assert!(grown < 24 << 10, "{} MiB", grown >> 10);
}

/// Shows that a peer which splits several prefixes without end, each within what one frontier may
/// have, is cut off when they have as much in sum as a comparison holds.
#[test]
fn frontiers_without_end_are_cut_off() {
    let test = concat!(module_path!(), "::frontiers_without_end_are_cut_off");
    let grown = growth_kib(test, || {
        let (mut village, _) = village_and_town();
        let grids = 1..=12;
        let many = |number| (grid(number).1, Fingerprint { count: 1 << 40, sum: [7; 16] });
        let items = Prefixed(grids.clone().map(many).collect());
        village.hear(&Message::Tops(Page { items, more: false }));
        let number = village.asked_for(|it| matches!(it, StoreRequest::Against { .. }));
        let mine = vec![Summary { count: 2, ..Summary::default() }; 12];
        village.answer(number, StoreReply::Against { mine, alone: Vec::new() });
        let each = u32::try_from(limits::PAGE_SUMMARIES).unwrap();
        let mut named = 0;
        'pages: for from in (0..).step_by(each as usize) {
            for (question, grid) in (0..).zip(grids.clone().map(|number| grid(number).0)) {
                let fingerprint = Fingerprint { count: 1, sum: [7; 16] };
                let items = documents_at(&grid, from, each).map(|prefix| (prefix, fingerprint));
                let page = Page { items: Prefixed(items.collect()), more: true };
                let told = AskReply::Frontier(page);
                village.hear(&Message::Answer(Bounded(vec![(question, told)])));
                if village.closed.is_some() {
                    break 'pages;
                }
                named += limits::PAGE_SUMMARIES;
                assert!(named <= limits::COMPARED, "{named}");
            }
        }
        assert_eq!(village.closed, Some(FaultCode::TooLarge));
    });
    assert!(grown < 96 << 10, "{} MiB", grown >> 10);
}

/// Shows that no more questions are asked at a time than may be unanswered, however much differs.
#[test]
fn own_questions_are_asked_up_to_a_number() {
    let (mut village, _) = village_and_town();
    differ(&mut village, 4_000, limits::QUESTIONS + 500);
    let asked = village.said.iter().map(|said| match said {
        Message::Query(items) => items.0.len(),
        _ => 0,
    });
    assert_eq!(asked.sum::<usize>(), limits::QUESTIONS);
}

//! What a peer asks for and is not sent yet.

use cunlian_protocol::limits;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest};
use cunlian_protocol::wire::{Bounded, FaultCode, Message, Prefixed, Wanted};
use cunlian_tests::measured::growth_kib;

use super::pair::{documents, village_and_town};

/// Ranges in one request, each with as many short ids as a list may have.
const RANGES: u32 = 3;

/// Shows that a peer which asks for more and more by short ids, and takes nothing, costs no more
/// memory than the short ids that are remembered; of the rest it is sent the whole ranges.
#[test]
fn short_ids_are_remembered_up_to_a_sum() {
    let test = concat!(module_path!(), "::short_ids_are_remembered_up_to_a_sum");
    let grown = growth_kib(test, || {
        let (_, mut town) = village_and_town();
        let requests = 3 * limits::WANTED_IDS / limits::SKETCH_ITEMS / RANGES as usize;
        for number in 1..=requests as u64 {
            let shorts = vec![[7; 8]; limits::SKETCH_ITEMS];
            let list = || Wanted::Shorts(Bounded(shorts.clone()));
            let first = u32::try_from(number).unwrap() * RANGES;
            let items = documents(first, RANGES).map(|prefix| (prefix, list())).collect();
            town.hear(&Message::Want { number, items: Prefixed(items) });
        }
        assert_eq!(town.closed, None);
        // The first is being read; everything is sent in the end, the last ones as whole ranges.
        let mut whole = 0;
        for _ in 0..requests * RANGES as usize {
            let number = town.asked_for(|request| matches!(request, StoreRequest::Read { .. }));
            let StoreRequest::Read { selection, .. } = &town.asked[&number] else { panic!() };
            whole += usize::from(matches!(selection, Selection::Prefix { .. }));
            let nothing = StoreReply::Read { changes: Vec::new(), rest: None, through_row: 0 };
            town.answer(number, nothing);
        }
        let by_ids = requests * RANGES as usize - whole;
        assert_eq!(by_ids, limits::WANTED_IDS / limits::SKETCH_ITEMS);
        let delivered = |message: &&Message| matches!(message, Message::Delivered { .. });
        assert_eq!(town.said.iter().filter(delivered).count(), requests);
    });
    assert!(grown < 32 << 10, "{} MiB", grown >> 10);
}

/// Shows that ranges are remembered up to their number, in bounded memory, and that who asks for more
/// is told and cut off.
#[test]
fn ranges_are_remembered_up_to_a_number() {
    let test = concat!(module_path!(), "::ranges_are_remembered_up_to_a_number");
    let grown = growth_kib(test, || {
        let (_, mut town) = village_and_town();
        let each = u32::try_from(limits::QUERY_PREFIXES).unwrap();
        for number in 0.. {
            let items = documents(number * each, each).map(|prefix| (prefix, Wanted::All));
            let items = Prefixed(items.collect());
            town.hear(&Message::Want { number: u64::from(number) + 1, items });
            if town.closed.is_some() {
                assert_eq!(number as usize, limits::WANTED / limits::QUERY_PREFIXES);
                break;
            }
        }
        assert_eq!(town.closed, Some(FaultCode::Flow));
    });
    assert!(grown < 64 << 10, "{} MiB", grown >> 10);
}

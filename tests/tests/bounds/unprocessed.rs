//! What waits for the store, and questions that wait for their answers.

use cunlian_protocol::limits;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Ask, Bounded, FaultCode, Message, Prefixed};
use cunlian_tests::measured::growth_kib;

use super::pair::{documents, village_and_town};

/// Shows that a peer which sends batches while the store takes none is not read any more when as many
/// bytes wait as may, and that the memory is that of these bytes.
#[test]
fn batches_wait_up_to_a_sum() {
    let test = concat!(module_path!(), "::batches_wait_up_to_a_sum");
    let grown = growth_kib(test, || {
        let (_, mut town) = village_and_town();
        let change = Carried { bytes: vec![7; limits::CHANGE_BYTES], reached: 0 };
        let mut bytes = 0;
        for batch in 1.. {
            if !town.session.wants_frames() {
                break;
            }
            let changes = [change.clone(), change.clone()];
            town.hear_frame(&wire::encode_batch(batch, &changes));
            bytes += wire::raw_bytes(&changes);
            assert_eq!(town.closed, None);
        }
        assert!(bytes >= limits::UNPROCESSED_BYTES);
        assert!(bytes <= limits::UNPROCESSED_BYTES + limits::BATCH_BYTES + limits::CHANGE_BYTES);
    });
    assert!(grown < 24 << 10, "{} MiB", grown >> 10);
}

/// Shows that more small batches than may be unacknowledged end the session, whatever the runtime
/// reads.
#[test]
fn unacknowledged_batches_are_counted() {
    let (_, mut town) = village_and_town();
    let change = Carried { bytes: vec![7; 10], reached: 0 };
    for batch in 1..=limits::IN_FLIGHT_BATCHES as u64 {
        town.hear_frame(&wire::encode_batch(batch, std::slice::from_ref(&change)));
    }
    assert_eq!(town.closed, None);
    let one_more = limits::IN_FLIGHT_BATCHES as u64 + 1;
    town.hear_frame(&wire::encode_batch(one_more, &[change]));
    assert_eq!(town.closed, Some(FaultCode::Flow));
}

/// Shows that a peer is not read while as many requests to the store are under way as may be.
#[test]
fn requests_to_the_store_are_counted() {
    let (_, mut town) = village_and_town();
    let list = || Message::Certificates(Bounded(vec![Bounded(vec![1; 10])]));
    let before = town.asked.len();
    for _ in before..limits::SESSION_REQUESTS {
        assert!(town.session.wants_frames());
        town.hear(&list());
    }
    assert!(!town.session.wants_frames());
    assert_eq!(town.asked.len(), limits::SESSION_REQUESTS);
}

/// Shows that questions which are not answered yet are remembered up to their number.
#[test]
fn questions_are_remembered_up_to_a_number() {
    let (_, mut town) = village_and_town();
    let most = u32::try_from(limits::QUERY_PREFIXES).unwrap();
    let ask = |from| {
        let items = documents(from, most).map(|prefix| (prefix, Ask::Shorts));
        Message::Query(Prefixed(items.collect()))
    };
    town.hear(&ask(0));
    assert_eq!(town.closed, None);
    town.hear(&ask(most));
    assert_eq!(town.closed, Some(FaultCode::Flow));
}

//! Lists of messages: each filled to its bound, within a frame, and refused with one item more.

use cunlian_protocol::blob::{BlobMessage, BlobName};
use cunlian_protocol::id::{BlobId, Signature};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::sketch::Symbol;
use cunlian_protocol::summary::Fingerprint;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{
    self, Ask, AskReply, Bounded, Hello, Message, Page, Prefixed, Wanted, WireError,
};
use cunlian_tests::measured::growth_kib;

use super::pair::documents;

/// A message with a list of so many items.
type Filled = Box<dyn Fn(usize) -> Message>;

fn prefixes<T: Clone>(count: usize, of_each: T) -> Vec<(KeyPrefix, T)> {
    let count = u32::try_from(count).unwrap();
    documents(0, count).map(|prefix| (prefix, of_each.clone())).collect()
}

fn hello(
    versions: usize,
    chain: (usize, usize),
    successions: (usize, usize),
    more: usize,
) -> Message {
    let certificates = vec![Bounded(vec![9; chain.1]); chain.0];
    Message::Hello(Hello {
        versions: Bounded(vec![1; versions]),
        chain: Bounded(certificates),
        clock_ms: i64::MIN,
        revocations: [0; 32],
        successions: Bounded(vec![Bounded(vec![9; successions.1]); successions.0]),
        lineage: [0; 16],
        renewing: false,
        software: Bounded(Vec::new()),
        more: Bounded(vec![1; more]),
        signature: Signature([0; 64]),
    })
}

fn answer(told: AskReply) -> Message {
    Message::Answer(Bounded(vec![(0, told)]))
}

fn key(number: usize) -> SetKey {
    let mut key = documents(u32::try_from(number).unwrap(), 1).next().unwrap().as_bytes().to_vec();
    key.extend([7; 32]);
    SetKey::from_bytes(&key).unwrap()
}

fn blob(number: usize) -> (KeyPrefix, BlobName) {
    let number = u32::try_from(number).unwrap();
    let name = BlobName { id: BlobId([7; 32]), bytes: limits::BLOB_BYTES };
    (documents(number, 1).next().unwrap(), name)
}

/// The lists of a hello, each with its bound.
fn lists_of_hello() -> Vec<(&'static str, usize, Filled)> {
    use cunlian_protocol::limits::{
        CERTIFICATE_BYTES, CHAIN_CERTIFICATES, HELLO_MORE_BYTES, SUCCESSION_BYTES, SUCCESSIONS,
        VERSIONS,
    };
    vec![
        ("VERSIONS", VERSIONS, Box::new(|n| hello(n, (1, 9), (0, 0), 0)) as Filled),
        ("CHAIN_CERTIFICATES", CHAIN_CERTIFICATES, Box::new(|n| hello(1, (n, 9), (0, 0), 0))),
        ("CERTIFICATE_BYTES", CERTIFICATE_BYTES, Box::new(|n| hello(1, (6, n), (0, 0), 0))),
        ("SUCCESSIONS", SUCCESSIONS, Box::new(|n| hello(1, (1, 9), (n, 2_048), 0))),
        ("SUCCESSION_BYTES", SUCCESSION_BYTES, Box::new(|n| hello(1, (1, 9), (16, n), 0))),
        ("HELLO_MORE_BYTES", HELLO_MORE_BYTES, Box::new(|n| hello(1, (1, 9), (0, 0), n))),
    ]
}

/// The lists of other messages.
fn lists() -> Vec<(&'static str, usize, Filled)> {
    use cunlian_protocol::limits::{
        FRAME_CERTIFICATES, HELD_KEYS, LIST_IDS, PAGE_SUMMARIES, QUERY_PREFIXES, REASON_BYTES,
        REVOCATION_BYTES, SKETCH_ITEMS, SKETCH_SYMBOLS,
    };
    let certificates =
        |count, bytes| Message::Certificates(Bounded(vec![Bounded(vec![9; bytes]); count]));
    let fingerprint = Fingerprint { count: u64::MAX, sum: [9; 16] };
    let symbol = Symbol { sum: [9; 8], check: [9; 4], count: i64::MIN };
    let page = move |n| Page { items: Prefixed(prefixes(n, fingerprint)), more: true };
    vec![
        (
            "FRAME_CERTIFICATES",
            FRAME_CERTIFICATES,
            Box::new(move |n| certificates(n, 4_096)) as Filled,
        ),
        (
            "REVOCATION_BYTES",
            REVOCATION_BYTES,
            Box::new(|n| Message::Revocations(Bounded(vec![Bounded(vec![9; n]); 2]))),
        ),
        ("LIST_IDS", LIST_IDS, Box::new(|n| Message::KnownRevocations(Bounded(vec![[9; 8]; n])))),
        (
            "HELD_KEYS",
            HELD_KEYS,
            Box::new(|n| Message::Held(Bounded((0..n).map(|number| (key(number), 7)).collect()))),
        ),
        (
            "QUERY_PREFIXES",
            QUERY_PREFIXES,
            Box::new(|n| {
                Message::Query(Prefixed(prefixes(n, Ask::Symbols { from: 0, to: u32::MAX })))
            }),
        ),
        ("PAGE_SUMMARIES", PAGE_SUMMARIES, Box::new(move |n| Message::Tops(page(n)))),
        (
            "SKETCH_ITEMS",
            SKETCH_ITEMS,
            Box::new(|n| {
                let list = Wanted::Shorts(Bounded(vec![[9; 8]; n]));
                Message::Want { number: 1, items: Prefixed(prefixes(1, list)) }
            }),
        ),
        (
            "SKETCH_ITEMS",
            SKETCH_ITEMS,
            Box::new(|n| answer(AskReply::Shorts(Bounded(vec![[9; 8]; n])))),
        ),
        (
            "SKETCH_SYMBOLS",
            SKETCH_SYMBOLS,
            Box::new(move |n| {
                answer(AskReply::Symbols { items: u32::MAX, symbols: Bounded(vec![symbol; n]) })
            }),
        ),
        (
            "REASON_BYTES",
            REASON_BYTES,
            Box::new(|n| Message::NotIssued { reason: Bounded(vec![9; n]) }),
        ),
    ]
}

/// Those of messages about blobs.
fn lists_of_blobs() -> Vec<(&'static str, usize, Filled)> {
    use cunlian_protocol::limits::{BLOB_CHUNK_BYTES, BLOB_CHUNKS, BLOB_NAMES};
    let names = |n: usize| (0..n).map(blob).collect::<Vec<_>>();
    let filled: Vec<(&'static str, usize, Filled)> = vec![
        (
            "BLOB_NAMES",
            BLOB_NAMES,
            Box::new(move |n| Message::Blob(BlobMessage::AskHeld(Bounded(names(n))))),
        ),
        (
            "BLOB_CHUNKS",
            BLOB_CHUNKS,
            Box::new(|n| Message::Blob(BlobMessage::Outline { values: Bounded(vec![[9; 32]; n]) })),
        ),
        (
            "BLOB_CHUNK_BYTES",
            BLOB_CHUNK_BYTES as usize,
            Box::new(|n| Message::Blob(BlobMessage::Part { bytes: Bounded(vec![9; n]) })),
        ),
    ];
    filled
}

/// Every list that a peer may fill, with its bound.
fn all() -> impl Iterator<Item = (&'static str, usize, Filled)> {
    lists_of_hello().into_iter().chain(lists()).chain(lists_of_blobs())
}

fn decode(message: &Message) -> Result<wire::Frame, WireError> {
    wire::decode(&[vec![1], postcard::to_allocvec(message).unwrap()].concat())
}

/// Shows of every list that it may be filled to its bound in one frame, that it is refused beyond it,
/// and that a full frame takes little memory to decode.
#[test]
fn every_list_ends_at_its_bound() {
    let test = concat!(module_path!(), "::every_list_ends_at_its_bound");
    let grown = growth_kib(test, || {
        for (name, bound, fill) in all() {
            let full = fill(bound);
            assert!(wire::encode(&full).len() <= limits::FRAME_BYTES + 4, "{name}");
            assert_eq!(decode(&full), Ok(wire::Frame::Message(full)), "{name}");
            assert_eq!(decode(&fill(bound + 1)), Err(WireError::Malformed), "{name}");
        }
    });
    assert!(grown < 32 << 10, "{} MiB", grown >> 10);
}

/// Shows that a frame, a batch and the changes in it are measured before they are unpacked: by their
/// number and by their bytes, whatever they compress to.
#[test]
fn batches_end_at_their_bounds() {
    assert!(wire::frame_length([0, 0x10, 0, 0]).is_ok());
    assert!(wire::frame_length([0, 0x10, 0, 1]).is_err());
    let batch = |count: usize, bytes: usize| {
        let changes = vec![Carried { bytes: vec![0; bytes], reached: 0 }; count];
        let frame = wire::encode_batch(1, &changes);
        wire::decode(&frame[4..]).is_ok()
    };
    assert!(batch(limits::BATCH_CHANGES, 10));
    assert!(!batch(limits::BATCH_CHANGES + 1, 10));
    let most = (limits::BATCH_BYTES + limits::CHANGE_BYTES) / 4 - 5;
    assert!(batch(4, most));
    assert!(!batch(4, most + 1));
    // A change of its own is measured again when it is read.
    let long = vec![0; limits::CHANGE_BYTES + 1];
    assert!(cunlian_protocol::change::SignedChange::decode(long).is_err());
}

/// Shows that questions about who holds what, their answers, and the ids in one answer end at their
/// bounds, each filled within a frame.
#[test]
fn questions_and_answers_end_at_their_bounds() {
    use cunlian_protocol::durability::{Answer, Open, Question, Questions};
    let ask = |count| {
        let list = Bounded((0..count).map(|number| Question::Change(key(number))).collect());
        Message::AskHeld(Questions { tiers: 7, list })
    };
    let answers = |count: usize, ids: usize| {
        let ids = Bounded(vec![cunlian_protocol::id::ChangeId([7; 32]); ids]);
        let open = Bounded(vec![Open { tier: 1, waiting: u64::MAX, ids }]);
        let same = Answer::Same { held: 7, in_parts: 0, open };
        let with_ids = limits::ANSWER_IDS / limits::HELD_IDS;
        let mut answers = vec![same; count.min(with_ids)];
        answers.resize(count, Answer::Differs);
        Message::Holding { answers: Bounded(answers), receipt: Bounded(vec![7; 512]) }
    };
    let full = [ask(limits::HELD_QUESTIONS), answers(limits::HELD_QUESTIONS, limits::HELD_IDS)];
    for message in full {
        assert!(wire::encode(&message).len() <= limits::FRAME_BYTES + 4);
        assert!(decode(&message).is_ok());
    }
    let beyond = [
        ask(limits::HELD_QUESTIONS + 1),
        answers(limits::HELD_QUESTIONS + 1, 1),
        answers(1, limits::HELD_IDS + 1),
    ];
    for message in beyond {
        assert_eq!(decode(&message), Err(WireError::Malformed));
    }
}

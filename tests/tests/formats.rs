//! Public formats, pinned by committed bytes in `tests/data/golden`: what is written today must be
//! what was written then, and what was written then must still be read.
//!
//! A format changes only with a new version beside the old one. To add a format, write its file by
//! running the test with `CUNLIAN_WRITE_GOLDEN=1`; an existing file is never overwritten.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;

use cunlian_node::keystore::{hex, unhex};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{Authority, RevocationBody};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::{Header, Home, SignedChange, VERSION};
use cunlian_protocol::id::{ChangeId, DocumentId, Serial, Signature};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::receipt::Receipt;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{Context, SigningKey, public_key, verify_all};
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, Frame, Hello, Message, Node, Page, Wanted};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/golden").join(format!("{name}.hex"))
}

/// The committed bytes of a format; written only if there are none and it is asked for.
fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    let path = path(name);
    if !path.exists() && std::env::var_os("CUNLIAN_WRITE_GOLDEN").is_some() {
        fs::write(&path, hex(made) + "\n").unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    unhex(text.trim()).unwrap()
}

/// What is made now is what was committed.
fn assert_pinned(name: &str, made: &[u8]) -> Vec<u8> {
    let committed = golden(name, made);
    assert_eq!(hex(made), hex(&committed), "{name} is written differently than it was");
    committed
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn home() -> Home {
    Home {
        category: Category::TICKET,
        address: AddressCode::parse("370322102310001").unwrap(),
        document: DocumentId([0xd0; 16]),
    }
}

fn county() -> CertificateBody {
    let grant = |depth, categories, rights, delegable| Grant {
        region: Region { prefix: AddressCode::parse("370322").unwrap(), depth },
        document: None,
        categories,
        rights,
        delegable,
    };
    CertificateBody {
        subject: public_key(&key(2)),
        name: "高青县".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::County,
        grants: vec![
            grant(Depth::Subtree, CategorySet::all(), Rights::ALL, Rights::ALL),
            grant(
                Depth::Exact,
                CategorySet::range(Category::LIBRARY_FIRST, Category::LIBRARY_LAST),
                Rights::NONE,
                Rights::READ.with(Rights::WRITE),
            ),
        ],
        issued_at_ms: 1_780_000_000_000,
        not_after_ms: 1_880_000_000_000,
        issuer: None,
    }
}

/// Shows that a certificate and a revocation are written and read as they were.
#[test]
fn certificate_and_revocation() {
    let made = Certificate::issue(&county(), &key(1));
    let committed = assert_pinned("certificate-1", &made);
    let mut authority = Authority::new(public_key(&key(1)));
    let serial = authority.insert(&committed).unwrap();
    assert_eq!(authority.get(&serial).unwrap().body(), &county());
    let body =
        RevocationBody { serial, through_seq: 7, reason: "设备被盗".to_owned(), issuer: None };
    let committed = assert_pinned("revocation-1", &body.sign(&key(1)));
    assert!(authority.revoke(&committed).unwrap());
    assert_eq!(authority.revocation(&serial), Some(&body));
}

/// Shows that a signed change is written and read as it was, its id and signature included.
#[test]
fn signed_change() {
    let header = Header {
        version: VERSION,
        kind: cunlian_protocol::change::ChangeKind::EDIT,
        home: home(),
        author: Serial([0xa0; 16]),
        session: 0x0102_0304_0506_0708,
        seq: 9,
        recorded_at_ms: 1_790_000_000_123,
    };
    let made = SignedChange::sign(&header, b"an Automerge change", &key(3)).unwrap();
    let committed = assert_pinned("change-1", made.bytes());
    let read = SignedChange::decode(committed).unwrap();
    assert_eq!((read.header(), read.id()), (&header, made.id()));
    let claim = read.claim(public_key(&key(3)));
    assert_eq!(verify_all(Context::Change, &[claim]), [true]);
    assert_pinned("actor-1", &header.actor());
    assert_pinned("document-part-1", &home().document.part(Category::library(0, 1)).0);
}

/// Shows that keys, summaries and receipts are written and read as they were.
#[test]
fn key_summary_receipt() {
    let set_key = SetKey { home: home(), change: ChangeId([0xc0; 32]) };
    let committed = assert_pinned("set-key-1", &set_key.to_bytes());
    assert_eq!(SetKey::from_bytes(&committed), Ok(set_key.clone()));
    let mut summary = Summary::default();
    summary.add(&ChangeId([0xff; 32]));
    summary.add(&set_key.change);
    let committed = assert_pinned("summary-1", &summary.to_bytes());
    assert_eq!(Summary::from_bytes(&committed), Some(summary));
    let receipt = Receipt::new(Serial([5; 16]), 1_790_000_000_000, [set_key.change].iter());
    let committed = assert_pinned("receipt-1", &receipt.sign(&key(4)));
    assert_eq!(Receipt::verify(&committed, &public_key(&key(4))), Some(receipt));
}

/// Shows that every message of the wire is written and read as it was.
#[test]
fn messages() {
    let hello = Hello {
        versions: Bounded(vec![1]),
        chain: Bounded(vec![Bounded(vec![1, 2, 3])]),
        clock_ms: 1_790_000_000_000,
        revocations: [7; 32],
        software: wire::bounded_text("cunlian 0.1.0"),
        signature: Signature([8; 64]),
    };
    let prefix = KeyPrefix::region(
        Category::TICKET,
        &Region { prefix: home().address, depth: Depth::Subtree },
    );
    let summary = Summary { count: 2, sum: [1, 2, 3, u64::MAX] };
    let page = Page { items: Bounded(vec![(prefix.clone(), summary)]), more: true };
    let set_key = SetKey { home: home(), change: ChangeId([9; 32]) };
    let ids = Bounded(vec![ChangeId([1; 32]), ChangeId([2; 32])]);
    let answer = vec![
        (prefix.clone(), Node::Children(page.clone())),
        (prefix.clone(), Node::Ids(ids.clone())),
    ];
    let messages = [
        ("hello", Message::Hello(hello.clone())),
        ("welcome", Message::Welcome(hello)),
        ("goodbye", Message::Goodbye { code: 9, reason: wire::bounded_text("out of scope") }),
        ("root", Message::Root { digest: [3; 32] }),
        ("equal", Message::Equal),
        ("tops", Message::Tops(page)),
        ("query", Message::Query(Bounded(vec![(prefix.clone(), true)]))),
        ("answer", Message::Answer(Bounded(answer))),
        (
            "want",
            Message::Want { number: 1, items: Bounded(vec![Wanted { prefix, ids: Some(ids) }]) },
        ),
        ("delivered", Message::Delivered { number: 1 }),
        ("announce", Message::Announce { changes: 300, bytes: 120_000 }),
        ("certificates", Message::Certificates(Bounded(vec![Bounded(vec![1])]))),
        ("revocations", Message::Revocations(Bounded(vec![Bounded(vec![2])]))),
        (
            "ack",
            Message::Ack {
                batch: 4,
                refused: Bounded(vec![(1, wire::bounded_text("no right"))]),
                receipt: Bounded(vec![6; 8]),
            },
        ),
        ("ask-held", Message::AskHeld(Bounded(vec![set_key.clone()]))),
        ("held", Message::Held(Bounded(vec![(set_key, 5)]))),
    ];
    for (name, message) in messages {
        let committed = assert_pinned(&format!("message-1-{name}"), &wire::encode(&message));
        let (length, frame) = committed.split_first_chunk().unwrap();
        assert_eq!(wire::frame_length(*length), Ok(frame.len()));
        assert_eq!(wire::decode(frame), Ok(Frame::Message(message)), "{name}");
    }
}

/// Shows that a batch written then is still read. What is written now may be compressed better, so
/// the other direction is a round trip.
#[test]
fn batch() {
    let changes = vec![
        Carried { bytes: b"first change".to_vec(), reached: 0 },
        Carried { bytes: b"second change, a little longer".to_vec(), reached: 0b11 },
    ];
    let made = wire::encode_batch(5, &changes);
    for frame in [golden("batch-1", &made), made] {
        let expected = Frame::Batch { batch: 5, changes: changes.clone() };
        assert_eq!(wire::decode(frame.get(4..).unwrap()), Ok(expected));
    }
}

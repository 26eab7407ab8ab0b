//! Public formats, pinned by committed bytes in `tests/data/golden`: what is written today must be
//! what was written then, and what was written then must still be read.
//!
//! A format changes only with a new version beside the old one. To add a format, write its file by
//! running the test with `CUNLIAN_WRITE_GOLDEN=1`; an existing file is never overwritten.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;

use cunlian_host::keystore::{hex, unhex};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::blob::{BlobMessage, BlobName, BlobReference, Outline};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION};
use cunlian_protocol::durability::{Answer, Attestation, Open, Question, Questions};
use cunlian_protocol::enrolment::{
    self, InvitationId, JoinReply, JoinRequest, RefusalCode, Secret, Token,
};
use cunlian_protocol::id::{BlobId, ChangeId, DocumentId, Serial, Signature};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::receipt::Receipt;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::{Context, SigningKey, public_key, verify_all};
use cunlian_protocol::sketch::Symbol;
use cunlian_protocol::succession::{Succession, SuccessionBody};
use cunlian_protocol::summary::{Fingerprint, Summary};
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{
    self, Ask, AskReply, Bounded, Frame, Hello, Message, Page, Prefixed, Wanted,
};

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
    let body = RevocationBody {
        own: Standing { serial, through_seq: 7, tags: vec![[0; 8], [0x77; 8]] },
        successor: Some(Serial([0xcc; 16])),
        descendants: vec![
            Standing::all(Serial([0xaa; 16])),
            Standing { serial: Serial([0xbb; 16]), through_seq: 3, tags: vec![[0x33; 8]] },
        ],
        reason: "设备被盗".to_owned(),
        issuer: None,
    };
    let committed = assert_pinned("revocation-1", &body.sign(&key(1)));
    assert!(authority.revoke(&committed).unwrap());
    assert_eq!(authority.revocation(&serial).unwrap().body(), &body);
}

/// Shows that a succession of keys and a request for a new certificate are written and read as they
/// were.
#[test]
fn succession_and_renewal() {
    let body = SuccessionBody {
        old: public_key(&key(1)),
        new: public_key(&key(6)),
        stands: vec![Serial([0xaa; 16]), Serial([0xbb; 16])],
    };
    let committed = assert_pinned("succession-1", &body.sign(&key(1), &key(6)));
    assert_eq!(Succession::verify(&committed).unwrap().body(), &body);
    let committed = assert_pinned("renewal-1", &Renewal::sign(Serial([0xaa; 16]), &key(7)));
    let expected = Renewal { previous: Serial([0xaa; 16]), subject: public_key(&key(7)) };
    assert_eq!(Renewal::verify(&committed), Some(expected));
}

/// Shows that an invitation on paper and the exchange that redeems it are written and read as they
/// were.
#[test]
fn enrolment_exchange() {
    let token = Token {
        invitation: InvitationId([1; 8]),
        secret: Secret([2; 16]),
        root: public_key(&key(1)),
        parent: public_key(&key(2)),
        expires_at_ms: 1_790_259_200_000,
        addresses: vec!["192.0.2.1:7320".to_owned(), "镇政府.example:7320".to_owned()],
    };
    let committed = assert_pinned("token-1", token.to_string().as_bytes());
    assert_eq!(String::from_utf8(committed).unwrap().parse(), Ok(token.clone()));
    let channel = Channel { exporter: [5; 32], peer_key: public_key(&key(8)) };
    let request = JoinRequest::new(&key(8), &token, &channel, 1_790_000_000_000, "cunlian 0.1.0");
    let committed = assert_pinned("join-request-1", &enrolment::encode(&request));
    let read: JoinRequest = enrolment::decode(committed.get(4..).unwrap()).unwrap();
    assert_eq!(read, request);
    assert_eq!(read.verify(&channel), Ok(()));
    let chain = Bounded(vec![Bounded(vec![1, 2, 3])]);
    let refused = JoinReply::Refused {
        code: RefusalCode::Used as u16,
        words: wire::bounded_text("已使用"),
    };
    let issued = JoinReply::Issued {
        chain,
        successions: Bounded(vec![Bounded(vec![4, 5])]),
        clock_ms: 1_790_000_000_000,
    };
    for (name, reply) in [("join-issued-1", issued), ("join-refused-1", refused)] {
        let committed = assert_pinned(name, &enrolment::encode(&reply));
        assert_eq!(enrolment::decode(committed.get(4..).unwrap()), Ok(reply), "{name}");
    }
}

fn header() -> Header {
    Header {
        version: VERSION,
        kind: ChangeKind::EDIT,
        home: home(),
        author: Serial([0xa0; 16]),
        session: 0x0102_0304_0506_0708,
        seq: 9,
        recorded_at_ms: 1_790_000_000_123,
    }
}

/// Shows that a signed change is written and read as it was, its id and signature included; and so
/// is what remains of it when its document is erased.
#[test]
fn signed_change() {
    let header = header();
    let made = SignedChange::sign(&header, b"an Automerge change", &key(3)).unwrap();
    let committed = assert_pinned("change-1", made.bytes());
    let read = SignedChange::decode(committed.clone()).unwrap();
    assert_eq!((read.header(), read.id()), (&header, made.id()));
    let claim = read.claim(public_key(&key(3)));
    assert_eq!(verify_all(Context::Change, &[claim]), [true]);
    let stub = SignedChange::from_log(committed).unwrap().stub();
    let committed = assert_pinned("stub-1", stub.bytes());
    let read = SignedChange::decode(committed).unwrap();
    assert!(read.is_stub());
    assert_eq!((read.header(), read.id()), (&header, made.id()));
    let claim = read.claim(public_key(&key(3)));
    assert_eq!(verify_all(Context::Change, &[claim]), [true], "a stub proves its author");
    assert_pinned("actor-1", &header.actor());
    assert_pinned("document-part-1", &home().document.part(Category::library(0, 1)).0);
}

/// Shows that an erasure is written and read as it was, with its reason.
#[test]
fn erasure() {
    let header = Header { kind: ChangeKind::ERASE, seq: 10, ..header() };
    let made = SignedChange::sign(&header, "本人要求".as_bytes(), &key(3)).unwrap();
    let committed = assert_pinned("erasure-1", made.bytes());
    let read = SignedChange::from_log(committed).unwrap();
    assert_eq!((read.header(), read.id()), (&header, made.id()));
    assert_eq!(read.erasure().as_deref(), Some("本人要求"));
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

fn questions(key: &SetKey) -> Questions {
    let prefix = KeyPrefix::document(&key.home);
    let mut summary = Summary::default();
    summary.add(&key.change);
    let list = vec![Question::Range { prefix, summary }, Question::Change(key.clone())];
    Questions { tiers: 6, list: Bounded(list) }
}

fn durability_messages(key: SetKey) -> [(&'static str, Message); 4] {
    [
        ("ask-held", Message::AskHeld(questions(&key))),
        ("held", Message::Held(Bounded(vec![(key, 5)]))),
        ("holding", Message::Holding { answers: Bounded(answers()), receipt: Bounded(vec![9; 8]) }),
        ("ask-again", Message::AskAgain),
    ]
}

fn answers() -> Vec<Answer> {
    let open = Open { tier: 2, waiting: 1, ids: Bounded(vec![ChangeId([0xc0; 32])]) };
    vec![
        Answer::Same { held: 12, in_parts: 1, open: Bounded(vec![open]) },
        Answer::Change { held: 8 },
        Answer::Differs,
    ]
}

/// Shows that the signed word about who holds what is written and read as it was, and that it
/// counts what its holder holds itself.
#[test]
fn attestation() {
    let key_of_one = SetKey { home: home(), change: ChangeId([0xc0; 32]) };
    let holder = (Serial([5; 16]), 8);
    let at_ms = 1_790_000_000_000;
    let made = Attestation::new(holder, at_ms, &questions(&key_of_one), &answers());
    assert_eq!(made.count, 2);
    let committed = assert_pinned("attestation-1", &made.sign(&key(4)));
    assert_eq!(Attestation::verify(&committed, &public_key(&key(4))), Some(made));
    assert_eq!(Attestation::verify(&committed, &public_key(&key(5))), None);
}

/// Shows that every message of the wire is written and read as it was.
#[test]
fn messages() {
    let hello = Hello {
        versions: Bounded(vec![1]),
        chain: Bounded(vec![Bounded(vec![1, 2, 3])]),
        clock_ms: 1_790_000_000_000,
        revocations: [7; 32],
        successions: Bounded(vec![Bounded(vec![4, 5])]),
        lineage: [6; 16],
        renewing: true,
        software: wire::bounded_text("cunlian 0.1.0"),
        more: Bounded(vec![9, 9]),
        signature: Signature([8; 64]),
    };
    let prefix = KeyPrefix::region(
        Category::TICKET,
        &Region { prefix: home().address, depth: Depth::Subtree },
    );
    let fingerprint = Fingerprint { count: 2, sum: [4; 16] };
    let page = Page { items: Prefixed(vec![(prefix.clone(), fingerprint)]), more: true };
    let set_key = SetKey { home: home(), change: ChangeId([9; 32]) };
    let shorts = Bounded(vec![[1; 8], [2; 8]]);
    let symbol = Symbol { sum: [1; 8], check: [2; 4], count: -3 };
    let answer = vec![
        (0, AskReply::Frontier(page.clone())),
        (1, AskReply::Symbols { items: 9, symbols: Bounded(vec![symbol]) }),
        (2, AskReply::Shorts(shorts.clone())),
        (3, AskReply::TooMany),
    ];
    let deeper = KeyPrefix::document(&home());
    let query =
        vec![(prefix.clone(), Ask::Frontier), (deeper.clone(), Ask::Symbols { from: 7, to: 14 })];
    let want = vec![(prefix.clone(), Wanted::Shorts(shorts)), (deeper, Wanted::All)];
    let messages = [
        ("hello", Message::Hello(hello.clone())),
        ("welcome", Message::Welcome(hello)),
        ("goodbye", Message::Goodbye { code: 9, reason: wire::bounded_text("out of scope") }),
        ("root", Message::Root { number: 1, digest: [3; 32] }),
        ("equal", Message::Equal),
        ("tops", Message::Tops(page)),
        ("query", Message::Query(Prefixed(query))),
        ("answer", Message::Answer(Bounded(answer))),
        ("want", Message::Want { number: 1, items: Prefixed(want) }),
        ("delivered", Message::Delivered { number: 1 }),
        ("announce", Message::Announce { changes: 300, bytes: 120_000 }),
        ("certificates", Message::Certificates(Bounded(vec![Bounded(vec![1])]))),
        ("revocations", Message::Revocations(Bounded(vec![Bounded(vec![2])]))),
        (
            "ack",
            Message::Ack {
                batch: 4,
                refused: Bounded(vec![(1, wire::bounded_text("no right"))]),
                postponed: Bounded(vec![2]),
                until: wire::bounded_text("too much"),
                receipt: Bounded(vec![6; 8]),
            },
        ),
        ("known-revocations", Message::KnownRevocations(Bounded(vec![[1; 8], [2; 8]]))),
        ("renew", Message::Renew { request: Bounded(vec![3; 8]) }),
        ("issued", Message::Issued(Bounded(vec![Bounded(vec![1, 2, 3])]))),
        ("not-issued", Message::NotIssued { reason: wire::bounded_text("no") }),
        ("speaks", Message::Speaks(Bounded(vec![2, 1]))),
        ("remark", Message::Remark(wire::bounded_text("update soon"))),
    ];
    for (name, message) in messages.into_iter().chain(durability_messages(set_key)) {
        let committed = assert_pinned(&format!("message-1-{name}"), &wire::encode(&message));
        let (length, frame) = committed.split_first_chunk().unwrap();
        assert_eq!(wire::frame_length(*length), Ok(frame.len()));
        assert_eq!(wire::decode(frame), Ok(Frame::Message(message)), "{name}");
    }
}

/// Shows that a blob is named by the same text, and has the same outline, as it had.
#[test]
fn blob_name_and_outline() {
    let content: Vec<u8> = (0_u32..40_000).flat_map(u32::to_le_bytes).collect();
    let reference = BlobReference::of(&content, "image/jpeg").unwrap();
    let committed = assert_pinned("blob-reference-1", reference.to_string().as_bytes());
    assert_eq!(String::from_utf8(committed).unwrap().parse(), Ok(reference.clone()));
    let outline = Outline::of(&content).unwrap();
    let committed = assert_pinned("blob-outline-1", outline.values().as_flattened());
    let values = committed.as_chunks().0.to_vec();
    assert_eq!(Outline::check(reference.name, values), Ok(outline));
}

/// Shows that every message about blobs is written and read as it was.
#[test]
fn blob_messages() {
    let document = KeyPrefix::document(&home());
    let blob = BlobName { id: BlobId([7; 32]), bytes: 200_000 };
    let messages = [
        ("want-outline", BlobMessage::WantOutline { document: document.clone(), blob }),
        (
            "want",
            BlobMessage::Want { document: document.clone(), blob, from: 65_536, length: 16_384 },
        ),
        ("outline", BlobMessage::Outline { values: Bounded(vec![[1; 32], [2; 32]]) }),
        ("part", BlobMessage::Part { bytes: Bounded(vec![3; 8]) }),
        ("none", BlobMessage::None),
        ("ask-held", BlobMessage::AskHeld(Bounded(vec![(document, blob)]))),
        ("held", BlobMessage::Held(Bounded(vec![(blob, 0b11)]))),
        (
            "postponed",
            BlobMessage::Postponed {
                over_bytes: 300_000,
                begun: true,
                why: wire::bounded_text("no room"),
            },
        ),
        ("all-wanted", BlobMessage::AllWanted),
    ];
    for (name, message) in messages {
        let message = Message::Blob(message);
        let committed = assert_pinned(&format!("blob-message-1-{name}"), &wire::encode(&message));
        let (_, frame) = committed.split_first_chunk::<4>().unwrap();
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

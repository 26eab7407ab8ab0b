//! What attackers make: changes, certificates, revocations, none of which an honest program writes.

use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION, actor};
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::sync::Carried;
use cunlian_tests::hostile::Stolen;
use cunlian_tests::siege::Target;
use cunlian_tests::unfolding::Puts;

/// A document of this number in the stolen village of a machine.
pub(super) fn home(target: &Target, machine: u16, category: Category, number: u64) -> Home {
    let mut document = [0x5a; DocumentId::LENGTH];
    document[..8].copy_from_slice(&number.to_be_bytes());
    let address = target.stolen_village(machine).region;
    Home { category, address, document: DocumentId(document) }
}

/// What a change holds.
#[derive(Clone, Copy)]
pub(super) struct Holds {
    pub(super) puts: u64,
    pub(super) predecessors: u64,
    pub(super) text_bytes: usize,
}

/// A change of about so many bytes that holds as much as it may.
pub(super) fn densest(
    by: &Stolen,
    home: Home,
    number: (u64, u64),
    bytes: usize,
    recorded_at_ms: i64,
) -> Carried {
    let carried = (bytes / limits::OPERATION_BYTES) as u64;
    let puts = limits::FREE_OPERATIONS as u64 + carried;
    let predecessors = limits::FREE_PREDECESSORS as u64 + carried;
    let least = Holds { puts, predecessors, text_bytes: 0 };
    let least_bytes = change(by, home, number, least, recorded_at_ms).bytes.len();
    let holds = Holds { text_bytes: bytes.saturating_sub(least_bytes), ..least };
    change(by, home, number, holds, recorded_at_ms)
}

/// A change of a session of its own, with this number, made at this time.
pub(super) fn change(
    by: &Stolen,
    home: Home,
    (session, seq): (u64, u64),
    holds: Holds,
    recorded_at_ms: i64,
) -> Carried {
    let author = by.certificate.serial();
    let actor = actor(&author, session);
    let Holds { puts, predecessors, text_bytes } = holds;
    let (field, text) = ("note".to_owned(), "x".repeat(text_bytes));
    let payload = Puts { actor, field, puts, predecessors, text }.to_bytes();
    signed(by, home, (session, seq), &payload, recorded_at_ms)
}

/// A change with any payload.
pub(super) fn signed(
    by: &Stolen,
    home: Home,
    (session, seq): (u64, u64),
    payload: &[u8],
    recorded_at_ms: i64,
) -> Carried {
    let (version, kind, author) = (VERSION, ChangeKind::EDIT, by.certificate.serial());
    let header = Header { version, kind, home, author, session, seq, recorded_at_ms };
    let signed = SignedChange::sign(&header, payload, &by.hostile.key).unwrap();
    Carried { bytes: signed.bytes().to_vec(), reached: 0 }
}

/// A certificate below one of this serial and key, as large as they are.
pub(super) fn certificate(
    (issuer, by): (Serial, &SigningKey),
    like: &CertificateBody,
    subject: &SigningKey,
    number: usize,
) -> Vec<u8> {
    let grants = like.grants.iter().cycle().take(limits::CERTIFICATE_GRANTS).cloned().collect();
    let body = CertificateBody {
        subject: public_key(subject),
        name: "名".repeat(limits::NAME_BYTES / 3),
        kind: if number.is_multiple_of(2) { AuthorKind::Node } else { AuthorKind::Operator },
        tier: Tier::Grid,
        grants,
        issued_at_ms: i64::try_from(number).unwrap(),
        issuer: Some(issuer),
        ..like.clone()
    };
    Certificate::issue(&body, by)
}

/// A revocation of about so many bytes, which differs from others by its number.
pub(super) fn revocation(
    (issuer, by): (Serial, &SigningKey),
    revoked: Serial,
    number: u64,
    bytes: usize,
) -> Vec<u8> {
    let listed = (0..bytes / 40).map(|at| {
        let mut serial = [0; 16];
        serial[..8].copy_from_slice(&(at as u64).to_be_bytes());
        Standing { serial: Serial(serial), through_seq: u64::MAX, tags: Vec::new() }
    });
    let body = RevocationBody {
        own: Standing { serial: revoked, through_seq: number, tags: Vec::new() },
        successor: None,
        descendants: listed.collect(),
        reason: "撤".to_owned(),
        issuer: Some(issuer),
    };
    body.sign(by)
}

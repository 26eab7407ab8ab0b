//! Who is invited, and what becomes of an invitation when machines ask.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cunlian_crdt::store::Suspension;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody};
use cunlian_protocol::enrolment::{JoinRequest, RefusalCode};
use cunlian_protocol::id::{Serial, Signature};
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::signing::SigningKey;
use cunlian_protocol::wire::bounded_text;
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::keystore::NODE_KEY;
use crate::preset;

const NOW_MS: i64 = 1_795_000_000_000;
const YEAR_MS: i64 = 365 * 86_400_000;

struct Parent {
    administration: Administration,
    now_ms: Arc<AtomicI64>,
    _dir: TempDir,
}

/// The town 高城镇, without a county above it, at a time the test moves.
fn parent() -> Parent {
    let dir = tempfile::tempdir().unwrap();
    make_member(dir.path());
    let now_ms = Arc::new(AtomicI64::new(NOW_MS));
    let clock = Arc::clone(&now_ms);
    let mut administration = Administration::open(dir.path()).unwrap();
    administration.now_ms = Arc::new(move || clock.load(Ordering::Relaxed));
    Parent { administration, now_ms, _dir: dir }
}

fn make_member(dir: &Path) {
    let keystore = Keystore::new(dir);
    let key = keystore.create_key(NODE_KEY, &mut rand::rng()).unwrap();
    let root = SigningKey::from_bytes(&[1; 32]);
    let body = CertificateBody {
        subject: public_key(&key),
        name: "高城镇".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::Town,
        grants: preset::grants(Tier::Town, region("370322102")),
        issued_at_ms: NOW_MS - YEAR_MS,
        not_after_ms: NOW_MS + YEAR_MS,
        issuer: None,
    };
    let chain = [Certificate::issue(&body, &root)];
    keystore.set_chain(&public_key(&root), &chain).unwrap();
    let listen = "192.0.2.7:7320".parse().unwrap();
    Config { listen, ..Config::default() }.save(dir).unwrap();
}

fn region(code: &str) -> AddressCode {
    AddressCode::parse(code).unwrap()
}

fn wish(code: &str) -> InvitationRequest {
    InvitationRequest {
        name: Some("苑兴村".to_owned()),
        ..InvitationRequest::new(Tier::Village, region(code))
    }
}

fn request(token: &Token, machine: u8) -> JoinRequest {
    JoinRequest {
        invitation: token.invitation,
        secret: token.secret.clone(),
        subject: public_key(&SigningKey::from_bytes(&[machine; 32])),
        clock_ms: 0,
        software: bounded_text("test"),
        signature: Signature([0; 64]),
    }
}

impl Parent {
    fn invite(&self) -> Token {
        let invited = self.administration.invite(&wish("370322102310")).unwrap();
        invited.token.parse().unwrap()
    }

    fn refusal(&self, request: &JoinRequest) -> RefusalCode {
        self.administration.redeem(request).unwrap_err().code
    }

    fn state(&self) -> State {
        self.administration.invitations().unwrap()[0].state
    }
}

/// Shows that the token says where and who the parent is, and that the certificate is for the
/// invited place, known to the parent's store, and never valid beyond the parent's own.
#[test]
fn an_invitation_becomes_a_certificate_the_parent_knows() {
    let parent = parent();
    let token = parent.invite();
    assert_eq!(token.addresses, ["192.0.2.7:7320"]);
    assert_eq!(token.expires_at_ms, NOW_MS + VALID_MS);
    let redeemed = parent.administration.redeem(&request(&token, 5)).unwrap();
    assert!(!redeemed.again);
    let authority = parent.administration.store.authority();
    let certificate = authority.verify_chain(&redeemed.chain).unwrap();
    assert!(authority.get(&certificate.serial()).is_some());
    let body = certificate.body();
    assert_eq!((body.name.as_str(), body.tier), ("苑兴村", Tier::Village));
    assert_eq!(body.grants, preset::grants(Tier::Village, region("370322102310")));
    assert_eq!(body.not_after_ms, NOW_MS + YEAR_MS);
    assert_eq!(parent.state(), State::Used);
}

/// Shows that the first key that asks has the invitation: it gets the same bytes again whenever
/// it asks, also after the time is over, and every other key is refused.
#[test]
fn an_invitation_is_bound_to_the_first_key() {
    let parent = parent();
    let token = parent.invite();
    let first = parent.administration.redeem(&request(&token, 5)).unwrap();
    assert_eq!(parent.refusal(&request(&token, 6)), RefusalCode::Used);
    parent.now_ms.fetch_add(2 * VALID_MS, Ordering::Relaxed);
    let again = parent.administration.redeem(&request(&token, 5)).unwrap();
    assert!(again.again);
    assert_eq!(first.chain, again.chain);
    assert_eq!(parent.refusal(&request(&token, 6)), RefusalCode::Used);
}

/// Shows that an invitation ends at its time, to the millisecond, and that one that was taken back
/// is refused, with its own reason each.
#[test]
fn invitations_end() {
    let parent = parent();
    let token = parent.invite();
    parent.now_ms.store(token.expires_at_ms, Ordering::Relaxed);
    assert_eq!(parent.refusal(&request(&token, 5)), RefusalCode::Expired);
    assert_eq!(parent.state(), State::Expired);
    parent.now_ms.store(token.expires_at_ms - 1, Ordering::Relaxed);
    let id = token.invitation.to_string();
    assert_eq!(parent.administration.cancel_invitation(&id).unwrap().state, State::Cancelled);
    assert_eq!(parent.refusal(&request(&token, 5)), RefusalCode::Cancelled);
    let used = parent.invite();
    parent.administration.redeem(&request(&used, 5)).unwrap();
    let error = parent.administration.cancel_invitation(&used.invitation.to_string()).unwrap_err();
    assert!(error.message.contains("already joined"), "{error:?}");
    let error = parent.administration.cancel_invitation("0102030405060708").unwrap_err();
    assert!(error.message.contains("there is no invitation"), "{error:?}");
}

/// Shows that ten wrong secrets lock an invitation, so that the right one no longer helps, and
/// that neither a wrong secret nor a wrong id tells which of both was wrong.
#[test]
fn guessing_locks_an_invitation() {
    let parent = parent();
    let token = parent.invite();
    for guess in 0..u8::try_from(WRONG_SECRETS).unwrap() {
        let wrong = Token { secret: Secret([guess; 16]), ..token.clone() };
        assert_eq!(parent.refusal(&request(&wrong, 5)), RefusalCode::Unknown);
    }
    let elsewhere = Token { invitation: InvitationId([0; 8]), ..token.clone() };
    assert_eq!(parent.refusal(&request(&elsewhere, 5)), RefusalCode::Unknown);
    assert_eq!(parent.refusal(&request(&token, 5)), RefusalCode::Locked);
    assert_eq!(parent.state(), State::Locked);
    assert_eq!(parent.administration.invitations().unwrap()[0].attempts, WRONG_SECRETS);
}

/// Shows that what this node could not certify is refused before anything is written: another
/// town's village, a code of another level, no time, no name, no address.
#[test]
fn nothing_is_written_for_what_cannot_be_certified() {
    let parent = parent();
    let sound = wish("370322102310");
    let wrong = [
        (wish("370322101255"), "within its own region"),
        (InvitationRequest { tier: Tier::Town, ..sound.clone() }, "not the code of a town"),
        (InvitationRequest { valid_ms: 0, ..sound.clone() }, "90 days"),
        (InvitationRequest { valid_ms: VALID_MAX_MS + 1, ..sound.clone() }, "90 days"),
        (InvitationRequest { name: None, ..sound.clone() }, "no name for 370322102310"),
        (InvitationRequest { name: Some(" ".to_owned()), ..sound.clone() }, "needs a name"),
        (InvitationRequest { name: Some("村".repeat(99)), ..sound.clone() }, "name is too long"),
        (InvitationRequest { lifetime_ms: 0, ..sound.clone() }, "valid for some time"),
        (
            InvitationRequest { addresses: vec!["town".to_owned()], ..sound.clone() },
            "not an address",
        ),
        (InvitationRequest { addresses: vec!["a:1".to_owned(); 5], ..sound }, "1 to 4 addresses"),
    ];
    for (wish, words) in wrong {
        let error = parent.administration.invite(&wish).unwrap_err();
        let said = format!("{} {}", error.message, error.hint.unwrap_or_default());
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(parent.administration.invitations().unwrap(), []);
}

/// Shows that a machine whose certificate was withdrawn is not given it again, and that one whose
/// certificate was replaced is: with it the machine connects and gets the newer one.
#[test]
fn a_withdrawn_certificate_is_not_given_again() {
    for (replaced, expected) in [(true, None), (false, Some(RefusalCode::Cancelled))] {
        let parent = parent();
        let Administration { store, identity, .. } = &parent.administration;
        let asked = request(&parent.invite(), 5);
        let redeemed = parent.administration.redeem(&asked).unwrap();
        let serial = Serial::of(redeemed.chain.last().unwrap());
        let body = RevocationBody {
            own: Standing { serial, through_seq: 0, tags: Vec::new() },
            successor: replaced.then(|| identity.certificate.serial()),
            descendants: Vec::new(),
            reason: "stolen".to_owned(),
            issuer: Some(identity.certificate.serial()),
        };
        assert_eq!(store.add_revocations(&[body.sign(&identity.key)]).unwrap(), [""; 0]);
        let answer = parent.administration.redeem(&asked).map_err(|refusal| refusal.code);
        assert_eq!(answer.err(), expected, "replaced: {replaced}");
    }
}

/// Shows that a node whose identity another machine may use issues nothing, and that an invitation
/// made before waits for it to be confirmed.
#[test]
fn a_suspended_node_issues_nothing() {
    let parent = parent();
    let token = parent.invite();
    parent.administration.store.suspend(Suspension::Restored);
    assert_eq!(parent.refusal(&request(&token, 5)), RefusalCode::Unavailable);
    let error = parent.administration.invite(&wish("370322102310")).unwrap_err();
    assert!(error.message.contains("restored from a backup"), "{error:?}");
    assert_eq!(parent.state(), State::Open);
}

/// Shows that the secret is nowhere in the files of the store, though its invitation is.
#[test]
fn the_secret_is_not_stored() {
    let parent = parent();
    let token = parent.invite();
    let mut found = false;
    for entry in std::fs::read_dir(&parent.administration.data_dir).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!holds(&token.secret.0));
        found |= holds(&token.invitation.0);
    }
    assert!(found);
}

/// Shows that the bad rows of a list are told by line and the others are invited.
#[test]
fn bad_rows_do_not_hold_up_the_others() {
    let parent = parent();
    let rows = ["370322102310", "37032210231", "370322101255", "370322102201", "370322102310"];
    let rows = (2..).zip(rows).map(|(line, code)| BulkRow {
        line,
        code: code.to_owned(),
        name: Some(format!("{code}村")),
        valid_ms: None,
    });
    let wish = BulkInvitationRequest {
        rows: rows.collect(),
        valid_ms: VALID_MS,
        lifetime_ms: LIFETIME_MS,
        addresses: Vec::new(),
    };
    let outcome = parent.administration.invite_bulk(&wish).unwrap();
    let invited: Vec<String> = outcome.invited.iter().map(|i| i.region.to_string()).collect();
    assert_eq!(invited, ["370322102310", "370322102201"]);
    let rejected: Vec<u64> = outcome.rejected.iter().map(|rejected| rejected.line).collect();
    assert_eq!(rejected, [3, 4, 6]);
    assert!(outcome.rejected[2].reason.contains("line 2"), "{outcome:?}");
    assert_eq!(parent.administration.invitations().unwrap().len(), 2);
}

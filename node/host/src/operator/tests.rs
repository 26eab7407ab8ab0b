//! Tests of operator files.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::public_key;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn village() -> AddressCode {
    AddressCode::parse("370322102310").unwrap()
}

/// A village node certified by the root, and the authority that knows it.
fn node() -> (Authority, Certificate, SigningKey) {
    let (root, key) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let body = CertificateBody {
        subject: public_key(&key),
        name: "苑兴村".to_owned(),
        kind: AuthorKind::Node,
        tier: Tier::Village,
        grants: vec![Grant {
            region: Region::subtree(village()),
            document: None,
            categories: CategorySet::range(Category::CATALOGUE, Category::LIBRARY_LAST),
            rights: Rights::READ.with(Rights::WRITE),
            delegable: Rights::READ.with(Rights::WRITE),
        }],
        issued_at_ms: 0,
        not_after_ms: 10 * 365 * DAY_MS,
        issuer: None,
    };
    let mut authority = Authority::new(public_key(&root));
    let serial = authority.insert(&Certificate::issue(&body, &root)).unwrap();
    let certificate = authority.get(&serial).unwrap().clone();
    (authority, certificate, key)
}

const WANG: NewOperator<'_> = NewOperator {
    name: "wang",
    display_name: "王书记",
    role: "village_operator",
    narrowing: None,
    password: "苑兴村2026!",
    must_change: false,
};

/// Shows that the key comes back with the right password only, that its certificate is accepted
/// under the node's, that it gives what the role says, and that only the owner may read the file.
#[test]
fn a_created_operator_is_unlocked_by_their_password_only() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (mut authority, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    let mut rng = StdRng::seed_from_u64(7);
    let bytes = operators.create(&issuer, WANG, 1_000, &mut rng).unwrap();
    authority.insert(&bytes).unwrap();

    let unlocked = operators.unlock("wang", WANG.password, 9).unwrap();
    assert_eq!(unlocked.author.serial, Serial::of(&bytes));
    let serial = &unlocked.author.serial;
    assert_eq!(authority.get(serial).unwrap().body().subject, public_key(&unlocked.author.key));
    let home = |category| Home { category, address: village(), document: DocumentId([3; 16]) };
    assert_eq!(authority.may(serial, Rights::WRITE, &home(Category::library(0, 1))), Ok(()));
    assert!(authority.may(serial, Rights::ASSIGN, &home(Category::TICKET)).is_err());
    assert!(authority.may(serial, Rights::WRITE, &home(Category::CATALOGUE)).is_err());

    for (name, password) in [("wang", "苑兴村2026?"), ("li", WANG.password), ("../wang", "x")] {
        let refused = operators.unlock(name, password, 9);
        assert!(matches!(refused, Err(OperatorError::Refused)), "{name}: {refused:?}");
    }
    let path = directory.path().join("operators/wang.json");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Shows that a password is the same however the keyboard composes it, that one sealed by an
/// earlier program, which took the bytes as they came, opens still, and that names are read in
/// letters of any width.
#[test]
fn what_a_person_sees_as_the_same_password_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (_, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    let mut rng = StdRng::seed_from_u64(7);
    let person = NewOperator { password: "Ne\u{301}e\u{3000}2026 村", ..WANG };
    operators.create(&issuer, person, 1_000, &mut rng).unwrap();
    for same in ["N\u{e9}e 2026 村", "Ne\u{301}e\u{a0}2026\u{3000}村"] {
        assert!(operators.unlock("wang", same, 9).is_ok(), "{same:?}");
    }
    assert!(operators.unlock("wang", "Nee 2026 村", 9).is_err());

    let (sealed, secret) = operators.open("wang", person.password).unwrap();
    let earlier = Sealed::new(sealed.open(), &secret, "o\u{308}ffnen 2026", &mut rng);
    operators.save(&earlier, Placing::Over).unwrap();
    assert!(operators.unlock("wang", "o\u{308}ffnen 2026", 9).is_ok());
    assert_eq!(login_name(" \u{ff37}ａng "), "wang");
}

/// Shows that a file that cannot be read keeps out nobody but its own person.
#[test]
fn one_bad_file_does_not_hide_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (_, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    let mut rng = StdRng::seed_from_u64(7);
    let bytes = operators.create(&issuer, WANG, 1_000, &mut rng).unwrap();
    fs::write(directory.path().join("operators/li.json"), "{").unwrap();
    fs::create_dir(directory.path().join("operators/zhao.json")).unwrap();
    assert_eq!(operators.certificates().unwrap(), [bytes]);
    assert!(operators.unlock("wang", WANG.password, 9).is_ok());
}

/// Shows that an existing operator is not overwritten and leaves no draft beside it.
#[test]
fn an_operator_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (_, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    let mut rng = StdRng::seed_from_u64(7);
    operators.create(&issuer, WANG, 1_000, &mut rng).unwrap();
    let again = operators.create(&issuer, WANG, 1_000, &mut rng);
    assert!(matches!(again, Err(OperatorError::Exists { .. })), "{again:?}");
    let files = fs::read_dir(directory.path().join("operators")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    files.sort_unstable();
    assert_eq!(files, ["lock", "wang.json"]);
    assert_eq!(operators.names().unwrap(), ["wang"]);
}

/// Shows that a file changed after it was written does not open: name and certificate are bound
/// to the sealed key.
#[test]
fn an_altered_file_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (_, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    operators.create(&issuer, WANG, 1_000, &mut StdRng::seed_from_u64(7)).unwrap();
    let path = directory.path().join("operators/wang.json");
    let text = fs::read_to_string(&path).unwrap();
    let other = directory.path().join("operators/zhao.json");
    fs::write(other, text.replace("\"wang\"", "\"zhao\"")).unwrap();
    let opened = operators.unlock("zhao", WANG.password, 9);
    assert!(matches!(opened, Err(OperatorError::Refused)), "{opened:?}");
}

/// Shows that weak passwords and names that are paths are refused before any work.
#[test]
fn bad_names_and_short_passwords_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let operators = Operators::new(directory.path());
    let (_, certificate, key) = node();
    let issuer = Issuer { certificate: &certificate, key: &key };
    let short = NewOperator { password: "1234567", ..WANG };
    let path = NewOperator { name: "../root", ..WANG };
    let role = NewOperator { role: "emperor", ..WANG };
    let result =
        |new| operators.create(&issuer, new, 0, &mut StdRng::seed_from_u64(7)).unwrap_err();
    assert!(matches!(result(short), OperatorError::Password));
    assert!(matches!(result(path), OperatorError::Name { .. }));
    assert!(matches!(result(role), OperatorError::Role(RoleError::Unknown { .. })));
}

/// A village node, its key and its operators in a directory of their own.
struct Village {
    _directory: tempfile::TempDir,
    operators: Operators,
    authority: Authority,
    certificate: Certificate,
    key: SigningKey,
    rng: StdRng,
}

impl Village {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (authority, certificate, key) = node();
        let operators = Operators::new(directory.path());
        Self {
            _directory: directory,
            operators,
            authority,
            certificate,
            key,
            rng: StdRng::seed_from_u64(7),
        }
    }

    fn create(&mut self, new: NewOperator<'_>, now_ms: i64) -> Result<Vec<u8>, OperatorError> {
        let issuer = Issuer { certificate: &self.certificate, key: &self.key };
        let bytes = self.operators.create(&issuer, new, now_ms, &mut self.rng)?;
        self.authority.insert(&bytes).unwrap();
        Ok(bytes)
    }

    fn unlock(&self, password: &str) -> Result<Unlocked, OperatorError> {
        self.operators.unlock("wang", password, 9)
    }

    /// Logs in as pages do: with renewal where it is due.
    fn log_in(&mut self, now_ms: i64) -> (Result<bool, OperatorError>, Unlocked) {
        let mut unlocked = self.unlock(WANG.password).unwrap();
        let issuer = Issuer { certificate: &self.certificate, key: &self.key };
        let renewed = self.operators.renew_if_due(
            &issuer,
            &self.authority,
            &mut unlocked,
            WANG.password,
            now_ms,
            &mut self.rng,
        );
        self.authority.insert(&unlocked.certificate).unwrap();
        (renewed, unlocked)
    }

    /// Gives the node another certificate for the same key.
    fn recertify(&mut self, change: impl FnOnce(&mut CertificateBody)) {
        let mut body = self.certificate.body().clone();
        change(&mut body);
        let bytes = Certificate::issue(&body, &SigningKey::from_bytes(&[1; 32]));
        let serial = self.authority.insert(&bytes).unwrap();
        self.certificate = self.authority.get(&serial).unwrap().clone();
    }

    /// The node dismisses a person.
    fn revoke(&mut self, serial: Serial) {
        let body = RevocationBody {
            own: Standing { serial, through_seq: 0, tags: Vec::new() },
            successor: None,
            descendants: Vec::new(),
            reason: "离职".to_owned(),
            issuer: Some(self.certificate.serial()),
        };
        self.authority.revoke(&body.sign(&self.key)).unwrap();
    }

    fn body(&self, serial: &Serial) -> &CertificateBody {
        self.authority.get(serial).unwrap().body()
    }

    fn may(&self, serial: &Serial, rights: Rights, category: Category, address: &str) -> bool {
        let address = AddressCode::parse(address).unwrap();
        let home = Home { category, address, document: DocumentId([3; 16]) };
        self.authority.may(serial, rights, &home).is_ok()
    }
}

/// Shows that a person gets what was asked for and nothing else of the role: region, categories,
/// rights and end; and that the certificate is accepted.
#[test]
fn a_narrowed_person_gets_less() {
    let mut village = Village::new();
    let narrowing = Narrowing {
        region: Some(Region::subtree(AddressCode::parse("370322102310001").unwrap())),
        categories: Some(CategorySet::of([Category::TICKET, Category::library(0, 0)])),
        rights: Some(Rights::READ),
        until_ms: Some(90 * DAY_MS),
        ..Narrowing::default()
    };
    let bytes = village.create(NewOperator { narrowing: Some(&narrowing), ..WANG }, 0).unwrap();
    let serial = Serial::of(&bytes);
    let (grid, other) = ("370322102310001", "370322102310002");
    assert!(village.may(&serial, Rights::READ, Category::TICKET, grid));
    assert!(village.may(&serial, Rights::READ, Category::library(0, 0), grid));
    assert!(!village.may(&serial, Rights::READ, Category::TICKET, other));
    assert!(!village.may(&serial, Rights::READ, Category::library(0, 2), grid));
    assert!(!village.may(&serial, Rights::WRITE, Category::TICKET, grid));
    assert_eq!(village.body(&serial).not_after_ms, 90 * DAY_MS);
}

/// Shows that what role or node do not give cannot be asked for, and that nothing is made.
#[test]
fn a_narrowing_never_widens() {
    let mut village = Village::new();
    let region = Region::subtree(AddressCode::parse("370322102").unwrap());
    let wider = [
        Narrowing { region: Some(region), ..Narrowing::default() },
        Narrowing {
            categories: Some(CategorySet::of([Category::TICKET, Category(0x4000)])),
            ..Narrowing::default()
        },
        Narrowing { rights: Some(Rights::READ.with(Rights::SIGN_OFF)), ..Narrowing::default() },
        Narrowing { until_ms: Some(20 * 365 * DAY_MS), ..Narrowing::default() },
        Narrowing { until_ms: Some(500), ..Narrowing::default() },
    ];
    for narrowing in wider {
        let refused = village.create(NewOperator { narrowing: Some(&narrowing), ..WANG }, 1_000);
        assert!(matches!(refused, Err(OperatorError::Narrowing(_))), "{narrowing:?}: {refused:?}");
    }
    assert_eq!(village.operators.names().unwrap(), Vec::<String>::new());
}

/// Shows that the roles give what they are for and no more, at a node that may pass on all: the
/// analyst no sensitive part, the auditor nothing to write, sign-off to the leader alone, erasure
/// and journal to who answers for them.
#[test]
fn roles_give_the_least_that_is_needed() {
    let everything = [Grant {
        region: Region::EVERYWHERE,
        document: None,
        categories: CategorySet::all(),
        rights: Rights::ALL,
        delegable: Rights::ALL,
    }];
    let holders = |rights: Rights, categories: &CategorySet| -> Vec<&str> {
        let holds = |role: &&Role| {
            let grants = role::grants(role, &everything, &Narrowing::default()).unwrap();
            let held = |grant: &Grant| {
                grant.rights.contains(rights)
                    && !grant.categories.intersection(categories).is_empty()
            };
            grants.iter().any(held)
        };
        roles().iter().filter(holds).map(|role| role.key.as_str()).collect()
    };
    let all = CategorySet::all();
    assert_eq!(holders(Rights::SIGN_OFF, &all), ["leader"]);
    assert_eq!(holders(Rights::ERASE, &all), ["administrator"]);
    assert_eq!(holders(Rights::ASSIGN, &all), ["dispatcher", "leader"]);
    let journal = CategorySet::of([Category::JOURNAL]);
    assert_eq!(holders(Rights::READ, &journal), ["administrator", "auditor"]);
    let health = CategorySet::range(Category::library(0, 3), Category::library(u8::MAX, 5));
    assert_eq!(holders(Rights::READ, &health), ["village_operator", "grid_worker"]);
    let contact = CategorySet::of([Category::TICKET_CONTACT])
        .union(&CategorySet::range(Category::library(0, 1), Category::library(u8::MAX, 2)));
    for role in ["analyst", "supervisor", "auditor"] {
        assert!(!holders(Rights::READ, &contact).contains(&role), "{role}");
    }
    let writers = holders(Rights::WRITE, &all);
    assert!(!writers.contains(&"auditor") && !writers.contains(&"analyst"), "{writers:?}");
    assert_eq!(roles().len(), 9);
}

/// Shows that after a change only the new password opens the same key, that a session under the
/// old one can be told, and that the rules hold for the new one.
#[test]
fn a_changed_password_opens_the_same_key() {
    let mut village = Village::new();
    village.create(NewOperator { must_change: true, ..WANG }, 0).unwrap();
    let before = village.unlock(WANG.password).unwrap();
    assert!(before.must_change);
    let mut rng = StdRng::seed_from_u64(8);
    let operators = village.operators.clone();
    let mut change =
        |current: &str, new: &str| operators.change_password("wang", current, new, &mut rng);
    assert!(matches!(change("wrong-password", "高城镇2026!!"), Err(OperatorError::Refused)));
    assert!(matches!(change(WANG.password, "short"), Err(OperatorError::Password)));
    assert!(matches!(change(WANG.password, WANG.password), Err(OperatorError::SamePassword)));
    let id = change(WANG.password, "高城镇2026!!").unwrap();
    assert!(matches!(village.unlock(WANG.password), Err(OperatorError::Refused)));
    let after = village.unlock("高城镇2026!!").unwrap();
    assert_eq!(after.author.key, before.author.key);
    assert_eq!(after.author.serial, before.author.serial);
    assert!(!after.must_change && after.password_id == id && id != before.password_id);
}

/// Shows that a reset gives a new key under the new password and keeps the old certificate known;
/// and that a removed person can no longer log in.
#[test]
fn a_reset_person_has_a_new_key() {
    let mut village = Village::new();
    let old = village.create(WANG, 0).unwrap();
    let old_key = village.unlock(WANG.password).unwrap().author.key;
    let issuer = Issuer { certificate: &village.certificate, key: &village.key };
    let (authority, rng) = (&village.authority, &mut village.rng);
    let reset = village.operators.reset(&issuer, authority, "wang", "abcd-efgh-2345", DAY_MS, rng);
    let new = reset.unwrap();
    assert!(matches!(village.unlock(WANG.password), Err(OperatorError::Refused)));
    let unlocked = village.unlock("abcd-efgh-2345").unwrap();
    assert!(unlocked.must_change);
    assert_ne!(unlocked.author.key, old_key);
    assert_eq!(unlocked.author.serial, Serial::of(&new));
    assert_eq!(village.operators.certificates().unwrap(), [old, new]);
    village.operators.remove("wang").unwrap();
    assert!(matches!(village.unlock("abcd-efgh-2345"), Err(OperatorError::Refused)));
    assert!(matches!(village.operators.remove("wang"), Err(OperatorError::Missing { .. })));
}

/// Shows that a login certifies the person again under the node's new certificate: the same key,
/// still narrowed, with what the node has now, and only once.
#[test]
fn a_person_follows_the_node_to_its_new_certificate() {
    let mut village = Village::new();
    let categories = CategorySet::of([Category::TICKET, Category::library(0, 0)]);
    let narrowing = Narrowing { categories: Some(categories), ..Narrowing::default() };
    let first = village.create(NewOperator { narrowing: Some(&narrowing), ..WANG }, 0).unwrap();
    let (renewed, before) = village.log_in(DAY_MS);
    assert!(!renewed.unwrap(), "nothing is due");
    village.recertify(|body| {
        body.not_after_ms += DAY_MS;
        for grant in &mut body.grants {
            grant.categories = CategorySet::of([Category::CATALOGUE, Category::TICKET]);
        }
    });
    let (renewed, after) = village.log_in(2 * DAY_MS);
    assert!(renewed.unwrap());
    assert_eq!(after.author.key, before.author.key);
    assert_ne!(after.author.serial, before.author.serial);
    let body = village.body(&after.author.serial);
    assert_eq!(body.issuer, Some(village.certificate.serial()));
    let given: Vec<_> = body.grants.iter().map(|grant| grant.categories.clone()).collect();
    assert_eq!(given, [CategorySet::of([Category::TICKET])]);
    assert_eq!(village.operators.certificates().unwrap(), [first, after.certificate.clone()]);
    let (renewed, again) = village.log_in(2 * DAY_MS);
    assert!(!renewed.unwrap() && again.author.serial == after.author.serial);
}

/// Shows that a certificate near its end is made again when that makes it last longer, and only
/// then; and never beyond the last day that the administrator set.
#[test]
fn a_certificate_near_its_end_is_made_again() {
    let mut village = Village::new();
    village.create(WANG, 0).unwrap();
    let end_ms = 5 * 365 * DAY_MS;
    let (renewed, _) = village.log_in(end_ms * 2 / 3);
    assert!(!renewed.unwrap(), "a third is left");
    let (renewed, unlocked) = village.log_in(end_ms * 2 / 3 + DAY_MS);
    assert!(renewed.unwrap());
    assert!(village.body(&unlocked.author.serial).not_after_ms > end_ms);
    let (renewed, _) = village.log_in(10 * 365 * DAY_MS - DAY_MS);
    assert!(renewed.unwrap(), "to the end of the node's");
    let (renewed, _) = village.log_in(10 * 365 * DAY_MS - DAY_MS / 2);
    assert!(!renewed.unwrap(), "no longer than the node's");

    let mut village = Village::new();
    let narrowing = Narrowing { until_ms: Some(30 * DAY_MS), ..Narrowing::default() };
    village.create(NewOperator { narrowing: Some(&narrowing), ..WANG }, 0).unwrap();
    for day in [29, 31] {
        let (renewed, unlocked) = village.log_in(day * DAY_MS);
        assert!(!renewed.unwrap());
        assert_eq!(village.body(&unlocked.author.serial).not_after_ms, 30 * DAY_MS);
    }
}

/// Shows that a revoked person is not certified again by logging in, whatever is due.
#[test]
fn a_revoked_person_is_not_certified_again() {
    let mut village = Village::new();
    let bytes = village.create(WANG, 0).unwrap();
    village.revoke(Serial::of(&bytes));
    village.recertify(|body| body.not_after_ms += DAY_MS);
    let (renewed, unlocked) = village.log_in(DAY_MS);
    assert!(matches!(renewed, Err(OperatorError::Revoked { .. })), "{renewed:?}");
    assert_eq!(unlocked.author.serial, Serial::of(&bytes));
    assert_eq!(village.operators.certificates().unwrap(), [bytes]);
}

/// Shows that a certificate the administrator changed is taken over at the next login with the
/// key as it was, and that neither a renewal nor a reset gives back what was taken away.
#[test]
fn what_was_taken_away_by_hand_stays_away() {
    let mut village = Village::new();
    let old = village.create(WANG, 0).unwrap();
    let mut body = village.body(&Serial::of(&old)).clone();
    body.grants.retain(|grant| grant.rights == Rights::READ);
    body.name = "王会计".to_owned();
    let changed = Certificate::issue(&body, &village.key);
    let serial = village.authority.insert(&changed).unwrap();
    let supersede = RevocationBody {
        own: Standing::all(Serial::of(&old)),
        successor: Some(serial),
        descendants: Vec::new(),
        reason: String::new(),
        issuer: Some(village.certificate.serial()),
    };
    village.authority.revoke(&supersede.sign(&village.key)).unwrap();
    let certificate = village.authority.get(&serial).unwrap().clone();
    let mut unlocked = village.unlock(WANG.password).unwrap();
    let mut take_over = || {
        let (authority, rng) = (&village.authority, &mut village.rng);
        let operators = &village.operators;
        operators.take_over(authority, &mut unlocked, &certificate, WANG.password, rng).unwrap()
    };
    assert!(take_over() && !take_over());
    assert_eq!((unlocked.author.serial, unlocked.display_name.as_str()), (serial, "王会计"));

    village.recertify(|body| body.not_after_ms += DAY_MS);
    let (renewed, unlocked) = village.log_in(DAY_MS);
    assert!(renewed.unwrap());
    let reads = |body: &CertificateBody| body.grants.iter().all(|g| g.rights == Rights::READ);
    assert!(reads(village.body(&unlocked.author.serial)));
    let issuer = Issuer { certificate: &village.certificate, key: &village.key };
    let (authority, rng) = (&village.authority, &mut village.rng);
    let reset = village.operators.reset(&issuer, authority, "wang", "abcd-efgh-2345", DAY_MS, rng);
    let reset = village.authority.insert(&reset.unwrap()).unwrap();
    assert!(reads(village.body(&reset)));
}

//! Tests of operator files.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::rights::Rights;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

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
        not_after_ms: 10 * YEAR_MS,
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
    assert_eq!(fs::read_dir(directory.path().join("operators")).unwrap().count(), 1);
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

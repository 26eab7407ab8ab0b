//! What is explained is what is decided.

use std::cell::Cell;

use cunlian_host::admin::Administration;
use cunlian_host::admin::certificate::Action;
use cunlian_host::admin::certificate::why::{Answer, Question, Verb};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_tests::federation::COUNTY;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::desk::Desk;

const QUESTIONS: u32 = 2_000;
const HOLDERS: u8 = 40;
const ADDRESSES: [&str; 5] =
    ["370322", "370322102", "370322102310", "370322102310001", "370322103"];
const CATEGORIES: [&str; 5] =
    ["ticket", "ticket-contact", "notice", "library/population/base", "library/care/health"];
const NUMBERS: [Category; 5] = [
    Category::TICKET,
    Category::TICKET_CONTACT,
    Category::NOTICE,
    Category::library(0, 0),
    Category::library(7, 3),
];

/// Sets of them that lie within one grant of the county.
const TOGETHER: [[Category; 2]; 4] = [
    [Category::TICKET, Category::NOTICE],
    [Category::TICKET, Category::library(0, 0)],
    [Category::TICKET_CONTACT, Category::library(7, 3)],
    [Category::NOTICE, Category::NOTICE],
];

/// Certificates by the county with grants that differ in everything, some of them expired at the
/// later times and some revoked.
fn holders(county: &Administration) -> Vec<Serial> {
    let identity = &county.identity;
    let own = identity.certificate.body();
    let grant = |seed: usize| {
        let prefix = AddressCode::parse(ADDRESSES[seed % 5]).unwrap();
        let exact = seed.is_multiple_of(3);
        Grant {
            region: Region { prefix, depth: if exact { Depth::Exact } else { Depth::Subtree } },
            document: (exact && seed.is_multiple_of(2)).then_some(DocumentId([1; 16])),
            categories: CategorySet::of(TOGETHER[seed % 4]),
            rights: Rights([1, 3, 7, 9, 32, 0][seed % 6]),
            delegable: Rights([0, 1, 47][seed % 3]),
        }
    };
    let mut serials = Vec::new();
    for number in 0..HOLDERS {
        let seed = usize::from(number);
        let body = CertificateBody {
            subject: public_key(&SigningKey::from_bytes(&[100 + number; 32])),
            name: format!("holder {number}"),
            kind: if number % 4 == 0 { AuthorKind::Operator } else { AuthorKind::Node },
            grants: vec![grant(seed * 7), grant(seed * 11 + 3)],
            not_after_ms: own.issued_at_ms + if number % 5 == 0 { 500 } else { 2_000 },
            issuer: Some(identity.certificate.serial()),
            ..own.clone()
        };
        serials.push(Serial::of(&Certificate::issue(&body, &identity.key)));
        let bytes = Certificate::issue(&body, &identity.key);
        let refused = county.store.add_certificates(&[bytes]).unwrap();
        assert_eq!(refused, Vec::<String>::new());
    }
    serials
}

/// What the authority decides; to issue, it takes a node with something to pass on there.
fn decided(county: &Administration, serial: &Serial, verb: Verb, home: &Home, at_ms: i64) -> bool {
    let authority = county.store.authority();
    let certificate = authority.get(serial).unwrap();
    let right = match verb {
        Verb::Read => Rights::READ,
        Verb::Write => Rights::WRITE,
        Verb::Assign => Rights::ASSIGN,
        Verb::SignOff => Rights::SIGN_OFF,
        Verb::Erase => Rights::ERASE,
        Verb::Issue => {
            let passes = certificate.body().grants.iter().any(|grant| {
                grant.delegable != Rights::NONE
                    && grant.region.contains_address(&home.address)
                    && grant.categories.contains(home.category)
                    && grant.document.is_none_or(|document| document == home.document)
            });
            let node = certificate.body().kind == AuthorKind::Node;
            return node && passes && authority.valid_at(certificate, at_ms).is_ok();
        }
    };
    authority.may(serial, right, home).is_ok() && authority.valid_at(certificate, at_ms).is_ok()
}

/// Shows, on thousands of questions about holders with different grants, that `why` says yes
/// exactly when the authority would let it be done, and that a no always comes with a reason.
#[test]
fn what_is_explained_is_what_is_decided() {
    let desk = Desk::new();
    let before = desk.open(COUNTY);
    let serials = holders(&before);
    drop(before);
    for serial in serials.iter().step_by(9) {
        desk.revoke(COUNTY, *serial, COUNTY);
    }
    let county = desk.open(COUNTY);
    let begin_ms = county.identity.certificate.body().issued_at_ms;
    let verbs =
        [Verb::Read, Verb::Write, Verb::Assign, Verb::SignOff, Verb::Erase, Verb::Issue].to_vec();
    let verbs = proptest::sample::select(verbs);
    let questions = (0..serials.len(), verbs, 0_usize..5, 0_usize..5, 0_u8..3, 0_i64..1_000);
    let yes = Cell::new(0_u32);
    let mut runner = TestRunner::new(Config::with_cases(QUESTIONS));
    let outcome = runner.run(&questions, |(holder, verb, place, category, document, after)| {
        let serial = serials[holder];
        let document = DocumentId([document; 16]);
        let question = Question {
            who: serial.to_string(),
            verb,
            address: ADDRESSES[place].to_owned(),
            category: Some(CATEGORIES[category].to_owned()),
            document: Some(document),
            at_ms: Some(begin_ms + after),
        };
        let answer = county.certificate(&Action::Why(question)).unwrap();
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let address = AddressCode::parse(ADDRESSES[place]).unwrap();
        let home = Home { category: NUMBERS[category], address, document };
        let decided = decided(&county, &serial, verb, &home, begin_ms + after);
        prop_assert_eq!(answer.allowed, decided, "{:?}", answer.words);
        let covering = answer.grants.iter().any(|considered| considered.lacks.is_empty());
        prop_assert_eq!(answer.allowed, covering && answer.obstacles.is_empty());
        yes.set(yes.get() + u32::from(answer.allowed));
        Ok(())
    });
    outcome.unwrap();
    assert!(yes.get() > QUESTIONS / 50, "only {} of {QUESTIONS} were allowed", yes.get());
}

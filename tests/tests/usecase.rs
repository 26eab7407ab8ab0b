//! The acts of people on one store, as page, phone and program ask for them: what is written, what
//! is refused and why, and what is made once however often it is sent.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions, WriteError};
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::erasure::{self, EraseError};
use cunlian_governance::library::catalogue::{Catalogue, Class, Part};
use cunlian_governance::library::edit::{EditError, Edited, edit};
use cunlian_governance::library::record::{Problem, RecordError};
use cunlian_governance::library::register::{NewRecord, register};
use cunlian_governance::library::{Fields, Origin, Place};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_governance::refusal::{Failed, Refused as _};
use cunlian_governance::submission::Intended;
use cunlian_governance::ticket::{
    Action, Assignee, Channel, Kind, NewTicket, State, Step, TicketError, act, intake,
};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};

const NOW_MS: i64 = 1_783_735_200_000;
const VILLAGE: &str = "370322102310";

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

/// A town with somebody who may do everything in one village.
struct Desk {
    store: Store,
    author: Author,
    reader: Reader,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let root = SigningKey::from_bytes(&[1; 32]);
        let key = SigningKey::from_bytes(&[2; 32]);
        let body = CertificateBody {
            subject: public_key(&key),
            name: "高城镇".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Town,
            grants: vec![Grant {
                region: Region::subtree(code(VILLAGE)),
                document: None,
                categories: CategorySet::all(),
                rights: Rights::READ.with(Rights::WRITE).with(Rights::ASSIGN).with(Rights::ERASE),
                delegable: Rights::NONE,
            }],
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let chain = vec![Certificate::issue(&body, &root)];
        let serial = Serial::of(chain.first().unwrap());
        let identity = StoreIdentity { root: public_key(&root), own: Some(serial), chain };
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let store = Store::open(dir.path(), Arc::new(GovernanceProjector), identity, options);
        let store = store.unwrap();
        let reader = Reader::of(&store.authority(), &serial);
        Self { store, author: Author { serial, key, session: 1 }, reader, _dir: dir }
    }

    fn acting<'a>(&'a self, reader: &'a Reader) -> Acting<'a> {
        let Self { store, author, .. } = self;
        Acting { store, author, reader, source: "test", now_ms: NOW_MS }
    }

    fn me(&self) -> Acting<'_> {
        self.acting(&self.reader)
    }
}

fn lamp(text: &str) -> NewTicket {
    NewTicket {
        village: code(VILLAGE),
        channel: Channel::WalkIn,
        title: String::new(),
        text: text.to_owned(),
        kind: None,
        photos: Vec::new(),
        name: String::new(),
        phone: String::new(),
        source: String::new(),
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

fn person(pairs: &[(&str, &str)]) -> NewRecord {
    NewRecord {
        class: "population".to_owned(),
        address: Some(code(VILLAGE)),
        fields: fields(pairs),
        origin: Origin::default(),
    }
}

fn population() -> Class {
    Catalogue::built_in().class("population").unwrap().clone()
}

fn edited(seen: Option<&[(&str, &str)]>, new: &[(&str, &str)]) -> Edited {
    Edited { fields: fields(new), seen: seen.map(fields), origin: Origin::default() }
}

/// Shows that the content of a form makes one ticket however often it is sent, and that a program
/// which gives one id to two contents makes two, each once.
#[test]
fn what_is_sent_twice_is_made_once() {
    let desk = Desk::new();
    let form = Intended::Derived(DocumentId([1; 16]));
    let first = intake(&desk.me(), &lamp("路灯不亮"), form, Some(vec![0xff; 9])).unwrap();
    let again = intake(&desk.me(), &lamp("路灯不亮"), form, Some(vec![0xff; 9])).unwrap();
    assert_eq!((first.changes.len(), again.changes.len()), (2, 0), "a ticket and its photo");
    assert_eq!((again.home, again.receipt), (first.home, first.receipt));
    let chosen = Intended::Chosen(DocumentId([2; 16]));
    let one = intake(&desk.me(), &lamp("水管漏了"), chosen, None).unwrap();
    let other = intake(&desk.me(), &lamp("路灯不亮"), chosen, None).unwrap();
    assert_ne!(one.home, other.home);
    for (text, made) in [("水管漏了", &one), ("路灯不亮", &other)] {
        let again = intake(&desk.me(), &lamp(text), chosen, None).unwrap();
        assert_eq!((again.home, again.changes.len()), (made.home, 0), "{text}");
    }
}

/// Shows for every way in which a step can be refused that the reason is a value and nothing is
/// written, and that who hands a ticket on is told that they no longer read it.
#[test]
fn a_step_is_taken_or_refused_for_a_reason() {
    let desk = Desk::new();
    let intended = Intended::Derived(DocumentId([1; 16]));
    let home = intake(&desk.me(), &lamp("路灯不亮"), intended, None).unwrap().home;
    let written = || desk.store.view(&home).unwrap().unwrap().changes;
    let before = written();
    let stranger = Reader::of(&desk.store.authority(), &Serial([9; 16]));
    let accept = Step::Take(Action::Accept { kind: Kind::Service });
    let feedback =
        |text: &str| Step::Take(Action::Feedback { text: text.to_owned(), photos: Vec::new() });
    let sign = Step::SignOff { digest: "00".to_owned(), text: String::new() };
    let refused = |reader: &Reader, step: &Step| match act(&desk.acting(reader), &home, step) {
        Err(Failed::Refused(error)) => error.key(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&stranger, &accept), "ticket-not-found");
    assert_eq!(refused(&desk.reader, &feedback("已修好")), "ticket-not-now");
    assert_eq!(refused(&desk.reader, &sign), "ticket-not-now");
    let bad = Step::named(cunlian_governance::ticket::Verb::Assign, &fields(&[("to", "镇里")]));
    assert_eq!(bad, Err(TicketError::Choice { field: "to" }));
    assert_eq!(written(), before);
    assert_eq!(act(&desk.me(), &home, &accept).unwrap().state, State::Accepted);
    let officer = desk.reader.clone().only_assigned_to(vec!["水利站".to_owned()]);
    let to = |name: &str| {
        Step::Take(Action::Assign {
            to: Assignee { name: name.to_owned(), address: code(VILLAGE) },
        })
    };
    assert_eq!(refused(&officer, &to("水利站")), "ticket-not-found", "not theirs yet");
    assert!(act(&desk.me(), &home, &to("水利站")).unwrap().is_theirs);
    assert!(!act(&desk.acting(&officer), &home, &to("执法队")).unwrap().is_theirs);
    assert_eq!(refused(&desk.reader, &feedback(" ")), "ticket-empty");
    act(&desk.me(), &home, &feedback("已修好")).unwrap();
    assert_eq!(refused(&desk.reader, &sign), "ticket-changed");
}

/// Shows that everything that is wrong with a new record is said at once, its place included, and
/// that a place without right is refused by the store with nothing kept.
#[test]
fn a_record_is_registered_or_all_that_is_wrong_is_said() {
    let desk = Desk::new();
    let intended = Intended::Derived(DocumentId([1; 16]));
    let nowhere = NewRecord { address: Some(code("370322")), ..person(&[("phone", "12")]) };
    let refused = register(&desk.me(), &nowhere, intended).unwrap_err();
    let Failed::Refused(RecordError::Fields(problems)) = &refused else { panic!("{refused:?}") };
    assert_eq!(problems.get("address"), Some(&Problem::NotInVillage));
    assert_eq!(problems.get("name"), Some(&Problem::Required));
    let Failed::Refused(error) = &refused else { unreachable!() };
    let told = error.refusal();
    assert_eq!((told.field.as_deref(), told.fields.len()), (Some("address"), problems.len()));
    let good = [("name", "张三"), ("sex", "男"), ("phone", "13800138000")];
    let elsewhere = NewRecord { address: Some(code("370322102311")), ..person(&good) };
    let refused = register(&desk.me(), &elsewhere, intended).unwrap_err();
    assert!(matches!(refused, Failed::Store(WriteError::Refused(_))), "{refused:?}");
    let made = register(&desk.me(), &person(&good), intended).unwrap();
    assert_eq!((made.home.address, made.changes.len()), (code(VILLAGE), 2));
    assert_eq!(register(&desk.me(), &person(&good), intended).unwrap().changes, []);
}

/// Shows that an edit is not written over what somebody else wrote in the meantime, that it is when
/// that was seen, that what was not seen is refused, and that what was erased takes no edit.
#[test]
fn an_edit_says_what_it_saw() {
    let desk = Desk::new();
    let good = [("name", "张三"), ("sex", "男")];
    let made = register(&desk.me(), &person(&good), Intended::Derived(DocumentId([1; 16])));
    let home = made.unwrap().home;
    let place = Place { address: home.address, record: home.document };
    let class = population();
    assert_eq!(class.home(Part::Base, place.address, place.record), home);
    let edit = |edited: &Edited| edit(&desk.me(), &class, place, edited);
    assert_eq!(edit(&edited(None, &[("name", "张山")])).unwrap().changes.len(), 1);
    assert_eq!(edit(&edited(None, &[("name", "张山")])).unwrap().changes, []);
    let refused = edit(&edited(Some(&good), &[("name", "张珊")])).unwrap_err();
    let now = fields(&[("name", "张山")]);
    assert_eq!(refused, Failed::Refused(EditError::Overtaken(now.clone())));
    let Failed::Refused(error) = refused else { unreachable!() };
    assert_eq!(error.refusal().now, now);
    let seen: &[(&str, &str)] = &[("name", "张山"), ("sex", "男")];
    assert_eq!(edit(&edited(Some(seen), &[("name", "张珊")])).unwrap().changes.len(), 1);
    let unknown = edit(&edited(Some(&[("nmae", "张珊")]), &[("name", "张三")])).unwrap_err();
    assert_eq!(unknown, Failed::Refused(EditError::Seen { key: "nmae".to_owned() }));
    let stranger = Reader::of(&desk.store.authority(), &Serial([9; 16]));
    let hidden = cunlian_governance::library::edit::edit(
        &desk.acting(&stranger),
        &class,
        place,
        &edited(None, &[("name", "张三")]),
    );
    assert_eq!(hidden.unwrap_err(), Failed::Refused(EditError::NotFound));
    let erased = erasure::erase(&desk.me(), &home, true, "本人申请").unwrap();
    assert_eq!(erased.documents.len(), 1);
    let again = erasure::erase(&desk.me(), &home, false, "本人申请").unwrap_err();
    assert_eq!(again, Failed::Refused(EraseError::NotHere));
    assert_eq!(edit(&edited(None, &[("name", "张三")])), Err(Failed::Refused(EditError::Erased)));
}

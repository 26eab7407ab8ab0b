//! Tests of the queries on tables filled by the projector from commands, as the store would.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use cunlian_crdt::document::{DocumentView, Edit, FieldValue, FieldView, Operation, Write, Writer};
use cunlian_crdt::projector::{Projector as _, recount};
use cunlian_protocol::address::Level;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use rusqlite::{Connection, params_from_iter};

use super::*;
use crate::access::reader::Reader;
use crate::directory::{self, Contact};
use crate::library::catalogue::{self, Catalogue, Part};
use crate::library::{Fields, Origin, Place, query as record, record as command, relocation};
use crate::projection::GovernanceProjector;
use crate::ticket::{
    self as ticket_rules, Action, Channel, Kind, NewTicket, State, query as ticket, statistics,
};

mod disclosure;
mod reader;

const MORNING_MS: i64 = 1_783_641_600_000;
const HOUR_MS: i64 = 3_600_000;

/// Documents and their tables under one authority that may do everything.
struct Desk {
    connection: Connection,
    documents: BTreeMap<Home, DocumentView>,
    authority: Authority,
    author: Serial,
    changes: u8,
}

impl Desk {
    fn new() -> Self {
        let key = SigningKey::from_bytes(&[1; 32]);
        let mut authority = Authority::new(public_key(&key));
        let body = CertificateBody {
            subject: public_key(&key),
            name: "高城镇".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Town,
            grants: vec![Grant {
                region: Region::subtree(AddressCode::COUNTRY),
                document: None,
                categories: CategorySet::all(),
                rights: Rights::ALL,
                delegable: Rights::ALL,
            }],
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let author = authority.insert(&Certificate::issue(&body, &key)).unwrap();
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&GovernanceProjector.schema()).unwrap();
        Self { connection, documents: BTreeMap::new(), authority, author, changes: 0 }
    }

    fn write(&mut self, changes: Vec<Write>, at_ms: i64) {
        for write in changes {
            self.changes += 1;
            let writer = Writer {
                author: self.author,
                seq: u64::from(self.changes),
                recorded_at_ms: at_ms,
                change: ChangeId([self.changes; 32]),
                source: write.source,
                task: write.task,
                tainted: false,
            };
            let view = self.documents.entry(write.home).or_insert_with(|| DocumentView {
                home: write.home,
                fields: BTreeMap::new(),
                operations: Vec::new(),
                changes: 0,
                waiting: 0,
                tainted: Vec::new(),
                erased: None,
            });
            for edit in write.edits {
                apply(view, edit, &writer);
            }
            project(&self.connection, view, &self.authority);
        }
    }

    fn person(&mut self, number: u8, address: &str, fields: &[(&str, &str)]) -> Place {
        let place = Place { address: code(address), record: DocumentId([number; 16]) };
        let fields: Fields =
            fields.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect();
        let catalogue = Catalogue::built_in();
        let origin = Origin::default();
        let writes = command::register(&catalogue, "population", place, &fields, &origin).unwrap();
        self.write(writes, MORNING_MS);
        place
    }

    fn report(&mut self, number: u8, village: &str, text: &str) -> ticket_rules::Receipt {
        let new = NewTicket {
            village: code(village),
            channel: Channel::Plate,
            title: String::new(),
            text: text.to_owned(),
            kind: None,
            photos: Vec::new(),
            name: "苑大明".to_owned(),
            phone: "13800138000".to_owned(),
            source: "plate".to_owned(),
        };
        let (receipt, writes) =
            ticket_rules::report(&new, DocumentId([number; 16]), MORNING_MS).unwrap();
        self.write(writes, MORNING_MS);
        receipt
    }

    fn act(&mut self, receipt: &ticket_rules::Receipt, action: &Action, at_ms: i64) {
        let row = ticket::by_receipt(&self.connection, receipt).unwrap().unwrap();
        let view = self.documents.get(&row.home).unwrap();
        let write = ticket_rules::fold(view, &self.authority).act(action, "test").unwrap();
        self.write(vec![write], at_ms);
    }

    fn names(&self, text: &str) -> Vec<String> {
        let search =
            record::Search { text, class: None, region: code("370322102"), offset: 0, limit: 10 };
        let hits = record::search(&self.connection, &Reader::everything(), &search).unwrap();
        hits.hits.into_iter().map(|hit| hit.name).collect()
    }
}

fn apply(view: &mut DocumentView, edit: Edit, writer: &Writer) {
    match edit {
        Edit::Put { field, text } => {
            let current = FieldValue { text, writer: writer.clone() };
            view.fields.insert(field, FieldView { current, others: Vec::new() });
        }
        Edit::Delete { field } => drop(view.fields.remove(&field)),
        Edit::Review { .. } => {}
        Edit::Append { body } => {
            view.operations.push(Operation { body, writer: writer.clone(), reverted_by: None });
        }
    }
}

fn project(connection: &Connection, view: &DocumentView, authority: &Authority) {
    for table in GovernanceProjector.tables() {
        let sql = format!("DELETE FROM {table} WHERE document = ?1");
        connection.execute(&sql, [view.home.document.0]).unwrap();
    }
    for row in GovernanceProjector.rows(view, authority) {
        let marks = vec!["?"; row.values.len()].join(",");
        let sql = format!("INSERT INTO {} VALUES ({marks})", row.table);
        connection.execute(&sql, params_from_iter(&row.values)).unwrap();
    }
    recount(connection, &GovernanceProjector.rollups()).unwrap();
}

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

fn people() -> Desk {
    let mut desk = Desk::new();
    let house = "37032210231000100012";
    desk.person(1, house, &[("name", "苑建国"), ("id_number", "34052419800101001X")]);
    desk.person(2, house, &[("name", "苑丽"), ("sex", "女"), ("phone", "13800138000")]);
    desk.person(3, "37032210231100200001", &[("name", "张建国"), ("sex", "男")]);
    desk
}

/// Shows every way to search: name, given name, pinyin, initials, address, parts of numbers.
#[test]
fn records_are_found_by_what_people_type() {
    let desk = people();
    assert_eq!(desk.names("苑"), ["苑丽", "苑建国"]);
    assert_eq!(desk.names("建国"), ["张建国", "苑建国"], "no name begins so: any part");
    assert_eq!(desk.names("yuan li"), ["苑丽"]);
    assert_eq!(desk.names("ZJG"), ["张建国"]);
    assert_eq!(desk.names("370322102311"), ["张建国"]);
    assert_eq!(desk.names("138001"), ["苑丽"], "in the phone");
    assert_eq!(desk.names("01001x"), ["苑建国"], "the end of the ID number");
    assert_eq!(desk.names("'%_"), Vec::<String>::new());
}

/// Shows that pages neither repeat nor lose a hit.
#[test]
fn pages_follow_each_other() {
    let desk = people();
    let page = |offset| {
        let region = code("370322");
        let search = record::Search { text: "", class: Some(0), region, offset, limit: 2 };
        record::search(&desk.connection, &Reader::everything(), &search).unwrap()
    };
    let (first, second) = (page(0), page(2));
    assert!(first.more && !second.more);
    let names: Vec<_> = first.hits.iter().chain(&second.hits).map(|hit| &hit.name).collect();
    assert_eq!(names, ["苑丽", "苑建国", "张建国"]);
}

/// Shows that a record comes with the parts that are here and only these.
#[test]
fn a_record_has_the_parts_that_are_here() {
    let desk = people();
    let catalogue = catalogue::at(&desk.connection, code("370322102310")).unwrap();
    let class = catalogue.class("population").unwrap();
    let place = Place { address: code("37032210231000100012"), record: DocumentId([1; 16]) };
    let found = record::record(&desk.connection, class, place).unwrap().unwrap();
    let parts: Vec<_> = found.parts.iter().map(|part| part.part).collect();
    assert_eq!((found.name(), parts), ("苑建国", vec![Part::Base, Part::Identity]));
    assert_eq!(found.fields().get("birth").map(String::as_str), Some("1980-01-01"));
    let absent = Place { record: DocumentId([9; 16]), ..place };
    assert_eq!(record::record(&desk.connection, class, absent).unwrap(), None);
}

/// Shows that who may not read a part does not find it out by guessing its digits, and finds the
/// record by what the mask shows.
#[test]
fn numbers_are_found_only_by_who_may_read_them() {
    let mut desk = people();
    let base_only = desk.reader(CategorySet::of([Category::library(0, 0)]));
    let all = Reader::everything();
    let names = |text: &str, reader: &Reader| -> Vec<String> {
        let region = code("370322102");
        let search = record::Search { text, class: None, region, offset: 0, limit: 10 };
        let hits = record::search(&desk.connection, reader, &search).unwrap();
        hits.hits.into_iter().map(|hit| hit.name).collect()
    };
    assert_eq!(names("138001", &all), ["苑丽"]);
    assert_eq!(names("138001", &base_only), Vec::<String>::new());
    assert_eq!(names("0138000", &base_only), Vec::<String>::new());
    assert_eq!(names("01001x", &base_only), Vec::<String>::new());
    assert_eq!(names("8000", &base_only), ["苑丽"], "the mask shows the end");
    assert_eq!(names("340524", &base_only), ["苑建国"], "and the place of birth");
}

/// Shows that a child is found by the whole name by who may read it, and by the surname alone by
/// who may not.
#[test]
fn children_are_found_by_who_may_read_their_names() {
    let mut desk = people();
    desk.person(6, "370322102310", &[("sex", "男"), ("child_name", "苑小满")]);
    let base_only = desk.reader(CategorySet::of([Category::library(0, 0)]));
    let all = Reader::everything();
    let found = |text: &str, reader: &Reader| -> Vec<String> {
        let region = code("370322102");
        let search = record::Search { text, class: None, region, offset: 0, limit: 10 };
        let hits = record::search(&desk.connection, reader, &search).unwrap();
        hits.hits.into_iter().map(|hit| hit.name).collect()
    };
    assert_eq!(found("苑小满", &all), ["苑**"]);
    assert_eq!(found("小满", &all), ["苑**"]);
    assert_eq!(found("苑小满", &base_only), Vec::<String>::new());
    assert_eq!(found("苑", &base_only), ["苑**", "苑丽", "苑建国"]);
}

/// Shows that a record that has moved is in no list and no count of its old village, is still
/// found there by name and says where it is, and is whole in the new one.
#[test]
fn a_moved_record_is_found_and_not_counted() {
    let mut desk = people();
    let from = Place { address: code("37032210231000100012"), record: DocumentId([2; 16]) };
    let catalogue = catalogue::at(&desk.connection, from.address).unwrap();
    let class = catalogue.class("population").unwrap().clone();
    let homes = class.parts().map(|part| (part, class.home(part, from.address, from.record)));
    let views: Vec<_> =
        homes.filter_map(|(part, home)| Some((part, desk.documents.get(&home)?.clone()))).collect();
    let parts: Vec<_> = views.iter().map(|(part, view)| (*part, view)).collect();
    let to = code("370322102312");
    let (there, writes) =
        relocation::relocate(&class, from, to, &parts, &Origin::default()).unwrap();
    desk.write(writes, MORNING_MS + HOUR_MS);
    assert_eq!(desk.names("370322102310"), ["苑建国"]);
    assert_eq!(desk.names("370322102312"), ["苑丽"]);
    let villages =
        region::villages(&desk.connection, &Reader::everything(), code("370322102")).unwrap();
    let counts: Vec<_> = villages.iter().map(|v| (v.address.as_str(), v.records)).collect();
    let expected = [("370322102310", 1), ("370322102311", 1), ("370322102312", 1)];
    assert_eq!(counts, expected);
    let classes =
        region::counts_by_class(&desk.connection, &Reader::everything(), code("370322102"))
            .unwrap();
    assert_eq!(classes.iter().map(|c| (c.records, c.documents)).collect::<Vec<_>>(), [(3, 5)]);
    let search = record::Search {
        text: "苑丽",
        class: None,
        region: code("370322102"),
        offset: 0,
        limit: 10,
    };
    let hits = record::search(&desk.connection, &Reader::everything(), &search).unwrap().hits;
    let seen: Vec<_> = hits.iter().map(|hit| (hit.place, hit.moved_to)).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.contains(&(from, Some(there))) && seen.contains(&(there, None)), "{seen:?}");
    let found = record::record(&desk.connection, &class, there).unwrap().unwrap();
    assert_eq!(found.fields().get("phone").map(String::as_str), Some("13800138000"));
}

/// Shows that records at the code of a village that was joined to another are listed and counted
/// with the other, by either code, also where a node holds two regions.
#[test]
fn joined_villages_are_one() {
    let mut desk = people();
    desk.person(4, "370322102299", &[("name", "旧小满"), ("sex", "女")]);
    desk.report(30, "370322102299", "旧村口的路坏了");
    desk.report(31, "370322102310", "新村口的路灯坏了");
    let entry = |(field, text): (&str, &str)| Edit::Put { field: field.into(), text: text.into() };
    let edits = [
        ("370322102310", r#"{"name":"苑兴村"}"#),
        ("370322102299", r#"{"name":"旧苑村","status":"merged","successors":["370322102310"]}"#),
    ];
    let (category, document) = (Category::DIVISION, DocumentId([7; 16]));
    let home = Home { category, address: code("370322"), document };
    let edits = edits.map(entry).to_vec();
    let write = Write { home, edits, source: "list".to_owned(), task: String::new() };
    desk.write(vec![write], MORNING_MS);
    let both = ["苑丽", "苑建国", "旧小满"];
    assert_eq!(desk.names("370322102310"), both);
    assert_eq!(desk.names("370322102299"), both);
    let villages =
        region::villages(&desk.connection, &Reader::everything(), code("370322102")).unwrap();
    let counts: Vec<_> =
        villages.iter().map(|v| (v.address.as_str(), v.records, v.tickets)).collect();
    assert_eq!(counts, [("370322102310", 3, 2), ("370322102311", 1, 0)]);
    let regions = [code("370322102310"), code("370322102299")];
    let search = record::Search { text: "", class: None, region: regions[0], offset: 1, limit: 2 };
    let hits =
        record::search_within(&desk.connection, &Reader::everything(), &search, &regions).unwrap();
    let names: Vec<_> = hits.hits.iter().map(|hit| hit.name.as_str()).collect();
    assert_eq!((names, hits.more), (vec!["苑建国", "旧小满"], false));
    let filter = ticket::Filter::open(regions[0]);
    let rows =
        ticket::list_within(&desk.connection, &Reader::everything(), &filter, &regions).unwrap();
    assert_eq!(rows.len(), 2);
    let whole = ticket::list(
        &desk.connection,
        &Reader::everything(),
        &ticket::Filter::open(code("370322102")),
    )
    .unwrap();
    assert_eq!(rows, whole, "in the same order as one list");
}

/// Shows counts by class, by village, and which villages are in.
#[test]
fn figures_are_counted_by_region() {
    let mut desk = people();
    desk.report(20, "370322102312", "路灯不亮");
    let connection = &desk.connection;
    let classes =
        region::counts_by_class(connection, &Reader::everything(), code("370322")).unwrap();
    assert_eq!(classes.iter().map(|c| (c.records, c.documents)).collect::<Vec<_>>(), [(3, 5)]);
    let villages =
        region::counts_by_child(connection, &Reader::everything(), code("370322"), Level::Village)
            .unwrap();
    let counts: Vec<_> = villages.iter().map(|v| (v.address.as_str(), v.records())).collect();
    assert_eq!(counts, [("370322102310", 2), ("370322102311", 1)]);
    let status = region::villages(connection, &Reader::everything(), code("370322102")).unwrap();
    let status: Vec<_> =
        status.iter().map(|v| (v.address.as_str(), v.records, v.tickets)).collect();
    let expected = [("370322102310", 2, 0), ("370322102311", 1, 0), ("370322102312", 0, 1)];
    assert_eq!(status, expected);
}

/// Shows that the queue is ordered by due time, then what waits for acceptance, and that a
/// receipt, its contact and its trace are found.
#[test]
fn queues_are_ordered_by_due_time() {
    let mut desk = Desk::new();
    let village = "370322102310";
    let slow = desk.report(1, village, "村口的路坏了要修");
    let waiting = desk.report(2, village, "想问低保怎么申请");
    let urgent = desk.report(3, village, "河堤漏水了快来人");
    desk.act(&slow, &Action::Accept { kind: Kind::Other }, MORNING_MS + 1);
    desk.act(&urgent, &Action::Accept { kind: Kind::Emergency }, MORNING_MS + 2);
    let open = ticket::list(
        &desk.connection,
        &Reader::everything(),
        &ticket::Filter::open(code("370322")),
    )
    .unwrap();
    let receipts: Vec<_> = open.iter().map(|row| row.receipt.as_str()).collect();
    assert_eq!(receipts, [urgent.as_str(), slow.as_str(), waiting.as_str()]);
    let first = open.first().unwrap();
    assert_eq!(first.card(MORNING_MS + 2 + 2 * HOUR_MS), Some(ticket_rules::Card::Red));
    let contact = ticket::contact(&desk.connection, &first.home).unwrap().unwrap();
    assert_eq!((contact.name.as_str(), contact.phone.as_str()), ("苑大明", "13800138000"));
    let trace = ticket::trace(&desk.connection, &first.home).unwrap();
    let steps: Vec<_> = trace.iter().map(|s| (s.handler.as_str(), s.state)).collect();
    assert_eq!(steps, [("高城镇", State::Reported), ("高城镇", State::Accepted)]);
    let typed = ticket::by_receipt_text(&desk.connection, &urgent.as_str().to_lowercase());
    assert_eq!(typed.unwrap().unwrap().as_ref(), Some(first));
}

/// Shows that a queue can be narrowed to whom a ticket is assigned.
#[test]
fn queues_are_narrowed_by_assignee() {
    let mut desk = Desk::new();
    let receipt = desk.report(1, "370322102310", "村口的路坏了要修");
    desk.report(2, "370322102310", "想问低保怎么申请");
    desk.act(&receipt, &Action::Accept { kind: Kind::Other }, MORNING_MS + 1);
    let to = ticket_rules::Assignee { name: "村支书".to_owned(), address: code("370322102310") };
    desk.act(&receipt, &Action::Assign { to: to.clone() }, MORNING_MS + 2);
    let filter = ticket::Filter {
        assignee_region: Some(code("370322102310")),
        ..ticket::Filter::all(code("370322102"))
    };
    let rows = ticket::list(&desk.connection, &Reader::everything(), &filter).unwrap();
    assert_eq!(rows.iter().map(|row| row.assignee.clone()).collect::<Vec<_>>(), [Some(to)]);
    let filter = ticket::Filter { assignee: Some("别人".to_owned()), ..filter };
    assert!(ticket::list(&desk.connection, &Reader::everything(), &filter).unwrap().is_empty());
}

/// Shows that three families with the same question are one group and another matter is not in
/// it.
#[test]
fn families_with_the_same_question_are_grouped() {
    let mut desk = Desk::new();
    let village = "370322102310";
    let first = desk.report(1, village, "家里老房想翻建，请问需要办哪些手续？");
    desk.report(2, village, "村东路灯坏了三天了");
    desk.report(3, village, "想把老房翻建一下，要办什么手续");
    desk.report(4, village, "老房翻建需要办哪些手续");
    let row = ticket::by_receipt(&desk.connection, &first).unwrap().unwrap();
    let alike = ticket::similar(&desk.connection, &Reader::everything(), &row, 10).unwrap();
    let documents: Vec<_> = alike.iter().map(|row| row.home.document.0).collect();
    assert_eq!(documents.len(), 2, "{documents:?}");
    assert!(!documents.contains(&[2; 16]));
    let all =
        ticket::list(&desk.connection, &Reader::everything(), &ticket::Filter::all(code(village)))
            .unwrap();
    let mut sizes: Vec<_> = ticket::grouped(all).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3]);
}

/// Shows the rates of four tickets: one answered in time and rated, one rejected, one overdue,
/// one not accepted.
#[test]
fn rates_follow_their_definitions() {
    let mut desk = Desk::new();
    let village = "370322102310";
    let receipts: Vec<_> =
        (1..=4).map(|number| desk.report(number, village, "村口的路坏了要修")).collect();
    let [good, rejected, late, _] = receipts.as_slice() else { panic!("four receipts") };
    for receipt in [good, rejected, late] {
        desk.act(receipt, &Action::Accept { kind: Kind::Emergency }, MORNING_MS + 1);
    }
    let feedback = Action::Feedback { text: "已修好".to_owned(), photos: Vec::new() };
    desk.act(good, &feedback, MORNING_MS + HOUR_MS);
    desk.act(good, &Action::Rate { stars: 4, text: String::new() }, MORNING_MS + 2 * HOUR_MS);
    let reject = Action::Reject { reason: "重复".to_owned() };
    desk.act(rejected, &reject, MORNING_MS + HOUR_MS);
    let period = statistics::Period::until(MORNING_MS + 5 * HOUR_MS);
    let all =
        statistics::statistics(&desk.connection, &Reader::everything(), code("370322"), period)
            .unwrap();
    let rate = |numerator, denominator| statistics::Rate { numerator, denominator };
    let expected = statistics::Statistics {
        reported: 4,
        accepted: 3,
        rejected: 1,
        open: 2,
        overdue: 1,
        reply: rate(2, 3),
        completion: rate(2, 3),
        on_time: rate(2, 3),
        satisfaction: rate(1, 1),
    };
    assert_eq!(all, expected);
    assert_eq!(all.reply.basis_points(), Some(6_666));
    let towns = statistics::by_child(
        &desk.connection,
        &Reader::everything(),
        code("370322"),
        Level::Town,
        period,
    )
    .unwrap();
    assert_eq!(towns, BTreeMap::from([(code("370322102"), expected)]));
}

/// Shows that the contacts of a village come in the order of its page and a county's catalogue
/// reaches its villages and no others.
#[test]
fn directory_and_catalogue_are_read_back() {
    let mut desk = Desk::new();
    let village = code("370322102310");
    for (number, role) in [(2, "片警"), (1, "村支书")] {
        let contact = Contact {
            role: role.to_owned(),
            name: "李国强".to_owned(),
            phone: "05336310000".to_owned(),
            duty: String::new(),
            position: u32::from(number),
        };
        let document = DocumentId([number; 16]);
        let write = directory::publish(village, document, &contact, "form").unwrap();
        desk.write(vec![write], MORNING_MS);
    }
    let contacts = directory::query::contacts(&desk.connection, village).unwrap();
    let roles: Vec<_> = contacts.iter().map(|(_, contact)| contact.role.as_str()).collect();
    assert_eq!(roles, ["村支书", "片警"]);
    let mut orchard = Catalogue::built_in().class("farmland").unwrap().clone();
    orchard.number = 8;
    orchard.key = "orchard".to_owned();
    let write = catalogue::publish(&orchard, code("370322"), "county");
    desk.write(vec![write], MORNING_MS);
    let here = catalogue::at(&desk.connection, village).unwrap();
    assert_eq!(here.class("orchard"), Some(&orchard));
    let elsewhere = catalogue::at(&desk.connection, code("370323")).unwrap();
    assert_eq!(elsewhere, Catalogue::built_in());
}

//! What a reader may read: inside of the queries, and the same as the certificate says.

use std::collections::BTreeSet;

use cunlian_protocol::region::Depth;

use super::*;

/// Numbers from a seed, the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % end
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        let n = usize::try_from(self.below(all.len() as u64)).unwrap();
        all.get(n).unwrap().clone()
    }
}

const VILLAGES: [&str; 4] = ["370322102310", "370322102311", "370322103201", "370323001001"];

/// Tickets of four villages in several states, two of them assigned.
fn tickets() -> Desk {
    let mut desk = Desk::new();
    for (n, village) in (1_u8..=16).zip(VILLAGES.iter().cycle()) {
        let receipt = desk.report(n, village, &format!("村口第{n}段路坏了，要修一修"));
        if n % 2 == 0 {
            desk.act(&receipt, &Action::Accept { kind: Kind::Other }, MORNING_MS + i64::from(n));
        }
        if n % 4 == 0 {
            let name = if n % 8 == 0 { "高城镇综合执法队" } else { "高城镇水利站" };
            let to = ticket_rules::Assignee { name: name.to_owned(), address: code("370322102") };
            desk.act(&receipt, &Action::Assign { to }, MORNING_MS + HOUR_MS);
        }
    }
    desk
}

impl Desk {
    /// A person whose certificate holds `grants`.
    fn holder(&mut self, grants: Vec<Grant>, number: u8) -> Serial {
        let body = CertificateBody {
            subject: public_key(&SigningKey::from_bytes(&[number; 32])),
            name: format!("读者{number}"),
            kind: AuthorKind::Operator,
            tier: Tier::Town,
            grants,
            issued_at_ms: i64::from(number),
            not_after_ms: i64::MAX,
            issuer: Some(self.author),
        };
        let key = SigningKey::from_bytes(&[1; 32]);
        self.authority.insert(&Certificate::issue(&body, &key)).unwrap()
    }

    /// Who reads these kinds of data, wherever they are.
    pub(super) fn reader(&mut self, categories: CategorySet) -> Reader {
        let grant = Grant {
            region: Region::subtree(AddressCode::COUNTRY),
            document: None,
            categories,
            rights: Rights::READ,
            delegable: Rights::NONE,
        };
        let serial = self.holder(vec![grant], 200);
        Reader::of(&self.authority, &serial)
    }

    fn ticket_homes(&self) -> BTreeSet<Home> {
        let homes = self.documents.keys().filter(|home| home.category == Category::TICKET);
        homes.copied().collect()
    }

    /// Holds what every query gives against `expected`.
    fn check(&self, reader: &Reader, expected: &BTreeSet<Home>, about: &str) {
        let (connection, country) = (&self.connection, AddressCode::COUNTRY);
        let all = ticket::Filter { limit: 1_000, ..ticket::Filter::all(country) };
        let listed = ticket::list(connection, reader, &all).unwrap();
        let homes: BTreeSet<Home> = listed.iter().map(|row| row.home).collect();
        assert_eq!((&homes, listed.len()), (expected, expected.len()), "list, {about}");
        let counted = ticket::count_within(connection, reader, &all, &[country]).unwrap();
        let size = expected.len() as u64;
        assert_eq!(counted, size, "count, {about}");
        let by_state = ticket::counts_by_state(connection, reader, country).unwrap();
        assert_eq!(by_state.iter().map(|(_, n)| n).sum::<u64>(), size, "by state, {about}");
        let open = ticket::Filter { limit: 1_000, ..ticket::Filter::open(country) };
        let open = ticket::list(connection, reader, &open).unwrap();
        let mut of_villages: BTreeMap<AddressCode, u64> = BTreeMap::new();
        for row in &open {
            *of_villages.entry(row.home.address).or_default() += 1;
        }
        let by_address = ticket::open_by_address(connection, reader, country).unwrap();
        assert_eq!(by_address, of_villages, "open by address, {about}");
        let period = statistics::Period::until(MORNING_MS + 2 * HOUR_MS);
        let figures = statistics::statistics(connection, reader, country, period).unwrap();
        assert_eq!(figures.reported, size, "statistics, {about}");
        let pages: Vec<Home> = (0..)
            .map(|page| ticket::Filter { offset: page * 3, limit: 3, ..all.clone() })
            .map(|page| ticket::list(connection, reader, &page).unwrap())
            .take_while(|page| !page.is_empty())
            .inspect(|page| assert!(page.len() == 3 || page.len() == expected.len() % 3, "{about}"))
            .flatten()
            .map(|row| row.home)
            .collect();
        let in_one: Vec<Home> = listed.iter().map(|row| row.home).collect();
        assert_eq!(pages, in_one, "whole pages, {about}");
        for row in &listed {
            let alike = ticket::similar(connection, reader, row, 100).unwrap();
            assert!(alike.iter().all(|row| expected.contains(&row.home)), "similar, {about}");
        }
    }
}

/// Shows for many sets of grants that every list, count and rate over tickets is of exactly those
/// that the certificate lets its holder read, in whole pages.
#[test]
fn queries_give_what_the_certificate_lets_read() {
    let mut desk = tickets();
    let homes = desk.ticket_homes();
    let mut dice = Dice(7);
    let prefixes = ["", "37", "370322", "370322102", "370322102310", "3703221023", "370323001001"];
    let (mut some, mut none) = (0, 0);
    for number in 10..130 {
        let grants = (0..=dice.below(3)).map(|_| {
            let categories = [
                CategorySet::all(),
                CategorySet::of([Category::TICKET]),
                CategorySet::of([Category::TICKET_CONTACT]),
            ];
            let prefix = loop {
                if let Ok(prefix) = AddressCode::parse(dice.of(&prefixes)) {
                    break prefix;
                }
            };
            let of_document = dice.below(4) == 0;
            let subtree = !of_document && dice.below(3) > 0;
            let depth = if subtree { Depth::Subtree } else { Depth::Exact };
            let document = DocumentId([u8::try_from(1 + dice.below(16)).unwrap(); 16]);
            Grant {
                region: Region { prefix, depth },
                document: of_document.then_some(document),
                categories: dice.of(&categories),
                rights: dice.of(&[Rights::READ, Rights::READ.with(Rights::WRITE), Rights::WRITE]),
                delegable: Rights::NONE,
            }
        });
        let grants: Vec<Grant> = grants.collect();
        let about = format!("{grants:?}");
        let serial = desk.holder(grants, number);
        let may = |home: &&Home| desk.authority.may(&serial, Rights::READ, home).is_ok();
        let expected: BTreeSet<Home> = homes.iter().filter(may).copied().collect();
        let reader = Reader::of(&desk.authority, &serial);
        desk.check(&reader, &expected, &about);
        assert!(homes.iter().all(|home| reader.may_read(home) == expected.contains(home)));
        if expected.is_empty() { none += 1 } else { some += 1 }
    }
    assert!(some > 20 && none > 5, "{some} and {none}: the dice show both");
    desk.check(&Reader::of(&desk.authority, &Serial([99; 16])), &BTreeSet::new(), "a stranger");
}

/// Shows that who reads by assignment finds what names them, nothing else, and nothing of tickets
/// where a query is over documents of all kinds.
#[test]
fn officers_read_what_is_assigned_to_them() {
    let mut desk = tickets();
    let everything = Grant {
        region: Region::subtree(AddressCode::COUNTRY),
        document: None,
        categories: CategorySet::all(),
        rights: Rights::READ,
        delegable: Rights::NONE,
    };
    let serial = desk.holder(vec![everything], 9);
    let reader = Reader::of(&desk.authority, &serial);
    let unit =
        |name: &str| reader.clone().only_assigned_to(vec!["孙队".to_owned(), name.to_owned()]);
    let of = |numbers: &[u8]| -> BTreeSet<Home> {
        let homes = desk.ticket_homes().into_iter();
        homes.filter(|home| numbers.iter().any(|n| home.document.0 == [*n; 16])).collect()
    };
    desk.check(&unit("高城镇综合执法队"), &of(&[8, 16]), "one unit");
    desk.check(&unit("高城镇水利站"), &of(&[4, 12]), "another");
    desk.check(&unit("高城镇"), &of(&[]), "the beginning of a name is no name");
    desk.check(&unit("' OR 1=1 --"), &of(&[]), "a name is no SQL");
    desk.check(&reader.clone().only_assigned_to(Vec::new()), &of(&[]), "no name at all");
    let ticket = desk.ticket_homes().first().copied().unwrap();
    let person = Home { category: Category::library(0, 0), ..ticket };
    for home in [&ticket, &person] {
        let sql = "INSERT INTO conflict (category, address, document, field, options)
            VALUES (?1, ?2, ?3, 'name', '[]')";
        let values = (home.category.0, home.address.as_str(), home.document.0);
        desk.connection.execute(sql, values).unwrap();
    }
    let count = |reader: &Reader| {
        conflict::count_within(&desk.connection, reader, &[AddressCode::COUNTRY]).unwrap()
    };
    assert_eq!((count(&reader), count(&unit("高城镇水利站"))), (2, 1));
    let listed = conflict::list(&desk.connection, &unit("高城镇水利站"), AddressCode::COUNTRY, 9);
    assert_eq!(listed.unwrap().into_iter().map(|it| it.home).collect::<Vec<_>>(), [person]);
}

/// Shows that figures of the library count what their reader may read, and nothing of what is not
/// for them: by region and by category.
#[test]
fn figures_count_what_the_reader_may_read() {
    let mut desk = people();
    let (county, [one, other]) = (code("370322"), ["370322102310", "370322102311"].map(code));
    let grant = |region, categories| Grant {
        region: Region::subtree(region),
        document: None,
        categories,
        rights: Rights::READ,
        delegable: Rights::NONE,
    };
    let own = desk.holder(vec![grant(other, CategorySet::all())], 10);
    let tickets = desk.holder(vec![grant(county, CategorySet::of([Category::TICKET]))], 11);
    let connection = &desk.connection;
    let counted = |reader: &Reader| {
        let classes = region::counts_by_class(connection, reader, county).unwrap();
        let by_class: Vec<_> = classes.iter().map(|c| (c.records, c.documents)).collect();
        let by_child = region::counts_by_child(connection, reader, county, Level::Village).unwrap();
        let by_child: Vec<_> = by_child.iter().map(|c| (c.address, c.records())).collect();
        let villages = region::villages(connection, reader, county).unwrap();
        let in_villages: u64 = villages.iter().map(|village| village.records).sum();
        assert_eq!(villages.len(), 2, "that something is there is told");
        (by_class, by_child, in_villages)
    };
    let whole = (vec![(3, 5)], vec![(one, 2), (other, 1)], 3);
    assert_eq!(counted(&Reader::everything()), whole);
    assert_eq!(counted(&Reader::of(&desk.authority, &Serial([99; 16]))), (vec![], vec![], 0));
    let (classes, children, villages) = counted(&Reader::of(&desk.authority, &own));
    assert_eq!((classes.len(), children, villages), (1, vec![(other, 1)], 1));
    assert_eq!(counted(&Reader::of(&desk.authority, &tickets)), (vec![], vec![], 0));
}

/// Shows that a page of a search is whole and nothing is said to come after it where the records in
/// between are not for the reader, by every way of looking.
#[test]
fn a_page_of_records_is_of_what_the_reader_may_read() {
    let mut desk = Desk::new();
    for number in 1..=12 {
        let village = if number % 3 == 0 { "370322102311" } else { "370322102310" };
        let phone = format!("1380000{number:04}");
        desk.person(number, village, &[("name", "苑一"), ("sex", "男"), ("phone", &phone)]);
    }
    let grant = Grant {
        region: Region::subtree(code("370322102311")),
        document: None,
        categories: CategorySet::all(),
        rights: Rights::READ,
        delegable: Rights::NONE,
    };
    let serial = desk.holder(vec![grant], 10);
    let reader = Reader::of(&desk.authority, &serial);
    let region = code("370322102");
    for text in ["", "苑一", "yuan", "yy", "1380000", "苑"] {
        let page = |offset, limit| {
            let search = record::Search { text, class: None, region, offset, limit };
            let found = record::search(&desk.connection, &reader, &search).unwrap();
            let places = found.hits.iter().map(|hit| hit.place.address);
            assert!(places.into_iter().all(|place| place == code("370322102311")), "{text}");
            (found.hits.len(), found.more)
        };
        assert_eq!(page(0, 3), (3, true), "{text:?}");
        assert_eq!(page(3, 3), (1, false), "{text:?}");
        assert_eq!(page(0, 4), (4, false), "{text:?}");
    }
}

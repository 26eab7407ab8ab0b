//! Imports into a register in memory, and questions to it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::io::{self, Read};
use std::ops::Deref;
use std::sync::Arc;

use cunlian_crdt::document::Author;
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_protocol::address::{AddressCode, AddressError};
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::{SigningKey, public_key};
use rusqlite::Connection;

use super::*;
use crate::access::acting::Acting;
use crate::access::preset;
use crate::access::reader::Reader;
use crate::capabilities::Kinds;
use crate::projection::GovernanceProjector;
use crate::refusal::Failed;

/// County 370322 as published; see `tests/data/README.md`.
const GAOQING: &str = include_str!("../../../deploy/demo/divisions-370322.csv");

/// A node that founded the federation of the whole country, and a look into its tables.
struct Register {
    store: Store,
    author: Author,
    tables: Connection,
    _directory: tempfile::TempDir,
}

impl Deref for Register {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.tables
    }
}

/// The node of `tier` at `region`, certified by the root itself, or by a county that the root did.
fn node(tier: Tier, region: &str, is_founder: bool) -> Register {
    let key = |seed| SigningKey::from_bytes(&[seed; 32]);
    let root = public_key(&key(1));
    let body = |seed: u8, tier, region: &str, issuer| CertificateBody {
        subject: public_key(&key(seed)),
        name: region.to_owned(),
        kind: AuthorKind::Node,
        tier,
        grants: preset::grants(
            &Kinds::built_in(),
            tier,
            AddressCode::parse_or_country(region).unwrap(),
        ),
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer,
    };
    let mut chain = Vec::new();
    let mut issuer = None;
    if !is_founder {
        chain.push(Certificate::issue(&body(2, Tier::County, &region[..6], None), &key(1)));
        issuer = Some(Serial::of(&chain[0]));
    }
    let by = if is_founder { key(1) } else { key(2) };
    chain.push(Certificate::issue(&body(3, tier, region, issuer), &by));
    let serial = Serial::of(chain.last().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { root, own: Some(serial), chain };
    let projector = Arc::new(GovernanceProjector);
    let store =
        Store::open(directory.path(), projector, identity, StoreOptions::default()).unwrap();
    let tables = Connection::open(directory.path().join("store.sqlite")).unwrap();
    Register {
        store,
        author: Author { serial, key: key(3), session: 1 },
        tables,
        _directory: directory,
    }
}

fn register() -> Register {
    node(Tier::Province, "", true)
}

fn bring(
    register: &Register,
    list: impl Read,
    progress: impl FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let reader = Reader::everything();
    let Register { store, author, .. } = register;
    let acting = Acting { store, author, reader: &reader, source: "list", now_ms: 1_000 };
    import(&acting, list, progress)
}

fn load(register: &Register, list: &str) -> ImportReport {
    bring(register, list.as_bytes(), |_| {}).unwrap()
}

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

fn counts(report: &ImportReport) -> [u64; 5] {
    [
        report.rows,
        report.inserted,
        report.updated,
        report.unchanged,
        report.rejected_count + report.placeholder_count + report.outside_count,
    ]
}

#[test]
fn a_county_is_imported_and_importing_it_again_changes_nothing() {
    let connection = register();
    assert_eq!(counts(&load(&connection, GAOQING)), [328, 328, 0, 0, 0]);
    assert_eq!(counts(&load(&connection, GAOQING)), [328, 0, 0, 328, 0]);
    let villages = children(&connection, &code("370322102")).unwrap();
    assert_eq!(villages.len(), 42);
    assert!(villages.is_sorted_by_key(|village| village.code));
    let path = name_path(&connection, &code("370322102310")).unwrap();
    assert_eq!(path, ["高青县", "高城镇", "苑兴村村民委员会"]);
}

/// Names are not keys: the county has villages that share one.
#[test]
fn villages_with_one_name_stay_apart() {
    let connection = register();
    load(&connection, GAOQING);
    let shared: u32 = connection
        .query_row(
            "SELECT count(*) FROM (SELECT name FROM division_register WHERE level = 12
             GROUP BY name HAVING count(*) > 1)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(shared, 3);
}

#[test]
fn byte_order_mark_line_breaks_and_blank_lines_make_no_difference() {
    let plain = register();
    let windows = register();
    let expected = load(&plain, GAOQING);
    let list = format!("\u{feff}{}\r\n\r\n", GAOQING.trim_end().replace('\n', "\r\n"));
    assert_eq!(load(&windows, &list), expected);
    for town in children(&plain, &code("370322")).unwrap() {
        assert_eq!(find(&windows, &town.code).unwrap(), Some(town));
    }
}

/// Shows that every row of a list is new, changed, known or refused with its line, whatever ends
/// its lines and whatever stands in them: none is swallowed by the one before.
#[test]
fn every_row_comes_to_something() {
    let rows = [
        "37,province,山东省,",
        "3703,city,淄博市,37",
        "370322,county,\"高青\"\"县\",3703",
        "370322102,town,\"高城",
        "镇\",370322",
        ",,,",
        "370322103,town,黑里寨镇,370322,too,many",
        "3703,city,淄博市,37",
        "\u{feff}370322104,town,唐坊镇,370322",
    ];
    let expected = [9, 4, 0, 1, 4];
    for end in ["\n", "\r\n", "\r", "\r\n\r\n", "\n \t\n", "\r\r"] {
        for (mark, last) in [("", ""), ("\u{feff}", ""), ("", end), ("\u{feff}", end)] {
            let head = format!("{mark}code,level,name,parent{end}");
            let list = head + &rows.join(end) + last;
            let report = load(&register(), &list);
            assert_eq!(counts(&report), expected, "{list:?}: {report:#?}");
            let first = if end.len() > 2 || end == "\r\r" { 9 } else { 5 };
            let refused: Vec<u64> = report.rejected.iter().map(|row| row.line).collect();
            assert_eq!(refused[0], first, "{refused:?}");
        }
    }
    // Line breaks of two machines in one file, where somebody has put lists together.
    let mixed = "code,name\r\n37,山东省\r13,河北省\n\n14,山西省";
    assert_eq!(counts(&load(&register(), mixed)), [3, 3, 0, 0, 0]);
}

#[test]
fn malformed_rows_are_reported_by_line_and_the_rest_is_imported() {
    let connection = register();
    let report = load(
        &connection,
        "code,level,name,parent\n\
         370322,county,高青县,\n\
         37032,county,高青县,\n\
         \n\
         370322102,town,\"高城镇,370322\n\
         370322102310,village,苑兴村,370322102\n\
         3.70322E+11,village,苑兴村,370322102\n",
    );
    assert_eq!(counts(&report), [5, 2, 0, 0, 3]);
    let found: Vec<_> = report.rejected.iter().map(|row| (row.line, &row.reason)).collect();
    let short = RowError::Code(AddressError::Length { got: 5 });
    let number = RowError::Code(AddressError::NotADigit { offset: 1, found: '.' });
    assert_eq!(found, [(3, &short), (5, &RowError::Quote), (7, &number)]);
    assert_eq!(report.rejected[1].text, "370322102,town,\"高城镇,370322");
    assert_eq!(report.missing_parents, 1, "the town of the village was rejected");
}

#[test]
fn long_lines_and_long_reports_are_bounded() {
    let connection = register();
    let mut list = String::from("code,name\n");
    list.push_str(&"村".repeat(LINE_BYTES_MAX));
    list.push('\n');
    list.push_str(&"x,y\n".repeat(500));
    list.push_str("37,山东省\n");
    let report = load(&connection, &list);
    assert_eq!(counts(&report), [502, 1, 0, 0, 501]);
    assert_eq!(report.rejected.len(), LISTED_MAX);
    assert_eq!(report.rejected[0].reason, RowError::LineLength);
    assert_eq!(report.rejected[0].text.chars().count(), 81);
}

#[test]
fn the_placeholder_is_reported_and_not_entered() {
    let connection = register();
    let report = load(
        &connection,
        "code,name,streetCode,provinceCode,cityCode,areaCode\n\
         350526204229,\"双芹村委会\",350526204,35,3505,350526\n\
         350527000000,\"金门县\",350527000,35,3505,350527\n\
         350581001001,\"湖滨社区居委会\",350581001,35,3505,350581\n",
    );
    assert_eq!(counts(&report), [3, 2, 0, 0, 1]);
    let name = "金门县".to_owned();
    let expected = Placeholder { line: 3, code: code("350527000000"), name };
    assert_eq!(report.placeholders, [expected]);
    assert_eq!(find(&connection, &code("350527000000")).unwrap(), None);
}

#[test]
fn a_list_of_one_level_rejects_the_others() {
    let connection = register();
    let report = load(
        &connection,
        "code,name,areaCode,provinceCode,cityCode\n370322102310,苑兴村,370322,37,3703\n",
    );
    assert_eq!(report.rejected[0].reason.to_string(), {
        "level \"town\" does not fit a code of the level village"
    });
}

#[test]
fn no_list_is_an_error_and_says_why() {
    let connection = register();
    let failure = |list: &[u8]| bring(&connection, list, |_| {}).unwrap_err();
    assert!(matches!(failure(b""), ImportError::List(ListError::Empty)));
    assert!(matches!(
        failure(b"name,population\n"),
        ImportError::List(ListError::Header(HeaderError::Missing { missing: "code", .. }))
    ));
    assert!(matches!(
        failure(b"PK\x03\x04\xff"),
        ImportError::List(ListError::Header(HeaderError::Encoding))
    ));
}

/// A list that ends in an error, as from a stick pulled out, after so many bytes.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("unplugged")),
            read => Ok(read),
        }
    }
}

#[test]
fn an_interrupted_import_leaves_whole_batches_and_is_finished_by_the_next() {
    let connection = register();
    let mut list = String::from("code,name,streetCode\n");
    for number in 0..BATCH_ROWS + 500 {
        let town = 370_322_100 + number / 400;
        writeln!(list, "{town}{},村{number},{town}", 200 + number % 400).unwrap();
    }
    let error = bring(&connection, Broken(list.as_bytes()), |_| {}).unwrap_err();
    assert!(
        matches!(error, ImportError::List(ListError::Read { line, .. }) if line == BATCH_ROWS + 501),
        "{error}"
    );
    let report = load(&connection, &list);
    assert_eq!(counts(&report), [BATCH_ROWS + 500, 500, 0, BATCH_ROWS, 0]);
}

#[test]
fn progress_counts_rows_and_bytes_to_the_end() {
    let connection = register();
    let mut last = Progress { bytes: 0, rows: 0 };
    bring(&connection, GAOQING.as_bytes(), |progress| last = progress).unwrap();
    assert_eq!(last, Progress { bytes: GAOQING.len() as u64, rows: 328 });
}

const REFORMS: &str = "code,level,name,parent,status,successors\n\
    370322102,town,高城镇,370322,active,\n\
    370322102201,village,甲村,370322102,merged,370322102203\n\
    370322102202,village,乙村,370322102,merged,370322102203\n\
    370322102203,village,丙村,370322102,split,370322102204|370322102205\n\
    370322102204,village,丁村,370322102,active,\n\
    370322102205,village,戊村,370322102,active,\n\
    370322102206,village,己村,370322102,revoked,\n\
    370322102207,village,庚村,370322102,merged,370322102208\n\
    370322102208,village,辛村,370322102,merged,370322102207\n\
    370322102209,village,壬村,370322102,merged,370322102999\n";

/// Codes of the active divisions a code leads to.
fn successors(connection: &Connection, text: &str) -> Vec<String> {
    let resolution = resolve(connection, &code(text)).unwrap();
    let Resolution::Succeeded { from, to } = resolution else {
        panic!("{text} has no successors: {resolution:?}");
    };
    assert!(from.code.contains(&code(text)));
    to.iter().map(|division| division.code.to_string()).collect()
}

#[test]
fn old_codes_still_resolve() {
    let connection = register();
    load(&connection, REFORMS);
    let active = find(&connection, &code("370322102204")).unwrap().unwrap();
    let resolved = resolve(&connection, &active.code).unwrap();
    assert_eq!(resolved, Resolution::Active(active));
    let twice = ["370322102204", "370322102205"];
    assert_eq!(successors(&connection, "370322102201"), twice, "merged, then split");
    assert_eq!(successors(&connection, "370322102202001"), twice, "a grid follows its village");
    assert_eq!(resolve(&connection, &code("370322102999")).unwrap(), Resolution::Unknown);
}

/// Shows that every code a village has ever had leads to the same records, and that one which was
/// split names no single place.
#[test]
fn a_family_is_all_codes_of_one_place() {
    let connection = register();
    load(&connection, REFORMS);
    let family = |text: &str| -> Vec<String> {
        family(&connection, &code(text)).iter().map(ToString::to_string).collect()
    };
    let all = ["370322102204", "370322102205", "370322102203", "370322102201", "370322102202"];
    assert_eq!(family("370322102201"), all);
    let one = ["370322102204", "370322102203", "370322102201", "370322102202"];
    assert_eq!(family("370322102204"), one, "not its sister");
    assert_eq!(family("370322102206"), ["370322102206"], "revoked");
    assert_eq!(family("370322102998"), ["370322102998"], "unknown");
    assert_eq!(successor(&connection, &code("370322102201")), None, "split");
    load(
        &connection,
        "code,level,name,parent,status,successors\n370322102209,village,壬村,370322102,merged,370322102205\n",
    );
    assert_eq!(successor(&connection, &code("370322102209")), Some(code("370322102205")));
    let nothing = Connection::open_in_memory().unwrap();
    assert_eq!(super::family(&nothing, &code("370322102201")), [code("370322102201")]);
}

#[test]
fn codes_without_an_active_successor_end() {
    let connection = register();
    load(&connection, REFORMS);
    for (text, why) in [
        ("370322102206", "revoked"),
        ("370322102207", "a cycle"),
        ("370322102209", "a successor that the register does not know"),
    ] {
        let resolution = resolve(&connection, &code(text)).unwrap();
        assert!(matches!(resolution, Resolution::Ended(_)), "{why}: {resolution:?}");
    }
}

#[test]
fn successors_are_followed_to_a_bound() {
    let connection = register();
    let mut list = String::from("code,level,name,parent,status,successors\n");
    for number in 0..=RESOLVE_CODES_MAX {
        let (old, new) = (370_322_100_200 + number, 370_322_100_201 + number);
        writeln!(list, "{old},village,村,370322100,merged,{new}").unwrap();
    }
    assert_eq!(load(&connection, &list).rejected, []);
    assert!(matches!(
        resolve(&connection, &code("370322100200")),
        Err(LookupError::TooManySuccessors { limit: RESOLVE_CODES_MAX, .. })
    ));
    let near_the_end = code(&(370_322_100_200 + RESOLVE_CODES_MAX - 3).to_string());
    assert!(matches!(resolve(&connection, &near_the_end).unwrap(), Resolution::Ended(_)));
}

/// The national list has no statuses, so it must not bring a merged village back to life.
#[test]
fn a_list_without_statuses_leaves_them_alone() {
    let connection = register();
    load(&connection, REFORMS);
    let report = load(
        &connection,
        "code,name,streetCode\n370322102201,甲村村民委员会,370322102\n370322102202,乙村,370322102\n",
    );
    assert_eq!(counts(&report), [2, 0, 1, 1, 0]);
    let village = find(&connection, &code("370322102201")).unwrap().unwrap();
    assert_eq!(village.name, "甲村村民委员会");
    assert_eq!((village.status, village.successors), (Status::Merged, vec![code("370322102203")]));
}

/// Shows what people call a place whose register entry names its committee.
#[test]
fn committees_are_called_by_their_village() {
    for (long, short) in [
        ("苑兴村民委员会", "苑兴村"),
        ("苑兴村村民委员会", "苑兴村"),
        ("和平社区居民委员会", "和平社区"),
        ("西关村委会", "西关村"),
        ("高城镇", "高城镇"),
    ] {
        assert_eq!(spoken_name(long), short);
    }
}

/// Shows that a county publishes its own places and what they belong to, and that those of others
/// are named and left out.
#[test]
fn a_county_publishes_its_own_places() {
    let county = node(Tier::County, "370322", true);
    let list = "code,level,name,parent\n37,province,山东省,\n370322,county,高青县,\n\
        370322102,town,高城镇,370322\n370323,county,沂源县,\n370323100,town,南麻,370323\n";
    let report = load(&county, list);
    assert_eq!((report.inserted, report.outside_count), (3, 2));
    let outside: Vec<_> = report.outside.iter().map(|row| row.code.as_str()).collect();
    assert_eq!(outside, ["370323", "370323100"]);
    let homes: Vec<String> = county
        .prepare("SELECT DISTINCT address FROM division_published")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(homes, ["370322"], "where every node below reads");
}

/// Shows that who does not keep the register is told where it is kept, before a row is read, and
/// that a town that founded its federation keeps its own.
#[test]
fn the_register_is_published_where_it_is_kept() {
    for (tier, region) in [(Tier::Town, "370322102"), (Tier::Village, "370322102310")] {
        let below = node(tier, region, false);
        let told = bring(&below, GAOQING.as_bytes(), |_| panic!("nothing was written"));
        let Err(ImportError::Publish(Failed::Refused(error))) = told else { panic!("{told:?}") };
        assert_eq!(error, PublishError::Elsewhere { county: "370322".to_owned() });
    }
    let town = node(Tier::Town, "370322102", true);
    let report = load(&town, GAOQING);
    assert_eq!((report.inserted, report.outside_count), (43, 285), "the town and its 42 villages");
}

/// Shows that a reform of one village is one change, and that publishing a list again is none.
#[test]
fn only_what_changed_is_written() {
    let county = node(Tier::County, "370322", true);
    let changes = || county.store.counts().unwrap().total.changes;
    load(&county, GAOQING);
    let whole = changes();
    assert_eq!(whole, 11, "the county, its towns, and the villages of each of nine");
    load(&county, GAOQING);
    assert_eq!(changes(), whole);
    let reform = "370322102311,village,x,370322102,merged,370322102310";
    load(&county, &format!("code,level,name,parent,status,successors\n{reform}\n"));
    assert_eq!(changes(), whole + 1);
}

/// Shows that the import tells of successors that nobody can be led to.
#[test]
fn successors_that_are_missing_are_told() {
    let register = register();
    let report = load(&register, REFORMS);
    assert_eq!(report.missing_successor_count, 1);
    let missing = &report.missing_successors[0];
    assert_eq!((missing.code, missing.successor), (code("370322102209"), code("370322102999")));
}

/// Shows that what a machine knew before the register was published counts until a code is in it:
/// lists that an older program imported, and the names of the node's own certificates.
#[test]
fn what_a_machine_knew_stands_until_the_register_has_it() {
    let county = node(Tier::County, "370322", true);
    let places = [
        (code("370322"), "高青".to_owned()),
        (code("370322102"), "高城".to_owned()),
        (code("370322102310"), "苑兴".to_owned()),
    ];
    assert_eq!(unknown_places(&county, &places).unwrap(), places);
    assert_eq!(keep_own_names(&county, &places).unwrap(), 3);
    assert_eq!(keep_own_names(&county, &places).unwrap(), 0);
    assert_eq!(unknown_places(&county, &places).unwrap(), []);
    let path = || name_path(&county, &code("370322102310")).unwrap();
    assert_eq!(path(), ["高青", "高城", "苑兴"]);
    county
        .execute(
            "UPDATE division SET status = 'merged', successors = '370322102311'
             WHERE code = '370322102310'",
            [],
        )
        .unwrap();
    let list = "code,level,name,parent\n370322102,town,高城镇,370322\n\
        370322102310,village,苑兴村,370322102\n";
    load(&county, list);
    assert_eq!(path(), ["高青", "高城镇", "苑兴村"]);
    let village = find(&county, &code("370322102310")).unwrap().unwrap();
    assert_eq!(village.status, Status::Merged, "a list without statuses says nothing of them");
    assert_eq!(children(&county, &code("370322102")).unwrap().len(), 1);
}

/// Shows that of two registers the one that was published higher up counts, whichever came first.
#[test]
fn the_higher_register_counts() {
    let register = register();
    for (address, name) in [("370322102", "低"), ("370322", "高")] {
        register
            .execute(
                "INSERT INTO division_published VALUES (20, ?1, x'00', '370322102', 9, ?2, '',
                 'active', '')",
                [address, name],
            )
            .unwrap();
    }
    assert_eq!(find(&register, &code("370322102")).unwrap().unwrap().name, "高");
    assert_eq!(name_path(&register, &code("370322102")).unwrap(), ["高"]);
}

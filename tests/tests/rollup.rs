//! Rollups: sums over tickets are those of a recount at every moment, whatever happens to the
//! tickets, and the figures asked from them are those of the tickets themselves.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::projector::Projector as _;
use cunlian_crdt::store::{Store, Unsent};
use cunlian_governance::access::reader::Reader;
use cunlian_governance::generator::{Generator, SampleTicket};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_governance::ticket::statistics::{Period, Rate, Statistics, by_child, statistics};
use cunlian_governance::ticket::{Channel, NewTicket, report};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::region::Region;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, Selection, StoreReply, StoreRequest};
use cunlian_tests::member::Member;
use cunlian_tests::world::{TOWN, open};
use proptest::prelude::*;
use rusqlite::{Connection, named_params};
use tempfile::tempdir;

const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const VILLAGES: [&str; 2] = ["370322102310", "370322102311"];

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

/// The figures of a region counted ticket by ticket, in the words of their definitions.
fn counted(connection: &Connection, region: &str, period: Period) -> Statistics {
    let mut select = connection
        .prepare(
            "SELECT state, accepted_ms, replied_ms, completed_ms, stopped_ms, due_ms, stars
             FROM ticket WHERE substr(address, 1, length(:region)) = :region
                 AND reported_ms >= :from AND reported_ms < :to",
        )
        .unwrap();
    let named = named_params! {
        ":region": region, ":from": period.from_ms, ":to": period.to_ms,
    };
    let mut rows = select.query(named).unwrap();
    let mut all = Statistics::default();
    let count = |rate: &mut Rate, of: bool, has: bool| {
        rate.denominator += u64::from(of);
        rate.numerator += u64::from(of && has);
    };
    while let Some(row) = rows.next().unwrap() {
        let state: String = row.get(0).unwrap();
        let time = |column: usize| row.get::<_, Option<i64>>(column).unwrap();
        let (accepted, stopped, due) = (time(1).is_some(), time(4), time(5));
        let is_due = due.is_some_and(|due| due <= period.now_ms);
        let is_open = ["reported", "accepted", "assigned", "handling"].contains(&state.as_str());
        all.reported += 1;
        all.accepted += u64::from(accepted);
        all.rejected += u64::from(state == "rejected");
        all.open += u64::from(is_open);
        all.overdue += u64::from(stopped.is_none() && state != "rejected" && is_due);
        count(&mut all.reply, accepted, time(2).is_some());
        count(&mut all.completion, accepted, time(3).is_some());
        let judged = due.is_some() && (stopped.is_some() || is_due);
        count(&mut all.on_time, judged, stopped.is_some_and(|at| Some(at) < due));
        count(&mut all.satisfaction, time(6).is_some(), time(6).is_some_and(|stars| stars >= 4));
    }
    all
}

/// All time, a month, days across months, one day, and times in which there is nothing.
fn periods() -> Vec<Period> {
    let mut periods = vec![Period::until(NOW_MS), Period::until(NOW_MS - 20 * DAY_MS)];
    for (from, to) in [(-61, 0), (-45, -10), (-33, -32), (-9, 400), (10, 5), (-3_000, -2_000)] {
        let (from_ms, to_ms) = (NOW_MS + from * DAY_MS, NOW_MS + to * DAY_MS);
        periods.push(Period { from_ms, to_ms, now_ms: NOW_MS });
    }
    let (from_ms, to_ms) = (i64::MIN, NOW_MS - 30 * DAY_MS);
    periods.push(Period { from_ms, to_ms, now_ms: NOW_MS });
    periods
}

/// Compares everything that is asked from rollups with a count of the tickets.
fn compare(store: &Store) {
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    let everything = Reader::everything();
    for period in periods() {
        store
            .read(|connection| {
                let mut villages = BTreeMap::new();
                for region in ["370322", TOWN, VILLAGES[0], VILLAGES[1], "370322102310001"] {
                    let found = statistics(connection, &everything, code(region), period)?;
                    assert_eq!(found, counted(connection, region, period), "{region} {period:?}");
                    if region.len() == 12 && found.reported > 0 {
                        villages.insert(code(region), found);
                    }
                }
                let found = by_child(connection, &everything, code(TOWN), Level::Village, period)?;
                assert_eq!(found, villages, "{period:?}");
                Ok(())
            })
            .unwrap();
    }
}

/// A town with its certificates, its store, and people who report and handle.
struct Office {
    town: Member,
    clerk: Author,
    store: Store,
    tickets: Vec<SampleTicket>,
    /// How many scenes of each sample are written.
    played: Vec<usize>,
}

impl Office {
    fn open(dir: &Path) -> Self {
        let county = Member::county(2);
        let town = county.certify(3, Tier::Town, TOWN, "高城镇");
        let store = open(dir, &town);
        let (clerk, chain) = town.operator(9, "调度员");
        assert_eq!(store.add_certificates(&chain).unwrap(), Vec::<String>::new());
        let generator = Generator::new(7);
        let tickets = VILLAGES.map(|village| generator.tickets(code(village), 8, NOW_MS)).concat();
        let played = vec![0; tickets.len()];
        Self { town, clerk, store, tickets, played }
    }

    fn home(&self, sample: usize) -> Home {
        self.tickets.get(sample).unwrap().scenes.first().unwrap().write.home
    }

    /// Writes the next scene of a sample, shifted by days, so that tickets are of several months.
    fn play(&mut self, sample: usize, by_clerk: bool) {
        let number = self.played.get_mut(sample).unwrap();
        let Some(scene) = self.tickets.get(sample).unwrap().scenes.get(*number) else { return };
        *number += 1;
        let author = if by_clerk { self.clerk.clone() } else { self.town.author(1) };
        let shift_ms = i64::try_from(sample).unwrap() * 6 * DAY_MS;
        // What was revoked or erased takes no more steps.
        let _ = self.store.write(&author, vec![scene.write.clone()], scene.at_ms - shift_ms);
    }

    fn dismiss(&self) {
        let body = RevocationBody {
            own: Standing { serial: self.clerk.serial, through_seq: 2, tags: Vec::new() },
            successor: None,
            descendants: Vec::new(),
            reason: "离岗".to_owned(),
            issuer: Some(self.town.serial()),
        };
        let revocation = body.sign(&self.town.identity.key);
        self.store.add_revocations(&[revocation]).unwrap();
    }

    fn purge(&self) {
        let region = Region::subtree(code(VILLAGES[0]));
        let (categories, rights) = (CategorySet::all(), Rights::READ);
        let grant = Grant { region, document: None, categories, rights, delegable: Rights::NONE };
        let keep = Scope::of_grants(&[grant], Rights::READ);
        self.store.purge(&keep, Unsent::Discard).unwrap();
    }

    /// Everything of this store, as a peer brings it, in parts.
    fn bring_to(&self, other: &Store, part: usize) {
        let mut next = Some(Selection::Prefix {
            prefix: cunlian_protocol::key::KeyPrefix::category(Category::TICKET),
            after: Vec::new(),
        });
        let mut all = Vec::new();
        while let Some(selection) = next {
            let request = StoreRequest::Read { selection, bytes: 1 << 20 };
            let StoreReply::Read { changes, rest, .. } = self.store.serve(request).unwrap() else {
                panic!("the reply is of another kind")
            };
            all.extend(changes.into_iter().map(|stored| stored.carried));
            next = rest;
        }
        // The last first, so that steps wait for what they follow.
        all.reverse();
        for changes in all.chunks(part).map(<[Carried]>::to_vec) {
            let (from, scope) = (self.town.serial(), Scope::everything());
            let request =
                StoreRequest::Ingest { from, scope, changes, sender_tiers: 0, at_ms: NOW_MS };
            other.serve(request).unwrap();
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Play(usize, bool),
    Erase(usize),
    Dismiss,
    Purge,
    Rebuild,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => (0..16_usize, any::<bool>()).prop_map(|(sample, by)| Step::Play(sample, by)),
        2 => (0..16_usize).prop_map(Step::Erase),
        1 => Just(Step::Dismiss),
        1 => Just(Step::Purge),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 10..90)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Shows that rollups are those of a recount and figures those of the tickets after writes,
    /// revocations, erasures, purges, rebuilds and restarts in any order, and at a node that took
    /// the same in backwards from a peer.
    #[test]
    fn figures_are_those_of_the_tickets(steps in steps(), part in 1..40_usize) {
        let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
        let mut office = Office::open(dir.path());
        for step in steps {
            match step {
                Step::Play(sample, by_clerk) => office.play(sample, by_clerk),
                Step::Erase(sample) => {
                    let (author, home) = (office.town.author(1), office.home(sample));
                    let _ = office.store.erase(&author, &[home], "本人要求", NOW_MS);
                }
                Step::Dismiss => office.dismiss(),
                Step::Purge => office.purge(),
                Step::Rebuild => office.store.rebuild_projections().unwrap(),
                Step::Reopen => {
                    let Office { town, clerk, store, tickets, played } = office;
                    drop(store);
                    let store = open(dir.path(), &town);
                    office = Office { town, clerk, store, tickets, played };
                }
            }
        }
        compare(&office.store);
        let county = Member::county(2);
        let above = open(other.path(), &county);
        let (_, chain) = office.town.operator(9, "调度员");
        above.add_certificates(&chain).unwrap();
        office.bring_to(&above, part);
        compare(&above);
    }
}

/// Reports of one village, written by its town.
fn reported(office: &Office, count: u8) {
    let writes = (0..count).flat_map(|number| {
        let new = NewTicket {
            village: code(VILLAGES[0]),
            channel: Channel::Plate,
            title: String::new(),
            text: format!("路灯不亮 {number}"),
            kind: None,
            photos: Vec::new(),
            name: String::new(),
            phone: String::new(),
            source: "plate".to_owned(),
        };
        report(&new, DocumentId([number + 1; 16]), NOW_MS).unwrap().1
    });
    office.store.write(&office.town.author(1), writes.collect::<Vec<Write>>(), NOW_MS).unwrap();
}

/// Shows that a rollup that differs from a recount is found by `verify`, that a rebuild mends it,
/// and that one whose version rose, or that is not there, is folded when the store is opened.
#[test]
fn a_wrong_rollup_is_found_and_mended() {
    let dir = tempdir().unwrap();
    let office = Office::open(dir.path());
    reported(&office, 3);
    compare(&office.store);
    let spoil = |sql: &'static str| {
        office.store.write_reference(move |connection| connection.execute(sql, [])).unwrap()
    };
    for sql in [
        "UPDATE ticket_month SET rated = rated + 1",
        "DELETE FROM ticket_month",
        "INSERT INTO ticket_month VALUES ('370322102311', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    ] {
        assert_eq!(spoil(sql), 1, "{sql}");
        assert_eq!(office.store.verify().unwrap().wrong_projections, ["ticket_month"], "{sql}");
        office.store.rebuild_projections().unwrap();
        compare(&office.store);
    }
    for sql in [
        "UPDATE meta SET value = x'00000063' WHERE name = 'rollup.ticket_month'",
        "DELETE FROM meta WHERE name = 'rollup.ticket_month'",
        "DELETE FROM meta WHERE name = 'set.ticket'",
    ] {
        spoil("UPDATE ticket_month SET open = 7");
        assert_eq!(spoil(sql), 1, "{sql}");
    }
    let Office { town, store, .. } = office;
    drop(store);
    compare(&open(dir.path(), &town));
    assert_eq!(GovernanceProjector.rollups().len(), 1);
}

/// Shows that who reads single tickets, or those assigned to them, is counted those alone, though
/// sums over regions would be at hand.
#[test]
fn sums_over_regions_are_for_who_reads_regions() {
    let dir = tempdir().unwrap();
    let office = Office::open(dir.path());
    reported(&office, 3);
    let home = Home {
        category: Category::TICKET,
        address: code(VILLAGES[0]),
        document: DocumentId([2; 16]),
    };
    let assigned = Reader::everything().only_assigned_to(vec!["网格员".to_owned()]);
    let (visitor, chain) = office.town.visitor(12, &home);
    office.store.add_certificates(&chain).unwrap();
    let one = Reader::of(&office.store.authority(), &visitor);
    let figures = |reader: &Reader| {
        let (region, period) = (code(TOWN), Period::until(NOW_MS));
        let found = office.store.read(|connection| statistics(connection, reader, region, period));
        found.unwrap().reported
    };
    assert_eq!(figures(&Reader::everything()), 3);
    assert_eq!((figures(&one), figures(&assigned)), (1, 0));
    let edit = Edit::Put { field: "note".to_owned(), text: "x".to_owned() };
    let write = Write { home, edits: vec![edit], source: "test".to_owned(), task: String::new() };
    office.store.write(&office.town.author(1), vec![write], NOW_MS).unwrap();
    compare(&office.store);
}

//! The thief at work: he has key and certificates of 苑兴村 and a road to the town.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::Node;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::read_scope;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::region::Region;
use cunlian_protocol::wire::{Bounded, FaultCode, Frame, Message, Wanted};
use cunlian_tests::federation::well;
use cunlian_tests::hostile::{Hostile, Line, Stolen, stolen};
use cunlian_tests::program::wait_for;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::attempt::{Closed, Found};
use crate::forgery;

pub(crate) const POPULATION: Category = Category::library(0, 0);
pub(crate) const IDENTITY: Category = Category::library(0, 1);
/// Memory the town may take while it is attacked.
const MEMORY_KIB: u64 = 64 << 10;
/// A sound identity number, which nobody of the generated people has.
const SECRET: &str = "11010519491231002X";

/// Where the thief is and whose data he is after.
pub(crate) struct Scene {
    pub(crate) thief: Hostile,
    /// The certificate he stole with the key.
    pub(crate) certificate: Certificate,
    /// UDP address of the town.
    pub(crate) town: SocketAddr,
    /// The village whose keys he has.
    pub(crate) own: AddressCode,
    /// A village that is none of his business.
    pub(crate) other: AddressCode,
    pub(crate) town_code: AddressCode,
    pub(crate) county_code: AddressCode,
    /// Chain of the town.
    pub(crate) town_chain: Vec<Vec<u8>>,
}

/// Does everything; panics as soon as something is not refused as it should be.
pub(crate) fn commit(fleet: &Fleet) -> Found {
    let layout = fleet.layout();
    let own = layout.terminals().next().unwrap();
    let other = layout.terminals().nth(3).unwrap();
    let Stolen { hostile, certificate } = stolen(&own.dir);
    let scene = Scene {
        thief: hostile,
        certificate,
        town: layout.town().listen,
        own: own.region,
        other: other.region,
        town_code: layout.town().region,
        county_code: layout.county().region,
        town_chain: Hostile::thief_of(&layout.town().dir).chain,
    };
    let pid = fleet.pid(layout.town().index).unwrap();
    let before = peak_kib(pid);
    let mut found = Found::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let own_changes = read_own(&scene, own).await;
        ask_for_others(&scene, other, &mut found).await;
        listen_to_pushes(&scene, layout.town(), own, other).await;
        forgery::send_changes(&scene, &own_changes, &mut found).await;
        forgery::send_frames(&scene, &mut found).await;
        forgery::greet(&scene, &mut found).await;
    });
    let grown = peak_kib(pid) - before;
    assert!(grown < MEMORY_KIB, "the town took {grown} KiB more");
    found
}

/// The control: what is his the thief gets, and identity numbers in it are seen as plain text, so
/// that those of others would be seen too. Gives the changes.
async fn read_own(scene: &Scene, own: &Node) -> Vec<Vec<u8>> {
    let mut line = scene.thief.enter(scene.town).await;
    let own_region = Region::subtree(scene.own);
    let sensitive =
        (1..=2).flat_map(|part| (0..8).map(move |class| Category::library(class, part)));
    let items = sensitive
        .map(|category| Wanted { prefix: KeyPrefix::region(category, &own_region), ids: None })
        .collect();
    line.say(&Message::Want { number: 1, items: Bounded(items) }).await;
    while line.hear().await.unwrap() != Frame::Message(Message::Delivered { number: 1 }) {}
    let changes = std::mem::take(&mut line.changes);
    let secrets = secrets(&own.dir);
    let heard = secrets.iter().filter(|secret| contains(&line.heard, secret.as_bytes())).count();
    assert!(heard > 5 && heard == secrets.len(), "{heard} of {} were heard", secrets.len());
    changes
}

/// Each range outside his scope, as a question and as a demand: the town closes the session, and
/// not a byte of the other village was heard.
async fn ask_for_others(scene: &Scene, other: &Node, found: &mut Found) {
    let secrets = secrets(&other.dir);
    assert!(secrets.len() > 5);
    let county = Region::subtree(scene.county_code);
    let mut ranges = vec![
        ("a category", KeyPrefix::category(IDENTITY)),
        ("the catalogue's category", KeyPrefix::category(Category::CATALOGUE)),
        ("the county", KeyPrefix::region(Category::TICKET, &county)),
        ("the county's catalogue and below", KeyPrefix::region(Category::CATALOGUE, &county)),
        ("the town alone", KeyPrefix::region(Category::TICKET, &Region::exact(scene.town_code))),
    ];
    let kinds = [POPULATION, IDENTITY, Category::TICKET, Category::TICKET_CONTACT];
    for category in kinds {
        let of = |code: AddressCode| KeyPrefix::region(category, &Region::subtree(code));
        ranges.extend([("a neighbour", of(scene.other)), ("the town", of(scene.town_code))]);
    }
    for (name, prefix) in ranges {
        let questions = [
            Message::Query(Bounded(vec![(prefix.clone(), true)])),
            Message::Query(Bounded(vec![(prefix.clone(), false)])),
            want(prefix.clone()),
        ];
        for question in questions {
            let mut line = scene.thief.enter(scene.town).await;
            line.say(&question).await;
            let ending = line.ending().await;
            assert_eq!(ending.code, FaultCode::OutOfScope, "{name}: {question:?}: {ending:?}");
            assert_nothing_of(&line, &secrets);
            found.closed.push(Closed { name: format!("asks for {name}"), ending });
        }
    }
}

/// In a session that is open and compared, what other villages write is not pushed, the tops are
/// those of his scope, and the town does not say who holds what is not his.
async fn listen_to_pushes(scene: &Scene, town: &Node, own: &Node, other: &Node) {
    let mut line = scene.thief.enter(scene.town).await;
    line.say(&Message::Root { digest: [0; 32] }).await;
    let Ok(Frame::Message(Message::Tops(tops))) = line.hear().await else { panic!("no tops") };
    let scope = read_scope(&scene.certificate);
    assert!(tops.items.0.len() > 3);
    for (prefix, _) in &tops.items.0 {
        assert!(scope.allows(prefix.as_bytes()), "{prefix:?}");
    }
    let keys = [key_of(own), key_of(other)];
    line.say(&Message::AskHeld(Bounded(keys.to_vec()))).await;
    let Ok(Frame::Message(Message::Held(held))) = line.hear().await else { panic!("no answer") };
    let told: Vec<&SetKey> = held.0.iter().map(|(key, _)| key).collect();
    assert_eq!(told, [&keys[0]]);
    let secretary = well(Client::log_in(other, "secretary"));
    let dispatcher = well(Client::log_in(town, "dispatcher"));
    let fields = json!({"name": "金丝雀", "sex": "女", "birth": "1949-12-31", "household": "H001",
        "id_number": SECRET});
    let address = format!("{}001", other.region);
    let theirs = well(secretary.register("population", &address, random_document(), &fields)).home;
    wait_for("the neighbour's record at the town", || dispatcher.record(&theirs).is_some());
    let fields = json!({"name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001"});
    let address = format!("{}001", own.region);
    let ours = well(dispatcher.register("population", &address, random_document(), &fields));
    // What the town wrote last has come, so the neighbour's record would have come before it.
    while !ours.changes.iter().any(|id| was_heard(&line, id)) {
        line.hear().await.unwrap();
    }
    let mut secrets = secrets(&other.dir);
    secrets.insert(SECRET.to_owned());
    assert_nothing_of(&line, &secrets);
    assert!(!contains(&line.heard, "金丝雀".as_bytes()));
}

fn was_heard(line: &Line, id: &ChangeId) -> bool {
    line.changes.iter().any(|bytes| ChangeId::of(bytes) == *id)
}

/// A demand for everything under a prefix.
fn want(prefix: KeyPrefix) -> Message {
    Message::Want { number: 1, items: Bounded(vec![Wanted { prefix, ids: None }]) }
}

fn assert_nothing_of(line: &Line, secrets: &BTreeSet<String>) {
    for secret in secrets {
        assert!(!contains(&line.heard, secret.as_bytes()), "{secret} was heard");
    }
}

/// Whether some bytes are within others.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Identity numbers and phones that only this village and its town may know.
fn secrets(dir: &Path) -> BTreeSet<String> {
    let sql = "SELECT fields FROM record WHERE part IN (1, 2)";
    let texts: Vec<String> = query(dir, sql, |row| row.get(0));
    let digits = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_digit()));
    digits.filter(|run| run.len() >= 11).map(str::to_owned).collect()
}

/// The key of some identity record of a village.
fn key_of(node: &Node) -> SetKey {
    let prefix = KeyPrefix::region(IDENTITY, &Region::subtree(node.region));
    let keys: Vec<Vec<u8>> = query(&node.dir, "SELECT key FROM change", |row| row.get(0));
    let key = keys.into_iter().find(|key| prefix.contains(key));
    SetKey::from_bytes(&key.unwrap()).unwrap()
}

/// Reads the store of a running node, as a second reader of its file.
fn query<T>(
    dir: &Path,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let path = dir.join("store.sqlite");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select = connection.prepare(sql).unwrap();
    select.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Most memory a process has had so far.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

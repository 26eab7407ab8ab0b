//! The thief at work: he has a machine that the town certified for 苑兴村, beside the one that
//! stands there, and a road to the town.

use std::collections::BTreeSet;
use std::path::Path;

use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::Node;
use cunlian_protocol::authority::read_scope;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::durability::{Answer, Question, Questions};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::region::Region;
use cunlian_protocol::wire::{Bounded, Message, Page};
use cunlian_tests::federation::well;
use cunlian_tests::hostile::attempt::Findings;
use cunlian_tests::hostile::scene::{IDENTITY, Scene};
use cunlian_tests::hostile::{Hostile, Line, forgery, snooping};
use cunlian_tests::program::wait_for;
use cunlian_tests::traces::{contains, peak_kib, query};
use serde_json::json;

/// Memory the town may take while it is attacked.
const MEMORY_KIB: u64 = 64 << 10;
/// A sound identity number, which nobody of the generated people has.
const SECRET: &str = "11010519491231002X";

/// Does everything; panics as soon as something is not refused as it should be.
pub(crate) fn commit(fleet: &Fleet) -> Findings {
    let layout = fleet.layout();
    let own = layout.terminals().next().unwrap();
    let other = layout.terminals().nth(3).unwrap();
    let thief = Hostile::insider(&layout.town().dir, 77, Tier::Village, own.region);
    let scene = Scene::new(layout, thief, own.region, other);
    let pid = fleet.pid(layout.town().index).unwrap();
    let before = peak_kib(pid);
    let mut found = Findings::default();
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
    let mut line = snooping::read_own(scene).await;
    let changes = std::mem::take(&mut line.changes);
    let secrets = secrets(&own.dir);
    let heard = secrets.iter().filter(|secret| contains(&line.heard, secret.as_bytes())).count();
    assert!(heard > 5 && heard == secrets.len(), "{heard} of {} were heard", secrets.len());
    changes
}

/// Nothing of the other village was heard in answer to a question or a demand.
async fn ask_for_others(scene: &Scene, other: &Node, found: &mut Findings) {
    let secrets = secrets(&other.dir);
    assert!(secrets.len() > 5);
    snooping::ask_for_others(scene, &secrets, found).await;
}

/// In a session that is open and compared, what other villages write is not pushed, the tops are
/// those of his scope, and the town does not say who holds what is not his.
async fn listen_to_pushes(scene: &Scene, town: &Node, own: &Node, other: &Node) {
    let mut line = scene.thief.enter(scene.town).await;
    line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
    let tops = line.until(tops).await;
    let scope = read_scope(&scene.certificate);
    assert!(tops.items.0.len() > 3);
    for (prefix, _) in &tops.items.0 {
        assert!(scope.allows(prefix.as_bytes()), "{prefix:?}");
    }
    let keys = [key_of(own), key_of(other)];
    let list = Bounded(keys.map(Question::Change).to_vec());
    line.say(&Message::AskHeld(Questions { tiers: u8::MAX, list })).await;
    let held = line.until(held).await;
    assert!(matches!(held.as_slice(), [Answer::Change { held: 1.. }, Answer::Change { held: 0 }]));
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
    secrets.extend([SECRET.to_owned(), "金丝雀".to_owned()]);
    snooping::assert_heard_nothing_of(&line, &secrets);
}

fn tops(message: Message) -> Option<Page> {
    if let Message::Tops(tops) = message { Some(tops) } else { None }
}

fn held(message: Message) -> Option<Vec<Answer>> {
    if let Message::Holding { answers, .. } = message { Some(answers.0) } else { None }
}

fn was_heard(line: &Line, id: &ChangeId) -> bool {
    line.changes.iter().any(|bytes| SignedChange::decode(bytes.clone()).unwrap().id() == *id)
}

/// Identity numbers and phones that only this village and its town may know.
fn secrets(dir: &Path) -> Vec<String> {
    let sql = "SELECT fields FROM record WHERE part IN (1, 2)";
    let texts: Vec<String> = query(dir, sql, |row| row.get(0));
    let digits = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_digit()));
    let secrets: BTreeSet<&str> = digits.filter(|run| run.len() >= 11).collect();
    secrets.into_iter().map(str::to_owned).collect()
}

/// The key of some identity record of a village.
fn key_of(node: &Node) -> SetKey {
    let prefix = KeyPrefix::region(IDENTITY, &Region::subtree(node.region));
    let keys: Vec<Vec<u8>> = query(&node.dir, "SELECT key FROM change", |row| row.get(0));
    let key = keys.into_iter().find(|key| prefix.contains(key));
    SetKey::from_bytes(&key.unwrap()).unwrap()
}

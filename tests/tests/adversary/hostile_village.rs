//! A village with a sound certificate that wants what is its neighbour's.

use cunlian_node::demo::client::{Client, random_document};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::durability::{Answer, Question, Questions};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::region::Region;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Ask, Bounded, FaultCode, Message, Prefixed, Wanted};
use cunlian_tests::federation::well;
use cunlian_tests::hostile::attempt::{Closed, Findings};
use cunlian_tests::hostile::{forgery, snooping};
use cunlian_tests::program::{run_well, wait_for};
use cunlian_tests::traces::{contains, files_with, query, tables_with};
use serde_json::json;
use tokio::runtime::Runtime;

use super::stage::{
    CLOSED, Figures, OPEN, Stage, assert_all_of, assert_logged_and_counted, assert_nothing_of,
    canaries, canary, home, read,
};

/// Whether a message names ranges or keys, which must be cut to the scope of who says it. No
/// wildcard: a new message has to be sorted here, and tried below if it does.
fn names_ranges(message: &Message) -> bool {
    match message {
        Message::Query(_)
        | Message::Want { .. }
        | Message::AskHeld(_)
        | Message::Held(_)
        | Message::Tops(_)
        | Message::Answer(_)
        | Message::Blob(_) => true,
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Goodbye { .. }
        | Message::Speaks(_)
        | Message::Remark(_)
        | Message::Root { .. }
        | Message::Equal
        | Message::Delivered { .. }
        | Message::Announce { .. }
        | Message::Certificates(_)
        | Message::Revocations(_)
        | Message::KnownRevocations(_)
        | Message::Ack { .. }
        | Message::Renew { .. }
        | Message::Issued { .. }
        | Message::NotIssued { .. }
        | Message::Holding { .. }
        | Message::AskAgain => false,
    }
}

/// Shows that no message of any type widens what a village may see: every range of others is
/// refused as a question, a demand and a demand by id; mixed with a range that is allowed it is
/// refused as a whole; who holds what is not told; and messages of the other role are refused.
#[test]
fn no_message_widens_its_range() {
    let stage = Stage::running();
    let scene = stage.scene(41);
    let secrets = canaries(stage.other(), &[OPEN.as_slice(), &CLOSED].concat());
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        let control = canaries(stage.own(), &CLOSED);
        let line = snooping::read_own(&scene).await;
        let heard = control.iter().filter(|c| contains(&line.heard, c.as_bytes())).count();
        assert!(heard >= 2, "what is his own is heard in plain text");
        snooping::ask_for_others(&scene, &secrets, &mut found).await;
        let own = KeyPrefix::region(Category::TICKET, &Region::subtree(scene.own));
        let theirs = KeyPrefix::document(&home(stage.other(), Category::TICKET));
        let key = key_of(&stage, Category::TICKET);
        let whole_key = KeyPrefix::from_bytes(&key.to_bytes()).unwrap();
        let shorts = Wanted::Shorts(Bounded(vec![[7; 8]]));
        let by_id = |prefix| (prefix, shorts.clone());
        let all = |prefix| (prefix, Wanted::All);
        let want = |mut items: Vec<(KeyPrefix, Wanted)>| {
            items.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            Message::Want { number: 1, items: Prefixed(items) }
        };
        let mut question = vec![(own.clone(), Ask::Frontier), (whole_key.clone(), Ask::Shorts)];
        question.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let range = Question::Range {
            prefix: theirs.clone(),
            summary: cunlian_protocol::summary::Summary::default(),
        };
        let about_theirs = Bounded(vec![range]);
        let widening = [
            ("one of them by id", want(vec![by_id(theirs.clone())])),
            ("one of them by its key", want(vec![all(whole_key.clone())])),
            ("both", want(vec![all(own.clone()), all(theirs.clone())])),
            ("who holds them", Message::AskHeld(Questions { tiers: u8::MAX, list: about_theirs })),
            ("both, in a question", Message::Query(Prefixed(question))),
        ];
        for (name, message) in widening {
            assert!(names_ranges(&message));
            let mut line = scene.thief.enter(scene.town).await;
            line.say(&message).await;
            let ending = line.ending().await;
            assert_eq!(ending.code, FaultCode::OutOfScope, "{name}: {ending:?}");
            snooping::assert_heard_nothing_of(&line, &secrets);
            found.closed.push(Closed { name: name.to_owned(), ending });
        }
        // Who holds a change of others is not told, and what is told of it is not believed.
        let mut line = scene.thief.enter(scene.town).await;
        line.say(&Message::Held(Bounded(vec![(key.clone(), u8::MAX)]))).await;
        line.say(&ask_held(&key)).await;
        assert_eq!(line.until(held).await, [Answer::Change { held: 0 }]);
        drop(line);
        stage.assert_serves(42).await;
    });
    assert_logged_and_counted(stage.town(), &found);
}

fn ask_held(key: &SetKey) -> Message {
    let list = Bounded(vec![Question::Change(key.clone())]);
    Message::AskHeld(Questions { tiers: u8::MAX, list })
}

fn held(message: Message) -> Option<Vec<Answer>> {
    if let Message::Holding { answers, .. } = message { Some(answers.0) } else { None }
}

/// Shows that a range that ends between two levels of the address tree is no range: neither
/// digits cut short, as `33010` would be beside `3301`, nor too many, nor what are no digits.
#[test]
fn a_prefix_between_two_levels_is_refused() {
    let stage = Stage::running();
    let scene = stage.scene(41);
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        for digits in ["3", "370", "3703221", "37032210231", "3703221023100", "37032210231000001"] {
            let mut prefix = Category::TICKET.0.to_be_bytes().to_vec();
            prefix.extend_from_slice(digits.as_bytes());
            assert!(KeyPrefix::from_bytes(&prefix).is_err(), "{digits}");
            for frame in [raw_query(&prefix), raw_want(&prefix)] {
                let mut line = scene.thief.enter(scene.town).await;
                line.send(&frame).await;
                let ending = line.ending().await;
                assert_eq!(ending.code, FaultCode::Malformed, "{digits}: {ending:?}");
                found.closed.push(Closed { name: format!("asks for {digits}"), ending });
            }
        }
        stage.assert_serves(42).await;
    });
    assert_logged_and_counted(stage.town(), &found);
}

/// The frame of a question for a prefix, whatever its bytes are: a message with an empty prefix,
/// its length and bytes put in.
fn raw_query(prefix: &[u8]) -> Vec<u8> {
    let template = KeyPrefix::category(Category::TICKET);
    let frame = wire::encode(&Message::Query(Prefixed(vec![(template.clone(), Ask::Frontier)])));
    with_prefix(&frame, &template, prefix)
}

fn raw_want(prefix: &[u8]) -> Vec<u8> {
    let template = KeyPrefix::category(Category::TICKET);
    with_prefix(&wire::encode(&snooping::want(template.clone())), &template, prefix)
}

/// A frame with one prefix in it, of two bytes, replaced by other bytes.
fn with_prefix(frame: &[u8], template: &KeyPrefix, prefix: &[u8]) -> Vec<u8> {
    let old = [&[2], template.as_bytes()].concat();
    let at = frame.windows(old.len()).position(|window| window == old).unwrap();
    let length = u8::try_from(prefix.len()).unwrap();
    let rest = &frame[at + old.len()..];
    let body = [&frame[4..at], &[length], prefix, rest].concat();
    let length = u32::try_from(body.len()).unwrap();
    [length.to_be_bytes().as_slice(), &body].concat()
}

/// Shows that nothing of a village is anywhere at its neighbour: not in the plaintext of frames sent
/// to a machine of the neighbour, asked for and pushed, and not in its store with its indexes, its
/// logs, its backups, nor in what its pages find. Its own is, so whoever looks finds.
#[test]
fn nothing_of_a_neighbour_is_in_frames_stores_logs_indexes_or_backups() {
    let stage = Stage::running();
    let (own, other) = (stage.own(), stage.other());
    let all = [OPEN.as_slice(), &CLOSED].concat();
    let mut secrets = canaries(other, &all);
    let scene = stage.scene(41);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut line = scene.thief.enter(scene.town).await;
        // Whoever has compared is told what comes later.
        line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
        line.until(|message| matches!(message, Message::Tops(_)).then_some(())).await;
        for category in &all {
            read(&mut line, own, *category).await;
            let heard = canary(own, *category);
            assert!(contains(&line.heard, heard.as_bytes()), "{heard} was not heard");
        }
        // What is written now is pushed to whom it concerns.
        secrets.extend(register(other));
        wait_for("the neighbour's record at the town", || {
            secrets.iter().all(|text| !files_with(&stage.town().dir, text).is_empty())
        });
        let ours = register(own);
        while !ours.iter().all(|text| contains(&line.heard, text.as_bytes())) {
            line.take().await.unwrap();
        }
        snooping::assert_heard_nothing_of(&line, &secrets);
        assert_all_of(&ours, &own.dir);
    });
    let backups = stage.beside("backups");
    for node in [own, stage.town()] {
        let (to, dir) = (backups.join(node.region.as_str()), node.dir.display().to_string());
        run_well(["backup", to.to_str().unwrap(), "--data-dir", &dir]);
    }
    let own_backup = backups.join(own.region.as_str());
    assert_all_of(&canaries(own, &all), &own_backup);
    assert_all_of(&canaries(own, &all), &own.dir);
    assert_all_of(&secrets, &stage.town().dir);
    assert_all_of(&secrets, &backups.join(stage.town().region.as_str()));
    assert_nothing_of(&secrets, &own.dir);
    assert_nothing_of(&secrets, &own_backup);
    let secretary = well(Client::log_in(own, "secretary"));
    let found = well(secretary.search("金丝雀", "population", 20));
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Registers a person at a village through its pages' API; gives what is said about her and nobody
/// else.
fn register(village: &cunlian_node::demo::layout::Node) -> Vec<String> {
    let secretary = well(Client::log_in(village, "secretary"));
    let last = village.region.as_str().chars().last().unwrap();
    let name = format!("金丝雀{}", village.region);
    let household = format!("H-{}-{last}", village.region);
    let fields = json!({"name": name, "sex": "女", "birth": "1949-12-31", "household": household});
    let address = format!("{}001", village.region);
    well(secretary.register("population", &address, random_document(), &fields));
    vec![name, household]
}

/// The key of the canary of a category of the other village, as it is in the town's store.
fn key_of(stage: &Stage, category: Category) -> SetKey {
    let prefix = KeyPrefix::document(&home(stage.other(), category));
    let dir = &stage.town().dir;
    let keys: Vec<Vec<u8>> = query(dir, "SELECT key FROM change", |row| row.get(0));
    SetKey::from_bytes(&keys.into_iter().find(|key| prefix.contains(key)).unwrap()).unwrap()
}

/// Shows that of what a village forges nothing is accepted, nor anything that is no frame: changes
/// for other homes, in other categories, by other authors and actors, broken, cut, garbage and too
/// large; frames that announce a gigabyte, unpack to one, or are noise; greetings of others and old
/// ones. Each change is in quarantine and nowhere else, counted by its reason, each attempt logged
/// once, and the batch's sound change is taken in spite of its company.
#[test]
fn nothing_forged_is_accepted() {
    let stage = Stage::running();
    let scene = stage.scene(41);
    let mut found = Findings::default();
    Runtime::new().unwrap().block_on(async {
        let own = snooping::read_own(&scene).await.changes;
        forgery::send_changes(&scene, &own, &mut found).await;
        forgery::send_frames(&scene, &mut found).await;
        forgery::greet(&scene, &mut found).await;
        stage.assert_serves(42).await;
    });
    assert_logged_and_counted(stage.town(), &found);
    let figures = Figures::of(stage.town());
    let refused = figures.sum("cunlian_changes_refused_total");
    assert_eq!(refused, found.refused.len() as u64);
    assert_eq!(figures.get("cunlian_changes_refused_total{reason=\"other\"}"), 0);
    assert_eq!(figures.get("cunlian_quarantine_changes"), refused);
    let log = Stage::log(stage.town());
    for refused in &found.refused {
        let lines =
            log.lines().filter(|l| l.contains("WARN") && l.contains(&refused.id.to_string()));
        assert_eq!(lines.count(), 1, "{} in the log", refused.name);
    }
    let town = stage.town().clone();
    drop(stage.fleet);
    let (store, _) = cunlian_host::opening::open_store(&town.dir).unwrap();
    for text in &found.canaries {
        assert_eq!(tables_with(&store, text), ["quarantine"], "{text}");
    }
}

/// Shows that a flood of one and the same refused change costs one line of the log and not one of
/// the count, and fills quarantine to its bound and no further.
#[test]
fn a_flood_of_refused_changes_is_one_line() {
    let stage = Stage::running();
    let scene = stage.scene(41);
    Runtime::new().unwrap().block_on(async {
        let mut line = scene.thief.enter(scene.town).await;
        for batch in 1..=3 {
            let change = |n: usize| Carried { bytes: format!("{batch} {n}").into(), reached: 0 };
            let changes: Vec<Carried> = (0..limits::BATCH_CHANGES).map(change).collect();
            line.send(&wire::encode_batch(batch, &changes)).await;
            let refused = line.acknowledged(batch).await;
            assert_eq!(refused.len(), changes.len());
        }
        stage.assert_serves(42).await;
    });
    let sent = 3 * limits::BATCH_CHANGES as u64;
    let figures = Figures::of(stage.town());
    assert_eq!(figures.get("cunlian_changes_refused_total{reason=\"layout\"}"), sent);
    assert_eq!(figures.get("cunlian_quarantine_changes"), 1_000);
    let log = Stage::log(stage.town());
    let lines = log.lines().filter(|line| line.contains("changes were refused")).count();
    // Texts of different lengths are refused in different words.
    assert!((1..=8).contains(&lines), "{lines} lines");
}

/// Shows that a village's word on where a change has arrived counts for nothing: tiers it claims
/// in a batch, in `Held` or by an acknowledgement do not move the town's own status, and an
/// acknowledgement of what was not sent ends the session.
#[test]
fn a_village_cannot_say_that_something_reached_the_county() {
    let mut stage = Stage::set();
    let town = stage.town().index;
    well(stage.fleet.start(town));
    let scene = stage.scene(41);
    Runtime::new().unwrap().block_on(async {
        let mut line = scene.thief.enter(scene.town).await;
        let change = own_change(&stage);
        let key = change.key();
        line.say(&Message::Certificates(certificates(&stage))).await;
        let carried = Carried { bytes: change.bytes().to_vec(), reached: u8::MAX };
        line.send(&wire::encode_batch(1, &[carried])).await;
        assert_eq!(line.acknowledged(1).await, [], "the change itself is sound");
        line.say(&Message::Held(Bounded(vec![(key.clone(), u8::MAX)]))).await;
        line.say(&ask_held(&key)).await;
        let town = cunlian_protocol::certificate::Tier::Town.bit();
        assert_eq!(line.until(held).await, [Answer::Change { held: town }]);
        let receipt = Bounded(vec![0x5a; 200]);
        let (refused, postponed) = (Bounded(Vec::new()), Bounded(Vec::new()));
        let until = Bounded(Vec::new());
        line.say(&Message::Ack { batch: 1, refused, postponed, until, receipt }).await;
        let ending = line.ending().await;
        assert_eq!(ending.code, FaultCode::Unexpected, "{ending:?}");
    });
    wait_for("the town's status", || {
        let status = stage.fleet.status(town).unwrap();
        status.get("waiting").and_then(serde_json::Value::as_u64) == Some(1)
    });
}

/// The canary change of the hostile village, as its node made it.
fn own_change(stage: &Stage) -> SignedChange {
    let prefix = KeyPrefix::document(&home(stage.own(), Category::TICKET));
    let sql = "SELECT key, bytes FROM change";
    let dir = &stage.own().dir;
    let rows: Vec<(Vec<u8>, Vec<u8>)> = query(dir, sql, |row| Ok((row.get(0)?, row.get(1)?)));
    let (_, bytes) = rows.into_iter().find(|(key, _)| prefix.contains(key)).unwrap();
    SignedChange::decode(bytes).unwrap()
}

/// The chain of the hostile village's node.
fn certificates(stage: &Stage) -> Bounded<wire::CertificateBytes, { limits::FRAME_CERTIFICATES }> {
    let chain = cunlian_tests::hostile::Hostile::thief_of(&stage.own().dir).chain;
    Bounded(chain.into_iter().map(Bounded).collect())
}

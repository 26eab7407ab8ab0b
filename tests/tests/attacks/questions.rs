//! Questions without end: about what is there, for changes, about who holds what; and answers that
//! nobody reads.

use cunlian_host::clock::now_ms;
use cunlian_protocol::category::Category;
use cunlian_protocol::durability::{Question, Questions};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::region::Region;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::wire::{self, Ask, Bounded, FaultCode, Frame, Message, Prefixed, Wanted};
use cunlian_tests::hostile::Line;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::made::{Holds, change, home};
use super::*;

/// Machines that ask at the same time.
const MACHINES: u16 = 40;
/// Villages that they belong to.
const VILLAGES: u16 = 3;
/// Changes that there are to be asked about.
const CHANGES: u64 = 4_000;
const IN_BATCH: u64 = 1_000;

/// Fills a stolen village, so that every answer is long.
async fn fill(target: &Target, machine: u16) {
    let by = target.thief(machine);
    let mut line = by.hostile.enter(target.listen()).await;
    for batch in 0..CHANGES / IN_BATCH {
        let small = |at| {
            let number = batch * IN_BATCH + at;
            let holds = Holds { puts: 1, predecessors: 0, text_bytes: 200 };
            let home = home(target, machine, Category::TICKET, number / 20);
            change(&by, home, (number + 1, number + 1), holds, now_ms())
        };
        line.send(&wire::encode_batch(batch + 1, &(0..IN_BATCH).map(small).collect::<Vec<_>>()))
            .await;
        line.acknowledged(batch + 1).await;
    }
}

fn everything(target: &Target, machine: u16) -> KeyPrefix {
    let village = target.stolen_village(machine).region;
    KeyPrefix::region(Category::TICKET, &Region::subtree(village))
}

/// Several machines, each on a line of its own.
async fn from_machines<F>(target: &Target, act: impl Fn(Target, Line, u16) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut machines = JoinSet::new();
    for number in 0..MACHINES {
        let line = target.below(number).hostile.enter(target.listen()).await;
        machines.spawn(act(target.clone(), line, number));
    }
    machines.join_all().await;
}

/// Says something over and over, and hears what comes; a node that has had enough of it may end the
/// connection.
async fn ask_over_and_over(target: Target, mut line: Line, question: Message, answers: usize) {
    let attack = Going::lasting(&target, Duration::from_secs(4));
    while attack.on() {
        line.say(&question).await;
        for _ in 0..answers {
            match line.take().await {
                Ok(Frame::Message(Message::Goodbye { code, reason })) => {
                    // There are more of them than may be connected.
                    let reason = String::from_utf8_lossy(&reason.0);
                    assert_eq!(code, FaultCode::Busy as u16, "{reason}");
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Shows that comparisons begun over and over, and questions for frontiers, ids and symbols of all
/// that is there, from forty machines at once, keep neither honest children nor people waiting.
#[test]
fn questions_over_and_over() {
    let mut siege = Siege::begin();
    siege.withstands("filling", |target| async move {
        for machine in 0..VILLAGES {
            fill(&target, machine).await;
        }
    });
    for (name, ask) in [
        ("questions for frontiers", Ask::Frontier),
        ("questions for ids", Ask::Shorts),
        ("questions for symbols", Ask::Symbols { from: 0, to: 8_192 }),
    ] {
        siege.withstands(name, |target| async move {
            from_machines(&target, |target, line, machine| {
                let asked = (everything(&target, machine), ask);
                let question = Message::Query(Prefixed(vec![asked]));
                ask_over_and_over(target, line, question, 1)
            })
            .await;
        });
    }
    siege.withstands("comparisons", |target| async move {
        let root = Message::Root { number: 1, digest: [0; 32] };
        from_machines(&target, |target, line, _| ask_over_and_over(target, line, root.clone(), 1))
            .await;
    });
    siege.withstands("questions about who holds", |target| async move {
        from_machines(&target, |target, line, machine| {
            let prefix = everything(&target, machine);
            let range = Question::Range { prefix, summary: Summary::default() };
            let changes = (0..limits::HELD_QUESTIONS - 1).map(|at| {
                let home = home(&target, machine, Category::TICKET, at as u64 / 20);
                Question::Change(SetKey { home, change: ChangeId([7; 32]) })
            });
            let list = Bounded([range].into_iter().chain(changes).collect());
            let question = Message::AskHeld(Questions { tiers: u8::MAX, list });
            ask_over_and_over(target, line, question, 1)
        })
        .await;
    });
    siege.end();
}

/// Shows that who asks for everything and for lists of ids without end, and reads and acknowledges
/// nothing, is cut off or waits, and takes no memory and nobody's turn.
#[test]
fn answers_that_nobody_reads() {
    let mut siege = Siege::begin();
    siege.withstands("filling", |target| async move {
        for machine in 0..VILLAGES {
            fill(&target, machine).await;
        }
    });
    siege.withstands("wants that are not read", |target| async move {
        from_machines(&target, |target, mut line, machine| async move {
            let prefix = everything(&target, machine);
            let mut number = 0;
            let attack = Going::lasting(&target, Duration::from_secs(4));
            while attack.on() {
                number += 1;
                let wanted = if number == 1 {
                    Wanted::All
                } else {
                    let ids = (0..limits::SKETCH_ITEMS as u64 - 1).map(u64::to_le_bytes);
                    Wanted::Shorts(Bounded(ids.collect()))
                };
                let items = Prefixed(vec![(prefix.clone(), wanted)]);
                let want = Message::Want { number, items };
                let said = line.say(&want);
                if timeout(Duration::from_millis(200), said).await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        })
        .await;
    });
    siege.withstands("answers that are not read", |target| async move {
        from_machines(&target, |target, mut line, machine| async move {
            let to = u32::try_from(limits::SKETCH_SYMBOLS).unwrap();
            let ask = Ask::Symbols { from: 0, to };
            let question = Message::Query(Prefixed(vec![(everything(&target, machine), ask)]));
            let attack = Going::lasting(&target, Duration::from_secs(4));
            while attack.on() {
                let said = line.say(&question);
                if timeout(Duration::from_millis(200), said).await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        })
        .await;
    });
    siege.end();
}

/// Shows that of the machines that a village certified so many are let in and no more, that the next
/// is told why, and that it is let in when one has gone.
#[test]
fn machines_below_one_child_are_bounded() {
    let mut siege = Siege::begin();
    siege.withstands("machines below one child", |target| async move {
        let (mut open, mut turned_away) = (Vec::new(), Vec::new());
        for number in (0..3 * 40).step_by(3) {
            match target.below(number).hostile.knock(target.listen()).await {
                Ok(line) => open.push(line),
                Err(ending) => turned_away.push(ending.code),
            }
        }
        let most = limits::SESSIONS_BELOW.village;
        assert_eq!((open.len(), turned_away), (most, vec![FaultCode::Busy; 40 - most]));
        drop(open.pop());
        let began = Instant::now();
        let next = target.below(300).hostile;
        while next.knock(target.listen()).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "nobody is let in any more");
            sleep(Duration::from_millis(500)).await;
        }
        // The village itself is not one of them.
        assert!(target.thief(0).hostile.knock(target.listen()).await.is_ok());
    });
    siege.end();
}

/// Shows that acknowledgements of what was not sent, deliveries, certificates asked for over and
/// over and other words in the wrong place end a connection each, and nothing more.
#[test]
fn words_in_the_wrong_place() {
    let mut siege = Siege::begin();
    siege.withstands("words in the wrong place", |target| async move {
        let words = [
            Message::Equal,
            Message::Delivered { number: 9 },
            Message::NotIssued { reason: wire::bounded_text("no") },
            Message::Answer(Bounded(Vec::new())),
        ];
        let attack = Going::lasting(&target, Duration::from_secs(3));
        for (number, word) in (0..50).cycle().zip(words.iter().cycle()) {
            if !attack.on() {
                break;
            }
            let mut line = target.below(number).hostile.enter(target.listen()).await;
            line.say(word).await;
            loop {
                match line.hear().await {
                    Ok(Frame::Message(Message::Goodbye { .. })) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        }
    });
    siege.end();
}

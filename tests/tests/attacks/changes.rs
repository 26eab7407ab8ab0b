//! Changes that unfold, that are many, that say another time, or that pad the documents of others.

use std::sync::Arc;

use cunlian_host::clock::now_ms;
use cunlian_protocol::category::Category;
use cunlian_protocol::limits;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Frame, Message};
use cunlian_tests::hostile::{Line, Stolen};
use tokio::task::JoinSet;

use super::made::{Holds, change, densest, home};
use super::*;

/// Villages that attack at the same time.
const MACHINES: u16 = 3;
const YEAR_MS: i64 = 365 * 86_400_000;
/// Changes that hold next to nothing.
const TINY: Holds = Holds { puts: 1, predecessors: 0, text_bytes: 1 };

/// What became of the changes of an attack.
#[derive(Debug, Default)]
struct Fates {
    taken: usize,
    postponed: usize,
    refused: usize,
    /// Why the last of them was refused.
    why: String,
}

/// Sends batches as fast as they are acknowledged; `make` gives what is in the batch of a number.
async fn send_batches(
    target: &Target,
    by: &Stolen,
    short: Duration,
    mut make: impl FnMut(u64) -> Vec<Carried>,
) -> Fates {
    let mut fates = Fates::default();
    let mut line = by.hostile.enter(target.listen()).await;
    let mut number = 0;
    let attack = Going::lasting(target, short);
    while attack.on() {
        let batch = make(number);
        number += 1;
        line.send(&wire::encode_batch(number, &batch)).await;
        acknowledged(&mut line, number, batch.len(), &mut fates).await;
    }
    fates
}

async fn acknowledged(line: &mut Line, number: u64, changes: usize, fates: &mut Fates) {
    loop {
        match line.take().await {
            Ok(Frame::Message(Message::Ack { batch, refused, postponed, .. }))
                if batch == number =>
            {
                fates.taken += changes - refused.0.len() - postponed.0.len();
                fates.postponed += postponed.0.len();
                fates.refused += refused.0.len();
                if let Some((_, why)) = refused.0.last() {
                    fates.why = String::from_utf8_lossy(&why.0).into_owned();
                }
                return;
            }
            Ok(Frame::Message(Message::Goodbye { reason, .. })) => {
                panic!("{}", String::from_utf8_lossy(&reason.0))
            }
            Ok(_) => {}
            Err(reason) => panic!("the batch was not acknowledged: {reason}"),
        }
    }
}

/// Several machines at once, each with its own batches.
async fn from_machines<M>(target: Target, short: Duration, make: impl Fn(u16) -> M) -> Fates
where
    M: FnMut(u64) -> Vec<Carried> + Send + 'static,
{
    let mut machines = JoinSet::new();
    for number in 0..MACHINES {
        let (target, by, make) = (target.clone(), target.thief(number), make(number));
        machines.spawn(async move { send_batches(&target, &by, short, make).await });
    }
    let mut all = Fates::default();
    for fates in machines.join_all().await {
        all.taken += fates.taken;
        all.postponed += fates.postponed;
        all.refused += fates.refused;
        all.why = [all.why, fates.why].into_iter().find(|why| !why.is_empty()).unwrap_or_default();
    }
    println!("{all:?}");
    all
}

/// Changes under one number of a machine and batch: ids of their own, sessions of their own.
fn session(machine: u16, batch: u64, at: u64) -> u64 {
    (u64::from(machine) << 48) + (batch << 16) + at + 1
}

/// Shows that batches full of changes that would unfold to gigabytes, from six machines at once,
/// take nothing but their refusal.
#[test]
fn changes_that_unfold_too_far() {
    let mut siege = Siege::begin();
    siege.withstands("unfolding changes", |target| async move {
        let known = Arc::new(target.clone());
        let fates = from_machines(target, Duration::from_secs(4), |machine| {
            let (target, by) = (Arc::clone(&known), known.thief(machine));
            move |batch| {
                let home = home(&target, machine, Category::TICKET, batch);
                let bombs = [(65_536, 0), (1, 65_536), (1 << 40, 0), (1, 1 << 40)];
                let bombs = bombs.iter().cycle().take(400).zip(0..);
                let bomb = |(&(puts, predecessors), at): (&(u64, u64), u64)| {
                    let holds = Holds { puts, predecessors, text_bytes: 0 };
                    change(&by, home, (session(machine, batch, at), at + 1), holds, now_ms())
                };
                bombs.map(bomb).collect()
            }
        })
        .await;
        assert!(fates.taken == 0 && fates.why.contains("unfolds"), "{fates:?}");
    });
    siege.end();
}

/// Shows the same for changes that hold as much as they may: small and large ones, into few
/// documents, so that each is as heavy as it can be.
#[test]
fn changes_as_dense_as_they_may_be() {
    let mut siege = Siege::begin();
    siege.withstands("dense changes", |target| async move {
        let known = Arc::new(target.clone());
        let fates = from_machines(target, Duration::from_secs(4), |machine| {
            let (target, by) = (Arc::clone(&known), known.thief(machine));
            move |batch| {
                let small = batch.is_multiple_of(2);
                let (count, bytes) =
                    if small { (1_000, 256) } else { (2, limits::CHANGE_BYTES - 600) };
                let dense = |at| {
                    let home = home(
                        &target,
                        machine,
                        Category::TICKET,
                        batch / 4 + u64::from(machine) % 2,
                    );
                    let number = (session(machine, batch, at), batch * 1_000 + at + 1);
                    densest(&by, home, number, bytes, now_ms())
                };
                (0..count).map(dense).collect()
            }
        })
        .await;
        assert!(fates.taken > 0, "{fates:?}");
    });
    siege.end();
}

/// Shows that tiny documents without end, each of another home, keep nobody from the town.
#[test]
fn tiny_documents_without_end() {
    let mut siege = Siege::begin();
    siege.withstands("tiny documents", |target| async move {
        let known = Arc::new(target.clone());
        let fates = from_machines(target, Duration::from_secs(4), |machine| {
            let (target, by) = (Arc::clone(&known), known.thief(machine));
            move |batch| {
                let tiny = |at| {
                    let number = session(machine, batch, at);
                    let home = home(&target, machine, Category::TICKET, number);
                    change(&by, home, (number, batch * 1_000 + at + 1), TINY, now_ms())
                };
                (0..1_000).map(tiny).collect()
            }
        })
        .await;
        assert!(fates.taken > 0, "{fates:?}");
    });
    siege.end();
}

/// Shows the same for changes that all have one number of one author, and for such as say that they
/// were made in a hundred years, or before there were machines.
#[test]
fn numbers_used_again_and_times_that_cannot_be() {
    let mut siege = Siege::begin();
    siege.withstands("equivocation and wrong times", |target| async move {
        let known = Arc::new(target.clone());
        let fates = from_machines(target, Duration::from_secs(4), |machine| {
            let (target, by) = (Arc::clone(&known), known.thief(machine));
            move |batch| {
                let times = [now_ms() + 100 * YEAR_MS, i64::MAX, i64::MIN, -YEAR_MS, now_ms()];
                let same = |at: u64| {
                    let home = home(&target, machine, Category::TICKET, at % 50);
                    let at_ms = times[usize::try_from(at).unwrap() % times.len()];
                    change(&by, home, (session(machine, batch, at), 1), TINY, at_ms)
                };
                (0..1_000).map(same).collect()
            }
        })
        .await;
        assert!(fates.taken > 0, "{fates:?}");
    });
    siege.end();
}

/// Shows that frames that unpack to more than they may, one connection after the other from several
/// machines, cost the town their connections.
#[test]
fn frames_that_unpack_to_much() {
    let mut siege = Siege::begin();
    siege.withstands("frames that unpack", |target| async move {
        let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
        let mut machines = JoinSet::new();
        for number in 0..MACHINES {
            let (target, bomb) = (target.clone(), bomb.clone());
            machines.spawn(async move {
                let by = target.below(number).hostile;
                let attack = Going::lasting(&target, Duration::from_secs(3));
                while attack.on() {
                    let mut line = by.enter(target.listen()).await;
                    // As much as a batch may hold, and not more than the header says it is.
                    line.send(&packed(768 << 10, &bomb)).await;
                    line.closed().await;
                }
            });
        }
        machines.join_all().await;
    });
    siege.end();
}

/// A batch of one change that says it unpacks to `raw` bytes.
fn packed(raw: u32, bytes: &[u8]) -> Vec<u8> {
    let head = [&[2][..], &1_u64.to_be_bytes(), &1_u32.to_be_bytes(), &raw.to_be_bytes()].concat();
    let length = u32::try_from(head.len() + bytes.len()).unwrap();
    [length.to_be_bytes().as_slice(), &head, bytes].concat()
}

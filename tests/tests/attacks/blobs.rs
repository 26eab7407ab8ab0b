//! Photos that are not there, not whole, not the attacker's, or too many.

use cunlian_host::clock::now_ms;
use cunlian_protocol::blob::{BlobMessage, BlobName, BlobReference};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Home, actor};
use cunlian_protocol::id::BlobId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::sync::Carried;
use cunlian_protocol::wire::{self, Bounded, Frame, Message};
use cunlian_tests::hostile::Stolen;
use rand::Rng as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::made::{home, signed};
use super::*;

/// Machines that attack at the same time.
const MACHINES: u16 = 12;
/// Villages whose keys are used at the same time.
const VILLAGES: u16 = 3;
/// Photos that each of them names.
const PHOTOS: u64 = 1_000;

/// A change of a document that names a photo as large as can be, which nobody has.
fn names(by: &Stolen, home: Home, number: u64) -> Carried {
    let mut id = [0; 32];
    rand::rng().fill_bytes(&mut id);
    let name = BlobName { id: BlobId(id), bytes: limits::BLOB_BYTES };
    let text = BlobReference { name, media_type: "image/jpeg".to_owned() }.to_string();
    let actor = actor(&by.certificate.serial(), number);
    let payload = cunlian_tests::unfolding::Puts {
        actor,
        field: format!("photo{number}"),
        puts: 1,
        predecessors: 0,
        text,
    };
    signed(by, home, (number, number), &payload.to_bytes(), now_ms())
}

/// Shows that thousands of photos of 20 MiB that documents name and nobody has take the town no
/// room, whether their owner says that it has them not, gives noise for them, or says nothing at all.
#[test]
fn photos_that_are_not_there() {
    let mut siege = Siege::begin();
    siege.withstands("photos that are not there", |target| async move {
        let mut machines = JoinSet::new();
        for number in 0..VILLAGES {
            let target = target.clone();
            machines.spawn(async move { give_nothing(&target, number).await });
        }
        machines.join_all().await;
    });
    siege.end();
}

async fn give_nothing(target: &Target, machine: u16) {
    let by = target.thief(machine);
    let mut line = by.hostile.enter(target.listen()).await;
    for batch in 0..PHOTOS / 250 {
        let named = (0..250).map(|at| {
            let number = (u64::from(machine) << 32) + batch * 250 + at + 1;
            names(&by, home(target, machine, Category::TICKET_PHOTO, number / 50), number)
        });
        line.send(&wire::encode_batch(batch + 1, &named.collect::<Vec<_>>())).await;
    }
    // The town asks when both sides agree, which a comparison of who holds nothing else never says.
    let attack = Going::lasting(target, Duration::from_secs(5));
    line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
    while attack.on() {
        let Ok(frame) = timeout(Duration::from_millis(500), line.take()).await else { continue };
        let Ok(frame) = frame else { return };
        let Frame::Message(Message::Blob(asked)) = frame else { continue };
        let answer = match (machine % 3, asked) {
            (0, BlobMessage::WantOutline { .. } | BlobMessage::Want { .. }) => BlobMessage::None,
            (1, BlobMessage::WantOutline { blob, .. }) => {
                BlobMessage::Outline { values: Bounded(vec![[9; 32]; blob.chunks() as usize]) }
            }
            (1, BlobMessage::Want { length, .. }) => {
                BlobMessage::Part { bytes: Bounded(vec![7; length as usize]) }
            }
            _ => continue,
        };
        line.say(&Message::Blob(answer)).await;
    }
}

/// Shows that questions for photos by their hash and for whether they are there, over and over from
/// a dozen machines, keep neither children nor people waiting.
#[test]
fn questions_for_photos() {
    let mut siege = Siege::begin();
    siege.withstands("questions for photos", |target| async move {
        let mut machines = JoinSet::new();
        for number in 0..MACHINES {
            let target = target.clone();
            machines.spawn(async move { ask(&target, number).await });
        }
        machines.join_all().await;
    });
    siege.end();
}

async fn ask(target: &Target, machine: u16) {
    let mut line = target.below(machine).hostile.enter(target.listen()).await;
    let document = |number| {
        let home = home(target, machine, Category::TICKET_PHOTO, number);
        KeyPrefix::document(&home)
    };
    let name = |number: u64| {
        let mut id = [3; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        BlobName { id: BlobId(id), bytes: limits::BLOB_BYTES }
    };
    let asked = (0..limits::BLOB_NAMES as u64).map(|at| (document(at % 10), name(at))).collect();
    let held = Message::Blob(BlobMessage::AskHeld(Bounded(asked)));
    let attack = Going::lasting(target, Duration::from_secs(4));
    let mut number = 0;
    while attack.on() {
        for _ in 0..8 {
            line.say(&held).await;
        }
        for _ in 0..limits::BLOB_QUESTIONS / 2 {
            number += 1;
            let (document, blob) = (document(number % 10), name(number));
            let length = limits::BLOB_CHUNK_BYTES;
            line.say(&Message::Blob(BlobMessage::Want { document, blob, from: 0, length })).await;
        }
        let mut answered = 0;
        while answered < limits::BLOB_QUESTIONS / 2 {
            match line.take().await {
                Ok(Frame::Message(Message::Blob(BlobMessage::None))) => answered += 1,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

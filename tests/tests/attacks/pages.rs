//! Telephones and programs at the pages of the town: what is not finished, what unfolds, what is
//! guessed, and all of it at once.

use cunlian_node::demo::fleet::PASSWORD;
use cunlian_tests::visitor::{Visitor, photo_head, report_body};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

/// A plate of the honest village, at the town.
const DOOR: &str = "370322102310";
/// Bytes that each unfinished report sends.
const UNFINISHED: usize = 12 << 20;
/// Last numbers of the addresses of who floods.
const FLOOD: u8 = 9;

fn visitor(target: &Target, last: u8) -> Visitor {
    Visitor::at(last, target.town().http)
}

/// Writes as much as is taken within some seconds; gives the connection, to be held open.
async fn write(visitor: Visitor, bytes: Vec<u8>) -> Option<TcpStream> {
    let mut stream = visitor.connect().await.ok()?;
    let _ = timeout(Duration::from_secs(4), stream.write_all(&bytes)).await;
    Some(stream)
}

/// Unfinished reports, from six telephones.
fn unfinished(target: &Target, flood: &mut JoinSet<Option<TcpStream>>, count: u8) {
    for number in 0..count {
        let visitor = visitor(target, FLOOD + number % 6);
        let mut bytes = visitor.report_head(DOOR, 2 * UNFINISHED).into_bytes();
        bytes.extend_from_slice(photo_head().as_bytes());
        bytes.resize(UNFINISHED, b'x');
        flood.spawn(write(visitor, bytes));
    }
}

/// Heads of requests that do not end, half of them as long as they may be.
fn half_heads(target: &Target, flood: &mut JoinSet<Option<TcpStream>>, count: u16) {
    for number in 0..count {
        let last = FLOOD + 10 + u8::try_from(number % 12).unwrap();
        let start = b"GET /p/370322102310 HTTP/1.1\r\nhost: x\r\nx-long: ";
        let length = if number % 2 == 0 { 0 } else { 30 << 10 };
        let bytes = [start.as_slice(), &vec![b'y'; length]].concat();
        flood.spawn(write(visitor(target, last), bytes));
    }
}

/// A progressive picture of this size with nothing on it: a decoder has to keep all of it twice.
fn progressive(width: u16, height: u16) -> Vec<u8> {
    let segment = |marker: u8, body: &[u8]| {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker][..], &length, body].concat()
    };
    let [[h1, h0], [w1, w0]] = [height.to_be_bytes(), width.to_be_bytes()];
    let mut table = vec![0; 17];
    // One code, of one bit, for a difference of nothing.
    table[1] = 1;
    table.push(0);
    let blocks = 3 * usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    let frame = [8, h1, h0, w1, w0, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc2, &frame),
        segment(0xc4, &table),
        segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 0]),
        vec![0; blocks.div_ceil(8)],
        vec![0xff, 0xd9],
    ]
    .concat()
}

/// A report with a picture, sent as often as an attack goes on.
async fn send_pictures(target: Target, last: u8, picture: Vec<u8>) {
    let attack = Going::lasting(&target, Duration::from_secs(4));
    let mut number = 0;
    while attack.on() {
        number += 1;
        let mut sender = visitor(&target, last);
        let path = format!("/p/{DOOR}/report");
        let hidden = sender.form(&path).await;
        let answer =
            sender.send_report(DOOR, &hidden, &format!("第{number}处漏水"), Some(&picture)).await;
        assert!(matches!(answer.status, 303 | 422 | 429 | 503), "{}", answer.text());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Shows that unfinished reports, half heads and pictures that unfold, each as many as a street of
/// telephones can send, and all of them at once, leave the town its memory and people their pages.
#[test]
fn everything_at_once() {
    let mut siege = Siege::begin();
    siege.withstands("progressive pictures", |target| async move {
        let picture = progressive(6_000, 4_000);
        assert!(picture.len() < 300_000, "{}", picture.len());
        let mut flood = JoinSet::new();
        for last in 0..9 {
            flood.spawn(send_pictures(target.clone(), FLOOD + 30 + last, picture.clone()));
        }
        flood.join_all().await;
    });
    siege.withstands("all of it at once", |target| async move {
        let mut held = JoinSet::new();
        unfinished(&target, &mut held, 60);
        half_heads(&target, &mut held, 1_500);
        let mut flood = JoinSet::new();
        for last in 0..9 {
            let picture = progressive(6_000, 4_000);
            flood.spawn(send_pictures(target.clone(), FLOOD + 30 + last, picture));
        }
        flood.join_all().await;
        drop(held.join_all().await);
    });
    siege.end();
}

/// Shows that wrong passwords at the town's pages and its API, from a street of telephones and from
/// one, leave those their logins who work there, while thousands of forms are sent by a program.
#[test]
fn guesses_and_forms_of_a_program() {
    let mut siege = Siege::begin();
    siege.withstands("guesses", |target| async move {
        let mut flood = JoinSet::new();
        for number in 0..120_u8 {
            let mut guesser = visitor(&target, FLOOD + number % 40);
            flood.spawn(async move {
                let name = if number % 2 == 0 { "dispatcher" } else { "nobody" };
                let status = guesser.log_in(name, &format!("guess-{number}")).await.status;
                assert!(matches!(status, 401 | 429 | 503), "{status}");
            });
        }
        let mut known = visitor(&target, 1);
        let began = Instant::now();
        assert_eq!(known.log_in("dispatcher", PASSWORD).await.status, 303);
        assert!(began.elapsed() < Duration::from_secs(10), "{} ms", began.elapsed().as_millis());
        flood.join_all().await;
    });
    siege.withstands("forms of a program", |target| async move {
        let mut flood = JoinSet::new();
        for last in 0..20 {
            let target = target.clone();
            flood.spawn(async move {
                let attack = Going::lasting(&target, Duration::from_secs(4));
                let mut sender = visitor(&target, FLOOD + last);
                let hidden = sender.form(&format!("/p/{DOOR}/report")).await;
                let body = report_body(&hidden, "又来", None);
                let head = sender.report_head(DOOR, body.len());
                let request = [head.as_bytes(), &body].concat();
                while attack.on() {
                    let Ok(mut stream) = sender.connect().await else { continue };
                    let _ = stream.write_all(&request).await;
                    // Whatever the answer is, it is not waited for.
                    sleep(Duration::from_millis(2)).await;
                }
            });
        }
        flood.join_all().await;
    });
    siege.end();
}

//! Requests that are never finished.

use std::time::Instant;

use cunlian_tests::visitor::{photo_head, report_body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

/// Bytes that each unfinished report sends.
const UNFINISHED: usize = 12 << 20;
/// How long a flood has to bring out what the node takes of it.
const FLOODING: Duration = Duration::from_secs(4);

/// Writes as much as is taken within a while; gives the connection, to be held open.
async fn write(visitor: Visitor, bytes: Vec<u8>) -> Option<TcpStream> {
    let mut stream = visitor.connect().await.ok()?;
    // Who is cut off or not read any more has done what it can.
    let _ = timeout(FLOODING, stream.write_all(&bytes)).await;
    Some(stream)
}

async fn all<T: 'static>(tasks: JoinSet<Option<T>>) -> Vec<T> {
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Whether the other side has ended a connection, with an answer before or without.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    loop {
        match timeout(Duration::from_millis(1), stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

async fn closed(streams: &mut [TcpStream]) -> usize {
    let mut closed = 0;
    for stream in streams {
        closed += usize::from(is_closed(stream).await);
    }
    closed
}

/// Shows that sixty reports of which twelve megabytes came and no end, from six telephones, leave
/// the node within its memory, and that an honest villager sends a report with a photo
/// meanwhile as if they were not there: one at the terminal itself, and one at another telephone.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_reports_keep_nobody_out() {
    let village = Village::start();
    let mut flood = JoinSet::new();
    for number in 0..60_u8 {
        let visitor = village.visitor(FLOOD + number % 6);
        let mut bytes = visitor.report_head(VILLAGE, 2 * UNFINISHED).into_bytes();
        bytes.extend_from_slice(photo_head().as_bytes());
        bytes.resize(UNFINISHED, b'x');
        flood.spawn(write(visitor, bytes));
    }
    sleep(FLOODING / 2).await;
    village.serves(7).await;
    let held = all(flood).await;
    village.serves(1).await;
    village.assert_memory();
    drop(held);
}

/// Shows that connections are let in up to a bound, each with a head of a request up to a bound,
/// that the surplus is closed and not kept, that who is honest gets a page all the same, and that
/// what says nothing more is let go in the end.
#[tokio::test(flavor = "multi_thread")]
async fn half_heads_are_bounded_and_end() {
    let village = Village::start();
    let mut flood = JoinSet::new();
    for number in 0..1_500_u16 {
        let last = FLOOD + u8::try_from(number % 12).unwrap();
        let start = b"GET /p/370322102310 HTTP/1.1\r\nhost: x\r\nx-long: ";
        let length = if number % 2 == 0 { 0 } else { 300 << 10 };
        let bytes = [start.as_slice(), &vec![b'y'; length]].concat();
        flood.spawn(write(village.visitor(last), bytes));
    }
    sleep(FLOODING / 4).await;
    let began = Instant::now();
    let page = village.visitor(7).get(&format!("/p/{VILLAGE}")).await;
    assert_eq!(page.status, 200);
    assert!(began.elapsed() < PATIENCE, "{} ms", began.elapsed().as_millis());
    let mut held = all(flood).await;
    village.serves(8).await;
    village.serves(1).await;
    let connections = 1_024;
    let at_once = closed(&mut held).await + 1_500 - held.len();
    assert!(at_once >= 1_500 - connections, "{at_once} were closed");
    village.assert_memory();
    // Half a minute for a head, and a little for a machine with much to do.
    let began = Instant::now();
    while closed(&mut held).await < held.len() {
        assert!(began.elapsed() < Duration::from_mins(1), "some are open still");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Shows that one telephone with more connections than its share takes none of another's, not even
/// those that wait between two requests.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_has_its_share_of_connections() {
    let village = Village::start();
    let mut waiting = village.visitor(7).connect().await.unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..400 {
        flood.spawn(write(village.visitor(FLOOD), b"GET /".to_vec()));
    }
    let mut held = all(flood).await;
    // On a busy machine the last are let go a moment later.
    let begun = Instant::now();
    let mut open = held.len() - closed(&mut held).await;
    while open > 128 && begun.elapsed() < PATIENCE {
        open = held.len() - closed(&mut held).await;
    }
    assert!((1..=128).contains(&open), "{open} are open");
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut bytes = [0; 12];
    timeout(PATIENCE, waiting.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 200");
}

/// Shows that a body that comes too slowly ends with an answer, while one that is as slow as a bad
/// line arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_hardly_comes_is_cut_off() {
    let village = Village::start();
    let path = format!("/p/{VILLAGE}/report");
    let mut visitor = village.visitor(7);
    let hidden = visitor.form(&path).await;
    let body = report_body(&hidden, "路灯坏了", Some(PHOTO));
    let head = visitor.report_head(VILLAGE, body.len());
    let trickle = |bytes_at_a_time: usize| {
        let (visitor, head, body) = (visitor.clone(), head.clone(), body.clone());
        async move {
            let mut stream = visitor.connect().await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            for part in body.chunks(bytes_at_a_time) {
                if stream.write_all(part).await.is_err() {
                    break;
                }
                let read = timeout(Duration::from_secs(1), stream.read_buf(&mut answer)).await;
                if read.is_ok() {
                    break;
                }
            }
            let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
            String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
        }
    };
    let began = Instant::now();
    assert!(body.len() > 4_000, "{}", body.len());
    let (hardly, slowly) = tokio::join!(trickle(1), trickle(body.len() / 10));
    assert!(hardly.contains(" 422 ") || hardly.contains(" 408 "), "{hardly:?}");
    assert!(slowly.contains(" 303 "), "{slowly:?}");
    assert!(began.elapsed() < Duration::from_secs(40), "{} s", began.elapsed().as_secs());
}

/// Sockets that a process has open.
fn sockets(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Shows that who asks for pages, for a photo, for the state of the node or for its figures,
/// and does not read the answers, is let go by the node, and that others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_let_go() {
    let village = Village::start();
    let pid = village.fleet.pid(0).unwrap();
    let mut villager = village.visitor(7);
    let reported = villager.report(VILLAGE, "村东头路灯坏了", Some(PHOTO)).await;
    assert_eq!(reported.status, 303, "{}", reported.text());
    let receipt = villager.get(&reported.header("location")).await.text();
    let photo = receipt.split('"').find(|part| part.contains("/photo/")).unwrap().to_owned();
    let mut staff = village.visitor(1);
    assert_eq!(staff.log_in("secretary", PASSWORD).await.status, 303);
    let plate = format!("/p/{VILLAGE}");
    let asked = [
        (&villager, plate.as_str()),
        (&villager, photo.as_str()),
        (&staff, "/status"),
        (&staff, "/metrics"),
    ];
    for (who, path) in &asked {
        let answer = (*who).clone().get(path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let before = sockets(pid);
    let mut flood = JoinSet::new();
    for (who, path) in asked {
        let (who, requests) = (who.clone(), who.requests(path, 4_000));
        flood.spawn(async move {
            let mut stream = who.connect_reluctantly().await.ok()?;
            let _ = timeout(FLOODING, stream.write_all(&requests)).await;
            Some(stream)
        });
    }
    let held = all(flood).await;
    assert!(sockets(pid) > before, "they wait");
    let answer = village.visitor(8).report(VILLAGE, "井盖不见了", None).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let began = Instant::now();
    while sockets(pid) > before {
        assert!(began.elapsed() < Duration::from_mins(2), "some are held still");
        sleep(Duration::from_millis(200)).await;
    }
    village.assert_memory();
    drop(held);
}

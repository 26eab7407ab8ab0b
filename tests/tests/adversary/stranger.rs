//! Somebody on the network without any certificate: silence, slowness and numbers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use cunlian_host::network::tls;
use cunlian_protocol::wire::{FaultCode, Message};
use cunlian_tests::federation::well;
use cunlian_tests::hostile::Hostile;
use cunlian_tests::member::key;
use cunlian_tests::program::wait_for;
use cunlian_tests::traces::peak_kib;
use quinn::{Endpoint, TransportConfig};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::stage::{Figures, Stage};

/// Connections that come to nothing.
const JUNK: usize = 10_000;
/// Of which so many are made at a time.
const AT_ONCE: usize = 400;
/// Memory that a node may take for them.
const MEMORY_KIB: u64 = 192 << 10;

/// Shows that a first frame that announces a gigabyte is not waited for, that one sent byte by byte
/// is given up after the time for a handshake, and so is a frame that never ends in an open
/// session; none of them takes memory for what was announced, and each is counted.
#[test]
fn a_gigabyte_announced_and_a_slow_sender_are_cut_off() {
    let stage = Stage::running();
    let town = stage.town().clone();
    let before = peak_kib(stage.fleet.pid(town.index).unwrap());
    let stranger = Hostile::new(key(91), Vec::new());
    Runtime::new().unwrap().block_on(async {
        let mut gigabyte = stranger.dial(town.listen).await;
        gigabyte.send(&(1_u32 << 30).to_be_bytes()).await;
        gigabyte.send(&[1]).await;
        assert_eq!(gigabyte.closed().await, FaultCode::TooLarge as u64);
        // Room for a hello and no more, before anybody has said who he is.
        let mut long = stranger.dial(town.listen).await;
        long.send(&(100_u32 << 10).to_be_bytes()).await;
        assert_eq!(long.closed().await, FaultCode::TooLarge as u64);
        let mut slow = stranger.dial(town.listen).await;
        slow.send(&[0, 0, 8]).await;
        assert_eq!(slow.closed().await, FaultCode::Timeout as u64);
        let insider = stage.insider(41).hostile;
        let mut inside = insider.enter(town.listen).await;
        inside.send(&(1_u32 << 30).to_be_bytes()).await;
        inside.send(&[1]).await;
        assert_eq!(inside.ending().await.code, FaultCode::TooLarge);
        stage.assert_serves(42).await;
    });
    let grown = peak_kib(stage.fleet.pid(town.index).unwrap()) - before;
    assert!(grown < 32 << 10, "{grown} KiB for what was announced");
    let figures = Figures::of(&town);
    assert_eq!(figures.get("cunlian_connections_failed_total{reason=\"too_large\"}"), 2);
    assert_eq!(figures.get("cunlian_connections_failed_total{reason=\"slow\"}"), 1);
    let log = Stage::log(&town);
    assert_eq!(log.matches("nothing was said in time").count(), 1);
    assert!(log.contains("the first frame has 1073741824 bytes"));
}

/// Shows that a member that greets with noise is answered with the reason and nothing else, and
/// that what it says before greeting is not looked at.
#[test]
fn who_does_not_greet_is_not_answered() {
    let stage = Stage::running();
    let town = stage.town().listen;
    let stranger = Hostile::new(key(91), Vec::new());
    Runtime::new().unwrap().block_on(async {
        let mut line = stranger.dial(town).await;
        line.send(&[0, 0, 0, 3, 1, 0xff, 0xff]).await;
        assert_eq!(line.ending().await.code, FaultCode::Malformed);
        let mut line = stranger.dial(town).await;
        line.say(&Message::Root { number: 1, digest: [0; 32] }).await;
        assert_eq!(line.ending().await.code, FaultCode::Unexpected);
        let mut line = stranger.dial(town).await;
        let hello = stranger.hello(&line);
        line.say(&Message::Hello(hello)).await;
        assert_eq!(line.ending().await.code, FaultCode::Certificate);
        stage.assert_serves(42).await;
    });
}

/// Shows that ten thousand connections that begin a frame and do not go on keep nobody out: they
/// take bounded memory, honest machines are served while they are there, all are gone afterwards
/// and counted, and the log is not flooded.
#[test]
fn ten_thousand_junk_connections_keep_nobody_out() {
    let stage = Arc::new(Stage::running());
    let town = stage.town().clone();
    let pid = stage.fleet.pid(town.index).unwrap();
    let before = peak_kib(pid);
    let runtime = Runtime::new().unwrap();
    let made = runtime.block_on(async {
        let flood = tokio::spawn(flood(town.listen));
        // From other addresses than the flood, as people elsewhere have.
        let mut served = 0;
        // Who comes without a pause is told to wait, flood or not.
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        while !flood.is_finished() {
            pace.tick().await;
            stage.assert_serves(50).await;
            served += 1;
        }
        assert!(served > 3, "honest peers were served {served} times during the flood");
        flood.await.unwrap()
    });
    assert!(made > JUNK / 2, "{made} connections stood");
    let grown = peak_kib(pid) - before;
    assert!(grown < MEMORY_KIB, "{grown} KiB for {made} connections");
    wait_for("the junk to be counted", || {
        let failed = Figures::of(&town).sum("cunlian_connections_failed_total");
        failed >= made as u64
    });
    let mut stage = Arc::into_inner(stage).unwrap();
    assert!(stage.fleet.is_running(town.index));
    let lines = Stage::log(&town).lines().filter(|l| l.contains("came to nothing")).count();
    assert!(lines < 50, "{lines} lines for the flood");
    stage.settle();
    drop(well(stage.fleet.status(town.index)));
}

/// Makes the connections, each with two bytes of a frame, and drops each endpoint without a word.
/// Gives how many stood.
async fn flood(address: std::net::SocketAddr) -> usize {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    let (client, _) = tls::configure(&key(92)).unwrap();
    let mut client = client;
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(20).try_into().unwrap()));
    client.transport_config(Arc::new(transport));
    let mut endpoints = Vec::new();
    for _ in 0..16 {
        let mut endpoint = Endpoint::client((Ipv4Addr::new(127, 0, 0, 9), 0).into()).unwrap();
        endpoint.set_default_client_config(client.clone());
        endpoints.push(endpoint);
    }
    for number in 0..JUNK {
        let endpoint = endpoints[number % endpoints.len()].clone();
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        tasks.spawn(async move {
            let stood = junk(&endpoint, address).await;
            drop(place);
            stood
        });
    }
    let mut stood = 0;
    while let Some(connection) = tasks.join_next().await {
        stood += usize::from(connection.unwrap().is_some());
    }
    stood
}

/// One of them; it is held open until the other side has had enough of it, or a second.
async fn junk(endpoint: &Endpoint, address: std::net::SocketAddr) -> Option<()> {
    let connection = endpoint.connect(address, tls::SERVER_NAME).ok()?.await.ok()?;
    let (mut send, _receive) = connection.open_bi().await.ok()?;
    send.write_all(&[0, 0]).await.ok()?;
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.closed()).await;
    Some(())
}

//! Strangers at the door of the nodes: greetings that lead nowhere, connections that never begin, and
//! requests to join without an invitation.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cunlian_host::clock::now_ms;
use cunlian_host::network::tls;
use cunlian_protocol::limits;
use cunlian_protocol::signing::SigningKey;
use cunlian_protocol::wire::{self, Message};
use cunlian_tests::hostile::Hostile;
use quinn::{ClientConfig, Connection, Endpoint};
use rand::Rng as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

/// Strangers that come at the same time.
const STRANGERS: u8 = 48;
/// How long one of them waits.
const PATIENCE: Duration = Duration::from_secs(20);

fn anybody() -> SigningKey {
    let mut seed = [0; 32];
    rand::rng().fill_bytes(&mut seed);
    SigningKey::from_bytes(&seed)
}

/// A connection from an address of the street, if the town lets it in.
async fn dial(client: ClientConfig, last: u8, to: SocketAddr) -> Option<(Endpoint, Connection)> {
    let mut endpoint = Endpoint::client((Ipv4Addr::new(127, 0, 1, last), 0).into()).unwrap();
    endpoint.set_default_client_config(client);
    let connecting = endpoint.connect(to, tls::SERVER_NAME).unwrap();
    let connection = timeout(PATIENCE, connecting).await.ok()?.ok()?;
    Some((endpoint, connection))
}

/// Strangers with an address each, who do something over and over; gives how often.
async fn street<F>(
    target: &Target,
    act: impl Fn(u8, SocketAddr) -> F + Send + Sync + 'static,
) -> usize
where
    F: Future<Output = ()> + Send,
{
    let (done, act) = (Arc::new(AtomicUsize::new(0)), Arc::new(act));
    let mut strangers = JoinSet::new();
    for last in 1..=STRANGERS {
        let (target, done, act) = (target.clone(), Arc::clone(&done), Arc::clone(&act));
        strangers.spawn(async move {
            let attack = Going::lasting(&target, Duration::from_secs(4));
            while attack.on() {
                act(last, target.listen()).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    strangers.join_all().await;
    done.load(Ordering::Relaxed)
}

/// Shows that greetings without end, each with the longest chain of the largest certificates that
/// lead to no root of ours, and each with another key, are turned away beside honest work.
#[test]
fn greetings_of_strangers() {
    let mut siege = Siege::begin();
    siege.withstands("greetings of strangers", |target| async move {
        let greeted = street(&target, |last, to| async move {
            let key = anybody();
            let own = target_chain();
            let Ok((client, _)) = tls::configure(&key) else { return };
            let Some((_endpoint, connection)) = dial(client, last, to).await else { return };
            let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
            let Some(channel) = tls::channel(&connection) else { return };
            let hello = Hostile::new(key, own).greeting(&channel, now_ms());
            let _ = send.write_all(&wire::encode(&Message::Hello(hello))).await;
            let _ = timeout(PATIENCE, receive.read_to_end(1 << 20)).await;
        })
        .await;
        assert!(greeted > 50, "{greeted} greetings");
    });
    siege.end();
}

/// As many certificates as a chain has, as large as they may be, of nobody.
fn target_chain() -> Vec<Vec<u8>> {
    let noise = |_| {
        let mut bytes = vec![0; limits::CERTIFICATE_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        bytes[0] = 1;
        bytes
    };
    (0..limits::CHAIN_CERTIFICATES).map(noise).collect()
}

/// Shows that connections that are begun and left in the middle of the handshake, by thousands,
/// keep nobody out.
#[test]
fn connections_that_never_begin() {
    let mut siege = Siege::begin();
    siege.withstands("half connections", |target| async move {
        let begun = street(&target, |last, to| async move {
            let Ok((client, _)) = tls::configure(&anybody()) else { return };
            let address = Ipv4Addr::new(127, 0, 1, last);
            let Ok(mut endpoint) = Endpoint::client((address, 0).into()) else { return };
            endpoint.set_default_client_config(client);
            let Ok(connecting) = endpoint.connect(to, tls::SERVER_NAME) else { return };
            // The first packet has gone, and nothing of the answer is read.
            let _ = timeout(Duration::from_millis(2), connecting).await;
        })
        .await;
        assert!(begun > 100, "{begun} connections");
    });
    siege.end();
}

/// Shows that requests to join, noise and half ones, from a street of machines, keep nobody waiting.
#[test]
fn requests_to_join() {
    let mut siege = Siege::begin();
    siege.withstands("requests to join", |target| async move {
        let asked = street(&target, |last, to| async move {
            let Ok(client) = tls::configure_enrolment(&anybody()) else { return };
            let Some((_endpoint, connection)) = dial(client, last, to).await else { return };
            let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
            let mut noise = vec![0; 60 << 10];
            rand::rng().fill_bytes(&mut noise);
            let length = u32::try_from(noise.len()).unwrap().to_be_bytes();
            let _ = send.write_all(&length).await;
            let _ = send.write_all(&noise).await;
            if last % 2 == 0 {
                let _ = timeout(PATIENCE, receive.read_to_end(1 << 20)).await;
            }
        })
        .await;
        assert!(asked > 50, "{asked} requests");
    });
    siege.end();
}

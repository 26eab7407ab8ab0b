//! The way to another node: every address that its name has now, and the first that is it.
//!
//! ```text
//!  name ─▶ look up ─▶ first address ───────────▶ handshake ─┐
//!                 └─▶ next one, a moment later ─▶ handshake ─┴─▶ the one with the right key
//! ```
//!
//! A line with IPv6 that leads nowhere is common, so nobody waits for one address before the next is
//! tried (RFC 8305). Whoever else answers there does not stand in the way: its connection is used
//! only when no other came to anything, because it may be the node with its next key.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cunlian_protocol::id::PublicKey;
use quinn::{Connection, Endpoint, VarInt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::tls;
use crate::config::Peer;

/// How long a peer may take for the handshake and its first stream.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long looking up a name may take.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long the next address waits for the one before.
const STAGGER: Duration = Duration::from_millis(500);
/// Code with which a connection is closed that another one was better than.
const NOT_NEEDED: VarInt = VarInt::from_u32(0);

/// The sockets by which a node reaches others.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Where the node listens.
    pub own: Endpoint,
    /// For addresses of the family that the node does not listen on.
    pub other: Option<Endpoint>,
}

impl Endpoints {
    /// Where a socket for the other family would be bound; `None` where one socket serves both.
    pub fn other_family(listen: SocketAddr) -> Option<SocketAddr> {
        match listen {
            SocketAddr::V4(_) => Some((Ipv6Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(listen) if listen.ip().is_unspecified() => None,
            SocketAddr::V6(_) => Some((Ipv4Addr::UNSPECIFIED, 0).into()),
        }
    }

    /// Tells the peers and waits until all has been said.
    pub async fn close(&self, code: VarInt, reason: &[u8]) {
        let all = [Some(&self.own), self.other.as_ref()];
        for endpoint in all.into_iter().flatten() {
            endpoint.close(code, reason);
        }
        for endpoint in all.into_iter().flatten() {
            endpoint.wait_idle().await;
        }
    }

    fn to(&self, address: SocketAddr) -> Option<&Endpoint> {
        let listen = self.own.local_addr().ok()?;
        let serves_both = Self::other_family(listen).is_none();
        let is_own = listen.is_ipv4() == address.is_ipv4() || serves_both;
        if is_own { Some(&self.own) } else { self.other.as_ref() }
    }
}

/// A connection to a peer, or in words why there is none.
pub(super) async fn reach(endpoints: &Endpoints, peer: &Peer) -> Result<Connection, String> {
    let not_in_time = || format!("the name {} was not found", peer.address.host());
    let addresses = timeout(LOOKUP, peer.address.resolve()).await;
    let addresses = addresses.unwrap_or_else(|_| Err(not_in_time()))?;
    first_of(endpoints, addresses, peer.key).await
}

/// A connection to whoever has this key at one of the addresses, or to somebody else there.
async fn first_of(
    endpoints: &Endpoints,
    addresses: Vec<SocketAddr>,
    wanted: PublicKey,
) -> Result<Connection, String> {
    let mut tries = JoinSet::new();
    let mut wait = Duration::ZERO;
    for address in addresses {
        let endpoint = endpoints.to(address).cloned();
        tries.spawn(async move {
            sleep(wait).await;
            let outcome = timeout(HANDSHAKE, connect(endpoint, address)).await;
            (address, outcome.unwrap_or_else(|_| Err("no answer".to_owned())))
        });
        wait += STAGGER;
    }
    let (mut another, mut missed) = (None::<Connection>, Vec::new());
    while let Some(outcome) = tries.join_next().await {
        match outcome {
            Ok((_, Ok(connection))) => {
                let key = tls::channel(&connection).map(|channel| channel.peer_key);
                if key == Some(wanted) {
                    if let Some(another) = another {
                        another.close(NOT_NEEDED, b"");
                    }
                    return Ok(connection);
                }
                match another {
                    None => another = Some(connection),
                    Some(_) => connection.close(NOT_NEEDED, b""),
                }
            }
            Ok((address, Err(reason))) => missed.push((address, reason)),
            Err(_) => {}
        }
    }
    another.ok_or_else(|| words(&missed))
}

async fn connect(endpoint: Option<Endpoint>, address: SocketAddr) -> Result<Connection, String> {
    let endpoint = endpoint.ok_or("this machine has no address of that kind")?;
    let connecting = endpoint.connect(address, tls::SERVER_NAME);
    connecting.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
}

/// What became of all addresses; said once where it is the same.
fn words(missed: &[(SocketAddr, String)]) -> String {
    match missed {
        [(_, reason), others @ ..] if others.iter().all(|(_, other)| other == reason) => {
            reason.clone()
        }
        _ => {
            let each = missed.iter().map(|(address, reason)| format!("{address}: {reason}"));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use cunlian_protocol::signing::{SigningKey, public_key};
    use cunlian_protocol::wire::ALPN;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    /// A node with this key that lets everybody in.
    fn node(seed: u8, address: SocketAddr) -> SocketAddr {
        let server = tls::server(&key(seed), &[ALPN]).unwrap();
        let node = Endpoint::server(server, address).unwrap();
        let address = node.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Some(incoming) = node.accept().await {
                open.push(incoming.await);
            }
        });
        address
    }

    /// Shows that of the addresses of a name, IPv6 and IPv4, the one with the right key is taken,
    /// though nobody answers at the first and somebody else at the second; that somebody else is
    /// taken where there is no other; and what is said where there is nobody.
    #[tokio::test]
    async fn the_node_is_found_among_its_addresses() {
        let (client, _) = tls::configure(&key(1)).unwrap();
        let dialler = |address: SocketAddr| {
            let mut endpoint = Endpoint::client(address).unwrap();
            endpoint.set_default_client_config(client.clone());
            endpoint
        };
        let four: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let six: SocketAddr = (Ipv6Addr::LOCALHOST, 0).into();
        let own = dialler(four);
        let other = Endpoints::other_family(four).map(dialler);
        let endpoints = Endpoints { own, other };
        let silent = std::net::UdpSocket::bind(four).unwrap();
        let nobody = silent.local_addr().unwrap();
        let (stranger, wanted) = (node(8, four), node(9, six));
        let key_of = |connection: &Connection| tls::channel(connection).unwrap().peer_key;
        let [theirs, its] = [8, 9].map(|seed| public_key(&key(seed)));

        let found = first_of(&endpoints, vec![nobody, stranger, wanted], its).await.unwrap();
        assert_eq!(key_of(&found), its);
        let found = first_of(&endpoints, vec![stranger], its).await.unwrap();
        assert_eq!(key_of(&found), theirs, "it may be the node with its next key");
        let without = Endpoints { own: dialler(four), other: None };
        let words = first_of(&without, vec![wanted], its).await.unwrap_err();
        assert_eq!(words, "this machine has no address of that kind");
    }
}

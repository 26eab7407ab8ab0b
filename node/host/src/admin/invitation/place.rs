//! Where a new machine reaches this node: the addresses that go into a token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use crate::address::NodeAddress;
use crate::admin::AdminError;
use crate::config::Config;

/// Addresses kept for documentation, RFC 5737 and RFC 3849: a socket pointed at one sends nothing
/// and yet tells by which of its own addresses this machine reaches others.
const ELSEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The addresses under which a node listening on `listen` can be reached: that one, or, when it
/// listens everywhere, those by which this machine reaches others.
pub fn reachable_addresses(listen: SocketAddr) -> Vec<String> {
    if !listen.ip().is_unspecified() {
        return vec![listen.to_string()];
    }
    let own = ELSEWHERE.into_iter().filter_map(|elsewhere| {
        let any: IpAddr = match elsewhere {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((elsewhere, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        let served = ip.is_ipv4() || listen.is_ipv6();
        (served && !ip.is_unspecified()).then(|| SocketAddr::new(ip, listen.port()).to_string())
    });
    own.collect()
}

pub(super) fn own_addresses(data_dir: &Path) -> Result<Vec<String>, AdminError> {
    let listen = Config::load(data_dir).map_err(AdminError::new)?.listen;
    let own = reachable_addresses(listen);
    if own.is_empty() {
        return Err(AdminError::new(
            "this machine does not know under which address others reach it",
        )
        .hint("--address HOST:PORT, as the new machine will dial it (UDP)"));
    }
    Ok(own)
}

/// Checks the form `host:port`; whether anybody is there is found out by who joins.
pub(super) fn check(address: &str) -> Result<(), AdminError> {
    let wrong = || {
        AdminError::new(format!("{address:?} is not an address"))
            .hint("--address HOST:PORT, such as 192.0.2.1:7320 or town.example:7320")
    };
    address.parse::<NodeAddress>().map(drop).map_err(|_| wrong())
}

//! Small federations of real processes on free ports of the loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use cunlian_node::demo::fleet::{Fleet, check_ports, provision};
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_node::failure::Failure;
use rand::Rng as _;

use crate::program::program;

/// 高青县.
pub const COUNTY: &str = "370322";
/// 高城镇.
pub const TOWN: &str = "370322102";
/// 苑兴村 in 高城镇.
pub const VILLAGE: &str = "370322102310";

/// Free ports, held until they are handed over, so that no port is given out twice.
#[derive(Debug)]
pub struct Ports {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Ports {
    /// A free UDP port and a free TCP port.
    pub fn free() -> Self {
        Self { udp: somewhere(UdpSocket::bind), tcp: somewhere(TcpListener::bind) }
    }

    /// The UDP address.
    pub fn listen(&self) -> SocketAddr {
        self.udp.local_addr().expect("a bound socket has an address")
    }

    /// The TCP address.
    pub fn http(&self) -> SocketAddr {
        self.tcp.local_addr().expect("a bound socket has an address")
    }
}

/// A panic with the words of a failure of the node.
pub fn well<T>(outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// Lays out the nodes of the demo with these codes below `dir`, each under the nearest one above
/// it, certified and with operators, and nothing in their stores.
pub fn lay_out(dir: &Path, codes: &[&str]) -> Layout {
    let demo = Layout::new(dir, 1, 1).expect("the demo's codes are sound");
    let ports: Vec<Ports> = codes.iter().map(|_| Ports::free()).collect();
    let mut nodes: Vec<Node> = Vec::new();
    for (index, (code, ports)) in codes.iter().zip(&ports).enumerate() {
        let node = demo.find(code).unwrap_or_else(|| panic!("the demo has no node {code}"));
        let above = |other: &Node| other.tier < node.tier && other.region.contains(&node.region);
        let parent = nodes.iter().rposition(above);
        let (listen, http) = (ports.listen(), ports.http());
        nodes.push(Node { index, parent, listen, http, ..node.clone() });
    }
    let layout = Layout { nodes, villages: demo.villages };
    well(provision(&layout, |_, _| None));
    layout
}

/// Processes for a layout, none running yet.
pub fn fleet(layout: Layout) -> Fleet {
    Fleet::new(layout, &program())
}

/// Binds a port below those that the system gives to whoever asks for any: another test would be
/// given it between the moment it is let go and the moment the node takes it.
fn somewhere<T>(bind: impl Fn(SocketAddr) -> std::io::Result<T>) -> T {
    let ports =
        (0..1_000).map(|_| 10_000 + u16::try_from(rand::rng().next_u32() % 5_000).unwrap_or(0));
    let mut bound = ports.filter_map(|port| bind((Ipv4Addr::LOCALHOST, port).into()).ok());
    bound.next().expect("a free port")
}

/// First UDP and TCP port of a free row, as the demo takes them.
pub fn free_bases(dir: &Path) -> (u16, u16) {
    for _ in 0..200 {
        let random = u16::try_from(rand::rng().next_u32() % 16_000).unwrap_or(0);
        let bases = (15_000 + random, 15_100 + random);
        let layout = Layout::new(dir, bases.0, bases.1).expect("the demo's codes are sound");
        if check_ports(&layout).is_ok() {
            return bases;
        }
    }
    panic!("no row of free ports was found");
}

//! Ports of the loopback, given out once.
//!
//! A port that is found free and let go, so that a node can take it, may be found free by another
//! test in between. So a process of tests claims blocks of ports by listening on the first of each
//! for as long as it runs, and gives each port of its blocks out a single time. The blocks lie below
//! the ports that the system gives to whoever asks for any.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use rand::Rng as _;

/// First port of the first block, number of blocks, and ports in each: up to port 32,599.
const FIRST: u16 = 10_000;
const BLOCKS: u16 = 113;
const BLOCK_PORTS: u16 = 200;

/// What this process holds.
static CLAIMED: Mutex<Claimed> = Mutex::new(Claimed { guards: Vec::new(), left: Vec::new() });

struct Claimed {
    /// Listeners on the first port of each block; they keep other processes out.
    guards: Vec<TcpListener>,
    /// Ports that nobody has been given.
    left: Vec<u16>,
}

/// Two ports that nobody else is given, for one node.
#[derive(Debug)]
pub struct Ports {
    udp: u16,
    tcp: u16,
}

impl Ports {
    /// A free UDP port and a free TCP port.
    pub fn free() -> Self {
        Self {
            udp: free_port(|at| UdpSocket::bind(at).is_ok()),
            tcp: free_port(|at| TcpListener::bind(at).is_ok()),
        }
    }

    /// The UDP address.
    pub fn listen(&self) -> SocketAddr {
        here(self.udp)
    }

    /// The TCP address.
    pub fn http(&self) -> SocketAddr {
        here(self.tcp)
    }
}

/// A TCP port that nobody else is given.
pub fn free_tcp_port() -> u16 {
    free_port(|at| TcpListener::bind(at).is_ok())
}

/// First UDP and first TCP port of two rows of a hundred, as the demo takes them.
pub fn free_rows() -> (u16, u16) {
    for _ in 0..BLOCKS {
        let ports = claimed(Claimed::claim);
        let free = |port: &u16| {
            UdpSocket::bind(here(*port)).is_ok() && TcpListener::bind(here(*port)).is_ok()
        };
        if let (true, [first, ..]) = (ports.iter().all(free), ports.as_slice()) {
            return (*first, first + BLOCK_PORTS / 2);
        }
    }
    panic!("no block of ports is free from end to end");
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn claimed<T>(take: impl FnOnce(&mut Claimed) -> T) -> T {
    take(&mut CLAIMED.lock().unwrap_or_else(PoisonError::into_inner))
}

fn free_port(is_free: impl Fn(SocketAddr) -> bool) -> u16 {
    loop {
        let port = claimed(Claimed::next);
        if is_free(here(port)) {
            return port;
        }
    }
}

impl Claimed {
    fn next(&mut self) -> u16 {
        loop {
            if let Some(port) = self.left.pop() {
                return port;
            }
            self.left = self.claim();
        }
    }

    /// Claims a block; gives its ports but the first.
    fn claim(&mut self) -> Vec<u16> {
        let begin = u16::try_from(rand::rng().next_u32() % u32::from(BLOCKS)).unwrap_or(0);
        for number in 0..BLOCKS {
            let first = FIRST + (begin + number) % BLOCKS * BLOCK_PORTS;
            if let Ok(guard) = TcpListener::bind(here(first)) {
                self.guards.push(guard);
                return (first + 1..first + BLOCK_PORTS).collect();
            }
        }
        panic!("all blocks of ports are claimed");
    }
}

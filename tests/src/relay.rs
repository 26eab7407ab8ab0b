//! A hostile stretch of network: datagrams between one node and its parent pass through it, are
//! written down, and some are altered, some sent again later.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Every so many datagrams one has a bit flipped.
const ALTERED_EVERY: usize = 7;
/// Every so many datagrams one of before is sent once more.
const REPEATED_EVERY: usize = 5;
/// Largest datagram.
const DATAGRAM_BYTES: usize = 65_535;

/// What passed.
#[derive(Debug, Default, Clone)]
pub struct Passed {
    /// Every datagram of both directions as it came, one after the other.
    pub bytes: Vec<u8>,
    /// How many.
    pub datagrams: usize,
    /// How many were altered.
    pub altered: usize,
    /// How many were sent once more.
    pub repeated: usize,
}

/// A relay that runs as long as the process.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    passed: Arc<Mutex<Passed>>,
}

impl Relay {
    /// Between whoever sends to [`Relay::address`] and `to`.
    ///
    /// # Panics
    /// Without a free UDP port.
    pub fn to(to: SocketAddr) -> Self {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let address = front.local_addr().expect("a bound socket has an address");
        let passed = Arc::<Mutex<Passed>>::default();
        let noted = Arc::clone(&passed);
        thread::spawn(move || forward(&front, to, &noted));
        Self { address, passed }
    }

    /// Where to send what is for the other side.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed so far.
    pub fn passed(&self) -> Passed {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes what comes to the front; each sender has a socket of its own towards the other side.
fn forward(front: &UdpSocket, to: SocketAddr, passed: &Arc<Mutex<Passed>>) {
    let mut backs: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut before = Vec::new();
    while let Ok((length, from)) = front.recv_from(&mut buffer) {
        let Some(datagram) = buffer.get_mut(..length) else { continue };
        let back = backs.entry(from).or_insert_with(|| answer(front, to, from, passed));
        meddle(datagram, &mut before, passed, |bytes| {
            let _ = back.send(bytes);
        });
    }
}

/// Opens the way for the answers to one sender.
fn answer(
    front: &UdpSocket,
    to: SocketAddr,
    from: SocketAddr,
    passed: &Arc<Mutex<Passed>>,
) -> UdpSocket {
    let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
    back.connect(to).expect("a loopback address can be reached");
    let (front, passed) = (front.try_clone(), Arc::clone(passed));
    let (front, receiving) =
        (front.expect("a socket can be shared"), back.try_clone().expect("a socket can be shared"));
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        let mut before = Vec::new();
        loop {
            // While the other side does not listen there are errors, and then there are none.
            let Ok(length) = receiving.recv(&mut buffer) else { continue };
            let Some(datagram) = buffer.get_mut(..length) else { continue };
            meddle(datagram, &mut before, &passed, |bytes| {
                let _ = front.send_to(bytes, from);
            });
        }
    });
    back
}

/// Writes a datagram down and sends it on, altered or followed by an earlier one when it is time.
fn meddle(
    datagram: &mut [u8],
    before: &mut Vec<u8>,
    passed: &Mutex<Passed>,
    mut send: impl FnMut(&[u8]),
) {
    let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
    passed.bytes.extend_from_slice(datagram);
    passed.datagrams += 1;
    if passed.datagrams.is_multiple_of(REPEATED_EVERY) && !before.is_empty() {
        passed.repeated += 1;
        send(before);
    }
    *before = datagram.to_vec();
    if passed.datagrams.is_multiple_of(ALTERED_EVERY)
        && let Some(byte) = datagram.last_mut()
    {
        passed.altered += 1;
        *byte ^= 1;
    }
    drop(passed);
    send(datagram);
}

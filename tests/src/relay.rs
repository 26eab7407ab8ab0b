//! A stretch of network between one node and its parent. A hostile one writes down what passes, alters
//! some datagrams and sends some again later; an honest one only counts, and is as thin and as long
//! as it is told to be.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Every so many datagrams one has a bit flipped.
const ALTERED_EVERY: usize = 7;
/// Every so many datagrams one of before is sent once more.
const REPEATED_EVERY: usize = 5;
/// Largest datagram.
const DATAGRAM_BYTES: usize = 65_535;
/// Datagrams that are on their way on a long line; more are lost.
const ON_THEIR_WAY: usize = 1_024;

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

/// What passed, and how it is treated.
#[derive(Debug, Default)]
struct Stretch {
    /// `None` on a hostile one.
    bytes_per_second: Option<u32>,
    /// How long each datagram is on its way, once it is on the line.
    delay: Duration,
    bytes: AtomicUsize,
    passed: Mutex<Passed>,
}

/// A relay that runs as long as the process.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stretch: Arc<Stretch>,
}

impl Relay {
    /// A hostile one between whoever sends to [`Relay::address`] and `to`.
    ///
    /// # Panics
    /// Without a free UDP port.
    pub fn to(to: SocketAddr) -> Self {
        Self::start(to, None, Duration::ZERO)
    }

    /// An honest one between whoever sends to [`Relay::address`] and `to`, through which so many
    /// bytes pass in a second and direction.
    ///
    /// # Panics
    /// Without a free UDP port.
    pub fn honest(to: SocketAddr, bytes_per_second: u32) -> Self {
        Self::line(to, bytes_per_second, Duration::ZERO)
    }

    /// The same, on which each datagram is so long on its way.
    ///
    /// # Panics
    /// Without a free UDP port.
    pub fn line(to: SocketAddr, bytes_per_second: u32, delay: Duration) -> Self {
        Self::start(to, Some(bytes_per_second), delay)
    }

    fn start(to: SocketAddr, bytes_per_second: Option<u32>, delay: Duration) -> Self {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let address = front.local_addr().expect("a bound socket has an address");
        let stretch = Arc::new(Stretch { bytes_per_second, delay, ..Stretch::default() });
        let noted = Arc::clone(&stretch);
        thread::spawn(move || forward(&front, to, &noted));
        Self { address, stretch }
    }

    /// Where to send what is for the other side.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed a hostile one so far.
    pub fn passed(&self) -> Passed {
        self.stretch.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes have passed so far, in both directions.
    pub fn bytes(&self) -> usize {
        self.stretch.bytes.load(Ordering::Relaxed)
    }
}

/// Takes what comes to the front; each sender has a socket of its own towards the other side.
fn forward(front: &UdpSocket, to: SocketAddr, stretch: &Arc<Stretch>) {
    let mut backs: BTreeMap<SocketAddr, Way> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut before = Vec::new();
    while let Ok((length, from)) = front.recv_from(&mut buffer) {
        let Some(datagram) = buffer.get_mut(..length) else { continue };
        let send = backs.entry(from).or_insert_with(|| {
            let back = answer(front, to, from, stretch);
            way(stretch.delay, move |bytes| drop(back.send(bytes)))
        });
        pass(datagram, &mut before, stretch, send);
    }
}

/// Takes a datagram to the other side.
type Way = Box<dyn Fn(&[u8])>;

/// The way over a line to where datagrams `arrive`: on a short one they are there at once.
fn way(delay: Duration, arrive: impl Fn(&[u8]) + Send + 'static) -> Way {
    if delay.is_zero() {
        return Box::new(arrive);
    }
    let (leaving, under_way) = mpsc::sync_channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY);
    thread::spawn(move || {
        for (due, bytes) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            arrive(&bytes);
        }
    });
    // A full line loses what comes, as lines do.
    Box::new(move |bytes| drop(leaving.try_send((Instant::now() + delay, bytes.to_vec()))))
}

/// Opens the way for the answers to one sender.
fn answer(
    front: &UdpSocket,
    to: SocketAddr,
    from: SocketAddr,
    stretch: &Arc<Stretch>,
) -> UdpSocket {
    let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
    back.connect(to).expect("a loopback address can be reached");
    let (front, stretch) = (front.try_clone(), Arc::clone(stretch));
    let (front, receiving) =
        (front.expect("a socket can be shared"), back.try_clone().expect("a socket can be shared"));
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        let mut before = Vec::new();
        let send = way(stretch.delay, move |bytes| drop(front.send_to(bytes, from)));
        loop {
            // While the other side does not listen there are errors, and then there are none.
            let Ok(length) = receiving.recv(&mut buffer) else { continue };
            let Some(datagram) = buffer.get_mut(..length) else { continue };
            pass(datagram, &mut before, &stretch, &*send);
        }
    });
    back
}

/// Sends a datagram on; on a hostile stretch writes it down before, and alters it or sends an earlier
/// one once more when it is time.
fn pass(datagram: &mut [u8], before: &mut Vec<u8>, stretch: &Stretch, send: &dyn Fn(&[u8])) {
    stretch.bytes.fetch_add(datagram.len(), Ordering::Relaxed);
    if let Some(bytes_per_second) = stretch.bytes_per_second {
        let length = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        thread::sleep(Duration::from_secs(1) * length / bytes_per_second);
        return send(datagram);
    }
    let mut passed = stretch.passed.lock().unwrap_or_else(PoisonError::into_inner);
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

//! A bad line: a relay for datagrams that loses some, lets few through, and takes its time.
//!
//! ```text
//!  child ──▶ front ─ lost? ─ full? ─ bucket ─ delay ─▶ back ──▶ parent     and the same back
//! ```
//!
//! Each direction has a bandwidth of its own. What comes faster waits in a queue as a modem has
//! one; what does not fit is dropped. Losses follow from the seed and the order of datagrams.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;

/// Largest datagram.
const DATAGRAM_BYTES: usize = 65_536;
/// Headers of IP and UDP, which the line carries too.
const HEADER_BYTES: usize = 28;
/// How often a direction looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Datagrams are sent on with this much precision.
const STEP: Duration = Duration::from_millis(1);

/// What the line is like, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Datagrams of a hundred that are lost.
    pub loss_percent: f64,
    /// There and back, without the queue, in milliseconds.
    pub round_trip_ms: u32,
    /// Bits per second and direction, headers of IP included.
    pub bits_per_second: u32,
    /// How long the queue is when it is full, in milliseconds of the line.
    pub queue_ms: u32,
}

impl Line {
    /// Bytes per second and direction.
    pub(super) fn bytes_per_second(&self) -> f64 {
        f64::from(self.bits_per_second) / 8.0
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(u64::from(self.round_trip_ms)) / 2
    }

    fn queue(&self) -> Duration {
        Duration::from_millis(u64::from(self.queue_ms))
    }

    /// How long a datagram with so many bytes occupies the line.
    fn occupied(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes + HEADER_BYTES).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(bytes) / self.bytes_per_second())
    }
}

/// What has become of the datagrams, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Passed {
    /// Brought to the other side.
    pub datagrams: u64,
    /// Their bytes, without headers of IP.
    pub bytes: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    datagrams: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    dropped: AtomicU64,
}

/// The relay; it ends when dropped.
#[derive(Debug)]
pub(super) struct Relay {
    front: SocketAddr,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// A relay to `parent`.
    pub(super) fn start(parent: SocketAddr, line: Line, seed: u64) -> io::Result<Self> {
        let bind = || -> io::Result<Arc<UdpSocket>> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(LOOK_EVERY))?;
            Ok(Arc::new(socket))
        };
        let (front, back) = (bind()?, bind()?);
        let child = Arc::new(Mutex::new(None));
        let (counters, stop) = (Arc::new(Counters::default()), Arc::new(AtomicBool::new(false)));
        let direction = |from: &Arc<UdpSocket>, to: &Arc<UdpSocket>, up: bool| Direction {
            from: Arc::clone(from),
            to: Arc::clone(to),
            parent: up.then_some(parent),
            child: Arc::clone(&child),
            line,
            random: StdRng::seed_from_u64(seed ^ u64::from(up)),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
        };
        let mut threads = direction(&front, &back, true).start();
        threads.extend(direction(&back, &front, false).start());
        Ok(Self { front: front.local_addr()?, counters, stop, threads })
    }

    /// Where the child finds the parent.
    pub(super) fn address(&self) -> SocketAddr {
        self.front
    }

    /// What has passed so far.
    pub(super) fn passed(&self) -> Passed {
        let Counters { datagrams, bytes, lost, dropped } = &*self.counters;
        let [datagrams, bytes, lost, dropped] =
            [datagrams, bytes, lost, dropped].map(|count| count.load(Ordering::Relaxed));
        Passed { datagrams, bytes, lost, dropped }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A datagram under way, and when it arrives.
type Flying = (Instant, Vec<u8>);

struct Direction {
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    /// Where it goes; `None` for where the child last sent from.
    parent: Option<SocketAddr>,
    child: Arc<Mutex<Option<SocketAddr>>>,
    line: Line,
    random: StdRng,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
}

impl Direction {
    /// One thread takes datagrams in, one brings them.
    fn start(self) -> Vec<JoinHandle<()>> {
        let flying: Arc<Mutex<VecDeque<Flying>>> = Arc::default();
        let (to, child, parent) = (Arc::clone(&self.to), Arc::clone(&self.child), self.parent);
        let (counters, stop) = (Arc::clone(&self.counters), Arc::clone(&self.stop));
        let arriving = Arc::clone(&flying);
        let bring = move || {
            while !stop.load(Ordering::Acquire) {
                let Some(bytes) = due(&arriving) else {
                    thread::sleep(STEP);
                    continue;
                };
                let known = *child.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(to_address) = parent.or(known) {
                    // One that nobody takes is lost, as on a line.
                    let _ = to.send_to(&bytes, to_address);
                    counters.datagrams.fetch_add(1, Ordering::Relaxed);
                    counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
            }
        };
        vec![thread::spawn(bring), thread::spawn(move || self.take(&flying))]
    }

    fn take(mut self, flying: &Mutex<VecDeque<Flying>>) {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        let mut free_at = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            let Ok((length, from)) = self.from.recv_from(&mut buffer) else { continue };
            if self.parent.is_some() {
                *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            }
            let now = Instant::now();
            free_at = free_at.max(now);
            // It is lost behind the modem, so it takes its time on the line all the same.
            if free_at.duration_since(now) > self.line.queue() {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            free_at += self.line.occupied(length);
            if self.random.random_bool(self.line.loss_percent / 100.0) {
                self.counters.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let datagram = buffer.get(..length).unwrap_or_default().to_vec();
            let arrives = free_at + self.line.delay();
            flying.lock().unwrap_or_else(PoisonError::into_inner).push_back((arrives, datagram));
        }
    }
}

/// The first datagram under way, if it has arrived.
fn due(flying: &Mutex<VecDeque<Flying>>) -> Option<Vec<u8>> {
    let mut flying = flying.lock().unwrap_or_else(PoisonError::into_inner);
    let arrived = flying.front().is_some_and(|(at, _)| *at <= Instant::now());
    arrived.then(|| flying.pop_front().map(|(_, bytes)| bytes)).flatten()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that what goes in comes out on the other side, later and in order, and that the
    /// answer finds its way back.
    #[test]
    fn datagrams_come_later_and_in_order() {
        let line =
            Line { loss_percent: 0.0, round_trip_ms: 40, bits_per_second: 1 << 20, queue_ms: 500 };
        let parent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let child = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(parent.local_addr().unwrap(), line, 1).unwrap();
        let begun = Instant::now();
        for number in 0..10_u8 {
            child.send_to(&[number; 100], relay.address()).unwrap();
        }
        let mut buffer = [0; 200];
        let mut from = relay.address();
        for number in 0..10_u8 {
            let (length, sender) = parent.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer.get(..length).unwrap(), [number; 100]);
            from = sender;
        }
        assert!(begun.elapsed() >= line.delay());
        parent.send_to(b"back", from).unwrap();
        let (length, _) = child.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer.get(..length).unwrap(), b"back");
        assert_eq!(relay.passed().lost, 0);
    }

    /// Shows that a line on which everything is lost lets nothing through and says so.
    #[test]
    fn what_is_lost_is_counted() {
        let line =
            Line { loss_percent: 100.0, round_trip_ms: 0, bits_per_second: 1 << 20, queue_ms: 500 };
        let parent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let child = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(parent.local_addr().unwrap(), line, 1).unwrap();
        while relay.passed().lost < 5 {
            child.send_to(b"gone", relay.address()).unwrap();
            thread::sleep(STEP);
        }
        assert_eq!(relay.passed().datagrams, 0);
    }
}

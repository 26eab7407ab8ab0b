//! A gate in front of the UDP socket: while a link is cut, no datagram to or from that peer
//! passes, as if the cable were pulled.
//!
//! `demo link cut` uses it, and so can an administrator who must silence one link of a running
//! node: the file `links/cut` in the data directory lists the peer addresses that are cut, one
//! per line; it is read again twice a second, and once at start before the first datagram.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

const READ_AGAIN: Duration = Duration::from_millis(500);

/// Which peers are cut off.
#[derive(Debug, Clone)]
pub struct Gate {
    path: PathBuf,
    cut: Arc<RwLock<BTreeSet<SocketAddr>>>,
}

/// The file with the addresses that are cut, in a data directory.
pub fn cut_file(data_dir: &Path) -> PathBuf {
    data_dir.join("links").join("cut")
}

impl Gate {
    /// The gate of a data directory, as its file says now.
    pub fn open(data_dir: &Path) -> Self {
        let gate = Self { path: cut_file(data_dir), cut: Arc::default() };
        gate.read();
        gate
    }

    /// Follows the file for as long as the node runs.
    pub async fn follow(self) {
        let mut ticks = tokio::time::interval(READ_AGAIN);
        loop {
            ticks.tick().await;
            self.read();
        }
    }

    /// Puts the gate in front of a socket.
    pub fn guard(&self, socket: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(Gated { socket, gate: self.clone() })
    }

    /// The peers that are cut off now.
    pub fn cut_links(&self) -> Vec<SocketAddr> {
        self.cut.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn read(&self) {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let now: BTreeSet<SocketAddr> =
            text.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let mut cut = self.cut.write().unwrap_or_else(PoisonError::into_inner);
        if *cut != now {
            tracing::info!(?now, "cut links changed");
            *cut = now;
        }
    }

    fn is_cut(&self, peer: &SocketAddr) -> bool {
        self.cut.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }
}

#[derive(Debug)]
struct Gated {
    socket: Arc<dyn AsyncUdpSocket>,
    gate: Gate,
}

impl AsyncUdpSocket for Gated {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.gate.is_cut(&transmit.destination) {
            return Ok(());
        }
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(context, buffers, meta);
        if let Poll::Ready(Ok(count)) = received {
            for datagram in meta.iter_mut().take(count) {
                if self.gate.is_cut(&datagram.addr) {
                    // An empty datagram is what quinn drops without a trace.
                    datagram.len = 0;
                    datagram.stride = 0;
                }
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

//! Bodies under way: how fast they have to come, and how much of them the node keeps in all.
//!
//! The body of every request passes here before anything reads it. What is read is counted until
//! the request is answered, because whoever reads it keeps it until then. When all of them together
//! have [`UPLOADS_BYTES`], the largest body of the network that has most gives way and is answered
//! that the node is busy: a flood takes the place of itself. A body that comes more slowly than
//! [`BODY_BYTES_PER_SECOND`] ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{BODY_BYTES_PER_SECOND, BODY_GRACE, UPLOADS_BYTES};

/// All bodies under way.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    bytes: usize,
    by_number: BTreeMap<u64, Upload>,
}

#[derive(Debug)]
struct Upload {
    from: IpAddr,
    bytes: usize,
    fate: Arc<Fate>,
}

/// What became of a body before its end.
#[derive(Debug, Default)]
struct Fate {
    end: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// Why a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// It came too slowly.
    #[error("the request came too slowly")]
    Slow,
    /// Others send as well, and there is room for so much.
    #[error("too much is being sent at the same time")]
    Busy,
}

/// The account of one request, closed when dropped.
#[derive(Debug)]
pub(crate) struct Account {
    uploads: Arc<Uploads>,
    number: u64,
    fate: Arc<Fate>,
}

impl Fate {
    fn cut(&self, cut: Cut) {
        self.end.store(cut as u8 + 1, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn get(&self) -> Option<Cut> {
        match self.end.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Cut::Slow),
            _ => Some(Cut::Busy),
        }
    }
}

impl Account {
    /// Opens an account for a request from a network, and gives the body that is counted on it.
    pub(crate) fn open(uploads: &Arc<Uploads>, from: IpAddr, body: Body) -> (Self, Body) {
        let fate = Arc::new(Fate::default());
        let mut open = uploads.lock();
        open.next += 1;
        let number = open.next;
        open.by_number.insert(number, Upload { from, bytes: 0, fate: Arc::clone(&fate) });
        drop(open);
        let began = Instant::now();
        let counted = Counted {
            inner: body,
            uploads: Arc::clone(uploads),
            number,
            fate: Arc::clone(&fate),
            began,
            bytes: 0,
            late: Box::pin(sleep_until(began + BODY_GRACE)),
        };
        (Self { uploads: Arc::clone(uploads), number, fate }, Body::new(counted))
    }

    /// Why the body ended before its end, if it did.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.fate.get()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut open = self.uploads.lock();
        if let Some(upload) = open.by_number.remove(&self.number) {
            open.bytes -= upload.bytes;
        }
    }
}

impl Uploads {
    /// Counts bytes of a body; somebody gives way when there is no room for them.
    fn grow(&self, number: u64, bytes: usize) {
        let mut open = self.lock();
        let Some(upload) = open.by_number.get_mut(&number) else { return };
        upload.bytes += bytes;
        open.bytes += bytes;
        while open.bytes > UPLOADS_BYTES {
            let Some(number) = open.least_entitled() else { return };
            let Some(upload) = open.by_number.remove(&number) else { return };
            open.bytes -= upload.bytes;
            upload.fate.cut(Cut::Busy);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The largest body of the network that has most.
    fn least_entitled(&self) -> Option<u64> {
        let mut sums: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for upload in self.by_number.values() {
            *sums.entry(upload.from).or_default() += upload.bytes;
        }
        let (most, _) = sums.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let of_most = self.by_number.iter().filter(|(_, upload)| upload.from == most);
        of_most.max_by_key(|(_, upload)| upload.bytes).map(|(number, _)| *number)
    }
}

/// A body whose bytes are counted as they come.
struct Counted {
    inner: Body,
    uploads: Arc<Uploads>,
    number: u64,
    fate: Arc<Fate>,
    began: Instant,
    bytes: u64,
    late: Pin<Box<Sleep>>,
}

impl Counted {
    /// When so much has to have come.
    fn deadline(&self) -> Instant {
        self.began + BODY_GRACE + Duration::from_secs(self.bytes / BODY_BYTES_PER_SECOND)
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        *this.fate.waker.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(context.waker().clone());
        if let Some(cut) = this.fate.get() {
            return Poll::Ready(Some(Err(axum::Error::new(cut))));
        }
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.bytes += bytes as u64;
                this.uploads.grow(this.number, bytes);
                let deadline = this.deadline();
                this.late.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => match this.late.as_mut().poll(context) {
                Poll::Ready(()) => {
                    this.fate.cut(Cut::Slow);
                    Poll::Ready(Some(Err(axum::Error::new(Cut::Slow))))
                }
                Poll::Pending => Poll::Pending,
            },
            ended @ Poll::Ready(_) => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

//! How long an answer waits for who asked for it.
//!
//! A node that writes to somebody who does not read keeps the answer, the connection and what made the
//! answer for as long as the other side likes. So a connection has a *patience*: it runs out while the
//! node waits to write, comes back with every byte that is taken at the least rate, and is never more
//! than the grace. Who reads at that rate or faster is never cut off, however long the answer is; who
//! reads nothing, or a byte now and then, is let go after the grace. While nothing waits to be written
//! it does not run.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{ANSWER_BYTES_PER_SECOND, ANSWER_GRACE};

/// A connection whose other side has to read what it asked for.
pub(crate) struct Patient<S> {
    stream: S,
    grace: Duration,
    bytes_per_second: u64,
    /// What is left of the patience.
    left: Duration,
    /// Since when the node waits to write.
    waits_since: Option<Instant>,
    /// Rings when the patience is at its end.
    end: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self::with(stream, ANSWER_GRACE, ANSWER_BYTES_PER_SECOND)
    }

    fn with(stream: S, grace: Duration, bytes_per_second: u64) -> Self {
        let end = Box::pin(sleep_until(Instant::now() + grace));
        Self { stream, grace, bytes_per_second, left: grace, waits_since: None, end }
    }

    /// What a write, or an attempt at one, came to.
    fn settle<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let now = Instant::now();
        let waited = self.waits_since.take().map(|since| now.saturating_duration_since(since));
        self.left = self.left.saturating_sub(waited.unwrap_or_default());
        match written {
            Poll::Ready(Ok(done)) => {
                let count = u64::try_from(bytes(&done)).unwrap_or(u64::MAX);
                let earned_us = count.saturating_mul(1_000_000) / self.bytes_per_second;
                let earned = Duration::from_micros(earned_us);
                self.left = self.left.saturating_add(earned).min(self.grace);
                Poll::Ready(Ok(done))
            }
            Poll::Pending => {
                self.waits_since = Some(now);
                // A bell that rings now is heard at its next tick, which would begin again here.
                if !self.left.is_zero() {
                    self.end.as_mut().reset(now + self.left);
                    ready!(self.end.as_mut().poll(context));
                }
                let error = io::Error::new(io::ErrorKind::TimedOut, "the answer is not read");
                Poll::Ready(Err(error))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl<S> Patient<S> {
    /// The same of a flush or an end: one that has nothing to wait for says nothing of what waits.
    fn settle_end(
        &mut self,
        context: &mut Context<'_>,
        ended: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        match ended {
            Poll::Pending => self.settle(context, ended, |()| 0),
            Poll::Ready(_) => ended,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.settle(context, written, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.settle(context, written, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.settle_end(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.settle_end(context, ended)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    const GRACE: Duration = Duration::from_millis(400);
    const BYTES_PER_SECOND: usize = 40_000;
    const ANSWER: usize = 80_000;

    /// How long an answer is written to who takes so many bytes a second, and what becomes of it.
    async fn written(bytes_a_second: usize) -> (Duration, io::Result<()>) {
        let (near, mut far) = duplex(1_000);
        let begun = Instant::now();
        let writing = tokio::spawn(async move {
            let rate = u64::try_from(BYTES_PER_SECOND).unwrap();
            let outcome = Patient::with(near, GRACE, rate).write_all(&vec![7; ANSWER]).await;
            (begun.elapsed(), outcome)
        });
        let reading = tokio::spawn(async move {
            let mut taken = 0;
            let mut buffer = [0; 1_000];
            loop {
                sleep(Duration::from_millis(5)).await;
                let due = begun.elapsed().as_millis() * bytes_a_second as u128 / 1_000;
                while taken < due {
                    taken += far.read(&mut buffer).await.unwrap() as u128;
                }
            }
        });
        let outcome = writing.await.unwrap();
        reading.abort();
        outcome
    }

    /// Shows that who reads nothing is let go after the grace, who reads a little of it later but
    /// long before the end, and that who reads at the least rate is given all of a long answer.
    #[tokio::test]
    async fn who_does_not_read_is_let_go() {
        let (took, outcome) = written(0).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(took >= GRACE && took < 3 * GRACE, "{took:?}");
        let (took, outcome) = written(BYTES_PER_SECOND / 4).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(took < 5 * GRACE, "{took:?}");
        let (took, outcome) = written(BYTES_PER_SECOND * 5 / 4).await;
        outcome.unwrap();
        assert!(took > 3 * GRACE, "{took:?}");
    }

    /// Shows that a flush after each attempt to write, as a server makes it, takes nothing from the
    /// time that was waited.
    #[tokio::test]
    async fn a_flush_does_not_begin_the_waiting_anew() {
        let (near, _far) = duplex(1_000);
        let mut near = Patient::with(near, GRACE, 1_000_000);
        let begun = Instant::now();
        let failed = poll_fn(|context| {
            loop {
                let written = Pin::new(&mut near).poll_write(context, &[7; 100]);
                let flushed = Pin::new(&mut near).poll_flush(context);
                assert!(matches!(flushed, Poll::Ready(Ok(()))));
                match written {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let failed = timeout(10 * GRACE, failed).await.unwrap();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < 3 * GRACE, "{:?}", begun.elapsed());
    }
}

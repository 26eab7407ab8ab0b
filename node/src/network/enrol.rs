//! Enrolment over the network: the parent's side here, the new machine's side in [`asking`] and
//! [`joining`].
//!
//! A connection with the ALPN `cunlian-join/1` never meets the hub: whoever has no certificate can
//! say one thing, be given one answer, and is then disconnected. What such a stranger may use up
//! is bounded:
//!
//! | bound | value |
//! |---|---|
//! | whole exchange, handshake apart | 10 s |
//! | bytes of a frame | 64 KiB |
//! | exchanges at a time | 32 |
//! | requests of one source address | 60 at once, then one a second; a success gives them back |
//! | requests of all | 600 at once, then twenty a second; likewise |
//! | wrong secrets of one invitation | 10 |
//!
//! Every refusal is logged once with its reason and counted in [`EnrolmentFigures`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cunlian_protocol::enrolment::{self, JoinReply, JoinRequest, RefusalCode};
use cunlian_protocol::wire::{Bounded, bounded_text};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::tls;
use crate::admin::Administration;
use crate::admin::invitation::{Redeemed, Refusal};
use crate::clock::now_ms;
use crate::metrics::Metrics;
use crate::web::throttle::{Rate, Throttle};

pub mod asking;
pub mod joining;

/// How long the whole exchange may take.
const EXCHANGE: Duration = Duration::from_secs(10);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Exchanges at a time.
const CONCURRENT: usize = 32;
const BY_SOURCE: Rate = Rate { burst: 60, refill_ms: 1_000 };
const BY_ALL: Rate = Rate { burst: 600, refill_ms: 50 };
/// Code with which the connection is closed when all was said.
const DONE: VarInt = VarInt::from_u32(0);

/// What has become of requests to join since the node started.
#[derive(Debug, Default)]
pub struct EnrolmentFigures {
    issued: AtomicU64,
    repeated: AtomicU64,
    unfinished: AtomicU64,
    refused: [AtomicU64; RefusalCode::ALL.len()],
}

impl EnrolmentFigures {
    /// Certificates issued.
    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    /// Certificates sent once more to who had them already.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Exchanges that ended, or were ended for being slow, before a request had come.
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// Requests refused for this reason.
    pub fn refused(&self, code: RefusalCode) -> u64 {
        self.of(code).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn of(&self, code: RefusalCode) -> Option<&AtomicU64> {
        let at = RefusalCode::ALL.iter().position(|other| *other == code)?;
        self.refused.get(at)
    }

    fn count_refusal(&self, code: RefusalCode) {
        if let Some(count) = self.of(code) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Answers requests to join; one per node.
pub struct Enrolment {
    administration: Administration,
    metrics: Metrics,
    figures: Arc<EnrolmentFigures>,
    places: Semaphore,
    by_source: Throttle<IpAddr>,
    by_all: Throttle<()>,
}

impl Enrolment {
    /// For the invitations of this node.
    pub fn new(administration: Administration, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            administration,
            metrics,
            figures: Arc::default(),
            places: Semaphore::new(CONCURRENT),
            by_source: Throttle::new(BY_SOURCE),
            by_all: Throttle::new(BY_ALL),
        })
    }

    /// What has become of requests so far.
    pub fn figures(&self) -> Arc<EnrolmentFigures> {
        Arc::clone(&self.figures)
    }

    /// Serves one connection of [`enrolment::ALPN`] to its end.
    pub async fn serve(&self, connection: Connection) {
        let source = connection.remote_address().ip();
        match timeout(EXCHANGE, self.exchange(&connection, source)).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.unfinished(source, &reason),
            Err(_) => self.unfinished(source, "it took longer than ten seconds"),
        }
        connection.close(DONE, b"");
    }

    async fn exchange(&self, connection: &Connection, source: IpAddr) -> Result<(), String> {
        let (send, receive) = connection.accept_bi().await.map_err(|error| error.to_string())?;
        let Ok(_place) = self.places.try_acquire() else {
            return self.refuse(send, source, None, Refusal::new(RefusalCode::Busy)).await;
        };
        // Monotonic enough: a clock that jumps empties or fills buckets, and harms nobody.
        let at_ms = now_ms();
        if self.by_source.take(source, at_ms).is_err() || self.by_all.take((), at_ms).is_err() {
            return self.refuse(send, source, None, Refusal::new(RefusalCode::Busy)).await;
        }
        let request = match read_request(receive).await? {
            Ok(request) => request,
            Err(refusal) => return self.refuse(send, source, None, refusal).await,
        };
        let sound = tls::channel(connection).is_some_and(|channel| {
            let verified = request.verify(&channel);
            verified.is_ok()
        });
        if !sound {
            let refusal = Refusal::new(RefusalCode::Malformed);
            return self.refuse(send, source, Some(&request), refusal).await;
        }
        let (administration, asked) = (self.administration.clone(), request.clone());
        let redeemed = tokio::task::spawn_blocking(move || administration.redeem(&asked)).await;
        match redeemed.map_err(|error| error.to_string())? {
            Ok(redeemed) => {
                self.by_source.forget(&source);
                self.by_all.forget(&());
                self.issue(send, source, &request, redeemed).await
            }
            Err(refusal) => self.refuse(send, source, Some(&request), refusal).await,
        }
    }

    async fn issue(
        &self,
        send: SendStream,
        source: IpAddr,
        request: &JoinRequest,
        redeemed: Redeemed,
    ) -> Result<(), String> {
        let Redeemed { chain, name, again, clock_ms } = redeemed;
        let invitation = request.invitation;
        let count = if again { &self.figures.repeated } else { &self.figures.issued };
        count.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%source, %invitation, name, again, "a node has joined");
        let chain = Bounded(chain.into_iter().map(Bounded).collect());
        say(send, &JoinReply::Issued { chain, clock_ms }).await
    }

    async fn refuse(
        &self,
        send: SendStream,
        source: IpAddr,
        request: Option<&JoinRequest>,
        refusal: Refusal,
    ) -> Result<(), String> {
        self.figures.count_refusal(refusal.code);
        self.metrics.enrolment_refused(refusal.code.name());
        let invitation = request.map(|request| request.invitation.to_string());
        let (reason, words) = (refusal.code.name(), refusal.words);
        tracing::warn!(%source, invitation, reason, words, "a request to join was refused");
        let words = bounded_text(&words);
        say(send, &JoinReply::Refused { code: refusal.code as u16, words }).await
    }

    fn unfinished(&self, source: IpAddr, reason: &str) {
        self.figures.unfinished.fetch_add(1, Ordering::Relaxed);
        self.metrics.enrolment_refused("unfinished");
        tracing::warn!(%source, reason, "a request to join was not finished");
    }
}

/// The request; an error when the connection ended, a refusal when it is not a request.
async fn read_request(mut receive: RecvStream) -> Result<Result<JoinRequest, Refusal>, String> {
    let mut header = [0; 4];
    receive.read_exact(&mut header).await.map_err(|error| error.to_string())?;
    let malformed = |words: String| Ok(Err(Refusal { code: RefusalCode::Malformed, words }));
    let length = match enrolment::frame_length(header) {
        Ok(length) => length,
        Err(error) => return malformed(error.to_string()),
    };
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
    match enrolment::decode(&bytes) {
        Ok(request) => Ok(Ok(request)),
        Err(error) => malformed(error.to_string()),
    }
}

/// Sends the answer and waits a moment until it has been taken.
async fn say(mut send: SendStream, reply: &JoinReply) -> Result<(), String> {
    let frame = enrolment::encode(reply);
    send.write_all(&frame).await.map_err(|error| error.to_string())?;
    let _ = send.finish();
    // Who does not confirm has it or asks again.
    let _ = timeout(FAREWELL, send.stopped()).await;
    Ok(())
}

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
//! | requests that are decided at a time | 32 |
//! | requests of one source (an IPv4 address, 64 bits of IPv6) | 60 at once, then one a second |
//! | requests of all | 600 at once, then twenty a second |
//! | wrong secrets of one invitation | 10 |
//!
//! An invitation that is used for the first time gives its source, and all, their requests back, so
//! that an office that brings in a county behind one address is not held up.
//!
//! Every refusal is logged once with its reason and counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cunlian_protocol::enrolment::{self, JoinReply, JoinRequest, RefusalCode};
use cunlian_protocol::wire::{Bounded, bounded_text};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::origin::network;
use super::refusals::Refusals;
use super::tls;
use crate::admin::Administration;
use crate::admin::invitation::{Redeemed, Refusal};
use crate::throttle::{Rate, Throttle};

pub mod asking;
pub mod joining;

/// How long the whole exchange may take.
const EXCHANGE: Duration = Duration::from_secs(10);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Requests that are decided at a time.
const CONCURRENT: usize = 32;
const BY_SOURCE: Rate = Rate { burst: 60, refill_ms: 1_000 };
const BY_ALL: Rate = Rate { burst: 600, refill_ms: 50 };
/// Code with which the connection is closed when all was said.
const DONE: VarInt = VarInt::from_u32(0);

/// Answers requests to join; one per node.
pub struct Enrolment {
    administration: Administration,
    started: Instant,
    places: Semaphore,
    by_source: Throttle<IpAddr>,
    by_all: Throttle<()>,
}

impl Enrolment {
    /// For the invitations of this node.
    pub fn new(administration: Administration) -> Arc<Self> {
        Arc::new(Self {
            administration,
            started: Instant::now(),
            places: Semaphore::new(CONCURRENT),
            by_source: Throttle::new(BY_SOURCE),
            by_all: Throttle::new(BY_ALL),
        })
    }

    /// Serves one connection of [`enrolment::ALPN`] to its end.
    pub(super) async fn serve(&self, connection: Connection, refusals: &Refusals) {
        let from = connection.remote_address().ip();
        let ended = match timeout(EXCHANGE, self.exchange(&connection, refusals)).await {
            Ok(ended) => ended,
            Err(_) => Err("it took longer than ten seconds".to_owned()),
        };
        if let Err(reason) = ended {
            refusals.stranger(from, "", "unfinished", &reason);
        }
        connection.close(DONE, b"");
    }

    async fn exchange(&self, connection: &Connection, refusals: &Refusals) -> Result<(), String> {
        let from = connection.remote_address().ip();
        let (send, receive) = connection.accept_bi().await.map_err(|error| error.to_string())?;
        let answered = self.answer(connection, receive).await?;
        let reply = match answered {
            Ok((request, Redeemed { chain, name, again, clock_ms })) => {
                let invitation = request.invitation;
                tracing::warn!(%from, %invitation, name, again, "a node has joined");
                let chain = Bounded(chain.into_iter().map(Bounded).collect());
                let authority = self.administration.store.authority();
                let successions = authority.successions().iter();
                let successions = successions.map(|s| Bounded(s.bytes().to_vec())).collect();
                JoinReply::Issued { chain, successions: Bounded(successions), clock_ms }
            }
            Err((request, Refusal { code, words })) => {
                let invitation = request.map(|request| request.invitation.to_string());
                let invitation = invitation.unwrap_or_default();
                refusals.stranger(from, &invitation, code.name(), &words);
                JoinReply::Refused { code: code as u16, words: bounded_text(&words) }
            }
        };
        say(send, &reply).await
    }

    /// What is answered; an error when the connection ended before there was a question.
    async fn answer(&self, connection: &Connection, receive: RecvStream) -> Result<Answer, String> {
        let refused = |code| Ok(Err((None, Refusal::new(code))));
        let source = network(connection.remote_address().ip());
        // Steady time: a clock that is set back must not keep everybody out.
        let at_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        if self.by_source.take(source, at_ms).is_err() || self.by_all.take((), at_ms).is_err() {
            return refused(RefusalCode::Busy);
        }
        let request = match read_request(receive).await? {
            Ok(request) => request,
            Err(refusal) => return Ok(Err((None, refusal))),
        };
        // Who is slow to ask takes nobody's place: strangers are bounded at the door meanwhile.
        let Ok(_place) = self.places.try_acquire() else { return refused(RefusalCode::Busy) };
        let channel = tls::channel(connection);
        if channel.is_none_or(|channel| request.verify(&channel).is_err()) {
            return Ok(Err((Some(request), Refusal::new(RefusalCode::Malformed))));
        }
        let (administration, asked) = (self.administration.clone(), request.clone());
        let redeemed = tokio::task::spawn_blocking(move || administration.redeem(&asked)).await;
        Ok(match redeemed.map_err(|error| error.to_string())? {
            Ok(redeemed) => {
                if !redeemed.again {
                    self.by_source.forget(&source);
                    self.by_all.forget(&());
                }
                Ok((request, redeemed))
            }
            Err(refusal) => Err((Some(request), refusal)),
        })
    }
}

type Answer = Result<(JoinRequest, Redeemed), (Option<JoinRequest>, Refusal)>;

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

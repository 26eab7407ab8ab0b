//! The next certificate: asked for by the dialler, decided by its issuer's runtime.
//!
//! A node asks when less than a third of its certificate's life is left, when its parent has a
//! newer certificate than the one it was certified by, when it has made itself another key, and
//! when the parent says so in its welcome (`renewing`): because the certificate has expired,
//! because another one waits for it, or because the node came back from a copy. Then the session
//! is for this alone: the node hands up what waits for a tier above, and then asks.
//!
//! A node that came back from a copy is *unconfirmed* until it has its new certificate. It may have
//! forgotten whom it revoked and which certificate it replaced by which, so until then it lets in
//! nobody but those above. These know all revocations that it ever told them, and a parent sends
//! those that the node lacks before it answers the request; the new certificate is taken over when
//! the store has them. What no parent learned is learned from the children, as they come: their
//! open sessions are judged again with every revocation. A founder has nobody above: it lets its
//! children in, for they are the only ones who remember, and a person answers for it.

use super::{Effect, Fault, FaultCode, Message, Outcome, Purpose, Relation, Role, Session};
use super::{StoreReply, StoreRequest};
use crate::certificate::Certificate;
use crate::key::KeyPrefix;
use crate::renewal::Renewal;
use crate::sync::Selection;
use crate::wire::{self, Bounded, CertificateBytes, LineageToken};

/// A refused renewal is asked for again at the next deadline after this time, doubled with each
/// refusal: most reasons pass in a minute (a store that was full, a revocation that was on its way),
/// and until then nobody can write at a node that came for its certificate alone.
const ASK_AGAIN_MS: i64 = 30_000;
/// Longest such time, and how long an answer is waited for.
const LONGEST_ASK_AGAIN_MS: i64 = 3_600_000;

/// State of renewing.
#[derive(Debug, Default)]
pub(super) struct Renewing {
    /// What waits is being read and sent.
    handing_over: bool,
    asked_at_ms: Option<i64>,
    /// Refusals in this session.
    refusals: u32,
    /// Whether the last request was refused; else it is under way, or was granted.
    is_refused: bool,
    /// Whether this node came back from a copy and is not certified anew yet.
    unconfirmed: bool,
    /// What the peer is to be answered.
    answer: Option<Result<Vec<Vec<u8>>, String>>,
    /// The chain that the issuer gave, until the revocation that belongs to it is known.
    pub(super) to_take_over: Option<Vec<Vec<u8>>>,
    /// What the dialler is given on this connection, at the listener.
    pub(super) lineage: LineageToken,
}

impl Renewing {
    /// When to ask again; `None` before the first time.
    fn due_ms(&self) -> Option<i64> {
        let pause_ms = if self.is_refused {
            let doubled = self.refusals.saturating_sub(1).min(16);
            (ASK_AGAIN_MS << doubled).min(LONGEST_ASK_AGAIN_MS)
        } else {
            LONGEST_ASK_AGAIN_MS
        };
        self.asked_at_ms.map(|at_ms| at_ms.saturating_add(pause_ms))
    }
}

impl Session {
    /// Of a node that may have come back from a copy, until its parent has confirmed it.
    #[must_use]
    pub fn unconfirmed(mut self, unconfirmed: bool) -> Self {
        self.renewing.unconfirmed = unconfirmed;
        self
    }

    /// Whether this node may let in others than those above: it must not have forgotten anything.
    pub(super) fn check_confirmed(&self) -> Outcome {
        let has_parent = self.identity.certificate.body().issuer.is_some();
        if self.renewing.unconfirmed && has_parent {
            let name = &self.identity.certificate.body().name;
            let text = format!(
                "{name:?} came back from a copy and lets nobody in until the node above it has \
                 confirmed it"
            );
            return Err(Fault::new(FaultCode::Busy, text));
        }
        Ok(())
    }

    /// Begins a session that is for renewal only, at the dialler.
    pub(super) fn begin_handover(&mut self) {
        self.renewing.handing_over = true;
        self.store(Purpose::Handover, StoreRequest::Waiting { after: 0 });
    }

    pub(super) fn on_handover(&mut self, reply: StoreReply) {
        let StoreReply::Waiting { waiting, rest } = reply else {
            unreachable!("the store answered what waits with {reply:?}");
        };
        let peer = self.open_peer();
        let tier = peer.certificate.body().tier.bit();
        let wanted = waiting
            .into_iter()
            .filter(|(key, tiers)| tiers & tier != 0 && peer.accepts.allows(&key.to_bytes()));
        let keys: Vec<_> = wanted.map(|(key, _)| key).collect();
        for key in keys {
            let prefix = KeyPrefix::document(&key.home);
            self.outgoing.queue(Selection::Ids { prefix, ids: vec![key.change] }, 1, None);
        }
        match rest {
            Some(after) => self.store(Purpose::Handover, StoreRequest::Waiting { after }),
            None => self.renewing.handing_over = false,
        }
    }

    /// Asks once everything that waits has been acknowledged.
    pub(super) fn go_on_renewing(&mut self) {
        let waiting = self.renewing.handing_over || self.outgoing.unacknowledged() > 0;
        if self.figures.renewing && self.is_dialler() && !waiting {
            self.ask_for_renewal();
        }
    }

    /// Asks in an ordinary session when the certificate is to be followed soon.
    pub(super) fn renew_if_due(&mut self) {
        if !self.is_dialler() || !self.is_by_issuer() {
            return;
        }
        let body = self.identity.certificate.body();
        let life_ms = body.not_after_ms.saturating_sub(body.issued_at_ms);
        let old = self.wall_ms() > body.not_after_ms.saturating_sub(life_ms / 3);
        let peer = self.open_peer().certificate.clone();
        // The parent must outlive what it signs, or asking would lead to no later end.
        let longer = peer.body().not_after_ms > body.not_after_ms;
        let moved = body.issuer != Some(peer.serial());
        if (old && longer) || moved || self.identity.next_key.is_some() {
            self.ask_for_renewal();
        }
    }

    fn ask_for_renewal(&mut self) {
        let due = self.renewing.due_ms().is_none_or(|at_ms| self.now_ms >= at_ms);
        if due {
            self.renewing.asked_at_ms = Some(self.now_ms);
            self.renewing.is_refused = false;
            self.introduce_issued();
            let key = self.identity.next_key.as_ref().unwrap_or(&self.identity.key);
            let request = Renewal::sign(self.identity.certificate.serial(), key);
            self.send(&Message::Renew { request: Bounded(request) });
        }
    }

    /// Shows whom this node has certified, and those below them: of what is below a certificate
    /// that is replaced only that stands which its issuer knows.
    fn introduce_issued(&mut self) {
        let own = &self.identity;
        let is_below = |certificate: &&Certificate| {
            let above = self.authority.chain(&certificate.serial());
            let above = above.split_last().map(|(_, above)| above).unwrap_or_default();
            above.iter().any(|above| own.is_own_key(&above.body().subject))
        };
        let issued = self.authority.certificates().filter(is_below).map(Certificate::serial);
        self.introduce(issued.collect());
    }

    /// Whether the peer is the node that signed this node's certificate, under its old or a newer
    /// certificate.
    pub(super) fn is_by_issuer(&self) -> bool {
        let above = self.identity.chain.iter().rev().nth(1);
        let issuer = above.and_then(|bytes| Certificate::peek(bytes).ok());
        let peer = self.open_peer();
        peer.relation == Relation::Ancestor
            && issuer.is_some_and(|issuer| issuer.subject == peer.issuer_key)
    }

    /// A child asks for a new certificate.
    pub(super) fn on_renew(&mut self, request: &[u8]) -> Outcome {
        let bad = |text| Err(Fault::new(FaultCode::Signature, text));
        let Some(renewal) = Renewal::verify(request) else {
            return bad("the request for a certificate is not signed by its key");
        };
        let peer = self.open_peer();
        if renewal.previous != peer.certificate.serial() {
            return bad("the request is for the certificate of another");
        }
        if !peer.is_child {
            self.answer_renewal(Err("this node did not sign that certificate".to_owned()));
            return Ok(());
        }
        // Decided on when the certificates that came before it are known.
        let request = StoreRequest::Certificates { certificates: Vec::new() };
        self.store(Purpose::Renewal(renewal), request);
        Ok(())
    }

    /// The answer waits until the peer has been sent all revocations.
    pub(super) fn answer_renewal(&mut self, outcome: Result<Vec<Vec<u8>>, String>) {
        self.renewing.answer = Some(outcome);
        if !self.has_revocations_to_tell() {
            self.give_answer();
        }
    }

    pub(super) fn give_answer(&mut self) {
        let Some(outcome) = self.renewing.answer.take() else { return };
        match outcome {
            Ok(chain) => {
                let chain = chain.into_iter().map(Bounded).collect();
                self.send(&Message::Issued(Bounded(chain)));
            }
            Err(reason) => self.send(&Message::NotIssued { reason: wire::bounded_text(&reason) }),
        }
    }

    /// The issuer has answered.
    pub(super) fn on_issued(&mut self, chain: Vec<CertificateBytes>) {
        if self.renewing.asked_at_ms.is_some() && matches!(self.role, Role::Dialler { .. }) {
            let chain = chain.into_iter().map(|bytes| bytes.0).collect();
            // Taken over when the revocations that came before it are known: with it this node lets
            // in others again.
            let request = StoreRequest::Certificates { certificates: Vec::new() };
            self.store(Purpose::TakingOver(chain), request);
        }
    }

    pub(super) fn on_not_issued(&mut self, reason: &[u8]) {
        self.renewing.is_refused = true;
        self.renewing.refusals = self.renewing.refusals.saturating_add(1);
        let reason = String::from_utf8_lossy(reason);
        self.effects.push(Effect::Notice(format!("no new certificate: {reason}")));
    }
}

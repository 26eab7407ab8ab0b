//! Hello and welcome: who the peer is, what both may see, and whether to go on.

use super::{
    Branch, COMPARE_AGAIN_MS, Certificate, Effect, Fault, FaultCode, Message, Outcome, Peer, Phase,
    Purpose, Relation, Role, Session, StoreReply, StoreRequest, revoking, wire,
};
use crate::authority::{self, Authority, Refusal};
use crate::certificate::{AuthorKind, CertificateBody, CertificateError};
use crate::id::{PublicKey, Signature};
use crate::scope::Scope;
use crate::signing::{self, Context};
use crate::succession::Succession;
use crate::sync::{Certified, Verdict};
use crate::wire::{Bounded, Hello, LineageToken};

/// A peer whose hello holds.
struct Greeted {
    peer: Peer,
    certified: Certified,
}

impl Session {
    /// This node's hello, signed for this connection and role.
    pub(super) fn own_hello(&self) -> Hello {
        let (lineage, renewing) = match self.role {
            Role::Dialler { lineage, renewing, .. } => (lineage, renewing),
            Role::Listener => (self.renewing.lineage, self.figures.renewing),
        };
        let successions = self.authority.successions().iter().map(|s| s.bytes().to_vec());
        let successions = successions.chain(self.identity.successions.iter().cloned());
        let mut hello = Hello {
            versions: self.dialect.told(),
            chain: Bounded(self.identity.chain.iter().cloned().map(Bounded).collect()),
            clock_ms: self.wall_ms(),
            revocations: revoking::digest(&self.authority),
            successions: Bounded(successions.map(Bounded).collect()),
            lineage,
            renewing,
            software: wire::bounded_text(&self.identity.software),
            more: Bounded(self.dialect.more.clone()),
            signature: Signature([0; 64]),
        };
        let dialler = self.is_dialler();
        let signed = self.signed_hello(&hello, dialler);
        hello.signature = signing::sign(&self.identity.key, Context::Hello, &signed);
        hello
    }

    /// A dialler has said hello: check it, and answer, or look first whether a child may come in.
    pub(super) fn on_hello(&mut self, hello: &Hello) -> Outcome {
        let Greeted { peer, certified } = self.check_hello(hello)?;
        if peer.relation != Relation::Ancestor {
            self.check_confirmed()?;
        }
        let (is_child, relation) = (peer.is_child, peer.relation);
        let subject = peer.certificate.body().subject;
        self.make_lineage_token(&subject);
        self.peer = Some(peer);
        self.greeting = Some(hello.clone());
        if relation != Relation::Descendant {
            self.welcome(false);
            return Ok(());
        }
        self.phase = Phase::Admitting;
        if !is_child {
            let chain: Vec<Vec<u8>> = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
            let above = self.subjects(&chain);
            self.ask_below(hello, &above);
            return Ok(());
        }
        let request = StoreRequest::Admit {
            subject,
            lineage: hello.lineage,
            given: self.gave_lineage_token(&subject, &hello.lineage),
            fresh: self.renewing.lineage,
            renewing: hello.renewing,
            certified,
            // The hub knows.
            elsewhere: false,
        };
        self.store(Purpose::Admit, request);
        Ok(())
    }

    /// The store has looked at the lineage token of a child.
    pub(super) fn on_admitted(&mut self, reply: &StoreReply) -> Outcome {
        let StoreReply::Admit(verdict) = reply else {
            unreachable!("the store answered an admission with {reply:?}");
        };
        if *verdict == Verdict::Forked {
            let body = self.open_peer().certificate.body();
            let text =
                format!("two machines use the identity of {:?}, or it was set back", body.name);
            let subject = body.subject;
            let certificate = &self.open_peer().certificate;
            // One that was replaced by the other is no news about that.
            if !self.is_replaced(certificate, self.wall_ms()) {
                self.effects.push(Effect::Forked(subject));
            }
            return Err(Fault::new(FaultCode::Cloned, text));
        }
        self.welcome(*verdict == Verdict::Renew);
        Ok(())
    }

    pub(super) fn welcome(&mut self, renewing: bool) {
        let hello = self.greeting.take().expect("a welcome answers a hello");
        self.open(&hello, renewing);
        let welcome = self.own_hello();
        self.send(&Message::Welcome(welcome));
        self.remark();
        self.compare_revocations(&hello);
    }

    /// The listener has accepted: check it in turn, and begin to compare.
    pub(super) fn on_welcome(&mut self, hello: &Hello) -> Outcome {
        let Greeted { peer, .. } = self.check_hello(hello)?;
        let above = peer.relation == Relation::Ancestor;
        let new = peer.certificate.body().subject;
        let old = match self.role {
            Role::Dialler { expected, .. } => expected,
            Role::Listener => new,
        };
        if peer.relation == Relation::Descendant {
            self.keep_out();
        }
        self.peer = Some(peer);
        // Nobody else is asked for a certificate.
        self.open(hello, hello.renewing && self.is_by_issuer());
        if old != new {
            self.effects.push(Effect::Succeeded { old, new });
        }
        if above {
            self.effects.push(Effect::Beacon(hello.clock_ms));
            if hello.lineage != LineageToken::default() {
                self.effects.push(Effect::Line(hello.lineage));
            }
        }
        self.remark();
        self.compare_revocations(hello);
        if self.figures.renewing {
            self.begin_handover();
        } else {
            self.compare_again();
            self.renew_if_due();
        }
        Ok(())
    }

    /// After a revocation: a revoked peer is shown the door.
    pub(super) fn check_peer_in_force(&mut self) -> Outcome {
        match &self.peer {
            Some(peer) if self.phase == Phase::Open => {
                let outcome = self.check_valid(&peer.certificate, self.wall_ms());
                let child = peer.is_child && self.figures.renewing;
                // Judged by its own word on the time when it was welcomed.
                let above = peer.relation == Relation::Ancestor;
                let now_ms = self.wall_ms();
                let replaced = matches!(
                    self.authority.valid_at(&peer.certificate, now_ms),
                    Err(Refusal::Replaced { .. })
                );
                match outcome {
                    Err(Fault { code: FaultCode::Expired, .. }) if child || above => Ok(()),
                    // By the certificate that it asked for, which is on its way to it.
                    Err(_) if child && replaced => Ok(()),
                    outcome => outcome,
                }
            }
            _ => Ok(()),
        }
    }

    fn check_hello(&mut self, hello: &Hello) -> Result<Greeted, Fault> {
        let greeted = self.identify(hello);
        self.take_version(hello, greeted.as_ref().map(|greeted| &greeted.peer))?;
        greeted
    }

    fn identify(&mut self, hello: &Hello) -> Result<Greeted, Fault> {
        let successions = self.take_successions(hello)?;
        let chain: Vec<Vec<u8>> = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
        let certificate = self.authority.verify_chain(&chain).map_err(|error| {
            let version = matches!(error, CertificateError::Version { .. });
            let code = if version { FaultCode::Version } else { FaultCode::Certificate };
            Fault::new(code, error.to_string())
        })?;
        let body = certificate.body();
        let known_as = self.known_as(&successions, &certificate, &chain);
        let is_expected = match self.role {
            Role::Dialler { expected, .. } => {
                self.is_expected(&expected, &known_as, &successions, &chain)
            }
            Role::Listener => true,
        };
        if body.subject != self.channel.peer_key || !is_expected {
            let text = format!("{:?} is not who this connection is with", body.name);
            return Err(Fault::new(FaultCode::WrongPeer, text));
        }
        let signed = self.signed_hello(hello, !self.is_dialler());
        signing::verify(&body.subject, Context::Hello, &signed, &hello.signature)
            .map_err(|error| Fault::new(FaultCode::Signature, error.to_string()))?;
        if body.kind != AuthorKind::Node {
            let text = format!("{:?} is not a node", body.name);
            return Err(Fault::new(FaultCode::Certificate, text));
        }
        let relation = self.relation(&known_as, &certificate, &chain);
        let is_child = relation == Relation::Descendant && self.is_own_child(&chain);
        let branch = self.branch_of(&chain);
        let branch = branch.unwrap_or(Branch { key: body.subject, tier: body.tier });
        // A node does not doubt the clock of those above it: its own may be the one that is wrong.
        let above = relation == Relation::Ancestor && self.is_dialler();
        let at_ms = if above { hello.clock_ms } else { self.wall_ms() };
        let valid = self.check_valid(&certificate, at_ms);
        let certified = match valid {
            Ok(()) => Certified::Current,
            Err(_) if self.is_replaced(&certificate, at_ms) => Certified::Replaced,
            Err(_) => Certified::Ended,
        };
        if let Err(fault) = valid
            && !(is_child && self.may_renew(&certificate))
        {
            return Err(fault);
        }
        let own = authority::read_scope(&self.identity.certificate);
        let scope = own.intersection(&authority::read_scope(&certificate));
        let accepts = scope.clone();
        let peer = Peer {
            certificate,
            relation,
            scope,
            accepts,
            issuer_key: known_as,
            is_child,
            branch,
            clock_ahead_ms: hello.clock_ms.saturating_sub(self.now_ms),
        };
        Ok(Greeted { peer, certified })
    }

    fn is_replaced(&self, certificate: &Certificate, at_ms: i64) -> bool {
        let outcome = self.authority.valid_at(certificate, at_ms);
        matches!(outcome, Err(Refusal::Replaced { .. }))
    }

    /// Whether a child with a certificate that is no longer valid may ask for the next.
    fn may_renew(&self, certificate: &Certificate) -> bool {
        match self.authority.valid_at(certificate, self.wall_ms()) {
            Ok(()) | Err(Refusal::Expired { .. } | Refusal::Replaced { .. }) => true,
            Err(
                Refusal::Revoked { .. } | Refusal::UnknownAuthor { .. } | Refusal::NoGrant { .. },
            ) => false,
        }
    }

    /// The successions of a hello; those of the root are followed and kept.
    fn take_successions(&mut self, hello: &Hello) -> Result<Vec<Succession>, Fault> {
        let read = |bytes: &Bounded<u8, _>| {
            Succession::verify(&bytes.0)
                .map_err(|error| Fault::new(FaultCode::Certificate, error.to_string()))
        };
        let list: Vec<Succession> =
            hello.successions.0.iter().map(read).collect::<Result<_, _>>()?;
        if !list.iter().any(|succession| self.authority.is_next(succession)) {
            return Ok(list);
        }
        let mut authority = Authority::clone(&self.authority);
        let mut news = Vec::new();
        for succession in &list {
            if authority.succeed(succession.bytes()) == Ok(true) {
                news.push(succession.bytes().to_vec());
            }
        }
        if !news.is_empty() {
            self.authority = std::sync::Arc::new(authority);
            self.store(Purpose::Note, StoreRequest::Successions { successions: news });
        }
        Ok(list)
    }

    pub(super) fn check_valid(&self, certificate: &Certificate, at_ms: i64) -> Outcome {
        self.authority.valid_at(certificate, at_ms).map_err(|refusal| {
            let code = match refusal {
                Refusal::Expired { .. } => FaultCode::Expired,
                Refusal::Revoked { .. }
                | Refusal::Replaced { .. }
                | Refusal::UnknownAuthor { .. }
                | Refusal::NoGrant { .. } => FaultCode::Revoked,
            };
            Fault::new(code, refusal.to_string())
        })
    }

    /// By keys, not by certificates: those above and below may have newer ones by now.
    fn relation(
        &self,
        known_as: &PublicKey,
        certificate: &Certificate,
        chain: &[Vec<u8>],
    ) -> Relation {
        if self.is_above(known_as, certificate) {
            Relation::Ancestor
        } else if self.subjects(chain).iter().any(|key| self.identity.is_own_key(key)) {
            Relation::Descendant
        } else {
            Relation::Other
        }
    }

    /// Who comes after this node in a chain; `None` when this node is not in it.
    fn branch_of(&self, chain: &[Vec<u8>]) -> Option<Branch> {
        let bodies: Vec<_> = chain.iter().filter_map(|b| Certificate::peek(b).ok()).collect();
        let is_own = |body: &CertificateBody| self.identity.is_own_key(&body.subject);
        let own = bodies.iter().rposition(is_own)?;
        bodies.get(own + 1).map(|body| Branch { key: body.subject, tier: body.tier })
    }

    fn is_own_child(&self, chain: &[Vec<u8>]) -> bool {
        self.subjects(chain).last().is_some_and(|key| self.identity.is_own_key(key))
    }

    /// The keys of those above the last of a chain that has been checked.
    #[expect(clippy::unused_self, reason = "reads as one of the family where it is used")]
    fn subjects(&self, chain: &[Vec<u8>]) -> Vec<PublicKey> {
        let above = chain.split_last().map(|(_, above)| above).unwrap_or_default();
        above.iter().filter_map(|bytes| Certificate::peek(bytes).ok()).map(|b| b.subject).collect()
    }

    fn open(&mut self, hello: &Hello, renewing: bool) {
        let wall_ms = self.wall_ms();
        let peer = self.peer.as_mut().expect("a session opens after a hello");
        self.figures.peer = Some(peer.certificate.serial());
        self.figures.relation = Some(peer.relation);
        self.figures.clock_offset_ms = hello.clock_ms.saturating_sub(wall_ms);
        self.figures.renewing = renewing;
        if renewing {
            peer.scope = Scope::default();
        }
        self.phase = Phase::Open;
        self.deadline_ms = self.now_ms + COMPARE_AGAIN_MS;
        let certificates = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
        self.store(Purpose::Note, StoreRequest::Certificates { certificates });
        self.effects.push(Effect::Opened);
    }

    /// What the signature of a hello covers: exporter, role, and all fields but the signature.
    fn signed_hello(&self, hello: &Hello, by_dialler: bool) -> Vec<u8> {
        let unsigned = Hello { signature: Signature([0; 64]), ..hello.clone() };
        let mut signed = self.channel.exporter.to_vec();
        signed.push(u8::from(by_dialler));
        signed.extend(postcard::to_allocvec(&unsigned).expect("a hello has only encodable types"));
        signed
    }
}

//! Hello and welcome: who the peer is, what both may see, and whether to go on.

use super::{
    COMPARE_AGAIN_MS, Certificate, Effect, Fault, FaultCode, Message, Outcome, Peer, Phase,
    Purpose, Relation, Role, Session, StoreRequest, wire,
};
use crate::authority::{self, Authority, Refusal};
use crate::certificate::{AuthorKind, CertificateError};
use crate::id::Signature;
use crate::limits;
use crate::signing::{self, Context};
use crate::wire::{Bounded, Hello, VERSIONS};

impl Session {
    /// This node's hello, signed for this connection and role.
    pub(super) fn own_hello(&self) -> Hello {
        let mut hello = Hello {
            versions: Bounded(VERSIONS.to_vec()),
            chain: Bounded(self.identity.chain.iter().cloned().map(Bounded).collect()),
            clock_ms: self.now_ms,
            revocations: revocations_digest(&self.authority),
            software: wire::bounded_text(&self.identity.software),
            signature: Signature([0; 64]),
        };
        let dialler = self.is_dialler();
        let signed = self.signed_hello(&hello, dialler);
        hello.signature = signing::sign(&self.identity.key, Context::Hello, &signed);
        hello
    }

    /// A dialler has said hello: check it, and answer.
    pub(super) fn on_hello(&mut self, hello: &Hello) -> Outcome {
        let peer = self.check_hello(hello)?;
        self.open(peer, hello);
        let welcome = self.own_hello();
        self.send(&Message::Welcome(welcome));
        self.share_revocations(hello);
        Ok(())
    }

    /// The listener has accepted: check it in turn, and begin to compare.
    pub(super) fn on_welcome(&mut self, hello: &Hello) -> Outcome {
        let peer = self.check_hello(hello)?;
        self.open(peer, hello);
        self.share_revocations(hello);
        self.compare_again();
        Ok(())
    }

    /// After a revocation: a revoked peer is shown the door.
    pub(super) fn check_peer_in_force(&mut self) -> Outcome {
        match &self.peer {
            Some(peer) => self.check_valid(&peer.certificate),
            None => Ok(()),
        }
    }

    fn check_hello(&self, hello: &Hello) -> Result<Peer, Fault> {
        if !hello.versions.0.iter().any(|version| VERSIONS.contains(version)) {
            let theirs = &hello.versions.0;
            let text = format!("the peer speaks versions {theirs:?}, this node {VERSIONS:?}");
            return Err(Fault::new(FaultCode::Version, text));
        }
        let chain: Vec<Vec<u8>> = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
        let certificate = self.authority.verify_chain(&chain).map_err(|error| {
            let version = matches!(error, CertificateError::Version { .. });
            let code = if version { FaultCode::Version } else { FaultCode::Certificate };
            Fault::new(code, error.to_string())
        })?;
        let body = certificate.body();
        let expected = match self.role {
            Role::Dialler { expected } => body.subject == expected,
            Role::Listener => true,
        };
        if body.subject != self.channel.peer_key || !expected {
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
        self.check_valid(&certificate)?;
        let relation = self.relation(&certificate, &chain);
        let own = authority::read_scope(&self.identity.certificate);
        let scope = own.intersection(&authority::read_scope(&certificate));
        Ok(Peer { certificate, relation, scope })
    }

    fn check_valid(&self, certificate: &Certificate) -> Outcome {
        self.authority.valid_at(certificate, self.now_ms).map_err(|refusal| {
            let code = match refusal {
                Refusal::Expired { .. } => FaultCode::Expired,
                Refusal::Revoked { .. }
                | Refusal::UnknownAuthor { .. }
                | Refusal::NoGrant { .. } => FaultCode::Revoked,
            };
            Fault::new(code, refusal.to_string())
        })
    }

    fn relation(&self, certificate: &Certificate, chain: &[Vec<u8>]) -> Relation {
        let own = &self.identity.chain;
        if own.iter().any(|bytes| bytes == certificate.bytes()) {
            Relation::Ancestor
        } else if chain.iter().any(|bytes| bytes == self.identity.certificate.bytes()) {
            Relation::Descendant
        } else {
            Relation::Other
        }
    }

    fn open(&mut self, peer: Peer, hello: &Hello) {
        self.figures.peer = Some(peer.certificate.serial());
        self.figures.relation = Some(peer.relation);
        self.figures.clock_offset_ms = hello.clock_ms - self.now_ms;
        self.phase = Phase::Open;
        self.deadline_ms = self.now_ms + COMPARE_AGAIN_MS;
        let certificates = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
        self.store(Purpose::Note, StoreRequest::Certificates { certificates });
        self.peer = Some(peer);
        self.effects.push(Effect::Opened);
    }

    fn share_revocations(&mut self, hello: &Hello) {
        if hello.revocations == revocations_digest(&self.authority) {
            return;
        }
        let all: Vec<_> = self.authority.revocations().map(|b| Bounded(b.to_vec())).collect();
        for part in all.chunks(limits::FRAME_CERTIFICATES) {
            self.send(&Message::Revocations(Bounded(part.to_vec())));
        }
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

fn revocations_digest(authority: &Authority) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for bytes in authority.revocations() {
        hasher.update(blake3::hash(bytes).as_bytes());
    }
    *hasher.finalize().as_bytes()
}

//! Versions in a session: agreeing on one, parting without, and messages that a version has.

use std::sync::Arc;

use super::{
    Certificate, Effect, Fault, FaultCode, Message, Outcome, Peer, Purpose, Session, StoreRequest,
    wire,
};
use crate::dialect::{Dialect, Skew};
use crate::wire::Hello;

impl Session {
    /// Speaking other versions than the released ones.
    #[must_use]
    pub fn speaking(mut self, dialect: Arc<Dialect>) -> Self {
        self.dialect = dialect;
        self
    }

    /// Who proved to be whom, and was turned away because there is no common version.
    pub fn turned_away(&self) -> Option<&Certificate> {
        self.away.as_ref()
    }

    /// Takes a version that both speak. Who the peer is has been looked at before, so that the
    /// administrator can be told which node has to be updated; a hello that does not hold, and
    /// lists no version that is spoken here, may just be one of a later time.
    pub(super) fn take_version(
        &mut self,
        hello: &Hello,
        identified: Result<&Peer, &Fault>,
    ) -> Outcome {
        self.figures.software = String::from_utf8_lossy(&hello.software.0).into_owned();
        if let Some(version) = self.dialect.common(&hello.versions.0) {
            self.figures.version = Some(version);
            return identified.map(|_| ()).map_err(Fault::clone);
        }
        let name = match identified {
            Ok(peer) => {
                // Who looks at the peers is to see its name.
                let certificates = hello.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
                self.store(Purpose::Note, StoreRequest::Certificates { certificates });
                self.figures.relation = Some(peer.relation);
                self.away = Some(peer.certificate.clone());
                format!("{:?}", peer.certificate.body().name)
            }
            Err(_) => "a peer that has not proved who it is".to_owned(),
        };
        self.hear_versions(&hello.versions.0);
        let own = &self.identity.certificate.body().name;
        let (ours, theirs) = (&self.dialect.versions, &hello.versions.0);
        let older = ours.iter().max() < theirs.iter().max();
        let update = if older { format!("{own:?}") } else { name.clone() };
        Err(Fault::new(
            FaultCode::Version,
            format!(
                "no common version of the protocol: {own:?} speaks {}, {name} {}; update {update}",
                list(ours),
                list(theirs)
            ),
        ))
    }

    /// The peer says which versions it speaks, because there is no common one.
    pub(super) fn on_speaks(&mut self, versions: &[u16]) {
        if self.dialect.common(versions).is_none() {
            self.hear_versions(versions);
        }
    }

    fn hear_versions(&mut self, versions: &[u16]) {
        let (own, peer) = (self.dialect.versions.clone(), versions.to_vec());
        self.figures.skew = Some(Skew { own, peer });
    }

    /// Before a goodbye for want of a version: the peer may show its administrator which it lacks.
    pub(super) fn say_versions(&mut self, code: FaultCode) {
        if code == FaultCode::Version {
            let versions = self.dialect.told();
            self.send(&Message::Speaks(versions));
        }
    }

    /// A message must be one that the version of the session has.
    pub(super) fn check_since(&self, message: &Message) -> Outcome {
        let version = self.figures.version.unwrap_or(1);
        let since = message.since();
        if since <= version {
            return Ok(());
        }
        let text = format!("a message of version {since} in a session of version {version}");
        Err(Fault::new(FaultCode::Malformed, text))
    }

    /// Says what a session that has just opened is to say by its version.
    pub(super) fn remark(&mut self) {
        let Some(remark) = self.dialect.remark.clone() else { return };
        let message = Message::Remark(wire::bounded_text(&remark));
        if self.check_since(&message).is_ok() {
            self.send(&message);
        }
    }

    pub(super) fn on_remark(&mut self, words: &[u8]) {
        let words = String::from_utf8_lossy(words);
        self.effects.push(Effect::Notice(format!("the peer remarks: {words}")));
    }
}

fn list(versions: &[u16]) -> String {
    let texts: Vec<String> = versions.iter().map(u16::to_string).collect();
    texts.join(", ")
}

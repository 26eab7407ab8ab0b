//! Whom a node follows: another key of one that it knows, and the chain that its issuer gives it.
//!
//! A succession is signed by the old key and the new one, and a key may be in the hands of a thief
//! long after its certificate was taken back. So it counts only under the certificate that stands
//! above this node: that is in force by what is known here, or was replaced by the one that is
//! presented; and what is presented is of the same tier and the same issuer, and reaches no further.
//!
//! A new chain is taken over from the node that certified this one and from nobody else, signed
//! under the certificate that it has shown, in force, for this node's key and tier. What gives less
//! than before comes beside the revocation that says so; it waits for that, for a node purges what
//! it may not hold any more.

use super::{Effect, Fault, FaultCode, Outcome, Relation, Session};
use crate::authority::Refusal;
use crate::certificate::{AuthorKind, Certificate, CertificateBody};
use crate::id::{PublicKey, Serial};
use crate::signing::public_key;
use crate::succession::{self, Succession};

/// A certificate of a chain, and the key that signed it; none when a root did.
struct Above {
    serial: Serial,
    body: CertificateBody,
    issuer: Option<(Serial, PublicKey)>,
}

impl Session {
    /// The key by which this node knows who presents `certificate`, the last of `chain`: its own,
    /// or an older one that a succession which counts leads on from.
    pub(super) fn known_as(
        &self,
        successions: &[Succession],
        certificate: &Certificate,
        chain: &[Vec<u8>],
    ) -> PublicKey {
        let subject = certificate.body().subject;
        let own = places(&self.identity.chain);
        let above = own.split_last().map(|(_, above)| above).unwrap_or_default();
        let presented = places(chain);
        let Some(presented) = presented.last() else { return subject };
        let follows = |old: &&Above| {
            let key = old.body.subject;
            key == subject
                || (succession::leads(successions, &key, &subject) && self.counts(old, presented))
        };
        above.iter().find(follows).map_or(subject, |old| old.body.subject)
    }

    /// Whether a peer that is known by the key `known_as` is the one that was dialled by the key
    /// `expected`. One that does not stand above this node is followed too, by what is known of it.
    pub(super) fn is_expected(
        &self,
        expected: &PublicKey,
        known_as: &PublicKey,
        successions: &[Succession],
        chain: &[Vec<u8>],
    ) -> bool {
        if expected == known_as {
            return true;
        }
        let presented = places(chain);
        let Some(presented) = presented.last() else { return false };
        if !succession::leads(successions, expected, &presented.body.subject) {
            return false;
        }
        // It was followed before, and this node is certified below its new key.
        let own = places(&self.identity.chain);
        let above = own.split_last().map(|(_, above)| above).unwrap_or_default();
        if above.iter().any(|above| above.body.subject == *known_as) {
            return true;
        }
        let known = self.authority.certificates().filter(|c| c.body().subject == *expected);
        let places = known.filter_map(|known| self.place_of(known));
        places.into_iter().any(|old| self.counts(&old, presented))
    }

    /// Whether the key of who presents a certificate is one above this node, at the tier that this
    /// node knows it at: it is believed for all that is said of this tier.
    pub(super) fn is_above(&self, known_as: &PublicKey, certificate: &Certificate) -> bool {
        let own = places(&self.identity.chain);
        let above = own.split_last().map(|(_, above)| above).unwrap_or_default();
        let tier = certificate.body().tier;
        above.iter().any(|above| above.body.subject == *known_as && above.body.tier == tier)
    }

    /// Whether a succession of the key of `old` counts for who presents `new`.
    fn counts(&self, old: &Above, new: &Above) -> bool {
        let within = |grant: &crate::certificate::Grant| {
            old.body.grants.iter().any(|held| held.region.contains(&grant.region))
        };
        new.body.kind == AuthorKind::Node
            && new.body.tier == old.body.tier
            && new.body.grants.iter().all(within)
            && self.is_same_issuer(old.issuer, new.issuer)
            && self.is_in_force(old, new)
    }

    /// The issuer's key may have been followed by another: then the certificate it had is replaced.
    fn is_same_issuer(
        &self,
        old: Option<(Serial, PublicKey)>,
        new: Option<(Serial, PublicKey)>,
    ) -> bool {
        match (old, new) {
            (None, None) => true,
            (Some((serial, old)), Some((successor, new))) => {
                old == new || self.is_replaced_by(&serial, &successor, &new)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Whether the certificate that stands above this node, or a later one for its key, is in force,
    /// or was replaced by what is presented. Once it was taken back no other helps.
    fn is_in_force(&self, old: &Above, new: &Above) -> bool {
        let mut valid = false;
        let known = self.authority.certificates();
        let same =
            known.filter(|c| c.serial() == old.serial || c.body().subject == old.body.subject);
        for certificate in same {
            let is_own = certificate.serial() == old.serial;
            match self.authority.valid_at(certificate, self.wall_ms()) {
                Ok(()) => valid |= is_own || certificate.body().tier == old.body.tier,
                Err(Refusal::Replaced { .. }) => {
                    let (successor, key) = (&new.serial, &new.body.subject);
                    valid |= self.is_replaced_by(&certificate.serial(), successor, key);
                }
                Err(Refusal::Revoked { .. }) if is_own => return false,
                Err(
                    Refusal::Revoked { .. }
                    | Refusal::Expired { .. }
                    | Refusal::UnknownAuthor { .. }
                    | Refusal::NoGrant { .. },
                ) => {}
            }
        }
        valid
    }

    /// Whether the certificate `serial` was replaced by `successor`, or by another for its key.
    fn is_replaced_by(&self, serial: &Serial, successor: &Serial, key: &PublicKey) -> bool {
        let revocations = self.authority.revocations_of(serial).iter();
        revocations.filter_map(|known| known.body().successor).any(|named| {
            let of_key = |known: &Certificate| known.body().subject == *key;
            named == *successor || self.authority.get(&named).is_some_and(of_key)
        })
    }

    fn place_of(&self, certificate: &Certificate) -> Option<Above> {
        let chain = self.authority.chain(&certificate.serial());
        let chain: Vec<Vec<u8>> = chain.iter().map(|above| above.bytes().to_vec()).collect();
        places(&chain).pop()
    }

    /// The chain that the issuer gave is taken over, refused, or waits for a revocation.
    pub(super) fn take_over(&mut self, chain: Vec<Vec<u8>>) -> Outcome {
        match self.judge_issued(&chain) {
            Ok(true) => self.effects.push(Effect::Issued(chain)),
            Ok(false) => self.renewing.to_take_over = Some(chain),
            Err(Fault { code, reason }) => {
                let text =
                    format!("the certificate that the peer gave is not taken over: {reason}");
                // Nobody gives out what has ended: its clock was set since its hello, and this node
                // goes by what it said then. The hello of the next connection says it anew.
                if code == FaultCode::Expired {
                    return Err(Fault::new(FaultCode::Unexpected, text));
                }
                self.effects.push(Effect::Notice(text));
            }
        }
        Ok(())
    }

    /// More revocations are known: a chain that waits may be taken over now.
    pub(super) fn take_over_waiting(&mut self) -> Outcome {
        match self.renewing.to_take_over.take() {
            Some(chain) => self.take_over(chain),
            None => Ok(()),
        }
    }

    /// Whether a chain may be taken over; `false` while it lacks the revocation that belongs to it.
    /// That it has ended is [`FaultCode::Expired`].
    fn judge_issued(&self, chain: &[Vec<u8>]) -> Result<bool, Fault> {
        let refuse = |reason: String| Fault::new(FaultCode::Certificate, reason);
        let peer = self.open_peer();
        if peer.relation != Relation::Ancestor || !self.is_by_issuer() {
            return Err(refuse("this node was certified by another".to_owned()));
        }
        // By the time of the peer: this node's clock may follow it only later, or have been ahead.
        let at_ms = self.now_ms.saturating_add(peer.clock_ahead_ms);
        let new = self.authority.verify_chain(chain).map_err(|error| refuse(error.to_string()))?;
        self.check_valid(&peer.certificate, at_ms).map_err(|fault| refuse(fault.reason))?;
        let (own, body) = (self.identity.certificate.body(), new.body());
        let next = self.identity.next_key.as_ref().map(public_key);
        let is_for_this = [Some(own.subject), next].contains(&Some(body.subject))
            && body.kind == own.kind
            && body.tier == own.tier;
        if body.issuer != Some(peer.certificate.serial()) {
            let text = "it was not issued under the certificate of the peer";
            return Err(refuse(text.to_owned()));
        }
        if !is_for_this {
            return Err(refuse("it is for another".to_owned()));
        }
        self.check_valid(&new, at_ms)?;
        Ok(!own.is_narrowed_by(body) || self.is_own_replaced())
    }

    /// Whether a revocation says that another certificate takes the place of this node's, or of one
    /// above it.
    fn is_own_replaced(&self) -> bool {
        let own = self.identity.chain.iter().map(|bytes| Serial::of(bytes));
        own.into_iter().any(|serial| {
            let revocations = self.authority.revocations_of(&serial).iter();
            revocations.into_iter().any(|known| known.body().successor.is_some())
        })
    }
}

/// The certificates of a chain that was checked, root side first.
fn places(chain: &[Vec<u8>]) -> Vec<Above> {
    let mut places: Vec<Above> = Vec::with_capacity(chain.len());
    for bytes in chain {
        let Ok(body) = Certificate::peek(bytes) else { break };
        let issuer = places.last().map(|above| (above.serial, above.body.subject));
        places.push(Above { serial: Serial::of(bytes), body, issuer });
    }
    places
}

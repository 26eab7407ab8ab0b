//! One certificate: what it says, grant by grant, and its state.

use cunlian_protocol::certificate::{AuthorKind, Certificate, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::revocation::Revocation;
use serde::{Deserialize, Serialize};

use super::grant::GrantWords;
use super::{AdminError, DAY_MS, Desk, Named};
use crate::admin::pending;
use crate::local_time::time_words;

/// Whether a certificate can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In use.
    Valid,
    /// In use, and a newer one for the same key is known.
    Renewed,
    /// Its time is over.
    Expired,
    /// Replaced by another one for the same key.
    Superseded,
    /// Withdrawn.
    Revoked,
    /// A certificate above it was withdrawn.
    AboveRevoked,
}

/// Why a certificate cannot be used, whatever its grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "obstacle", rename_all = "snake_case")]
pub enum Obstacle {
    /// Its time is over.
    Expired {
        /// Since when, milliseconds since 1970-01-01 UTC.
        not_after_ms: i64,
    },
    /// Replaced by another certificate.
    Superseded {
        /// The one to use.
        successor: Named,
    },
    /// Withdrawn.
    Revoked {
        /// By whom; `None` for the root.
        by: Option<Named>,
        /// Why.
        reason: String,
        /// The last change that stands.
        through_seq: u64,
    },
    /// A certificate above it was withdrawn or replaced.
    AboveRevoked {
        /// Which one.
        above: Named,
        /// By whom; `None` for the root.
        by: Option<Named>,
        /// Why.
        reason: String,
        /// The last change that stands.
        through_seq: u64,
    },
    /// A new root took the place of the one it goes back to, and did not take it over.
    RootReplaced {
        /// The old root key.
        root: PublicKey,
    },
    /// It is asked to issue, and is not a node's.
    NotANode {
        /// What it is.
        kind: AuthorKind,
    },
}

/// One certificate, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its serial.
    pub serial: Serial,
    /// Name of the holder.
    pub name: String,
    /// What the holder is.
    pub kind: AuthorKind,
    /// Tier of the node, or of the node the person works at.
    pub tier: Tier,
    /// Key of the holder.
    pub key: PublicKey,
    /// Login of the holder at this node.
    pub login: Option<String>,
    /// Who issued it; `None` for the root.
    pub issuer: Option<Named>,
    /// Certificates from here to the root, this one included.
    pub depth: usize,
    /// Start of validity, milliseconds since 1970-01-01 UTC.
    pub issued_at_ms: i64,
    /// End of validity, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Whole days until the end; negative after it.
    pub days_left: i64,
    /// Whether it can be used.
    pub state: State,
    /// Why not.
    pub obstacles: Vec<Obstacle>,
    /// A newer certificate for the same key.
    pub newer: Option<Named>,
    /// Whether a changed certificate waits here to be handed over to the holder.
    pub pending: bool,
    /// What the holder may do.
    pub grants: Vec<GrantWords>,
}

impl Desk<'_> {
    /// One certificate; the node's own if nobody is named.
    pub(crate) fn show(&self, who: Option<&str>) -> Result<Card, AdminError> {
        let certificate = match who {
            Some(who) => self.find(who)?,
            None => self
                .authority
                .get(&self.own)
                .ok_or_else(|| AdminError::new("the store does not know this node"))?,
        };
        self.card(certificate)
    }

    pub(crate) fn card(&self, certificate: &Certificate) -> Result<Card, AdminError> {
        let body = certificate.body();
        let newest = self.newest_of_key(certificate).serial();
        let grants = body.grants.iter().enumerate();
        Ok(Card {
            serial: certificate.serial(),
            name: body.name.clone(),
            kind: body.kind,
            tier: body.tier,
            key: body.subject,
            login: self.login_of(certificate),
            issuer: body.issuer.map(|issuer| self.named(&issuer)),
            depth: certificate.depth(),
            issued_at_ms: body.issued_at_ms,
            not_after_ms: body.not_after_ms,
            days_left: body.not_after_ms.saturating_sub(self.now_ms).div_euclid(DAY_MS),
            state: self.state(certificate),
            obstacles: self.obstacles(certificate, self.now_ms),
            newer: (newest != certificate.serial()).then(|| self.named(&newest)),
            pending: pending::of(self.store, &body.subject)?.is_some(),
            grants: grants.map(|(at, grant)| self.grant_words(at + 1, grant)).collect(),
        })
    }

    pub(crate) fn state(&self, certificate: &Certificate) -> State {
        match self.obstacles(certificate, self.now_ms).first() {
            Some(Obstacle::Expired { .. }) => State::Expired,
            Some(Obstacle::Superseded { .. }) => State::Superseded,
            Some(Obstacle::Revoked { .. }) => State::Revoked,
            Some(Obstacle::AboveRevoked { .. } | Obstacle::RootReplaced { .. }) => {
                State::AboveRevoked
            }
            Some(Obstacle::NotANode { .. }) | None => {
                let newest = self.newest_of_key(certificate).serial();
                if newest == certificate.serial() { State::Valid } else { State::Renewed }
            }
        }
    }

    /// Why a certificate cannot be used at a time, the weightiest reason first; empty if and only
    /// if [`cunlian_protocol::authority::Authority::valid_at`] holds.
    pub fn obstacles(&self, certificate: &Certificate, at_ms: i64) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let mut above = Some(certificate);
        while let Some(current) = above {
            let revocations = self.authority.revocations_of(&current.serial()).iter();
            obstacles.extend(revocations.filter_map(|r| self.revoked(certificate, current, r)));
            if current.body().issuer.is_none() && !self.is_rooted(current) {
                obstacles.push(Obstacle::RootReplaced { root: current.root() });
            }
            above = current.body().issuer.and_then(|issuer| self.authority.get(&issuer));
        }
        let not_after_ms = certificate.body().not_after_ms;
        if at_ms >= not_after_ms {
            obstacles.push(Obstacle::Expired { not_after_ms });
        }
        obstacles
    }

    fn revoked(
        &self,
        certificate: &Certificate,
        revoked: &Certificate,
        revocation: &Revocation,
    ) -> Option<Obstacle> {
        let own = certificate.serial();
        let standing = revocation.standing(&own);
        let through_seq = standing.map_or(0, |standing| standing.through_seq);
        let left = through_seq == u64::MAX;
        let body = revocation.body();
        let by = body.issuer.map(|issuer| self.named(&issuer));
        let reason = body.reason.clone();
        if revoked.serial() != own {
            let above = self.named(&revoked.serial());
            return (!left).then_some(Obstacle::AboveRevoked { above, by, reason, through_seq });
        }
        Some(match body.successor.filter(|_| left) {
            Some(successor) => Obstacle::Superseded { successor: self.named(&successor) },
            None => Obstacle::Revoked { by, reason, through_seq },
        })
    }

    /// Whether what a root key signed stands by the successions of the root.
    fn is_rooted(&self, certificate: &Certificate) -> bool {
        let mut successions = self.authority.successions().iter();
        let after = successions.find(|succession| succession.body().old == certificate.root());
        after.is_none_or(|succession| succession.body().stands.contains(&certificate.serial()))
    }
}

impl Obstacle {
    /// What is in the way, as a sentence.
    pub fn words(&self) -> String {
        let who =
            |by: &Option<Named>| by.as_ref().map_or("the root", |by| by.name.as_str()).to_owned();
        match self {
            Self::Expired { not_after_ms } => {
                format!("the certificate ended on {}", time_words(*not_after_ms))
            }
            Self::Superseded { successor } => {
                format!("the certificate was replaced by {}", successor.serial)
            }
            Self::Revoked { by, reason, through_seq } => format!(
                "the certificate was revoked by {} ({reason}); {}",
                who(by),
                stands(*through_seq)
            ),
            Self::AboveRevoked { above, by, reason, through_seq } => format!(
                "the certificate of {} above it ({}) was revoked by {} ({reason}); {}",
                above.name,
                above.serial,
                who(by),
                stands(*through_seq)
            ),
            Self::RootReplaced { root } => {
                format!("the root {root} was replaced, and the new one did not take this over")
            }
            Self::NotANode { kind } => {
                let kind = match kind {
                    AuthorKind::Node => "a node",
                    AuthorKind::Operator => "a person",
                    AuthorKind::Device => "a device",
                };
                format!("only nodes issue certificates, and this is {kind}")
            }
        }
    }
}

fn stands(through_seq: u64) -> String {
    match through_seq {
        0 => "nothing its holder wrote stands".to_owned(),
        u64::MAX => "all its holder wrote stands".to_owned(),
        last => format!("what its holder wrote up to change {last} stands"),
    }
}

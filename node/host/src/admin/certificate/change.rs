//! Other grants for a key that has a certificate: a new certificate, and its handing over.
//!
//! The new certificate waits ([`crate::admin::pending`]) until its holder comes: a node renews in a
//! session, a person of this node logs in. When something is taken away, a revocation
//! supersedes the old certificate at once and everywhere: it can be used for nothing but to take
//! over the new one. The work of its holder stands, and of all below it, who go on: most of them
//! have done nothing wrong, and may be out of reach. What they have beyond what is left they get
//! no more of through a node that has lost it, and it is cut when they renew; they are named, so
//! that who cannot wait changes or revokes them.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant};
use cunlian_protocol::id::Serial;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use serde::{Deserialize, Serialize};

use super::card::Card;
use super::grant::{Lack, parse_grant};
use super::{AdminError, Desk, Named};
use crate::admin::{Administration, pending};
use crate::local_time::time_words;

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Name, serial or login.
    pub who: String,
    /// Grants to add, as text ([`super::grant`]).
    pub add: Vec<String>,
    /// Numbers of grants to take away, from 1.
    pub remove: Vec<usize>,
    /// New end of validity, milliseconds since 1970-01-01 UTC.
    pub until_ms: Option<i64>,
    /// New name.
    pub name: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The certificate there was.
    pub old: Named,
    /// The new one.
    pub card: Card,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether something was taken away, so that the old certificate is superseded.
    pub narrowed: bool,
    /// Those below whose certificates go beyond what is left, until they renew.
    pub beyond: Vec<Named>,
    /// What happens now, in sentences.
    pub words: Vec<String>,
}

impl Administration {
    pub(super) fn change(&self, desk: &Desk<'_>, wanted: &Wanted) -> Result<Changed, AdminError> {
        let own = &self.identity.certificate;
        let old = desk.find(&wanted.who)?;
        check_issuer(desk, own, old)?;
        let body = desk.changed_body(own, old, wanted)?;
        for grant in &body.grants {
            desk.check_contained(own, grant)?;
        }
        let bytes = Certificate::issue(&body, &self.identity.key);
        let new = Certificate::verify(&bytes, Some(own), &own.root()).map_err(AdminError::new)?;
        let narrowed = is_narrower(old.body(), &body);
        let beyond: Vec<&Certificate> =
            if narrowed { beyond(&desk.authority, old, &body) } else { Vec::new() };
        let beyond: Vec<Named> = beyond.iter().map(|c| desk.named(&c.serial())).collect();
        if !wanted.dry_run {
            refusal(self.store.add_certificates(std::slice::from_ref(&bytes))?)?;
            if narrowed {
                let revocation = superseding(&desk.authority, old, &new);
                refusal(self.store.add_revocations(&[revocation.sign(&self.identity.key)])?)?;
            }
            pending::put(&self.store, &body.subject, &bytes)?;
        }
        // Looked at anew, because the authority has changed.
        let desk = self.desk()?;
        let card = desk.card(&new)?;
        let words = words(&card, narrowed, &beyond, wanted.dry_run);
        Ok(Changed {
            old: desk.named(&old.serial()),
            card,
            dry_run: wanted.dry_run,
            narrowed,
            beyond,
            words,
        })
    }
}

fn check_issuer(desk: &Desk<'_>, own: &Certificate, old: &Certificate) -> Result<(), AdminError> {
    let body = old.body();
    let issuer = body.issuer.and_then(|issuer| desk.authority.get(&issuer));
    if issuer.is_some_and(|issuer| issuer.body().subject == own.body().subject) {
        return Ok(());
    }
    let name = &body.name;
    Err(match issuer {
        Some(issuer) => {
            let issuer = &issuer.body().name;
            AdminError::new(format!("the certificate of {name} was issued by {issuer}"))
                .hint(format!("change it there: {issuer}"))
        }
        None => AdminError::new(format!("the certificate of {name} was issued by the root"))
            .hint("a certificate of the root is changed with the root key, where it is kept"),
    })
}

/// Signed objects that the store did not take, although they were checked.
fn refusal(refused: Vec<String>) -> Result<(), AdminError> {
    match refused.into_iter().next() {
        Some(reason) => Err(AdminError::new(reason)),
        None => Ok(()),
    }
}

impl Desk<'_> {
    fn changed_body(
        &self,
        own: &Certificate,
        old: &Certificate,
        wanted: &Wanted,
    ) -> Result<CertificateBody, AdminError> {
        let body = old.body();
        let count = body.grants.len();
        if let Some(number) = wanted.remove.iter().find(|number| !(1..=count).contains(number)) {
            let error = format!("{} has {count} grants, and no grant {number}", body.name);
            return Err(AdminError::new(error)
                .hint(format!("see them with: cunlian cert show {}", old.serial())));
        }
        let numbered = (1..).zip(&body.grants);
        let kept = numbered.filter(|(number, _)| !wanted.remove.contains(number));
        let mut grants: Vec<Grant> = kept.map(|(_, grant)| grant.clone()).collect();
        for text in &wanted.add {
            let grant = parse_grant(text, &self.catalogue)?;
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        if grants.is_empty() {
            return Err(AdminError::new(format!("nothing would be left to {}", body.name))
                .hint("to take everything away: cunlian revoke"));
        }
        let not_after_ms = wanted.until_ms.unwrap_or(body.not_after_ms);
        self.check_until(own, body, not_after_ms)?;
        let name = wanted.name.clone().unwrap_or_else(|| body.name.clone());
        if (&grants, not_after_ms, &name) == (&body.grants, body.not_after_ms, &body.name) {
            return Err(
                AdminError::new("nothing would change").hint("see: cunlian cert change --help")
            );
        }
        Ok(CertificateBody {
            name,
            grants,
            // Later than the old one even if the clock stands still or has been set back.
            issued_at_ms: self.now_ms.max(body.issued_at_ms.saturating_add(1)),
            not_after_ms,
            issuer: Some(own.serial()),
            ..body.clone()
        })
    }

    fn check_until(
        &self,
        own: &Certificate,
        body: &CertificateBody,
        not_after_ms: i64,
    ) -> Result<(), AdminError> {
        let until = time_words(not_after_ms);
        if not_after_ms <= self.now_ms {
            return Err(AdminError::new(format!("{until} is in the past"))
                .hint("to take everything away now: cunlian revoke"));
        }
        let own = own.body();
        if not_after_ms > own.not_after_ms {
            return Err(AdminError::new(format!(
                "{} would be certified until {until}, longer than {} itself, until {}",
                body.name,
                own.name,
                time_words(own.not_after_ms)
            ))
            .hint("this node's own certificate has to be renewed first"));
        }
        Ok(())
    }

    /// Whether this node may give a grant; the error says what is too wide in it, measured by the
    /// grant of this node that comes nearest.
    fn check_contained(&self, own: &Certificate, grant: &Grant) -> Result<(), AdminError> {
        let held = own.body().grants.iter().zip(1..);
        let lacks = held.map(|(held, number)| (self.lacks_to_issue(held, grant), held, number));
        let nearest = lacks.min_by_key(|(lacks, ..)| lacks.iter().map(Lack::weight).sum::<u32>());
        let wanted = self.grant_words(0, grant).words();
        let name = &own.body().name;
        match nearest {
            Some((lacks, ..)) if lacks.is_empty() => Ok(()),
            Some((lacks, held, number)) => {
                let why: Vec<String> = lacks.iter().map(Lack::words).collect();
                let held = self.grant_words(number, held).words();
                let error =
                    format!("{name} may not give this grant ({wanted}): {}", why.join("; "));
                Err(AdminError::new(error)
                    .hint(format!("the nearest of its own, grant {number}: {held}")))
            }
            None => Err(AdminError::new(format!("{name} has no grants to pass on"))),
        }
    }
}

/// The revocation that puts `new` in the place of `old`.
fn superseding(authority: &Authority, old: &Certificate, new: &Certificate) -> RevocationBody {
    let below = below(authority, &old.serial());
    RevocationBody {
        own: Standing::all(old.serial()),
        successor: Some(new.serial()),
        descendants: below.iter().map(|c| Standing::all(c.serial())).collect(),
        reason: "replaced by a certificate with other grants".to_owned(),
        issuer: old.body().issuer,
    }
}

/// Whether something that `old` allows is not within one grant of `new`, or ends earlier.
fn is_narrower(old: &CertificateBody, new: &CertificateBody) -> bool {
    new.not_after_ms < old.not_after_ms
        || !old.grants.iter().all(|grant| new.grants.iter().any(|wider| holds(wider, grant)))
}

/// Whether `wider` allows all that `grant` does, and to pass on as much.
fn holds(wider: &Grant, grant: &Grant) -> bool {
    wider.rights.contains(grant.rights)
        && wider.delegable.contains(grant.delegable)
        && wider.region.contains(&grant.region)
        && wider.categories.contains_set(&grant.categories)
        && (wider.document.is_none() || wider.document == grant.document)
}

/// The certificates below one, by serial.
fn below<'a>(authority: &'a Authority, serial: &Serial) -> Vec<&'a Certificate> {
    let is_below = |certificate: &&Certificate| {
        let chain = authority.chain(&certificate.serial());
        certificate.serial() != *serial && chain.iter().any(|above| above.serial() == *serial)
    };
    authority.certificates().filter(is_below).collect()
}

/// The certificates below `old` with something that its new body may not pass on. Those below one
/// that goes beyond do too: it was theirs to give.
fn beyond<'a>(
    authority: &'a Authority,
    old: &Certificate,
    new: &CertificateBody,
) -> Vec<&'a Certificate> {
    let within = |certificate: &Certificate| {
        let body = certificate.body();
        body.not_after_ms <= new.not_after_ms
            && body.grants.iter().all(|grant| new.grants.iter().any(|held| held.may_issue(grant)))
    };
    let goes_beyond = |certificate: &&Certificate| {
        let chain = authority.chain(&certificate.serial());
        let from_old = chain.iter().skip_while(|above| above.serial() != old.serial());
        !from_old.skip(1).all(|above| within(above))
    };
    below(authority, &old.serial()).into_iter().filter(goes_beyond).collect()
}

fn words(card: &Card, narrowed: bool, beyond: &[Named], dry_run: bool) -> Vec<String> {
    let name = &card.name;
    let mut words = vec![if dry_run {
        format!("nothing was written; the new certificate of {name} would be:")
    } else {
        format!("{name} has a new certificate, {}", card.serial)
    }];
    words.push(match (card.kind, &card.login) {
        (AuthorKind::Operator, Some(login)) => {
            format!("it is sealed with the person's key at the next login of {login}")
        }
        (AuthorKind::Operator, None) => "the person takes it over at the next login".to_owned(),
        (AuthorKind::Node | AuthorKind::Device, _) => {
            format!("it is handed over as soon as {name} connects, or at once if it is connected")
        }
    });
    if narrowed {
        words.push(
            "something was taken away, so the old certificate is superseded everywhere; \
             what was written with it stands"
                .to_owned(),
        );
    }
    if !beyond.is_empty() {
        let names: Vec<&str> = beyond.iter().map(|named| named.name.as_str()).collect();
        words.push(format!(
            "these below it have more than what is left, which is cut when they renew; \
             to stop one at once, change or revoke it: {}",
            names.join(", ")
        ));
    }
    words
}

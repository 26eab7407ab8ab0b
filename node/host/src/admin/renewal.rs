//! Renewal: what a child, or the founding node itself, is certified for next.
//!
//! A child that asks gets what it has, for as long as it had it, cut to what this node may pass on
//! now and never beyond the end of its own certificate; or the certificate that waits for it
//! ([`super::pending`]). Nothing here widens anything that a person has not decided.
//!
//! The certificate before is *replaced* (a revocation that names its successor and takes nothing
//! of the work of its holder, or of those it certified) when the new one gives less, is for
//! another key, or when the child came to be renewed only: one that was copied may still be in use
//! by the other machine. A plain renewal leaves it to run out.
//!
//! A child that has nodes below it, came back from a copy and keeps its key may have forgotten whom
//! it certified since the copy was made. So what is below its old certificate then stands without
//! being listed: whoever has the key can certify the same under the new one. As soon as the key
//! changes, or less is given, all its certificates under the key are replaced with a list, and
//! what is not on it stands no more.
//!
//! What follows a certificate that was replaced follows the one that took its place, so that nothing
//! which was taken away comes back because this node has forgotten that it decided so.
//!
//! Every request gets a certificate of its own, also when an answer was lost on the way: two
//! machines with one serial would number their changes alike.

use std::collections::BTreeSet;

use cunlian_crdt::store::Store;
use cunlian_protocol::authority::{Authority, Refusal};
use cunlian_protocol::certificate::{Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AdminError, Administration, pending};
use crate::keystore::{Keystore, ROOT_KEY};

const DAY_MS: i64 = 86_400_000;
/// Most certificates given to one key within a day.
const RENEWALS_A_DAY: usize = 24;

/// What a founder that renewed itself has now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Serial of the new certificate, hexadecimal.
    pub serial: String,
    /// Its end, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
}

/// Certifies the child with the certificate `child` anew, as it asks; gives the chain, root side
/// first. `restricted` says that it came for this alone.
///
/// Everything is durable when it returns. `identity` is this node's, `now_ms` trusted time.
pub fn renew(
    store: &Store,
    identity: &Identity,
    now_ms: i64,
    child: &Serial,
    renewal: &Renewal,
    restricted: bool,
) -> Result<Vec<Vec<u8>>, AdminError> {
    let authority = store.authority();
    let before = authority.get(child).ok_or_else(|| AdminError::new("it is not known here"))?;
    check_issuer(&authority, identity, before)?;
    check_key(&authority, before, renewal, now_ms)?;
    check_pace(&authority, identity, before, now_ms)?;
    let decided = pending::of(store, &before.body().subject)?;
    // One that was given out and replaced since: this node was set back to before that.
    let is_past = |bytes: &Vec<u8>| !authority.revocations_of(&Serial::of(bytes)).is_empty();
    let waiting = decided.clone().filter(|bytes| !is_past(bytes));
    let last = last_of(&authority, before)?;
    let wanted = waiting.as_deref().and_then(|bytes| Certificate::peek(bytes).ok());
    let bytes = match waiting.as_deref() {
        Some(bytes) if is_ready(&authority, identity, bytes, renewal, now_ms) => bytes.to_vec(),
        _ => {
            let like = wanted.as_ref().unwrap_or_else(|| last.body());
            let body = next_body(like, identity, renewal.subject, now_ms);
            Certificate::issue(&body, &identity.key)
        }
    };
    let root = identity.certificate.root();
    let next = Certificate::verify(&bytes, Some(&identity.certificate), &root)
        .map_err(|error| AdminError::new(format!("it cannot be certified anew: {error}")))?;
    let replaces = restricted
        || wanted.is_some()
        || next.body().subject != before.body().subject
        || before.body().is_narrowed_by(next.body());
    let mut chain = identity.chain.clone();
    chain.push(bytes);
    refuse_any(store.add_certificates(&chain)?)?;
    if replaces {
        replace(store, identity, before, &next)?;
    }
    if decided.is_some() {
        pending::forget(store, &before.body().subject)?;
    }
    Ok(chain)
}

impl Administration {
    /// Certifies the founding node anew with the root key; for others, says why not.
    pub fn renew_founder(&self) -> Result<Value, AdminError> {
        let own = self.identity.certificate.body();
        if own.issuer.is_some() {
            return Err(AdminError::new("this node is certified by the node above it").hint(
                "it is renewed by itself, when a third of its time is left and the parent is \
                 reached: cunlian status",
            ));
        }
        let keystore = Keystore::new(&self.data_dir);
        let chain = self.founder_chain(&root_key(&keystore)?, own.subject);
        refuse_any(self.store.add_certificates(&chain)?)?;
        keystore.renew(&chain).map_err(AdminError::new)?;
        self.restart.ask();
        let serial = chain.first().map(|bytes| Serial::of(bytes).to_string()).unwrap_or_default();
        let body = chain.first().and_then(|bytes| Certificate::peek(bytes).ok());
        let not_after_ms = body.map_or(own.not_after_ms, |body| body.not_after_ms);
        let renewed = Renewed { serial, not_after_ms };
        Ok(serde_json::to_value(renewed).expect("a result has only JSON types"))
    }
}

/// Only what this node signed, under its present certificate and key or those before.
fn check_issuer(
    authority: &Authority,
    identity: &Identity,
    child: &Certificate,
) -> Result<(), AdminError> {
    let issuer = child.body().issuer.and_then(|issuer| authority.get(&issuer));
    match issuer {
        Some(issuer) if identity.is_own_key(&issuer.body().subject) => Ok(()),
        _ => Err(AdminError::new("this node did not sign that certificate")),
    }
}

/// A key that was given up does not come back, and names no other successor than it did.
fn check_key(
    authority: &Authority,
    before: &Certificate,
    renewal: &Renewal,
    now_ms: i64,
) -> Result<(), AdminError> {
    match authority.valid_at(before, now_ms) {
        Ok(()) | Err(Refusal::Expired { .. }) => Ok(()),
        Err(Refusal::Replaced { successor, .. }) => {
            let successor = authority.get(&successor).map(|successor| successor.body().subject);
            let own = before.body().subject;
            if successor.is_none_or(|key| key == own || key == renewal.subject) {
                return Ok(());
            }
            Err(AdminError::new("the key of this certificate was changed for another"))
        }
        Err(
            refusal @ (Refusal::Revoked { .. }
            | Refusal::UnknownAuthor { .. }
            | Refusal::NoGrant { .. }),
        ) => Err(AdminError::new(refusal)),
    }
}

/// The last of those that took the place of a certificate, one after the other.
fn last_of<'a>(
    authority: &'a Authority,
    before: &'a Certificate,
) -> Result<&'a Certificate, AdminError> {
    let mut last = before;
    for _ in 0..=authority.certificates().count() {
        let revocations = authority.revocations_of(&last.serial()).iter();
        let Some(next) = revocations.filter_map(|known| known.body().successor).next_back() else {
            return Ok(last);
        };
        last = authority.get(&next).ok_or_else(|| {
            AdminError::new(format!("it was replaced by {next}, which is not known here"))
                .hint("it comes with the next session with the node above")
        })?;
    }
    Err(AdminError::new("its certificates replace each other in a circle"))
}

/// A certificate decided on by a person, as it is, fits the request and may be given out.
fn is_ready(
    authority: &Authority,
    identity: &Identity,
    bytes: &[u8],
    renewal: &Renewal,
    now_ms: i64,
) -> bool {
    let root = identity.certificate.root();
    Certificate::verify(bytes, Some(&identity.certificate), &root).is_ok_and(|certificate| {
        certificate.body().subject == renewal.subject
            && authority.valid_at(&certificate, now_ms).is_ok()
    })
}

/// A child that asks without end, by a fault or on purpose, fills every store above with its
/// certificates. Those of its other keys count as well: name, kind and tier go from each to the
/// next, and a child does not choose them.
fn check_pace(
    authority: &Authority,
    identity: &Identity,
    before: &Certificate,
    now_ms: i64,
) -> Result<(), AdminError> {
    let before = before.body();
    let signed_here = |issuer: Serial| {
        authority.get(&issuer).is_some_and(|issuer| identity.is_own_key(&issuer.body().subject))
    };
    let recent = authority.certificates().filter(|certificate| {
        let body = certificate.body();
        let is_like =
            (&body.name, body.kind, body.tier) == (&before.name, before.kind, before.tier);
        body.issued_at_ms > now_ms.saturating_sub(DAY_MS)
            && (body.subject == before.subject || is_like)
            && body.issuer.is_some_and(signed_here)
    });
    if recent.count() < RENEWALS_A_DAY {
        return Ok(());
    }
    Err(AdminError::new(format!("it had {RENEWALS_A_DAY} certificates within a day"))
        .hint("look for two machines that use it, or have it join anew"))
}

/// What follows `like`: the same, for `subject`, from now on, cut to what may be issued.
fn next_body(
    like: &CertificateBody,
    identity: &Identity,
    subject: PublicKey,
    now_ms: i64,
) -> CertificateBody {
    let own = identity.certificate.body();
    let life_ms = like.not_after_ms.saturating_sub(like.issued_at_ms);
    CertificateBody {
        subject,
        name: like.name.clone(),
        kind: like.kind,
        tier: like.tier,
        grants: cut(&like.grants, &own.grants),
        issued_at_ms: now_ms,
        not_after_ms: now_ms.saturating_add(life_ms).min(own.not_after_ms),
        issuer: Some(identity.certificate.serial()),
    }
}

/// Of each grant what `own` may pass on: all of it where one grant covers it, else its common
/// parts with each.
fn cut(grants: &[Grant], own: &[Grant]) -> Vec<Grant> {
    let mut kept: Vec<Grant> = Vec::new();
    for grant in grants {
        if own.iter().any(|held| held.may_issue(grant)) {
            kept.push(grant.clone());
        } else {
            kept.extend(own.iter().filter_map(|held| common(grant, held)));
        }
    }
    // Many narrow parts may not fit; what is left out is less, never more.
    kept.truncate(limits::CERTIFICATE_GRANTS);
    kept
}

fn common(grant: &Grant, held: &Grant) -> Option<Grant> {
    let both = |one: Rights, other: Rights| Rights(one.0 & other.0);
    let document = match (grant.document, held.document) {
        (Some(wanted), Some(held)) if wanted != held => return None,
        (wanted, held) => wanted.or(held),
    };
    let common = Grant {
        region: grant.region.intersection(&held.region)?,
        document,
        categories: grant.categories.intersection(&held.categories),
        rights: both(grant.rights, held.delegable),
        delegable: both(grant.delegable, held.delegable),
    };
    let empty =
        common.categories.is_empty() || common.rights.with(common.delegable) == Rights::NONE;
    (!empty).then_some(common)
}

/// Revokes `before` in favour of `next`: its work and that of those below it stands. What anybody
/// certifies with it later does not, unless `next` goes on where it was; otherwise the certificates
/// that it followed under the same key are ended too.
fn replace(
    store: &Store,
    identity: &Identity,
    before: &Certificate,
    next: &Certificate,
) -> Result<(), AdminError> {
    let authority = store.authority();
    let issuer = before.body().issuer.and_then(|issuer| authority.get(&issuer));
    if issuer.is_some_and(|issuer| issuer.body().subject != public_key(&identity.key)) {
        let name = &before.body().name;
        tracing::warn!(name, "its certificate was signed with a key this node has given up");
        return Ok(());
    }
    replace_signed_by(store, &identity.key, before, next)?;
    if goes_on(before.body(), next.body()) {
        return Ok(());
    }
    let own = public_key(&identity.key);
    let signed_here = |certificate: &&Certificate| {
        let issuer = certificate.body().issuer.and_then(|issuer| authority.get(&issuer));
        issuer.is_some_and(|issuer| issuer.body().subject == own)
    };
    let same = |certificate: &&Certificate| {
        certificate.body().subject == before.body().subject
            && ![before.serial(), next.serial()].contains(&certificate.serial())
    };
    for earlier in authority.certificates().filter(same).filter(signed_here) {
        replace_signed_by(store, &identity.key, earlier, next)?;
    }
    Ok(())
}

/// Whether who holds `next` may do all that `before` allows, with the same key.
fn goes_on(before: &CertificateBody, next: &CertificateBody) -> bool {
    before.subject == next.subject && !before.is_narrowed_by(next)
}

/// Revokes `before` in favour of `next` with the key that signed it.
pub(super) fn replace_signed_by(
    store: &Store,
    key: &SigningKey,
    before: &Certificate,
    next: &Certificate,
) -> Result<(), AdminError> {
    let authority = store.authority();
    let serial = before.serial();
    // A terminal with nobody below but the people at it lists them, as they are known by their work.
    let leaves_all = before.body().tier < Tier::Village && goes_on(before.body(), next.body());
    let mut known = authority.revocations_of(&serial).iter();
    if known.any(|known| known.body().successor.is_some() && (leaves_all || !known.leaves_all())) {
        return Ok(());
    }
    let descendants = if leaves_all {
        vec![Standing::all(serial)]
    } else {
        below(&authority, serial).into_iter().map(Standing::all).collect()
    };
    let body = RevocationBody {
        own: Standing::all(serial),
        successor: Some(next.serial()),
        descendants,
        reason: "replaced".to_owned(),
        issuer: before.body().issuer,
    };
    refuse_any(store.add_revocations(&[body.sign(key)])?)
}

/// The certificates below one, as far as they are known here.
fn below(authority: &Authority, serial: Serial) -> Vec<Serial> {
    let mut found = BTreeSet::from([serial]);
    loop {
        let count = found.len();
        let issued = authority.certificates().filter(|certificate| {
            certificate.body().issuer.is_some_and(|issuer| found.contains(&issuer))
        });
        let issued: Vec<Serial> = issued.map(Certificate::serial).collect();
        found.extend(issued);
        if found.len() == count {
            found.remove(&serial);
            return found.into_iter().collect();
        }
    }
}

pub(super) fn refuse_any(refused: Vec<String>) -> Result<(), AdminError> {
    refused.into_iter().next().map_or(Ok(()), |reason| Err(AdminError::new(reason)))
}

/// The root key, which is kept off line most of the time.
pub(super) fn root_key(keystore: &Keystore) -> Result<SigningKey, AdminError> {
    keystore.key(ROOT_KEY).map_err(|error| {
        AdminError::new(error)
            .hint("bring root.key from where it is kept off line, and take it away again")
    })
}

//! Certificates of operators: made, made again, and taken over at login.
//!
//! Only a login has the password, and only with it can another certificate be sealed with the
//! key. So what changed since the last login is made up for at the next: the node was certified
//! again, little time is left, or an administrator gave the person other grants.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant};
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::{SigningKey, public_key};
use rand::CryptoRng;

use super::narrowing::{Narrowing, NarrowingError};
use super::role::{self, RoleError};
use super::seal::{Hexadecimal, Open, Placing, Sealed};
use super::{Issuer, OperatorEntry, OperatorError, Operators, Unlocked, prepared};

const LIFE_MS: i64 = 5 * 365 * 86_400_000;
/// A certificate is made again when less than this part of its life is left.
const RENEWAL_PART: i64 = 3;

impl Operators {
    /// Certifies the key of `unlocked` again if that is due: the node has another certificate
    /// than the one that issued, or little time is left. The person gets what their role gives
    /// now, or what an administrator left them, as far as the node may still pass it on. `false`
    /// if nothing was due; then nothing was touched.
    ///
    /// A revoked key stays revoked: `authority` is asked about every certificate the key had.
    pub fn renew_if_due(
        &self,
        issuer: &Issuer<'_>,
        authority: &Authority,
        unlocked: &mut Unlocked,
        password: &str,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, OperatorError> {
        let _turn = self.turn()?;
        let (sealed, secret) = match self.entry(&unlocked.name)? {
            Some(entry) if is_due(issuer, &entry, now_ms) => self.open(&entry.name, password)?,
            _ => return Ok(false),
        };
        let key = SigningKey::from_bytes(&secret);
        let open = sealed.open();
        if is_dismissed(authority, &open, &key) {
            return Err(OperatorError::Revoked { name: open.name });
        }
        let grants = grants_now(issuer, authority, &open)?;
        let certificate = certify(issuer, &open, grants, &key, now_ms)?;
        let sealed = Sealed::new(replaced(open, certificate), &secret, &prepared(password), rng);
        self.save(&sealed, Placing::Over)?;
        adopt(unlocked, sealed);
        Ok(true)
    }

    /// Seals the key of `unlocked` with the certificate an administrator made for it in the
    /// meantime. `false` if it is the one there is, an earlier one, or another key's.
    pub fn take_over(
        &self,
        authority: &Authority,
        unlocked: &mut Unlocked,
        certificate: &Certificate,
        password: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, OperatorError> {
        let _turn = self.turn()?;
        let (sealed, secret) = self.open(&unlocked.name, password)?;
        let body = certificate.body();
        let bytes = certificate.bytes();
        let is_known =
            sealed.certificate == bytes || sealed.earlier.iter().any(|known| known.0 == bytes);
        if is_known || body.subject != public_key(&SigningKey::from_bytes(&secret)) {
            return Ok(false);
        }
        let mut open = sealed.open();
        let before = authority.get(&Serial::of(&open.certificate));
        if before.is_none_or(|before| before.body().not_after_ms != body.not_after_ms) {
            open.narrowing.until_ms = Some(body.not_after_ms);
        }
        open.display_name.clone_from(&body.name);
        open.by_hand = true;
        let sealed = Sealed::new(replaced(open, bytes.to_vec()), &secret, &prepared(password), rng);
        self.save(&sealed, Placing::Over)?;
        adopt(unlocked, sealed);
        Ok(true)
    }
}

/// The end of a certificate made now.
fn end_ms(issuer: &Issuer<'_>, narrowing: &Narrowing, now_ms: i64) -> i64 {
    let end_ms = issuer.certificate.body().not_after_ms.min(now_ms.saturating_add(LIFE_MS));
    narrowing.until_ms.map_or(end_ms, |until_ms| end_ms.min(until_ms))
}

/// Whether the node, as it is certified now, should certify the person again.
fn is_due(issuer: &Issuer<'_>, entry: &OperatorEntry, now_ms: i64) -> bool {
    let end_ms = end_ms(issuer, &entry.narrowing, now_ms);
    if end_ms <= now_ms {
        return false;
    }
    // The root key is not asked for: who issued is the node.
    let root = issuer.certificate.body().subject;
    let Ok(current) = Certificate::verify(&entry.certificate, Some(issuer.certificate), &root)
    else {
        return true;
    };
    let body = current.body();
    let left_ms = body.not_after_ms.saturating_sub(now_ms);
    let life_ms = body.not_after_ms.saturating_sub(body.issued_at_ms);
    left_ms < life_ms / RENEWAL_PART && end_ms > body.not_after_ms
}

/// Whether a certificate of the key was withdrawn, not just replaced. That the node's own was
/// replaced is the reason for certifying again, not one against it.
fn is_dismissed(authority: &Authority, open: &Open, key: &SigningKey) -> bool {
    let subject = public_key(key);
    let earlier = open.earlier.iter().map(|bytes| Serial::of(&bytes.0));
    let same_key =
        |serial: &Serial| authority.get(serial).is_some_and(|c| c.body().subject == subject);
    let mut had = earlier.filter(same_key).chain([Serial::of(&open.certificate)]);
    had.any(|serial| {
        authority.revocations_of(&serial).iter().any(|it| it.body().successor.is_none())
    })
}

/// What the role gives at the node as it is certified now.
pub(super) fn by_role(issuer: &Issuer<'_>, open: &Open) -> Result<Vec<Grant>, OperatorError> {
    let held = &issuer.certificate.body().grants;
    Ok(role::grants(role::find(&open.role)?, held, &open.narrowing)?)
}

/// What the person has: by role, or what an administrator left them.
pub(super) fn grants_now(
    issuer: &Issuer<'_>,
    authority: &Authority,
    open: &Open,
) -> Result<Vec<Grant>, OperatorError> {
    if !open.by_hand {
        return by_role(issuer, open);
    }
    match authority.get(&Serial::of(&open.certificate)) {
        Some(current) => passed_on(issuer, open, current.body()),
        // The role may give more than was left.
        None => Err(RoleError::Empty { key: open.role.clone() }.into()),
    }
}

/// Of the grants given by hand, those that the node may still pass on.
fn passed_on(
    issuer: &Issuer<'_>,
    open: &Open,
    current: &CertificateBody,
) -> Result<Vec<Grant>, OperatorError> {
    let held = &issuer.certificate.body().grants;
    let may = |grant: &&Grant| held.iter().any(|held| held.may_issue(grant));
    let left: Vec<Grant> = current.grants.iter().filter(may).cloned().collect();
    if left.is_empty() {
        return Err(RoleError::Empty { key: open.role.clone() }.into());
    }
    Ok(left)
}

/// Signs a certificate for the key of a person.
pub(super) fn certify(
    issuer: &Issuer<'_>,
    open: &Open,
    grants: Vec<Grant>,
    key: &SigningKey,
    now_ms: i64,
) -> Result<Vec<u8>, OperatorError> {
    let not_after_ms = end_ms(issuer, &open.narrowing, now_ms);
    if not_after_ms <= now_ms {
        return Err(NarrowingError::Until.into());
    }
    let body = CertificateBody {
        subject: public_key(key),
        name: open.display_name.clone(),
        kind: AuthorKind::Operator,
        tier: issuer.certificate.body().tier,
        grants,
        issued_at_ms: now_ms,
        not_after_ms,
        issuer: Some(issuer.certificate.serial()),
    };
    Ok(Certificate::issue(&body, issuer.key))
}

/// With another certificate; the one there was stays known.
pub(super) fn replaced(mut open: Open, certificate: Vec<u8>) -> Open {
    let before = std::mem::replace(&mut open.certificate, certificate);
    open.earlier.push(Hexadecimal(before));
    open
}

fn adopt(unlocked: &mut Unlocked, sealed: Sealed) {
    unlocked.author.serial = Serial::of(&sealed.certificate);
    unlocked.certificate = sealed.certificate;
    unlocked.display_name = sealed.display_name;
}

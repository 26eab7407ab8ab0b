//! All certificates and revocations a node knows, and the answers they give.
//!
//! Every question of permission is asked here: may this author write there, what may this peer
//! read. A certificate enters only after its chain has been checked up to the root key.
//!
//! What stands of an author's work follows from the revocations in its chain
//! ([`Authority::stands`]), which only ever take away: an author must stand by all of them, so the
//! order in which they are learned does not matter.
//!
//! How much is kept of what each node certifies and revokes is the matter of `room`.
//!
//! The root is a list of keys: the one the node was founded with, and those that successions lead
//! to from it. Of two successions of one key the first that is learned holds.

use std::collections::BTreeMap;

use crate::certificate::{Certificate, CertificateError, Grant};
use crate::change::{Header, Home};
use crate::id::{ChangeId, PublicKey, Serial};
use crate::limits;
use crate::revocation::{Rank, Revocation, RevocationError};
use crate::rights::Rights;
use crate::scope::Scope;
use crate::signing::{self, Context};
use crate::succession::{BadSuccession, Succession};

mod room;

pub use room::{Dropped, RoomTaken, Taken};

/// Why an author may not do what a change does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate with this serial is known.
    #[error("author {author} is unknown")]
    UnknownAuthor {
        /// Serial named by the change.
        author: Serial,
    },
    /// No grant covers it.
    #[error("{name:?} has no right to {rights} category {category} at {address}", category = home.category, address = home.address)]
    NoGrant {
        /// Name of the author.
        name: String,
        /// What was needed.
        rights: Rights,
        /// Where.
        home: Home,
    },
    /// The author, or one above it, was revoked, and the change is not among what stands.
    #[error("{name:?} was revoked; what stands of its work ends with change number {through_seq}")]
    Revoked {
        /// Name of the author.
        name: String,
        /// Last change that stands.
        through_seq: u64,
    },
    /// The certificate was replaced by another for the same holder, who has to take that one.
    #[error("the certificate of {name:?} was replaced by {successor}")]
    Replaced {
        /// Name of the author.
        name: String,
        /// The certificate to take.
        successor: Serial,
    },
    /// The certificate is not valid at that time.
    #[error("the certificate of {name:?} is not valid at this time")]
    Expired {
        /// Name of the author.
        name: String,
    },
}

/// Certificates and revocations under one root key.
#[derive(Debug, Clone)]
pub struct Authority {
    root: PublicKey,
    certificates: BTreeMap<Serial, Certificate>,
    /// By revoked certificate, ascending by rank.
    revocations: BTreeMap<Serial, Vec<Revocation>>,
    /// Rises with each revocation that comes or goes.
    revocation_changes: u64,
    room: room::Room,
    /// From the first root key on, in order.
    successions: Vec<Succession>,
}

impl Authority {
    /// Knows only the root key.
    pub fn new(root: PublicKey) -> Self {
        Self {
            root,
            certificates: BTreeMap::new(),
            revocations: BTreeMap::new(),
            revocation_changes: 0,
            room: room::Room::default(),
            successions: Vec::new(),
        }
    }

    /// Checks and adds one certificate, whose issuer must be known already. Another may have to go
    /// for it ([`Authority::take_dropped`]).
    pub fn insert(&mut self, bytes: &[u8]) -> Result<Serial, CertificateError> {
        let serial = Serial::of(bytes);
        if !self.certificates.contains_key(&serial) {
            let certificate = self.examine(bytes, &BTreeMap::new())?;
            self.settle_in(certificate)?;
        }
        Ok(serial)
    }

    /// Checks a chain, root side first, without adding it. Gives the last certificate.
    ///
    /// Each certificate was issued by the one before it, and the first by a root: whoever looks at
    /// a chain takes those in it for those above the last.
    pub fn verify_chain(&self, chain: &[Vec<u8>]) -> Result<Certificate, CertificateError> {
        if chain.len() > limits::CHAIN_CERTIFICATES {
            return Err(CertificateError::TooLong { name: String::new() });
        }
        if let Some(known) = self.known_chain(chain) {
            return Ok(known.clone());
        }
        let mut checked: BTreeMap<Serial, Certificate> = BTreeMap::new();
        let mut last = Err(CertificateError::Malformed { got: 0 });
        let mut claims = Vec::new();
        let mut claimed = Vec::new();
        let mut above = None;
        for bytes in chain {
            let body = Certificate::peek(bytes)?;
            if body.issuer != above {
                return Err(CertificateError::Detached { name: body.name });
            }
            above = Some(Serial::of(bytes));
            let certificate = match self.certificates.get(&Serial::of(bytes)) {
                Some(known) => known.clone(),
                // The first is signed by a root, of which there may be several to try.
                None if claims.is_empty() && checked.is_empty() => self.verify(bytes, &checked)?,
                None => {
                    let issuer = Certificate::peek_issuer(bytes)?;
                    let find = |serial| checked.get(&serial).or_else(|| self.get(&serial));
                    let issuer = issuer.and_then(find);
                    let (certificate, claim) = Certificate::check(bytes, issuer, &self.root)?;
                    claims.push(claim);
                    claimed.push(certificate.body().name.clone());
                    certificate
                }
            };
            checked.insert(certificate.serial(), certificate.clone());
            last = Ok(certificate);
        }
        // Together they take less than two thirds of the time that each alone would.
        let holds = signing::verify_all(Context::Certificate, &claims);
        match holds.iter().zip(claimed).find(|(holds, _)| !**holds) {
            Some((_, name)) => Err(CertificateError::Signature { name }),
            None => last,
        }
    }

    /// The last certificate of a chain that is known here byte for byte.
    fn known_chain(&self, chain: &[Vec<u8>]) -> Option<&Certificate> {
        let last = self.certificates.get(&Serial::of(chain.last()?))?;
        let mut above = Some(last);
        for bytes in chain.iter().rev() {
            let known = above.filter(|known| known.bytes() == bytes.as_slice())?;
            above = known.body().issuer.and_then(|issuer| self.certificates.get(&issuer));
        }
        above.is_none().then_some(last)
    }

    /// Checks certificates, issuers first, without adding them: those that are new and hold, and why
    /// the others do not. Nothing is checked by its signature for which there is no room.
    pub fn check_certificates(
        &self,
        list: &[Vec<u8>],
    ) -> (Vec<Certificate>, Vec<CertificateError>) {
        let mut checked: BTreeMap<Serial, Certificate> = BTreeMap::new();
        let (mut sound, mut errors) = (Vec::new(), Vec::new());
        for bytes in list {
            let serial = Serial::of(bytes);
            if self.certificates.contains_key(&serial) || checked.contains_key(&serial) {
                continue;
            }
            match self.examine(bytes, &checked) {
                Ok(certificate) => {
                    checked.insert(serial, certificate.clone());
                    sound.push(certificate);
                }
                Err(error) => errors.push(error),
            }
        }
        (sound, errors)
    }

    /// Adds a certificate that this authority, or an earlier state of it, has checked; `false` when
    /// it was known.
    pub fn admit(&mut self, certificate: Certificate) -> Result<bool, CertificateError> {
        if self.certificates.contains_key(&certificate.serial()) {
            return Ok(false);
        }
        self.settle_in(certificate)?;
        Ok(true)
    }

    /// Checks and adds a revocation; `false` when it was known. Another may have to go for it
    /// ([`Authority::take_dropped`]); one that is less than all others for which there is room does
    /// not count, and that is an error.
    pub fn revoke(&mut self, bytes: &[u8]) -> Result<bool, RevocationError> {
        match self.check_revocation(bytes)? {
            Some(revocation) => self.admit_revocation(revocation),
            None => Ok(false),
        }
    }

    /// Checks a revocation without adding it; `None` when it is known. Nothing is checked by its
    /// signature for which there is no room.
    pub fn check_revocation(&self, bytes: &[u8]) -> Result<Option<Revocation>, RevocationError> {
        let body = Revocation::peek(bytes)?;
        let (serial, id) = (body.own.serial, Revocation::id_of(bytes));
        if self.revocations_of(&serial).iter().any(|known| known.id() == id) {
            return Ok(None);
        }
        if !self.certificates.contains_key(&serial) {
            return Err(RevocationError::Unknown { serial });
        }
        let by = body.issuer.map(|issuer| self.revoker(&serial, &issuer)).transpose()?;
        let depth = by.map_or(0, |(_, depth)| depth);
        self.last_revocation(&serial, &Rank::of(&body, depth, id), room::size_of(bytes.len()))?;
        let revocation = match by {
            None => self.verify_by_root(bytes)?,
            Some((key, _)) => Revocation::verify(bytes, &key)?,
        };
        Ok(Some(revocation.signed_at(depth)))
    }

    /// Adds a revocation that this authority, or an earlier state of it, has checked; `false` when
    /// it was known.
    pub fn admit_revocation(&mut self, revocation: Revocation) -> Result<bool, RevocationError> {
        let serial = revocation.body().own.serial;
        if self.revocations_of(&serial).iter().any(|known| known.id() == revocation.id()) {
            return Ok(false);
        }
        if !self.certificates.contains_key(&serial) {
            return Err(RevocationError::Unknown { serial });
        }
        self.put_revocation(revocation)?;
        Ok(true)
    }

    /// Rises with each revocation that comes or goes.
    pub fn revocation_changes(&self) -> u64 {
        self.revocation_changes
    }

    /// Checks and adds a succession of the root; `false` when it changes nothing, because it is
    /// known, of another key, or not the first of its key.
    pub fn succeed(&mut self, bytes: &[u8]) -> Result<bool, BadSuccession> {
        let succession = Succession::verify(bytes)?;
        let is_next = self.is_next(&succession);
        if is_next {
            self.successions.push(succession);
        }
        Ok(is_next)
    }

    /// Whether a succession would lead on from the present root key.
    pub fn is_next(&self, succession: &Succession) -> bool {
        let body = succession.body();
        body.old == self.current_root()
            && !self.roots().any(|key| key == body.new)
            && self.successions.len() < limits::SUCCESSIONS
    }

    /// The root key of the federation.
    pub fn root(&self) -> PublicKey {
        self.root
    }

    /// The root key that signs now.
    pub fn current_root(&self) -> PublicKey {
        self.successions.last().map_or(self.root, |succession| succession.body().new)
    }

    /// All root keys, the first one first.
    pub fn roots(&self) -> impl Iterator<Item = PublicKey> {
        core::iter::once(self.root).chain(self.successions.iter().map(|s| s.body().new))
    }

    /// The successions of the root, in order.
    pub fn successions(&self) -> &[Succession] {
        &self.successions
    }

    /// The certificate with this serial.
    pub fn get(&self, serial: &Serial) -> Option<&Certificate> {
        self.certificates.get(serial)
    }

    /// All certificates, by serial.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// All revocations, by revoked certificate.
    pub fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revocations.values().flatten()
    }

    /// A revocation of this certificate itself, if there is one.
    pub fn revocation(&self, serial: &Serial) -> Option<&Revocation> {
        self.revocations_of(serial).first()
    }

    /// The revocations of this certificate itself.
    pub fn revocations_of(&self, serial: &Serial) -> &[Revocation] {
        self.revocations.get(serial).map(Vec::as_slice).unwrap_or_default()
    }

    /// The certificates from the root side down to `serial`; empty when it is unknown.
    pub fn chain(&self, serial: &Serial) -> Vec<&Certificate> {
        let mut chain = Vec::new();
        let mut next = self.certificates.get(serial);
        while let Some(certificate) = next {
            chain.push(certificate);
            next = certificate.body().issuer.and_then(|issuer| self.certificates.get(&issuer));
        }
        chain.reverse();
        chain
    }

    /// Whether a grant of `serial` gives `rights` on this document, whatever the time.
    pub fn may(&self, serial: &Serial, rights: Rights, home: &Home) -> Result<(), Refusal> {
        let Some(certificate) = self.certificates.get(serial) else {
            return Err(Refusal::UnknownAuthor { author: *serial });
        };
        let covers = |grant: &Grant| {
            grant.rights.contains(rights)
                && grant.categories.contains(home.category)
                && grant.region.contains_address(&home.address)
                && grant.document.is_none_or(|document| document == home.document)
        };
        if certificate.body().grants.iter().any(covers) {
            return Ok(());
        }
        Err(Refusal::NoGrant { name: certificate.body().name.clone(), rights, home: *home })
    }

    /// Whether a change may enter: its author has the right to it, and it stands.
    pub fn may_write(&self, header: &Header, id: &ChangeId) -> Result<(), Refusal> {
        self.may(&header.author, header.kind.needs(), &header.home)?;
        self.stands(&header.author, header.seq, Some(id))
    }

    /// Whether the author's change number `seq` stands in spite of all revocations of the author
    /// and of those above it. Without the id of the change only its number is looked at.
    pub fn stands(&self, author: &Serial, seq: u64, id: Option<&ChangeId>) -> Result<(), Refusal> {
        if !self.certificates.contains_key(author) {
            return Err(Refusal::UnknownAuthor { author: *author });
        }
        if self.revocations.is_empty() && self.successions.is_empty() {
            return Ok(());
        }
        let mut through = None;
        for certificate in self.upward(author) {
            for revocation in self.revocations_of(&certificate.serial()) {
                match revocation.standing(author) {
                    Some(standing) if standing.covers(seq, id) => {}
                    Some(standing) => through = Some(standing.through_seq),
                    None => through = Some(0),
                }
            }
            if certificate.body().issuer.is_none() && !self.is_rooted(certificate) {
                through = Some(0);
            }
        }
        match through {
            Some(through_seq) => Err(Refusal::Revoked { name: self.name(author), through_seq }),
            None => Ok(()),
        }
    }

    /// Whether `certificate` may author or connect at `now_ms`: valid then, and neither itself nor
    /// anything above it revoked without leaving it all its work.
    pub fn valid_at(&self, certificate: &Certificate, now_ms: i64) -> Result<(), Refusal> {
        let body = certificate.body();
        let serial = certificate.serial();
        let mut above = Some(certificate);
        let mut replaced = None;
        while let Some(current) = above {
            for revocation in self.revocations_of(&current.serial()) {
                let standing = revocation.standing(&serial);
                let left = standing.is_some_and(|standing| standing.through_seq == u64::MAX);
                if current.serial() == serial || !left {
                    let name = body.name.clone();
                    // Who was replaced and then dismissed is dismissed, whichever comes first here.
                    if let Some(successor) = revocation.body().successor.filter(|_| left) {
                        replaced.get_or_insert(Refusal::Replaced { name, successor });
                        continue;
                    }
                    let through_seq = standing.map_or(0, |standing| standing.through_seq);
                    return Err(Refusal::Revoked { name, through_seq });
                }
            }
            if current.body().issuer.is_none() && !self.is_rooted(current) {
                return Err(Refusal::Revoked { name: body.name.clone(), through_seq: 0 });
            }
            above = current.body().issuer.and_then(|issuer| self.certificates.get(&issuer));
        }
        if let Some(refusal) = replaced {
            return Err(refusal);
        }
        if now_ms < body.not_after_ms {
            return Ok(());
        }
        Err(Refusal::Expired { name: body.name.clone() })
    }

    /// The certificate and those above it.
    fn upward(&self, serial: &Serial) -> impl Iterator<Item = &Certificate> {
        core::iter::successors(self.certificates.get(serial), |certificate| {
            certificate.body().issuer.and_then(|issuer| self.certificates.get(&issuer))
        })
    }

    /// Whether a certificate that a root signed still stands by the successions of the root.
    fn is_rooted(&self, certificate: &Certificate) -> bool {
        let of_its_root = |s: &&Succession| s.body().old == certificate.root();
        let succession = self.successions.iter().find(of_its_root);
        succession.is_none_or(|s| s.body().stands.contains(&certificate.serial()))
    }

    /// What the holder of `serial` may read.
    pub fn read_scope(&self, serial: &Serial) -> Scope {
        self.certificates.get(serial).map_or_else(Scope::default, read_scope)
    }

    /// The name in the certificate, or the serial itself when it is unknown.
    pub fn name(&self, serial: &Serial) -> String {
        let known = self.certificates.get(serial);
        known.map_or_else(|| serial.to_string(), |certificate| certificate.body().name.clone())
    }

    /// Checks a certificate for which there is room, or may be: who is not known yet has nobody
    /// below.
    fn examine(
        &self,
        bytes: &[u8],
        checked: &BTreeMap<Serial, Certificate>,
    ) -> Result<Certificate, CertificateError> {
        let issuer = Certificate::peek_issuer(bytes)?.and_then(|issuer| self.get(&issuer));
        if let Some(issuer) = issuer {
            let (certificate, _) = Certificate::check(bytes, Some(issuer), &self.root)?;
            self.last_place(&certificate)?;
        }
        self.verify(bytes, checked)
    }

    fn verify(
        &self,
        bytes: &[u8],
        checked: &BTreeMap<Serial, Certificate>,
    ) -> Result<Certificate, CertificateError> {
        let issuer = Certificate::peek_issuer(bytes)?;
        let find = |serial| checked.get(&serial).or_else(|| self.certificates.get(&serial));
        let mut outcome = Certificate::verify(bytes, issuer.and_then(find), &self.root);
        for succession in self.successions.iter().filter(|_| issuer.is_none()) {
            if outcome.is_err() {
                outcome = Certificate::verify(bytes, None, &succession.body().new);
            }
        }
        outcome
    }

    fn verify_by_root(&self, bytes: &[u8]) -> Result<Revocation, RevocationError> {
        let mut outcome = Revocation::verify(bytes, &self.root);
        for succession in &self.successions {
            if outcome.is_err() {
                outcome = Revocation::verify(bytes, &succession.body().new);
            }
        }
        outcome
    }

    /// The key of `issuer` and its depth, if it stands above `serial`.
    fn revoker(
        &self,
        serial: &Serial,
        issuer: &Serial,
    ) -> Result<(PublicKey, usize), RevocationError> {
        let above = self.upward(serial).skip(1).find(|above| above.serial() == *issuer);
        above
            .map(|above| (above.body().subject, above.depth()))
            .ok_or(RevocationError::NotAbove { serial: *serial })
    }
}

/// What the holder of a certificate may read.
pub fn read_scope(certificate: &Certificate) -> Scope {
    Scope::of_grants(&certificate.body().grants, Rights::READ)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::certificate::{AuthorKind, CertificateBody, Tier};
    use crate::revocation::{RevocationBody, Standing};
    use crate::signing::{SigningKey, public_key};

    /// Shows that who was replaced and dismissed is dismissed, whichever of both revocations comes
    /// first by its id: else a thief whose certificate had been followed would be let in to be
    /// certified again.
    #[test]
    fn who_was_replaced_and_dismissed_is_dismissed() {
        let root = SigningKey::from_bytes(&[1; 32]);
        let body = CertificateBody {
            subject: public_key(&SigningKey::from_bytes(&[2; 32])),
            name: "村".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Village,
            grants: Vec::new(),
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let bytes = Certificate::issue(&body, &root);
        for number in 0..20 {
            let mut authority = Authority::new(public_key(&root));
            let serial = authority.insert(&bytes).unwrap();
            let dismissed = RevocationBody {
                own: Standing { serial, through_seq: 0, tags: Vec::new() },
                successor: None,
                descendants: Vec::new(),
                reason: format!("stolen {number}"),
                issuer: None,
            };
            let (own, successor) = (Standing::all(serial), Some(Serial([9; 16])));
            let replaced = RevocationBody { own, successor, ..dismissed.clone() };
            authority.revoke(&replaced.sign(&root)).unwrap();
            let certificate = authority.get(&serial).unwrap().clone();
            let refusal = authority.valid_at(&certificate, 1).unwrap_err();
            assert!(matches!(refusal, Refusal::Replaced { .. }), "{refusal:?}");
            authority.revoke(&dismissed.sign(&root)).unwrap();
            let refusal = authority.valid_at(&certificate, 1).unwrap_err();
            assert!(matches!(refusal, Refusal::Revoked { .. }), "{number}: {refusal:?}");
        }
    }

    /// Shows that of what stands below a replaced certificate only that goes on which the
    /// replacement lists; that it may leave everybody below, whom it does not know included; and
    /// that another one with a list ends that again.
    #[test]
    fn a_replacement_lists_whom_it_leaves_or_leaves_all() {
        let key = |seed| SigningKey::from_bytes(&[seed; 32]);
        let (root, town) = (key(1), key(2));
        let body = CertificateBody {
            subject: public_key(&town),
            name: "镇".to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Town,
            grants: Vec::new(),
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: None,
        };
        let mut authority = Authority::new(public_key(&root));
        let old = authority.insert(&Certificate::issue(&body, &root)).unwrap();
        let mut below = |seed: u8| {
            let (subject, issuer) = (public_key(&key(seed)), Some(old));
            let body = CertificateBody { subject, tier: Tier::Village, issuer, ..body.clone() };
            authority.insert(&Certificate::issue(&body, &town)).unwrap()
        };
        let (known, forgotten) = (below(3), below(4));
        let replaced = |descendants: Vec<Standing>| {
            let body = RevocationBody {
                own: Standing::all(old),
                successor: Some(Serial([9; 16])),
                descendants,
                reason: "replaced".to_owned(),
                issuer: None,
            };
            body.sign(&root)
        };
        let goes_on = |authority: &Authority, serial: &Serial| {
            let valid = authority.valid_at(authority.get(serial).unwrap(), 1).is_ok();
            assert_eq!(valid, authority.stands(serial, 7, None).is_ok());
            valid
        };
        let mut listed = authority.clone();
        listed.revoke(&replaced(vec![Standing::all(known)])).unwrap();
        assert_eq!([known, forgotten].map(|serial| goes_on(&listed, &serial)), [true, false]);
        authority.revoke(&replaced(vec![Standing::all(old)])).unwrap();
        assert_eq!([known, forgotten].map(|serial| goes_on(&authority, &serial)), [true, true]);
        authority.revoke(&replaced(vec![Standing::all(known)])).unwrap();
        assert_eq!([known, forgotten].map(|serial| goes_on(&authority, &serial)), [true, false]);
    }
}

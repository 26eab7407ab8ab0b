//! All certificates and revocations a node knows, and the answers they give.
//!
//! Every question of permission is asked here: may this author write there, what may this peer
//! read. A certificate enters only after its chain has been checked up to the root key.
//!
//! A revocation is `version ‖ body ‖ signature` as a certificate is, signed by the issuer of the
//! revoked certificate, an ancestor of it, or the root. It needs no clock: the author's changes up
//! to `through_seq` stand, later ones are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::certificate::{Certificate, CertificateError, Grant};
use crate::change::{Header, Home};
use crate::id::{PublicKey, Serial, Signature};
use crate::limits;
use crate::rights::Rights;
use crate::scope::Scope;
use crate::signing::{self, Context, SigningKey};

/// What a revocation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationBody {
    /// The revoked certificate.
    pub serial: Serial,
    /// The last change of the author that stands.
    pub through_seq: u64,
    /// Why, for people.
    pub reason: String,
    /// Who revokes; `None` for the root.
    pub issuer: Option<Serial>,
}

/// Why a revocation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The bytes are not a revocation.
    #[error("not a revocation ({got} bytes)")]
    Malformed {
        /// Bytes given.
        got: usize,
    },
    /// The certificate, or who revokes it, is unknown here.
    #[error("the revocation names the unknown certificate {serial}")]
    Unknown {
        /// The unknown serial.
        serial: Serial,
    },
    /// Only the issuer or an ancestor may revoke.
    #[error("who revoked {serial} is neither its issuer nor above it")]
    NotAbove {
        /// The certificate that was to be revoked.
        serial: Serial,
    },
    /// The signature does not hold.
    #[error("the signature on the revocation of {serial} does not hold")]
    Signature {
        /// The certificate that was to be revoked.
        serial: Serial,
    },
}

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
    /// The author was revoked, and the change comes after what stands.
    #[error("{name:?} was revoked; changes after number {through_seq} do not stand")]
    Revoked {
        /// Name of the author.
        name: String,
        /// Last change that stands.
        through_seq: u64,
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
    revocations: BTreeMap<Serial, (RevocationBody, Vec<u8>)>,
}

impl Authority {
    /// Knows only the root key.
    pub fn new(root: PublicKey) -> Self {
        Self { root, certificates: BTreeMap::new(), revocations: BTreeMap::new() }
    }

    /// Checks and adds one certificate, whose issuer must be known already.
    pub fn insert(&mut self, bytes: &[u8]) -> Result<Serial, CertificateError> {
        let serial = Serial::of(bytes);
        if !self.certificates.contains_key(&serial) {
            let certificate = self.verify(bytes, &BTreeMap::new())?;
            self.certificates.insert(serial, certificate);
        }
        Ok(serial)
    }

    /// Checks a chain, root side first, without adding it. Gives the last certificate.
    pub fn verify_chain(&self, chain: &[Vec<u8>]) -> Result<Certificate, CertificateError> {
        if chain.len() > limits::CHAIN_CERTIFICATES {
            return Err(CertificateError::TooLong { name: String::new() });
        }
        let mut checked = BTreeMap::new();
        let mut last = Err(CertificateError::Malformed { got: 0 });
        for bytes in chain {
            let certificate = match self.certificates.get(&Serial::of(bytes)) {
                Some(known) => known.clone(),
                None => self.verify(bytes, &checked)?,
            };
            checked.insert(certificate.serial(), certificate.clone());
            last = Ok(certificate);
        }
        last
    }

    /// Checks and adds a revocation; `false` when it changes nothing.
    ///
    /// Of two revocations of one certificate the one that lets less stand wins, and of equal ones
    /// the one with the smaller bytes, so that every node comes to the same whatever the order.
    pub fn revoke(&mut self, bytes: &[u8]) -> Result<bool, RevocationError> {
        let body = self.verify_revocation(bytes)?;
        let newer = match self.revocations.get(&body.serial) {
            Some((known, known_bytes)) => {
                (body.through_seq, bytes) < (known.through_seq, known_bytes.as_slice())
            }
            None => true,
        };
        if newer {
            self.revocations.insert(body.serial, (body, bytes.to_vec()));
        }
        Ok(newer)
    }

    /// The root key of the federation.
    pub fn root(&self) -> PublicKey {
        self.root
    }

    /// The certificate with this serial.
    pub fn get(&self, serial: &Serial) -> Option<&Certificate> {
        self.certificates.get(serial)
    }

    /// All certificates, by serial.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// The bytes of all revocations, by serial of the revoked certificate.
    pub fn revocations(&self) -> impl Iterator<Item = &[u8]> {
        self.revocations.values().map(|(_, bytes)| bytes.as_slice())
    }

    /// The revocation of this certificate, if it was revoked.
    pub fn revocation(&self, serial: &Serial) -> Option<&RevocationBody> {
        self.revocations.get(serial).map(|(body, _)| body)
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

    /// Whether a change with this header stands: its author may write there and is not revoked.
    pub fn may_write(&self, header: &Header) -> Result<(), Refusal> {
        self.may(&header.author, Rights::WRITE, &header.home)?;
        self.in_force(&header.author, header.seq)
    }

    /// Whether the author's change number `seq` stands in spite of a revocation of the author.
    ///
    /// A revoked issuer is another matter: what its people wrote before stands, and who may still
    /// write is decided where the change enters ([`Authority::valid_at`]).
    pub fn in_force(&self, author: &Serial, seq: u64) -> Result<(), Refusal> {
        match self.revocations.get(author) {
            Some((body, _)) if seq > body.through_seq => {
                Err(Refusal::Revoked { name: self.name(author), through_seq: body.through_seq })
            }
            _ => Ok(()),
        }
    }

    /// Whether `serial` may author or connect at `now_ms`: valid then, and nothing in its chain
    /// revoked.
    pub fn valid_at(&self, certificate: &Certificate, now_ms: i64) -> Result<(), Refusal> {
        let body = certificate.body();
        let mut serial = Some(certificate.serial());
        let mut issuer = body.issuer;
        while let Some(current) = serial {
            if let Some((revocation, _)) = self.revocations.get(&current) {
                let through_seq = revocation.through_seq;
                return Err(Refusal::Revoked { name: body.name.clone(), through_seq });
            }
            serial = issuer;
            issuer = issuer.and_then(|s| self.certificates.get(&s)).and_then(|c| c.body().issuer);
        }
        if now_ms < body.not_after_ms {
            return Ok(());
        }
        Err(Refusal::Expired { name: body.name.clone() })
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

    fn verify(
        &self,
        bytes: &[u8],
        checked: &BTreeMap<Serial, Certificate>,
    ) -> Result<Certificate, CertificateError> {
        let issuer = Certificate::peek_issuer(bytes)?;
        let find = |serial| checked.get(&serial).or_else(|| self.certificates.get(&serial));
        Certificate::verify(bytes, issuer.and_then(find), &self.root)
    }

    fn verify_revocation(&self, bytes: &[u8]) -> Result<RevocationBody, RevocationError> {
        let malformed = RevocationError::Malformed { got: bytes.len() };
        let too_long = bytes.len() > limits::CERTIFICATE_BYTES;
        let Some((signed, signature)) = bytes.split_last_chunk().filter(|_| !too_long) else {
            return Err(malformed);
        };
        let body: RevocationBody = match signed.split_first() {
            Some((1, body)) => match postcard::take_from_bytes(body) {
                Ok((body, [])) => body,
                _ => return Err(malformed),
            },
            _ => return Err(malformed),
        };
        let serial = body.serial;
        let key = match body.issuer {
            None => self.root,
            Some(issuer) => self.revoker(&serial, &issuer)?,
        };
        signing::verify(&key, Context::Revocation, signed, &Signature(*signature))
            .map_err(|_| RevocationError::Signature { serial })?;
        Ok(body)
    }

    /// The key of `issuer`, if it stands above `serial`.
    fn revoker(&self, serial: &Serial, issuer: &Serial) -> Result<PublicKey, RevocationError> {
        let chain = self.chain(serial);
        if chain.is_empty() {
            return Err(RevocationError::Unknown { serial: *serial });
        }
        let above = chain.iter().find(|c| c.serial() == *issuer && c.serial() != *serial);
        above.map(|c| c.body().subject).ok_or(RevocationError::NotAbove { serial: *serial })
    }
}

impl RevocationBody {
    /// Signs the revocation with the issuer's key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![1];
        let body = postcard::to_allocvec(self).expect("a body has only encodable types");
        bytes.extend_from_slice(&body);
        let signature = signing::sign(key, Context::Revocation, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }
}

/// What the holder of a certificate may read.
pub fn read_scope(certificate: &Certificate) -> Scope {
    Scope::of_grants(&certificate.body().grants, Rights::READ)
}

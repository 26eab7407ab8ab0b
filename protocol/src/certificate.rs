//! Certificates and grants: who may do what, where, until when.
//!
//! A certificate is `version ‖ body ‖ signature`:
//!
//! | part | bytes | content |
//! |---|---|---|
//! | version | 1 | 1 |
//! | body | n | [`CertificateBody`] in the postcard wire format, fields in order of declaration |
//! | signature | 64 | Ed25519 of the issuer over [`Context::Certificate`], version and body |
//!
//! Its serial is the first 16 bytes of the BLAKE3 of all these bytes, so that no two certificates
//! share one. The certificates of a chain are checked by [`Certificate::verify`]; which are known
//! and in force is the business of [`crate::authority`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::category::CategorySet;
use crate::id::{DocumentId, PublicKey, Serial, Signature};
use crate::limits;
use crate::region::{Depth, Region};
use crate::rights::Rights;
use crate::signing::{self, Claim, Context, SigningKey};

/// The version this crate writes and reads.
pub const VERSION: u8 = 1;

/// What kind of author a certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    /// A node; it may issue certificates within its delegable grants.
    Node,
    /// A person.
    Operator,
    /// A sensor, camera or other machine.
    Device,
}

/// A tier of government, as a label: what a node may do follows from its grants alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Province (省).
    Province,
    /// City (市).
    City,
    /// County (县).
    County,
    /// Town, township or street (镇/乡/街道).
    Town,
    /// Administrative village (行政村).
    Village,
    /// Grid (网格).
    Grid,
}

impl Tier {
    /// Every tier, from the top.
    pub const ALL: [Self; 6] =
        [Self::Province, Self::City, Self::County, Self::Town, Self::Village, Self::Grid];

    /// The bit that stands for this tier in a set of tiers.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Lower-case English name, as in configuration and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Province => "province",
            Self::City => "city",
            Self::County => "county",
            Self::Town => "town",
            Self::Village => "village",
            Self::Grid => "grid",
        }
    }

    /// The tier with this [`Tier::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// One permission: these rights on these categories at these addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Where.
    pub region: Region,
    /// Only this document at the exact address (a case circle).
    pub document: Option<DocumentId>,
    /// Which kinds of data.
    pub categories: CategorySet,
    /// What the holder may do.
    pub rights: Rights,
    /// What a node may pass on in certificates it issues, whether it has the right itself or not:
    /// a county certifies towns for identity numbers that it may not read.
    pub delegable: Rights,
}

impl Grant {
    /// Whether `other` allows nothing, to do or to pass on, that `self` may not pass on.
    pub fn may_issue(&self, other: &Self) -> bool {
        let document = self.document.is_none() || self.document == other.document;
        self.delegable.contains(other.rights.with(other.delegable))
            && self.region.contains(&other.region)
            && self.categories.contains_set(&other.categories)
            && document
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateBody {
    /// Key of the author.
    pub subject: PublicKey,
    /// Name shown to people, at most [`limits::NAME_BYTES`] bytes of UTF-8.
    pub name: String,
    /// What the author is.
    pub kind: AuthorKind,
    /// Tier of the node, or of the node the person works at.
    pub tier: Tier,
    /// What the author may do, at most [`limits::CERTIFICATE_GRANTS`].
    pub grants: Vec<Grant>,
    /// Start of validity, milliseconds since 1970-01-01 UTC.
    pub issued_at_ms: i64,
    /// End of validity, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Certificate of the issuer; `None` when the federation root signed.
    pub issuer: Option<Serial>,
}

impl CertificateBody {
    /// Whether something that this allows, to do or to pass on, is not allowed by `next`.
    pub fn is_narrowed_by(&self, next: &Self) -> bool {
        let covered = |grant: &Grant| {
            let held = |region: &&Grant| {
                region.region.contains(&grant.region)
                    && (region.document.is_none() || region.document == grant.document)
                    && region.rights.contains(grant.rights)
                    && region.delegable.contains(grant.delegable)
            };
            // The categories of one grant may be spread over several of the next certificate.
            let categories = next
                .grants
                .iter()
                .filter(held)
                .fold(CategorySet::none(), |all, held| all.union(&held.categories));
            categories.contains_set(&grant.categories)
        };
        !self.grants.iter().all(covered)
    }
}

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not a certificate.
    #[error("not a certificate ({got} bytes)")]
    Malformed {
        /// Bytes given.
        got: usize,
    },
    /// A version this node cannot read.
    #[error("certificate version {got} is newer than this node's {VERSION}; update this node")]
    Version {
        /// Version found.
        got: u8,
    },
    /// Too long a name, too many grants, or a document without an exact address.
    #[error("the certificate of {name:?} breaks a limit: {limit}")]
    Limit {
        /// Name of the subject.
        name: String,
        /// Which limit.
        limit: &'static str,
    },
    /// The issuer's signature does not hold.
    #[error("the issuer did not sign the certificate of {name:?}")]
    Signature {
        /// Name of the subject.
        name: String,
    },
    /// The issuer is not known here.
    #[error("the issuer {issuer} of {name:?} is unknown")]
    UnknownIssuer {
        /// Name of the subject.
        name: String,
        /// Serial of the missing certificate.
        issuer: Serial,
    },
    /// It stands in a chain below another certificate than the one that issued it.
    #[error("{name:?} was not certified by who stands above it in the chain")]
    Detached {
        /// Name of the subject.
        name: String,
    },
    /// People and devices issue nothing.
    #[error("{issuer:?} is not a node and may not issue the certificate of {name:?}")]
    IssuerKind {
        /// Name of the subject.
        name: String,
        /// Name of the issuer.
        issuer: String,
    },
    /// A grant goes beyond what the issuer may pass on.
    #[error("grant {grant} of {name:?} is wider than what its issuer may delegate")]
    Widened {
        /// Name of the subject.
        name: String,
        /// Index of the grant, from 0.
        grant: usize,
    },
    /// It would be valid longer than its issuer, or never.
    #[error("the validity of {name:?} is empty or goes beyond its issuer's")]
    Validity {
        /// Name of the subject.
        name: String,
    },
    /// Those above have no room for it.
    #[error("there is no room for {name:?}: {most} certificates are below {above:?}, earlier ones")]
    Crowded {
        /// Name of the subject.
        name: String,
        /// Name of the one above that has no room.
        above: String,
        /// Most that are kept below it.
        most: usize,
    },
    /// Too far from the root.
    #[error("the chain of {name:?} is longer than {}", limits::CHAIN_CERTIFICATES)]
    TooLong {
        /// Name of the subject.
        name: String,
    },
}

/// A certificate whose signature and containment have been checked up to the root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    bytes: Arc<[u8]>,
    serial: Serial,
    body: Arc<CertificateBody>,
    depth: usize,
    root: PublicKey,
}

impl Certificate {
    /// Signs `body` with the issuer's `key`. The result is checked when it is first used.
    pub fn issue(body: &CertificateBody, key: &SigningKey) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let encoded = postcard::to_allocvec(body).expect("a body has only encodable types");
        bytes.extend_from_slice(&encoded);
        let signature = signing::sign(key, Context::Certificate, &bytes);
        bytes.extend_from_slice(&signature.0);
        bytes
    }

    /// Reads the serial of the issuer without trusting anything, to find the issuer.
    pub fn peek_issuer(bytes: &[u8]) -> Result<Option<Serial>, CertificateError> {
        decode(bytes).map(|(body, _, _)| body.issuer)
    }

    /// Reads what a certificate says without trusting anything.
    pub fn peek(bytes: &[u8]) -> Result<CertificateBody, CertificateError> {
        decode(bytes).map(|(body, _, _)| body)
    }

    /// Checks `bytes` against its issuer: the certificate `issuer`, or the root key.
    pub fn verify(
        bytes: &[u8],
        issuer: Option<&Self>,
        root: &PublicKey,
    ) -> Result<Self, CertificateError> {
        let (certificate, claim) = Self::check(bytes, issuer, root)?;
        signing::verify(&claim.key, Context::Certificate, &claim.bytes, &claim.signature)
            .map_err(|_| CertificateError::Signature { name: certificate.body.name.clone() })?;
        Ok(certificate)
    }

    /// Checks everything but the signature, which is left to be checked with others.
    pub(crate) fn check<'a>(
        bytes: &'a [u8],
        issuer: Option<&Self>,
        root: &PublicKey,
    ) -> Result<(Self, Claim<'a>), CertificateError> {
        let (body, signed, signature) = decode(bytes)?;
        let name = || body.name.clone();
        check_limits(&body)?;
        let key = match (issuer, body.issuer) {
            (None, None) => *root,
            (Some(issuer), Some(serial)) if issuer.serial == serial => issuer.body.subject,
            (_, serial) => {
                let issuer = serial.unwrap_or(Serial([0; 16]));
                return Err(CertificateError::UnknownIssuer { name: name(), issuer });
            }
        };
        if body.not_after_ms <= body.issued_at_ms {
            return Err(CertificateError::Validity { name: name() });
        }
        if let Some(issuer) = issuer {
            check_containment(&body, issuer)?;
        }
        let depth = issuer.map_or(1, |issuer| issuer.depth + 1);
        if depth > limits::CHAIN_CERTIFICATES {
            return Err(CertificateError::TooLong { name: name() });
        }
        let root = issuer.map_or(*root, |issuer| issuer.root);
        let claim = Claim { key, bytes: signed.into(), signature };
        let serial = Serial::of(bytes);
        Ok((Self { bytes: bytes.into(), serial, body: Arc::new(body), depth, root }, claim))
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The serial.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// What it says.
    pub fn body(&self) -> &CertificateBody {
        &self.body
    }

    /// The root key it was checked up to.
    pub fn root(&self) -> PublicKey {
        self.root
    }

    /// Number of certificates from here to the root key, this one included.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

fn decode(bytes: &[u8]) -> Result<(CertificateBody, &[u8], Signature), CertificateError> {
    let malformed = CertificateError::Malformed { got: bytes.len() };
    if bytes.len() > limits::CERTIFICATE_BYTES {
        return Err(malformed);
    }
    let Some((signed, signature)) = bytes.split_last_chunk() else { return Err(malformed) };
    match signed.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((body, [])) => Ok((body, signed, Signature(*signature))),
            _ => Err(malformed),
        },
        Some((&got, _)) if got > VERSION => Err(CertificateError::Version { got }),
        _ => Err(malformed),
    }
}

fn check_limits(body: &CertificateBody) -> Result<(), CertificateError> {
    let exact = |g: &Grant| g.document.is_none() || g.region.depth == Depth::Exact;
    let limit = if body.name.len() > limits::NAME_BYTES {
        "the name is too long"
    } else if body.grants.len() > limits::CERTIFICATE_GRANTS {
        "there are too many grants"
    } else if !body.grants.iter().all(exact) {
        "a grant for one document must name its exact address"
    } else {
        return Ok(());
    };
    Err(CertificateError::Limit { name: body.name.clone(), limit })
}

fn check_containment(body: &CertificateBody, issuer: &Certificate) -> Result<(), CertificateError> {
    let name = || body.name.clone();
    if issuer.body.kind != AuthorKind::Node {
        return Err(CertificateError::IssuerKind {
            name: name(),
            issuer: issuer.body.name.clone(),
        });
    }
    if body.not_after_ms > issuer.body.not_after_ms {
        return Err(CertificateError::Validity { name: name() });
    }
    let outside = |grant: &Grant| !issuer.body.grants.iter().any(|held| held.may_issue(grant));
    match body.grants.iter().position(outside) {
        Some(grant) => Err(CertificateError::Widened { name: name(), grant }),
        None => Ok(()),
    }
}

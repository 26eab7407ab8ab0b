//! Certificates for the nodes below, and the two files by which they travel without a line.
//!
//! Each file is one line of text: a word that names format and version, a space, and JSON. The
//! request is signed with the new node's key, so that nobody requests for a key he does not have;
//! it is short enough for a QR code.
//!
//! | file | word | JSON |
//! |---|---|---|
//! | request | `cunlian-request-1` | `{key, tier, region, name, signature}` |
//! | issued | `cunlian-issued-1` | `{root, chain: [hexadecimal], parent: {address, key} or null}` |
//!
//! What a node gets is the preset of its tier and region ([`crate::preset`]), and never more than
//! the issuer may pass on, nor for longer than the issuer has it.

use std::path::Path;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::{PublicKey, Signature};
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{self, Context, public_key};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::naming::one_line;
use super::{AdminError, Administration};
use crate::address::NodeAddress;
use crate::config::{Config, Peer};
use crate::keystore::{Keystore, NODE_KEY, hex, unhex};
use crate::preset;

const REQUEST: &str = "cunlian-request-1";
const ISSUED: &str = "cunlian-issued-1";
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// How long a certificate is valid unless something else is said: two years.
pub const LIFETIME_MS: i64 = 730 * DAY_MS;

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// Key of the node.
    pub key: PublicKey,
    /// Its tier.
    pub tier: Tier,
    /// The address it stands for.
    pub region: AddressCode,
    /// Its name.
    pub name: String,
}

/// Issues a certificate and checks it as every other node will.
pub fn certify(
    identity: &Identity,
    applicant: &Applicant,
    now_ms: i64,
    lifetime_ms: i64,
) -> Result<Certificate, AdminError> {
    let own = identity.certificate.body();
    if lifetime_ms <= 0 {
        return Err(AdminError::new("a certificate must be valid for some time"));
    }
    if own.not_after_ms <= now_ms {
        return Err(AdminError::new("the certificate of this node has expired")
            .hint("bring this node into contact with its parent first, so that it is renewed"));
    }
    let body = CertificateBody {
        subject: applicant.key,
        name: one_line(&applicant.name)?,
        kind: AuthorKind::Node,
        tier: applicant.tier,
        grants: preset::grants(applicant.tier, applicant.region),
        issued_at_ms: now_ms,
        not_after_ms: own.not_after_ms.min(now_ms.saturating_add(lifetime_ms)),
        issuer: Some(identity.certificate.serial()),
    };
    let bytes = Certificate::issue(&body, &identity.key);
    // The issuer is given, so the root key is not consulted.
    Certificate::verify(&bytes, Some(&identity.certificate), &own.subject).map_err(|error| {
        let (name, region) = (&own.name, applicant.region);
        AdminError::new(error)
            .hint(format!("{name} may only certify nodes within its own region; {region} is not"))
    })
}

/// What a request says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestFile {
    key: PublicKey,
    tier: Tier,
    region: AddressCode,
    name: String,
    signature: Signature,
}

/// What the parent gives back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuedFile {
    root: PublicKey,
    chain: Vec<String>,
    /// Of the root, from `root` on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    successions: Vec<String>,
    parent: Option<Peer>,
}

impl RequestFile {
    /// A request for the key of this data directory.
    pub fn new(
        data_dir: &Path,
        tier: Tier,
        region: AddressCode,
        name: String,
    ) -> Result<Self, AdminError> {
        let key = Keystore::new(data_dir).key(NODE_KEY).map_err(|error| {
            AdminError::new(error).hint("make the data directory first: cunlian init")
        })?;
        let signature = Signature([0; 64]);
        let mut request = Self { key: public_key(&key), tier, region, name, signature };
        request.signature = signing::sign(&key, Context::Request, &request.signed());
        Ok(request)
    }

    /// Reads the text of a request; its signature is checked when it is issued.
    pub fn parse(text: &str) -> Result<Self, AdminError> {
        parse(text, REQUEST)
    }

    /// The text of the file, one line.
    pub fn text(&self) -> String {
        text(REQUEST, self)
    }

    fn signed(&self) -> Vec<u8> {
        let said = (&self.key, self.tier, &self.region, &self.name);
        postcard::to_allocvec(&said).expect("a request has only encodable types")
    }

    /// Issues the certificate asked for, if the request is signed by its key.
    pub fn certify(
        &self,
        identity: &Identity,
        now_ms: i64,
        lifetime_ms: i64,
    ) -> Result<Certificate, AdminError> {
        let signed = self.signed();
        signing::verify(&self.key, Context::Request, &signed, &self.signature).map_err(|_| {
            AdminError::new("the request is not signed by the key it names")
                .hint("it was altered on the way: write it anew with cunlian request")
        })?;
        let applicant = Applicant {
            key: self.key,
            tier: self.tier,
            region: self.region,
            name: self.name.clone(),
        };
        certify(identity, &applicant, now_ms, lifetime_ms)
    }
}

impl IssuedFile {
    /// Issues what is requested, from the node of this data directory, without touching its store.
    pub fn new(
        data_dir: &Path,
        request: &RequestFile,
        valid_days: i64,
        address: Option<NodeAddress>,
    ) -> Result<Self, AdminError> {
        let identity = Keystore::new(data_dir).identity().map_err(AdminError::new)?;
        let lifetime_ms = valid_days.saturating_mul(DAY_MS);
        let certificate = request.certify(
            &identity,
            crate::clock::Clock::open(data_dir).now_ms(),
            lifetime_ms,
        )?;
        Self::with(data_dir, &identity, &certificate, address)
    }

    fn with(
        data_dir: &Path,
        identity: &Identity,
        certificate: &Certificate,
        address: Option<NodeAddress>,
    ) -> Result<Self, AdminError> {
        let root = Keystore::new(data_dir).root().map_err(AdminError::new)?;
        let own = identity.chain.iter().map(Vec::as_slice);
        let chain = own.chain([certificate.bytes()]).map(hex).collect();
        let successions = Keystore::new(data_dir).successions().map_err(AdminError::new)?;
        let successions = successions.iter().map(|succession| hex(succession.bytes())).collect();
        let key = public_key(&identity.key);
        Ok(Self { root, chain, successions, parent: address.map(|address| Peer { address, key }) })
    }

    /// Reads the text of what was issued.
    pub fn parse(text: &str) -> Result<Self, AdminError> {
        parse(text, ISSUED)
    }

    /// The text of the file, one line.
    pub fn text(&self) -> String {
        text(ISSUED, self)
    }

    /// Makes this the identity of the node of a data directory.
    pub fn accept(&self, data_dir: &Path) -> Result<(), AdminError> {
        let chain: Option<Vec<Vec<u8>>> = self.chain.iter().map(|text| unhex(text)).collect();
        let chain = chain.ok_or_else(|| AdminError::new("the certificates are damaged"))?;
        let successions = self.successions.iter().map(|text| unhex(text));
        let successions: Option<Vec<Vec<u8>>> = successions.collect();
        let successions =
            successions.ok_or_else(|| AdminError::new("the successions are damaged"))?;
        let keystore = Keystore::new(data_dir);
        keystore.add_successions(&successions).map_err(AdminError::new)?;
        keystore.set_chain(&self.root, &chain).map_err(|error| {
            AdminError::new(error).hint("was this file issued for the request of this machine?")
        })?;
        if let Some(parent) = &self.parent {
            let mut config = Config::load(data_dir).map_err(AdminError::new)?;
            config.peers.retain(|peer| peer.key != parent.key);
            config.peers.insert(0, parent.clone());
            config.save(data_dir).map_err(AdminError::new)?;
        }
        Ok(())
    }
}

/// The result of [`Administration::issue_request`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuedRequest {
    /// Text to be carried back to the new node.
    pub issued: String,
    /// Name of the new node.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Its address.
    pub region: AddressCode,
    /// Serial of its certificate, hexadecimal.
    pub serial: String,
    /// End of validity, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
}

impl Administration {
    /// Issues a certificate for the text of a request. The store learns it before it is given out.
    pub fn issue_request(
        &self,
        request: &str,
        lifetime_ms: i64,
        address: Option<NodeAddress>,
    ) -> Result<IssuedRequest, AdminError> {
        self.may_issue()?;
        let request = RequestFile::parse(request)?;
        let certificate = request.certify(&self.identity, (self.now_ms)(), lifetime_ms)?;
        let issued = IssuedFile::with(&self.data_dir, &self.identity, &certificate, address)?;
        self.learn(&certificate)?;
        Ok(IssuedRequest {
            issued: issued.text(),
            name: request.name,
            tier: request.tier,
            region: request.region,
            serial: certificate.serial().to_string(),
            not_after_ms: certificate.body().not_after_ms,
        })
    }

    /// Refuses while another machine may use the identity of this node: what both issue could not
    /// be told apart.
    pub(super) fn may_issue(&self) -> Result<(), AdminError> {
        match self.store.suspension() {
            Some(reason) => Err(AdminError::new(format!("{reason}, so it issues no certificates"))
                .hint("cunlian status says what to do until it is confirmed")),
            None => Ok(()),
        }
    }

    /// Adds a certificate this node issued to its store.
    pub(super) fn learn(&self, certificate: &Certificate) -> Result<(), AdminError> {
        let mut chain = self.identity.chain.clone();
        chain.push(certificate.bytes().to_vec());
        match self.store.add_certificates(&chain)?.into_iter().next() {
            Some(refused) => Err(AdminError::new(refused)),
            None => Ok(()),
        }
    }
}

fn text(word: &str, value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("these files have only JSON types");
    format!("{word} {json}")
}

fn parse<T: DeserializeOwned>(text: &str, word: &str) -> Result<T, AdminError> {
    let wrong = || {
        AdminError::new(format!("this is not a file of the kind {word}"))
            .hint("request → issue → accept: each takes the file of the step before")
    };
    let json = text.trim().strip_prefix(word).ok_or_else(wrong)?;
    serde_json::from_str(json).map_err(|_| wrong())
}

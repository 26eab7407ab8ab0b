//! `cunlian request`, `issue`, `accept`: joining a federation by files.
//!
//! Each file is one line of text: a word that names format and version, a space, and JSON. The
//! request is signed with the new node's key, so that nobody requests for a key he does not have.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::{PublicKey, Signature};
use cunlian_protocol::signing::{self, Context, public_key};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::init::{DAY_MS, parse_region, parse_tier};
use super::{DataDir, Failure, Outcome};
use crate::clock::now_ms;
use crate::config::{Config, Peer};
use crate::keystore::{Keystore, NODE_KEY, hex, unhex};
use crate::preset;

const REQUEST: &str = "cunlian-request-1";
const ISSUED: &str = "cunlian-issued-1";

/// Arguments of `request`.
#[derive(Debug, Args)]
pub(super) struct Request {
    #[command(flatten)]
    data: DataDir,
    /// Tier of the new node
    #[arg(long, value_parser = parse_tier)]
    tier: Tier,
    /// Address code the new node stands for, such as 370322102310
    #[arg(long, value_parser = parse_region)]
    region: AddressCode,
    /// Name of the new node, such as 苑兴村
    #[arg(long)]
    name: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `issue`.
#[derive(Debug, Args)]
pub(super) struct Issue {
    #[command(flatten)]
    data: DataDir,
    /// The request
    request: PathBuf,
    /// How many days the certificate is valid
    #[arg(long, default_value_t = 730)]
    valid_days: i64,
    /// UDP address under which the new node reaches this one
    #[arg(long)]
    address: Option<SocketAddr>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `accept`.
#[derive(Debug, Args)]
pub(super) struct Accept {
    #[command(flatten)]
    data: DataDir,
    /// The file the parent issued
    issued: PathBuf,
}

/// What a request says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestFile {
    key: PublicKey,
    tier: Tier,
    region: AddressCode,
    name: String,
    signature: Signature,
}

/// What the parent gives back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IssuedFile {
    root: PublicKey,
    chain: Vec<String>,
    parent: Option<Peer>,
}

impl RequestFile {
    /// A request for the key of this data directory.
    pub(crate) fn new(
        data_dir: &Path,
        tier: Tier,
        region: AddressCode,
        name: String,
    ) -> Result<Self, Failure> {
        let key = Keystore::new(data_dir).key(NODE_KEY).map_err(|error| {
            Failure::new(error).hint("make the data directory first: cunlian init")
        })?;
        let signature = Signature([0; 64]);
        let mut request = Self { key: public_key(&key), tier, region, name, signature };
        request.signature = signing::sign(&key, Context::Request, &request.signed());
        Ok(request)
    }

    fn signed(&self) -> Vec<u8> {
        let said = (&self.key, self.tier, &self.region, &self.name);
        postcard::to_allocvec(&said).expect("a request has only encodable types")
    }
}

impl IssuedFile {
    /// Issues what is requested, from the node of this data directory.
    pub(crate) fn new(
        data_dir: &Path,
        request: &RequestFile,
        valid_days: i64,
        address: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let signed = request.signed();
        signing::verify(&request.key, Context::Request, &signed, &request.signature)
            .map_err(|_| Failure::new("the request is not signed by the key it names"))?;
        let keystore = Keystore::new(data_dir);
        let identity = keystore.identity()?;
        let own = identity.certificate.body();
        let now = now_ms();
        let body = CertificateBody {
            subject: request.key,
            name: request.name.clone(),
            kind: AuthorKind::Node,
            tier: request.tier,
            grants: preset::grants(request.tier, request.region),
            issued_at_ms: now,
            not_after_ms: own.not_after_ms.min(now.saturating_add(valid_days * DAY_MS)),
            issuer: Some(identity.certificate.serial()),
        };
        let root = keystore.root()?;
        let bytes = Certificate::issue(&body, &identity.key);
        Certificate::verify(&bytes, Some(&identity.certificate), &root).map_err(|error| {
            let (name, region) = (&own.name, request.region);
            Failure::new(error).hint(format!(
                "{name} may only certify nodes within its own region; {region} is not"
            ))
        })?;
        let chain = identity.chain.iter().chain([&bytes]).map(|bytes| hex(bytes)).collect();
        let key = own.subject;
        let parent = address.map(|address| Peer { address, key });
        Ok(Self { root, chain, parent })
    }

    /// Makes this the identity of the node of a data directory.
    pub(crate) fn accept(&self, data_dir: &Path) -> Outcome {
        let chain: Option<Vec<Vec<u8>>> = self.chain.iter().map(|text| unhex(text)).collect();
        let chain = chain.ok_or_else(|| Failure::new("the certificates are damaged"))?;
        Keystore::new(data_dir).set_chain(&self.root, &chain).map_err(|error| {
            Failure::new(error).hint("was this file issued for the request of this machine?")
        })?;
        if let Some(parent) = &self.parent {
            let mut config = Config::load(data_dir)?;
            config.peers.retain(|peer| peer.key != parent.key);
            config.peers.insert(0, parent.clone());
            config.save(data_dir)?;
        }
        Ok(())
    }
}

impl Request {
    pub(super) fn run(self) -> Outcome {
        let request = RequestFile::new(&self.data.data_dir, self.tier, self.region, self.name)?;
        write(&self.out, REQUEST, &request)?;
        println!("{}: carry it to the parent, then: cunlian issue", self.out.display());
        Ok(())
    }
}

impl Issue {
    pub(super) fn run(self) -> Outcome {
        let request: RequestFile = read(&self.request, REQUEST)?;
        let issued = IssuedFile::new(&self.data.data_dir, &request, self.valid_days, self.address)?;
        write(&self.out, ISSUED, &issued)?;
        println!(
            "{} for {}: carry it back, then: cunlian accept",
            self.out.display(),
            request.name
        );
        Ok(())
    }
}

impl Accept {
    pub(super) fn run(self) -> Outcome {
        let issued: IssuedFile = read(&self.issued, ISSUED)?;
        issued.accept(&self.data.data_dir)?;
        println!("accepted; start the node: cunlian run");
        Ok(())
    }
}

fn write(path: &Path, word: &str, value: &impl Serialize) -> Outcome {
    let text = format!("{word} {}\n", serde_json::to_string(value)?);
    fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn read<T: DeserializeOwned>(path: &Path, word: &str) -> Result<T, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let wrong = || {
        Failure::new(format!("{} is not a file of the kind {word}", path.display()))
            .hint("request → issue → accept: each takes the file of the step before")
    };
    let json = text.trim().strip_prefix(word).ok_or_else(wrong)?;
    serde_json::from_str(json).map_err(|_| wrong())
}

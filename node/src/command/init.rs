//! `cunlian init`: a data directory with key and configuration.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;

use clap::Args;
use cunlian_host::clock::now_ms;
use cunlian_host::config::Config;
use cunlian_host::keystore::{Keystore, NODE_KEY, ROOT_KEY};
use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::signing::public_key;

use super::DataDir;
use crate::failure::{Failure, Outcome};

/// A day in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
/// How long the first certificate of a federation is valid.
const FOUNDER_DAYS: i64 = 3_650;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    data: DataDir,
    /// Found a new federation with this node at its top: makes root.key, to be kept off line
    #[arg(long, requires = "region", requires = "name")]
    found: bool,
    /// Tier of the founding node
    #[arg(long, default_value = "county", value_parser = parse_tier)]
    tier: Tier,
    /// Address code the founding node stands for, such as 370322
    #[arg(long, value_parser = parse_region)]
    region: Option<AddressCode>,
    /// Name of the founding node, such as 高青县
    #[arg(long)]
    name: Option<String>,
    /// UDP address for other nodes
    #[arg(long, default_value = "0.0.0.0:7320")]
    listen: SocketAddr,
    /// TCP address of the pages
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Address of the pages as phones see it, printed on plates
    #[arg(long)]
    public_url: Option<String>,
}

/// A tier by its English name.
pub(super) fn parse_tier(text: &str) -> Result<Tier, String> {
    let known: Vec<&str> = Tier::ALL.into_iter().map(Tier::name).collect();
    Tier::from_name(text).ok_or_else(|| format!("the tiers are {}", known.join(", ")))
}

/// An address code.
pub(super) fn parse_region(text: &str) -> Result<AddressCode, String> {
    AddressCode::parse(text).map_err(|error| error.to_string())
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let directory = &self.data.data_dir;
        // Personal data is kept here: for the user of the node only.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| Failure::new(format!("{}: {error}", directory.display())))?;
        let keystore = Keystore::new(directory);
        let key = keystore.create_key(NODE_KEY, &mut rand::rng()).map_err(|error| {
            Failure::new(error)
                .hint("this data directory is in use; choose another with --data-dir")
        })?;
        cunlian_host::private::tighten(directory);
        let config = Config {
            listen: self.listen,
            http: self.http,
            public_url: self.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            ..Config::default()
        };
        config.save(directory)?;
        println!("data directory: {}", directory.display());
        println!("node key:       {}", public_key(&key));
        let (true, Some(region), Some(name)) = (self.found, self.region, self.name) else {
            println!("next: cunlian request, carry the file to the parent, cunlian accept");
            return Ok(());
        };
        let root = keystore.create_key(ROOT_KEY, &mut rand::rng())?;
        let now = now_ms();
        let body = CertificateBody {
            subject: public_key(&key),
            name,
            kind: AuthorKind::Node,
            tier: self.tier,
            grants: preset::grants(self.tier, region),
            issued_at_ms: now,
            not_after_ms: now + FOUNDER_DAYS * DAY_MS,
            issuer: None,
        };
        keystore.set_chain(&public_key(&root), &[Certificate::issue(&body, &root)])?;
        println!("federation:     {}", public_key(&root));
        println!("keep {ROOT_KEY} off line: whoever has it is the federation");
        Ok(())
    }
}

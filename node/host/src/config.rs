//! Configuration of a node: `cunlian.toml` in its data directory.
//!
//! ```toml
//! # where other nodes reach this one (QUIC over UDP)
//! listen = "0.0.0.0:7320"
//! # where people reach it (HTTP)
//! http = "127.0.0.1:8080"
//! # address under which villagers' phones reach the pages, printed in plates
//! public_url = "http://192.0.2.10:8080"
//! # proxies in front of the pages, which say in x-forwarded-for who asks; without them everybody
//! # behind a proxy counts as one when logins and reports are limited
//! trusted_proxies = ["127.0.0.1"]
//! # shows each part of the pages under `/style`, for who writes them; the demo does
//! style_page = false
//!
//! # the node this one reports to, by address or by name; further peers are dialled as well
//! [[peer]]
//! address = "192.0.2.1:7320"
//! key = "…64 hexadecimal digits…"
//!
//! # how much is taken from one node below, in all and in one day; what is more waits there.
//! # What is left out has the value it has here. `cunlian node quota` sets other bounds for one
//! # child, and those without a restart
//! [quota]
//! changes = 20000000
//! bytes = 17179869184
//! day_changes = 5000000
//! day_bytes = 4294967296
//! # photos and files, those in progress counted in full
//! blob_bytes = 17179869184
//! ```

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use cunlian_crdt::store::Quota;
use cunlian_protocol::id::PublicKey;
use serde::{Deserialize, Serialize};

use crate::address::NodeAddress;

/// File name in the data directory.
pub const FILE: &str = "cunlian.toml";

/// Where a node listens and whom it dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// UDP address for other nodes.
    #[serde(default = "listen_default")]
    pub listen: SocketAddr,
    /// TCP address of the pages.
    #[serde(default = "http_default")]
    pub http: SocketAddr,
    /// Address of the pages as villagers' phones see it; printed in the QR code of plates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Proxies in front of the pages, which say in `x-forwarded-for` who asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether `/style` shows each part of the pages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub style_page: bool,
    /// Nodes to dial, the parent first.
    #[serde(default, rename = "peer", skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// How much is taken from one node below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub quota: Quota,
}

/// A node to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its UDP address, or its name and port, which is looked up at each dial.
    pub address: NodeAddress,
    /// Its key; no other node is accepted in its place.
    pub key: PublicKey,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not valid.
    #[error("{path}: {reason}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

fn listen_default() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7320))
}

fn http_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: listen_default(),
            http: http_default(),
            public_url: None,
            trusted_proxies: Vec::new(),
            style_page: false,
            peers: Vec::new(),
            quota: Quota::default(),
        }
    }
}

impl Config {
    /// Reads the configuration of a data directory.
    pub fn load(data_dir: &Path) -> Result<Self, ConfigError> {
        let path = data_dir.join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Malformed { path, reason: error.to_string() })
    }

    /// As [`Config::load`], or what holds where nothing is configured yet.
    pub fn load_or_default(data_dir: &Path) -> Result<Self, ConfigError> {
        match Self::load(data_dir) {
            Err(ConfigError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            outcome => outcome,
        }
    }

    /// Writes the configuration of a data directory.
    pub fn save(&self, data_dir: &Path) -> Result<(), ConfigError> {
        let path = data_dir.join(FILE);
        let text = toml::to_string(self).map_err(|error| ConfigError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        fs::write(&path, text).map_err(|source| ConfigError::Io { path, source })
    }

    /// Where villagers' phones find the pages.
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.http))
    }
}

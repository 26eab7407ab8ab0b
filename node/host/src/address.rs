//! Where another node is reached: an address, or a name, with its UDP port.
//!
//! ```text
//! 192.0.2.1:7320      [2001:db8::1]:7320      town.example:7320
//! ```
//!
//! A name is kept as it was given and looked up at each dial: addresses change, and a machine that
//! starts before its line is there finds nobody at first.

use std::net::SocketAddr;
use std::str::FromStr;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// Longest name of a host, RFC 1035 section 2.3.4.
const HOST_BYTES: usize = 253;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// An address or a name, with its port; its text is as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddress(String);

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address such as 192.0.2.1:7320 or town.example:7320")]
pub struct AddressError(String);

impl NodeAddress {
    /// All addresses that it has now; an error in words when there is none.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = self.0.parse() {
            return Ok(vec![address]);
        }
        let found: io::Result<Vec<SocketAddr>> =
            tokio::net::lookup_host(self.0.as_str()).await.map(Iterator::collect);
        let mut addresses = found.unwrap_or_else(|error| {
            tracing::debug!(%error, address = self.0, "a name was not found");
            Vec::new()
        });
        let mut known = Vec::new();
        addresses.retain(|address| {
            let is_new = !known.contains(address) && known.len() < ADDRESSES;
            known.push(*address);
            is_new
        });
        if addresses.is_empty() {
            return Err(format!("the name {} was not found", self.host()));
        }
        Ok(addresses)
    }

    /// The address or name without the port.
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _)| host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let named = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_host = (1..=HOST_BYTES).contains(&host.len()) && host.chars().all(named);
        // Digits and dots that are no address are a mistake, and no name.
        let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        if is_host && !is_number && is_port { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.0
    }
}

impl From<SocketAddr> for NodeAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that addresses and names are kept as they were given, and that nothing else is taken
    /// for one.
    #[test]
    fn addresses_and_names_are_kept_as_given() {
        for text in ["192.0.2.1:7320", "[2001:db8::1]:7320", "town.example:7320", "高城:7320"] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.port()), (text, 7_320));
        }
        let long = format!("{}:7320", "a".repeat(254));
        for wrong in
            ["town.example", "town.example:0", ":7320", "a b:7320", "300.1.1.1:7320", &long]
        {
            assert!(wrong.parse::<NodeAddress>().is_err(), "{wrong}");
        }
    }

    /// Shows that a name is looked up, and that one that nobody has is said in words.
    #[tokio::test]
    async fn a_name_is_looked_up() {
        let here: NodeAddress = "localhost:7320".parse().unwrap();
        let found = here.resolve().await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7_320));
        let nowhere: NodeAddress = "nowhere.invalid:7320".parse().unwrap();
        let words = nowhere.resolve().await.unwrap_err();
        assert_eq!(words, "the name nowhere.invalid was not found");
    }
}

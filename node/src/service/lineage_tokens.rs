//! Lineage tokens on disk: what the nodes above gave this machine last.
//!
//! `lines.json` in the data directory, mode 0600: a JSON object from the key of the peer to its
//! token, both hexadecimal. It is synced before the next dial can present it. A machine that lost
//! the file is taken for a second one by its parent, as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cunlian_protocol::id::PublicKey;
use cunlian_protocol::wire::LineageToken;

use cunlian_host::keystore::{self, KeystoreError, hex, unhex};

const FILE: &str = "lines.json";

/// The tokens of one data directory.
#[derive(Debug)]
pub(super) struct LineageTokens {
    path: PathBuf,
    tokens: BTreeMap<PublicKey, LineageToken>,
}

impl LineageTokens {
    /// Reads them; none when there is no file, or one that is not this program's.
    pub(super) fn load(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let read = fs::read(&path).ok();
        let tokens = read.as_deref().map(|bytes| {
            let parsed = parse(bytes);
            if parsed.is_none() {
                tracing::warn!(path = %path.display(), "the file is not one of this program's");
            }
            parsed.unwrap_or_default()
        });
        Self { path, tokens: tokens.unwrap_or_default() }
    }

    pub(super) fn tokens(&self) -> &BTreeMap<PublicKey, LineageToken> {
        &self.tokens
    }

    /// Keeps a token; durable when it returns.
    pub(super) fn keep(
        &mut self,
        peer: PublicKey,
        token: LineageToken,
    ) -> Result<(), KeystoreError> {
        self.tokens.insert(peer, token);
        let shown: BTreeMap<String, String> =
            self.tokens.iter().map(|(peer, token)| (peer.to_string(), hex(token))).collect();
        let bytes = serde_json::to_vec_pretty(&shown).expect("tokens have only JSON types");
        keystore::write(&self.path, &bytes, 0o600)
    }
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<PublicKey, LineageToken>> {
    let shown: BTreeMap<String, String> = serde_json::from_slice(bytes).ok()?;
    let entry = |(peer, token): (String, String)| {
        Some((peer.parse().ok()?, LineageToken::try_from(unhex(&token)?).ok()?))
    };
    shown.into_iter().map(entry).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that tokens are there after a new start, the last one for each peer, and that a
    /// damaged file counts as none.
    #[test]
    fn tokens_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (town, county) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let mut lines = LineageTokens::load(dir.path());
        assert!(lines.tokens().is_empty());
        lines.keep(town, [3; 16]).unwrap();
        lines.keep(county, [4; 16]).unwrap();
        lines.keep(town, [5; 16]).unwrap();
        let expected = BTreeMap::from([(town, [5; 16]), (county, [4; 16])]);
        assert_eq!(*LineageTokens::load(dir.path()).tokens(), expected);
        fs::write(dir.path().join(FILE), b"{\"x\":").unwrap();
        assert!(LineageTokens::load(dir.path()).tokens().is_empty());
    }
}

//! The token of an invitation, as text that is short enough to type and to print as a QR code.
//!
//! The text is [`PREFIX`] and the following bytes in base32 (RFC 4648 section 6, upper case,
//! without padding), which is within the alphanumeric mode of QR codes (ISO/IEC 18004):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 8 | id of the invitation |
//! | 9 | 16 | secret |
//! | 25 | 32 | root key of the federation |
//! | 57 | 32 | key of the parent |
//! | 89 | 8 | end of validity, milliseconds since 1970-01-01 UTC, big-endian, signed |
//! | 97 | 1 | number of addresses, 1 to [`ADDRESSES`] |
//! | 98 | … | per address: its length as one byte, 1 to [`ADDRESS_BYTES`], and `host:port` in UTF-8 |
//! | n−4 | 4 | checksum: first bytes of BLAKE3 in key derivation mode over all bytes before |
//!
//! The checksum is for people, not against attackers: it tells a mistyped token from one that the
//! parent does not know. Blanks and hyphens are skipped and lower case is taken as upper case.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE32_NOPAD;

use super::{InvitationId, Secret};
use crate::id::PublicKey;

/// What every token begins with.
pub const PREFIX: &str = "CUNLIAN1";
/// Most addresses of a parent.
pub const ADDRESSES: usize = 4;
/// Longest address, `host:port`.
pub const ADDRESS_BYTES: usize = 100;
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const TOKEN_BYTES: usize = 98 + ADDRESSES * (1 + ADDRESS_BYTES) + CHECKSUM_BYTES;
/// Longest text that is looked at, so that nothing is gathered for what cannot be a token.
const TEXT_BYTES: usize = 4 * TOKEN_BYTES;

/// What an invited machine needs to join: where the parent is, who it is, and the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The invitation.
    pub invitation: InvitationId,
    /// Proves that one was invited.
    pub secret: Secret,
    /// Root key of the federation, up to which the certificate is checked.
    pub root: PublicKey,
    /// Key of the parent; no other is told the secret.
    pub parent: PublicKey,
    /// End of validity, milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
    /// Where the parent listens, `host:port`, at most [`ADDRESSES`], tried in order.
    pub addresses: Vec<String>,
}

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as one.
    #[error("this is not an invitation: it does not begin with {PREFIX}")]
    Prefix,
    /// It begins as one of a later version.
    #[error("the invitation was made by a newer version; update this program")]
    Newer,
    /// A character cannot be part of one.
    #[error(
        "character {position} of the invitation, {found:?}, is mistyped: only A–Z and 2–7 occur"
    )]
    Character {
        /// Its position, from 1, blanks and hyphens not counted.
        position: usize,
        /// The character.
        found: char,
    },
    /// It ends too soon or was mistyped.
    #[error("the invitation is mistyped or incomplete: its checksum does not fit")]
    Checksum,
    /// The checksum fits and yet it is not a token.
    #[error("the invitation is malformed")]
    Malformed,
    /// An invitation needs one to [`ADDRESSES`] addresses of bounded length.
    #[error("an invitation has 1 to {ADDRESSES} addresses of at most {ADDRESS_BYTES} characters")]
    Addresses,
}

impl Token {
    /// Checks what bounds the length of the text.
    pub fn check(&self) -> Result<(), TokenError> {
        let fits = |address: &String| (1..=ADDRESS_BYTES).contains(&address.len());
        let sound = (1..=ADDRESSES).contains(&self.addresses.len());
        if sound && self.addresses.iter().all(fits) { Ok(()) } else { Err(TokenError::Addresses) }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.invitation.0);
        bytes.extend(self.secret.0);
        bytes.extend(self.root.0);
        bytes.extend(self.parent.0);
        bytes.extend(self.expires_at_ms.to_be_bytes());
        bytes.push(u8::try_from(self.addresses.len()).unwrap_or(u8::MAX));
        for address in &self.addresses {
            bytes.push(u8::try_from(address.len()).unwrap_or(u8::MAX));
            bytes.extend(address.as_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, TokenError> {
        let (said, given) = bytes.split_last_chunk().ok_or(TokenError::Checksum)?;
        if checksum(said) != *given {
            return Err(TokenError::Checksum);
        }
        let mut rest = said;
        match take(&mut rest)? {
            [VERSION] => {}
            [newer] if newer > VERSION => return Err(TokenError::Newer),
            _ => return Err(TokenError::Malformed),
        }
        let invitation = InvitationId(take(&mut rest)?);
        let secret = Secret(take(&mut rest)?);
        let (root, parent) = (PublicKey(take(&mut rest)?), PublicKey(take(&mut rest)?));
        let expires_at_ms = i64::from_be_bytes(take(&mut rest)?);
        let [count] = take(&mut rest)?;
        let mut addresses = Vec::new();
        for _ in 0..count {
            if addresses.len() == ADDRESSES {
                return Err(TokenError::Malformed);
            }
            let [length] = take(&mut rest)?;
            let (address, after) =
                rest.split_at_checked(usize::from(length)).ok_or(TokenError::Malformed)?;
            let address = core::str::from_utf8(address).map_err(|_| TokenError::Malformed)?;
            addresses.push(address.to_owned());
            rest = after;
        }
        let token = Self { invitation, secret, root, parent, expires_at_ms, addresses };
        if !rest.is_empty() || token.check().is_err() {
            return Err(TokenError::Malformed);
        }
        Ok(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(PREFIX)?;
        out.write_str(&BASE32_NOPAD.encode(&self.to_bytes()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TEXT_BYTES {
            return Err(TokenError::Malformed);
        }
        let skipped = |c: &char| c.is_whitespace() || *c == '-';
        let text: Vec<char> =
            text.chars().filter(|c| !skipped(c)).map(|c| c.to_ascii_uppercase()).collect();
        let (head, body) = text.split_at_checked(PREFIX.len()).ok_or(TokenError::Prefix)?;
        if !head.iter().copied().eq(PREFIX.chars()) {
            let (word, version) = head.split_at(PREFIX.len() - 1);
            let ours = PREFIX.chars().zip(word).all(|(a, b)| a == *b);
            let newer = version.iter().all(|c| ('2'..='9').contains(c));
            return Err(if ours && newer { TokenError::Newer } else { TokenError::Prefix });
        }
        let foreign = |c: &char| !matches!(c, 'A'..='Z' | '2'..='7');
        if let Some((at, found)) = body.iter().enumerate().find(|(_, c)| foreign(c)) {
            let position = PREFIX.len() + at + 1;
            return Err(TokenError::Character { position, found: *found });
        }
        let body: String = body.iter().collect();
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| TokenError::Checksum)?;
        Self::from_bytes(&bytes)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 invitation checksum");
    hasher.update(bytes);
    let mut sum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (taken, after) = rest.split_first_chunk().ok_or(TokenError::Malformed)?;
    *rest = after;
    Ok(*taken)
}

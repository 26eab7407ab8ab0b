//! Address codes as people type them.

use cunlian_protocol::address::AddressCode;

/// A code as typed: bare digits, or the printed form with its check character.
pub(crate) fn code_of(text: &str) -> Option<AddressCode> {
    AddressCode::parse(text).or_else(|_| AddressCode::parse_plate(text)).ok()
}

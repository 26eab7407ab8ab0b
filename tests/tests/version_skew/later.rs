//! Changes as a later version of the program would make them.

use cunlian_protocol::change::{ChangeKind, Header, SignedChange, VERSION};
use cunlian_protocol::id::Signature;
use cunlian_protocol::signing::{self, Context, SigningKey};

/// A change of this version and kind with any payload, signed by `key`; all versions share the
/// layout up to the payload.
pub(crate) fn change(
    header: &Header,
    version: u8,
    kind: u8,
    payload: &[u8],
    key: &SigningKey,
) -> Vec<u8> {
    let header = Header { version: VERSION, kind: ChangeKind::EDIT, ..*header };
    let made = SignedChange::sign(&header, payload, key).unwrap();
    let mut bytes = made.bytes().to_vec();
    bytes.truncate(bytes.len() - Signature::LENGTH);
    bytes[0] = version;
    bytes[1] = kind;
    let before = &bytes[..bytes.len() - payload.len()];
    let signed = [before, blake3::hash(payload).as_bytes()].concat();
    bytes.extend(signing::sign(key, Context::Change, &signed).0);
    bytes
}

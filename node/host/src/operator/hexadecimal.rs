//! Bytes as lower-case hexadecimal text in JSON files.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

use crate::keystore::{hex, unhex};

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    unhex(&text).ok_or_else(|| D::Error::custom("not hexadecimal"))
}

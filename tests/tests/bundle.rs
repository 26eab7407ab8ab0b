//! Bundles: what is carried in a file comes in as over a line, and under the same checks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a reply of any other kind is a failure")]

#[path = "bundle/forged.rs"]
mod forged;

#[path = "bundle/adversary.rs"]
mod adversary;
#[path = "bundle/carried.rs"]
mod carried;
#[path = "bundle/exchange.rs"]
mod exchange;
#[path = "bundle/layout.rs"]
mod layout;
#[path = "bundle/sealed.rs"]
mod sealed;

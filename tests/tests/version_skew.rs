//! Versions that live side by side: nodes of protocol version 1 and of version 2 in one
//! federation, and data of later versions in stores and on pages of today.
//!
//! Version 2 exists in these suites only ([`cunlian_protocol::dialect`]).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a reply of any other kind is a failure")]

use cunlian_tests::world::nodes as world;

#[path = "version_skew/data.rs"]
mod data;
#[path = "version_skew/federation.rs"]
mod federation;
#[path = "version_skew/later.rs"]
mod later;
#[path = "version_skew/pages.rs"]
mod pages;
